package fhir

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of what is read.
const (
	MaxDocument = 4 << 20 // bytes
	maxDepth    = 64
	maxNodes    = 200_000
)

// A node is an element of a document, whichever of the two forms it has.
type node struct {
	name  string
	kind  string // of a resource: its type
	value string // of a primitive
	kids  []*node
}

// find returns the first child with a name, or nil.
func (n *node) find(name string) *node {
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

func (n *node) all(name string) (out []*node) {
	for _, k := range n.kids {
		if k.name == name {
			out = append(out, k)
		}
	}
	return out
}

// at returns the value at a path of first children, "" if there is none.
func (n *node) at(path ...string) string {
	for _, name := range path {
		if n = n.find(name); n == nil {
			return ""
		}
	}
	return n.value
}

// parse reads a document in JSON or XML.
func parse(b []byte) (*node, error) {
	if len(b) > MaxDocument {
		return nil, fmt.Errorf("%d bytes, limit %d", len(b), MaxDocument)
	}
	var t tree
	if MediaType(b) == MediaTypeXML {
		return t.xml(b)
	}
	return t.json(b)
}

// A tree bounds what becomes of a document.
type tree struct{ nodes int }

var errLarge = errors.New("document is nested too deeply or has too many elements")

func (t *tree) node(name string, depth int) (*node, error) {
	if t.nodes++; t.nodes > maxNodes || depth > maxDepth {
		return nil, errLarge
	}
	return &node{name: name}, nil
}

func (t *tree) json(b []byte) (*node, error) {
	b = bytes.TrimLeftFunc(b, blank)
	if !bytes.HasPrefix(b, []byte("{")) {
		return nil, errors.New("it is no FHIR resource")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	list, err := t.values(d, "", 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the document")
	}
	if len(list) != 1 || list[0].kind == "" {
		return nil, errors.New("it is no FHIR resource")
	}
	return list[0], nil
}

// values reads one value of an object's member: of an array, all of it.
func (t *tree) values(d *json.Decoder, name string, depth int) ([]*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	if depth > maxDepth {
		return nil, errLarge
	}
	if token == json.Delim('[') {
		var out []*node
		for d.More() {
			more, err := t.values(d, name, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
		_, err := d.Token()
		return out, err
	}
	n, err := t.node(name, depth)
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		err = t.object(d, n, depth)
	case nil:
	default:
		n.value = fmt.Sprint(token)
	}
	return []*node{n}, err
}

func (t *tree) object(d *json.Decoder, n *node, depth int) error {
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		name, ok := key.(string)
		if !ok {
			return errors.New("JSON: no name")
		}
		kids, err := t.values(d, name, depth+1)
		if err != nil {
			return err
		}
		if name == "resourceType" && len(kids) == 1 {
			n.kind = kids[0].value
		}
		n.kids = append(n.kids, kids...)
	}
	_, err := d.Token()
	return err
}

func (t *tree) xml(b []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	var root *node
	for {
		token, err := d.Token()
		if err == io.EOF && root != nil {
			return root, nil
		}
		if err != nil {
			return nil, fmt.Errorf("XML: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if root != nil {
			return nil, errors.New("something follows the document")
		}
		if start.Name.Space != "http://hl7.org/fhir" {
			return nil, errors.New("it is no FHIR resource")
		}
		if root, err = t.element(d, start, 0); err != nil {
			return nil, err
		}
		root.kind = start.Name.Local
	}
}

// element reads an element that has begun. Attributes are children, as in JSON;
// an element that only wraps a resource becomes it.
func (t *tree) element(d *xml.Decoder, start xml.StartElement, depth int) (*node, error) {
	n, err := t.node(start.Name.Local, depth)
	if err != nil {
		return nil, err
	}
	for _, a := range start.Attr {
		if a.Name.Local == "value" {
			n.value = a.Value
			continue
		}
		kid, err := t.node(a.Name.Local, depth)
		if err != nil {
			return nil, err
		}
		kid.value = a.Value
		n.kids = append(n.kids, kid)
	}
	for {
		token, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("XML: %w", err)
		}
		switch token := token.(type) {
		case xml.EndElement:
			return n, nil
		case xml.StartElement:
			kid, err := t.element(d, token, depth+1)
			if err != nil {
				return nil, err
			}
			if strings.ToUpper(token.Name.Local[:1]) == token.Name.Local[:1] && (n.name == "resource" || n.name == "contained") {
				n.kind, n.kids = token.Name.Local, append(n.kids, kid.kids...)
				continue
			}
			n.kids = append(n.kids, kid)
		}
	}
}
