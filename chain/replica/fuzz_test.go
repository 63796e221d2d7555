package replica

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// Every parser here has two properties: it does not panic, and what it takes has one
// encoding.

func FuzzParseAttested(f *testing.F) {
	s := attested{Name: attestedName, Anchor: anchor{Name: anchorName, Chain: testChain, Header: []byte{1}, Config: []byte{2}},
		Members: []string{"h0", "h1"}, Signatures: [][]byte{{1}, {2}}, Checkpoint: []byte("x")}
	good, err := chain.Marshal(&s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseAttested(b)
		if err != nil {
			return
		}
		if again, err := chain.Marshal(s); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x is %x, %v", b, again, err)
		}
		_, _ = s.Anchor.header()
		_, _ = decodeConfig(s.Anchor.Config)
	})
}

func FuzzParseLog(f *testing.F) {
	f.Add(appendLog(nil, &raft.Log{Term: 7, Type: raft.LogCommand, Data: []byte("data"), Extensions: []byte("ext"), AppendedAt: time.Unix(0, 9)}))
	f.Add(appendLog(nil, &raft.Log{}))
	f.Add([]byte{raftLogVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		var log raft.Log
		if parseLog(b, 5, &log) != nil {
			return
		}
		if again := appendLog(nil, &log); !bytes.Equal(again, b) || log.Index != 5 {
			t.Errorf("%x is %x", b, again)
		}
	})
}

func FuzzParseSlot(f *testing.F) {
	body, err := chain.Marshal(signedHead{Name: signedName, Height: 9, Raft: 12})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body, uint16(0))
	f.Add(body, uint16(9))
	f.Fuzz(func(t *testing.T, body []byte, length uint16) {
		// With a good checksum and, for length 0, the right length.
		sealed := seal(bytes.Clone(body))
		if length == 0 {
			length = uint16(len(sealed))
		}
		slot := append([]byte{byte(length >> 8), byte(length)}, sealed...)
		h, err := parseSlot(slot)
		if err != nil {
			return
		}
		if again, err := chain.Marshal(h); err != nil || !bytes.Equal(again, body) {
			t.Errorf("%x is %x, %v", body, again, err)
		}
	})
}

func FuzzOpenStable(f *testing.F) {
	good, err := chain.Marshal(stableWire{Name: stableName, Values: map[string][]byte{keyCurrentTerm: make([]byte, 8)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, true)
	f.Add(good, false)
	path := filepath.Join(tempDir(f), "vote")
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		file := b
		if sealed {
			file = seal(bytes.Clone(b))
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		s, existed, err := openStable(path, medium{simulated: true})
		if !existed || err != nil && !isDamage(err) {
			t.Fatalf("existed %v, %v", existed, err)
		}
		if err != nil {
			return
		}
		if _, err := s.GetUint64([]byte(keyCurrentTerm)); err != nil && !isDamage(err) {
			t.Errorf("term: %v", err)
		}
		again, err := chain.Marshal(stableWire{Name: stableName, Values: s.values})
		if err != nil || !bytes.Equal(seal(again), file) {
			t.Errorf("%x is %x, %v", file, again, err)
		}
	})
}

func FuzzParseBlockRecord(f *testing.F) {
	record, err := ledgertest.NewLog(f, 1).Blocks[0].Append(make([]byte, 16))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add(record[:15])
	f.Fuzz(func(t *testing.T, b []byte) {
		blk, pos, err := parseBlockRecord(b)
		if err != nil {
			return
		}
		again, err := blockRecord(nil, &step{pos: pos, outcome: &ledger.Outcome{Block: blk}})
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x is %x, %v", b, again, err)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	if err := writeFrame(&b, rpcStatus, []byte("body")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		tag, body, err := readFrame(r)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeFrame(&again, tag, body); err != nil || !bytes.Equal(again.Bytes(), b[:len(b)-r.Len()]) {
			t.Errorf("%x is %x, %v", b, again.Bytes(), err)
		}
	})
}

// A member sends what it likes, under every kind: it gets an answer or an error, and
// a request that is understood has one encoding.
func FuzzRequests(f *testing.F) {
	for kind, req := range map[byte]any{
		rpcSubmit: submitRequest{Txs: [][]byte{{1}}, Sidecars: [][]byte{nil}}, rpcCosign: cosignRequest{Notes: [][]byte{{1}}},
		rpcBlocks: blocksRequest{From: 1, To: 2}, rpcChanges: changesRequest{Epoch: 1}, rpcAttest: attestRequest{Anchor: []byte{1}},
	} {
		b, err := chain.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, b)
	}
	k := testConsortium(f, 3, 0)
	book, err := openBook(tempDir(f), k, bookOptions{medium: medium{simulated: true}}, discardLog())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { book.Close() })
	r := &Replica{opt: Options{Member: "h0", Key: testKey("h0"), Consortium: k}, log: discardLog(), stopped: make(chan struct{}), book: book,
		certs: newCertifier("h0", nil, func(error) {})}
	r.consortium.Store(k)
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		var req any
		switch kind {
		case rpcSubmit:
			req = new(submitRequest)
		case rpcCosign:
			req = new(cosignRequest)
		case rpcBlocks:
			req = new(blocksRequest)
		case rpcChanges:
			req = new(changesRequest)
		case rpcAttest:
			req = new(attestRequest)
		default:
			return
		}
		if chain.Unmarshal(body, req) == nil {
			if again, err := chain.Marshal(req); err != nil || !bytes.Equal(again, body) {
				t.Errorf("kind %d: %x is %x, %v", kind, body, again, err)
			}
		}
		if _, err := r.handle(context.Background(), "h1", kind, body); kind == rpcAttest && err == nil {
			t.Error("signed an anchor of a chain without a block")
		}
	})
}
