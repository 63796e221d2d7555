package spectest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	bls "github.com/cloudflare/circl/ecc/bls12381"
)

// object is the input or the output of a vector.
type object map[string]any

func (o object) text(k string) string   { s, _ := o[k].(string); return s }
func (o object) number(k string) uint32 { n, _ := o[k].(float64); return uint32(n) }
func (o object) hex(k string) []byte    { b, _ := hex.DecodeString(o.text(k)); return b }
func (o object) object(k string) object { m, _ := o[k].(map[string]any); return m }

func (o object) list(k string) []any { l, _ := o[k].([]any); return l }

func (o object) hexes(k string) (list [][]byte) {
	for _, v := range o.list(k) {
		s, _ := v.(string)
		b, _ := hex.DecodeString(s)
		list = append(list, b)
	}
	return list
}

func hx(b []byte) string { return hex.EncodeToString(b) }

func hxList(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = hx(b)
	}
	return out
}

func hxPoints(list []*bls.G1) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = hx(p.BytesCompressed())
	}
	return out
}

func hxScalars(list []*bls.Scalar) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = hx(scalarBytes(s))
	}
	return out
}

// TestVectorsFollowFromTheSpecification gives every vector to the second
// implementation, and expects the same verdict and every byte of the output.
func TestVectorsFollowFromTheSpecification(t *testing.T) {
	files, err := filepath.Glob("../testdata/vectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			check(t, b)
		})
	}
}

func check(t *testing.T, b []byte) {
	var v struct {
		Comment, Kind, Operation string
		Input, Output            object
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	run, ok := operations[v.Operation]
	if !ok {
		t.Fatalf("unknown operation %q", v.Operation)
	}
	out, err := run(v.Input)
	kind := "valid"
	if r := refusal(""); errors.As(err, &r) {
		kind = string(r)
	} else if err != nil {
		t.Fatal(err)
	}
	if kind != v.Kind {
		t.Fatalf("%s: got %q, want %q", v.Comment, kind, v.Kind)
	}
	var got object
	if b, err = json.Marshal(out); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got)+len(v.Output) > 0 && !reflect.DeepEqual(got, v.Output) {
		for k := range v.Output {
			if !reflect.DeepEqual(got[k], v.Output[k]) {
				t.Errorf("%s: %s\n got %v\nwant %v", v.Comment, k, got[k], v.Output[k])
			}
		}
		t.Errorf("%s: the outputs differ; got %d fields, want %d", v.Comment, len(got), len(v.Output))
	}
}

// parsers are the operations that read one object and describe it.
func parser[T any](parse func([]byte) (T, error), describe func(T) object) func(object) (object, error) {
	return func(in object) (object, error) {
		v, err := parse(in.hex("bytes"))
		if err != nil {
			return nil, err
		}
		return describe(v), nil
	}
}

func describeSharing(s sharing) object {
	var public []*bls.G1
	for i := 1; i <= s.n; i++ {
		public = append(public, s.public(i))
	}
	return object{"generation": s.generation, "n": s.n, "t": s.t, "commitments": hxPoints(s.commitments), "public_shares": hxPoints(public)}
}

func describeIdentity(id identity) object {
	return object{"chain": id.chain, "name": id.name, "version": id.version, "epoch": id.epoch, "key": hx(id.key.BytesCompressed())}
}

// operations are what vectors exercise, by name.
var operations = map[string]func(object) (object, error){
	"parse-type": func(in object) (object, error) {
		if err := checkPath(in.text("type")); err != nil {
			return nil, err
		}
		return object{"levels": levels(in.text("type"))}, nil
	},
	"parse-public-key": parser(parseG1, func(*bls.G1) object { return object{} }),
	"parse-sharing":    parser(parseSharing, describeSharing),
	"parse-share": parser(parseShare, func(s share) object {
		return object{"generation": s.generation, "i": s.index, "w": hx(scalarBytes(s.value))}
	}),
	"parse-partial-key": parser(parsePartialKey, func(p partialKey) object {
		return object{"generation": p.generation, "i": p.index, "D": hx(p.point.BytesCompressed())}
	}),
	"parse-identity": parser(parseIdentity, describeIdentity),
	"parse-private-key": parser(parsePrivateKey, func(k privateKey) object {
		return object{"identity": hx(k.owner.describe()), "type": k.path, "D": hx(k.point.BytesCompressed())}
	}),
	"parse-custody-key": parser(parseCustodyKey, func(x *bls.Scalar) object { return object{"x": hx(scalarBytes(x))} }),
	"parse-envelope": parser(parseEnvelope, func(e envelope) object {
		return object{"U": hx(e.U.BytesCompressed()), "Ubar": hx(e.Ubar.BytesCompressed()), "R": hx(e.R.BytesCompressed()),
			"Rbar": hx(e.Rbar.BytesCompressed()), "z": hx(scalarBytes(e.z)), "levels": len(e.wraps), "index_hash": hx(e.indexHash)}
	}),
	"parse-grant": parser(parseGrant, func(g grant) object {
		return object{"owner": hx(g.owner.describe()), "type": g.path, "id": g.id, "description": hx(g.description),
			"conditions": hx(g.conditions), "sharing": describeSharing(g.sharing), "sealed": hx(g.sealed), "gctx": hx(g.context())}
	}),
	"parse-answer": parser(parseAnswer, func(a answer) object {
		return object{"generation": a.generation, "i": a.index, "R": hxPoints(a.points), "c": hx(scalarBytes(a.c)), "z": hx(scalarBytes(a.z))}
	}),
	"parse-transport-key": parser(parseTransportKey, describeTransportKey),
	"gt":                  runGT,
	"unpad":               runUnpad,
	"typed-identity":      runTypedIdentity,
	"check-share":         runCheckShare,
	"extract":             runExtract,
	"combine-key":         runCombineKey,
	"prove-custody":       runProveCustody,
	"check-custody":       runCheckCustody,
	"complete-key":        runCompleteKey,
	"encapsulate":         runEncapsulate,
	"verify-envelope":     runVerifyEnvelope,
	"verify-batch":        runVerifyBatch,
	"open-record":         runOpenRecord,
	"grant":               runGrant,
	"open-grant":          runOpenGrant,
	"answer":              runAnswer,
	"verify-answer":       runVerifyAnswer,
	"open-access":         runOpenAccess,
	"open-share":          runOpenShare,
	"open-partial-key":    runOpenPartialKey,
	"open-answer":         runOpenAnswer,
}
