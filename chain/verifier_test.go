package chain

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"filippo.io/edwards25519"
)

// A Verifier that has seen every key, some of them no points, in batches of all
// sizes, gives the verdicts of one that has seen none.
func TestVerifierRemembersKeysAndNoVerdicts(t *testing.T) {
	items, want := edgeCases(t)
	var v Verifier
	rng := rand.New(rand.NewPCG(11, 12))
	for round := range 30 {
		order := rng.Perm(len(items))[:1+rng.IntN(len(items))]
		if round%3 == 0 {
			order = order[:min(len(order), 40)] // the multiplication with tables
		}
		batch := make([]signed, 0, 2*len(order))
		for _, j := range order {
			batch = append(batch, items[j])
		}
		for i, got := range v.verify(append(batch, batch...)) {
			if j := order[i%len(order)]; got != want[j] {
				t.Fatalf("round %d, case %d: in a batch of %d the verdict is %v", round, j, 2*len(batch), got)
			}
		}
	}
	tables := 0
	for _, key := range v.keys {
		if key.table != nil {
			tables++
		}
	}
	if tables == 0 || len(v.keys) < 60 {
		t.Errorf("%d keys are remembered, %d with a table", len(v.keys), tables)
	}
}

// signedBy returns n signatures of one signer.
func signedBy(name string, n int) []signed {
	seed := sha256.Sum256([]byte(name))
	key := ed25519.NewKeyFromSeed(seed[:])
	out := make([]signed, n)
	for i := range out {
		msg := fmt.Appendf(nil, "%s %d", name, i)
		out[i] = signed{PublicKey(key.Public().(ed25519.PublicKey)), msg, ed25519.Sign(key, msg)}
	}
	return out
}

// Two signatures that are wrong by the same amount in opposite directions pass an
// equation whose coefficients the forger knows, or are equal. All sums of a signer
// are one: nothing may cancel there either.
func TestErrorsThatCancelEachOtherAreFound(t *testing.T) {
	shift := func(s signed, by int64) signed {
		b := make([]byte, 32)
		binary.LittleEndian.PutUint64(b, uint64(max(by, -by)))
		d, err := edwards25519.NewScalar().SetCanonicalBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		if by < 0 {
			d.Negate(d)
		}
		old, err := edwards25519.NewScalar().SetCanonicalBytes(s.sig[32:])
		if err != nil {
			t.Fatal(err)
		}
		s.sig = append(append([]byte(nil), s.sig[:32]...), d.Add(d, old).Bytes()...)
		return s
	}
	for _, n := range []int{2, 5, 300} {
		items := signedBy("one", n)
		items[0], items[1] = shift(items[0], 12345), shift(items[1], -12345)
		for i, good := range new(Verifier).verify(items) {
			if good == (i < 2) {
				t.Errorf("%d signatures: the verdict on %d is %v", n, i, good)
			}
		}
		// Signatures of one signer on each other's messages: the same sums, were
		// the coefficients the same.
		items = signedBy("two", n)
		items[0].sig, items[1].sig = items[1].sig, items[0].sig
		for i, good := range new(Verifier).verify(items) {
			if good == (i < 2) {
				t.Errorf("%d signatures, two exchanged: the verdict on %d is %v", n, i, good)
			}
		}
	}
}

// Whoever sends with ever new keys makes a Verifier forget, not grow.
func TestVerifierForgetsKeys(t *testing.T) {
	var v Verifier
	rng := rand.New(rand.NewPCG(13, 14))
	for range 3 {
		items := make([]signed, maxKeys/2)
		for i := range items {
			items[i] = plain(rng)
		}
		for i, good := range v.verify(items) {
			if !good {
				t.Fatalf("item %d is refused", i)
			}
		}
	}
	if len(v.keys) != maxKeys {
		t.Errorf("%d keys are remembered, the limit is %d", len(v.keys), maxKeys)
	}
}

func TestVerifierIsUsedConcurrently(t *testing.T) {
	items := append(signedBy("one", 20), signedBy("two", 20)...)
	var v Verifier
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				for i, good := range v.verify(items) {
					if !good {
						t.Errorf("item %d is refused", i)
					}
				}
			}
		})
	}
	wg.Wait()
}

// The equation itself holds for what is good, with components of small order too:
// verdicts would be right without, and slow.
func TestEquationHoldsForGoodSignatures(t *testing.T) {
	items, want := edgeCases(t)
	var good []signed
	for i, s := range items {
		if want[i] {
			good = append(good, s)
		}
	}
	var v Verifier
	for _, n := range []int{len(good), 50, 50, 2} {
		b := v.newBatch(good[len(good)-n:])
		if len(b.members) != n || !b.equation() {
			t.Errorf("%d good signatures, %d in the equation, which does not hold", n, len(b.members))
		}
	}
}
