package abe

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the vectors anew")

const vectorDir = "testdata/vectors"

// vector is one case of testdata/vectors, SPEC.md section 10. An input "@x" is
// the field "bytes" of vector x.
type vector struct {
	name      string
	Comment   string            `json:"comment"`
	Kind      string            `json:"kind"`
	Operation string            `json:"operation"`
	Input     map[string]string `json:"input"`
	Output    map[string]string `json:"output,omitempty"`
}

func loadVectors(t testing.TB) map[string]*vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.json"))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no vectors in %s", vectorDir)
	}
	m := map[string]*vector{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		v := &vector{name: strings.TrimSuffix(filepath.Base(f), ".json")}
		if err := d.Decode(v); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		m[v.name] = v
	}
	return m
}

// input resolves references and hexadecimal.
type input struct {
	t       testing.TB
	vectors map[string]*vector
	fields  map[string]string
}

func (in input) hex(field string) []byte {
	in.t.Helper()
	text, ok := in.fields[field]
	if name, isRef := strings.CutPrefix(text, "@"); isRef && in.vectors[name] != nil {
		text = in.vectors[name].Input["bytes"]
	}
	b, err := hex.DecodeString(text)
	if !ok || err != nil {
		in.t.Fatalf("field %s: %v", field, err)
	}
	return b
}

// kindOf names an error as SPEC.md does.
func kindOf(err error) string {
	var f *FormatError
	var s *SyntaxError
	var e *EpochError
	switch {
	case err == nil:
		return "valid"
	case errors.As(err, &f):
		return f.Reason
	case errors.As(err, &s):
		return "syntax"
	case errors.As(err, &e):
		return "epoch"
	case errors.Is(err, ErrNotSatisfied):
		return "not-satisfied"
	case errors.Is(err, ErrOtherAuthority):
		return "other-authority"
	case errors.Is(err, ErrDecrypt):
		return "decrypt"
	}
	return err.Error()
}

type output = map[string]string

var operations = map[string]func(in input) (output, error){
	"parse-policy": func(in input) (output, error) {
		p, err := ParsePolicy(in.fields["text"])
		if err != nil {
			return nil, err
		}
		return output{"canonical": p.String()}, nil
	},
	"parse-catalogue": func(in input) (output, error) {
		c, err := ParseCatalogue(in.fields["text"])
		if err != nil {
			return nil, err
		}
		return output{"canonical": c.String()}, nil
	},
	"parse-attributes": func(in input) (output, error) {
		a, err := ParseAttributes(in.fields["text"])
		if err != nil {
			return nil, err
		}
		return output{"canonical": a.String()}, nil
	},
	"evaluate": func(in input) (output, error) {
		p, err := ParsePolicy(in.fields["policy"])
		must(in.t, err)
		a, err := ParseAttributes(in.fields["attributes"])
		must(in.t, err)
		if !p.Evaluate(a) {
			return nil, ErrNotSatisfied
		}
		return nil, nil
	},
	"compile": func(in input) (output, error) {
		a, err := ParseAuthority(in.hex("authority"))
		must(in.t, err)
		p, err := ParsePolicy(in.fields["policy"])
		must(in.t, err)
		r, err := NewRecipient(p, a)
		if err != nil {
			return nil, err
		}
		return output{"tkn20": r.seals[0].condition.text, "description": hex.EncodeToString(r.Description())}, nil
	},
	"labels": func(in input) (output, error) {
		a, err := ParseAuthority(in.hex("authority"))
		must(in.t, err)
		held, err := ParseAttributes(in.fields["attributes"])
		must(in.t, err)
		if err := a.catalogue.Check(held); err != nil {
			return nil, err
		}
		var lines []string
		labels := a.labels(held)
		for _, l := range slices.Sorted(maps.Keys(labels)) {
			lines = append(lines, l+":"+labels[l])
		}
		return output{"labels": strings.Join(lines, " ")}, nil
	},
	"parse-authority": func(in input) (output, error) {
		a, err := ParseAuthority(in.hex("bytes"))
		if err != nil {
			return nil, err
		}
		return output{"id": hex.EncodeToString(a.id[:])}, same(in, a.Bytes())
	},
	"parse-master-key": func(in input) (output, error) {
		k, err := ParseMasterKey(in.hex("bytes"))
		if err != nil {
			return nil, err
		}
		return nil, same(in, k.Bytes())
	},
	"parse-attribute-key": func(in input) (output, error) {
		k, err := ParseKey(in.hex("bytes"))
		if err != nil {
			return nil, err
		}
		return nil, same(in, k.Bytes())
	},
	"check-attribute-key": func(in input) (output, error) {
		k, err := ParseKey(in.hex("key"))
		must(in.t, err)
		return nil, k.Check()
	},
	"parse-description": func(in input) (output, error) {
		a, err := ParseAudience(in.hex("bytes"))
		if err != nil {
			return nil, err
		}
		return nil, same(in, a.Bytes())
	},
	"open": func(in input) (output, error) {
		k, err := ParseKey(in.hex("key"))
		must(in.t, err)
		half, err := k.OpenHalf(in.hex("description"), in.hex("sealed"), [32]byte(in.hex("context")))
		if err != nil {
			return nil, err
		}
		return output{"half": hex.EncodeToString(half)}, nil
	},
}

func same(in input, b []byte) error {
	if !bytes.Equal(b, in.hex("bytes")) {
		return errors.New("encodes to something else")
	}
	return nil
}

// TestVectors runs every vector and compares verdict and output.
func TestVectors(t *testing.T) {
	vectors := loadVectors(t)
	kinds, seen := map[string]bool{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(vectors)) {
		v := vectors[name]
		kinds[v.Kind], seen[v.Operation] = true, true
		t.Run(name, func(t *testing.T) {
			run, ok := operations[v.Operation]
			if !ok {
				t.Fatalf("unknown operation %q", v.Operation)
			}
			out, err := run(input{t, vectors, v.Input})
			if kind := kindOf(err); kind != v.Kind {
				t.Fatalf("%s: got %q, want %q", v.Comment, kind, v.Kind)
			}
			if len(out)+len(v.Output) > 0 && !reflect.DeepEqual(out, v.Output) {
				t.Fatalf("%s:\n got %v\nwant %v", v.Comment, out, v.Output)
			}
		})
	}
	for operation := range operations {
		if !seen[operation] {
			t.Errorf("no vector for operation %s", operation)
		}
	}
	for _, kind := range strings.Fields("valid name length trailing limit encoding identity canonical pair field syntax epoch not-satisfied other-authority decrypt") {
		if !kinds[kind] {
			t.Errorf("no vector of kind %s", kind)
		}
	}
}

// TestVectorsAreReproducible makes the vectors anew from fixed randomness; with
// -update it writes them. Files it does not make stay: old vectors are never
// deleted, and old ciphertexts must open for ever.
func TestVectorsAreReproducible(t *testing.T) {
	if testing.Short() && !*update {
		t.Skip("makes every vector anew; TestVectors checks the files")
	}
	must(t, os.MkdirAll(vectorDir, 0o755))
	names := map[string]bool{}
	for _, v := range makeVectors(t) {
		if names[v.name] {
			t.Errorf("two vectors are called %s", v.name)
		}
		names[v.name] = true
		want, err := json.MarshalIndent(v, "", "  ")
		must(t, err)
		want = append(want, '\n')
		file := filepath.Join(vectorDir, v.name+".json")
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
