package consent

import (
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/ward-health/ward/chain"
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
	return c.CoSigners.valid()
}

func (s *CoSigners) valid() bool {
	if s.Count == 0 {
		return s.Attribute == "" && s.Value == ""
	}
	if s.Count > MaxCoSigners || s.Attribute == "" {
		return s.Count <= MaxCoSigners && s.Value == ""
	}
	return word(s.Attribute, false) && s.Attribute[0] >= 'a' && s.Attribute[0] <= 'z' && (s.Value == "" || word(s.Value, true))
}

// word reports whether s can be an attribute's name or, with dots, its value.
func word(s string, dots bool) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '_', b == '-', dots && b == '.':
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 48
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
