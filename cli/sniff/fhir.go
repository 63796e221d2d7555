package sniff

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/ward-health/ward/pre"
)

// A resource is what is looked at of a FHIR resource.
type resource struct {
	kind     string
	bundle   string   // a Bundle's type
	security []string // codes of its labels
	docType  []string // codes of its type
	category []string // codes and texts
	class    string   // of an encounter
	title    string
	text     string // of its code
	date     string
}

// maxDepth is how deep in a document is looked: what is deeper belongs to no
// field that counts.
const maxDepth = 12

// fhirJSON reads a resource in JSON, as far as it goes: the head of a large one
// is no complete document. ok is false for JSON that is not FHIR.
func fhirJSON(b []byte) (Record, bool) {
	var root resource
	var entries []resource
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	type level struct {
		array bool
		key   string // of the value that comes next, in an object
		want  bool   // a key comes next, in an object
	}
	var stack []level
	current := func() (path string, deep bool) {
		if len(stack) > maxDepth {
			return "", true
		}
		var parts []string
		for _, l := range stack {
			if !l.array {
				parts = append(parts, l.key)
			}
		}
		return strings.Join(parts, "."), false
	}
	for {
		token, err := d.Token()
		if err != nil {
			break
		}
		top := len(stack) - 1
		if delim, ok := token.(json.Delim); ok {
			switch delim {
			case '{', '[':
				if path, deep := current(); delim == '{' && !deep && path == "entry.resource" {
					entries = append(entries, resource{})
				}
				stack = append(stack, level{array: delim == '[', want: delim == '{'})
			default:
				stack = stack[:top]
				if top > 0 && !stack[top-1].array {
					stack[top-1].want = true
				}
			}
			continue
		}
		if top < 0 {
			break
		}
		if l := &stack[top]; !l.array && l.want {
			l.key, l.want = token.(string), false
			continue
		}
		if value, ok := token.(string); ok {
			if path, deep := current(); !deep {
				if field, ok := strings.CutPrefix(path, "entry.resource."); ok && len(entries) > 0 {
					entries[len(entries)-1].see(field, value)
				} else {
					root.see(path, value)
				}
			}
		}
		if !stack[top].array {
			stack[top].want = true
		}
	}
	if root.kind == "" {
		return Record{}, false
	}
	return root.record("application/fhir+json", entries), true
}

// see takes a value of the resource at a path of field names.
func (r *resource) see(path, value string) {
	switch path {
	case "resourceType":
		r.kind = value
	case "type":
		r.bundle = value
	case "meta.security.code":
		r.security = append(r.security, value)
	case "type.coding.code":
		r.docType = append(r.docType, value)
	case "category", "category.coding.code", "category.text":
		r.category = append(r.category, value)
	case "class.code":
		r.class = value
	case "title":
		r.title = value
	case "code.text", "type.text", "medicationCodeableConcept.text", "vaccineCode.text":
		r.text = value
	case "code.coding.display", "type.coding.display":
		if r.text == "" {
			r.text = value
		}
	case "effectiveDateTime", "effectivePeriod.start", "performedDateTime", "performedPeriod.start", "occurrenceDateTime", "occurrencePeriod.start",
		"authoredOn", "whenHandedOver", "started", "period.start", "date", "recordedDate", "created", "timestamp", "issued", "start", "dateTime", "recorded":
		if r.date == "" {
			r.date = value
		}
	}
}

// record says what a resource with its entries is.
func (r *resource) record(media string, entries []resource) Record {
	out := Record{MediaType: media, Type: r.place(), Title: r.name(), Dated: day(r.date)}
	labels := r.security
	if r.kind == "Bundle" {
		out.Title = "Bundle"
		var seen []pre.Type
		for _, e := range entries {
			labels = append(labels, e.security...)
			if t := e.place(); !admin[e.kind] {
				seen = append(seen, t)
			}
		}
		out.Type = together(seen)
		if r.bundle == "document" && len(entries) > 0 && entries[0].kind == "Composition" {
			out.Type, out.Title = entries[0].place(), entries[0].name()
			if out.Dated.IsZero() {
				out.Dated = day(entries[0].date)
			}
		}
	}
	for _, label := range labels {
		if t, ok := sensitive[label]; ok {
			out.Type = t
		}
	}
	return out
}

func (r *resource) name() string {
	for _, s := range []string{r.title, r.text} {
		if s != "" {
			return s
		}
	}
	return r.kind
}

// place returns the type of a single resource.
func (r *resource) place() pre.Type {
	for _, code := range r.docType {
		if t, ok := documents[code]; ok && (r.kind == "Composition" || r.kind == "DocumentReference" || r.kind == "DocumentManifest") {
			return t
		}
	}
	switch has := func(codes ...string) bool {
		return slices.ContainsFunc(r.category, func(c string) bool { return slices.Contains(codes, c) })
	}; r.kind {
	case "DiagnosticReport", "Observation":
		switch {
		case has("imaging", "RAD", "CT", "MR", "CUS", "NMR", "RUS", "NMS", "VUS", "CTH", "XRC", "LP29684-5"):
			return "clinical/exam/imaging"
		case has("vital-signs"):
			return "clinical/exam/vitals"
		case has("laboratory", "LAB"), r.kind == "DiagnosticReport":
			return "clinical/exam/lab"
		}
	case "MedicationRequest":
		if slices.ContainsFunc(r.category, func(c string) bool { return strings.Contains(c, "中药") || c == "tcm" }) {
			return "clinical/medication/prescription/tcm"
		}
	case "Encounter":
		switch r.class {
		case "EMER":
			return "clinical/encounter/emergency"
		case "AMB", "VR", "HH":
			return "clinical/encounter/outpatient"
		case "IMP", "ACUTE", "NONAC", "SS", "OBSENC":
			return "clinical/encounter/inpatient"
		}
	}
	if t, ok := resources[r.kind]; ok {
		return t
	}
	return Unsorted
}

// together returns the type of a bundle of several things: the one they share,
// or the deepest that covers them if that says something.
func together(types []pre.Type) pre.Type {
	if len(types) == 0 {
		return "clinical/summary"
	}
	common := types[0]
	for _, t := range types[1:] {
		for common != "" && !common.Covers(t) {
			i := strings.LastIndexByte(string(common), '/')
			common = common[:max(i, 0)]
		}
	}
	if !strings.Contains(string(common), "/") && common != "admin" {
		return "clinical/summary"
	}
	return common
}
