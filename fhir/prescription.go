package fhir

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MediaTypeJSON and MediaTypeXML are the media types of FHIR.
const (
	MediaTypeJSON = "application/fhir+json"
	MediaTypeXML  = "application/fhir+xml"
)

// A Schedule says how a drug is controlled.
type Schedule string

// The schedules, from not at all to most strictly.
const (
	Uncontrolled  Schedule = "none"
	Psychotropic2 Schedule = "psychotropic-2"
	Psychotropic1 Schedule = "psychotropic-1"
	Narcotic      Schedule = "narcotic"
)

var schedules = []Schedule{Uncontrolled, Psychotropic2, Psychotropic1, Narcotic}

// Valid reports whether it is one of the schedules.
func (s Schedule) Valid() bool { return slices.Contains(schedules, s) }

// A Coding is a code of a terminology.
type Coding struct {
	System  string `json:"system,omitempty"`
	Code    string `json:"code,omitempty"`
	Display string `json:"display,omitempty"`
}

// A Medication is one item of a prescription: a MedicationRequest with what its
// Medication says.
type Medication struct {
	Drug         Coding
	Dosage       string // in words
	Quantity     int64  // of one fill, in thousandths of Unit; 0 if it does not say
	Unit         string
	Repeats      int // fills after the first
	Interval     int // days between two fills; 0 if it does not say
	Days         int // of validity; 0 if it does not say
	Schedule     Schedule
	Substitution bool // by another product is allowed
}

// A Prescription is a medication that somebody prescribes. Names are pseudonyms.
type Prescription struct {
	Medication
	ID         string // of the bundle: that of the workflow
	Patient    string
	Prescriber string
	Authored   time.Time
}

// extensionSchedule marks a controlled drug. Part of the format.
const extensionSchedule = "urn:ward:medication-schedule"

type (
	bundle struct {
		ResourceType string     `json:"resourceType"`
		Identifier   identifier `json:"identifier"`
		Type         string     `json:"type"`
		Timestamp    string     `json:"timestamp"`
		Entry        []entry    `json:"entry"`
	}
	identifier struct {
		System string `json:"system,omitempty"`
		Value  string `json:"value"`
	}
	entry struct {
		FullURL  string            `json:"fullUrl"`
		Resource medicationRequest `json:"resource"`
	}
	medicationRequest struct {
		ResourceType    string      `json:"resourceType"`
		Extension       []extension `json:"extension,omitempty"`
		Status          string      `json:"status"`
		Intent          string      `json:"intent"`
		Medication      concept     `json:"medicationCodeableConcept"`
		Subject         reference   `json:"subject"`
		AuthoredOn      string      `json:"authoredOn"`
		Requester       reference   `json:"requester"`
		Dosage          []dosage    `json:"dosageInstruction,omitempty"`
		DispenseRequest dispensing  `json:"dispenseRequest"`
		Substitution    allowed     `json:"substitution"`
	}
	extension struct {
		URL       string   `json:"url"`
		ValueCode Schedule `json:"valueCode"`
	}
	concept struct {
		Coding []Coding `json:"coding,omitempty"`
		Text   string   `json:"text,omitempty"`
	}
	reference struct {
		Identifier identifier `json:"identifier"`
	}
	dosage struct {
		Text string `json:"text"`
	}
	dispensing struct {
		Interval *quantity `json:"dispenseInterval,omitempty"`
		Validity *period   `json:"validityPeriod,omitempty"`
		Repeats  int       `json:"numberOfRepeatsAllowed,omitempty"`
		Quantity *quantity `json:"quantity,omitempty"`
	}
	period struct {
		Start string `json:"start"`
		End   string `json:"end"`
	}
	quantity struct {
		Value  json.Number `json:"value"`
		Unit   string      `json:"unit,omitempty"`
		System string      `json:"system,omitempty"`
		Code   string      `json:"code,omitempty"`
	}
	allowed struct {
		Boolean bool `json:"allowedBoolean"`
	}
)

// Bundle returns the prescription as a FHIR R4 Bundle with one MedicationRequest,
// in JSON. Medications reads it back. The error says which field is out of range.
func (p *Prescription) Bundle() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("prescription: %w", err)
	}
	authored := p.Authored.UTC().Truncate(time.Second)
	r := medicationRequest{
		ResourceType: "MedicationRequest", Status: "active", Intent: "order",
		Subject: reference{identifier{Value: p.Patient}}, Requester: reference{identifier{Value: p.Prescriber}},
		AuthoredOn:   authored.Format(time.RFC3339),
		Medication:   concept{Text: p.Drug.Display},
		Substitution: allowed{p.Substitution},
		DispenseRequest: dispensing{
			Repeats: p.Repeats, Quantity: &quantity{Value: json.Number(FormatQuantity(p.Quantity)), Unit: p.Unit},
		},
	}
	if p.Drug.Code != "" {
		r.Medication.Coding = []Coding{p.Drug}
	}
	if p.Dosage != "" {
		r.Dosage = []dosage{{p.Dosage}}
	}
	if p.Schedule != Uncontrolled {
		r.Extension = []extension{{extensionSchedule, p.Schedule}}
	}
	if p.Interval > 0 {
		r.DispenseRequest.Interval = &quantity{Value: json.Number(strconv.Itoa(p.Interval)), Unit: "d", System: "http://unitsofmeasure.org", Code: "d"}
	}
	if p.Days > 0 {
		r.DispenseRequest.Validity = &period{authored.Format(time.RFC3339), authored.Add(time.Duration(p.Days) * day).Format(time.RFC3339)}
	}
	b, err := json.MarshalIndent(bundle{
		ResourceType: "Bundle", Identifier: identifier{"urn:ward:workflow", p.ID}, Type: "collection",
		Timestamp: authored.Format(time.RFC3339), Entry: []entry{{"urn:ward:" + p.ID, r}},
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

const day = 24 * time.Hour

func (m *Medication) check() error {
	switch {
	case m.Drug.Code == "" && m.Drug.Display == "":
		return errors.New("no drug")
	case m.Drug.Code == "" && m.Drug.System != "":
		return errors.New("a terminology without a code")
	case m.Quantity <= 0 || m.Quantity > maxQuantity:
		return errors.New("no quantity")
	case m.Repeats < 0 || m.Repeats > maxCount, m.Interval < 0 || m.Interval > maxCount, m.Days < 0 || m.Days > maxCount:
		return errors.New("repeats, interval or days out of range")
	case !m.Schedule.Valid():
		return fmt.Errorf("no schedule %q", m.Schedule)
	}
	for _, s := range []string{m.Drug.System, m.Drug.Code, m.Drug.Display, m.Dosage, m.Unit} {
		if len(s) > maxText || !text(s) {
			return errors.New("a text is too long or no text")
		}
	}
	return nil
}

func (p *Prescription) check() error {
	if p.ID == "" || p.Patient == "" || p.Prescriber == "" || p.Authored.Year() < 1970 || p.Authored.Year() > 9000 {
		return errors.New("id, patient, prescriber or date is missing")
	}
	return p.Medication.check()
}

// Limits of what is written and read.
const (
	maxQuantity = 1_000_000_000_000 // thousandths
	maxCount    = 10_000
	maxText     = 4 << 10
)

// ParseQuantity reads a decimal number that is not negative, with up to three
// digits after the point that count, in thousandths.
func ParseQuantity(s string) (int64, error) {
	whole, part, _ := strings.Cut(s, ".")
	part = strings.TrimRight(part, "0")
	if whole == "" || len(part) > 3 || strings.Trim(whole+part, "0123456789") != "" {
		return 0, fmt.Errorf("%q is no quantity", s)
	}
	n, err := strconv.ParseInt(whole+part+"000"[len(part):], 10, 64)
	if err != nil || n > maxQuantity {
		return 0, fmt.Errorf("%q is no quantity", s)
	}
	return n, nil
}

// FormatQuantity writes what ParseQuantity reads.
func FormatQuantity(thousandths int64) string {
	s := fmt.Sprintf("%d.%03d", thousandths/1000, thousandths%1000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
