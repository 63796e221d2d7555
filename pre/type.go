package pre

import "strings"

// Type is the place of a record in the taxonomy: a path of at most eight
// components "[a-z0-9][a-z0-9._-]{0,31}" separated by slashes, such as
// "lab/hematology/cbc". The empty path is the root, of which every type is a
// descendant.
//
// A component may be written "sealed:name". A grant on an ancestor of such a
// component does not reach it: "clinical/sealed:hiv" is opened by a grant on
// itself, not by one on "clinical" or on the root.
type Type string

// inbox is the type to which grants are sealed for a reader. It has one level
// and is never granted; "#" is illegal in every other type.
const inbox Type = "#inbox"

const (
	maxComponents  = 8
	maxComponent   = 32
	sealedPrefix   = "sealed:"
	maxType        = maxComponents * (maxComponent + len(sealedPrefix) + 1)
	maxLevels      = maxComponents + 1
	maxName        = 128 // bytes of a chain id, identity, record id or grant id
	maxDescription = 64 << 10
	maxMembers     = 64 // in a sharing; what parsing costs grows with its square
)

// ParseType checks s. It returns a [FormatError] for anything but a path.
func ParseType(s string) (Type, error) {
	if s == "" {
		return "", nil
	}
	if len(s) > maxType {
		return "", &FormatError{"type", "limit"}
	}
	components := strings.Split(s, "/")
	if len(components) > maxComponents {
		return "", &FormatError{"type", "limit"}
	}
	for _, c := range components {
		if !validComponent(strings.TrimPrefix(c, sealedPrefix)) {
			return "", &FormatError{"type", "field"}
		}
	}
	return Type(s), nil
}

func validComponent(c string) bool {
	if len(c) == 0 || len(c) > maxComponent {
		return false
	}
	for i := range len(c) {
		switch b := c[i]; {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9':
		case i > 0 && (b == '.' || b == '_' || b == '-'):
		default:
			return false
		}
	}
	return true
}

// Levels returns the types whose keys open a record of type t: t itself, then
// its ancestors up to the root, or up to the innermost sealed component.
func (t Type) Levels() []Type {
	levels := []Type{t}
	if t == inbox {
		return levels
	}
	for t != "" {
		i := strings.LastIndexByte(string(t), '/')
		if strings.HasPrefix(string(t[i+1:]), sealedPrefix) {
			break
		}
		t = t[:max(i, 0)]
		levels = append(levels, t)
	}
	return levels
}

// Covers reports whether a grant on t reaches records of type o. Types match by
// whole components: "lab" does not cover "laboratory".
func (t Type) Covers(o Type) bool { return t.level(o) >= 0 }

// level returns the position of t among the levels of o, or −1.
func (t Type) level(o Type) int {
	for j, l := range o.Levels() {
		if l == t {
			return j
		}
	}
	return -1
}

// checkName accepts 1 to 128 printable ASCII bytes without spaces.
func checkName(what, s string) error {
	if len(s) == 0 || len(s) > maxName {
		return &FormatError{what, "length"}
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return &FormatError{what, "field"}
		}
	}
	return nil
}
