package chain

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"filippo.io/edwards25519"
	"github.com/hdevalence/ed25519consensus"
)

// smallOrder returns the 14 encodings of points of order 1, 2, 4 and 8,
// canonical or not. As key and as R of a signature with S = 0 they make the
// 196 cases of ZIP 215.
func smallOrder(t testing.TB) [][]byte {
	var out [][]byte
	for _, s := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		p, err := new(edwards25519.Point).SetBytes(b)
		if err != nil {
			t.Fatalf("%s is no point: %v", s, err)
		}
		if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) != 1 {
			t.Fatalf("%s is not of small order", s)
		}
		out = append(out, b)
	}
	return out
}

// edgeCases returns signatures at the edge of the rules with the verdict that
// ZIP 215 prescribes.
func edgeCases(t testing.TB) (items []signed, want []bool) {
	small := smallOrder(t)
	for _, a := range small {
		for _, r := range small {
			items = append(items, signed{PublicKey(a), []byte("Zcash"), append(append([]byte{}, r...), make([]byte, 32)...)})
			want = append(want, true)
		}
	}
	// A signer whose key or R has a component of small order, made with the
	// cofactored equation in mind; the uncofactored one refuses most of them.
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 64 {
		torsion, err := new(edwards25519.Point).SetBytes(small[10+i%4])
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, mixedOrder(rng, torsion, i%2 == 0))
		want = append(want, true)
	}
	// S not reduced, points that are none, and plain forgeries are refused.
	good := plain(rng)
	order, err := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	if err != nil {
		t.Fatal(err)
	}
	unreduced := append([]byte{}, good.sig...)
	carry := 0
	for i := range 32 {
		carry += int(unreduced[32+i]) + int(order[i])
		unreduced[32+i] = byte(carry)
		carry >>= 8
	}
	noPoint := append([]byte{2}, make([]byte, 31)...)
	if _, err := new(edwards25519.Point).SetBytes(noPoint); err == nil {
		t.Fatal("want the encoding of no point")
	}
	for _, s := range []signed{
		{good.key, good.msg, unreduced},
		{good.key, []byte("other"), good.sig},
		{PublicKey(noPoint), good.msg, good.sig},
		{good.key, good.msg, append(append([]byte{}, noPoint...), good.sig[32:]...)},
		{good.key, good.msg, good.sig[:63]},
		{good.key, good.msg, append(good.sig[:64:64], 0)},
		{good.key, good.msg, nil},
	} {
		items = append(items, s)
		want = append(want, false)
	}
	return append(items, good), append(want, true)
}

func verifyBatch(items []signed) []bool { return new(Verifier).verify(items) }

func plain(rng *rand.Rand) signed {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rng.Uint32())
	}
	key := ed25519.NewKeyFromSeed(seed[:])
	msg := seed[:8]
	return signed{PublicKey(key.Public().(ed25519.PublicKey)), msg, ed25519.Sign(key, msg)}
}

// mixedOrder signs with the torsion point added to the key or to R.
func mixedOrder(rng *rand.Rand, torsion *edwards25519.Point, inKey bool) signed {
	scalar := func() *edwards25519.Scalar {
		var wide [64]byte
		for i := range wide {
			wide[i] = byte(rng.Uint32())
		}
		s, err := edwards25519.NewScalar().SetUniformBytes(wide[:])
		if err != nil {
			panic(err)
		}
		return s
	}
	a, r := scalar(), scalar()
	pointA := new(edwards25519.Point).ScalarBaseMult(a)
	pointR := new(edwards25519.Point).ScalarBaseMult(r)
	if inKey {
		pointA.Add(pointA, torsion)
	} else {
		pointR.Add(pointR, torsion)
	}
	msg := []byte("mixed order")
	h := sha512.New()
	h.Write(pointR.Bytes())
	h.Write(pointA.Bytes())
	h.Write(msg)
	k, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	if err != nil {
		panic(err)
	}
	s := edwards25519.NewScalar().MultiplyAdd(k, a, r)
	return signed{PublicKey(pointA.Bytes()), msg, append(pointR.Bytes(), s.Bytes()...)}
}

func TestZIP215SingleBatchAndIndependentVerifierAgree(t *testing.T) {
	items, want := edgeCases(t)
	stdDiffers := 0
	for i, s := range items {
		if got := s.key.Verify(s.msg, s.sig); got != want[i] {
			t.Errorf("case %d: Verify = %v, ZIP 215 says %v", i, got, want[i])
		}
		if got := verifyBatch(items[i : i+1])[0]; got != want[i] {
			t.Errorf("case %d: batch of one = %v, ZIP 215 says %v", i, got, want[i])
		}
		if len(s.sig) == 64 {
			if got := ed25519consensus.Verify(s.key[:], s.msg, s.sig); got != want[i] {
				t.Errorf("case %d: ed25519consensus = %v, ZIP 215 says %v", i, got, want[i])
			}
			if ed25519.Verify(s.key[:], s.msg, s.sig) != want[i] {
				stdDiffers++
			}
		}
	}
	if stdDiffers == 0 {
		t.Error("crypto/ed25519 agrees on every case: they are not at the edge of the rules")
	}
	// Twice in one batch, which takes another path for the key.
	for i, s := range items {
		if got := verifyBatch([]signed{s, s, s}); got[0] != want[i] || got[1] != want[i] || got[2] != want[i] {
			t.Errorf("case %d: repeated, the verdicts are %v", i, got)
		}
	}
	// In one batch, in shuffled batches of all sizes, good and bad mixed.
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		order := rng.Perm(len(items))[:1+rng.IntN(len(items))]
		batch := make([]signed, len(order))
		for i, j := range order {
			batch[i] = items[j]
		}
		for i, got := range verifyBatch(batch) {
			if got != want[order[i]] {
				t.Fatalf("case %d: in a batch of %d the verdict is %v", order[i], len(batch), got)
			}
		}
	}
}

func TestBatchLargerThanOneMultiplication(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	items := make([]signed, batchSize+3)
	for i := range items {
		items[i] = plain(rng)
	}
	bad := map[int]bool{0: true, batchSize - 1: true, batchSize: true, batchSize + 2: true}
	for i := range bad {
		items[i].sig[0] ^= 1
	}
	for i, got := range verifyBatch(items) {
		if got == bad[i] {
			t.Fatalf("item %d: %v", i, got)
		}
	}
}

func FuzzSignatureVerdictsAgree(f *testing.F) {
	items, _ := edgeCases(f)
	for _, s := range items {
		f.Add(s.key[:], s.msg, s.sig)
	}
	other := plain(rand.New(rand.NewPCG(7, 8)))
	f.Fuzz(func(t *testing.T, key, msg, sig []byte) {
		if len(key) != 32 {
			return
		}
		s := signed{PublicKey(key), msg, sig}
		single := s.key.Verify(msg, sig)
		if batch := verifyBatch([]signed{other, s, other}); batch[1] != single || !batch[0] || !batch[2] {
			t.Fatalf("single %v, batch %v", single, batch)
		}
		if len(sig) == 64 && ed25519consensus.Verify(key, msg, sig) != single {
			t.Fatalf("ed25519consensus differs from %v", single)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	rng := rand.New(rand.NewPCG(9, 10))
	items := make([]signed, batchSize)
	for i := range items {
		items[i] = plain(rng)
	}
	b.Run("std", func(b *testing.B) {
		i := 0
		for b.Loop() {
			s := items[i%len(items)]
			ed25519.Verify(s.key[:], s.msg, s.sig)
			i++
		}
	})
	b.Run("single", func(b *testing.B) {
		i := 0
		for b.Loop() {
			s := items[i%len(items)]
			s.key.Verify(s.msg, s.sig)
			i++
		}
	})
	b.Run("consensus-batch", func(b *testing.B) {
		n := 0
		for b.Loop() {
			v := ed25519consensus.NewBatchVerifier()
			for _, s := range items {
				v.Add(s.key[:], s.msg, s.sig)
			}
			if !v.Verify() {
				b.Fatal("batch does not verify")
			}
			n += len(items)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/sig")
	})
	few := make([]signed, batchSize) // 16 signers
	for i := range few {
		key := ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i%16)))
		few[i] = signed{PublicKey(key.Public().(ed25519.PublicKey)), []byte("few signers"), ed25519.Sign(key, []byte("few signers"))}
	}
	b.Run("batch=1024-signers=16", func(b *testing.B) {
		done := 0
		for b.Loop() {
			verifyBatch(few)
			done += len(few)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(done), "ns/sig")
	})
	for _, n := range []int{1, 16, 128, batchSize} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			done := 0
			for b.Loop() {
				verifyBatch(items[:n])
				done += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(done), "ns/sig")
		})
	}
}

// The edge cases are published for other implementations.
func TestZIP215File(t *testing.T) {
	items, want := edgeCases(t)
	var b strings.Builder
	for i, s := range items {
		fmt.Fprintf(&b, "%x %x %x %v\n", s.key[:], s.msg, s.sig, want[i])
	}
	got, err := os.ReadFile("testdata/zip215.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("testdata/zip215.txt is not what edgeCases makes")
	}
}
