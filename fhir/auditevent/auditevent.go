package auditevent

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/identity"
)

// Code systems of HL7 and DICOM.
const (
	systemEvent       = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	systemLifecycle   = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
	systemInteraction = "http://hl7.org/fhir/restful-interaction"
	systemReason      = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	systemPart        = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	systemRole        = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
	systemSource      = "http://terminology.hl7.org/CodeSystem/security-source-type"
	systemEntity      = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	systemObject      = "http://terminology.hl7.org/CodeSystem/object-role"
)

var (
	recipient = Coding{systemPart, "IRCP", "information recipient"}
	author    = Coding{systemPart, "AUT", "author (originator)"}
	human     = Coding{systemRole, "humanuser", "human user"}
)

// kinds say what the kinds of ward.Event are in FHIR.
var kinds = map[string]struct {
	interaction string
	action      string
	agent       Coding
}{
	"put":       {"create", "C", author},
	"erase":     {"delete", "D", human},
	"grant":     {"create", "C", human},
	"revoke":    {"update", "U", human},
	"access":    {"read", "R", recipient},
	"emergency": {"read", "R", recipient},
	"request":   {"create", "C", human},
}

// New returns the AuditEvent for a line of the history of an owner's
// records on a chain. A kind that FHIR has no interaction for is an operation;
// the review of an emergency is a verification. Every event has the detail
// ward.kind, with the kind, and those with a transaction ward.index, its number.
// An event without a time is an error: FHIR has none such.
func New(chain string, owner identity.Name, e *ward.Event) (*Event, error) {
	if e.Time.IsZero() {
		return nil, fmt.Errorf("audit event: %s without a time", e.Kind)
	}
	named := func(system, value, resource string) Reference {
		return Reference{resource, Identifier{"urn:ward:" + chain + ":" + system, value}}
	}
	out := &Event{
		ResourceType: "AuditEvent", ID: id(chain, owner, e), Recorded: e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), Outcome: "0",
		Source: Source{named("hospital", owner.Org(), "Organization"), []Coding{{systemSource, "4", "Application Server"}}},
	}
	k, known := kinds[e.Kind]
	switch {
	case e.Kind == "review":
		out.Type, out.Action, k.agent = Coding{systemLifecycle, "verify", "Verify Record Lifecycle Event"}, "E", human
	case known:
		out.Type, out.Subtype, out.Action = Coding{systemEvent, "rest", "RESTful Operation"}, []Coding{{System: systemInteraction, Code: k.interaction}}, k.action
	default:
		out.Type, out.Subtype, out.Action, k.agent = Coding{systemEvent, "rest", "RESTful Operation"}, []Coding{{System: systemInteraction, Code: "operation"}}, "E", human
	}
	agent := Agent{Type: CodeableConcept{[]Coding{k.agent}}, Who: named("identity", string(e.By), ""), Requestor: true}
	if e.Purpose != "" {
		why := []CodeableConcept{{[]Coding{{System: systemReason, Code: string(e.Purpose)}}}}
		out.PurposeOfEvent, agent.PurposeOfUse = why, why
	}
	if e.Grant != "" && (e.Kind == "access" || e.Kind == "emergency") {
		agent.Policy = []string{"urn:ward:" + chain + ":grant:" + string(e.Grant)}
	}
	out.Agent = []Agent{agent}

	person, object := Coding{systemEntity, "1", "Person"}, Coding{systemEntity, "2", "System Object"}
	patient := Entity{What: named("identity", string(owner), "Patient"), Type: person, Role: &Coding{systemObject, "1", "Patient"}, Detail: []Detail{{"ward.kind", e.Kind}}}
	if e.Index != 0 {
		patient.Detail = append(patient.Detail, Detail{"ward.index", fmt.Sprint(e.Index)})
	}
	out.Entity = append(out.Entity, patient)
	for _, r := range e.Records {
		out.Entity = append(out.Entity, Entity{What: named("record", string(r), "DocumentReference"), Type: object, Role: &Coding{systemObject, "4", "Domain Resource"}})
	}
	if e.Grant != "" {
		out.Entity = append(out.Entity, Entity{What: named("grant", string(e.Grant), "Consent"), Type: object, Role: &Coding{systemObject, "4", "Domain Resource"}})
	}
	return out, nil
}

// id returns a UUID of version 8 (RFC 9562) that follows from the event.
func id(chain string, owner identity.Name, e *ward.Event) string {
	parts := []string{"ward/v1/fhir-audit-event", chain, string(owner), fmt.Sprint(e.Index), fmt.Sprint(e.Time.UnixMilli()), e.Kind, string(e.By), string(e.Grant)}
	for _, r := range e.Records {
		parts = append(parts, string(r))
	}
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00"))) // none of them has a zero in it
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// A Writer writes a Bundle of AuditEvents, one after the other, so that a trail
// of any length takes no memory. It is not safe for concurrent use.
type Writer struct {
	w     io.Writer
	n     int
	err   error // the first of writing
	ended bool
}

// NewWriter returns a writer of a Bundle that was made at a time.
func NewWriter(w io.Writer, made time.Time) *Writer {
	out := &Writer{w: w}
	out.print(`{"resourceType":"Bundle","type":"collection","timestamp":"` + made.UTC().Format("2006-01-02T15:04:05.000Z") + `"`)
	return out
}

func (w *Writer) print(text string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.w, text)
	}
}

// Write adds an event.
func (w *Writer) Write(e *Event) error {
	if w.ended {
		return errors.New("bundle: it has ended")
	}
	b, err := json.Marshal(struct {
		FullURL  string `json:"fullUrl"`
		Resource *Event `json:"resource"`
	}{"urn:uuid:" + e.ID, e})
	if err != nil {
		return err
	}
	if w.n == 0 {
		w.print(`,"entry":[` + "\n") // a list in FHIR is never empty
	} else {
		w.print(",\n")
	}
	w.n++
	w.print(string(b))
	return w.err
}

// Close says that the bundle is complete. Without it the bundle is no JSON.
func (w *Writer) Close() error {
	if w.ended {
		return w.err
	}
	w.ended = true
	if w.n > 0 {
		w.print("\n]")
	}
	w.print("}\n")
	return w.err
}
