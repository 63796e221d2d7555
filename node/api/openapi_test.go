package api_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/protocol"
)

var parameter = regexp.MustCompile(`\{([a-z]+)\}`)

// TestOpenAPIDocument checks what a document of OpenAPI 3.1 must have and no
// schema of ours would catch.
func TestOpenAPIDocument(t *testing.T) {
	h := open(t, api.Options{})
	doc := document(t, h)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("openapi %q, title %q, version %q", doc.OpenAPI, doc.Info.Title, doc.Info.Version)
	}
	ids := make(map[string]string)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			where := method + " " + path
			if op.OperationID == "" || ids[op.OperationID] != "" {
				t.Errorf("%s: operation id %q, which %q has too", where, op.OperationID, ids[op.OperationID])
			}
			ids[op.OperationID] = where
			if op.Summary == "" {
				t.Errorf("%s has no summary", where)
			}
			var declared []string
			for _, p := range op.Parameters {
				if p.In == "path" {
					declared = append(declared, p.Name)
					if !p.Required {
						t.Errorf("%s: path parameter %s is not required", where, p.Name)
					}
				}
			}
			var inPath []string
			for _, m := range parameter.FindAllStringSubmatch(path, -1) {
				inPath = append(inPath, m[1])
			}
			slices.Sort(declared)
			slices.Sort(inPath)
			if !slices.Equal(declared, inPath) {
				t.Errorf("%s declares %q", where, declared)
			}
			if (method == "post") != (op.RequestBody != nil && len(op.RequestBody.Content) > 0) {
				t.Errorf("%s: request body %v", where, op.RequestBody)
			}
			if len(op.Responses) < 2 || op.Responses["default"].Content[protocol.TypeProblem] == nil {
				t.Errorf("%s does not say how it fails", where)
			}
			for status, r := range op.Responses {
				if n, err := strconv.Atoi(status); status != "default" && (err != nil || n < 200 || n > 599) || r.Description == "" {
					t.Errorf("%s: response %q %q", where, status, r.Description)
				}
			}
			for _, s := range op.Security {
				for name := range s {
					if doc.Components.SecuritySchemes[name] == nil {
						t.Errorf("%s: no security scheme %q", where, name)
					}
				}
			}
			if op.Security == nil && !slices.Contains(op.Tags, "public") {
				t.Errorf("%s is tagged %q and asks for nothing", where, op.Tags)
			}
		}
	}
	a := h.send(t, h.raw(t, nil), http.MethodGet, protocol.PathOpenAPI, "", "", nil)
	for _, m := range regexp.MustCompile(`"\$ref": *"([^"]*)"`).FindAllStringSubmatch(string(a.body), -1) {
		name, ok := strings.CutPrefix(m[1], "#/components/schemas/")
		if !ok || doc.Components.Schemas[name] == nil {
			t.Errorf("$ref %q leads nowhere", m[1])
		}
	}
	if strings.Contains(string(a.body), "ErrorModel") {
		t.Error("the document speaks of errors that the node does not send")
	}
}

// TestEveryPathIsInTheDocument takes the paths from the source of package
// protocol: a route that is served besides the document would have one.
func TestEveryPathIsInTheDocument(t *testing.T) {
	doc := document(t, open(t, api.Options{}))
	file, err := parser.ParseFile(token.NewFileSet(), "../protocol/protocol.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	paths := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(s.Names[0].Name, "Path") {
			value, err := strconv.Unquote(s.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			paths[s.Names[0].Name] = value
		}
		return true
	})
	want := make(map[string]bool)
	for name, path := range paths {
		switch name {
		case "PathBlob", "PathBlobInfo", "PathBlobTree":
			want[protocol.PathBlobs+path], want[protocol.PathLocalBlobs+path] = true, true
		case "PathTiles":
			want[path+"{level}/{tile}"] = true
		default:
			want[path] = true
		}
	}
	if len(want) < 20 {
		t.Fatalf("only %d paths found", len(want))
	}
	for path := range want {
		if doc.Paths[path] == nil {
			t.Errorf("%s is not in the document", path)
		}
	}
	for path := range doc.Paths {
		if !want[path] {
			t.Errorf("%s has no name in package protocol", path)
		}
	}
}

// TestReferenceListsEveryOperation keeps docs/reference/http-api.md and the
// document together.
func TestReferenceListsEveryOperation(t *testing.T) {
	doc := document(t, open(t, api.Options{}))
	text, err := os.ReadFile("../../docs/reference/http-api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok1 := strings.Cut(string(text), "<!-- generated: operations -->\n")
	got, _, ok2 := strings.Cut(after, "<!-- end -->")
	var lines []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			lines = append(lines, "| `"+strings.ToUpper(method)+" "+path+"` | "+op.Tags[0]+" | "+op.Summary+" |\n")
		}
	}
	slices.SortFunc(lines, func(a, b string) int {
		_, pa, _ := strings.Cut(a, " /")
		_, pb, _ := strings.Cut(b, " /")
		return strings.Compare(pa+a, pb+b)
	})
	want := "| operation | who | what |\n|---|---|---|\n" + strings.Join(lines, "")
	if !ok1 || !ok2 || got != want {
		t.Errorf("docs/reference/http-api.md is not up to date. The part between the marks is:\n%s", want)
	}
}

func TestReferenceListsEveryCode(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/http-api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range protocol.Codes() {
		p := protocol.NewProblem(k)
		if line := "| `" + p.Code + "` | " + strconv.Itoa(p.Status) + " | " + p.Detail + " |\n"; !strings.Contains(string(text), line) {
			t.Errorf("docs/reference/http-api.md lacks\n%s", line)
		}
	}
}

func TestDocumentDoesNotChange(t *testing.T) {
	h := open(t, api.Options{})
	c := h.raw(t, nil)
	a := h.send(t, c, http.MethodGet, protocol.PathOpenAPI, "", "", nil)
	b := h.send(t, c, http.MethodGet, protocol.PathOpenAPI, "", "", nil)
	if string(a.body) != string(b.body) || !json.Valid(a.body) {
		t.Fatal("two answers differ")
	}
}
