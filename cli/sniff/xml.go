package sniff

import (
	"bytes"
	"encoding/xml"
	"io"
	"slices"
	"strings"
)

// fromXML reads a CDA document or a FHIR resource, as far as it goes. ok is
// false for any other XML.
func fromXML(b []byte) (Record, bool) {
	d := xml.NewDecoder(bytes.NewReader(b))
	// Only codes and dates decide, which are ASCII: what a document in another
	// character set says besides becomes question marks.
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return asciiReader{r}, nil }
	for {
		token, err := d.Token()
		if err != nil {
			return Record{}, false
		}
		root, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch root.Name.Space {
		case "urn:hl7-org:v3":
			return cda(d, root)
		case "http://hl7.org/fhir":
			return fhirXML(d, root), true
		}
		return Record{}, false
	}
}

// cda reads the header of a CDA document.
func cda(d *xml.Decoder, root xml.StartElement) (Record, bool) {
	if root.Name.Local != "ClinicalDocument" {
		return Record{}, false
	}
	r := Record{Type: "clinical/document", MediaType: "text/xml"}
	inTitle := false
	for depth := 1; depth > 0; {
		token, err := d.Token()
		if err != nil {
			break
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			if depth != 2 {
				continue
			}
			switch inTitle = t.Name.Local == "title"; t.Name.Local {
			case "code":
				if place, ok := documents[attr(t, "code")]; ok {
					r.Type = place
				}
			case "effectiveTime":
				r.Dated = day(attr(t, "value"))
			case "component": // the header ends
				return r, true
			}
		case xml.CharData:
			if inTitle {
				r.Title += string(t)
			}
		case xml.EndElement:
			depth--
			inTitle = false
		}
	}
	return r, true
}

// fhirXML reads a resource in XML: a field's value is the attribute of its
// element, and a resource within another is an element with its type's name.
func fhirXML(d *xml.Decoder, start xml.StartElement) Record {
	root := resource{kind: start.Name.Local}
	var entries []resource
	var path []string
	for {
		token, err := d.Token()
		if err != nil {
			break
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			if len(path) > maxDepth {
				continue
			}
			inEntry := len(path) > 2 && path[0] == "entry" && path[1] == "resource"
			if inEntry && len(path) == 3 {
				entries = append(entries, resource{kind: t.Name.Local})
				continue
			}
			if value := attr(t, "value"); value != "" && !slices.Contains(path, "contained") {
				if inEntry {
					entries[len(entries)-1].see(strings.Join(path[3:], "."), value)
				} else {
					root.see(strings.Join(path, "."), value)
				}
			}
		case xml.EndElement:
			if len(path) > 0 {
				path = path[:len(path)-1]
			}
		}
	}
	return root.record("application/fhir+xml", entries)
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// asciiReader replaces every byte that is not ASCII.
type asciiReader struct{ r io.Reader }

func (a asciiReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	for i, b := range p[:n] {
		if b >= 0x80 {
			p[i] = '?'
		}
	}
	return n, err
}
