package consent

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/pre"
)

// conditionsTag begins what the hash of conditions is over. Part of the format.
const conditionsTag = "ward/v1/conditions\n"

var errConditions = errors.New("conditions are out of range")

// Bytes returns the encoding; it fails if a field is out of range.
func (c *Conditions) Bytes() ([]byte, error) {
	if !c.valid() {
		return nil, errConditions
	}
	return chain.Marshal(c)
}

// ParseConditions reads what Bytes wrote.
func ParseConditions(b []byte) (*Conditions, error) {
	c := new(Conditions)
	if err := chain.Unmarshal(b, c); err != nil {
		return nil, err
	}
	if !c.valid() {
		return nil, errConditions
	}
	return c, nil
}

// Hash returns what a grant carries of its conditions.
func (c *Conditions) Hash() ([32]byte, error) {
	b, err := c.Bytes()
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(append([]byte(conditionsTag), b...)), nil
}

func (c *Conditions) valid() bool {
	switch {
	case c.NotBefore < 0, c.NotAfter < 0, c.NotAfter != 0 && c.NotAfter <= c.NotBefore,
		c.Since < 0, c.Until < 0, c.Until != 0 && c.Until < c.Since,
		c.Emergency && len(c.Purposes) > 0 && !slices.Equal(c.Purposes, []Purpose{BreakGlass}):
		return false
	}
	for i, p := range c.Purposes {
		if !p.Valid() || i > 0 && c.Purposes[i-1] >= p {
			return false
		}
	}
	for i, t := range c.Except {
		if _, err := pre.ParseType(string(t)); err != nil || t == "" || i > 0 && c.Except[i-1] >= t {
			return false
		}
	}
	for i, o := range c.Obligations {
		if !o.Valid() || i > 0 && c.Obligations[i-1] >= o {
			return false
		}
	}
	return len(c.Except) <= MaxExcept && (c.Instance == "" || validInstance(c.Instance)) && c.CoSigners.valid()
}

// validInstance reports whether s can be the id of a workflow.
func validInstance(s string) bool { return spelled(s, true) && len(s) <= 64 }

// below reports whether all types are below t, by their paths.
func below(types []pre.Type, t pre.Type) bool {
	return !slices.ContainsFunc(types, func(o pre.Type) bool { return o == t || !within(t, o) })
}

// within reports whether t is in the subtree of a type, by its path: sealed
// components are no borders for what is excepted.
func within(subtree, t pre.Type) bool {
	return subtree == "" || t == subtree || strings.HasPrefix(string(t), string(subtree)+"/")
}

// ByCryptography reports whether the keys of a grant on a type do not open the
// subtree that it excepts in the first place, because a sealed component lies
// between. Otherwise it is the members that refuse, all of them by the same
// rule: as many dishonest ones as make a key could open what is excepted.
func ByCryptography(granted, except pre.Type) bool { return !granted.Covers(except) }

// excepts reports whether a record of that type is left out.
func (c *Conditions) excepts(t pre.Type) bool {
	return slices.ContainsFunc(c.Except, func(s pre.Type) bool { return within(s, t) })
}

func (s *CoSigners) valid() bool {
	if s.Count == 0 {
		return s.Attribute == "" && s.Value == "" && !s.Elsewhere
	}
	if s.Count > MaxCoSigners || s.Attribute == "" {
		return s.Count <= MaxCoSigners && s.Value == ""
	}
	return word(s.Attribute, false) && s.Attribute[0] >= 'a' && s.Attribute[0] <= 'z' && (s.Value == "" || word(s.Value, true))
}

// word reports whether s can be an attribute's name or, with dots, its value.
func word(s string, dots bool) bool { return spelled(s, dots) && len(s) <= 48 }

func spelled(s string, dots bool) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '_', b == '-', dots && b == '.':
		default:
			return false
		}
	}
	return len(s) >= 1
}

// allows reports whether a grant with these conditions may be used for p.
func (c *Conditions) allows(p Purpose) bool {
	if c.Emergency {
		return p == BreakGlass
	}
	if len(c.Purposes) == 0 {
		return p != BreakGlass
	}
	return slices.ContainsFunc(c.Purposes, func(q Purpose) bool { return q.Covers(p) })
}

// dated reports whether a record of that date is within the range.
func (c *Conditions) dated(date int64) bool {
	return date >= c.Since && (c.Until == 0 || date <= c.Until)
}

// A Purpose is a code of the HL7 v3 PurposeOfUse tree, such as "TREAT".
type Purpose string

// Purposes that the contract itself looks at.
const (
	Treatment  Purpose = "TREAT"
	BreakGlass Purpose = "BTG" // below TREAT in the tree, but never implied by it or by ETREAT
	Research   Purpose = "HRESCH"
)

// Valid reports whether p is in the tree.
func (p Purpose) Valid() bool {
	_, ok := above[p]
	return ok
}

// Covers reports whether a grant for p allows an access for o: o is p or below
// it. BreakGlass is covered by itself only.
func (p Purpose) Covers(o Purpose) bool {
	if !p.Valid() || !o.Valid() {
		return false
	}
	for q := o; q != ""; q = above[q] {
		if q == p {
			return true
		}
		if q == BreakGlass {
			return false
		}
	}
	return false
}

// above gives the parent of each code of the HL7 v3 PurposeOfUse tree
// (v3-ActReason), or "" for its top. It is never changed. Part of the rules.
var above = map[Purpose]Purpose{
	"TREAT": "", "CLINTRL": "TREAT", "COC": "TREAT", "ETREAT": "TREAT", "BTG": "ETREAT", "ERTREAT": "ETREAT", "POPHLTH": "TREAT",
	"HPAYMT": "", "CLMATTCH": "HPAYMT", "COVAUTH": "HPAYMT", "COVERAGE": "HPAYMT", "ELIGDTRM": "COVERAGE", "ELIGVER": "COVERAGE",
	"ENROLLM": "COVERAGE", "MILDCRG": "COVERAGE", "REMITADV": "HPAYMT",
	"HOPERAT": "", "CAREMGT": "HOPERAT", "DONAT": "HOPERAT", "FRAUD": "HOPERAT", "GOV": "HOPERAT", "HACCRED": "HOPERAT", "HCOMPL": "HOPERAT",
	"HDECD": "HOPERAT", "HDIRECT": "HOPERAT", "HDM": "HOPERAT", "HLEGAL": "HOPERAT", "HOUTCOMS": "HOPERAT", "HPRGRP": "HOPERAT",
	"HQUALIMP": "HOPERAT", "HSYSADMIN": "HOPERAT", "LABELING": "HSYSADMIN", "METAMGT": "HSYSADMIN", "MEMADMIN": "HOPERAT", "MILCDM": "HOPERAT",
	"PATADMIN": "HOPERAT", "PATSFTY": "HOPERAT", "PERFMSR": "HOPERAT", "RECORDMGT": "HOPERAT", "SYSDEV": "HOPERAT", "HTEST": "SYSDEV", "TRAIN": "HOPERAT",
	"HRESCH": "", "BIORCH": "HRESCH", "CLINTRCH": "HRESCH", "CLINTRCHNPC": "CLINTRCH", "CLINTRCHPC": "CLINTRCH", "PRECLINTRCH": "CLINTRCH",
	"DSRCH": "HRESCH", "POARCH": "HRESCH", "TRANSRCH": "HRESCH",
	"PATRQT": "", "FAMRQT": "PATRQT", "PWATRNY": "PATRQT", "SUPNWK": "PATRQT",
	"PUBHLTH": "", "DISASTER": "PUBHLTH", "THREAT": "PUBHLTH",
	"HMARKT": "",
}
