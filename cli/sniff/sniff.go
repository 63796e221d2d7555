// Package sniff tells from a medical record's content what it is: its place in
// the taxonomy of types, its media type, a title, and what day it tells of. It
// knows FHIR R4 in JSON and XML, CDA (C-CDA, and WS/T 500 as Chinese hospitals
// have it), HL7 v2, DICOM and PDF.
//
// What it says is a proposal. It never changes a record, and never fails: what it
// does not know is of type "unsorted".
package sniff

import (
	"bytes"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/ward-health/ward/pre"
)

// Head is how many bytes of a record Of looks at.
const Head = 512 << 10

// A Record is what Of found.
type Record struct {
	Type      pre.Type // never sealed by accident, always valid
	MediaType string
	Title     string    // the record's own, or else its filename
	Dated     time.Time // zero if the content does not tell
}

// Unsorted is the type of what Of does not know.
const Unsorted pre.Type = "unsorted"

// Of returns what a record is. head is its first Head bytes, or all of it; name
// is its filename, which counts only where the content does not say.
func Of(name string, head []byte) Record {
	head = head[:min(len(head), Head)]
	body := bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	r := Record{Type: Unsorted, MediaType: http.DetectContentType(head)}
	switch trimmed := bytes.TrimLeft(body, " \t\r\n\x0b"); {
	case isDICOM(name, head):
		r = dicom(head)
	case bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")):
		r = Record{Type: "clinical/document", MediaType: "application/pdf"}
	case bytes.HasPrefix(trimmed, []byte("MSH|")), bytes.HasPrefix(trimmed, []byte("FHS|")), bytes.HasPrefix(trimmed, []byte("BHS|")):
		r = hl7(trimmed)
	case bytes.HasPrefix(trimmed, []byte("{")):
		if found, ok := fhirJSON(trimmed); ok {
			r = found
		} else {
			r.MediaType = "application/json"
		}
	case bytes.HasPrefix(trimmed, []byte("<")):
		if found, ok := fromXML(trimmed); ok {
			r = found
		}
	case strings.HasPrefix(r.MediaType, "image/"):
		r.Type = "clinical/document"
	}
	if _, err := pre.ParseType(string(r.Type)); err != nil || r.Type == "" {
		r.Type = Unsorted
	}
	r.Title = title(r.Title)
	if r.Title == "" {
		r.Title = title(path.Base(name))
	}
	return r
}

// title returns a text as a title of at most 120 characters on one line.
func title(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if runes := []rune(s); len(runes) > 120 {
		s = string(runes[:119]) + "…"
	}
	return s
}

// day reads the date at the beginning of a time as FHIR ("2026-03-02T…") or HL7
// ("20260302…") write it. Of a year or a month it takes the first day.
func day(s string) time.Time {
	s = strings.TrimSpace(s)
	for _, layout := range []string{"2006-01-02", "20060102", "2006-01", "200601", "2006"} {
		if len(s) >= len(layout) {
			if t, err := time.Parse(layout, s[:len(layout)]); err == nil && t.Year() >= 1900 {
				return t
			}
		}
	}
	return time.Time{}
}

// hl7 reads the header of an HL7 v2 message or batch.
func hl7(b []byte) Record {
	r := Record{Type: Unsorted, MediaType: "x-application/hl7-v2+er7"}
	i := bytes.Index(b, []byte("MSH|"))
	if i < 0 {
		return r
	}
	header, _, _ := bytes.Cut(b[i:], []byte("\r"))
	header, _, _ = bytes.Cut(header, []byte("\n"))
	fields := strings.Split(string(header), "|")
	if len(fields) < 9 {
		return r
	}
	r.Dated = day(fields[6])
	message := strings.Split(fields[8], "^")
	r.Title = "HL7 v2 " + strings.Join(message[:min(2, len(message))], " ")
	if len(message) > 1 {
		if t, ok := hl7Types[message[0]+"^"+message[1]]; ok {
			r.Type = t
			return r
		}
	}
	if t, ok := hl7Types[message[0]]; ok {
		r.Type = t
	}
	return r
}

var hl7Types = map[string]pre.Type{
	"ADT":     "clinical/encounter",
	"ADT^A01": "clinical/admission",
	"ADT^A03": "clinical/discharge",
	"ADT^A04": "clinical/encounter/outpatient",
	"ORU":     "clinical/exam/lab",
	"ORM":     "clinical/order",
	"OML":     "clinical/exam/lab",
	"OMI":     "clinical/exam/imaging",
	"OMP":     "clinical/medication/prescription/western",
	"RDE":     "clinical/medication/prescription/western",
	"RDS":     "clinical/medication/dispense",
	"RAS":     "clinical/medication/administration",
	"VXU":     "clinical/immunization",
	"MDM":     "clinical/document",
	"PPR":     "clinical/problem",
	"REF":     "clinical/referral",
	"SIU":     "admin/appointment",
	"DFT":     "admin/finance",
	"BAR":     "admin/finance",
}
