package workflow_test

import (
	"testing"
	"time"

	"github.com/ward-health/ward/contract/workflow"
)

var dispensed = fields{"substituted": workflow.Text("no")}

func TestPrescriptionFromIssueToDelivery(t *testing.T) {
	w := prescribing(t)
	id, code := w.issue(physician, patient, nil)
	w.want(code, "")
	w.at(id, "issued", "")
	w.want(w.take(pharmacist, id, "review", nil, w.shown(id, pharmacist)), "")
	w.at(id, "in-review", pharmacist)
	w.want(w.take(pharmacist, id, "return", fields{"reason": workflow.Text("dose")}), "")
	w.at(id, "returned", physician)
	amended := workflow.Document{Name: "prescription", Record: w.put(patient, physician, ownType(id))}
	w.want(w.take(physician, id, "amend", fields{"quantity": workflow.Int(8_000)}, amended), "")
	w.want(w.take(pharmacist, id, "review", nil, w.shown(id, pharmacist)), "")
	w.want(w.take(pharmacist, id, "approve", nil), "")
	w.want(w.take(patient, id, "offer", fields{"pharmacy": workflow.Text(string(pharmacy))}, w.shown(id, pharmacy)), "")
	w.at(id, "offered", pharmacy)
	w.want(w.take(rival, id, "claim", nil), "workflow/rule/wrong-pharmacy")
	w.want(w.take(pharmacy, id, "claim", nil), "")
	part := fields{"quantity": workflow.Int(3_000), "substituted": workflow.Text("generic"), "packs": workflow.Text("81000001", "81000002")}
	w.want(w.take(pharmacy, id, "dispense-part", part), "")
	if got := w.number(id, "remaining"); got != 5_000 {
		t.Errorf("%d left, want 5000", got)
	}
	w.want(w.take(pharmacy, id, "dispense", dispensed), "")
	w.want(w.take(pharmacy, id, "send", fields{"courier": workflow.Text(string(courier))}), "")
	w.want(w.take(courier, id, "deliver", nil), "")
	w.want(w.take(patient, id, "repeat", nil), "")
	w.at(id, "approved", "")
	var course []string
	if err := workflow.EachStep(w.of(workflow.Contract), id, 0, func(s *workflow.Step) bool {
		course = append(course, s.Transition)
		if int(s.Number) != len(course) {
			t.Errorf("step %d has number %d", len(course), s.Number)
		}
		return true
	}); err != nil || len(course) != 13 {
		t.Errorf("%v, %v", course, err)
	}
}

func TestDoubleDispensingIsRefused(t *testing.T) {
	w := prescribing(t)
	id := w.claimed(patient, nil)
	w.want(w.take(pharmacy, id, "dispense", dispensed), "")
	w.want(w.take(pharmacy, id, "dispense", dispensed), workflow.ErrState)
	w.want(w.take(rival, id, "dispense", dispensed), workflow.ErrState)
}

func TestRacingPharmaciesClaimOnce(t *testing.T) {
	w := prescribing(t)
	id := w.approved(patient, nil)
	w.want(w.take(patient, id, "offer", nil), "")
	args := workflow.StepArgs{ID: id, After: w.instance(id).Steps, Transition: "claim"}
	r := w.c.Run(w.c.Tx(string(rival), workflow.Contract, workflow.MethodStep, args), w.c.Tx(string(pharmacy), workflow.Contract, workflow.MethodStep, args))
	w.want(r[0].Code, "")
	w.want(r[1].Code, workflow.ErrState)
	w.at(id, "claimed", rival)
}

func TestForgedReviewIsRefused(t *testing.T) {
	w := prescribing(t)
	id, _ := w.issue(physician, patient, nil)
	w.want(w.take(stranger, id, "review", nil, w.shown(id, stranger)), workflow.ErrParty)
	w.want(w.take(physician, id, "review", nil, w.shown(id, physician)), workflow.ErrParty)
	w.want(w.take(pharmacist, id, "approve", nil), workflow.ErrState)
	w.want(w.take(pharmacist, id, "review", nil, w.shown(id, pharmacist)), "")
	w.want(w.take(patient, id, "approve", nil), workflow.ErrParty)
	w.register("ph.two@north", "role=pharmacist")
	w.want(w.take("ph.two@north", id, "approve", nil), workflow.ErrHolder)
	w.want(w.do("north", workflow.MethodStep, workflow.StepArgs{ID: id, After: 2, Transition: "approve"}), workflow.ErrDenied)
}

func TestReplayedStepIsRefused(t *testing.T) {
	w := prescribing(t)
	id := w.claimed(patient, nil)
	args := workflow.StepArgs{
		ID: id, After: w.instance(id).Steps, Transition: "dispense-part",
		Fields: fields{"quantity": workflow.Int(1_000), "substituted": workflow.Text("no")}.list(),
	}
	tx := w.c.Tx(string(pharmacy), workflow.Contract, workflow.MethodStep, args)
	w.must(w.c.Run(tx)[0])
	w.want(w.c.Run(tx)[0].Code, "duplicate")
	w.want(w.do(string(pharmacy), workflow.MethodStep, args), workflow.ErrStale)
	if got := w.number(id, "remaining"); got != 9_000 {
		t.Errorf("%d left, want 9000", got)
	}
}

func TestExpiredPrescriptionIsRefused(t *testing.T) {
	w := prescribing(t)
	id := w.claimed(patient, nil)
	w.wait(30*day - time.Hour)
	w.want(w.do(string(other), workflow.MethodTick, workflow.TickArgs{ID: id}), workflow.ErrEarly)
	w.wait(time.Hour)
	w.want(w.take(pharmacy, id, "dispense", dispensed), workflow.ErrExpired)
	if holds, err := workflow.Holds(w.of, string(id), pharmacy, w.now()); holds || err != nil {
		t.Errorf("a pharmacy holds what has expired: %v", err)
	}
	w.at(id, "claimed", pharmacy)
	w.want(w.do(string(other), workflow.MethodTick, workflow.TickArgs{ID: id}), "")
	w.at(id, "expired", "")
	w.want(w.take(pharmacy, id, "dispense", dispensed), workflow.ErrState)
}

// A reviewer that does nothing loses the prescription to others, without anybody
// having taken the timer.
func TestStepTakesTheTimersThatAreDueFirst(t *testing.T) {
	w := prescribing(t)
	id, _ := w.issue(physician, patient, nil)
	w.want(w.take(pharmacist, id, "review", nil, w.shown(id, pharmacist)), "")
	w.wait(2 * day)
	w.want(w.take(pharmacist, id, "approve", nil), workflow.ErrExpired)
	w.want(w.take(pharmacist, id, "review", nil, w.shown(id, pharmacist)), "")
	w.at(id, "in-review", pharmacist)
	if n := w.instance(id).Steps; n != 4 {
		t.Errorf("%d steps, want issue, review, release, review", n)
	}
}

func TestNarcoticsOfOnePatientAreLimitedAcrossHospitals(t *testing.T) {
	w := prescribing(t)
	narcotic := fields{"schedule": workflow.Text("narcotic"), "repeats": workflow.Int(0), "days": workflow.Int(3), "quantity": workflow.Int(20_000)}
	first := w.claimed(patient, narcotic)
	w.want(w.take(pharmacy, first, "dispense", dispensed), "")
	second := w.approved(patient, narcotic)
	w.want(w.take(patient, second, "offer", nil), "")
	w.want(w.take(rival, second, "claim", nil), "")
	w.want(w.take(rival, second, "dispense", dispensed), workflow.ErrLimit)
	w.want(w.take(rival, second, "dispense-part", fields{"quantity": workflow.Int(10_000), "substituted": workflow.Text("no")}), "")
	w.want(w.take(rival, second, "dispense", dispensed), workflow.ErrLimit)
	third := w.claimed(other, narcotic) // another patient has a limit of her own
	w.want(w.take(pharmacy, third, "dispense", dispensed), "")
	w.want(w.take(pharmacy, first, "recall", fields{"reason": workflow.Text("error")}), "")
	w.want(w.take(rival, second, "dispense", dispensed), "")
}

func TestPackIsDispensedOnce(t *testing.T) {
	w := prescribing(t)
	pack := fields{"substituted": workflow.Text("no"), "packs": workflow.Text("81000001")}
	w.want(w.take(pharmacy, w.claimed(patient, nil), "dispense", pack), "")
	w.want(w.take(pharmacy, w.claimed(other, nil), "dispense", pack), workflow.ErrClaimed)
	twice := fields{"substituted": workflow.Text("no"), "packs": workflow.Text("81000002", "81000002")}
	w.want(w.take(pharmacy, w.claimed(other, nil), "dispense", twice), workflow.ErrClaimed)
}

// What was handed out in part stays counted, whatever becomes of the rest.
func TestCancellingTheRestDoesNotGiveBackTheLimit(t *testing.T) {
	narcotic := fields{"schedule": workflow.Text("narcotic"), "repeats": workflow.Int(0), "days": workflow.Int(3), "quantity": workflow.Int(30_000)}
	part := fields{"quantity": workflow.Int(29_000), "substituted": workflow.Text("no")}
	reason := fields{"reason": workflow.Text("patient")}
	for name, end := range map[string]func(w *world, id workflow.ID){
		"cancel": func(w *world, id workflow.ID) {
			w.want(w.take(patient, id, "transfer", nil), "")
			w.want(w.take(patient, id, "cancel", reason), "")
		},
		"decline and cancel": func(w *world, id workflow.ID) {
			w.want(w.take(pharmacy, id, "decline", reason), "")
			w.want(w.take(physician, id, "cancel", reason), "")
		},
		"recall": func(w *world, id workflow.ID) {
			w.want(w.take(patient, id, "transfer", nil), "")
			w.want(w.take(rival, id, "claim", nil), "")
			w.want(w.take(rival, id, "dispense", dispensed), "")
			w.want(w.take(rival, id, "recall", reason), "workflow/rule/handed-out")
			w.want(w.take(rival, id, "take-back", reason), "")
			w.at(id, "cancelled", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := prescribing(t)
			id := w.claimed(patient, narcotic)
			w.want(w.take(pharmacy, id, "dispense-part", part), "")
			end(w, id)
			second := w.claimed(patient, narcotic)
			w.want(w.take(pharmacy, second, "dispense-part", part), workflow.ErrLimit)
		})
	}
}
