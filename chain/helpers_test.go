package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// encoder is what every format of the package can do.
type encoder interface{ Bytes() ([]byte, error) }

// encoded returns the bytes of v.
func encoded(tb testing.TB, v encoder) []byte {
	tb.Helper()
	b, err := v.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// A format is a parser that gives back something with Bytes.
type format struct {
	parse func([]byte) (encoder, error)
	good  func(testing.TB) []byte
}

type rawTx struct{ *chain.Tx }

func (t rawTx) Bytes() ([]byte, error) { return t.Tx.Bytes(), nil }

type leafParts struct {
	tx     []byte
	result *chain.Result
}

func (l leafParts) Bytes() ([]byte, error) {
	r, err := l.result.Bytes()
	if err != nil {
		return nil, err
	}
	return chain.Leaf(l.tx, r)
}

// formats lists every parser of the package with a good example.
func formats() map[string]format {
	return map[string]format{
		"tx": {
			func(b []byte) (encoder, error) { tx, err := chain.ParseTx(b); return rawTx{tx}, err },
			func(tb testing.TB) []byte { return ledgertest.NewLog(tb, 1).Tx("alice", "notes", "add", "x").Bytes() },
		},
		"entry": {
			func(b []byte) (encoder, error) { return chain.ParseEntry(b) },
			func(tb testing.TB) []byte {
				c := ledgertest.NewLog(tb, 1)
				s, err := chain.NewSidecar([]byte("sealed"))
				if err != nil {
					tb.Fatal(err)
				}
				txs := []*chain.Tx{c.Tx("alice", "notes", "add", "x"), c.TxWith("bob", chain.TxBody{Contract: "notes", Method: "add", Sidecar: s})}
				return encoded(tb, c.Entry(txs, [][]byte{nil, []byte("sealed")}))
			},
		},
		"header": {
			func(b []byte) (encoder, error) { return chain.ParseHeader(b) },
			func(tb testing.TB) []byte { return encoded(tb, &ledgertest.NewLog(tb, 3).Head.Header) },
		},
		"block": {
			func(b []byte) (encoder, error) { return chain.ParseBlock(b) },
			func(tb testing.TB) []byte { return encoded(tb, ledgertest.NewLog(tb, 3).Blocks[0]) },
		},
		"leaf": {
			func(b []byte) (encoder, error) { tx, r, err := chain.ParseLeaf(b); return leafParts{tx, r}, err },
			func(tb testing.TB) []byte {
				leaves, err := ledgertest.NewLog(tb, 1).Blocks[0].Leaves()
				if err != nil {
					tb.Fatal(err)
				}
				return leaves[0]
			},
		},
		"checkpoint": {
			func(b []byte) (encoder, error) { return chain.ParseCheckpoint(b) },
			func(tb testing.TB) []byte { return encoded(tb, ledgertest.NewLog(tb, 3).Checkpoint()) },
		},
		"condensed": {
			func(b []byte) (encoder, error) { return chain.ParseCheckpoint(b) },
			func(tb testing.TB) []byte { return encoded(tb, ledgertest.NewLog(tb, 3).Condensed()) },
		},
		"receipt": {
			func(b []byte) (encoder, error) { return chain.ParseReceipt(b) },
			func(tb testing.TB) []byte {
				c := ledgertest.NewLog(tb, 5)
				return encoded(tb, c.Receipt(2, c.Checkpoint()))
			},
		},
		"evidence": {
			func(b []byte) (encoder, error) { return chain.ParseEvidence(b) },
			func(tb testing.TB) []byte {
				return encoded(tb, equivocation(tb, ledgertest.NewLog(tb, 3), "east", "east"))
			},
		},
		"consortium": {
			func(b []byte) (encoder, error) { return chain.ParseConsortium(b) },
			func(tb testing.TB) []byte { return encoded(tb, ledgertest.Consortium(tb, 4)) },
		},
	}
}

// equivocation returns two cosigned heads of one size that differ.
func equivocation(tb testing.TB, c *ledgertest.Chain, first, second string) *chain.Evidence {
	tb.Helper()
	sign := func(head chain.TreeHead, member string) *chain.Checkpoint {
		s, err := c.Consortium.Cosign(head, member, c.Now.Unix(), ledgertest.Key(member))
		if err != nil {
			tb.Fatal(err)
		}
		return &chain.Checkpoint{TreeHead: head, Signatures: []chain.Signature{s}}
	}
	head := c.Head.Header.TreeHead()
	forked := head
	forked.State[0] ^= 1
	return &chain.Evidence{First: sign(head, first), Second: sign(forked, second)}
}

func TestEveryFormatRoundTrips(t *testing.T) {
	for name, f := range formats() {
		data := f.good(t)
		v, err := f.parse(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := encoded(t, v); !bytes.Equal(again, data) {
			t.Errorf("%s does not round-trip:\n%x\n%x", name, data, again)
		}
	}
}

// Whatever one byte is changed to, what still parses encodes to those bytes;
// nothing parses that is shorter or longer.
func TestEveryFormatHasOneEncoding(t *testing.T) {
	for name, f := range formats() {
		data := f.good(t)
		for i := range data {
			for _, b := range []byte{0, 1, 0x20, 0x40, 0x5f, 0x80, 0x9f, 0xc2, 0xf6, 0xff, data[i] ^ 1, data[i] ^ 0x20, data[i] + 1, data[i] - 1} {
				mutant := bytes.Clone(data)
				mutant[i] = b
				v, err := f.parse(mutant)
				if err != nil {
					continue
				}
				if !bytes.Equal(encoded(t, v), mutant) {
					t.Fatalf("%s: byte %d = %#x parses, but is not the encoding", name, i, b)
				}
			}
			// A note with fewer signature lines is a note.
			whole := name == "checkpoint" && i > 0 && data[i-1] == '\n'
			if _, err := f.parse(data[:i]); err == nil && !whole {
				t.Fatalf("%s: parses cut to %d of %d bytes", name, i, len(data))
			}
		}
		if _, err := f.parse(append(bytes.Clone(data), 0)); err == nil {
			t.Fatalf("%s: a trailing byte is accepted", name)
		}
		if _, err := f.parse(append(bytes.Clone(data), '\n')); err == nil {
			t.Fatalf("%s: a trailing newline is accepted", name)
		}
	}
}

func TestSizesAreLimited(t *testing.T) {
	for name, limit := range map[string]int{
		"tx": chain.MaxTx, "entry": chain.MaxEntry, "header": 512, "leaf": 1<<16 - 1, "checkpoint": 16 << 10,
		"receipt": 1 << 17, "evidence": 48 << 10, "consortium": 64 << 10,
	} {
		if _, err := formats()[name].parse(make([]byte, limit+1)); err == nil {
			t.Errorf("%s of %d bytes is accepted", name, limit+1)
		}
	}
	// Just above the limit and otherwise without fault.
	c := ledgertest.NewLog(t, 1)
	body := c.Tx("alice", "notes", "add", "x").TxBody
	for n := chain.MaxTx - 300; n < chain.MaxTx; n++ {
		body.Args = make([]byte, n)
		msg, err := chain.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		data := append(msg, ed25519.Sign(ledgertest.Key("alice"), msg)...)
		tx, err := chain.ParseTx(data)
		if (err == nil) != (len(data) <= chain.MaxTx) {
			t.Fatalf("transaction of %d bytes: %v", len(data), err)
		}
		if err == nil && !tx.Verify() {
			t.Fatal("signature does not verify")
		}
	}
}
