package keys_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
	"github.com/ward-health/ward/pre"
)

// book is a contract's live grants in a test, with everybody's shares.
type book struct {
	grants []keys.LiveGrant
	shares map[string]map[string]*pre.Share
}

func (b *book) live(_ ledger.Reader, _ int64, after string, fn func(keys.LiveGrant) bool) error {
	for _, g := range b.grants {
		if g.ID > after && !fn(g) {
			return nil
		}
	}
	return nil
}

// deal adds grants dealt to four members in generation 1.
func (b *book) deal(t testing.TB, count int) {
	t.Helper()
	members := []string{"east", "north", "south", "west"}
	b.shares = make(map[string]map[string]*pre.Share)
	for i := range count {
		id := fmt.Sprintf("g-%026d", i)
		var polynomial []*pairing.Secret
		var commitments []pairing.G1
		for k := range 3 {
			s := pairing.NewSecret(uint64(3*i + k + 1))
			polynomial = append(polynomial, s)
			commitments = append(commitments, pairing.GeneratorG1ConstantTime().Mul(s))
		}
		sharing, err := threshold.NewSharing(1, 4, commitments)
		if err != nil {
			t.Fatal(err)
		}
		b.grants = append(b.grants, keys.LiveGrant{ID: id, Sharing: sharing.Bytes(), Holders: []uint8{1, 2, 3, 4}})
		b.shares[id] = make(map[string]*pre.Share)
		for j, m := range members {
			w := wire.NewWriter("ward/share/v1")
			w.Uint32(1)
			w.Uint8(uint8(j + 1))
			value := pairing.EvaluateSecret(polynomial, uint8(j+1)).Reveal()
			w.Raw(value[:])
			if b.shares[id][m], err = pre.ParseShare(w.Sum()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestMoreGrantsThanOneTransactionCanList moves them in several.
func TestMoreGrantsThanOneTransactionCanList(t *testing.T) {
	const count = 50
	b := new(book)
	c := ledgertest.NewFrom(t, keystest.Keyless(t, 4), map[string]ledger.Contract{
		keys.Contract: keys.NewWithTestingLimits(b.live, keys.Limits{Writes: 4 << 10, Looks: 1000, Room: 1 << 20}), identity.Contract: identity.New(),
	})
	m := keystest.Found(t, c)
	b.deal(t, count)
	m.Grants = b.shares
	args := m.OpenArgs()
	refused(t, run(c, "east", keys.MethodOpen, args), "")
	if l := latest(t, m); l.State != keys.Preparing || !l.Moving() {
		t.Fatalf("ceremony is %+v", l)
	}
	if _, err := keys.Description(m.Keys(), args.Number); err != keys.ErrUnknown {
		t.Errorf("description of what is being prepared: %v", err)
	}
	refused(t, run(c, "east", keys.MethodClose, keys.CloseArgs{Number: args.Number}), keys.ErrUnknown)
	other := args
	other.Windows[0].Milliseconds++
	refused(t, run(c, "north", keys.MethodOpen, other), keys.ErrRunning)
	// Another member goes on; a grant that ended meanwhile stays listed.
	b.grants = append(b.grants[:7:7], b.grants[8:]...)
	r := m.Resume(args)
	if g := latest(t, m).Grants; g != count || len(r.Description.Secrets) != count+2 {
		t.Fatalf("%d grants are listed, %d secrets", g, len(r.Description.Secrets))
	}
	r.ToConfirm()
	r.Post()
	closes := 0
	for ; latest(t, m).State == keys.Running; closes++ {
		refused(t, r.Close(), "")
		if a := current(t, m); latest(t, m).State == keys.Running && a.Generation != 1 {
			t.Fatal("the authority changes before all its grants are stored")
		}
	}
	if closes != 3 { // 202 bytes each, 20 to a transaction
		t.Errorf("%d transactions store the result, want 3", closes)
	}
	r.Keep()
	for id, shares := range m.Grants {
		s, holders, lost, err := keys.Moved(m.Keys(), id)
		if err != nil || lost || len(holders) != 4 || s.Generation() != 2 {
			t.Fatalf("%s: %v, %v, %v, %v", id, s, holders, lost, err)
		}
		if err := shares["south"].Check(s); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
	if s, _, lost, err := keys.Moved(m.Keys(), "g-"); s != nil || lost || err != nil {
		t.Errorf("a grant that never was: %v, %v, %v", s, lost, err)
	}
}

// BenchmarkCeremony measures what the contract does for a refresh of a
// thousand grants: the transactions that post a deal, and those that close.
func BenchmarkCeremony(b *testing.B) {
	grants := new(book)
	grants.deal(b, 1000)
	for b.Loop() {
		live := new(book)
		c := newChainOf(b, 4, live.live)
		m := keystest.Found(b, c)
		live.grants, m.Grants = grants.grants, grants.shares
		open, post, end := time.Duration(0), time.Duration(0), time.Duration(0)
		spend := func(d *time.Duration, f func()) {
			begin := time.Now()
			f()
			*d += time.Since(begin)
		}
		var r *keystest.Run
		spend(&open, func() { r = m.Open() })
		r.Post()
		var list []keys.PostArgs
		var names []string
		for _, name := range r.Names {
			raw := r.Machines[name].Pending()[0].Sign(ledgertest.Key(name))
			for _, p := range keystest.Parts(r.Number, dkg.PhaseDeal, 0, raw) {
				list, names = append(list, p), append(names, name)
			}
		}
		spend(&post, func() {
			for i, p := range list {
				m.Must(names[i], keys.Contract, keys.MethodPost, p)
			}
		})
		r.Follow()
		r.ToConfirm()
		r.Post()
		spend(&end, func() {
			m.Must("east", keys.Contract, keys.MethodClose, keys.CloseArgs{Number: r.Number})
		})
		b.ReportMetric(float64(open.Milliseconds()), "ms/open+machines")
		b.ReportMetric(float64(post.Milliseconds())/4, "ms/deal")
		b.ReportMetric(float64(end.Milliseconds()), "ms/close")
	}
}
