package fhir_test

import (
	"fmt"
	"time"

	"github.com/ward-health/ward/fhir"
)

func ExamplePrescription_Bundle() {
	p := fhir.Prescription{
		ID: "w-1", Patient: "p-7f3a@north", Prescriber: "dr.lee@north", Authored: time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC),
		Medication: fhir.Medication{
			Drug:     fhir.Coding{System: "http://www.whocc.no/atc", Code: "J01CA04", Display: "Amoxicillin 500 mg"},
			Quantity: 20_000, Unit: "capsule", Days: 28, Schedule: fhir.Uncontrolled,
		},
	}
	b, err := p.Bundle()
	if err != nil {
		fmt.Println(err)
		return
	}
	items, err := fhir.Medications(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(items[0].Drug.Display, fhir.FormatQuantity(items[0].Quantity), items[0].Unit)
	// Output: Amoxicillin 500 mg 20 capsule
}
