package consent_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// TestARecordUnderAnExceptedSubtreeIsRefused, by the path and by whole
// components, and one such record spoils the access to others.
func TestARecordUnderAnExceptedSubtreeIsRefused(t *testing.T) {
	w := newWorld(t)
	g := w.grant(patient, reader, "labs", terms{Conditions: consent.Conditions{Except: []pre.Type{"labs/hiv", "labs/x/y"}}})
	good := w.put(patient, "labs/hivx", 1)
	for typ, want := range map[pre.Type]chain.Code{
		"labs": "", "labs/blood": "", "labs/x": "", "labs/x/yy": "", "labs/hiv": consent.ErrType, "labs/hiv/viral-load": consent.ErrType,
		"labs/x/y": consent.ErrType, "labs/x/y/sealed:z": consent.ErrType, "labs/sealed:hiv": consent.ErrType,
	} {
		id := w.put(patient, typ, 1)
		if got := w.access(w.ask(g, id)).Code; got != want {
			t.Errorf("%s: code is %q, want %q", typ, got, want)
		}
		if got := w.access(w.ask(g, id, good)).Code; got != want {
			t.Errorf("%s and another: code is %q, want %q", typ, got, want)
		}
	}
	everything := w.grant(patient, reader, "", terms{Conditions: consent.Conditions{Except: []pre.Type{"labs"}}})
	w.refused(w.access(w.ask(everything, good)), consent.ErrType)
	w.must(w.access(w.ask(everything, w.put(patient, "laboratory", 1))))
}

func TestWhatIsExceptedIsBelowTheGrant(t *testing.T) {
	w := newWorld(t)
	for typ, want := range map[pre.Type]chain.Code{"labs": consent.ErrTerms, "lab": consent.ErrTerms, "labsx/a": consent.ErrTerms, "labs/a": "", "labs/sealed:a/b": ""} {
		if got := w.offer(patient, reader, "labs", terms{Conditions: consent.Conditions{Except: []pre.Type{typ}}}).send().Code; got != want {
			t.Errorf("%s: code is %q, want %q", typ, got, want)
		}
	}
	if !consent.ByCryptography("labs", "labs/sealed:hiv") || !consent.ByCryptography("", "labs/sealed:hiv/load") || consent.ByCryptography("labs", "labs/hiv") ||
		consent.ByCryptography("labs/sealed:hiv", "labs/sealed:hiv/load") {
		t.Error("who enforces an exception is told wrongly")
	}
}

// TestAnObligationThatNobodyTookOnIsRefused: the reader signs all of them, and
// nothing else.
func TestAnObligationThatNobodyTookOnIsRefused(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{Obligations: []consent.Obligation{"DELAU", "NORDSCLCD"}}})
	plain := w.grant(patient, reader, "clinical", terms{})
	for _, c := range []struct {
		grant consent.GrantID
		list  []consent.Obligation
		want  chain.Code
	}{
		{g, nil, consent.ErrObligation},
		{g, []consent.Obligation{"DELAU"}, consent.ErrObligation},
		{g, []consent.Obligation{"NORDSCLCD", "DELAU"}, consent.ErrObligation},
		{g, []consent.Obligation{"DELAU", "NORDSCLCD", "NOREUSE"}, consent.ErrObligation},
		{g, []consent.Obligation{"DELAU", "NORDSCLCD"}, ""},
		{plain, []consent.Obligation{"DELAU"}, consent.ErrObligation},
		{plain, nil, ""},
	} {
		args := w.ask(c.grant, id)
		args.Obligations = c.list
		w.refused(w.access(args), c.want)
	}
}

func TestEveryObligationHasWords(t *testing.T) {
	list := consent.Obligations()
	if !slices.IsSorted(list) || len(list) < 20 {
		t.Errorf("%d codes", len(list))
	}
	for _, o := range list {
		if !o.Valid() || o.Words() == "" {
			t.Errorf("%s says nothing", o)
		}
	}
	if o := consent.Obligation("FUN"); o.Valid() || o.Words() != "" {
		t.Error("anything is an obligation")
	}
}

// TestACoSignerOfTheSameHouseDoesNotCount where the owner asked for another's,
// nor does one whose hospital is no member any more.
func TestACoSignerOfTheSameHouseDoesNotCount(t *testing.T) {
	w := newWorld(t)
	w.register("nurse.n@north", "role=nurse")
	w.register("nurse.w@west", "role=nurse")
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{
		CoSigners: consent.CoSigners{Count: 1, Attribute: "role", Value: "nurse", Elsewhere: true},
	}})
	anybody := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{CoSigners: consent.CoSigners{Count: 1, Elsewhere: true}}})
	signed := func(g consent.GrantID, by ...identity.Name) consent.AccessArgs {
		a := w.ask(g, id)
		a.Approvals = w.approve(reader, consent.MethodAccess, a, by...)
		return a
	}
	w.refused(w.access(signed(g, nurse)), consent.ErrApproval)
	w.refused(w.access(signed(g, nurse, author)), consent.ErrApproval) // elsewhere, and no nurse
	w.must(w.access(signed(g, nurse, "nurse.n@north")))
	w.refused(w.access(signed(anybody, nurse)), consent.ErrApproval)
	w.must(w.access(signed(anybody, "nurse.w@west")))
	w.resize(3)
	w.refused(w.access(signed(anybody, "nurse.w@west")), consent.ErrApproval)
	w.must(w.access(signed(anybody, author)))
}

// TestAHolderWhoLostTheWorkflowReadsNoMore, even what was accepted while she
// held it.
func TestAHolderWhoLostTheWorkflowReadsNoMore(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{Instance: "w-1"}})
	w.refused(w.access(w.ask(g, id)), consent.ErrHolder) // there is none
	w.hand("w-1", stranger)
	w.refused(w.access(w.ask(g, id)), consent.ErrHolder)
	w.hand("w-1", reader)
	w.must(w.access(w.ask(g, id)))
	index := w.last()
	if err := w.serveable(index, w.now()); err != nil {
		t.Error(err)
	}
	w.hand("w-1", stranger)
	if err := w.serveable(index, w.now()); err != consent.ErrHolder {
		t.Errorf("members answer who has handed it on: %v", err)
	}
	w.refused(w.do(stranger, consent.MethodAccess, w.ask(g, id)), consent.ErrDenied) // the grant is still to the reader
	w.hand("w-1", reader)
	if err := w.serveable(index, w.now()); err != nil {
		t.Error(err)
	}
	a, err := consent.LookupAccess(w.of(consent.Contract), index)
	if err != nil {
		t.Fatal(err)
	}
	if err := consent.Serveable(w.c.Consortium, w.of, a, w.now(), nil); err != consent.ErrTerms {
		t.Errorf("members that know of no workflows answer: %v", err)
	}
}

// TestGrantsForHoldersTakeWorkflows: where there are none, nobody could use them.
func TestGrantsForHoldersTakeWorkflows(t *testing.T) {
	w := newWorldOf(t, nil)
	w.refused(w.offer(patient, reader, "clinical", terms{Conditions: consent.Conditions{Instance: "w-1"}}).send(), consent.ErrTerms)
	w.must(w.offer(patient, reader, "clinical", terms{}).send())
}

// tampered is the state with every record edited.
func (w *world) tampered(edit func(*record.Record)) func(string) ledger.Reader {
	return func(contract string) ledger.Reader {
		if contract != record.Contract {
			return w.of(contract)
		}
		return tampering{w.of(contract), edit}
	}
}

type tampering struct {
	ledger.Reader
	edit func(*record.Record)
}

func (t tampering) Get(key []byte) ([]byte, error) {
	b, err := t.Reader.Get(key)
	r := new(record.Record)
	if err != nil || chain.Unmarshal(b, r) != nil {
		return b, err
	}
	t.edit(r)
	return chain.Marshal(r)
}

// TestMembersLookAtTheRecordsAgain: a state in which a record is not what it was
// when the access was accepted cannot come about, and is not answered.
func TestMembersLookAtTheRecordsAgain(t *testing.T) {
	w := newWorld(t)
	id := w.put(patient, "labs/blood", 1)
	g := w.grant(patient, reader, "labs", terms{Conditions: consent.Conditions{Except: []pre.Type{"labs/hiv"}, Until: w.now()}})
	w.must(w.access(w.ask(g, id)))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[chain.Code]func(*record.Record){
		"":               func(*record.Record) {},
		consent.ErrType:  func(r *record.Record) { r.Type = "labs/hiv/load" },
		consent.ErrOwner: func(r *record.Record) { r.Owner = other },
		consent.ErrEpoch: func(r *record.Record) { r.Epoch = 9 },
		consent.ErrDated: func(r *record.Record) { r.Dated = w.now() + day.Milliseconds() },
	} {
		err := consent.Serveable(w.c.Consortium, w.tampered(edit), a, w.now(), holds)
		if want == "" && err != nil || want != "" && err != want {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func ExampleExamine() {
	w := newWorld(new(testing.T))
	g := w.grant(patient, reader, "labs", terms{Conditions: consent.Conditions{
		Purposes: []consent.Purpose{consent.Treatment}, Except: []pre.Type{"labs/hiv"}, Obligations: []consent.Obligation{"DELAU"},
	}})
	r, _ := record.Lookup(w.of(record.Contract), w.put(patient, "labs/hiv", 1))
	for _, f := range consent.Examine(&consent.Case{
		Grant: w.lookup(g), Status: consent.StatusActive, Consortium: w.c.Consortium, Time: w.now(), Reader: w.identity(reader),
		Purpose: "COC", Records: []*record.Record{r},
	}) {
		if !f.Holds() {
			fmt.Println(f.Clause, "refuses:", f.Code)
		}
	}
	// Output:
	// obligations refuses: consent/obligation
	// except refuses: consent/type
}
