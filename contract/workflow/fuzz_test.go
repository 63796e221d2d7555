package workflow_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
)

// definitions are seeds for fuzzers.
func definitions(f *testing.F) (out [][]byte) {
	files, err := filepath.Glob(filepath.Join("testdata", "definitions", "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, b)
	}
	return append(out, library.Prescription(), []byte(cyclic), with("fields.n / fields.n == 1"), small("x", 1, "title: {en: \"<&>\", zh: 字}"))
}

// FuzzCompile: whatever the bytes, there is a definition or mistakes in lines that
// are there; and its pictures are well-formed, whatever titles say.
func FuzzCompile(f *testing.F) {
	for _, d := range definitions(f) {
		f.Add(d)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		def, err := workflow.Compile(data)
		if err != nil {
			list := mistakes(err)
			if len(list) == 0 || def != nil {
				t.Fatalf("%v, %v", def, err)
			}
			for _, m := range list {
				if m.Line < 1 || m.Column < 1 || m.Line > strings.Count(string(data), "\n")+2 {
					t.Errorf("%v of %d lines", m, strings.Count(string(data), "\n")+1)
				}
			}
			return
		}
		for _, language := range []string{"en", "zh"} {
			d := xml.NewDecoder(strings.NewReader(string(def.SVG(language))))
			for {
				if _, err := d.Token(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("picture: %v", err)
				}
			}
			if n := strings.Count(def.Mermaid(language), "\n"); n < 2+len(def.States)+len(def.Transitions) {
				t.Errorf("a diagram of %d lines", n)
			}
		}
	})
}

// FuzzSteps takes steps through any definition in an order that bytes choose. Two
// rehearsals, of which one compiles anew, come to the same; refusals are codes of
// the contract and leave nothing; and what there is keeps within its limits.
func FuzzSteps(f *testing.F) {
	for _, d := range definitions(f) {
		f.Add(d, []byte{0, 0, 1, 2, 1, 1, 3, 0, 2, 4, 1, 5, 0, 6, 2, 7, 3, 9, 250, 1, 1, 2, 3, 0})
	}
	f.Fuzz(func(t *testing.T, data, order []byte) {
		one, err := workflow.Compile(data)
		if err != nil {
			return
		}
		two, err := workflow.Compile(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(order) > 150 {
			order = order[:150]
		}
		now := time.UnixMilli(1_700_000_000_000)
		first, second := walk(t, one, one.Rehearse(cast, now), order), walk(t, two, two.Rehearse(cast, now), order)
		if first != second {
			t.Fatalf("%s\n%s", first, second)
		}
	})
}

// walk steps through a definition and returns what came of it.
func walk(t *testing.T, def *workflow.Definition, r *workflow.Rehearsal, order []byte) string {
	var ids []workflow.ID
	var out strings.Builder
	for n := 0; n+2 < len(order); n += 3 {
		by, pick, what := cast[int(order[n])%len(cast)].Name, int(order[n+1]), int(order[n+2])
		if order[n] > 200 {
			r.Wait(time.Duration(what+1) * time.Hour)
		}
		var id workflow.ID
		var err error
		if len(ids) == 0 || pick > 240 {
			list := def.From(workflow.Start)
			tr := list[what%len(list)]
			if id, err = r.Start(by, patient, tr.Name, filled(def, tr, what)); err == nil {
				ids = append(ids, id)
			}
		} else {
			id = ids[pick%len(ids)]
			before := encoded(t, r.Instance(id))
			list := r.Open(by, id)
			if len(list) == 0 {
				err = r.Tick(id)
			} else {
				tr := list[what%len(list)]
				err = r.Step(by, id, tr.Name, filled(def, tr, what))
			}
			if err != nil && encoded(t, r.Instance(id)) != before {
				t.Fatalf("%v left something", err)
			}
		}
		var c chain.Code
		if err != nil && (!errors.As(err, &c) || !strings.HasPrefix(string(c), "workflow/") || !chain.ValidName(string(c))) {
			t.Fatal(err)
		}
		out.WriteString(string(c) + "\n")
		i := r.Instance(id)
		if i == nil {
			continue
		}
		b, err := chain.Marshal(i)
		if err != nil || len(b) > 64<<10 || def.State(i.State) == nil || len(r.Steps(id)) != int(i.Steps) {
			t.Fatalf("%d bytes in %q: %v", len(b), i.State, err)
		}
		out.Write(b)
	}
	return out.String()
}

// filled returns what a transition asks for, good or bad.
func filled(def *workflow.Definition, tr *workflow.Transition, what int) []workflow.Field {
	var out []workflow.Field
	for n, e := range tr.Fields {
		if e.Optional && (what>>n)&1 == 0 {
			continue
		}
		f := def.Field(e.Field)
		v := workflow.Int(f.Min + int64(what))
		switch f.Type {
		case workflow.TypeBool:
			v = workflow.Int(int64(what & 1))
		case workflow.TypeCode:
			v = workflow.Text("c")
			if len(f.Values) > 0 {
				v = workflow.Text(f.Values[what%len(f.Values)])
			}
		case workflow.TypeIdentity:
			v = workflow.Text(string(cast[what%len(cast)].Name))
		}
		out = append(out, workflow.Field{Name: e.Field, Value: v})
	}
	return out
}

// FuzzArguments: whatever is sent, the answer is a code of the contract or none.
func FuzzArguments(f *testing.F) {
	w := prescribing(f)
	id, _ := w.issue(physician, patient, nil)
	methods := []string{workflow.MethodDefine, workflow.MethodEndorse, workflow.MethodWithdraw, workflow.MethodStart, workflow.MethodStep, workflow.MethodTick}
	for n, a := range []any{
		workflow.DefineArgs{YAML: small("x", 1, "")}, workflow.VersionArgs{Definition: "x", Version: 1}, workflow.VersionArgs{},
		workflow.StartArgs{ID: id, Definition: "prescription", Version: 1, Owner: patient, Transition: "issue"},
		workflow.StepArgs{ID: id, After: 1, Transition: "cancel", Fields: fields{"reason": workflow.Text("other")}.list()}, workflow.TickArgs{ID: id},
	} {
		b, err := chain.Marshal(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(n), uint8(n), b)
	}
	signers := []string{"north", string(physician), string(patient), "nobody"}
	f.Fuzz(func(t *testing.T, method, signer uint8, args []byte) {
		if len(args) > 40_000 {
			return
		}
		body := chain.TxBody{Chain: w.c.Founding.Chain, Contract: workflow.Contract, Method: methods[int(method)%len(methods)], Args: args, NotAfter: w.now() + 60_000}
		tx, err := chain.SignTx(body, ledgertest.Key(signers[int(signer)%len(signers)]))
		if err != nil {
			t.Fatal(err)
		}
		h := w.c.Head.Header
		entry, err := chain.SignEntry(h.Chain, h.Height, h.Hash(), w.now(), []*chain.Tx{tx}, nil, ledgertest.Key("north"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.c.Executor.Apply(w.c.Head, &w.c.State, entry)
		if err != nil {
			t.Fatal(err)
		}
		code := out.Block.Results[0].Code
		if code != "" && !strings.HasPrefix(string(code), "workflow/") {
			t.Errorf("%s: %q", methods[int(method)%len(methods)], code)
		}
	})
}

// FuzzValue: what people write is what is shown to them again.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "12.340", "true", "2026-11-30", "2026-11-30T10:00:00Z", "a,b", "p@north", "9007199254740991", "--1", "1e3", "٣"} {
		for n := range 7 {
			f.Add(uint8(n), s)
		}
	}
	types := []workflow.Type{workflow.TypeInt, workflow.TypeDecimal, workflow.TypeBool, workflow.TypeCode, workflow.TypeTime, workflow.TypeDate, workflow.TypeIdentity}
	f.Fuzz(func(t *testing.T, kind uint8, s string) {
		rule := workflow.FieldRule{Type: types[int(kind)%len(types)], Many: kind > 127, Min: -(1 << 53), Max: 1 << 53, Scale: 3}
		if rule.Type != workflow.TypeDecimal {
			rule.Scale = 0
		}
		v, ok := rule.Parse(s)
		if !ok {
			return
		}
		back, ok := rule.Parse(rule.Format(v))
		if !ok || encodedValue(back) != encodedValue(v) {
			t.Errorf("%q became %v, shown as %q", s, v, rule.Format(v))
		}
	})
}

func encodedValue(v workflow.Value) string {
	b, err := chain.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// FuzzID: an id has one spelling.
func FuzzID(f *testing.F) {
	f.Add("w-aaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Add("w-aaaaaaaaaaaaaaaaaaaaaaaaab")
	f.Add("r-aaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := workflow.ParseID(s); err == nil && string(id) != s || err != nil && err != workflow.ErrMalformed {
			t.Errorf("%q: %q, %v", s, id, err)
		}
	})
}

// Definitions have times in them, and members agree on what is a definition.
func TestTimesAreOfRFC3339(t *testing.T) {
	rule := workflow.FieldRule{Type: workflow.TypeTime, Max: 253402300799999}
	for s, want := range map[string]int64{
		"2026-11-30T10:00:00Z": 1796032800000, "2026-11-30T10:00:00.1239+08:00": 1796004000123,
		"2026-11-30T10:00:00,5Z": -1, "2026-11-30T1:00:00Z": -1, "2026-11-30T10:00:00+24:00": -1, "2026-11-30T10:00:00+08:60": -1,
		"2026-11-30 10:00:00Z": -1, "2026-11-30T10:00:00": -1, "2026-11-31T10:00:00Z": -1, "1969-12-31T23:59:59Z": -1, "2026-11-30T10:00:00z": -1,
	} {
		if v, ok := rule.Parse(s); ok != (want >= 0) || ok && v.Ints[0] != want {
			t.Errorf("%s: %v, %v", s, v, ok)
		}
	}
}
