package consent_test

import (
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
)

// A patient lets a doctor read her laboratory reports, and ends it.
func Example() {
	w := newWorld(new(testing.T)) // four members with their keys, a patient, doctors, a laboratory
	report := w.put("p-7f3a@north", "clinical/exam/lab", 3)

	o := w.offer("p-7f3a@north", "dr.lee@south", "clinical/exam", terms{Conditions: consent.Conditions{
		Purposes: []consent.Purpose{consent.Treatment},
		NotAfter: w.c.Now.Add(30 * day).UnixMilli(),
	}})
	fmt.Println("grant:", codeOf(o.send()))
	read := func() string {
		return codeOf(w.do("dr.lee@south", consent.MethodAccess, consent.AccessArgs{
			Grant: o.id, Records: idsOf(report), Purpose: consent.Treatment, Transport: w.transport().Public(),
		}))
	}
	fmt.Println("access:", read())
	w.accept(o.id, "east", "north", "west") // each opened its share
	fmt.Println("access:", read())
	fmt.Println("revoke:", codeOf(w.do("p-7f3a@north", consent.MethodRevoke, consent.RevokeArgs{Grant: o.id})))
	fmt.Println("access:", read())
	// Output:
	// grant: done
	// access: consent/pending
	// access: done
	// revoke: done
	// access: consent/revoked
}

// codeOf names the outcome of a transaction.
func codeOf(r chain.Result) string {
	if r.Code == "" {
		return "done"
	}
	return string(r.Code)
}

func ExamplePurpose_Covers() {
	fmt.Println(consent.Treatment.Covers("COC"), consent.Treatment.Covers(consent.Research), consent.Treatment.Covers(consent.BreakGlass))
	// Output: true false false
}

func ExampleConditions_Hash() {
	c := consent.Conditions{MaxUses: 3, CoSigners: consent.CoSigners{Count: 1, Attribute: "role", Value: "physician"}}
	h, err := c.Hash()
	fmt.Printf("%x %v\n", h, err)
	c.MaxUses = 0
	other, _ := c.Hash()
	fmt.Println(h == other)
	// Output:
	// 3164c45946a9d95d6e4fe994138a14b5a95559915648c5a04ea79ddf1bde09e3 <nil>
	// false
}

func ExampleParseConditions() {
	_, err := consent.ParseConditions([]byte("not that"))
	fmt.Println(err != nil)
	b, _ := (&consent.Conditions{Emergency: true}).Bytes()
	c, err := consent.ParseConditions(b)
	fmt.Println(c.Emergency, err)
	// Output:
	// true
	// true <nil>
}

func ExampleParseID() {
	_, err := consent.ParseID("g-mfrggzdfmztwq2lknnwg23tpoa")
	fmt.Println(err)
	_, err = consent.ParseID("my grant")
	fmt.Println(err)
	// Output:
	// <nil>
	// consent/malformed
}

func ExampleApprovalStatement() {
	args := consent.EmergencyArgs{Owner: "p-7f3a@north"}
	mine, err := consent.ApprovalStatement("records.example", "dr.lee@south", consent.MethodEmergency, args)
	fmt.Println(string(mine[:16]), err)
	args.Approvals = []consent.Approval{{Name: "dr.kim@south"}} // are not signed themselves
	again, _ := consent.ApprovalStatement("records.example", "dr.lee@south", consent.MethodEmergency, args)
	fmt.Println(string(mine) == string(again))
	// Output:
	// WARD-V1-APPROVAL <nil>
	// true
}

// Members answer an access for an hour.
func ExampleServeable() {
	w := newWorld(new(testing.T))
	g := w.grant(patient, reader, "clinical", terms{})
	w.access(w.ask(g, w.put(patient, "clinical/exam", 1)))
	a, err := consent.LookupAccess(w.of(consent.Contract), w.last())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, later := range []int64{0, 60_000, 3_600_001} {
		fmt.Println(consent.Serveable(w.c.Consortium, w.of, a, a.Time+later, holds))
	}
	// Output:
	// <nil>
	// <nil>
	// consent/expired
}

// Two clinicians break the glass, and one of them is asked why.
func ExampleEachAccess() {
	w := newWorld(new(testing.T))
	w.emergency("dr.lee@south", w.breakGlass("dr.lee@south", patient, idsOf(w.put(patient, "clinical", 1)), "dr.kim@south"))
	err := consent.EachAccess(w.of(consent.Contract), consent.Accesses{Open: true}, 0, func(a *consent.Access) bool {
		fmt.Println(a.Reader, "with", a.CoSigners, "read", len(a.Records), "record of", a.Owner, "for", a.Purpose)
		return true
	})
	fmt.Println(err)
	// Output:
	// dr.lee@south with [dr.kim@south] read 1 record of p-7f3a@north for BTG
	// <nil>
}

func ExampleStanding() {
	w := newWorld(new(testing.T))
	g := w.grant(patient, reader, "clinical", terms{})
	now := w.now()
	show := func() {
		fmt.Println(consent.Standing(w.lookup(g), w.of(identity.Contract), w.of("keys"), now))
	}
	show()
	w.raiseEpoch(patient)
	show()
	w.revoke(g)
	show()
	// Output:
	// active <nil>
	// stale <nil>
	// revoked <nil>
}
