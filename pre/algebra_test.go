package pre

import (
	"math/bits"
	"math/rand/v2"
	"testing"
)

// TestKeysAreAlgebraicallyIndependent is the heart of the security argument in
// the generic group: everything an adversary sees, as polynomials in the secret
// exponents, spans no combination whose pairing is the key of the target
// record. The rank is computed over a prime field of 61 bits at random points
// (Schwartz and Zippel), so a wrong verdict has probability below 2^-40.
//
// The adversary holds public keys, capsules, the target's among them; the key
// of a sibling type; grants of corrupt readers on a level and on an ancestor of
// the target, with answers for other records; a grant of an honest reader with
// answers for the target as well; BLS signatures under the same s.
func TestKeysAreAlgebraicallyIndependent(t *testing.T) {
	if g := newGeneric(); !g.independent() {
		t.Fatal("the target's keys follow from what an adversary sees")
	}
	// Each of these alone gives the target away. If the test did not notice,
	// it would prove nothing.
	for name, leak := range map[string]func(v vars) (g1, g2 []element){
		"r·Q: an author's exponent in G2":        func(v vars) (g1, g2 []element) { return nil, []element{v.mul("r0", "h2")} },
		"w₀·Q: a grant's secret in G2":           func(v vars) (g1, g2 []element) { return nil, []element{v.mul("w1", "h2")} },
		"w₀·U: an answer for the target":         func(v vars) (g1, g2 []element) { return []element{v.mul("w1", "r0")}, nil },
		"s·U: a decapsulation of the target":     func(v vars) (g1, g2 []element) { return []element{v.mul("s", "r0")}, nil },
		"E of the reader the target is given to": func(v vars) (g1, g2 []element) { return nil, []element{v.half("w3", "h2")} },
	} {
		if g := newGeneric(); g.with(leak).independent() {
			t.Errorf("%s leaves the target's keys independent", name)
		}
	}
}

const prime = 1<<61 - 1

func mulmod(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	sum := (lo & prime) + (lo>>61 | hi<<3)
	return (sum&prime + sum>>61) % prime
}

// An element is a polynomial, given by its values at the sample points.
type element []uint64

// vars maps a variable to its values at the sample points.
type vars map[string]element

const samples = 400 // more than there are products

func (v vars) of(name string) element {
	if _, ok := v[name]; !ok {
		e := make(element, samples)
		for i := range e {
			if e[i] = 1; name != "1" {
				e[i] = rand.Uint64N(prime)
			}
		}
		v[name] = e
	}
	return v[name]
}

func (v vars) mul(names ...string) element {
	e := v.of("1")
	for _, n := range names {
		e = times(e, v.of(n))
	}
	return e
}

// half is E = s·h − w·h.
func (v vars) half(w, h string) element {
	a, b := v.mul("s", h), v.mul(w, h)
	e := make(element, samples)
	for i := range e {
		e[i] = (a[i] + prime - b[i]) % prime
	}
	return e
}

func times(a, b element) element {
	e := make(element, len(a))
	for i := range e {
		e[i] = mulmod(a[i], b[i])
	}
	return e
}

// generic is the adversary's view: elements of both groups, and the targets.
type generic struct {
	v       vars
	g1, g2  []element
	targets []element
}

func newGeneric() *generic {
	v := make(vars)
	g := &generic{v: v}
	one := func(names ...string) { g.g1 = append(g.g1, v.mul(names...)) }
	two := func(names ...string) { g.g2 = append(g.g2, v.mul(names...)) }
	one("1")
	one("s")                                 // P
	for _, r := range []string{"r0", "r1"} { // capsules; r0 is the target's
		one(r)
		one("base", r)
	}
	one("base")
	for _, w := range []string{"w1", "w2", "w3"} { // A₀ of every grant
		one(w)
		one(w, "r1") // answers for the other record
	}
	one("w3", "r0") // the honest reader's answers for the target
	one("s", "r1")  // the other record was decapsulated
	two("1")
	for _, h := range []string{"h0", "h1", "h2", "sib", "inbox", "m"} { // hashed points
		two(h)
	}
	two("s", "sib") // the sibling's key
	two("s", "m")   // a signature under s
	g.g2 = append(g.g2, v.half("w1", "h2"), v.half("w2", "h0"))
	for _, h := range []string{"h0", "h1", "h2"} { // K of every level of the target
		g.targets = append(g.targets, v.mul("r0", "s", h))
	}
	return g
}

func (g *generic) with(leak func(vars) (g1, g2 []element)) *generic {
	g1, g2 := leak(g.v)
	g.g1, g.g2 = append(g.g1, g1...), append(g.g2, g2...)
	return g
}

// independent reports whether no target, nor any combination of them, lies in
// the span of all pairings of what is seen.
func (g *generic) independent() bool {
	var rows []element
	for _, a := range g.g1 {
		for _, b := range g.g2 {
			rows = append(rows, times(a, b))
		}
	}
	span := rank(rows)
	return rank(append(rows, g.targets...)) == span+len(g.targets)
}

// rank is Gaussian elimination modulo prime. It leaves its argument alone.
func rank(rows []element) int {
	m := make([]element, len(rows))
	for i, r := range rows {
		m[i] = append(element(nil), r...)
	}
	found := 0
	for col := 0; col < samples && found < len(m); col++ {
		pivot := found
		for pivot < len(m) && m[pivot][col] == 0 {
			pivot++
		}
		if pivot == len(m) {
			continue
		}
		m[found], m[pivot] = m[pivot], m[found]
		inverse := power(m[found][col], prime-2)
		for i := found + 1; i < len(m); i++ {
			if m[i][col] == 0 {
				continue
			}
			f := mulmod(m[i][col], inverse)
			for j := col; j < samples; j++ {
				m[i][j] = (m[i][j] + prime - mulmod(f, m[found][j])) % prime
			}
		}
		found++
	}
	return found
}

func power(a, n uint64) uint64 {
	z := uint64(1)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			z = mulmod(z, a)
		}
		a = mulmod(a, a)
	}
	return z
}
