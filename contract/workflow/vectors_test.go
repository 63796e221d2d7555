package workflow_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
)

// update writes vectors.json anew. The reason for new vectors goes into the
// commit and into SPEC.md.
var update = flag.Bool("update", false, "write testdata/vectors.json")

// A vector is one transaction and what it does.
type vector struct {
	Time     int64         `json:"time"`
	By       identity.Name `json:"by"`
	Method   string        `json:"method"`
	Args     string        `json:"args"`
	Code     chain.Code    `json:"code"`
	Instance string        `json:"instance"`
	Step     string        `json:"step"`
}

type vectors struct {
	Hash         string            `json:"hash"` // of the definition
	People       []workflow.Person `json:"people"`
	Transactions []vector          `json:"transactions"`
}

var cast = []workflow.Person{
	{Name: patient}, {Name: physician, Attributes: role("physician")}, {Name: pharmacist, Attributes: role("pharmacist")},
	{Name: pharmacy, Attributes: role("pharmacy")}, {Name: rival, Attributes: role("pharmacy")},
}

func role(value string) []workflow.Attribute {
	return []workflow.Attribute{{Name: "role", Value: value}}
}

// play runs transactions that arguments describe.
func play(t *testing.T, r *workflow.Rehearsal, v *vector) {
	t.Helper()
	raw, err := hex.DecodeString(v.Args)
	if err != nil {
		t.Fatal(err)
	}
	parse := func(a any) {
		if err := chain.Unmarshal(raw, a); err != nil {
			t.Fatal(err)
		}
	}
	var id workflow.ID
	switch v.Method {
	case workflow.MethodStart:
		var a workflow.StartArgs
		parse(&a)
		id, err = r.Start(v.By, a.Owner, a.Transition, a.Fields, a.Documents...)
		if err == nil && id != a.ID {
			t.Fatalf("started %s, the vector has %s", id, a.ID)
		}
	case workflow.MethodStep:
		var a workflow.StepArgs
		parse(&a)
		id, err = a.ID, r.Step(v.By, a.ID, a.Transition, a.Fields, a.Documents...)
	case workflow.MethodTick:
		var a workflow.TickArgs
		parse(&a)
		id, err = a.ID, r.Tick(a.ID)
	}
	v.Code, v.Instance, v.Step = "", "", ""
	if errors.As(err, &v.Code); r.Instance(id) == nil {
		return
	}
	steps := r.Steps(id)
	v.Instance, v.Step = encoded(t, r.Instance(id)), encoded(t, &steps[len(steps)-1])
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := chain.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// script is what the vectors are made of.
func script(t *testing.T) (out []vector) {
	const one, two workflow.ID = "w-aaaaaaaaaaaaaaaaaaaaaaaaae", "w-aaaaaaaaaaaaaaaaaaaaaaaabe"
	at := int64(1_760_000_000_000)
	do := func(by identity.Name, method string, args any) {
		out = append(out, vector{Time: at, By: by, Method: method, Args: encoded(t, args)})
	}
	doc := workflow.Document{Name: "prescription", Record: "r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}
	shown := workflow.Document{Name: "prescription", Grant: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa"}
	issue := func(id workflow.ID) {
		f := fields{"quantity": workflow.Int(20_000), "repeats": workflow.Int(0), "schedule": workflow.Text("narcotic"), "days": workflow.Int(3), "substitution": workflow.Text("allowed")}
		do(physician, workflow.MethodStart, workflow.StartArgs{ID: id, Definition: "prescription", Version: 1, Owner: patient, Transition: "issue", Fields: f.list(), Documents: []workflow.Document{doc}})
	}
	step := func(by identity.Name, id workflow.ID, after uint32, name string, f fields, docs ...workflow.Document) {
		at += 60_000
		do(by, workflow.MethodStep, workflow.StepArgs{ID: id, After: after, Transition: name, Fields: f.list(), Documents: docs})
	}
	issue(one)
	step(pharmacist, one, 1, "review", nil, shown)
	step(physician, one, 2, "approve", nil)
	step(pharmacist, one, 2, "approve", nil)
	step(patient, one, 3, "offer", fields{"pharmacy": workflow.Text(string(pharmacy))}, shown)
	step(rival, one, 4, "claim", nil)
	step(pharmacy, one, 4, "claim", nil)
	step(pharmacy, one, 5, "dispense-part", fields{"quantity": workflow.Int(5_500), "substituted": workflow.Text("generic"), "packs": workflow.Text("81000001", "81000002")})
	step(pharmacy, one, 6, "dispense", fields{"substituted": workflow.Text("no")})
	step(pharmacy, one, 7, "dispense", fields{"substituted": workflow.Text("no")})
	step(patient, one, 7, "receive", nil)
	issue(two)
	step(pharmacist, two, 1, "review", nil, shown)
	at += (48 * time.Hour).Milliseconds()
	do(patient, workflow.MethodTick, workflow.TickArgs{ID: two})
	step(pharmacist, two, 3, "review", nil, shown)
	step(pharmacist, two, 4, "approve", nil)
	step(patient, two, 5, "offer", nil)
	step(rival, two, 6, "claim", nil)
	step(rival, two, 7, "dispense", fields{"substituted": workflow.Text("no")})
	at += (24 * time.Hour).Milliseconds()
	do(rival, workflow.MethodStep, workflow.StepArgs{ID: two, After: 7, Transition: "decline", Fields: fields{"reason": workflow.Text("stock")}.list()})
	do(patient, workflow.MethodTick, workflow.TickArgs{ID: two})
	return out
}

func TestVectors(t *testing.T) {
	def, err := workflow.Compile(library.Prescription())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "vectors.json")
	var v vectors
	if *update {
		v = vectors{Hash: chain.Hash(def.Hash()).String(), People: cast, Transactions: script(t)}
	} else {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
	}
	if got := chain.Hash(def.Hash()).String(); got != v.Hash {
		t.Fatalf("hash is %s, want %s", got, v.Hash)
	}
	if len(v.Transactions) < 20 {
		t.Fatalf("%d transactions", len(v.Transactions))
	}
	r := def.Rehearse(v.People, time.UnixMilli(v.Transactions[0].Time))
	for n, want := range v.Transactions {
		r.Wait(time.UnixMilli(want.Time).Sub(r.Now()))
		got := want
		play(t, r, &got)
		if *update {
			v.Transactions[n] = got
		} else if got != want {
			t.Errorf("transaction %d:\n%+v, want\n%+v", n, got, want)
		}
	}
	if *update {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Files that end in .bad.yaml have one mistake, and say where.
func TestDefinitionsOnFile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "definitions", "*.yaml"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = workflow.Compile(b)
		if !strings.HasSuffix(file, ".bad.yaml") {
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			continue
		}
		var line, column int
		if _, e := fmt.Sscanf(string(b), "# line %d, column %d\n", &line, &column); e != nil {
			t.Fatalf("%s: %v", file, e)
		}
		if list := mistakes(err); len(list) != 1 || list[0].Line != line || list[0].Column != column {
			t.Errorf("%s: %v, want line %d, column %d", file, err, line, column)
		}
	}
}
