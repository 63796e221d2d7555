package consent_test

import (
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// breakGlass makes the arguments of an emergency, signed by others too.
func (w *world) breakGlass(who, owner identity.Name, ids []record.ID, signers ...identity.Name) consent.EmergencyArgs {
	w.Helper()
	slices.Sort(ids)
	a := consent.EmergencyArgs{Owner: owner, Records: ids, Transport: w.transport().Public()}
	a.Approvals = w.approve(who, consent.MethodEmergency, a, signers...)
	return a
}

// emergency sends it with a sealed reason.
func (w *world) emergency(who identity.Name, args consent.EmergencyArgs) chain.Result {
	w.Helper()
	return w.run(string(who), consent.Contract, consent.MethodEmergency, args, []byte("sealed reason"))
}

// TestTwoCliniciansBreakTheGlass for a patient who never enrolled, and what
// opens is what she would open.
func TestTwoCliniciansBreakTheGlass(t *testing.T) {
	w := newWorld(t)
	id, hiv := w.put(patient, "clinical/exam", 1), w.put(patient, "clinical/sealed:hiv", 400)
	args := w.breakGlass(reader, patient, []record.ID{id, hiv}, witness)
	r := w.must(w.emergency(reader, args))
	if len(r.Events) != 1 || r.Events[0].Kind != consent.EventEmergency {
		t.Errorf("events are %v", r.Events)
	}
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil || !a.Emergency || a.Review != consent.Open || a.Purpose != consent.BreakGlass || a.Grant != "" || !slices.Equal(a.CoSigners, []identity.Name{witness}) {
		t.Fatalf("access is %+v, %v", a, err)
	}
	if err := w.serveable(a.Index, w.now()); err != nil {
		t.Errorf("members refuse: %v", err)
	}
	sharing, err := w.authority().Sharing()
	if err != nil {
		t.Fatal(err)
	}
	asked := &pre.Access{ID: a.ID, Requester: args.Transport}
	for _, x := range a.Records {
		rec, err := record.Lookup(w.of(record.Contract), x)
		if err != nil {
			t.Fatal(err)
		}
		v, err := rec.Verified(w.c.Consortium.Chain)
		if err != nil {
			t.Fatal(err)
		}
		asked.Records = append(asked.Records, v)
	}
	var answers []*pre.Answer
	for _, m := range []string{"east", "north", "south"} {
		ans, err := w.members.Identity[m].Decapsulate(sharing, asked)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, ans)
	}
	if opened, err := asked.OpenDecapsulated(sharing, answers); err != nil || len(opened) != 2 {
		t.Errorf("opened %d records, %v", len(opened), err)
	}
}

func TestEmergencyIsRefused(t *testing.T) {
	w := newWorld(t)
	w.register("p-0002@north")
	id, hers := w.put(patient, "clinical", 1), w.put(other, "clinical", 1)
	erased := w.put(patient, "clinical", 1)
	w.must(w.run(string(patient), record.Contract, record.MethodErase, record.EraseArgs{ID: erased}, nil))
	of := func(ids ...record.ID) []record.ID { return ids }
	for what, c := range map[string]struct {
		want chain.Code
		who  identity.Name
		args consent.EmergencyArgs
	}{
		"one clinician alone":            {consent.ErrApproval, reader, w.breakGlass(reader, patient, of(id))},
		"signed by the same twice":       {consent.ErrApproval, reader, w.breakGlass(reader, patient, of(id), reader)},
		"signed by a nurse":              {consent.ErrApproval, reader, w.breakGlass(reader, patient, of(id), nurse)},
		"by a nurse":                     {consent.ErrDenied, nurse, w.breakGlass(nurse, patient, of(id), witness)},
		"by a member":                    {consent.ErrDenied, "south", w.breakGlass("south", patient, of(id), witness)},
		"signed for another's emergency": {consent.ErrApproval, reader, w.breakGlass(witness, patient, of(id), witness)},
		"of nobody":                      {consent.ErrUnknown, reader, w.breakGlass(reader, "nobody@north", of(id), witness)},
		"of another's record":            {consent.ErrOwner, reader, w.breakGlass(reader, patient, of(hers), witness)},
		"of an erased record":            {consent.ErrErased, reader, w.breakGlass(reader, patient, of(erased), witness)},
		"of no record":                   {consent.ErrRecord, reader, w.breakGlass(reader, patient, of("r-aaaaaaaaaaaaaaaaaaaaaaaaaa"), witness)},
		"of nothing":                     {consent.ErrMalformed, reader, w.breakGlass(reader, patient, nil, witness)},
	} {
		if got := w.emergency(c.who, c.args).Code; got != c.want {
			t.Errorf("%s: code is %q, want %q", what, got, c.want)
		}
	}
	args := w.breakGlass(reader, patient, of(id), witness)
	w.refused(w.do(reader, consent.MethodEmergency, args), consent.ErrTerms) // no reason
	w.refused(w.emergency(reader, consent.EmergencyArgs{}), consent.ErrMalformed)
	w.refused(w.do(reader, consent.MethodEmergency, []byte{1}), consent.ErrMalformed)
	w.must(w.emergency(reader, args))
	index := w.last()
	w.refused(w.emergency(reader, args), consent.ErrTaken)
	w.takeCustody(patient)
	w.refused(w.emergency(reader, w.breakGlass(reader, patient, of(id), witness)), consent.ErrCustody)
	if err := w.serveable(index, w.now()); err != consent.ErrCustody {
		t.Errorf("members decapsulate for an owner in self-custody: %v", err)
	}
}

func TestMembersAnswerNoClinicianWhoIsNoneAnyMore(t *testing.T) {
	w := newWorld(t)
	w.must(w.emergency(reader, w.breakGlass(reader, patient, []record.ID{w.put(patient, "clinical", 1)}, witness)))
	index := w.last()
	w.must(w.run("south", identity.Contract, identity.MethodAttest, identity.AttestArgs{Name: reader}, nil))
	if err := w.serveable(index, w.now()); err != consent.ErrDenied {
		t.Error(err)
	}
}

// TestMembersAnswerNoClinicianOfAFormerMember: the word of a hospital that was
// put out counts no more, for what its people asked an hour ago either.
func TestMembersAnswerNoClinicianOfAFormerMember(t *testing.T) {
	w := newWorld(t)
	w.must(w.emergency(reader, w.breakGlass(reader, patient, []record.ID{w.put(patient, "clinical", 1)}, witness)))
	index := w.last()
	if err := w.serveable(index, w.now()); err != nil {
		t.Fatal(err)
	}
	w.putOut(reader.Org())
	if err := w.serveable(index, w.now()); err != consent.ErrDenied {
		t.Error(err)
	}
}

// TestGrantForEmergencies is what an owner in self-custody leaves behind.
func TestGrantForEmergencies(t *testing.T) {
	w := newWorld(t)
	w.takeCustody(patient)
	w.takeCustody(reader)
	id := w.put(patient, "clinical", 1)
	o := w.offer(patient, reader, "clinical", terms{Conditions: consent.Conditions{Emergency: true}})
	w.must(o.send())
	w.accept(o.id, "east", "north", "south")
	ask := func(signers ...identity.Name) consent.AccessArgs {
		a := w.ask(o.id, id)
		a.Purpose = consent.BreakGlass
		a.Approvals = w.approve(reader, consent.MethodAccess, a, signers...)
		return a
	}
	send := func(a consent.AccessArgs) chain.Result {
		return w.run(string(reader), consent.Contract, consent.MethodAccess, a, []byte("sealed reason"))
	}
	w.refused(send(ask(witness)), consent.ErrPending) // t members may be too few in the hour of need
	w.accept(o.id, "west")
	w.refused(send(ask()), consent.ErrApproval)
	w.refused(send(ask(nurse)), consent.ErrApproval)
	w.refused(w.access(ask(witness)), consent.ErrTerms) // no reason
	routine := ask(witness)
	routine.Purpose = consent.Treatment
	w.refused(send(routine), consent.ErrPurpose)
	args := ask(witness)
	w.must(send(args))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil || !a.Emergency || a.Review != consent.Open || a.Grant != o.id {
		t.Fatalf("access is %+v, %v", a, err)
	}
	if got := w.open(args, a.ID, "east", "north", "west"); got[0] != "index of "+string(id) {
		t.Errorf("opened %q", got)
	}
}

// TestGrantForEmergenciesAfterACeremony: as many members as before must hold
// its shares.
func TestGrantForEmergenciesAfterACeremony(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{Emergency: true}})
	r := w.members.Open()
	r.ToConfirm()
	r.Post("west")
	r.Close()
	send := func() chain.Result {
		a := w.ask(g, id)
		a.Purpose = consent.BreakGlass
		a.Approvals = w.approve(reader, consent.MethodAccess, a, witness)
		return w.run(string(reader), consent.Contract, consent.MethodAccess, a, []byte("sealed reason"))
	}
	w.refused(send(), consent.ErrPending)
	r.Post()
	r.Close()
	w.must(send())
}

func TestReview(t *testing.T) {
	w := newWorld(t)
	w.register("dr.judge@north", identity.Emergency, identity.Reviewer)
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{})
	w.must(w.access(w.ask(g, id)))
	routine := w.last()
	w.must(w.emergency(reader, w.breakGlass(reader, patient, []record.ID{id}, "dr.judge@north")))
	first := w.last()
	w.must(w.emergency("dr.judge@north", w.breakGlass("dr.judge@north", patient, []record.ID{id}, witness)))
	second := w.last()
	send := func(who identity.Name, index uint64, outcome string) chain.Result {
		return w.do(who, consent.MethodReview, consent.ReviewArgs{Access: index, Outcome: outcome})
	}
	w.refused(send(reviewer, first, "fine"), consent.ErrMalformed)
	w.refused(send(reviewer, first, ""), consent.ErrMalformed)
	w.refused(send(reviewer, 9999, consent.OutcomeAbuse), consent.ErrUnknown)
	w.refused(send(reviewer, routine, consent.OutcomeAbuse), consent.ErrReviewed)
	w.refused(send(reader, first, consent.OutcomeJustified), consent.ErrDenied)
	w.refused(send("dr.judge@north", first, consent.OutcomeJustified), consent.ErrDenied)  // signed it
	w.refused(send("dr.judge@north", second, consent.OutcomeJustified), consent.ErrDenied) // read it
	w.refused(w.do(reviewer, consent.MethodReview, []byte{1}), consent.ErrMalformed)

	w.must(send(reviewer, first, consent.OutcomeJustified))
	w.refused(send(reviewer, first, consent.OutcomeAbuse), consent.ErrReviewed)
	if err := w.serveable(first, w.now()); err != nil {
		t.Errorf("members refuse what was justified: %v", err)
	}
	var open []uint64
	err := consent.EachAccess(w.of(consent.Contract), consent.Accesses{Open: true}, 0, func(a *consent.Access) bool { open = append(open, a.Index); return true })
	if err != nil || !slices.Equal(open, []uint64{second}) {
		t.Errorf("open reviews are %v, %v", open, err)
	}
	w.must(send(reviewer, second, consent.OutcomeAbuse))
	a, err := consent.LookupAccess(w.of(consent.Contract), second)
	if err != nil || a.Review != consent.Closed || a.Reviewer != reviewer || a.Reviewed != w.now() || a.Outcome != consent.OutcomeAbuse {
		t.Errorf("access is %+v, %v", a, err)
	}
	if err := w.serveable(second, w.now()); err != consent.ErrDenied {
		t.Errorf("members answer what was found to be abuse: %v", err)
	}
}

// TestReviewIsForTheOwnersHospital: others could stop every emergency as abuse,
// or absolve their own.
func TestReviewIsForTheOwnersHospital(t *testing.T) {
	w := newWorld(t)
	w.register("board@south", identity.Reviewer) // of who broke the glass
	w.register("board@west", identity.Reviewer)
	w.must(w.emergency(reader, w.breakGlass(reader, patient, []record.ID{w.put(patient, "clinical", 1)}, witness)))
	args := consent.ReviewArgs{Access: w.last(), Outcome: consent.OutcomeAbuse}
	for _, who := range []identity.Name{"board@south", "board@west"} {
		w.refused(w.do(who, consent.MethodReview, args), consent.ErrDenied)
	}
	if err := w.serveable(args.Access, w.now()); err != nil {
		t.Errorf("an emergency was stopped: %v", err)
	}
	// When the owner's hospital is no member any more, others stand in.
	w.putOut(patient.Org())
	w.must(w.do("board@west", consent.MethodReview, args))
}

// putOut puts a member out of the consortium of four.
func (w *world) putOut(member string) {
	w.Helper()
	w.members.Change(func(k *chain.Consortium) {
		k.Members = slices.DeleteFunc(k.Members, func(m chain.Member) bool { return m.Name == member })
		k.KeyThreshold, k.CheckpointThreshold = 2, 2
	})
}
