package api_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/pre"
)

// The people of the tests below.
const (
	owner    = "p-7f3a@north" // whose records they are
	other    = "p-0000@north" // another patient
	author   = "dr.lee@south" // wrote r-1 and r-2
	grantee  = "dr.kim@west"  // has a grant for clinical/exam
	former   = "dr.old@west"  // had one for all
	asker    = "dr.ask@west"  // asked for one
	reader   = "dr.red@west"  // read r-1, in an emergency
	auditor  = "audit@east"   // by attribute, as the next two
	reviewer = "review@east"  //
	medic    = "er@east"      //
	stranger = "dr.who@east"  // registered, and has no part in anything
	mother   = "mum@south"    // the owner's guardian
	lapsed   = "aunt@south"   // was, until a moment ago
	nurse    = "nurse@south"  // has the attribute of a policy that a grant for clinical/note is to
	west     = "west"         // a member
)

var everybody = []string{owner, other, author, grantee, former, asker, reader, auditor, reviewer, medic, stranger, mother, lapsed, nurse, west}

func world(h *house) {
	for _, name := range everybody[:len(everybody)-1] {
		h.Register(identity.Name(name), map[string][]string{
			author: {identity.Author}, auditor: {identity.Auditor}, reviewer: {identity.Reviewer}, medic: {identity.Emergency}, nurse: {"nurse"},
		}[name]...)
	}
	grant := func(id consent.GrantID, index uint64, to identity.Name, t pre.Type, s consent.Status) query.GrantState {
		return query.GrantState{Status: s, Grant: consent.Grant{ID: id, Index: index, Owner: owner, Recipient: to, Type: t}}
	}
	h.Set(func(w *apitest.World) {
		now := h.clock.Now().UnixMilli()
		i := slices.IndexFunc(w.Identities, func(i identity.Identity) bool { return i.Name == owner })
		w.Identities[i].Guardians = []identity.Guardian{
			{Name: lapsed, Kind: identity.Delegate, Until: now - 1},
			{Name: mother, Kind: identity.Minor, By: "north", Until: now + 3_600_000},
		}
		w.Records = []record.Record{
			{ID: "r-1", Index: 1, Owner: owner, Author: author, Type: "clinical/exam/lab"},
			{ID: "r-2", Index: 2, Owner: owner, Author: author, Type: "clinical/note"},
			{ID: "r-3", Index: 3, Owner: other, Author: other, Type: "clinical/exam/lab"},
		}
		w.Grants = []query.GrantState{
			grant("g-1", 4, grantee, "clinical/exam", consent.StatusActive),
			grant("g-2", 5, former, "", consent.StatusRevoked),
			grant("g-3", 8, "", "clinical/note", consent.StatusActive),
		}
		w.Grants[2].Grant.Policy = "south:nurse"
		w.Requests = []consent.Request{{ID: "00", Owner: owner, From: asker}}
		w.Accesses = []consent.Access{
			{Index: 6, Reader: grantee, Owner: owner, Records: []record.ID{"r-1"}},
			{Index: 7, Reader: reader, Owner: owner, Records: []record.ID{"r-1"}, Emergency: true, Review: consent.Open},
		}
	})
}

// may reports whether somebody is among those who may: members always are, and
// a guardian where the owner is.
func may(list []string, who string) bool {
	return slices.Contains(list, who) || who == west || who == mother && slices.Contains(list, owner)
}

// TestWhoMayAskWhat asks every question as everybody.
func TestWhoMayAskWhat(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	all := everybody
	for _, c := range []struct {
		what string
		q    query.Question
		may  []string // besides the member
	}{
		{"an identity", query.Identity{Name: owner}, all},
		{"the identities of a member", query.Identities{Org: "north"}, all},
		{"the shared keys", query.Authority{}, all},
		{"an attribute authority", query.AttributeAuthority{Name: "south"}, all},
		{"what a hospital proposes to patients", query.Defaults{Org: "north"}, all},

		{"a record", query.Record{ID: "r-1"}, []string{owner, author, grantee, medic}},
		{"a record outside of the grant", query.Record{ID: "r-2"}, []string{owner, author, nurse, medic}},
		{"another patient's record", query.Record{ID: "r-3"}, []string{other, medic}},
		{"a record that is not there", query.Record{ID: "r-9"}, all},
		{"all records", query.Records{Owner: owner}, []string{owner, medic}},
		{"the records of a type", query.Records{Owner: owner, Type: "clinical/exam"}, []string{owner, grantee, medic}},
		{"the records of a type below", query.Records{Owner: owner, Type: "clinical/exam/lab"}, []string{owner, grantee, medic}},
		{"the records of a type above", query.Records{Owner: owner, Type: "clinical"}, []string{owner, medic}},
		{"the records of a type beside", query.Records{Owner: owner, Type: "clinical/note"}, []string{owner, nurse, medic}},
		{"the records of a type of which there are none", query.Records{Owner: owner, Type: "clinical/imaging"}, []string{owner, medic}},
		{"the records that somebody wrote", query.Records{Owner: owner, Author: author}, []string{owner, author, medic}},
		{"what a grant covers", query.Records{Owner: owner, Grant: "g-1"}, []string{owner, grantee, medic}},
		{"what a grant to a policy covers", query.Records{Owner: owner, Grant: "g-3"}, []string{owner, nurse, medic}},
		{"what a grant covered that was revoked", query.Records{Owner: owner, Grant: "g-2"}, []string{owner, medic}},
		{"what a grant covers that there is not", query.Records{Owner: owner, Grant: "g-9"}, []string{owner, medic}},
		{"another patient's records under a grant that is not hers", query.Records{Owner: other, Grant: "g-1"}, []string{other, medic}},
		{"another patient's records", query.Records{Owner: other, Type: "clinical/exam"}, []string{other, medic}},

		{"a grant", query.Grant{ID: "g-1"}, []string{owner, grantee}},
		{"a grant that was revoked", query.Grant{ID: "g-2"}, []string{owner, former}},
		{"a grant to a policy", query.Grant{ID: "g-3"}, []string{owner, nurse}},
		{"the grants of an owner", query.Grants{Owner: owner}, []string{owner}},
		{"the grants of an owner to whom they serve", query.Grants{Owner: owner, Reader: nurse}, []string{owner, nurse}},
		{"the grants to policies of a hospital", query.Grants{Authority: "south"}, nil},
		{"those of them that serve somebody", query.Grants{Authority: "south", Reader: nurse}, []string{nurse}},
		{"the grants to somebody", query.Grants{Recipient: grantee}, []string{grantee}},

		{"the requests to an owner", query.Requests{Owner: owner}, []string{owner}},
		{"the requests of an asker", query.Requests{From: asker}, []string{asker}},
		{"what guardians asked of an owner's keys", query.KeyRequests{Owner: owner}, []string{owner}},
		{"what guardians asked of a guardian's keys", query.KeyRequests{Owner: mother}, []string{mother}},

		{"the accesses to an owner's records", query.Accesses{Owner: owner}, []string{owner, auditor}},
		{"the accesses of a reader", query.Accesses{Reader: reader}, []string{reader, auditor}},
		{"the accesses to a record", query.Accesses{Record: "r-1"}, []string{owner, auditor}},
		{"all accesses", query.Accesses{}, []string{auditor}},
		{"the open emergencies", query.Accesses{Open: true}, []string{auditor, reviewer}},
		{"an owner's open emergencies", query.Accesses{Owner: owner, Open: true}, []string{owner, auditor, reviewer}},
	} {
		question := encode(t, c.q)
		for _, who := range everybody {
			may := may(c.may, who)
			a, err := h.as(t, who).Ask(t.Context(), question)
			denied := errors.Is(err, record.ErrDenied) || errors.Is(err, consent.ErrDenied)
			if may && (err != nil || len(a.Value) == 0 && a.Code == "") || !may && !denied {
				t.Errorf("%s asks for %s: %v, allowed: %v", who, c.what, err, may)
			}
		}
	}
}

// TestEmergencyListingsLeaveATrace: they come before any access that is on the
// chain.
func TestEmergencyListingsLeaveATrace(t *testing.T) {
	var log bytes.Buffer
	h := open(t, api.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	world(h)
	for _, who := range []string{medic, owner, mother, grantee} {
		if _, err := h.as(t, who).Ask(t.Context(), encode(t, query.Records{Owner: owner, Type: "clinical/exam"})); err != nil {
			t.Fatal(err)
		}
		if _, err := h.as(t, who).Ask(t.Context(), encode(t, query.Record{ID: "r-1"})); err != nil {
			t.Fatal(err)
		}
	}
	await(t, h, "ward_emergency_looks_total 2")
	if n := strings.Count(log.String(), "listed for an emergency clinician"); n != 1 || strings.Contains(log.String(), medic) || strings.Contains(log.String(), owner) {
		t.Errorf("the log says it %d times, or a name:\n%s", n, &log)
	}
}

// TestGrantFromAboveDoesNotListSealedTypes: what is below a sealed component is
// listed with the rest, but a grant on the type above does not reach it, and
// that there is such a record is a secret too.
func TestGrantFromAboveDoesNotListSealedTypes(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	question := encode(t, query.Records{Owner: owner, Type: "clinical/exam"})
	if _, err := h.as(t, grantee).Ask(t.Context(), question); err != nil {
		t.Fatal(err)
	}
	h.Set(func(w *apitest.World) {
		w.Records = append(w.Records, record.Record{ID: "r-4", Index: 9, Owner: owner, Author: author, Type: "clinical/exam/sealed:hiv"})
	})
	if _, err := h.as(t, grantee).Ask(t.Context(), question); !errors.Is(err, record.ErrDenied) {
		t.Fatalf("%v, want ErrDenied", err)
	}
	// What the grant covers is listed without it.
	answer, err := h.as(t, grantee).Ask(t.Context(), encode(t, query.Records{Owner: owner, Grant: "g-1"}))
	if err != nil {
		t.Fatal(err)
	}
	var list []record.Record
	if err := chain.Unmarshal(answer.Value, &list); err != nil || len(list) != 1 || list[0].ID != "r-1" {
		t.Errorf("under the grant: %+v, %v", list, err)
	}
}

// TestWhatAGrantLeavesOutIsNotShown: of an owner's records a reader is shown
// those that her grant covers, not whatever is of its type. That there is a
// record on a subtree that the owner excepted is what she excepted it for.
func TestWhatAGrantLeavesOutIsNotShown(t *testing.T) {
	for what, left := range map[string]record.Record{
		"excepted":         {Type: "clinical/exam/hiv/load"},
		"too old":          {Type: "clinical/exam/lab", Dated: -1},
		"of another epoch": {Type: "clinical/exam/lab", Epoch: 1},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t, api.Options{})
			world(h)
			left.ID, left.Index, left.Owner, left.Author = "r-4", 9, owner, author
			h.Set(func(w *apitest.World) {
				w.Grants[0].Grant.Conditions.Except = []pre.Type{"clinical/exam/hiv"}
				w.Records = append(w.Records, left)
			})
			as := h.as(t, grantee)
			for _, q := range []query.Question{query.Record{ID: "r-4"}, query.Records{Owner: owner, Type: "clinical/exam"}} {
				if _, err := as.Ask(t.Context(), encode(t, q)); !errors.Is(err, record.ErrDenied) {
					t.Errorf("%s: %v, want ErrDenied", q.Kind(), err)
				}
			}
			for _, q := range []query.Question{query.Record{ID: "r-1"}, query.Records{Owner: owner, Grant: "g-1"}} {
				if _, err := as.Ask(t.Context(), encode(t, q)); err != nil {
					t.Errorf("%s: %v", q.Kind(), err)
				}
			}
		})
	}
}

// leaves puts one transaction of each kind on the chain and returns the leaf
// index of each, with who may see it besides the member.
func leaves(t *testing.T, h *house) map[string]struct {
	index uint64
	may   []string
} {
	out := make(map[string]struct {
		index uint64
		may   []string
	})
	put := func(what, signer, contract, method string, s apitest.Script, may ...string) {
		sidecar := []byte("sealed")
		r, err := h.Submit(t.Context(), h.Tx(signer, contract, method, s, sidecar), sidecar)
		if err != nil {
			t.Fatal(err)
		}
		out[what] = struct {
			index uint64
			may   []string
		}{r.Index, may}
	}
	lab := &record.Record{ID: "r-1", Owner: owner, Author: author, Type: "clinical/exam/lab"}
	note := &record.Record{ID: "r-2", Owner: owner, Author: author, Type: "clinical/note"}
	grant := &consent.Grant{ID: "g-1", Owner: owner, Recipient: grantee}
	access := &consent.Access{Reader: grantee, Owner: owner}
	emergency := &consent.Access{Reader: reader, Owner: owner, Emergency: true, Review: consent.Open}
	reviewed := &consent.Access{Reader: reader, Owner: owner, Emergency: true, Review: consent.Closed}
	request := &consent.Request{From: asker, Owner: owner}
	put("put", author, record.Contract, record.MethodPut, apitest.Emit(t, record.EventPut, lab), owner, author, grantee, medic)
	put("put outside of the grant", author, record.Contract, record.MethodPut, apitest.Emit(t, record.EventPut, note), owner, author, nurse, medic)
	put("grant", owner, consent.Contract, consent.MethodGrant, apitest.Emit(t, consent.EventGrant, grant), owner, grantee)
	put("grant to a policy", owner, consent.Contract, consent.MethodGrant, apitest.Emit(t, consent.EventGrant, &consent.Grant{ID: "g-3", Owner: owner, Policy: "south:nurse"}), owner, nurse)
	put("attribute authority", west, identity.Contract, identity.MethodAuthority, apitest.Emit(t, identity.EventAuthority, &identity.Authority{Name: west}), everybody...)
	put("defaults", west, consent.Contract, consent.MethodDefaults, apitest.Emit(t, consent.EventDefaults, &consent.Defaults{Org: west}), everybody...)
	put("accept", west, consent.Contract, consent.MethodAccept, apitest.Emit(t, consent.EventAccept, &consent.AcceptArgs{}))
	put("access", grantee, consent.Contract, consent.MethodAccess, apitest.Emit(t, consent.EventAccess, access), owner, grantee, auditor)
	put("emergency", reader, consent.Contract, consent.MethodEmergency, apitest.Emit(t, consent.EventEmergency, emergency), owner, reader, auditor, reviewer)
	put("review", reviewer, consent.Contract, consent.MethodReview, apitest.Emit(t, consent.EventReview, reviewed), owner, reader, auditor, reviewer)
	put("request", asker, consent.Contract, consent.MethodRequest, apitest.Emit(t, consent.EventRequest, request), owner, asker)
	put("refused access", stranger, consent.Contract, consent.MethodAccess, apitest.Script{Code: consent.ErrDenied}, stranger)
	put("key request", owner, keys.Contract, keys.MethodRequest, apitest.Script{}, owner)
	put("key request of a guardian", mother, keys.Contract, keys.MethodRequest, apitest.Emit(t, keys.EventRequest, &keys.KeyRequest{By: mother, Owner: owner}), owner, mother)
	put("event of another kind", author, consent.Contract, "later", apitest.Emit(t, "consent/later", grant), author)
	put("change of an identity", owner, identity.Contract, identity.MethodRotate, apitest.Emit(t, identity.EventChanged, &identity.Identity{Name: owner}), everybody...)
	put("ceremony", west, keys.Contract, keys.MethodOpen, apitest.Emit(t, keys.EventOpened, &keys.Ceremony{}), everybody...)
	return out
}

func TestWhoMaySeeATransaction(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	for what, leaf := range leaves(t, h) {
		for _, who := range everybody {
			n := h.as(t, who)
			may := may(leaf.may, who) && !(who == mother && what == "key request") // it is the owner's own
			for call, do := range map[string]func() error{
				"receipt": func() error { _, err := n.Receipt(t.Context(), leaf.index); return err },
				"sidecar": func() error {
					_, err := n.Sidecar(t.Context(), leaf.index)
					if errors.Is(err, ward.ErrNotFound) && what == "refused access" {
						return nil // it has none
					}
					return err
				},
				"records": func() error { _, err := n.Accessed(t.Context(), leaf.index); return err },
			} {
				if err := do(); may && err != nil || !may && !errors.Is(err, identity.ErrDenied) {
					t.Errorf("%s of %s, by %s: %v, allowed: %v", call, what, who, err, may)
				}
			}
		}
	}
}

// TestOnlyTheSignerGathersAnswers: not even the owner can have members answer
// for somebody else's access.
func TestOnlyTheSignerGathersAnswers(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	all := leaves(t, h)
	for _, who := range everybody {
		n := h.as(t, who)
		_, err := n.Answers(t.Context(), all["access"].index, nil)
		if may := who == grantee || who == west; may && err != nil || !may && !errors.Is(err, identity.ErrDenied) {
			t.Errorf("answers, by %s: %v", who, err)
		}
		_, err = n.PartialKeys(t.Context(), all["key request"].index, nil)
		if may := who == owner || who == west; may && err != nil || !may && !errors.Is(err, identity.ErrDenied) {
			t.Errorf("partial keys, by %s: %v", who, err)
		}
	}
}

func TestWhoMayExport(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	for _, who := range everybody {
		var b bytes.Buffer
		err := h.as(t, who).Export(t.Context(), &b)
		if may := who == auditor || who == west; may && (err != nil || b.Len() == 0) || !may && (!errors.Is(err, identity.ErrDenied) || b.Len() > 0) {
			t.Errorf("%s: %d bytes, %v", who, b.Len(), err)
		}
	}
}

// TestExpiredAttributeIsWorthNothing, and one of another value is.
func TestExpiredAttributeIsWorthNothing(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	h.Set(func(w *apitest.World) {
		for i := range w.Identities {
			for k := range w.Identities[i].Attributes {
				w.Identities[i].Attributes[k].Until = h.clock.Now().UnixMilli() - 1
			}
		}
	})
	for who, q := range map[string]query.Question{
		auditor: query.Accesses{}, reviewer: query.Accesses{Open: true}, medic: query.Records{Owner: owner},
	} {
		if _, err := h.as(t, who).Ask(t.Context(), encode(t, q)); !errors.Is(err, record.ErrDenied) && !errors.Is(err, consent.ErrDenied) {
			t.Errorf("%s: %v", who, err)
		}
	}
}

// TestAttributeOfAFormerMemberIsWorthNothing: who was put out neither reads the
// log, nor all records, nor the whole chain through its people.
func TestAttributeOfAFormerMemberIsWorthNothing(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	const gone = "spy@south"
	h.Register(gone, identity.Auditor, identity.Emergency, identity.Reviewer)
	without := *h.k
	without.Members = slices.DeleteFunc(slices.Clone(h.k.Members), func(m chain.Member) bool { return m.Name == "south" })
	h.SetMembers(&without)
	for _, q := range []query.Question{query.Accesses{}, query.Accesses{Open: true}, query.Records{Owner: owner}, query.Record{ID: "r-1"}} {
		if _, err := h.as(t, gone).Ask(t.Context(), encode(t, q)); !errors.Is(err, record.ErrDenied) && !errors.Is(err, consent.ErrDenied) {
			t.Errorf("%s: %v", q.Kind(), err)
		}
	}
	var b bytes.Buffer
	if err := h.as(t, gone).Export(t.Context(), &b); !errors.Is(err, identity.ErrDenied) || b.Len() > 0 {
		t.Errorf("export: %d bytes, %v", b.Len(), err)
	}
}

// TestGuardianOfAFormerMembersNamingIsWorthNothing: the hospital that named her
// has left.
func TestGuardianOfAFormerMembersNamingIsWorthNothing(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	question := encode(t, query.Records{Owner: owner})
	if _, err := h.as(t, mother).Ask(t.Context(), question); err != nil {
		t.Fatal(err)
	}
	without := *h.k
	without.Members = slices.DeleteFunc(slices.Clone(h.k.Members), func(m chain.Member) bool { return m.Name == "north" })
	h.SetMembers(&without)
	if _, err := h.as(t, mother).Ask(t.Context(), question); !errors.Is(err, record.ErrDenied) {
		t.Errorf("error %v", err)
	}
}

// TestGrantsOnManyPages: the grant that counts may be on any page.
func TestGrantsOnManyPages(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	h.Set(func(w *apitest.World) {
		g := w.Grants[0]
		w.Grants = nil
		for i := range uint64(450) {
			w.Grants = append(w.Grants, query.GrantState{Status: consent.StatusActive, Grant: consent.Grant{ID: "g-x", Index: i + 1, Owner: owner, Recipient: asker}})
		}
		g.Grant.Index = 1000
		w.Grants = append(w.Grants, g)
	})
	if _, err := h.as(t, grantee).Ask(t.Context(), encode(t, query.Record{ID: "r-1"})); err != nil {
		t.Fatal(err)
	}
}
