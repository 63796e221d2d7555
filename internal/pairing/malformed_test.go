package pairing

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
)

// The malformed encodings below are told apart with math/big alone.

var (
	fieldPrime, _ = new(big.Int).SetString("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16)
	groupOrder, _ = new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	two381        = new(big.Int).Lsh(big.NewInt(1), 381)
)

// below returns a number in [0, n).
func below(r *rand.ChaCha8, n *big.Int) *big.Int {
	b := make([]byte, 64)
	r.Read(b)
	x := new(big.Int).SetBytes(b)
	return x.Mod(x, n)
}

// solvable reports whether a point of the curve, or of the twist, has this x.
func solvable(x []*big.Int) bool {
	mul := func(a, b *big.Int) *big.Int { return new(big.Int).Mul(a, b) }
	four := big.NewInt(4)
	if len(x) == 1 {
		y2 := mul(x[0], mul(x[0], x[0]))
		return big.Jacobi(y2.Mod(y2.Add(y2, four), fieldPrime), fieldPrime) >= 0
	}
	// (a + b·u)³ + 4 + 4·u is a square iff its norm is one.
	b, a := x[0], x[1]
	re := new(big.Int).Sub(mul(a, mul(a, a)), mul(big.NewInt(3), mul(a, mul(b, b))))
	im := new(big.Int).Sub(mul(big.NewInt(3), mul(a, mul(a, b))), mul(b, mul(b, b)))
	re.Add(re, four)
	im.Add(im, four)
	norm := mul(re, re)
	norm.Add(norm, mul(im, im))
	return big.Jacobi(norm.Mod(norm, fieldPrime), fieldPrime) >= 0
}

// compressed encodes x with the given sign.
func compressed(x []*big.Int, sign byte) []byte {
	var b []byte
	for _, c := range x {
		b = append(b, c.FillBytes(make([]byte, 48))...)
	}
	b[0] |= 0x80 | sign&1<<5
	return b
}

// malformedPoint returns an encoding in G1 (size 48) or G2 (size 96) that must
// be refused, and why. Random points of the curves lie outside the subgroups but
// with a chance below 2^-120.
func malformedPoint(r *rand.ChaCha8, size int, valid []byte) ([]byte, error) {
	sign := byte(r.Uint64())
	draw := func() []*big.Int {
		x := make([]*big.Int, size/48)
		for i := range x {
			x[i] = below(r, fieldPrime)
		}
		return x
	}
	on := func(wanted bool) []*big.Int {
		for {
			if x := draw(); solvable(x) == wanted {
				return x
			}
		}
	}
	b := append([]byte(nil), valid...)
	switch r.Uint64() % 9 {
	case 0:
		b = make([]byte, r.Uint64()%200)
		r.Read(b)
		if len(b) == size {
			b = b[1:]
		}
		return b, ErrLength
	case 1:
		return append(b, sign), ErrLength
	case 2:
		return b[:size-1], ErrLength
	case 3:
		b[0] &^= 0x80
		return b, ErrEncoding
	case 4:
		x := draw()
		which := r.Uint64() % uint64(len(x))
		x[which] = new(big.Int).Add(fieldPrime, below(r, new(big.Int).Sub(two381, fieldPrime)))
		return compressed(x, sign), ErrEncoding
	case 5:
		b = make([]byte, size)
		b[0] = 0xc0
		return b, ErrIdentity
	case 6:
		b[0] |= 0x40
		return b, ErrEncoding
	case 7:
		return compressed(on(false), sign), ErrEncoding
	default:
		return compressed(on(true), sign), ErrSubgroup
	}
}

// malformedScalar returns bytes that neither parser of scalars takes, but zero,
// which is a Scalar and no Secret.
func malformedScalar(r *rand.ChaCha8) (b []byte, public, secret error) {
	fill := func(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
	switch r.Uint64() % 6 {
	case 0:
		return make([]byte, 32), nil, ErrZero
	case 1:
		return fill(groupOrder), ErrRange, ErrRange
	case 2:
		return fill(new(big.Int).Add(groupOrder, big.NewInt(1))), ErrRange, ErrRange
	case 3:
		top := new(big.Int).Lsh(big.NewInt(1), 256)
		return fill(new(big.Int).Add(groupOrder, below(r, top.Sub(top, groupOrder)))), ErrRange, ErrRange
	case 4:
		return append(fill(below(r, groupOrder)), 0), ErrLength, ErrLength
	default:
		b = make([]byte, r.Uint64()%32)
		r.Read(b)
		return b, ErrLength, ErrLength
	}
}

// TestMalformedPointsAndScalarsAreRefused gives the parsers 100,000 encodings
// that are none: every one must be refused, for the right reason.
func TestMalformedPointsAndScalarsAreRefused(t *testing.T) {
	n := 25_000
	if testing.Short() {
		n = 500
	}
	each := func(name string, seed byte, f func(r *rand.ChaCha8) error) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.NewChaCha8([32]byte{seed})
			for range n {
				if err := f(r); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	want := func(b []byte, got, want error) error {
		if !errors.Is(got, want) {
			return fmt.Errorf("%x: got %v, want %v", b, got, want)
		}
		return nil
	}
	valid1, valid2 := GeneratorG1().Bytes(), GeneratorG2().Bytes()
	each("G1", 1, func(r *rand.ChaCha8) error {
		b, reason := malformedPoint(r, G1Size, valid1[:])
		_, err := ParseG1(b)
		return want(b, err, reason)
	})
	each("G2", 2, func(r *rand.ChaCha8) error {
		b, reason := malformedPoint(r, G2Size, valid2[:])
		_, err := ParseG2(b)
		return want(b, err, reason)
	})
	each("Scalar", 3, func(r *rand.ChaCha8) error {
		b, reason, _ := malformedScalar(r)
		_, err := ParseScalar(b)
		return want(b, err, reason)
	})
	each("Secret", 4, func(r *rand.ChaCha8) error {
		b, _, reason := malformedScalar(r)
		_, err := ParseSecret(b)
		return want(b, err, reason)
	})
}
