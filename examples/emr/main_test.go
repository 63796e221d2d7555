package main

func Example() {
	main()
	// Output:
	// archive@north wrote two records for p-7f3a@north
	// dr.lee@east reads: lab-blood-count.fhir.json, application/fhir+json, 2265 bytes
	// dr.lee@east asks for the allergy: refused, no grant covers it
	// dr.okafor@south asks for the exam: refused, the grant is for somebody else
	// dr.lee@east asks for the exam again: refused, the grant was revoked
	// dr.okafor@south breaks the glass, with dr.lee@east: allergy-penicillin.fhir.json
	// history: put by archive@north
	// history: put by archive@north
	// history: grant by p-7f3a@north
	// history: access by dr.lee@east
	// history: revoke by p-7f3a@north
	// history: emergency by dr.okafor@south
	// history: review by privacy@north
	// p-7f3a@north reads: lab-blood-count.fhir.json, as it was written: true
	// the chain verifies offline
}
