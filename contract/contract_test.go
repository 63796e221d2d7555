package contract_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract"
	"github.com/ward-health/ward/contract/identity"
)

// The table in SPEC.md is the one that Authorize goes by.
func TestSpecHasTheTableOfWhoMayCallWhat(t *testing.T) {
	var want strings.Builder
	want.WriteString("| contract | method | signed by | and |\n|---|---|---|---|\n")
	for _, r := range identity.Rules() {
		fmt.Fprintf(&want, "| `%s` | `%s` | %s | %s |\n", r.Contract, r.Method, r.By, r.And)
	}
	if !strings.Contains(spec(t), "\n"+want.String()+"\n") {
		t.Errorf("SPEC.md should have:\n%s", want.String())
	}
}

// Every method that a contract declares has a line, and every line a method.
func TestTableCoversEveryMethod(t *testing.T) {
	table := map[string][]string{}
	for _, r := range identity.Rules() {
		table[r.Contract] = append(table[r.Contract], r.Method)
	}
	contracts := slices.Sorted(maps.Keys(contract.All()))
	if !slices.Equal(contracts, slices.Sorted(maps.Keys(table))) {
		t.Errorf("the table is about %v, the contracts are %v", slices.Sorted(maps.Keys(table)), contracts)
	}
	for _, name := range contracts {
		declared := constants(t, name, "Method")
		slices.Sort(declared)
		if !slices.Equal(declared, table[name]) {
			t.Errorf("%s declares %q, the table has %q", name, declared, table[name])
		}
	}
}

// A code that is not in the specification is one that no second implementation
// would return.
func TestSpecNamesEveryCodeAndEvent(t *testing.T) {
	text := spec(t)
	for _, name := range []string{"identity", "record"} {
		for _, code := range append(constants(t, name, "Err"), constants(t, name, "Event")...) {
			if !strings.HasPrefix(code, name+"/") || !strings.Contains(text, "`"+code+"`") {
				t.Errorf("SPEC.md of %s says nothing of %q", name, code)
			}
		}
	}
}

// Whatever the contracts are sent before anything is there, the answer is a code
// of their own.
func TestEmptyChainRefusesEveryCall(t *testing.T) {
	c := ledgertest.New(t, contract.All())
	for _, r := range identity.Rules() {
		for _, signer := range []string{"north", "nobody"} {
			for _, args := range [][]byte{{}, {0x80}, {0xf6}, {0xff}} {
				code := c.Run(c.Tx(signer, r.Contract, r.Method, args))[0].Code
				if code != "" && !strings.HasPrefix(string(code), r.Contract+"/") || code == "" {
					t.Errorf("%s/%s by %s with %x: %q", r.Contract, r.Method, signer, args, code)
				}
			}
		}
	}
}

func ExampleAll() {
	_, err := ledger.NewExecutor(contract.All())
	fmt.Println(slices.Sorted(maps.Keys(contract.All())), err)
	// Output: [consent identity keys record workflow] <nil>
}

func spec(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// constants returns the values of the string constants of a package whose names
// begin with a prefix, and there is at least one.
func constants(t *testing.T, pkg, prefix string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(v.Names[0].Name, prefix) || len(v.Values) != 1 {
				return true
			}
			if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, s)
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Fatalf("no constants %s… in %s", prefix, pkg)
	}
	return values
}
