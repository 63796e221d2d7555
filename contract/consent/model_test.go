package consent_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// oracle says in the plainest words what a grant allows.
type oracle struct {
	epoch   uint64
	grants  []*modelGrant
	records []*modelRecord
	used    []modelUse

	physician, contractor bool          // what south attests of the reader
	holder                identity.Name // of the workflow
}

type modelGrant struct {
	id       consent.GrantID
	to       identity.Name // "" for a policy
	policy   string
	typ      pre.Type
	epoch    uint64
	cond     consent.Conditions
	accepted map[string]bool
	uses     uint32
	ended    bool
}

type modelRecord struct {
	id     record.ID
	typ    pre.Type
	epoch  uint64
	dated  int64
	erased bool
}

type modelUse struct {
	index   uint64
	at      int64
	who     identity.Name
	grant   *modelGrant
	records []*modelRecord
}

func (g *modelGrant) over(now int64) bool {
	return g.ended || g.cond.NotAfter != 0 && now > g.cond.NotAfter
}

// allows says whether an access is to be accepted.
func (o *oracle) allows(g *modelGrant, who identity.Name, now int64, purpose consent.Purpose, takesOn bool, records []*modelRecord) bool {
	if !o.may(g, who) || takesOn != (len(g.cond.Obligations) > 0) {
		return false
	}
	if g.over(now) || now < g.cond.NotBefore || len(g.accepted) < 3 || g.cond.MaxUses > 0 && g.uses >= g.cond.MaxUses {
		return false
	}
	// The purposes that the model draws: BTG and COC are below TREAT, BTG only by its place in the tree.
	fits := len(g.cond.Purposes) == 0 && purpose != "BTG"
	for _, p := range g.cond.Purposes {
		fits = fits || p == purpose || p == "TREAT" && purpose == "COC"
	}
	if !fits {
		return false
	}
	for _, r := range records {
		below := g.typ == "" || r.typ == g.typ || strings.HasPrefix(string(r.typ), string(g.typ)+"/")
		hidden := strings.Contains(string(r.typ), "sealed:") && g.typ != r.typ
		for _, x := range g.cond.Except {
			below = below && r.typ != x && !strings.HasPrefix(string(r.typ), string(x)+"/")
		}
		if !below || hidden || r.erased || r.epoch != g.epoch || r.dated < g.cond.Since || g.cond.Until != 0 && r.dated > g.cond.Until {
			return false
		}
	}
	return true
}

// TestAccessesFollowTheOracle plays random histories: an access is accepted if
// and only if the oracle allows it, and answered as long as it says.
func TestAccessesFollowTheOracle(t *testing.T) {
	checks := "50"
	if testing.Short() {
		checks = "60" // of which rapid plays a fifth
	}
	old := flag.Lookup("rapid.checks").Value.String()
	if old == "100" { // unless somebody asked for more
		if err := flag.Set("rapid.checks", checks); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = flag.Set("rapid.checks", old) }()
	}
	w := policyWorld(t)
	histories, accepted, refused, policies := 0, 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		h := &history{world: w, o: new(oracle), owner: identity.Name(fmt.Sprintf("model-%d@north", histories)), keys: make(map[string]*pre.PrivateKey)}
		w.register(h.owner)
		h.attestReader(rt)
		h.handOn(rt)
		for range 3 {
			h.putRecord(rt)
		}
		h.grantPlainly(reader, "")
		h.grantPlainly("", h.o.satisfied())
		for _, g := range h.o.grants {
			r := h.keep(h.put(h.owner, "lab", 0))
			h.access(rt, g, reader, consent.Treatment, false, r)
		}
		h.makeGrant(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"grant":   h.makeGrant,
			"accept":  h.acceptGrant,
			"revoke":  h.endGrant,
			"put":     h.putRecord,
			"erase":   h.eraseRecord,
			"attest":  h.attestReader,
			"hand":    h.handOn,
			"access":  h.accessRecords,
			"access2": h.accessRecords,
			"access3": h.accessRecords,
			"access4": h.accessRecords,
			"wait": func(rt *rapid.T) {
				w.wait(time.Duration(rapid.SampledFrom([]int{10, 40, 90, 24 * 60}).Draw(rt, "minutes")) * time.Minute)
			},
			"epoch": func(rt *rapid.T) {
				if rapid.SampledFrom([]bool{false, false, false, true}).Draw(rt, "rarely") {
					w.raiseEpoch(h.owner)
					h.o.epoch++
				}
			},
			"": h.checkAnswers,
		})
		accepted, refused = accepted+len(h.o.used), refused+h.refused
		for _, u := range h.o.used {
			if u.grant.policy != "" {
				policies++
			}
		}
	})
	t.Logf("%d histories, %d accesses accepted, %d of them by policies, %d refused", histories, accepted, policies, refused)
	// Each history begins with two that are accepted, one of them by a policy.
	if refused == 0 || accepted <= 2*histories && !testing.Short() {
		t.Error("the histories do not tell one from the other")
	}
}

// history is one owner's in the world of all.
type history struct {
	*world
	o       *oracle
	owner   identity.Name
	keys    map[string]*pre.PrivateKey
	refused int
}

var modelTypes = []pre.Type{"", "lab", "lab/blood", "laboratory", "lab/sealed:hiv"}

func (h *history) makeGrant(rt *rapid.T) {
	typ := rapid.SampledFrom(modelTypes).Draw(rt, "type")
	sometimes := func(what string) bool { return rapid.SampledFrom([]bool{false, false, false, true}).Draw(rt, what) }
	var cond consent.Conditions
	if sometimes("counted") {
		cond.MaxUses = uint32(rapid.IntRange(1, 3).Draw(rt, "uses"))
	}
	if sometimes("later") {
		cond.NotBefore = h.now() + int64(rapid.IntRange(0, 24).Draw(rt, "hours"))*3_600_000
	}
	if sometimes("ends") {
		cond.NotAfter = max(cond.NotBefore, h.now()) + 1 + int64(rapid.IntRange(0, 96).Draw(rt, "for"))*3_600_000
	}
	if sometimes("dated") {
		cond.Since = h.now() - int64(rapid.IntRange(0, 10).Draw(rt, "since"))*day.Milliseconds()
		cond.Until = cond.Since + int64(rapid.IntRange(0, 10).Draw(rt, "until"))*day.Milliseconds()
	}
	if sometimes("purposes") {
		for _, p := range []consent.Purpose{"BTG", "COC", "HRESCH", "TREAT"} {
			if rapid.Bool().Draw(rt, string(p)) {
				cond.Purposes = append(cond.Purposes, p)
			}
		}
	}
	if sometimes("excepts") && typ != "lab/blood" && typ != "laboratory" && typ != "lab/sealed:hiv" {
		cond.Except = []pre.Type{"lab/blood"}
	}
	if sometimes("obliges") {
		cond.Obligations = []consent.Obligation{"DELAU"}
	}
	if sometimes("while held") {
		cond.Instance = h.instance()
	}
	to := rapid.SampledFrom([]identity.Name{reader, stranger}).Draw(rt, "to")
	if rapid.Bool().Draw(rt, "to a policy") {
		to = ""
	}
	opt := terms{Conditions: cond}
	policy := ""
	if to == "" {
		policy = rapid.SampledFrom([]string{
			"south:role = physician", "not south:contractor", physicians, "north:contractor or south:contractor", "not north:role = nurse",
		}).Draw(rt, "policy")
		opt.to = h.policy(policy)
	}
	o := h.offer(h.owner, to, typ, opt)
	g := &modelGrant{id: o.id, to: to, policy: policy, typ: typ, epoch: h.o.epoch, cond: cond, accepted: make(map[string]bool)}
	if live := h.live(); len(live) > 0 && sometimes("renews") {
		old := rapid.SampledFrom(live).Draw(rt, "old")
		o.args.Renews = old.id
		same := old.to == to && old.policy == policy
		if ok := o.send().Code == ""; ok != same {
			rt.Fatalf("renewal of a grant to %s%s by one to %s%s: %v", old.to, old.policy, to, policy, ok)
		}
		if !same {
			return
		}
		old.ended = true
	} else {
		h.must(o.send())
	}
	h.o.grants = append(h.o.grants, g)
	for _, m := range []string{"east", "north", "south", "west"}[:rapid.SampledFrom([]int{4, 4, 4, 3, 2, 0}).Draw(rt, "accepts")] {
		h.accept(g.id, m)
		g.accepted[m] = true
	}
}

// grantPlainly makes a grant on everything that is for ever and held by all.
func (h *history) grantPlainly(to identity.Name, policy string) {
	var opt terms
	if policy != "" {
		opt.to = h.policy(policy)
	}
	o := h.offer(h.owner, to, "", opt)
	h.must(o.send())
	g := &modelGrant{id: o.id, to: to, policy: policy, epoch: h.o.epoch, accepted: make(map[string]bool)}
	for _, m := range []string{"east", "north", "south", "west"} {
		h.accept(g.id, m)
		g.accepted[m] = true
	}
	h.o.grants = append(h.o.grants, g)
}

// live returns the grants that are not revoked or replaced.
func (h *history) live() (list []*modelGrant) {
	for _, g := range h.o.grants {
		if !g.ended {
			list = append(list, g)
		}
	}
	return list
}

func (h *history) anyGrant(rt *rapid.T) *modelGrant {
	if len(h.o.grants) == 0 {
		rt.Skip("no grant")
	}
	return rapid.SampledFrom(h.o.grants).Draw(rt, "grant")
}

func (h *history) acceptGrant(rt *rapid.T) {
	g, m := h.anyGrant(rt), rapid.SampledFrom([]string{"east", "north", "south", "west"}).Draw(rt, "member")
	args := consent.AcceptArgs{Accepts: []consent.Accept{{Grant: g.id, OK: true}}}
	ok := h.run(m, consent.Contract, consent.MethodAccept, args, nil).Code == ""
	if ok == g.over(h.now()) {
		rt.Fatalf("accept of a grant that is over: %v", ok)
	}
	if ok {
		g.accepted[m] = true
	}
}

func (h *history) endGrant(rt *rapid.T) {
	g := h.anyGrant(rt)
	if rapid.SampledFrom([]bool{true, true, false}).Draw(rt, "keep") {
		rt.Skip("keep it")
	}
	if ok := h.do(h.owner, consent.MethodRevoke, consent.RevokeArgs{Grant: g.id}).Code == ""; ok == g.ended {
		rt.Fatalf("revocation of a grant that ended (%v): %v", g.ended, ok)
	}
	g.ended = true
}

func (h *history) putRecord(rt *rapid.T) {
	typ, ago := rapid.SampledFrom(modelTypes).Draw(rt, "type"), rapid.IntRange(0, 10).Draw(rt, "days ago")
	h.keep(h.put(h.owner, typ, ago))
}

// keep tells the oracle of a record.
func (h *history) keep(id record.ID) *modelRecord {
	h.Helper()
	r, err := record.Lookup(h.of(record.Contract), id)
	if err != nil {
		h.Fatal(err)
	}
	m := &modelRecord{id: id, typ: r.Type, epoch: h.o.epoch, dated: r.Dated}
	h.o.records = append(h.o.records, m)
	return m
}

func (h *history) eraseRecord(rt *rapid.T) {
	if len(h.o.records) == 0 || rapid.SampledFrom([]bool{true, true, false}).Draw(rt, "keep") {
		rt.Skip("no record")
	}
	r := rapid.SampledFrom(h.o.records).Draw(rt, "record")
	h.run(string(h.owner), record.Contract, record.MethodErase, record.EraseArgs{ID: r.id}, nil)
	r.erased = true
}

func (h *history) accessRecords(rt *rapid.T) {
	g := h.anyGrant(rt)
	if len(h.o.records) == 0 {
		rt.Skip("no record")
	}
	records := h.o.records
	purposes := []consent.Purpose{"TREAT", "TREAT", "COC", "BTG", "HRESCH"}
	if rapid.SampledFrom([]bool{true, true, false}).Draw(rt, "sensible") {
		g, records = h.sensible(g)
		purposes = purposes[:3]
	}
	who := g.to
	if who == "" {
		who = reader
	}
	if rapid.SampledFrom([]bool{false, false, false, false, false, true}).Draw(rt, "stranger") {
		who = stranger
	}
	purpose := rapid.SampledFrom(purposes).Draw(rt, "purpose")
	var chosen []*modelRecord
	for range rapid.IntRange(1, 2).Draw(rt, "records") {
		if r := rapid.SampledFrom(records).Draw(rt, "record"); !slices.Contains(chosen, r) {
			chosen = append(chosen, r)
		}
	}
	takesOn := len(g.cond.Obligations) > 0 != rapid.SampledFrom([]bool{false, false, false, false, true}).Draw(rt, "careless")
	h.access(rt, g, who, purpose, takesOn, chosen...)
}

// access compares what becomes of one access with what the oracle says of it.
func (h *history) access(rt *rapid.T, g *modelGrant, who identity.Name, purpose consent.Purpose, takesOn bool, chosen ...*modelRecord) {
	var ids []record.ID
	for _, r := range chosen {
		ids = append(ids, r.id)
	}
	args := h.ask(g.id, ids...)
	args.Purpose = purpose
	if takesOn {
		args.Obligations = []consent.Obligation{"DELAU"}
	}
	want := h.o.allows(g, who, h.now(), purpose, takesOn, chosen)
	said := h.examine(who, args)
	code := h.do(who, consent.MethodAccess, args).Code
	if code != said {
		rt.Fatalf("the contract says %q of what Examine says %q of", code, said)
	}
	if (code == "") != want {
		rt.Fatalf("access under %+v to %+v for %s by %s: code %q, but the oracle says %v", g, chosen, purpose, who, code, want)
	}
	if !want {
		h.refused++
		return
	}
	g.uses++
	h.o.used = append(h.o.used, modelUse{h.last(), h.now(), who, g, chosen})
}

// checkAnswers compares whether members answer past accesses now.
func (h *history) checkAnswers(rt *rapid.T) {
	for _, u := range h.o.used {
		want := h.now()-u.at <= consent.AnswerWindow.Milliseconds() && !u.grant.over(h.now()) && h.o.may(u.grant, u.who) &&
			!slices.ContainsFunc(u.records, func(r *modelRecord) bool { return r.erased })
		if got := h.serveable(u.index, h.now()); (got == nil) != want {
			rt.Fatalf("members answer with %v, but the oracle says %v", got, want)
		}
	}
}
