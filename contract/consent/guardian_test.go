package consent_test

import (
	"testing"
	"time"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

const mother = identity.Name("mother@south")

// guarded is a world in which somebody acts for the patient for a day.
func guarded(t testing.TB) *world {
	w := newWorld(t)
	w.register(mother)
	w.must(w.run(string(patient), identity.Contract, identity.MethodGuardian, identity.GuardianArgs{
		Name: patient, Guardian: mother, Kind: identity.Delegate, Until: w.now() + (24 * time.Hour).Milliseconds(),
	}, nil))
	return w
}

// by has somebody else sign what is offered for an owner.
func (o *offer) by(who identity.Name) *offer {
	o.owner = who
	return o
}

// A grant outlives the guardianship in which it was made: it is the owner's, and
// hers to revoke. The chain says who did what.
func TestGuardiansGrantStandsUntilTheOwnerRevokesIt(t *testing.T) {
	w := guarded(t)
	id := w.put(patient, "clinical", 1)
	o := w.offer(patient, reader, "clinical", terms{}).by(mother)
	w.must(o.send())
	w.accept(o.id, w.authority().Members...)
	w.must(w.run(string(patient), identity.Contract, identity.MethodEndGuardian, identity.EndGuardianArgs{Name: patient, Guardian: mother}, nil))
	w.must(w.access(w.ask(o.id, id)))
	w.refused(w.do(mother, consent.MethodRevoke, consent.RevokeArgs{Grant: o.id}), consent.ErrDenied)
	if g := w.lookup(o.id); g.By != mother || g.Ender != "" {
		t.Errorf("made by %q, ended by %q", g.By, g.Ender)
	}
	w.revoke(o.id)
	if g := w.lookup(o.id); g.By != mother || g.Ender != patient {
		t.Errorf("made by %q, ended by %q", g.By, g.Ender)
	}
}

func TestGuardianRenewsAndAnswersForTheOwner(t *testing.T) {
	w := guarded(t)
	old := w.grant(patient, reader, "clinical", terms{})
	asked := w.request(reader, consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: "TREAT"})
	o := w.offer(patient, reader, "clinical", terms{}).by(mother)
	o.args.Renews, o.args.Answers = old, asked
	w.must(o.send())
	if g := w.lookup(old); g.Ended == 0 || g.By != patient || g.Ender != mother {
		t.Errorf("renewed: %+v", g)
	}
	if q := w.requested(asked); q.State != consent.RequestGranted || q.By != mother || q.Grant != o.id {
		t.Errorf("answered: %+v", q)
	}
	// Who asks for herself withdraws, even where she could deny.
	own := w.request(mother, consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: "FAMRQT"})
	w.must(w.do(mother, consent.MethodDeny, consent.DenyArgs{Request: own}))
	if q := w.requested(own); q.State != consent.RequestWithdrawn || q.By != mother {
		t.Errorf("withdrawn: %+v", q)
	}
}

// Attack: a guardian, just before her time is up, grants herself what she would
// not see any more.
func TestGuardianGrantsHerselfNothing(t *testing.T) {
	w := guarded(t)
	w.refused(w.offer(patient, mother, "clinical", terms{}).by(mother).send(), consent.ErrRecipient)
	w.must(w.offer(patient, mother, "clinical", terms{}).send()) // the owner may
}

// Attack: a guardian acts for another owner, and when her time is up.
func TestGuardianActsForHerWardInHerTimeOnly(t *testing.T) {
	w := guarded(t)
	hers := w.grant(other, reader, "clinical", terms{})
	asked := w.request(reader, consent.RequestArgs{Owner: other, Type: "clinical", Purpose: "TREAT"})
	w.refused(w.offer(other, reader, "clinical", terms{}).by(mother).send(), consent.ErrDenied)
	w.refused(w.do(mother, consent.MethodRevoke, consent.RevokeArgs{Grant: hers}), consent.ErrDenied)
	w.refused(w.do(mother, consent.MethodDeny, consent.DenyArgs{Request: asked}), consent.ErrDenied)
	g := w.grant(patient, reader, "clinical", terms{})
	late := w.offer(patient, reader, "clinical", terms{}).by(mother)
	pending := w.request(reader, consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: "TREAT"})
	w.wait(24*time.Hour + time.Minute)
	w.refused(late.send(), consent.ErrDenied)
	w.refused(w.do(mother, consent.MethodRevoke, consent.RevokeArgs{Grant: g}), consent.ErrDenied)
	w.refused(w.do(mother, consent.MethodDeny, consent.DenyArgs{Request: pending}), consent.ErrDenied)
}

// Attack: a guardian of an owner in self-custody makes grants that no reader can
// open, or with a key that the owner did not give.
func TestGuardianGrantsNothingOfAnOwnerInSelfCustody(t *testing.T) {
	w := guarded(t)
	old := w.grant(patient, reader, "clinical", terms{})
	w.takeCustody(patient)
	o := w.offer(patient, reader, "clinical", terms{expose: true})
	w.refused(o.by(mother).send(), consent.ErrCustody)
	w.must(o.by(patient).send())
	w.must(w.do(mother, consent.MethodRevoke, consent.RevokeArgs{Grant: old})) // takes no key
	w.must(w.do(mother, consent.MethodRevoke, consent.RevokeArgs{Grant: o.id}))
}

// Attack: a guardian erases, and reads under the ward's name.
func TestGuardianNeitherErasesNorReadsAsTheWard(t *testing.T) {
	w := guarded(t)
	id := w.put(patient, "clinical", 1)
	w.refused(w.run(string(mother), record.Contract, record.MethodErase, record.EraseArgs{ID: id}, nil), record.ErrDenied)
	w.must(w.run(string(other), identity.Contract, identity.MethodGuardian, identity.GuardianArgs{Name: other, Guardian: mother, Kind: identity.Delegate}, nil))
	g := w.grant(patient, other, "clinical", terms{})
	w.refused(w.do(mother, consent.MethodAccess, w.ask(g, id)), consent.ErrDenied)
}
