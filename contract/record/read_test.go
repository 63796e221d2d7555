package record_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

func TestIDsHaveOneForm(t *testing.T) {
	a, b := must(record.GenerateID()), must(record.GenerateID())
	if a == b || len(a) != 28 {
		t.Errorf("generated %q and %q", a, b)
	}
	for _, s := range []string{string(a), "r-" + strings.Repeat("a", 26), "r-" + strings.Repeat("7", 25) + "4"} {
		if id, err := record.ParseID(s); err != nil || string(id) != s {
			t.Errorf("%q is %q, %v", s, id, err)
		}
	}
	for _, s := range []string{
		"", "r-", "r-a", string(a[2:]), "g-" + string(a[2:]), string(a) + "a", string(a[:27]), "r-" + strings.Repeat("A", 26), "R-" + strings.Repeat("a", 26),
		"r-" + strings.Repeat("7", 26), // two bits too many
		"r-" + strings.Repeat("a", 25) + "1", "r-" + strings.Repeat("a", 25) + "\n", "r-" + strings.Repeat("a", 25) + "=",
	} {
		if id, err := record.ParseID(s); !errors.Is(err, record.ErrMalformed) || id != "" {
			t.Errorf("%q is %q, %v", s, id, err)
		}
	}
}

func TestListingIsFiltered(t *testing.T) {
	w := newWorld(t)
	var all []record.ID
	for i, c := range []struct {
		typ    pre.Type
		dated  int64
		author bool
	}{
		{"lab", 10, true}, {"lab/chemistry", 11, false}, {"laboratory", 12, true}, {"clinical/sealed:hiv", 13, true}, {"", 14, true}, {"lab", 0, true}, {"lab", 16, true},
	} {
		author := lab
		if !c.author {
			author = alice
		}
		d := w.draft(alice, author, c.typ)
		d.Dated = c.dated * day
		if i == 6 {
			d.Replaces = all[5]
		}
		all = append(all, w.put(d).ID)
	}
	w.put(w.draft(carol, lab, "lab"))
	if code := w.erase(alice, all[4]); code != "" {
		t.Fatal(code)
	}
	pick := func(indices ...int) (ids []record.ID) {
		for _, i := range indices {
			ids = append(ids, all[i])
		}
		return ids
	}
	for story, c := range map[string]struct {
		f    record.Filter
		want []record.ID
	}{
		"what is in force":          {record.Filter{}, pick(0, 1, 2, 3, 6)},
		"with erased, superseded":   {record.Filter{Erased: true}, all},
		"whole components":          {record.Filter{Type: "lab"}, pick(0, 1, 6)},
		"one type":                  {record.Filter{Type: "lab/chemistry"}, pick(1)},
		"sealed below an ancestor":  {record.Filter{Type: "clinical"}, pick(3)},
		"no such type":              {record.Filter{Type: "la"}, nil},
		"since":                     {record.Filter{Since: 12 * day}, pick(2, 3, 6)},
		"until":                     {record.Filter{Until: 12 * day}, pick(0, 1, 2)},
		"since and until":           {record.Filter{Since: 11 * day, Until: 11 * day}, pick(1)},
		"one author":                {record.Filter{Author: alice}, pick(1)},
		"all of it":                 {record.Filter{Type: "lab", Since: 11 * day, Author: lab}, pick(6)},
		"erased of type everything": {record.Filter{Since: 14 * day, Until: 14 * day, Erased: true}, pick(4)},
	} {
		if got := w.list(alice, 0, c.f); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", story, got, c.want)
		}
	}
	if got := w.list(alice, w.lookup(all[1]).Index, record.Filter{}); !slices.Equal(got, pick(2, 3, 6)) {
		t.Errorf("after the second: %q", got)
	}
	if got := w.list("nobody@north", 0, record.Filter{}); got != nil {
		t.Errorf("nobody's: %q", got)
	}
	if got := w.list("p-7f3a", 0, record.Filter{}); got != nil {
		t.Errorf("of no name: %q", got)
	}
	if got := w.list(alice, 1<<64-1, record.Filter{}); got != nil {
		t.Errorf("after the last: %q", got)
	}
}

func TestListingOfManyStopsWhereItIsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("300 capsules")
	}
	w := newWorld(t)
	var all []record.ID
	for range 6 {
		var drafts []*draft
		for range 50 {
			drafts = append(drafts, w.draft(alice, lab, ""))
			all = append(all, drafts[len(drafts)-1].ID)
		}
		w.block(drafts...)
	}
	if got := w.list(alice, 0, record.Filter{}); !slices.Equal(got, all) {
		t.Errorf("listed %d of %d", len(got), len(all))
	}
	for _, stop := range []int{1, 128, 129, 256, 299} {
		n := 0
		if err := record.Each(w.space("record"), alice, 0, record.Filter{}, func(r *record.Record) bool {
			n++
			return n < stop
		}); err != nil || n != stop {
			t.Errorf("told to stop after %d, stopped after %d, %v", stop, n, err)
		}
	}
}

// failing is a disk that fails. Its error must come back as it is: a replica
// that took it for "unknown" would differ from the others.
type failing struct{ ledger.Reader }

var errDisk = errors.New("disk")

func (failing) Get([]byte) ([]byte, error) { return nil, errDisk }

func TestFailureToReadIsNoAnswer(t *testing.T) {
	w := newWorld(t)
	d := w.draft(alice, lab, "lab")
	d.Payload, d.Size = ref("x"), 1
	w.put(d)
	r := failing{w.space("record")}
	_, lookup := record.Lookup(r, d.ID)
	_, references := record.References(r, d.Payload)
	each := record.Each(r, alice, 0, record.Filter{}, func(*record.Record) bool { return true })
	for _, err := range []error{lookup, references, each} {
		if !errors.Is(err, errDisk) {
			t.Error(err)
		}
	}
	if _, err := record.Lookup(w.space("record"), "r-1"); !errors.Is(err, record.ErrUnknown) {
		t.Error(err)
	}
}
