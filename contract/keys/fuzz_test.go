package keys_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/dkg"
)

var methods = []struct {
	name string
	args any
}{
	{keys.MethodAnnounce, keys.AnnounceArgs{}},
	{keys.MethodOpen, keys.OpenArgs{}},
	{keys.MethodPost, keys.PostArgs{}},
	{keys.MethodClose, keys.CloseArgs{}},
	{keys.MethodRequest, keys.RequestArgs{}},
}

// still is a fuzzing test whose Helper may be called from within its target.
type still struct{ testing.TB }

// Helper does nothing.
func (still) Helper() {}

// FuzzApply sends arbitrary arguments to every method of a chain on which
// members deal: nothing panics, and what is accepted has one encoding.
func FuzzApply(f *testing.F) {
	c := newChain(still{f}, 4)
	m := keystest.New(still{f}, c)
	r := m.Open()
	r.Post()
	deal := keystest.Parts(r.Number, dkg.PhaseDeal, 0, r.Machines["east"].Pending()[0].Sign(ledgertest.Key("east")))[0]
	window := keys.Window{Positions: 5, Milliseconds: 5}
	for i, args := range []any{
		keys.AnnounceArgs{Transport: transport(f)},
		keys.OpenArgs{Number: 2, Windows: [4]keys.Window{window, window, window, window}},
		deal,
		keys.CloseArgs{Number: 1},
		keys.RequestArgs{Type: "clinical", Transport: transport(f)},
		keys.RequestArgs{Type: "clinical", Transport: transport(f), Owner: "p-kid@north"},
	} {
		b, err := chain.Marshal(args)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(min(i, len(methods)-1)), b)
		f.Add(uint8(min(i, len(methods)-1)), b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, which uint8, args []byte) {
		method := methods[int(which)%len(methods)]
		v := reflect.New(reflect.TypeOf(method.args))
		parsed := chain.Unmarshal(args, v.Interface()) == nil
		if parsed {
			if again, err := chain.Marshal(v.Interface()); err != nil || !bytes.Equal(again, args) {
				t.Fatalf("%x comes back as %x, %v", args, again, err)
			}
		}
		out, err := c.Executor.Apply(c.Head, &c.State, c.Entry([]*chain.Tx{c.Tx("east", keys.Contract, method.name, args)}, nil))
		if err != nil {
			t.Fatal(err)
		}
		switch code := out.Block.Results[0].Code; {
		case code == chain.ErrFault, code == chain.ErrFailed:
			t.Fatalf("%s panics or runs over a limit: %x", method.name, args)
		case !parsed && code != keys.ErrMalformed:
			t.Fatalf("%s takes %x: %q", method.name, args, code)
		}
	})
}
