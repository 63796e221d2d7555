package pre

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// The claims of SPEC.md, section 11. Where the interface refuses a
// combination outright, these tests go behind it and do the algebra an attacker
// would.

func TestCollusionBelowThresholdOpensNothing(t *testing.T) {
	for _, size := range []struct{ n, t int }{{3, 2}, {4, 2}, {4, 3}, {5, 3}, {7, 4}} {
		t.Run(fmt.Sprintf("%d-of-%d", size.t, size.n), func(t *testing.T) {
			c := newConsortium(t, size.n, size.t)
			alice, bob := c.identity("p-1@north"), c.identity("dr.lee@south")
			r, _ := c.put(alice, "lab", "x")
			d, shares := c.grant(alice, "lab", bob)
			g := d.Grant()
			a, _ := c.access(r)
			all := answers(t, g, g.Sharing(), a, shares...)
			parts := make([]*PartialKey, size.n)
			for i, s := range c.shares {
				parts[i], _ = s.Extract(alice, "lab")
			}
			for _, who := range subsets(size.n, size.t) {
				if _, err := d.Open(g.Sharing(), a, pick(all, who)); err != nil {
					t.Errorf("members %v of the threshold open nothing: %v", who, err)
				}
				if _, err := c.authority.CombineKey(alice, "lab", pick(parts, who)); err != nil {
					t.Errorf("members %v of the threshold extract nothing: %v", who, err)
				}
			}
			for _, who := range subsets(size.n, size.t-1) {
				if _, err := d.Open(g.Sharing(), a, pick(all, who)); !errors.Is(err, ErrShares) {
					t.Errorf("members %v below the threshold: %v", who, err)
				}
				if _, err := c.authority.CombineKey(alice, "lab", pick(parts, who)); !errors.Is(err, ErrShares) {
					t.Errorf("members %v below the threshold: %v", who, err)
				}
				colludeBelowThreshold(t, d, r, pick(all, who), pick(parts, who))
			}
		})
	}
}

// colludeBelowThreshold interpolates what t−1 members have, as if t−1 were the
// threshold, and tries to open the record with it.
func colludeBelowThreshold(t *testing.T, d *Delegation, r *Record, all []*Answer, parts []*PartialKey) {
	t.Helper()
	var x []uint8
	var points []pairing.G1
	var keys []pairing.G2
	for i := range all {
		x, points, keys = append(x, all[i].index), append(points, all[i].points[0]), append(keys, parts[i].d)
	}
	l, err := pairing.NewLagrange(x)
	must(t, err)
	if _, err := r.openWrap(d.half.PairProduct(r.envelope.u, l.CombineG1(points), d.q), 0); !errors.Is(err, ErrDecrypt) {
		t.Errorf("members %v below the threshold open the record", x)
	}
	if _, err := r.openWrap(pairing.Pair(r.envelope.u, l.CombineG2(keys)), 0); !errors.Is(err, ErrDecrypt) {
		t.Errorf("members %v below the threshold extract the key", x)
	}
}

// TestGrantOpensExactlyItsCells walks owners × types × epochs for each grant of
// a reader, and in every cell tries the grant at every level of the record.
func TestGrantOpensExactlyItsCells(t *testing.T) {
	c := newConsortium(t, 4, 3)
	types := []Type{"", "lab", "lab/cbc", "laboratory", "clinical", "clinical/sealed:hiv", "clinical/sealed:hiv/load"}
	type cell struct {
		owner string
		epoch uint64
		typ   Type
	}
	records := make(map[cell]*Record)
	for _, owner := range []string{"p-1@north", "p-2@north"} {
		for epoch := range uint64(2) {
			for _, typ := range types {
				id := c.identity(owner)
				id.Epoch = epoch
				records[cell{owner, epoch, typ}], _ = c.put(id, typ, fmt.Sprint(len(records)))
			}
		}
	}
	reach := map[Type][]Type{
		"":                    {"", "lab", "lab/cbc", "laboratory", "clinical"},
		"lab":                 {"lab", "lab/cbc"},
		"clinical":            {"clinical"},
		"clinical/sealed:hiv": {"clinical/sealed:hiv", "clinical/sealed:hiv/load"},
	}
	alice := c.identity("p-1@north")
	for granted, want := range reach {
		reached := make(map[cell]bool)
		for _, typ := range want {
			reached[cell{"p-1@north", 0, typ}] = true
		}
		d, shares := c.grant(alice, granted, c.identity("dr.lee@south"))
		g := d.Grant()
		for where, r := range records {
			a, _ := c.access(r)
			var points []pairing.G1
			for _, s := range shares[:3] {
				points = append(points, s.secret.MulG1(r.envelope.u)) // what a careless member would answer
				if _, err := s.Reencrypt(g, g.Sharing(), a); (err == nil) != reached[where] || (err != nil && !errors.Is(err, ErrNotCovered)) {
					t.Fatalf("grant on %q, record %v: a member says %v", granted, where, err)
				}
			}
			l, _ := pairing.NewLagrange([]uint8{1, 2, 3})
			k := d.half.PairProduct(r.envelope.u, l.CombineG1(points), d.q)
			opened := false
			for level := range r.header.Type.Levels() {
				_, err := r.openWrap(k, level)
				opened = opened || err == nil
			}
			if opened != reached[where] {
				t.Errorf("grant on %q, record %v: opened = %v", granted, where, opened)
			}
		}
	}
}

func TestCollusionLearnsTheGrantedTypeOnly(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, x := c.custody("p-1@north")
	bob, y := c.custody("dr.lee@south")
	g, shares, err := c.complete(alice, x, "lab").Grant(c.terms("g"), bob)
	must(t, err)
	half, err := c.complete(bob, y, inbox).openHalf(g.sealed, g.context)
	must(t, err)
	e, err := pairing.ParseG2(half)
	must(t, err)

	// t members pool their shares of w₀; with the reader's half that is D'.
	q := alice.typed("lab").point()
	w0 := recoverSecret(t, shares[:3])
	leaked := &PrivateKey{alice, "lab", e.Add(w0.MulG2(q))}
	if leaked.check() != nil {
		t.Fatal("E + w₀·Q is not the owner's key: the test's algebra is wrong")
	}
	covered, _ := c.put(alice, "lab/cbc", "1")
	if _, err := leaked.OpenRecord(covered); err != nil {
		t.Errorf("t members and the reader cannot open the granted type: %v", err)
	}
	later := alice
	later.Epoch = 1
	for _, other := range []struct {
		owner Identity
		typ   Type
	}{{alice, "imaging"}, {alice, ""}, {later, "lab"}} {
		r, _ := c.put(other.owner, other.typ, "2")
		for level := range other.typ.Levels() {
			if _, err := r.openWrap(pairing.Pair(r.envelope.u, leaked.d), level); !errors.Is(err, ErrDecrypt) {
				t.Errorf("the leaked key opens %q of epoch %d", other.typ, other.owner.Epoch)
			}
		}
	}

	// All the members together, without the reader, have s and w₀ and still
	// not the key: x is missing in D, and the half in w₀·Q.
	r, _ := c.put(alice, "lab", "3")
	for name, d := range map[string]pairing.G2{
		"s·Q": c.secret.MulG2(q), "w₀·Q": w0.MulG2(q), "(s+w₀)·Q": c.secret.Add(w0).MulG2(q),
	} {
		if _, err := r.openWrap(pairing.Pair(r.envelope.u, d), 0); !errors.Is(err, ErrDecrypt) {
			t.Errorf("the members open an owner in self-custody with %s", name)
		}
	}
}

// TestMembersReadOwnersWithoutSelfCustody states what is not protected: t
// members extract any key, so a grant's split protects its owner against them
// only in self-custody.
func TestMembersReadOwnersWithoutSelfCustody(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice := c.identity("p-1@north")
	r, _ := c.put(alice, "lab", "x")
	s := recoverSecret(t, c.shares[1:])
	if _, err := r.openWrap(pairing.Pair(r.envelope.u, s.MulG2(alice.typed("lab").point())), 0); err != nil {
		t.Errorf("t members do not read the record; SECURITY.md says they do: %v", err)
	}
}

// TestExposedGrantHandsMembersTheKey shows why a grant from self-custody to a
// plain inbox is refused: t members extract the reader's inbox key, open E, add
// w₀·Q, and hold the owner's key without her x.
func TestExposedGrantHandsMembersTheKey(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, x := c.custody("p-1@north")
	bob := c.identity("dr.lee@south")
	terms := c.terms("g")
	key := c.complete(alice, x, "lab")
	if _, _, err := key.Grant(terms, bob); !errors.Is(err, ErrExposed) {
		t.Fatalf("a grant from self-custody to a plain inbox: %v", err)
	}
	terms.Expose = true
	g, shares, err := key.Grant(terms, bob)
	must(t, err)
	half, err := c.extract(bob, inbox).openHalf(g.sealed, g.context)
	must(t, err)
	e, err := pairing.ParseG2(half)
	must(t, err)
	d := e.Add(recoverSecret(t, shares[:3]).MulG2(alice.typed("lab").point()))
	if !d.Equal(key.d) {
		t.Error("the members did not recover the owner's key; --expose costs less than the text says")
	}
}

func TestReaderAloneOpensNothing(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, bob := c.identity("p-1@north"), c.identity("dr.lee@south")
	r, _ := c.put(alice, "lab", "x")
	d, _ := c.grant(alice, "lab", bob)
	a0, u := d.Grant().Sharing().Key().g, r.envelope.u
	q := alice.typed("lab").point().Prepare()
	for name, k := range map[string]pairing.GT{
		"e(U, E)":                 d.half.Pair(u),
		"e(U, E)·e(A₀, Q)":        d.half.PairProduct(u, a0, q),
		"e(U, E)·e(U, Q)":         d.half.PairProduct(u, u, q),
		"e(U, E)·e(P, Q)":         d.half.PairProduct(u, alice.Key.g, q),
		"e(U + A₀, E)":            d.half.Pair(u.Add(a0)),
		"e(U, E)·e(Ubar, Q)":      d.half.PairProduct(u, r.envelope.ubar, q),
		"e(U, E)·e(P − A₀, Q)":    d.half.PairProduct(u, alice.Key.g.Sub(a0), q),
		"e(U, E)·e(A₀ + U, Q)":    d.half.PairProduct(u, a0.Add(u), q),
		"e(P, E)·e(A₀, Q)":        d.half.PairProduct(alice.Key.g, a0, q),
		"e(U, own inbox key)":     pairing.Pair(u, c.extract(bob, inbox).d),
		"e(U, own key for a lab)": pairing.Pair(u, c.extract(bob, "lab").d),
	} {
		if _, err := r.openWrap(k, 0); !errors.Is(err, ErrDecrypt) {
			t.Errorf("the reader alone opens the record with %s", name)
		}
	}
}

func TestMembersAloneOpenNothing(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, x := c.custody("p-1@north")
	bob, _ := c.custody("dr.lee@south")
	r, _ := c.put(alice, "lab", "x")
	g, shares, err := c.complete(alice, x, "lab").Grant(c.terms("g"), bob)
	must(t, err)
	w0 := recoverSecret(t, shares[1:])
	u, q := r.envelope.u, alice.typed("lab").point()
	for name, k := range map[string]pairing.GT{
		"w₀":                 pairing.Pair(w0.MulG1(u), q),
		"s":                  pairing.Pair(c.secret.MulG1(u), q),
		"s + w₀":             pairing.Pair(c.secret.Add(w0).MulG1(u), q),
		"s and bob's inbox":  pairing.Pair(u, c.secret.MulG2(bob.typed(inbox).point())),
		"the seal's S and s": pairing.Pair(u, c.secret.MulG2(q).Add(w0.MulG2(q))),
	} {
		if _, err := r.openWrap(k, 0); !errors.Is(err, ErrDecrypt) {
			t.Errorf("all members together open the record with %s", name)
		}
	}
	if _, err := c.extract(c.identity(bob.Name), inbox).openHalf(g.sealed, g.context); !errors.Is(err, ErrDecrypt) {
		t.Error("the members open the half sealed to a reader in self-custody")
	}
}

func TestRevokedReaderWithAllTrafficOpensNothingNew(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, bob := c.identity("p-1@north"), c.identity("dr.lee@south")
	d, shares := c.grant(alice, "lab", bob)
	g := d.Grant()
	l, _ := pairing.NewLagrange([]uint8{1, 2, 3})
	var traffic []pairing.G1
	for i := range 5 {
		old, _ := c.put(alice, "lab", fmt.Sprint(i))
		a, _ := c.access(old)
		var parts []pairing.G1
		for _, ans := range answers(t, g, g.Sharing(), a, shares[:3]...) {
			parts = append(parts, ans.points[0])
		}
		traffic = append(traffic, l.CombineG1(parts), old.envelope.u, parts[0])
	}
	fresh, _ := c.put(alice, "lab", "fresh")
	sum := pairing.G1{}
	for _, p := range traffic {
		sum = sum.Add(p)
		for _, try := range []pairing.G1{p, sum, p.Add(fresh.envelope.u), p.Sub(fresh.envelope.u)} {
			if _, err := fresh.openWrap(d.half.PairProduct(fresh.envelope.u, try, d.q), 0); !errors.Is(err, ErrDecrypt) {
				t.Fatal("old answers open a new record")
			}
		}
	}
}

// recoverSecret pools shares, as colluding members do.
func recoverSecret(t testing.TB, shares []*Share) *pairing.Secret {
	t.Helper()
	var x []uint8
	var v []*pairing.Secret
	for _, s := range shares {
		x, v = append(x, s.index), append(v, s.secret)
	}
	l, err := pairing.NewLagrange(x)
	must(t, err)
	return l.CombineSecrets(v)
}

func TestReshareKeepsGrantsWithoutTheOwner(t *testing.T) {
	c := newConsortium(t, 4, 3)
	alice, bob := c.identity("p-1@north"), c.identity("dr.lee@south")
	r, _ := c.put(alice, "lab", "x")
	d, first := c.grant(alice, "lab", bob)
	g := d.Grant()
	w0 := recoverSecret(t, first)
	a, _ := c.access(r)
	second, grown := deal(t, w0, 2, 5, 3)
	third, shrunk := deal(t, w0, 3, 4, 3)
	for _, round := range []struct {
		sharing *Sharing
		shares  []*Share
	}{{g.Sharing(), first}, {second, grown}, {third, shrunk}} {
		if _, err := d.Open(round.sharing, a, answers(t, g, round.sharing, a, round.shares[1:4]...)); err != nil {
			t.Errorf("generation %d does not open the old record: %v", round.sharing.Generation(), err)
		}
	}

	// The fifth member left. Its share and t−1 of the new ones are worthless.
	leaver := answers(t, g, second, a, grown[4])
	mixed := append(answers(t, g, third, a, shrunk[:2]...), leaver...)
	for _, s := range []*Sharing{second, third} {
		if _, err := d.Open(s, a, mixed); !errors.Is(err, ErrShares) {
			t.Errorf("answers of two generations are combined: %v", err)
		}
	}
	l, _ := pairing.NewLagrange([]uint8{1, 2, 5})
	points := []pairing.G1{mixed[0].points[0], mixed[1].points[0], mixed[2].points[0]}
	if _, err := r.openWrap(d.half.PairProduct(r.envelope.u, l.CombineG1(points), d.q), 0); !errors.Is(err, ErrDecrypt) {
		t.Error("a leaver's old share opens a record together with new ones")
	}

	// A share answers only under the sharing it belongs to, and only for a
	// sharing of the same secret.
	if _, err := first[0].Reencrypt(g, second, a); !errors.Is(err, ErrShares) {
		t.Errorf("a share of generation 1 answers in generation 2: %v", err)
	}
	stranger, shares := deal(t, c.secret, 2, 4, 3)
	if _, err := shares[0].Reencrypt(g, stranger, a); !errors.Is(err, ErrShares) {
		t.Errorf("a share of another secret answers for the grant: %v", err)
	}
}
