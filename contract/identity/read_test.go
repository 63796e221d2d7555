package identity_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
)

func TestNamesHaveOneForm(t *testing.T) {
	for _, s := range []string{"a@b", "p-7f3a@north", "0.a_b-c@east-1.example", strings.Repeat("a", 48) + "@" + strings.Repeat("b", 48)} {
		n, err := identity.ParseName(s)
		if err != nil || string(n) != s || n.Org() != s[strings.Index(s, "@")+1:] {
			t.Errorf("%q is %q of %q, %v", s, n, n.Org(), err)
		}
	}
	for _, s := range []string{
		"", "a", "@", "a@", "@b", "a@b@c", "A@b", "a@B", ".a@b", "-a@b", "_a@b", "a b@c", "ä@b", "a@1b", "a@b/c", "a@.b", "a\x00@b", "a@b\x00", "#inbox@b",
		strings.Repeat("a", 49) + "@b", "a@" + strings.Repeat("b", 49),
	} {
		if n, err := identity.ParseName(s); !errors.Is(err, identity.ErrMalformed) || n != "" {
			t.Errorf("%q is %q, %v", s, n, err)
		}
	}
}

func TestIdentitiesOfAnOrganisation(t *testing.T) {
	w := newWorld(t)
	for _, n := range []identity.Name{"c@north", "a@south", "a@north", "b@north", "a-b@north", "a@east"} {
		w.register(n)
	}
	list := func(org string, after identity.Name, most int) []string {
		var got []string
		if err := identity.Each(w.space(), org, after, func(id *identity.Identity) bool {
			got = append(got, string(id.Name))
			return len(got) < most
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	north := []string{"a@north", "a-b@north", "b@north", "c@north"}
	for story, c := range map[string]struct {
		got, want []string
	}{
		"all of one":         {list("north", "", 9), north},
		"a page":             {list("north", "", 2), north[:2]},
		"the next page":      {list("north", "a-b@north", 2), north[2:]},
		"after nobody":       {list("north", "bb@north", 9), north[3:]},
		"the end":            {list("north", "c@north", 9), nil},
		"of no organisation": {list("nort", "", 9), nil},
		"everybody":          {list("", "", 9), slices.Concat([]string{"a@east"}, north, []string{"a@south"})},
		"everybody after":    {list("", "c@north", 9), []string{"a@south"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", story, c.got, c.want)
		}
	}
}

func TestHas(t *testing.T) {
	id := &identity.Identity{Attributes: []identity.Attribute{{Name: "a"}, {Name: "a", Value: "x", Until: 5}, {Name: "b", Value: "y", Until: 5}}}
	for _, c := range []struct {
		name, value string
		time        int64
		want        bool
	}{
		{"a", "", 9, true}, {"a", "x", 5, true}, {"a", "x", 6, false}, {"b", "", 5, true}, {"b", "", 6, false}, {"b", "x", 0, false}, {"c", "", 0, false},
	} {
		if got := id.Has(c.name, c.value, c.time); got != c.want {
			t.Errorf("%q %q at %d: %v", c.name, c.value, c.time, got)
		}
	}
}

// failing is a disk that fails. Its error must come back as it is: a replica
// that took it for "unknown" would differ from the others.
type failing struct{}

var errDisk = errors.New("disk")

func (failing) Get([]byte) ([]byte, error)                             { return nil, errDisk }
func (failing) Scan(_, _ []byte, _ func(key, value []byte) bool) error { return errDisk }

// broken holds values that are none.
type broken struct{}

func (broken) Get(key []byte) ([]byte, error) {
	if key[0] == 'k' {
		return []byte(alice), nil
	}
	return []byte{0}, nil
}

func (broken) Scan(_, _ []byte, fn func(key, value []byte) bool) error {
	fn([]byte("n/"), []byte{0})
	return nil
}

func TestFailureToReadIsNoAnswer(t *testing.T) {
	for _, r := range []ledger.Reader{failing{}, broken{}} {
		_, lookup := identity.Lookup(r, alice)
		_, byKey := identity.ByKey(r, [32]byte{})
		each := identity.Each(r, "", "", func(*identity.Identity) bool { return true })
		for _, err := range []error{lookup, byKey, each} {
			if err == nil || errors.Is(err, identity.ErrUnknown) {
				t.Errorf("%T: %v", r, err)
			}
		}
	}
}
