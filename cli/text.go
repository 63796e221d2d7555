package cli

import (
	"fmt"
	"os"
	"strings"
)

// A language that messages are in. The English text is also what names a
// message: translations are found by it.
type language string

const (
	english language = "en"
	chinese language = "zh"
)

// parseLanguage reads a language tag or a POSIX locale: "zh", "zh-CN",
// "zh_CN.UTF-8".
func parseLanguage(s string) (language, bool) {
	tag := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return r == '-' || r == '_' || r == '.' || r == '@' })
	if len(tag) == 0 {
		return english, false
	}
	switch l := language(tag[0]); l {
	case english, chinese:
		return l, true
	}
	return english, false
}

// environmentLanguage returns the language of the process's locale, English for
// one that we have no messages in.
func environmentLanguage() language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			l, _ := parseLanguage(v)
			return l
		}
	}
	return english
}

// dictionaries give every message of the command line in Chinese, by its English
// text. A test keeps them complete.
var dictionaries = []map[string]string{inChinese, inChineseForOperators, inChineseForNodes,
	inChineseForUsers, inChineseForIdentities, inChineseForRecords, inChineseForGrants, inChineseForAudits, inChineseForFlows, inChineseForPolicies}

// tr returns a message in the language. A text without a translation stays as
// it is.
func (l language) tr(text string, args ...any) string {
	if l == chinese {
		for _, d := range dictionaries {
			if zh, ok := d[text]; ok {
				text = zh
				break
			}
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}
