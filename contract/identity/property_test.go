package identity_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// Whatever transactions come in whatever order, signed by whomever, in blocks of
// several: a name has one key and only its holder or a quorum replaces it, no
// key ever moves to another name, and counters only rise.
func TestNoInterleavingCapturesANameOrAKey(t *testing.T) {
	accepted := map[string]int{}
	play := func(rt *rapid.T) {
		w := newWorld(t)
		p := &player{rt: rt, w: w, lost: rapid.Bool().Draw(rt, "keys are lost")}
		for key, name := range map[string]identity.Name{"k1": "a@north", "k2": "b@north"} {
			w.must("north", "register", identity.RegisterArgs{
				Name: name, Key: ledgertest.Public(key), Possession: possession(key, "register", name), Controller: true,
			})
		}
		before := w.model()
		for range rapid.IntRange(20, 40).Draw(rt, "blocks") {
			w.wait(time.Duration(rapid.SampledFrom([]int64{identity.MinRecoveryWait, 0, 1, identity.MinRecoveryWait, identity.RecoveryWindow}).Draw(rt, "wait")) * time.Millisecond)
			var txs []*chain.Tx
			var tried []move
			for range rapid.IntRange(1, 5).Draw(rt, "transactions") {
				m := p.move()
				tried = append(tried, m)
				txs = append(txs, w.Tx(m.signer, "identity", m.method, m.args))
			}
			results := w.Run(txs...)
			after := w.model()
			for i, r := range results {
				if r.Code == chain.ErrFault || r.Code == chain.ErrFailed {
					rt.Fatalf("%s by %s: %s", tried[i].method, tried[i].signer, r.Code)
				}
				if r.Code == "" {
					accepted[tried[i].method]++
				}
			}
			check(rt, before, after, tried, results)
			before = after
		}
	}
	never := func() []string {
		return slices.DeleteFunc([]string{
			"register", "attest", "hand-over", "rotate", "epoch", "custody", "recover", "approve", "finish", "veto",
			"guardian", "end-guardian", "approve-guardian", "finish-guardian", "custody-off",
		}, func(method string) bool { return accepted[method] > 0 })
	}
	rapid.Check(t, play)
	for range 20 { // some are rare
		if len(never()) > 0 && !testing.Short() && !t.Failed() {
			rapid.Check(t, play)
		}
	}
	if len(never()) > 0 && !testing.Short() {
		t.Errorf("no %v was ever accepted, of %v: the test tests little", never(), accepted)
	}
}

// move is a transaction that may or may not be accepted.
type move struct {
	signer, method string
	args           any
	name           identity.Name // that it is about, if it says so
}

var playedKeys = []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "north"}

// other returns a member that is not one of these.
func (p *player) other(members []string) string {
	return rapid.SampledFrom(slices.DeleteFunc(ledgertest.Members(4), func(m string) bool { return slices.Contains(members, m) })).Draw(p.rt, "other")
}

// holder returns whose key it is.
func holder(key chain.PublicKey) string {
	i := slices.IndexFunc(playedKeys, func(k string) bool { return ledgertest.Public(k) == key })
	return playedKeys[i]
}

type player struct {
	rt   *rapid.T
	w    *world
	lost bool // holders of keys sign nothing
}

func (p *player) move() move {
	names := []identity.Name{"a@north", "b@north", "a@south"}
	m := move{name: rapid.SampledFrom(names).Draw(p.rt, "name"), method: rapid.SampledFrom([]string{
		"register", "register", "attest", "hand-over", "rotate", "epoch", "custody", "recover", "approve", "approve", "approve", "approve", "approve", "finish", "finish", "veto",
		"guardian", "guardian", "guardian", "approve-guardian", "approve-guardian", "approve-guardian", "finish-guardian", "end-guardian", "custody-off",
	}).Draw(p.rt, "method")}
	name := m.name
	key := rapid.SampledFrom(playedKeys).Draw(p.rt, "key")
	m.signer = rapid.SampledFrom(append([]string{"north", "south", "east", "west"}, playedKeys...)).Draw(p.rt, "signer")
	if id, err := identity.Lookup(p.w.space(), name); err == nil && rapid.IntRange(0, 3).Draw(p.rt, "sensible") > 0 {
		// Mostly what might succeed, or histories stay short.
		step := func(methods ...string) { m.method = rapid.SampledFrom(append(methods, m.method)).Draw(p.rt, "step") }
		switch {
		case p.lost && slices.ContainsFunc(id.Recoveries, func(r identity.Recovery) bool { return len(r.Approvals) >= 3 }):
			step("finish", "finish")
		case p.lost && len(id.Recoveries) > 0:
			step("approve", "approve", "approve", "finish")
		case slices.ContainsFunc(id.Proposals, func(o identity.Proposal) bool { return len(o.Approvals) >= 3 }):
			step("finish-guardian", "finish-guardian")
		case len(id.Proposals) > 0:
			step("approve-guardian", "approve-guardian", "approve-guardian", "finish-guardian")
		case len(id.Guardians) > 0:
			step("end-guardian", m.method, m.method)
		case id.Version > 0:
			step("custody-off", "guardian", "guardian", m.method)
		case id.Controller == "":
			step("guardian", "guardian", m.method)
		}
		switch m.method {
		case "hand-over", "rotate", "epoch", "custody", "custody-off", "veto", "end-guardian":
			if m.signer = holder(id.Key); p.lost {
				m.signer = "nobody"
			}
			if m.method == "end-guardian" && len(id.Guardians) > 0 {
				m.args = identity.EndGuardianArgs{Name: name, Guardian: rapid.SampledFrom(id.Guardians).Draw(p.rt, "guardian").Name}
				return m
			}
		case "guardian":
			m.signer = rapid.SampledFrom([]string{name.Org(), holder(id.Key)}).Draw(p.rt, "namer")
		case "approve-guardian", "finish-guardian":
			m.signer = rapid.SampledFrom(ledgertest.Members(4)).Draw(p.rt, "member")
			if len(id.Proposals) > 0 {
				o := rapid.SampledFrom(id.Proposals).Draw(p.rt, "proposal")
				m.args = identity.ProposalArgs{Name: name, Member: o.Member, Guardian: o.Guardian, Kind: o.Kind, Until: o.Until, Wait: o.Ready - o.Opened}
				if len(o.Approvals) < 3 {
					m.signer = p.other(o.Approvals)
				}
				return m
			}
		case "approve", "finish", "recover":
			m.signer = rapid.SampledFrom(ledgertest.Members(4)).Draw(p.rt, "member")
			if len(id.Recoveries) > 0 && m.method != "recover" {
				key = holder(rapid.SampledFrom(id.Recoveries).Draw(p.rt, "recovery").Key)
			}
		}
	}
	proof := possession(key, m.method, name)
	switch m.method {
	case "register":
		m.args = identity.RegisterArgs{
			Name: name, Key: ledgertest.Public(key), Possession: proof, Controller: rapid.Bool().Draw(p.rt, "controlled"),
			Attributes: attribute(rapid.SampledFrom([][]string{nil, {"author"}, {"registrar"}}).Draw(p.rt, "attributes")...),
		}
	case "attest":
		m.args = identity.AttestArgs{Name: name, Attributes: attribute(rapid.SampledFrom([]string{"author", "registrar"}).Draw(p.rt, "attribute"))}
	case "hand-over":
		m.args = identity.HandOverArgs{Key: ledgertest.Public(key), Possession: proof}
	case "rotate":
		m.args = identity.RotateArgs{Key: ledgertest.Public(key), Possession: proof}
	case "epoch":
		m.args = identity.EpochArgs{From: rapid.Uint64Range(0, 3).Draw(p.rt, "from")}
	case "custody":
		version := uint32(1)
		if id, err := identity.Lookup(p.w.space(), name); err == nil {
			version = id.Custodies + 1
		}
		m.args = identity.CustodyArgs{Proof: must(must(pre.GenerateCustodyKey()).Prove("records.example", string(name), version))}
	case "custody-off":
		m.args = identity.CustodyOffArgs{From: rapid.Uint32Range(1, 2).Draw(p.rt, "from")}
		if id, err := identity.Lookup(p.w.space(), name); err == nil && id.Version > 0 {
			m.args = identity.CustodyOffArgs{From: id.Version}
		}
	case "guardian":
		m.args = p.guardian(name)
	case "end-guardian":
		m.args = identity.EndGuardianArgs{Name: name, Guardian: rapid.SampledFrom(names).Draw(p.rt, "guardian")}
	case "approve-guardian", "finish-guardian":
		m.args = proposed(p.guardian(name))
	case "recover":
		m.args = identity.RecoverArgs{Name: name, Key: ledgertest.Public(key), Possession: proof, Wait: identity.MinRecoveryWait}
	case "veto":
		m.args = identity.VetoArgs{}
	default:
		m.args = identity.NameArgs{Name: name, Key: ledgertest.Public(key)}
	}
	return m
}

func (p *player) guardian(name identity.Name) identity.GuardianArgs {
	return identity.GuardianArgs{
		Name:     name,
		Guardian: rapid.SampledFrom([]identity.Name{"a@north", "b@north", "a@south"}).Draw(p.rt, "guardian"),
		Kind:     rapid.SampledFrom([]identity.Guardianship{identity.Death, identity.Delegate, identity.Incapacity, identity.Minor}).Draw(p.rt, "kind"),
		Until:    rapid.SampledFrom([]int64{0, p.w.Now.UnixMilli() + 1, p.w.Now.UnixMilli() + 2*identity.MinRecoveryWait}).Draw(p.rt, "until"),
		Wait:     rapid.SampledFrom([]int64{identity.MinRecoveryWait, 0}).Draw(p.rt, "wait"),
	}
}

// model is the state as the invariants see it.
type model struct {
	identities map[identity.Name]*identity.Identity
	keys       map[string]string // every key ever proposed, and its name
}

func (w *world) model() model {
	m := model{map[identity.Name]*identity.Identity{}, map[string]string{}}
	if err := identity.Each(w.space(), "", "", func(id *identity.Identity) bool {
		m.identities[id.Name] = id
		return true
	}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.space().Scan([]byte("k/"), nil, func(k, v []byte) bool {
		m.keys[string(k[2:])] = string(v)
		return true
	}); err != nil {
		w.t.Fatal(err)
	}
	return m
}

func check(rt *rapid.T, before, after model, tried []move, results []chain.Result) {
	for k, name := range before.keys {
		if after.keys[k] != name {
			rt.Fatalf("a key has moved from %q to %q", name, after.keys[k])
		}
	}
	for name, old := range before.identities {
		id := after.identities[name]
		if id == nil {
			rt.Fatalf("%s has gone", name)
		}
		if id.Epoch < old.Epoch || id.Custodies < old.Custodies || id.Version != 0 && id.Version != id.Custodies || (id.Version == 0) != (len(id.Custody) == 0) ||
			id.Version == 0 && old.Version != 0 && id.Epoch == old.Epoch || id.Registered != old.Registered || id.Changed < old.Changed {
			rt.Fatalf("%+v went back to %+v", old, id)
		}
		if id.Controller != old.Controller && id.Controller != "" {
			rt.Fatalf("%s has lost control to %q", name, id.Controller)
		}
		if id.Key != old.Key && !mayReplaceKey(old, tried, results) {
			rt.Fatalf("%s has a key that neither its holder nor a quorum chose", name)
		}
		checkGuardians(rt, old, id, after.keys, tried, results)
	}
	for name, id := range after.identities {
		if after.keys[string(id.Key[:])] != string(name) {
			rt.Fatalf("the key of %s is said to be %q's", name, after.keys[string(id.Key[:])])
		}
		var openers, words []string
		for _, r := range id.Recoveries {
			openers, words = append(openers, r.Member), append(words, r.Approvals...)
			if after.keys[string(r.Key[:])] != string(name) || len(r.Approvals) == 0 || !slices.IsSorted(r.Approvals) {
				rt.Fatalf("recovery %+v", r)
			}
		}
		slices.Sort(words)
		if !slices.IsSorted(openers) || len(slices.Compact(slices.Clone(openers))) != len(openers) || len(slices.Compact(slices.Clone(words))) != len(words) {
			rt.Fatalf("members have more than a word: %s", fmt.Sprint(id.Recoveries))
		}
	}
}

// mayReplaceKey reports whether an accepted transaction of the block was signed
// by a key of the identity, or ended a recovery that was ready before and that a
// quorum approved by the end of the block.
func mayReplaceKey(old *identity.Identity, tried []move, results []chain.Result) bool {
	for i, m := range tried {
		if results[i].Code != "" {
			continue
		}
		switch m.method {
		case "rotate", "hand-over":
			if ledgertest.Public(m.signer) == old.Key {
				return true
			}
		case "finish":
			for _, r := range old.Recoveries {
				if m.name == old.Name && r.Key == m.args.(identity.NameArgs).Key && results[i].Time >= r.Ready {
					return quorum(r, tried[:i], results)
				}
			}
		}
	}
	return false
}

// quorum reports whether enough members stood by a recovery, counting those that
// approved earlier in the block.
func quorum(r identity.Recovery, tried []move, results []chain.Result) bool {
	members := slices.Clone(r.Approvals)
	for i, m := range tried {
		if a, ok := m.args.(identity.NameArgs); ok && m.method == "approve" && results[i].Code == "" && a.Key == r.Key {
			members = append(members, m.signer)
		}
	}
	slices.Sort(members)
	return len(slices.Compact(members)) >= 3
}

// checkGuardians checks that nobody acts for a name but whom its holder, the
// organisation that holds its key, or a quorum named.
func checkGuardians(rt *rapid.T, old, id *identity.Identity, keys map[string]string, tried []move, results []chain.Result) {
	var words []string
	for _, p := range id.Proposals {
		words = append(words, p.Approvals...)
	}
	if slices.Sort(words); len(slices.Compact(slices.Clone(words))) != len(words) || len(id.Guardians) > identity.MaxGuardians {
		rt.Fatalf("proposals %+v, guardians %+v", id.Proposals, id.Guardians)
	}
	for _, g := range id.Guardians {
		if slices.Contains(old.Guardians, g) {
			continue
		}
		if !mayGuard(old, g, keys, tried, results) {
			rt.Fatalf("%s has a guardian that nobody with a say named: %+v", id.Name, g)
		}
	}
}

func mayGuard(old *identity.Identity, g identity.Guardian, keys map[string]string, tried []move, results []chain.Result) bool {
	for i, m := range tried {
		if results[i].Code != "" || m.name != old.Name {
			continue
		}
		switch a := m.args.(type) {
		case identity.GuardianArgs:
			named := a.Guardian == g.Name && a.Kind == g.Kind && a.Until == g.Until && a.Wait == 0
			signer := ledgertest.Public(m.signer)
			if named && (g.By == "" && keys[string(signer[:])] == string(old.Name) || g.By == m.signer && old.Controller == m.signer) {
				return true
			}
		case identity.ProposalArgs:
			if m.method != "finish-guardian" || a.Member != g.By || a.Guardian != g.Name || a.Kind != g.Kind || a.Until != g.Until {
				continue
			}
			for _, p := range old.Proposals {
				if p.Member != g.By || p.Guardian != g.Name || p.Kind != g.Kind || p.Until != g.Until || results[i].Time < p.Ready {
					continue
				}
				members := slices.Clone(p.Approvals)
				for j, o := range tried[:i] {
					if b, ok := o.args.(identity.ProposalArgs); ok && b == a && o.method == "approve-guardian" && results[j].Code == "" {
						members = append(members, o.signer)
					}
				}
				slices.Sort(members)
				if len(slices.Compact(members)) >= 3 {
					return true
				}
			}
		}
	}
	return false
}
