package consent_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/pre"
)

func TestConditionsOutOfRange(t *testing.T) {
	for what, c := range map[string]consent.Conditions{
		"before time":                {NotBefore: -1},
		"over before time":           {NotAfter: -1},
		"over before it begins":      {NotBefore: 5, NotAfter: 5},
		"dated before time":          {Since: -1},
		"dated until before time":    {Until: -1},
		"dated in no range":          {Since: 5, Until: 4},
		"a purpose that is none":     {Purposes: []consent.Purpose{"FUN"}},
		"no purpose":                 {Purposes: []consent.Purpose{""}},
		"a purpose twice":            {Purposes: []consent.Purpose{"COC", "COC"}},
		"purposes out of order":      {Purposes: []consent.Purpose{"TREAT", "COC"}},
		"an emergency for treatment": {Emergency: true, Purposes: []consent.Purpose{"TREAT"}},
		"too many co-signers":        {CoSigners: consent.CoSigners{Count: consent.MaxCoSigners + 1}},
		"an attribute of nobody":     {CoSigners: consent.CoSigners{Attribute: "role"}},
		"a value of nobody":          {CoSigners: consent.CoSigners{Value: "nurse"}},
		"a value of no attribute":    {CoSigners: consent.CoSigners{Count: 1, Value: "nurse"}},
		"no attribute's name":        {CoSigners: consent.CoSigners{Count: 1, Attribute: "Role"}},
		"an attribute like a number": {CoSigners: consent.CoSigners{Count: 1, Attribute: "1role"}},
		"an attribute with a dot":    {CoSigners: consent.CoSigners{Count: 1, Attribute: "role.x"}},
		"an attribute too long":      {CoSigners: consent.CoSigners{Count: 1, Attribute: strings.Repeat("r", 49)}},
		"elsewhere of nobody":        {CoSigners: consent.CoSigners{Elsewhere: true}},
		"nothing excepted":           {Except: []pre.Type{""}},
		"an exception that is none":  {Except: []pre.Type{"Lab"}},
		"an inbox excepted":          {Except: []pre.Type{"#inbox"}},
		"an exception twice":         {Except: []pre.Type{"lab", "lab"}},
		"exceptions out of order":    {Except: []pre.Type{"lab", "imaging"}},
		"too many exceptions":        {Except: many(consent.MaxExcept + 1)},
		"an obligation that is none": {Obligations: []consent.Obligation{"FUN"}},
		"no obligation":              {Obligations: []consent.Obligation{""}},
		"an obligation twice":        {Obligations: []consent.Obligation{"DELAU", "DELAU"}},
		"obligations out of order":   {Obligations: []consent.Obligation{"NOREUSE", "DELAU"}},
		"an instance in capitals":    {Instance: "W-1"},
		"an instance with a slash":   {Instance: "w/1"},
		"an instance too long":       {Instance: strings.Repeat("w", 65)},
		"a value too long":           {CoSigners: consent.CoSigners{Count: 1, Attribute: "role", Value: strings.Repeat("r", 49)}},
	} {
		if b, err := c.Bytes(); err == nil {
			t.Errorf("%s: encoded as %x", what, b)
		}
		if _, err := c.Hash(); err == nil {
			t.Errorf("%s: has a hash", what)
		}
	}
	for what, c := range map[string]consent.Conditions{
		"none":                    {},
		"a day":                   {Since: 86_400_000, Until: 86_400_000},
		"from a day on":           {Since: 86_400_000},
		"a time":                  {NotBefore: 4, NotAfter: 5},
		"emergencies":             {Emergency: true, Purposes: []consent.Purpose{"BTG"}},
		"two purposes":            {Purposes: []consent.Purpose{"COC", "TREAT"}},
		"any co-signer":           {CoSigners: consent.CoSigners{Count: 1}},
		"a co-signer of a value":  {CoSigners: consent.CoSigners{Count: 8, Attribute: "role", Value: "1.2"}},
		"a co-signer elsewhere":   {CoSigners: consent.CoSigners{Count: 1, Elsewhere: true}},
		"exceptions":              {Except: []pre.Type{"imaging", "lab/hiv", "lab/sealed:x/y"}},
		"as many as there can be": {Except: many(consent.MaxExcept)},
		"all obligations":         {Obligations: consent.Obligations()},
		"an instance":             {Instance: "w-aaaaaaaaaaaaaaaaaaaaaaaaaa"},
		"a long instance":         {Instance: strings.Repeat("w", 64)},
		"a co-signer's attribute": {CoSigners: consent.CoSigners{Count: 8, Attribute: "r_-2"}},
	} {
		b, err := c.Bytes()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		again, err := consent.ParseConditions(b)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if x, err := again.Bytes(); err != nil || !bytes.Equal(x, b) {
			t.Errorf("%s: comes back as %x, %v", what, x, err)
		}
	}
}

// many returns ascending types.
func many(n int) (list []pre.Type) {
	for i := range n {
		list = append(list, pre.Type(fmt.Sprintf("t%02d", i)))
	}
	return list
}

// TestEveryFieldOfConditionsIsInTheirHash changes one after the other.
func TestEveryFieldOfConditionsIsInTheirHash(t *testing.T) {
	seen := make(map[[32]byte]int)
	for i, c := range []consent.Conditions{
		{}, {NotBefore: 1}, {NotAfter: 1}, {Purposes: []consent.Purpose{"TREAT"}}, {Since: 1}, {Until: 1}, {MaxUses: 1}, {CoSigners: consent.CoSigners{Count: 1}},
		{CoSigners: consent.CoSigners{Count: 1, Attribute: "a"}}, {CoSigners: consent.CoSigners{Count: 1, Attribute: "a", Value: "b"}}, {Emergency: true},
		{CoSigners: consent.CoSigners{Count: 1, Elsewhere: true}}, {Except: []pre.Type{"lab"}}, {Obligations: []consent.Obligation{"DELAU"}}, {Instance: "w"},
	} {
		h, err := c.Hash()
		if err != nil {
			t.Fatal(err)
		}
		if j, ok := seen[h]; ok {
			t.Errorf("conditions %d and %d have one hash", i, j)
		}
		seen[h] = i
	}
}

func TestPurposes(t *testing.T) {
	for _, c := range []struct {
		p, o consent.Purpose
		want bool
	}{
		{"TREAT", "TREAT", true},
		{"TREAT", "COC", true},
		{"TREAT", "ERTREAT", true}, // two levels down
		{"COC", "TREAT", false},
		{"TREAT", "HRESCH", false},
		{"HRESCH", "CLINTRCHPC", true},
		{"HOPERAT", "HTEST", true},
		{"SYSDEV", "LABELING", false},
		{"FUN", "FUN", false},
		{"", "TREAT", false},
		{"TREAT", "", false},
		{"TREAT", "TREATY", false},
	} {
		if got := c.p.Covers(c.o); got != c.want {
			t.Errorf("%q covers %q: %v, want %v", c.p, c.o, got, c.want)
		}
	}
}

// TestBreakTheGlassIsImpliedByNothing although it is below TREAT in the tree.
func TestBreakTheGlassIsImpliedByNothing(t *testing.T) {
	for _, p := range []consent.Purpose{"TREAT", "ETREAT", "ERTREAT", "HOPERAT", ""} {
		if p.Covers(consent.BreakGlass) {
			t.Errorf("%q covers it", p)
		}
	}
	if !consent.BreakGlass.Covers(consent.BreakGlass) || consent.BreakGlass.Covers("TREAT") {
		t.Error("it does not cover just itself")
	}
}

func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, err := consent.GenerateID()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := consent.ParseID(string(id)); err != nil || got != id {
			t.Fatalf("%q: %v", id, err)
		}
	})
	good := "g-aaaaaaaaaaaaaaaaaaaaaaaaaa"
	if _, err := consent.ParseID(good); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"", "g-", good[2:], "r-" + good[2:], good + "a", good[:27], "g-AAAAAAAAAAAAAAAAAAAAAAAAAA", good[:27] + "b", good[:27] + "1", "g-aaaaaaaaaaaaaa\n\raaaaaaaaaaaa"} {
		if _, err := consent.ParseID(s); err != consent.ErrMalformed {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzParseConditions(f *testing.F) {
	for _, c := range []consent.Conditions{{}, {Purposes: []consent.Purpose{"COC", "TREAT"}, MaxUses: 3, CoSigners: consent.CoSigners{Count: 1, Attribute: "role", Value: "nurse", Elsewhere: true}},
		{Emergency: true}, {Except: []pre.Type{"lab/hiv"}, Obligations: []consent.Obligation{"DELAU"}, Instance: "w-1"}} {
		b, err := c.Bytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := consent.ParseConditions(b)
		if err != nil {
			return
		}
		if again, err := c.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x comes back as %x, %v", b, again, err)
		}
		if !slices.IsSorted(c.Purposes) {
			t.Errorf("purposes %v", c.Purposes)
		}
	})
}
