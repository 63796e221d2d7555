package abe_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ward-health/ward/abe"
)

func TestPartOfAPolicy(t *testing.T) {
	for _, c := range []struct{ policy, authority, want string }{
		{"north:a and not north:b", "north", "north:a and not north:b"},
		{"north:a or south:b or not north:c", "north", "north:a or not north:c"},
		{"north:a or south:b or not north:c", "south", "south:b"},
		{"(north:a or south:b) or 2 of (west:a, west:b, west:c)", "west", "2 of (west:a, west:b, west:c)"},
		{"north:a", "south", ""},
		{"a or north:b", "", "a"},
	} {
		p, err := abe.ParsePolicy(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		part, err := p.Part(c.authority)
		if err != nil || (part == nil) != (c.want == "") || part != nil && part.String() != c.want {
			t.Errorf("%s of %s is %v, %v", c.authority, c.policy, part, err)
		}
	}
	for _, text := range []string{"north:a and south:b", "north:a or not (south:a or west:b)", "1 of (north:a, south:b) and south:c"} {
		p, err := abe.ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		var syntax *abe.SyntaxError
		if part, err := p.Part("north"); !errors.As(err, &syntax) {
			t.Errorf("%s has a part %v, %v", text, part, err)
		}
	}
}

func ExamplePolicy_Part() {
	p, err := abe.ParsePolicy("north:role = physician or not south:contractor")
	if err != nil {
		fmt.Println(err)
		return
	}
	nothing, _ := abe.ParseAttributes("")
	part, err := p.Part("north")
	fmt.Println(part, err, part.Evaluate(nothing), p.Evaluate(nothing))
	// Output: north:role = physician <nil> false true
}
