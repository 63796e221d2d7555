package workflow

import (
	"reflect"
	"slices"
	"strings"

	"github.com/ward-health/ward/chain/ledger"
)

var stringsType = reflect.TypeFor[[]string]()

// spans is how many spans a window is divided into. A span counts until all of
// it is out of the window, so that a limit is never exceeded in any window: what
// counts may be up to 1/spans of a window too old, never too little.
const spans = 28

// A Tally is what a counter has counted for one key.
type Tally struct {
	_       struct{} `cbor:",toarray"`
	Sum     int64    // that counts now
	Buckets []Bucket // ascending
}

// A Bucket is what was added in one span of a window.
type Bucket struct {
	_      struct{} `cbor:",toarray"`
	Start  int64    // Unix milliseconds
	End    int64    // from when it no longer counts; 0 for never
	Amount int64
}

// span returns the bucket that an addition at a time goes into.
func (c *Counter) span(time int64) Bucket {
	if c.Window == 0 {
		return Bucket{}
	}
	return c.spanAt(time - time%c.width())
}

// spanAt returns the bucket that begins at a time.
func (c *Counter) spanAt(start int64) Bucket {
	if c.Window == 0 {
		return Bucket{}
	}
	return Bucket{Start: start, End: start + c.width() + c.Window}
}

func (c *Counter) width() int64 { return (c.Window + spans - 1) / spans }

// at drops what no longer counts at a time.
func (t *Tally) at(time int64) {
	kept := t.Buckets[:0]
	t.Sum = 0
	for _, b := range t.Buckets {
		if b.End == 0 || time < b.End {
			kept, t.Sum = append(kept, b), t.Sum+b.Amount
		}
	}
	t.Buckets = kept
}

// Counted returns what a counter of a definition has counted at a block time: of
// an owner, an organisation or an instance by its scope, or "" for the whole
// consortium, and for a key.
func Counted(r ledger.Reader, definition, counter, of, key string, time int64) (*Tally, error) {
	if !validName(definition) || !validIdent(counter) || strings.Contains(of+key, "\x00") || len(of) > MaxKey || len(key) > MaxKey {
		return &Tally{}, nil
	}
	t, err := load[Tally](r, tallyKey(definition, counter, of+"\x00"+key))
	if err != nil || t == nil {
		return &Tally{}, err
	}
	t.at(time)
	return t, nil
}

func tallyKey(definition, counter, scoped string) []byte {
	return []byte(keyCounter + definition + "\x00" + counter + "\x00" + scoped)
}

func claimKey(definition, unique, scoped string) []byte {
	return []byte(keyUnique + definition + "\x00" + unique + "\x00" + scoped)
}

// scoped returns the part of a key that is for a scope and a key within it.
func (m *move) scoped(s Scope, key string) string {
	of := ""
	switch s {
	case ScopeOwner:
		of = string(m.i.Owner)
	case ScopeOrg:
		of = m.actor.Name.Org()
	case ScopeInstance:
		of = string(m.i.ID)
	}
	return of + "\x00" + key
}

// keyOf evaluates an expression for a key.
func (m *move) keyOf(x *expression) (string, error) {
	if x == nil {
		return "", nil
	}
	v, err := x.eval(m.vars)
	if err != nil {
		return "", ErrRule
	}
	s, ok := v.Value().(string)
	if !ok || !validKey(s) {
		return "", ErrRule
	}
	return s, nil
}

func validKey(s string) bool { return len(s) <= MaxKey && codeChars(s, "@") }

func (m *move) tally(counter, scoped string) (*Tally, error) {
	t, err := load[Tally](m.store, tallyKey(m.def.Name, counter, scoped))
	if t == nil {
		t = &Tally{}
	}
	return t, err
}

func (m *move) saveTally(counter, scoped string, t *Tally) error {
	key := tallyKey(m.def.Name, counter, scoped)
	if len(t.Buckets) == 0 {
		return m.store.Delete(key)
	}
	t.Sum = 0 // it depends on the time
	return save(m.store, key, t)
}

// load reads the counters that the transition adds to.
func (m *move) load() error {
	for n, c := range m.t.Count {
		key, err := m.keyOf(m.c.keys[n])
		if err != nil {
			return err
		}
		scoped := m.scoped(m.def.Counter(c.Counter).Scope, key)
		t, err := m.tally(c.Counter, scoped)
		if err != nil {
			return err
		}
		t.at(m.at)
		m.vars["counts."+c.Counter] = t.Sum
		m.keys, m.tallies = append(m.keys, scoped), append(m.tallies, t)
	}
	return nil
}

// count adds to the counters.
func (m *move) count() error {
	for n, x := range m.c.adds {
		v, err := x.eval(m.vars)
		if err != nil {
			return ErrRule
		}
		add, ok := v.Value().(int64)
		c, t := m.def.Counter(m.t.Count[n].Counter), m.tallies[n]
		switch {
		case !ok || add < 0 || add > maxNumber:
			return ErrRule
		case add > c.Limit-t.Sum:
			return ErrLimit
		case add == 0:
			continue
		}
		b := c.span(m.at)
		if last := len(t.Buckets) - 1; last >= 0 && t.Buckets[last].Start == b.Start && t.Buckets[last].End == b.End {
			t.Buckets[last].Amount += add
		} else {
			b.Amount = add
			t.Buckets = append(t.Buckets, b)
		}
		if err := m.charge(c, m.keys[n], b.Start, add); err != nil {
			return err
		}
		if err := m.saveTally(c.Name, m.keys[n], t); err != nil {
			return err
		}
	}
	return nil
}

// charge remembers what the instance added, so that it can be undone.
func (m *move) charge(c *Counter, scoped string, bucket, add int64) error {
	i := m.i
	for n := range i.Charges {
		if g := &i.Charges[n]; g.Counter == c.Name && g.Key == scoped && g.Bucket == bucket {
			g.Amount += add
			return nil
		}
	}
	if len(i.Charges) >= MaxCharges { // what is out of its window no longer counts
		i.Charges = slices.DeleteFunc(i.Charges, func(g Charge) bool {
			end := m.def.Counter(g.Counter).spanAt(g.Bucket).End
			return end != 0 && end <= m.at
		})
	}
	if len(i.Charges) >= MaxCharges {
		return ErrFull
	}
	i.Charges = append(i.Charges, Charge{Counter: c.Name, Key: scoped, Bucket: bucket, Amount: add})
	return nil
}

// claim claims keys. An empty key claims nothing.
func (m *move) claim() error {
	for n, x := range m.c.claims {
		u := m.def.unique(m.t.Claim[n].Name)
		v, err := x.eval(m.vars)
		if err != nil {
			return ErrRule
		}
		native, err := v.ConvertToNative(stringsType)
		keys, ok := native.([]string)
		if s, one := v.Value().(string); one {
			keys, ok, err = []string{s}, true, nil
		}
		if err != nil || !ok || len(keys) > MaxClaims {
			return ErrRule
		}
		for _, key := range keys {
			if err := m.claimOne(u, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *move) claimOne(u *Unique, key string) error {
	if key == "" {
		return nil
	}
	if !validKey(key) {
		return ErrRule
	}
	scoped := m.scoped(u.Scope, key)
	at := claimKey(m.def.Name, u.Name, scoped)
	by, err := m.store.Get(at)
	switch {
	case err != nil:
		return err
	case by != nil:
		return ErrClaimed
	case len(m.i.Claims) >= MaxClaims:
		return ErrFull
	}
	m.i.Claims = append(m.i.Claims, Claim{Unique: u.Name, Key: scoped})
	return m.store.Set(at, []byte(m.i.ID))
}

// undo takes back what the instance added to counters and claimed.
func (m *move) undo() error {
	for _, name := range m.t.Undo {
		for _, g := range m.i.Charges {
			if g.Counter == name {
				if err := m.uncharge(g); err != nil {
					return err
				}
			}
		}
		for _, c := range m.i.Claims {
			if c.Unique == name {
				if err := m.store.Delete(claimKey(m.def.Name, c.Unique, c.Key)); err != nil {
					return err
				}
			}
		}
		m.i.Charges = slices.DeleteFunc(m.i.Charges, func(g Charge) bool { return g.Counter == name })
		m.i.Claims = slices.DeleteFunc(m.i.Claims, func(c Claim) bool { return c.Unique == name })
	}
	return nil
}

// uncharge takes an addition out of the span that it went into, if that still
// counts.
func (m *move) uncharge(g Charge) error {
	t, err := m.tally(g.Counter, g.Key)
	if err != nil {
		return err
	}
	n := slices.IndexFunc(t.Buckets, func(b Bucket) bool { return b.Start == g.Bucket })
	if n < 0 {
		return nil
	}
	if t.Buckets[n].Amount -= g.Amount; t.Buckets[n].Amount <= 0 {
		t.Buckets = slices.Delete(t.Buckets, n, n+1)
	}
	return m.saveTally(g.Counter, g.Key, t)
}
