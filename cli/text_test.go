package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ward-health/ward/contract/consent"
)

// says tells which argument of our functions is a message.
var says = map[string]int{
	"tr": 0, "say": 0, "tell": 0, "note": 0, "usagef": 0, "withHint": 0, "begin": 1, "bar": 0, "refused": 1, "table": 0,
	"failf": 2, "confirm": 1, "askSecret": 1, "grid": 0, "columns": 0, "backupPassphrase": 2,
}

// messages returns every message of the command line, in English.
func messages(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	add := func(e ast.Expr) {
		ast.Inspect(e, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && s != "" {
					all[s] = true
				}
			}
			return true
		})
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				name := ""
				switch f := n.Fun.(type) {
				case *ast.Ident:
					name = f.Name
				case *ast.SelectorExpr:
					name = f.Sel.Name
				}
				if i, ok := says[name]; ok && i < len(n.Args) {
					switch n.Args[i].(type) {
					case *ast.BasicLit, *ast.CompositeLit:
						add(n.Args[i])
					}
				}
			case *ast.CompositeLit:
				if name, ok := n.Type.(*ast.Ident); ok && name.Name == "message" && len(n.Elts) > 0 {
					if kv, ok := n.Elts[0].(*ast.KeyValueExpr); ok {
						add(kv.Value)
					} else {
						add(n.Elts[0])
					}
				}
			}
			return true
		})
	}
	for _, k := range known {
		all[k.text], all[k.hint] = true, true
	}
	for _, e := range exitCodes {
		all[e.Meaning] = true
	}
	for _, o := range consent.Obligations() {
		all[o.Words()] = true
	}
	for _, p := range newCast().all() {
		all[p.who] = true
	}
	for _, same := range []string{"", "%s", "      %s", "      %.2f s", "[%d/%d] %s", "%s: %s"} {
		delete(all, same) // no words
	}
	return all
}

// TestEveryMessageIsInChinese, with the same values in it, and no translation is
// left of a message that is gone.
func TestEveryMessageIsInChinese(t *testing.T) {
	verb := regexp.MustCompile(`%[^a-zA-Z%]*[a-zA-Z]`)
	all := messages(t)
	for text := range all {
		zh := chinese.tr(text)
		if zh == text {
			t.Errorf("no Chinese for %q", text)
			continue
		}
		if want, got := verb.FindAllString(text, -1), verb.FindAllString(zh, -1); !slices.Equal(want, got) {
			// Where Chinese wants another order it says so: %[2]s.
			for _, v := range got {
				if !strings.Contains(v, "[") {
					t.Errorf("%q has %q, its Chinese %q", text, want, got)
					break
				}
			}
		}
	}
	seen := map[string]bool{}
	for _, d := range dictionaries {
		for text := range d {
			if !all[text] {
				t.Errorf("nobody says %q any more", text)
			}
			if seen[text] {
				t.Errorf("two dictionaries have %q", text)
			}
			seen[text] = true
		}
	}
	if len(all) < 50 {
		t.Errorf("found %d messages only", len(all))
	}
}

func TestLanguages(t *testing.T) {
	for s, want := range map[string]language{"en": english, "zh": chinese, "zh-CN": chinese, "zh_TW.UTF-8": chinese, "ZH": chinese, "en_GB": english} {
		if got, ok := parseLanguage(s); !ok || got != want {
			t.Errorf("%q is %q, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "C", "POSIX", "de_DE.UTF-8", "_", "zhx"} {
		if l, ok := parseLanguage(s); ok || l != english {
			t.Errorf("%q is %q, %v", s, l, ok)
		}
	}
}
