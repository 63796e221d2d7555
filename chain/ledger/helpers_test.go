package ledger_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// store is a contract that sets, deletes, reads and misbehaves.
type store struct{}

type storeArgs struct {
	_     struct{} `cbor:",toarray"`
	Key   string
	Value []byte
}

const errTaken chain.Code = "store/taken"

func (store) Apply(call *ledger.Call, method string, data []byte) ([]byte, error) {
	var a storeArgs
	if err := chain.Unmarshal(data, &a); err != nil {
		return nil, chain.Code("store/args")
	}
	key := []byte(a.Key)
	switch method {
	case "put":
		call.Emit("store.put", key)
		return nil, call.State.Set(key, a.Value)
	case "new":
		old, err := call.State.Get(key)
		if err != nil {
			return nil, err
		}
		if old != nil {
			return nil, errTaken
		}
		return nil, call.State.Set(key, a.Value)
	case "delete":
		return nil, call.State.Delete(key)
	case "put-then-fail":
		if err := call.State.Set(key, a.Value); err != nil {
			return nil, err
		}
		call.Emit("store.put", key)
		return nil, errTaken
	case "put-then-panic":
		if err := call.State.Set(key, a.Value); err != nil {
			return nil, err
		}
		panic("contract bug")
	case "ignore-error":
		call.State.Set(key, a.Value) //nolint:errcheck // what is tested
		return nil, nil
	case "huge":
		call.State.Set(key, make([]byte, ledger.MaxValue+1)) //nolint:errcheck // what is tested
		return nil, nil
	case "plain-error":
		return nil, errors.New("text with a name in it")
	case "chain-code":
		return nil, chain.Code(a.Key)
	case "scribble":
		old, err := call.State.Get(key)
		if err != nil {
			return nil, err
		}
		clear(old)
		return nil, call.State.Set(key, a.Value)
	case "panic-in-scan":
		return nil, call.State.Scan(nil, nil, func(_, _ []byte) bool { panic("contract bug") })
	case "purge-all":
		for i := range uint64(len(a.Value)) {
			call.Purge(i)
		}
		return nil, nil
	case "big-result":
		return bytes.Repeat([]byte{1}, chain.MaxResult), nil
	case "bad-event":
		call.Emit("Not A Name", nil)
		return nil, nil
	case "flood":
		for i := range 2000 {
			if err := call.State.Set([]byte{byte(i >> 8), byte(i), 'f'}, bytes.Repeat([]byte{1}, 400)); err != nil {
				return nil, nil
			}
		}
		return nil, nil
	case "write-in-scan":
		return nil, call.State.Scan(nil, nil, func(_, _ []byte) bool {
			call.State.Set(key, []byte{1}) //nolint:errcheck // what is tested
			return true
		})
	case "count":
		n := 0
		err := call.State.Scan(key, nil, func(_, _ []byte) bool { n++; return true })
		return []byte{byte(n)}, err
	case "peek":
		return call.Of("other").Get(key)
	case "purge":
		call.Purge(uint64(a.Value[0]))
		return nil, nil
	}
	return nil, chain.Code("store/method")
}

func newChain(tb testing.TB) *ledgertest.Chain {
	return ledgertest.New(tb, map[string]ledger.Contract{"store": store{}, "other": store{}})
}

func put(key, value string) storeArgs { return storeArgs{Key: key, Value: []byte(value)} }

func code(t *testing.T, results []chain.Result, i int, want chain.Code) {
	t.Helper()
	if got := results[i].Code; got != want {
		t.Fatalf("transaction %d: code %q, want %q", i, got, want)
	}
}
