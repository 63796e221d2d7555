package pairing

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

func TestTags(t *testing.T) {
	tags := Tags()
	for i, a := range tags {
		if len(a) < 1 || len(a) > 255 {
			t.Errorf("tag %q has %d bytes", a, len(a))
		}
		if a != DSTSignature && !strings.HasPrefix(string(a), "WARD-V1-") {
			t.Errorf("tag %q is not ours", a)
		}
		for j, b := range tags {
			if i != j && strings.HasPrefix(string(b), string(a)) {
				t.Errorf("tag %q is a prefix of %q", a, b)
			}
		}
	}
}

// TestTagsListsEveryConstant reads the source, so that no tag escapes TestTags.
func TestTagsListsEveryConstant(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "dst.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared, listed []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			declared = append(declared, n.Names[0].Name)
		case *ast.CompositeLit:
			for _, e := range n.Elts {
				if id, ok := e.(*ast.Ident); ok {
					listed = append(listed, id.Name)
				}
			}
		}
		return true
	})
	slices.Sort(declared)
	slices.Sort(listed)
	if len(declared) < 20 || !slices.Equal(declared, listed) {
		t.Errorf("declared tags %v\nlisted tags   %v", declared, listed)
	}
}
