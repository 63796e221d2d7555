package fhir

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPrescriptionsOfOtherCountries(t *testing.T) {
	for name, want := range map[string][]Medication{
		"england.json": {
			{Drug: Coding{"http://snomed.info/sct", "36126211000001106", "Morphine sulfate 10mg tablets"}, Dosage: "one twice a day", Quantity: 20500, Unit: "tablet", Days: 28, Schedule: Narcotic},
			{Drug: Coding{Display: "Paracetamol 500mg"}, Quantity: 100000, Unit: "{tbl}", Repeats: 5, Interval: 28, Schedule: Uncontrolled},
		},
		"germany.xml": {
			{Drug: Coding{"http://fhir.de/CodeSystem/ifa/pzn", "01256262", "Fentanyl 25 µg/h"}, Dosage: "1-0-1", Quantity: 2000, Unit: "{Package}", Schedule: Narcotic, Substitution: true},
		},
	} {
		got, err := Medications(read(t, name))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
	if MediaType(read(t, "germany.xml")) != MediaTypeXML || MediaType(read(t, "england.json")) != MediaTypeJSON || MediaType([]byte("\ufeff <Bundle/>")) != MediaTypeXML {
		t.Error("media types are mixed up")
	}
}

func morphine() Prescription {
	return Prescription{
		ID: "w-1", Patient: "p-7f3a@north", Prescriber: "dr.lee@north", Authored: time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC),
		Medication: Medication{
			Drug: Coding{"http://www.whocc.no/atc", "N02AA01", "Morphine 10 mg"}, Dosage: "1-0-1", Quantity: 10500, Unit: "tablet",
			Days: 3, Schedule: Narcotic, Substitution: true,
		},
	}
}

func TestBundleIsReadBack(t *testing.T) {
	long := morphine()
	long.Repeats, long.Interval, long.Days, long.Schedule, long.Substitution, long.Dosage = 5, 28, 180, Uncontrolled, false, ""
	free := morphine()
	free.Drug = Coding{Display: "a \"tea\" <as known>"}
	for _, p := range []Prescription{morphine(), long, free} {
		b, err := p.Bundle()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Medications(b)
		if err != nil || !reflect.DeepEqual(got, []Medication{p.Medication}) {
			t.Errorf("%+v, %v, want %+v\n%s", got, err, p.Medication, b)
		}
	}
}

func TestBundleRefusesWhatIsOutOfRange(t *testing.T) {
	for name, change := range map[string]func(*Prescription){
		"no drug":              func(p *Prescription) { p.Drug = Coding{} },
		"system without code":  func(p *Prescription) { p.Drug.Code = "" },
		"no quantity":          func(p *Prescription) { p.Quantity = 0 },
		"much":                 func(p *Prescription) { p.Quantity = maxQuantity + 1 },
		"negative repeats":     func(p *Prescription) { p.Repeats = -1 },
		"negative days":        func(p *Prescription) { p.Days = -1 },
		"long interval":        func(p *Prescription) { p.Interval = maxCount + 1 },
		"another schedule":     func(p *Prescription) { p.Schedule = "some" },
		"no patient":           func(p *Prescription) { p.Patient = "" },
		"no date":              func(p *Prescription) { p.Authored = time.Time{} },
		"a control character":  func(p *Prescription) { p.Dosage = "1\x1b[2J" },
		"a text that is none":  func(p *Prescription) { p.Unit = "\xff" },
		"a text without limit": func(p *Prescription) { p.Dosage = strings.Repeat("x", maxText+1) },
	} {
		p := morphine()
		change(&p)
		if b, err := p.Bundle(); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
}

func TestQuantities(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "1": 1000, "20.50": 20500, "0.001": 1, "1000000000": 1e12, "7.5000": 7500} {
		if got, err := ParseQuantity(s); err != nil || got != want {
			t.Errorf("%q is %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "-1", "+1", ".5", "1e3", "0.0001", "1000000000.001", "99999999999999999999", "1 ", "1,5"} {
		if got, err := ParseQuantity(s); err == nil {
			t.Errorf("%q is %d", s, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 1000: "1", 20500: "20.5", 1: "0.001"} {
		if got := FormatQuantity(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

// TestHostileDocuments end with an error, soon.
func TestHostileDocuments(t *testing.T) {
	request := `{"resourceType":"MedicationRequest","dispenseRequest":{"quantity":{"value":%s}}}`
	for name, doc := range map[string]string{
		"empty":                 "",
		"no resource":           `{"a":1}`,
		"a list":                `[{"resourceType":"Bundle"}]`,
		"two documents":         `{"resourceType":"Bundle"}{"resourceType":"Bundle"}`,
		"cut off":               `{"resourceType":"Bundle","entry":[`,
		"deep JSON":             `{"resourceType":"Bundle","a":` + strings.Repeat("[", 1e6),
		"deep objects":          strings.Repeat(`{"resourceType":"Bundle","a":`, 1e4),
		"deep XML":              `<Bundle xmlns="http://hl7.org/fhir">` + strings.Repeat("<a>", 1e5),
		"many elements":         `{"resourceType":"Bundle","a":[` + strings.Repeat("0,", maxNodes) + `0]}`,
		"too large":             `{"resourceType":"Bundle","a":"` + strings.Repeat("x", MaxDocument) + `"}`,
		"another namespace":     `<Bundle xmlns="urn:other"/>`,
		"two roots":             `<Bundle xmlns="http://hl7.org/fhir"/><Bundle xmlns="http://hl7.org/fhir"/>`,
		"entities":              `<!DOCTYPE a [<!ENTITY x "y">]><Bundle xmlns="http://hl7.org/fhir">&x;</Bundle>`,
		"a quantity in words":   strings.Replace(request, "%s", `"many"`, 1),
		"a negative quantity":   strings.Replace(request, "%s", "-1", 1),
		"a quantity with power": strings.Replace(request, "%s", "1e99", 1),
		"negative repeats":      `{"resourceType":"MedicationRequest","dispenseRequest":{"numberOfRepeatsAllowed":-1}}`,
	} {
		if got, err := Medications([]byte(doc)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzMedications(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, name := range files {
		f.Add(read(f, filepath.Base(name)))
	}
	p := morphine()
	b, err := p.Bundle()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Medications(b)
		if err != nil {
			return
		}
		for _, m := range list {
			if m.Quantity < 0 || m.Quantity > maxQuantity || m.Repeats < 0 || m.Days < 0 || m.Days > maxCount || !m.Schedule.Valid() {
				t.Fatalf("%+v", m)
			}
			// What can be written is read as it was.
			p := Prescription{Medication: m, ID: "w", Patient: "p", Prescriber: "d", Authored: time.Unix(1, 0)}
			b, err := p.Bundle()
			if err != nil {
				continue
			}
			if got, err := Medications(b); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], m) {
				t.Fatalf("%+v, %v, want %+v", got, err, m)
			}
		}
	})
}
