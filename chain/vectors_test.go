package chain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

// A vector is one file of testdata/vectors. See SPEC.md, "Vectors".
type vector struct {
	format  string // as in formats, or "export"
	expect  string // "ok" or the kind of failure
	comment string
	data    []byte
}

func (v vector) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "format: %s\nexpect: %s\ncomment: %s\n\n", v.format, v.expect, v.comment)
	digits := hex.EncodeToString(v.data)
	for len(digits) > 0 {
		n := min(96, len(digits))
		fmt.Fprintln(&b, digits[:n])
		digits = digits[n:]
	}
	return b.Bytes()
}

func parseVector(text []byte) (v vector, err error) {
	head, body, ok := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) != 3 {
		return v, errors.New("malformed vector")
	}
	var found [3]bool
	v.format, found[0] = strings.CutPrefix(lines[0], "format: ")
	v.expect, found[1] = strings.CutPrefix(lines[1], "expect: ")
	v.comment, found[2] = strings.CutPrefix(lines[2], "comment: ")
	if found != [3]bool{true, true, true} {
		return v, errors.New("malformed vector")
	}
	v.data, err = hex.DecodeString(strings.ReplaceAll(body, "\n", ""))
	return v, err
}

// verdict runs everything that can be checked about a vector with nothing but
// the consortium file and names the kind of the first failure.
func verdict(v vector, k *chain.Consortium) string {
	if v.format == "export" {
		return kind(ledgertest.VerifyExport(v.data, k))
	}
	f, ok := formats()[v.format]
	if !ok {
		return "unknown format"
	}
	got, err := f.parse(v.data)
	if err != nil {
		return "malformed"
	}
	if again, err := got.Bytes(); err != nil || !bytes.Equal(again, v.data) {
		return "other encoding"
	}
	switch x := got.(type) {
	case rawTx:
		if !x.Verify() {
			return "signature"
		}
	case *chain.Entry:
		if proposer, _, err := x.VerifySignatures(); err != nil || !proposer {
			return "signature"
		}
	case *chain.Checkpoint:
		return kind(k.Verify(x))
	case *chain.Receipt:
		_, err := x.Verify(k)
		return kind(err)
	case *chain.Evidence:
		_, err := x.Verify(k)
		return kind(err)
	}
	return "ok"
}

func kind(err error) string {
	var signature *note.InvalidSignatureError
	var broken *chain.BrokenError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, audit.ErrTruncated):
		return "truncated"
	case errors.Is(err, chain.ErrUncertified):
		return "uncertified"
	case errors.As(err, &signature):
		return "signature"
	case errors.As(err, &broken):
		return fmt.Sprintf("broken at %d", broken.Height)
	}
	return "refused"
}

// vectors makes all vectors: the same bytes in every run.
func vectors(t *testing.T) map[string]vector {
	out := make(map[string]vector)
	for name, f := range formats() {
		format := name
		if name == "condensed" {
			format = "checkpoint"
		}
		out[name] = vector{format, "ok", "as the format is written", f.good(t)}
	}
	c, export := ledgertest.Exported(t)
	out["export"] = vector{"export", "ok", "three blocks, a sidecar, two checkpoints", export}
	big := ledgertest.NewLog(t, 70)
	out["receipt-condensed"] = vector{"receipt", "ok", "under a threshold signature", encoded(t, big.Receipt(33, big.Condensed()))}

	bad := func(name, format, expect, comment string, data []byte) {
		out["bad-"+name] = vector{format, expect, comment, data}
	}
	replaced := func(from, old, new string) []byte {
		data := out[from].data
		changed := bytes.Replace(data, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, data) {
			t.Fatalf("nothing to replace in %s", from)
		}
		return changed
	}
	flipped := func(from string, at int) []byte {
		data := bytes.Clone(out[from].data)
		data[(at+len(data))%len(data)] ^= 1
		return data
	}
	tx := out["tx"].data
	bad("tx-trailing-byte", "tx", "malformed", "one byte after the signature", append(bytes.Clone(tx), 0))
	bad("tx-long-integer", "tx", "malformed", "array length in two bytes", append([]byte{0x98, 9}, tx[1:]...))
	bad("tx-indefinite", "tx", "malformed", "array of indefinite length", append([]byte{0x9f}, tx[1:]...))
	bad("tx-name", "tx", "malformed", "another version", replaced("tx", "ward/v1/tx", "ward/v2/tx"))
	bad("tx-null-args", "tx", "malformed", "null for a byte string", replaced("tx", "\x42\x61x", "\xf6"))
	bad("tx-signature", "tx", "signature", "signature of other bytes", flipped("tx", -1))
	bad("tx-text", "tx", "signature", "argument changed after signing", replaced("tx", "\x42\x61x", "\x42\x61y"))
	bad("entry-signature", "entry", "signature", "proposal changed after signing", replaced("entry", "\x42\x61x", "\x42\x61y"))
	bad("entry-sidecars", "entry", "malformed", "fewer sidecars than transactions", replaced("entry", "\x82\x40\x46sealed", "\x81\x46sealed"))
	bad("header-genesis", "header", "malformed", "leaves at height 0", func() []byte { h := c.Genesis; h.Size = 1; return encoded(t, &h) }())
	bad("block-results", "block", "malformed", "fewer results than transactions", func() []byte {
		b := *big.Blocks[0]
		b.Results = b.Results[:3]
		return encoded(t, &b)
	}())
	bad("checkpoint-size", "checkpoint", "malformed", "size with a leading zero", replaced("checkpoint", "\n3\n", "\n03\n"))
	bad("checkpoint-extension", "checkpoint", "malformed", "an extension line more", replaced("checkpoint", "\n\n", "\nmore\n\n"))
	bad("checkpoint-two", "checkpoint", "uncertified", "two members of three", func() []byte {
		cp := *c.Checkpoint()
		cp.Signatures = cp.Signatures[:2]
		return encoded(t, &cp)
	}())
	bad("checkpoint-twice", "checkpoint", "uncertified", "one member three times", func() []byte {
		cp := *c.Checkpoint()
		cp.Signatures = []chain.Signature{cp.Signatures[0], cp.Signatures[0], cp.Signatures[0]}
		return encoded(t, &cp)
	}())
	bad("checkpoint-state", "checkpoint", "signature", "state hash changed after signing", func() []byte {
		cp := *c.Checkpoint()
		cp.State[0] ^= 1
		return encoded(t, &cp)
	}())
	bad("condensed-identity", "checkpoint", "signature", "the identity as threshold signature", func() []byte {
		cp := *c.Condensed()
		cp.Signatures = []chain.Signature{{Name: cp.Signatures[0].Name, KeyID: cp.Signatures[0].KeyID, Data: append([]byte{0xc0}, make([]byte, 95)...)}}
		return encoded(t, &cp)
	}())
	receipt := func(change func(*chain.Receipt)) []byte {
		r := big.Receipt(33, big.Checkpoint())
		change(r)
		return encoded(t, r)
	}
	bad("receipt-index", "receipt", "refused", "another leaf's index", receipt(func(r *chain.Receipt) { r.Index++ }))
	bad("receipt-proof", "receipt", "refused", "a hash too few", receipt(func(r *chain.Receipt) { r.Proof = r.Proof[1:] }))
	bad("receipt-result", "receipt", "refused", "another result", receipt(func(r *chain.Receipt) { r.Result.Value = []byte{1} }))
	bad("receipt-uncertified", "receipt", "uncertified", "two members of three", receipt(func(r *chain.Receipt) { r.Checkpoint.Signatures = r.Checkpoint.Signatures[:2] }))
	bad("evidence-same", "evidence", "refused", "the same head twice", func() []byte {
		e := equivocation(t, c, "east", "east")
		e.Second = e.First
		return encoded(t, e)
	}())
	bad("evidence-two", "evidence", "refused", "cosignatures of two members", encoded(t, equivocation(t, c, "east", "north")))
	bad("consortium-field", "consortium", "malformed", "an unknown field", replaced("consortium", "\"epoch\": 0,", "\"epoch\": 0, \"more\": 0,"))
	bad("consortium-threshold", "consortium", "malformed", "half of the members certify", replaced("consortium", "\"checkpoint_threshold\": 3", "\"checkpoint_threshold\": 2"))
	bad("export-truncated", "export", "truncated", "without the end frame", export[:len(export)-5])
	bad("export-dropped", "export", "broken at 2", "second block left out", func() []byte {
		c, _ := ledgertest.Exported(t)
		c.Blocks = slices.Delete(c.Blocks, 1, 2)
		return c.Export()
	}())
	return out
}

func TestVectors(t *testing.T) {
	dir := filepath.Join("testdata", "vectors")
	made := vectors(t)
	if *update {
		for name, v := range made {
			if err := os.WriteFile(filepath.Join(dir, name+".txt"), v.text(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) < len(made) {
		t.Fatalf("%d vectors in %s, want at least %d: %v", len(files), dir, len(made), err)
	}
	k := ledgertest.Consortium(t, 4)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := parseVector(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := verdict(v, k); got != v.expect {
			t.Errorf("%s (%s): %s, want %s", name, v.comment, got, v.expect)
		}
		if want, ok := made[name]; ok && !bytes.Equal(text, want.text()) {
			t.Errorf("%s: the format has changed: old bytes must stay valid, so this is a new version", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if !slices.Contains(files, filepath.Join(dir, name+".txt")) {
			t.Errorf("%s is not in %s", name, dir)
		}
	}
}
