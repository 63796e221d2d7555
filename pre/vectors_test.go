package pre

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the vectors anew")

const vectorDir = "testdata/vectors"

// vector is one case of testdata/vectors, SPEC.md section 13.
type vector struct {
	name      string // of the file
	Comment   string `json:"comment"`
	Kind      string `json:"kind"`
	Operation string `json:"operation"`
	Input     object `json:"input"`
	Output    object `json:"output,omitempty"` // of a failure: whom it names
}

func (v *vector) encode(t testing.TB) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	return append(b, '\n')
}

// loadVectors reads every vector there is. That there are none is a failure.
func loadVectors(t testing.TB) []*vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.json"))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no vectors in %s", vectorDir)
	}
	var list []*vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		v := &vector{name: strings.TrimSuffix(filepath.Base(f), ".json")}
		if err := d.Decode(v); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		list = append(list, v)
	}
	return list
}

// TestVectors runs every vector and compares verdict and output.
func TestVectors(t *testing.T) {
	kinds, seen := map[string]bool{}, map[string]bool{}
	for _, v := range loadVectors(t) {
		kinds[v.Kind], seen[v.Operation] = true, true
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			run, ok := operations[v.Operation]
			if !ok {
				t.Fatalf("unknown operation %q", v.Operation)
			}
			out, err := run(v.Input)
			if kind := kindOf(err); kind != v.Kind {
				t.Fatalf("%s: got %q, want %q", v.Comment, kind, v.Kind)
			}
			if out = plain(out); len(out)+len(v.Output) > 0 && !reflect.DeepEqual(out, v.Output) {
				t.Fatalf("%s:\n got %v\nwant %v", v.Comment, out, v.Output)
			}
		})
	}
	for operation := range operations {
		if !seen[operation] {
			t.Errorf("no vector for operation %s", operation)
		}
	}
	for _, kind := range strings.Fields("valid name length trailing limit encoding subgroup identity range zero field " +
		"decrypt proof not-covered shares blame dealer author exposed") {
		if !kinds[kind] {
			t.Errorf("no vector of kind %s", kind)
		}
	}
}

// TestVectorsAreReproducible makes the vectors anew, from the same fixed
// randomness, and compares them with the files; with -update it writes them.
// Files it does not make stay: old vectors are never deleted.
func TestVectorsAreReproducible(t *testing.T) {
	if testing.Short() && !*update {
		t.Skip("makes every vector anew; TestVectors checks the files")
	}
	if *update {
		must(t, os.MkdirAll(vectorDir, 0o755))
	}
	names := map[string]bool{}
	for _, v := range makeVectors(t) {
		if names[v.name] {
			t.Errorf("two vectors are called %s", v.name)
		}
		names[v.name] = true
		file, want := filepath.Join(vectorDir, v.name+".json"), v.encode(t)
		if *update {
			must(t, os.WriteFile(file, want, 0o644))
			continue
		}
		got, err := os.ReadFile(file)
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its generator makes", file)
		}
	}
}
