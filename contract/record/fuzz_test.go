package record_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/record"
)

func FuzzParseID(f *testing.F) {
	for _, s := range []string{string(must(record.GenerateID())), "r-", "r-" + strings.Repeat("7", 26), "g-" + strings.Repeat("a", 26)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := record.ParseID(s); err == nil && (string(id) != s || len(s) != 28) {
			t.Fatalf("%q is the id %q", s, id)
		}
	})
}

// FuzzArgs parses the arguments of both methods: one encoding for each value.
func FuzzArgs(f *testing.F) {
	w := newWorld(new(testing.T))
	d := w.draft(alice, lab, "lab/chemistry")
	f.Add(must(chain.Marshal(d.PutArgs)))
	f.Add(must(chain.Marshal(record.EraseArgs{ID: d.ID})))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{new(record.PutArgs), new(record.EraseArgs)} {
			if chain.Unmarshal(data, v) == nil && !bytes.Equal(must(chain.Marshal(v)), data) {
				t.Fatal("another encoding is accepted")
			}
		}
	})
}

// FuzzApply sends arbitrary arguments, by everybody. What is refused has a code
// of the contract and leaves nothing; with and without batches it is the same.
func FuzzApply(f *testing.F) {
	w := newWorld(new(testing.T)) // f must not be used inside the target
	plain := newWorldWith(new(testing.T), ledgertest.Consortium(f, 4), unprepared{record.New()})
	old := w.draft(alice, lab, "lab")
	old.Payload, old.Size = ref("x"), 9
	w.put(old)
	if plain.block(old)[0] != "" {
		f.Fatal("not put")
	}
	signers := []string{string(alice), string(lab), string(carol), "north", "nobody"}
	d := w.draft(alice, lab, "lab/chemistry")
	d.Replaces = old.ID
	f.Add("put", uint8(1), true, must(chain.Marshal(d.PutArgs)))
	f.Add("put", uint8(1), false, must(chain.Marshal(d.PutArgs)))
	f.Add("erase", uint8(0), false, must(chain.Marshal(record.EraseArgs{ID: old.ID})))
	f.Add("", uint8(0), false, []byte{0x80})
	f.Fuzz(func(t *testing.T, method string, signer uint8, sidecar bool, args []byte) {
		if !chain.ValidName(method) || len(args) > 8000 {
			return
		}
		body := chain.TxBody{Contract: "record", Method: method, Args: append([]byte{}, args...)}
		var data []byte
		if sidecar {
			data = []byte("sealed")
			body.Sidecar = must(chain.NewSidecar(data))
		}
		entry := w.Entry([]*chain.Tx{w.TxWith(signers[int(signer)%len(signers)], body)}, [][]byte{data})
		out, err := w.Executor.Apply(w.Head, &w.State, entry)
		if err != nil {
			t.Fatal(err)
		}
		r := out.Block.Results[0]
		if r.Code != "" && !strings.HasPrefix(string(r.Code), "record/") {
			t.Fatalf("refused with %q", r.Code)
		}
		wrote := false
		for _, write := range out.Writes {
			wrote = wrote || strings.HasPrefix(string(write.Key), "record\x00")
		}
		if wrote != (r.Code == "") || len(r.Events) > 0 != wrote || !wrote && (len(out.Sidecars) > 0 || len(out.Purge) > 0) {
			t.Fatalf("%q, writes %v, events %v", r.Code, wrote, r.Events)
		}
		single, err := plain.Executor.Replay(plain.Head, &plain.State, out.Block)
		if err != nil || !slices.EqualFunc(single.Writes, out.Writes, func(a, b ledger.Write) bool {
			return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
		}) {
			t.Fatalf("without batches it is another: %v", err)
		}
	})
}
