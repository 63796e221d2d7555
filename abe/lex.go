package abe

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Limits of every text.
const (
	maxText   = 4096 // bytes of a policy or of a list of attributes
	maxDepth  = 16   // of nested parentheses and "not"
	maxClause = 64   // clauses of a policy, values of one list
)

// token is a word or a mark of a text.
type token struct {
	text   string // empty at the end
	column int
}

func (t token) String() string {
	if t.text == "" {
		return "the end"
	}
	return strconv.Quote(t.text)
}

var (
	keywords = []string{"and", "or", "not", "in", "of"}

	authorityPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)
	namePattern      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	valuePattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)
	numberPattern    = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,9})$`)
	datePattern      = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
)

// lexer holds the tokens of a text. Its methods fail with a SyntaxError by panic,
// which the parser that made it turns back into an error.
type lexer struct {
	what   string
	tokens []token // the last is the end
}

// fail is the panic of a lexer.
type fail struct{ err *SyntaxError }

func (l *lexer) fail(column int, format string, args ...any) {
	panic(fail{&SyntaxError{l.what, column, fmt.Sprintf(format, args...)}})
}

// catch turns the panic of a lexer into the error. Other panics go on.
func catch(err *error) {
	switch r := recover().(type) {
	case nil:
	case fail:
		*err = r.err
	default:
		panic(r)
	}
}

func newLexer(what, text string) *lexer {
	l := &lexer{what: what}
	if len(text) > maxText {
		l.fail(maxText+1, "longer than %d bytes", maxText)
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case wordByte(c):
			start := i
			for i < len(text) && wordByte(text[i]) {
				i++
			}
			l.tokens = append(l.tokens, token{text[start:i], start + 1})
		case (c == '<' || c == '>') && i+1 < len(text) && text[i+1] == '=':
			l.tokens = append(l.tokens, token{text[i : i+2], i + 1})
			i += 2
		case c == '!':
			l.fail(i+1, "unexpected %q; write not x = y", string(rune(c)))
		case slices.Contains([]byte("():,=<>"), c):
			l.tokens = append(l.tokens, token{text[i : i+1], i + 1})
			i++
		default:
			l.fail(i+1, "unexpected byte %q", text[i:i+1])
		}
	}
	l.tokens = append(l.tokens, token{"", len(text) + 1})
	return l
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '@' || c == '-'
}

func (l *lexer) peek() token { return l.tokens[0] }

func (l *lexer) next() token {
	t := l.tokens[0]
	if t.text != "" {
		l.tokens = l.tokens[1:]
	}
	return t
}

// accept takes the next token if it is text.
func (l *lexer) accept(text string) bool {
	if l.peek().text != text {
		return false
	}
	l.next()
	return true
}

func (l *lexer) expect(text, after string) {
	if t := l.peek(); !l.accept(text) {
		l.fail(t.column, "expected %q %s, not %v", text, after, t)
	}
}

// word takes a word that matches the pattern and is no keyword.
func (l *lexer) word(pattern *regexp.Regexp, what string) token {
	t := l.next()
	if slices.Contains(keywords, t.text) || !pattern.MatchString(t.text) {
		l.fail(t.column, "expected %s, not %v", what, t)
	}
	return t
}

// name takes the name of an attribute, behind that of an authority or not.
func (l *lexer) name() (name, token) {
	first := l.peek()
	if len(l.tokens) > 1 && l.tokens[1].text == ":" {
		l.word(authorityPattern, "the name of an authority")
		l.next()
		return name{first.text, l.word(namePattern, "the name of an attribute").text}, first
	}
	return name{"", l.word(namePattern, "the name of an attribute").text}, first
}

// value takes the value of an attribute.
func (l *lexer) value() token {
	if t := l.peek(); numberPattern.MatchString(t.text) {
		return l.next()
	}
	return l.word(valuePattern, "a value")
}

// end fails unless the text ends here.
func (l *lexer) end() {
	if t := l.peek(); t.text != "" {
		l.fail(t.column, "unexpected %v", t)
	}
}

// parseNumber reads a number in its one spelling.
func parseNumber(s string) (int64, bool) {
	if !numberPattern.MatchString(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseDate returns the days since 1970-01-01.
func parseDate(s string) (int64, bool) {
	if !datePattern.MatchString(s) {
		return 0, false
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, false
	}
	return floorDay(t.Unix()), true
}

func floorDay(seconds int64) int64 {
	const day = 24 * 60 * 60
	if seconds < 0 {
		return (seconds - day + 1) / day
	}
	return seconds / day
}

// parseOrdered reads a number or a date, and says which.
func parseOrdered(s string) (v int64, date, ok bool) {
	if v, ok = parseNumber(s); ok {
		return v, false, true
	}
	v, ok = parseDate(s)
	return v, true, ok
}
