package workflow

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds on the tree of a definition.
const (
	maxDepth  = 10
	maxNodes  = 10000
	maxErrors = 16 // that are reported
	maxTitle  = 128
)

// A builder reads a tree of YAML and collects what is wrong with it.
type builder struct {
	d           *Definition
	errs        []*DefinitionError
	expressions int // so far
	terms       int // bytes of them
	at          map[string]*yaml.Node
}

func (b *builder) fail(n *yaml.Node, format string, args ...any) {
	b.failAt(n.Line, n.Column, format, args...)
}

func (b *builder) failAt(line, column int, format string, args ...any) {
	if len(b.errs) < maxErrors {
		b.errs = append(b.errs, &DefinitionError{Line: max(line, 1), Column: max(column, 1), Reason: fmt.Sprintf(format, args...)})
	}
}

// err returns what was found, in the order of the file.
func (b *builder) err() error {
	slices.SortStableFunc(b.errs, func(a, c *DefinitionError) int {
		return cmp.Or(cmp.Compare(a.Line, c.Line), cmp.Compare(a.Column, c.Column))
	})
	list := make([]error, len(b.errs))
	for i, e := range b.errs {
		list[i] = e
	}
	return errors.Join(list...)
}

// lineOf finds the line in what the YAML library says, to show it. If it is not
// there the error is reported at the beginning.
var lineOf = regexp.MustCompile(`line (\d+)`)

// tree returns the one document of data, or nil after it has recorded an error.
// It has no anchors, aliases or tags, and is neither deep nor large.
func (b *builder) tree(data []byte) *yaml.Node {
	switch {
	case len(data) > MaxDefinition:
		b.failAt(1, 1, "%d bytes, limit %d", len(data), MaxDefinition)
		return nil
	case !utf8.Valid(data):
		b.failAt(1, 1, "not UTF-8")
		return nil
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if j := bytes.IndexFunc(line, hidden); j >= 0 {
			b.failAt(i+1, j+1, "a control character")
			return nil
		}
	}
	if line, deep := tooDeep(data); deep {
		b.failAt(line, 1, "nested deeper than %d", maxDepth)
		return nil
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&doc)
	if err == nil {
		if err = dec.Decode(&more); err == nil {
			b.fail(&more, "a second document")
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		line := 1
		if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1]) // digits; 0 is put right in failAt
		}
		b.failAt(line, 1, "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		b.failAt(1, 1, "empty")
		return nil
	}
	nodes := 0
	if b.plain(doc.Content[0], 0, &nodes); len(b.errs) > 0 {
		return nil
	}
	return doc.Content[0]
}

// tooDeep looks for more brackets in a row than a definition has, before a
// parser that recurses sees them.
func tooDeep(data []byte) (line int, deep bool) {
	line = 1
	open := 0
	for _, c := range data {
		switch c {
		case '\n':
			line++
		case '[', '{':
			open++
		case ' ', '\t', '"', '\'', ',', '-', '?', ':':
		default:
			open = 0
		}
		if open > maxDepth {
			return line, true
		}
	}
	return line, false
}

// hidden reports whether a rune is one that changes how text is shown and not
// what it says.
func hidden(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' || r == 0x7f || 0x80 <= r && r <= 0x9f ||
		0x200b <= r && r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 || r == 0xfeff
}

// plain checks that a tree is made of mappings, sequences and scalars alone.
func (b *builder) plain(n *yaml.Node, depth int, nodes *int) {
	*nodes++
	switch {
	case *nodes > maxNodes:
		if *nodes == maxNodes+1 {
			b.fail(n, "more than %d entries", maxNodes)
		}
		return
	case depth > maxDepth:
		b.fail(n, "nested deeper than %d", maxDepth)
		return
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		b.fail(n, "anchors and aliases are not allowed")
		return
	case n.Style&yaml.TaggedStyle != 0:
		b.fail(n, "tags are not allowed")
		return
	}
	for _, c := range n.Content {
		b.plain(c, depth+1, nodes)
	}
}

// An object is a mapping whose keys were checked.
type object struct {
	b     *builder
	node  *yaml.Node
	value map[string]*yaml.Node
}

// object reads a mapping with these keys. Required ones end in "!".
func (b *builder) object(n *yaml.Node, keys ...string) object {
	o := object{b: b, node: n, value: make(map[string]*yaml.Node)}
	if n.Kind != yaml.MappingNode {
		b.fail(n, "want a mapping")
		return o
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(keys, key.Value) && !slices.Contains(keys, key.Value+"!"):
			b.fail(key, "unknown key %s; there are: %s", quote(key), strings.ReplaceAll(strings.Join(keys, ", "), "!", ""))
		case o.value[key.Value] != nil:
			b.fail(key, "%s is there twice", quote(key))
		default:
			o.value[key.Value] = n.Content[i+1]
		}
	}
	for _, k := range keys {
		if name, required := strings.CutSuffix(k, "!"); required && o.value[name] == nil {
			b.fail(n, "%s is missing", name)
		}
	}
	return o
}

// named calls fn with each entry of a mapping from names that valid accepts, in
// the order of the file.
func (b *builder) named(n *yaml.Node, what string, limit int, valid func(string) bool, fn func(name string, key, value *yaml.Node)) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		b.fail(n, "want a mapping from names to %s", what)
		return
	}
	if len(n.Content)/2 > limit {
		b.fail(n, "%d %s, limit %d", len(n.Content)/2, what, limit)
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || !valid(key.Value):
			b.fail(key, "%s is no name for one of the %s", quote(key), what)
		case seen[key.Value]:
			b.fail(key, "%s is there twice", quote(key))
		default:
			seen[key.Value] = true
			fn(key.Value, key, n.Content[i+1])
		}
	}
}

// list calls fn with each entry of a sequence.
func (b *builder) list(n *yaml.Node, limit int, fn func(*yaml.Node)) {
	if n == nil {
		return
	}
	if n.Kind != yaml.SequenceNode {
		b.fail(n, "want a list")
		return
	}
	if len(n.Content) > limit {
		b.fail(n, "%d entries, limit %d", len(n.Content), limit)
		return
	}
	for _, c := range n.Content {
		fn(c)
	}
}

// names reads a list of distinct scalars.
func (b *builder) names(n *yaml.Node, limit int) (out []*yaml.Node) {
	seen := make(map[string]bool)
	b.list(n, limit, func(c *yaml.Node) {
		s := b.text(c)
		if seen[s] {
			b.fail(c, "%s is there twice", quote(c))
		}
		seen[s] = true
		out = append(out, c)
	})
	return out
}

// text returns the value of a scalar as it is written.
func (b *builder) text(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		b.fail(n, "want one value")
		return ""
	}
	return n.Value
}

// choice returns the value of a scalar that is one of some; the first if there
// is none.
func choice[T ~string](b *builder, n *yaml.Node, values ...T) T {
	if n == nil {
		return values[0]
	}
	s := T(b.text(n))
	if !slices.Contains(values, s) {
		b.fail(n, "%s is none of %v", quote(n), values)
	}
	return s
}

func (b *builder) flag(n *yaml.Node) bool { return choice(b, n, "false", "true") == "true" }

// number reads a whole number, or a decimal of at most scale digits after the
// point, in its smallest parts.
func (b *builder) number(n *yaml.Node, scale int, low, high, none int64) int64 {
	if n == nil {
		return none
	}
	v, ok := parseDecimal(b.text(n), scale)
	if !ok || v < low || v > high {
		b.fail(n, "%s is no number from %s to %s", quote(n), formatDecimal(low, scale), formatDecimal(high, scale))
		return none
	}
	return v
}

var units = map[byte]int64{'s': 1000, 'm': 60 * 1000, 'h': 60 * 60 * 1000, 'd': 24 * 60 * 60 * 1000}

const maxDuration = 3660 * 24 * 60 * 60 * 1000

// duration reads a number with a unit: s, m, h or d.
func (b *builder) duration(n *yaml.Node) int64 {
	s := b.text(n)
	if len(s) > 1 && len(s) <= 10 {
		v, ok := parseDecimal(s[:len(s)-1], 0)
		if ms := v * units[s[len(s)-1]]; ok && v > 0 && ms > 0 && ms <= maxDuration {
			return ms
		}
	}
	b.fail(n, "%s is no duration such as 7d, 12h, 30m or 90s, up to 3660d", quote(n))
	return 0
}

// title reads a text, or one for each language.
func (b *builder) title(n *yaml.Node) (t Title) {
	if n == nil {
		return t
	}
	if n.Kind == yaml.MappingNode {
		o := b.object(n, "en!", "zh")
		t = Title{English: b.text(o.value["en"]), Chinese: b.text(o.value["zh"])}
	} else {
		t.English = b.text(n)
	}
	if len(t.English) > maxTitle || len(t.Chinese) > maxTitle || strings.ContainsAny(t.English+t.Chinese, "\n\r\t") || strings.IndexFunc(t.English+t.Chinese, hidden) >= 0 {
		b.fail(n, "a title is one line of at most %d bytes", maxTitle)
		return Title{}
	}
	return t
}

// quote shows a scalar in an error, but not all of a long one.
func quote(n *yaml.Node) string {
	s := n.Value
	if n.Kind != yaml.ScalarNode {
		return "this"
	}
	if len(s) > 40 {
		s = strings.ToValidUTF8(s[:40], "") + "…"
	}
	return strconv.Quote(s)
}
