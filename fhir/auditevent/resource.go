// Package auditevent writes the audit trail as hospital software expects it: in
// HL7 FHIR R4 (4.0.1), an AuditEvent for every line of a patient's history, in a
// Bundle of type collection, as JSON. People, hospitals, records and grants are
// given by identifiers of the chain, never by name:
//
//	urn:ward:CHAIN:identity   dr.lee@east
//	urn:ward:CHAIN:hospital   north
//	urn:ward:CHAIN:record     r-…
//	urn:ward:CHAIN:grant      g-…
//
// The same event of the same chain always has the same id, so that a repository
// that gets a trail twice has it once. An event carries the number of its
// transaction, by which anybody gets its receipt: what the AuditEvent says is proved
// by the chain and not by the AuditEvent.
//
// No profile is claimed. IHE BALP wants the network addresses of both ends in
// every event; they are not on the chain, and are not made up here.
package auditevent

// A Coding is a code of a code system.
type Coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

// A CodeableConcept is a concept, by its codes.
type CodeableConcept struct {
	Coding []Coding `json:"coding"`
}

// An Identifier names something within a system.
type Identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

// A Reference is a logical one: what is meant has an identifier and no address.
type Reference struct {
	Type       string     `json:"type,omitempty"`
	Identifier Identifier `json:"identifier"`
}

// An Event is an AuditEvent resource.
type Event struct {
	ResourceType   string            `json:"resourceType"`
	ID             string            `json:"id"`
	Type           Coding            `json:"type"`
	Subtype        []Coding          `json:"subtype,omitempty"`
	Action         string            `json:"action"`
	Recorded       string            `json:"recorded"` // an instant, in UTC
	Outcome        string            `json:"outcome"`
	PurposeOfEvent []CodeableConcept `json:"purposeOfEvent,omitempty"`
	Agent          []Agent           `json:"agent"`
	Source         Source            `json:"source"`
	Entity         []Entity          `json:"entity"`
}

// An Agent took part in an event.
type Agent struct {
	Type         CodeableConcept   `json:"type"`
	Who          Reference         `json:"who"`
	Requestor    bool              `json:"requestor"`
	Policy       []string          `json:"policy,omitempty"` // under which grant
	PurposeOfUse []CodeableConcept `json:"purposeOfUse,omitempty"`
}

// A Source is who keeps the log.
type Source struct {
	Observer Reference `json:"observer"`
	Type     []Coding  `json:"type"`
}

// An Entity is what an event was about.
type Entity struct {
	What   Reference `json:"what"`
	Type   Coding    `json:"type"`
	Role   *Coding   `json:"role,omitempty"`
	Detail []Detail  `json:"detail,omitempty"`
}

// A Detail is a property of an entity.
type Detail struct {
	Type        string `json:"type"`
	ValueString string `json:"valueString"`
}
