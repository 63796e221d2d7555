package chain

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// entryWire is an entry for the general codec.
type entryWire struct {
	_        struct{} `cbor:",toarray"`
	Name     string
	Proposal Proposal
	Sidecars [][]byte
}

func same(t *testing.T, what string, got []byte, v any) {
	t.Helper()
	want, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%x\nwant\n%x", what, got, want)
	}
}

func TestWireIsWhatTheCodecWrites(t *testing.T) {
	for _, n := range []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxUint64} {
		same(t, "uint", appendHead(nil, majorUint, n), n)
		for _, i := range []int64{int64(n), -int64(n)} {
			same(t, "int", appendInt(nil, i), i)
		}
		r := wireReader{data: appendHead(nil, majorUint, n)}
		if got := r.uint(); got != n || !r.done() {
			t.Errorf("%d is read as %d", n, got)
		}
	}
	for _, n := range []int{0, 1, 23, 24, 255, 256, 65535, 65536} {
		same(t, "bytes", appendBytes(nil, make([]byte, n)), make([]byte, n))
		same(t, "text", appendText(nil, strings.Repeat("a", n)), strings.Repeat("a", n))
	}
	for _, n := range []int{1, 23, 24, 300, MaxEntryTxs} {
		h := Header{Name: nameHeader, Chain: "records.example", Height: uint64(n), Prev: Hash{1}, Time: int64(n) << 30, Proposal: Hash{2}, Size: 1 << 40, Root: Hash{3}, State: Hash{4}}
		same(t, "header", h.append(nil), h)
		p := Proposal{Name: nameProposal, Chain: "records.example", Proposer: PublicKey{5}, Height: 7, Parent: Hash{6}, Time: 1, Signature: make([]byte, 64)}
		e := Entry{Sidecars: make([][]byte, n)}
		var results []Result
		for i := range n {
			p.Txs = append(p.Txs, bytes.Repeat([]byte{byte(i)}, i%500))
			if i%3 == 1 {
				e.Sidecars[i] = make([]byte, i%1000)
			}
			r := NewResult(uint64(i), int64(i), "", make([]byte, i%100), nil)
			switch i % 3 {
			case 1:
				r = NewResult(uint64(i), int64(i), ErrFault, nil, nil)
			case 2:
				r.Events = []Event{{Kind: "a.b", Data: make([]byte, i%40)}, {Kind: "c"}}
			}
			got, err := r.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if len(got) > r.size() {
				t.Errorf("result of %d bytes, expected at most %d", len(got), r.size())
			}
			same(t, "result", got, r)
			l, err := Leaf(p.Txs[i], got)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "leaf", l, leaf{Name: nameLeaf, Tx: p.Txs[i], Result: got})
			results = append(results, r)
		}
		same(t, "proposal", p.append(nil), p)
		if got := p.append(nil); len(got) > p.size() {
			t.Errorf("proposal of %d bytes, expected at most %d", len(got), p.size())
		}
		e.Proposal = p
		got, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		same(t, "entry", got, entryWire{Name: nameEntry, Proposal: p, Sidecars: e.Sidecars})
		b := Block{Header: h, Proposal: p, Results: results}
		if got, err = b.Append([]byte("before")); err != nil {
			t.Fatal(err)
		}
		same(t, "block", bytes.TrimPrefix(got, []byte("before")), blockWire{Name: nameBlock, Header: h, Proposal: p, Results: results})

		tree := Tree{}
		var stored []Hash
		for range 3 {
			leaves, err := b.Leaves()
			if err != nil {
				t.Fatal(err)
			}
			at, hashes, err := tree.AppendBlock(&b)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range leaves {
				tree, _ = tree.Append(l, nil)
			}
			if at.Root() != tree.Root() || at.Size() != tree.Size() || !reflect.DeepEqual(at.Edge(), tree.Edge()) {
				t.Fatal("appending a block and its leaves make different trees")
			}
			for _, h := range hashes {
				stored = append(stored, Hash(h))
			}
		}
		if len(stored) == 0 {
			t.Error("no stored hashes")
		}
	}
}

// compare parses data as a transaction and as an entry in both ways. The general
// codec with the same checks behind it accepts exactly the same and finds the
// same in it.
func compare(t *testing.T, data []byte) {
	if len(data) >= 64 && len(data) <= MaxTx {
		var want TxBody
		err := Unmarshal(data[:len(data)-64], &want)
		if err == nil {
			err = want.check()
		}
		tx, got := ParseTx(data)
		if (got == nil) != (err == nil) {
			t.Fatalf("transaction %x: %v, by the codec %v", data, got, err)
		}
		if err == nil {
			if !reflect.DeepEqual(normal(tx.TxBody), normal(want)) {
				t.Fatalf("transaction %x:\n%+v, by the codec\n%+v", data, tx.TxBody, want)
			}
		}
	}
	var want entryWire
	err := Unmarshal(data, &want)
	e := Entry{Proposal: want.Proposal, Sidecars: want.Sidecars}
	if err == nil && want.Name == nameEntry {
		err = e.check()
	}
	got, perr := ParseEntry(data)
	if (perr == nil) != (err == nil && want.Name == nameEntry) {
		t.Fatalf("entry %x: %v, by the codec %v", data, perr, err)
	}
	if perr == nil {
		same(t, "entry", data, entryWire{Name: nameEntry, Proposal: got.Proposal, Sidecars: got.Sidecars})
		for i, tx := range got.Parsed() {
			if alone, err := ParseTx(got.Txs[i]); (err == nil) != (tx != nil) || tx != nil && !reflect.DeepEqual(alone, tx) {
				t.Fatalf("transaction %d alone is %+v, in the entry %+v", i, alone, tx)
			}
		}
	}
}

// normal makes empty and nil the same.
func normal(b TxBody) TxBody {
	if len(b.Args) == 0 {
		b.Args = nil
	}
	return b
}

func wireSeeds(tb testing.TB) [][]byte {
	files, err := filepath.Glob(filepath.Join("testdata", "vectors", "*.txt"))
	if err != nil || len(files) == 0 {
		tb.Fatal("no vectors", err)
	}
	var out [][]byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		head, body, _ := strings.Cut(string(text), "\n\n")
		if !strings.Contains(head, "format: tx") && !strings.Contains(head, "format: entry") {
			continue
		}
		data, err := hex.DecodeString(strings.ReplaceAll(body, "\n", ""))
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

// Every change of one byte has the same verdict from both parsers.
func TestWireAcceptsWhatTheCodecAccepts(t *testing.T) {
	for _, data := range wireSeeds(t) {
		for i := range data {
			for _, x := range []byte{1, 0x20, 0x80, 0xff} {
				changed := bytes.Clone(data)
				changed[i] ^= x
				compare(t, changed)
			}
			compare(t, data[:i])
			compare(t, append(bytes.Clone(data[:i]), append([]byte{0x18}, data[i:]...)...))
		}
		compare(t, append(bytes.Clone(data), 0))
	}
}

func FuzzWire(f *testing.F) {
	for _, data := range wireSeeds(f) {
		f.Add(data)
	}
	f.Fuzz(compare)
}
