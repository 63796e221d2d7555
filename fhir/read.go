package fhir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Medications reads the items of a prescription from a Bundle, a
// MedicationRequest or Parameters of FHIR R4, in JSON or XML, whatever national
// profile it follows: Ward passes the document on as it is, and takes from it only
// what the chain counts. A document without a MedicationRequest has no items.
// Cancelled items are left out.
func Medications(document []byte) ([]Medication, error) {
	root, err := parse(document)
	if err != nil {
		return nil, fmt.Errorf("read prescription: %w", err)
	}
	r := reader{resources: make(map[string]*node)}
	r.index(root)
	var out []Medication
	for _, n := range r.requests {
		m, err := r.medication(n)
		if err != nil {
			return nil, fmt.Errorf("read prescription: item %d: %w", len(out)+1, err)
		}
		if s := n.at("status"); s != "cancelled" && s != "entered-in-error" && s != "stopped" {
			out = append(out, *m)
		}
	}
	return out, nil
}

// MediaType returns the media type of a FHIR document by its first character.
func MediaType(document []byte) string {
	if strings.HasPrefix(strings.TrimLeftFunc(string(document[:min(len(document), 64)]), blank), "<") {
		return MediaTypeXML
	}
	return MediaTypeJSON
}

// A reader knows the resources of a document.
type reader struct {
	resources map[string]*node // by what refers to them
	requests  []*node
}

// index finds the resources in a tree. Each is found by its full URL, its type
// and id, and its id within the resource that contains it.
func (r *reader) index(n *node) {
	if n.kind == "MedicationRequest" && n.name != "contained" { // one in a MedicationDispense is history
		r.requests = append(r.requests, n)
	}
	if id := n.at("id"); n.kind != "" && id != "" {
		r.resources[n.kind+"/"+id] = n
	}
	for _, k := range n.kids {
		if k.kind != "" && n.at("fullUrl") != "" {
			r.resources[n.at("fullUrl")] = k
		}
		if k.name == "contained" && k.at("id") != "" {
			r.resources["#"+k.at("id")] = k
		}
		r.index(k)
	}
}

func (r *reader) medication(n *node) (*Medication, error) {
	m := &Medication{Schedule: Uncontrolled, Substitution: n.at("substitution", "allowedBoolean") == "true"}
	concept := n.find("medicationCodeableConcept")
	from := []*node{n}
	if ref := n.at("medicationReference", "reference"); concept == nil && ref != "" {
		if drug := r.resources[ref]; drug != nil {
			concept, from = drug.find("code"), append(from, drug)
		}
	}
	if concept != nil {
		m.Drug = Coding{concept.at("coding", "system"), concept.at("coding", "code"), concept.at("coding", "display")}
		m.Drug.Display = first(m.Drug.Display, concept.at("text"))
	}
	m.Drug.Display = first(m.Drug.Display, n.at("medicationReference", "display"))
	m.Dosage = n.at("dosageInstruction", "text")
	for _, f := range from {
		if s := schedule(f); slices.Index(schedules, s) > slices.Index(schedules, m.Schedule) {
			m.Schedule = s
		}
	}
	d := n.find("dispenseRequest")
	if d == nil {
		return m, nil
	}
	var err error
	if v := d.at("quantity", "value"); v != "" {
		if m.Quantity, err = ParseQuantity(v); err != nil {
			return nil, err
		}
	}
	m.Unit = first(d.at("quantity", "unit"), d.at("quantity", "code"))
	if m.Repeats, err = count(d.at("numberOfRepeatsAllowed")); err != nil {
		return nil, err
	}
	if m.Interval, err = days(d.find("dispenseInterval")); err != nil {
		return nil, err
	}
	m.Days = validity(d.at("validityPeriod", "start"), d.at("validityPeriod", "end"))
	return m, nil
}

// schedule returns how a resource says that a drug is controlled: in Ward's own
// extension, that of England, or the category of Germany.
func schedule(n *node) Schedule {
	for _, e := range n.all("extension") {
		switch url := e.at("url"); {
		case url == extensionSchedule:
			if s := Schedule(e.at("valueCode")); s.Valid() {
				return s
			}
		case strings.HasSuffix(url, "/Extension-DM-ControlledDrug"):
			for _, part := range e.all("extension") {
				if part.at("url") == "schedule" {
					return english(part.at("valueCoding", "code"))
				}
			}
		case strings.HasSuffix(url, "/KBV_EX_ERP_Medication_Category"):
			if e.at("valueCoding", "code") == "01" { // Betäubungsmittel
				return Narcotic
			}
		}
	}
	return Uncontrolled
}

// english returns the schedule for one of the Misuse of Drugs Regulations.
func english(code string) Schedule {
	switch {
	case strings.HasPrefix(code, "CD1"), strings.HasPrefix(code, "CD2"):
		return Narcotic
	case strings.HasPrefix(code, "CD3"):
		return Psychotropic1
	case strings.HasPrefix(code, "CD"):
		return Psychotropic2
	}
	return Uncontrolled
}

func count(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxCount {
		return 0, fmt.Errorf("%q is no count", s)
	}
	return n, nil
}

// days reads a duration in days, of any other unit 0.
func days(n *node) (int, error) {
	if n == nil || first(n.at("code"), n.at("unit")) != "d" && n.at("unit") != "day" {
		return 0, nil
	}
	return count(n.at("value"))
}

// validity returns how many days lie between two times, begun ones included, or 0.
func validity(start, end string) int {
	from, ok := moment(start)
	to, said := moment(end)
	if !ok || !said || !to.After(from) {
		return 0
	}
	n := (to.Sub(from) + day - 1) / day
	if n > maxCount {
		return 0
	}
	return int(n)
}

func moment(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// text reports whether s can be shown.
func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

func blank(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }
