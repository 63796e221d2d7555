package abe

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/ward-health/ward/pre"
)

var _ pre.Recipient = (*Recipient)(nil)

const northCatalogue = `contractor flag
dept any of (er, icu)
grade number 0 to 7
role one of (nurse, pharmacist, physician)
unit text
`

// world is two hospitals from fixed randomness. Making master keys is slow, so
// tests share it.
type world struct {
	north, south   *MasterKey
	northA, southA *Authority // of epoch 7
}

var sharedWorld = sync.OnceValue(func() *world {
	w := new(world)
	c, err := ParseCatalogue(northCatalogue)
	if err != nil {
		panic(err)
	}
	for _, h := range []struct {
		name string
		key  **MasterKey
		a    **Authority
	}{{"north", &w.north, &w.northA}, {"south", &w.south, &w.southA}} {
		if *h.key, err = generateMasterKey(stream(h.name), h.name); err != nil {
			panic(err)
		}
		if *h.a, err = (*h.key).Authority(7, c); err != nil {
			panic(err)
		}
	}
	return w
})

// stream returns randomness that is the same in every run.
func stream(seed string) io.Reader {
	return rand.NewChaCha8(sha256.Sum256([]byte(seed)))
}

// rng returns a generator of test cases.
func rng(seed string) *rand.Rand {
	s := sha256.Sum256([]byte(seed))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(s[:]), binary.BigEndian.Uint64(s[8:])))
}

// stepInPoints returns n, or 1 if everything is to be tried: a test that changes
// bytes takes that step where CIRCL has to parse points.
func stepInPoints(n int) int {
	if os.Getenv("WARD_EXHAUSTIVE") != "" {
		return 1
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func policyOf(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy(text)
	must(t, err)
	return p
}

func attributesOf(t testing.TB, text string) Attributes {
	t.Helper()
	a, err := ParseAttributes(text)
	must(t, err)
	return a
}

func catalogueOf(t testing.TB, text string) Catalogue {
	t.Helper()
	c, err := ParseCatalogue(text)
	must(t, err)
	return c
}

func (w *world) key(t testing.TB, holder, attributes string) *Key {
	t.Helper()
	k, err := w.north.Issue(w.northA, holder, attributesOf(t, attributes))
	must(t, err)
	return k
}

// sealed is something sealed to a policy of north's.
type sealed struct {
	description, bytes, half []byte
	context                  [32]byte
}

func (w *world) seal(t testing.TB, policy string) sealed {
	t.Helper()
	return sealTo(t, policy, w.northA)
}

func sealTo(t testing.TB, policy string, authorities ...*Authority) sealed {
	t.Helper()
	r, err := NewRecipient(policyOf(t, policy), authorities...)
	must(t, err)
	s := sealed{description: r.Description(), half: make([]byte, halfSize), context: sha256.Sum256([]byte("grant"))}
	_, err = io.ReadFull(stream("half"), s.half)
	must(t, err)
	s.bytes, err = r.SealHalf(s.half, s.context)
	must(t, err)
	return s
}

// open reports whether the key opens it; that it opens to something else is a
// failure.
func (s sealed) open(t testing.TB, k *Key) error {
	t.Helper()
	half, err := k.OpenHalf(s.description, s.bytes, s.context)
	if err == nil && string(half) != string(s.half) {
		t.Fatal("opened to something else")
	}
	return err
}
