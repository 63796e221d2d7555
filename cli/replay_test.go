package cli

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

// gullible takes whatever it is given for a record.
type gullible struct{}

func (gullible) Apply(call *ledger.Call, _ string, args []byte) ([]byte, error) {
	return nil, call.State.Set([]byte("x"), args)
}

// TestColludingMembersCannotHideAFalseResult: members that run other rules than
// they say certify that a forged record was put. Every signature and link holds;
// running the rules again finds it.
func TestColludingMembersCannotHideAFalseResult(t *testing.T) {
	c := ledgertest.New(t, map[string]ledger.Contract{"record": gullible{}})
	c.Run(c.Tx("dr.lee", "record", "put", "forged"))
	export := c.Export()

	v, err := verifyExport(bytes.NewReader(export), c.Founding, false)
	if err != nil || v.Transactions != 1 || v.Rules || len(v.Calls) != 1 || v.Calls[0] != (calls{"record/put", 1, 0}) {
		t.Fatalf("without the rules: %+v, %v", v, err)
	}
	_, err = verifyExport(bytes.NewReader(export), c.Founding, true)
	if broken := (*chain.BrokenError)(nil); !errors.As(err, &broken) || broken.Height != 1 {
		t.Fatalf("with the rules: %v", err)
	}
	if p := explain(fmt.Errorf("verify: %w", err)); p.exit != exitIntegrity {
		t.Errorf("exit code %d", p.exit)
	}
}

// TestAnotherConsortiumsChainIsRefused: whoever trusts one file does not take the
// chain of another.
func TestAnotherConsortiumsChainIsRefused(t *testing.T) {
	c := ledgertest.New(t, map[string]ledger.Contract{"record": gullible{}})
	c.Run(c.Tx("dr.lee", "record", "put", "x"))
	other := *c.Founding
	other.Created = other.Created.AddDate(0, 0, 1)
	if _, err := verifyExport(bytes.NewReader(c.Export()), &other, false); err == nil {
		t.Error("accepted")
	}
}

// TestMemoryIsLikeTheStateOfTests compares the state in memory with the one that
// package ledgertest keeps, over random writes.
func TestMemoryIsLikeTheStateOfTests(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m, want := memory{values: map[string][]byte{}}, ledgertest.State{}
	key := func() []byte { return fmt.Appendf(nil, "%c/%d", 'a'+r.IntN(3), r.IntN(20)) }
	for range 500 {
		w := ledger.Write{Key: key()}
		if r.IntN(3) > 0 {
			w.Value = fmt.Append(nil, r.Int())
		}
		m.apply([]ledger.Write{w})
		want.Apply([]ledger.Write{w})
		list := func(s ledger.Reader, prefix, start []byte, limit int) (out []string) {
			_ = s.Scan(prefix, start, func(k, v []byte) bool { out = append(out, string(k), string(v)); return len(out) < limit })
			return out
		}
		prefix, start, limit := key()[:1+r.IntN(2)], key(), 1+r.IntN(50)
		if a, b := list(&m, prefix, start, limit), list(&want, prefix, start, limit); !slices.Equal(a, b) {
			t.Fatalf("scan of %s from %s: %q, want %q", prefix, start, a, b)
		}
		k := key()
		a, _ := m.Get(k)
		if b, _ := want.Get(k); !bytes.Equal(a, b) {
			t.Fatalf("get %s: %q, want %q", k, a, b)
		}
	}
}
