package chain_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// seeds gives the fuzzer every vector of a format.
func seeds(f *testing.F, format string) {
	files, err := filepath.Glob(filepath.Join("testdata", "vectors", "*.txt"))
	if err != nil {
		f.Fatal(err)
	}
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		v, err := parseVector(text)
		if err != nil {
			f.Fatal(err)
		}
		if v.format == format {
			f.Add(v.data)
			n++
		}
	}
	if n == 0 {
		f.Fatalf("no seeds for %s", format)
	}
}

// fuzz holds a parser to its two properties: it does not panic, and what it
// accepts is the one encoding of what it returns.
func fuzz(f *testing.F, format string) {
	seeds(f, format)
	p := formats()[format]
	k := ledgertest.Consortium(f, 4)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := p.parse(data)
		if err != nil {
			return
		}
		again, err := v.Bytes()
		if err != nil {
			t.Fatalf("parses but does not encode: %v", err)
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("another encoding is accepted:\n%x\n%x", data, again)
		}
		verdict(vector{format: format, data: data}, k) // must not panic either
	})
}

func FuzzParseTx(f *testing.F)         { fuzz(f, "tx") }
func FuzzParseEntry(f *testing.F)      { fuzz(f, "entry") }
func FuzzParseHeader(f *testing.F)     { fuzz(f, "header") }
func FuzzParseBlock(f *testing.F)      { fuzz(f, "block") }
func FuzzParseLeaf(f *testing.F)       { fuzz(f, "leaf") }
func FuzzParseCheckpoint(f *testing.F) { fuzz(f, "checkpoint") }
func FuzzParseReceipt(f *testing.F)    { fuzz(f, "receipt") }
func FuzzParseEvidence(f *testing.F)   { fuzz(f, "evidence") }
func FuzzParseConsortium(f *testing.F) { fuzz(f, "consortium") }

// FuzzVerifyExport: an export that verifies is byte for byte what an exporter
// writes.
func FuzzVerifyExport(f *testing.F) {
	seeds(f, "export")
	trusted := ledgertest.Consortium(f, 4)
	f.Fuzz(func(t *testing.T, data []byte) {
		var again bytes.Buffer
		var w *audit.Exporter
		_, err := audit.Verify(bytes.NewReader(data), trusted, audit.Visitor{
			Genesis: func(k *chain.Consortium, h *chain.Header) (err error) {
				w, err = audit.NewExporter(&again, k, h)
				return err
			},
			Block:      func(b *chain.Block) error { return w.Block(b) },
			Sidecar:    func(i uint64, data []byte) error { return w.Sidecar(i, data) },
			Checkpoint: func(c *chain.Checkpoint) error { return w.Checkpoint(c) },
		})
		if err != nil {
			return
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Bytes(), data) {
			t.Fatal("another encoding is accepted")
		}
	})
}

// FuzzNextConsortium: nobody but t_c members changes the consortium.
func FuzzNextConsortium(f *testing.F) {
	k := ledgertest.Consortium(f, 4)
	next := *k
	founding, err := k.FoundingHash()
	if err != nil {
		f.Fatal(err)
	}
	next.Epoch, next.Founding, next.KeyThreshold = 1, founding, 2
	var es []chain.Endorsement
	for _, m := range []string{"east", "north", "south"} {
		e, err := chain.Endorse(&next, m, ledgertest.Key(m))
		if err != nil {
			f.Fatal(err)
		}
		es = append(es, e)
		args, err := chain.NextConsortium(&next, es)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(args)
	}
	good, err := next.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		got, err := k.Next(args)
		if err != nil {
			return
		}
		if data, err := got.Bytes(); err != nil || !bytes.Equal(data, good) {
			t.Fatalf("a file nobody endorsed is in force:\n%s", data)
		}
	})
}

// FuzzUnmarshal holds the decoder that contracts use to one encoding per value.
func FuzzUnmarshal(f *testing.F) {
	type value struct {
		A uint64            `cbor:"a"`
		B []byte            `cbor:"b"`
		C map[string]string `cbor:"c"`
		D []int64           `cbor:"d"`
	}
	data, err := chain.Marshal(value{1, []byte("x"), map[string]string{"k": "v"}, []int64{-1, 2}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var v value
		if chain.Unmarshal(data, &v) != nil {
			return
		}
		if again, err := chain.Marshal(v); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is accepted for %x", data, again)
		}
	})
}
