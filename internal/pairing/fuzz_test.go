package pairing

import (
	"bytes"
	"crypto"
	"errors"
	"math/big"
	"testing"

	circl "github.com/cloudflare/circl/ecc/bls12381"
	"github.com/cloudflare/circl/expander"
)

// seedPoints are valid and invalid encodings of both groups.
func seedPoints(f *testing.F) [][]byte {
	f.Helper()
	g1, g2 := GeneratorG1().Bytes(), GeneratorG2().Bytes()
	h1, h2 := HashToG1("seed", nil).Bytes(), HashToG2("seed", nil).Bytes()
	list := [][]byte{nil, g1[:], g2[:], h1[:], h2[:]}
	for _, size := range []int{G1Size, G2Size} {
		for _, first := range []byte{0x00, 0x80, 0xa0, 0xc0, 0xe0, 0x9a} {
			b := make([]byte, size)
			b[0] = first
			one := append([]byte(nil), b...)
			one[size-1] = 1
			list = append(list, b, one, append(b[:size:size], 0))
		}
	}
	return list
}

// named fails unless err is one of the parsers' errors.
func named(t *testing.T, b []byte, err error) {
	t.Helper()
	for _, e := range []error{ErrLength, ErrEncoding, ErrSubgroup, ErrIdentity, ErrRange, ErrZero} {
		if errors.Is(err, e) {
			return
		}
	}
	t.Fatalf("%x: unnamed error %v", b, err)
}

func FuzzParseG1(f *testing.F) {
	for _, b := range seedPoints(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ParseG1(b)
		if err != nil {
			named(t, b, err)
		} else if back := g.Bytes(); !bytes.Equal(back[:], b) {
			t.Fatalf("%x becomes %x", b, back)
		}
	})
}

func FuzzParseG2(f *testing.F) {
	for _, b := range seedPoints(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ParseG2(b)
		if err != nil {
			named(t, b, err)
		} else if back := g.Bytes(); !bytes.Equal(back[:], b) {
			t.Fatalf("%x becomes %x", b, back)
		}
	})
}

func seedScalars(f *testing.F) {
	f.Helper()
	for _, n := range []int64{-2, -1, 0, 1, 2} {
		f.Add(new(big.Int).Add(groupOrder, big.NewInt(n)).FillBytes(make([]byte, 32)))
	}
	f.Add(make([]byte, 32))
	f.Add(bytes.Repeat([]byte{0xff}, 32))
	f.Add(make([]byte, 33))
	f.Add([]byte(nil))
}

func FuzzParseScalar(f *testing.F) {
	seedScalars(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseScalar(b)
		if err != nil {
			named(t, b, err)
		} else if back := s.Bytes(); !bytes.Equal(back[:], b) {
			t.Fatalf("%x becomes %x", b, back)
		}
		if valid := len(b) == 32 && new(big.Int).SetBytes(b).Cmp(groupOrder) < 0; valid != (err == nil) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func FuzzParseSecret(f *testing.F) {
	seedScalars(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSecret(b)
		if err != nil {
			named(t, b, err)
		} else if back := s.Reveal(); !bytes.Equal(back[:], b) {
			t.Fatalf("%x becomes %x", b, back)
		}
		n := new(big.Int).SetBytes(b)
		if valid := len(b) == 32 && n.Sign() > 0 && n.Cmp(groupOrder) < 0; valid != (err == nil) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

// FuzzLibrariesParseAlike gives gnark-crypto and CIRCL the same encodings.
func FuzzLibrariesParseAlike(f *testing.F) {
	for _, b := range seedPoints(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c1 circl.G1
		g1, err := ParseG1(b)
		if ok := len(b) == G1Size && c1.SetBytes(b) == nil && !c1.IsIdentity(); ok != (err == nil) {
			t.Fatalf("G1 %x: CIRCL accepts it: %v; gnark-crypto: %v", b, ok, err)
		} else if ok {
			if mine := g1.Bytes(); !bytes.Equal(mine[:], c1.BytesCompressed()) || !g1FromCircl(&c1).Equal(g1) {
				t.Fatalf("G1 %x: the libraries read different points", b)
			}
		}
		var c2 circl.G2
		g2, err := ParseG2(b)
		if ok := len(b) == G2Size && c2.SetBytes(b) == nil && !c2.IsIdentity(); ok != (err == nil) {
			t.Fatalf("G2 %x: CIRCL accepts it: %v; gnark-crypto: %v", b, ok, err)
		} else if ok {
			if mine := g2.Bytes(); !bytes.Equal(mine[:], c2.BytesCompressed()) || !g2FromCircl(&c2).Equal(g2) {
				t.Fatalf("G2 %x: the libraries read different points", b)
			}
		}
	})
}

// FuzzLibrariesHashAlike compares hashing to G1, to G2 and to scalars.
func FuzzLibrariesHashAlike(f *testing.F) {
	f.Add([]byte("t"), []byte(nil))
	f.Add([]byte(DSTIdentity), []byte("message"))
	f.Add(bytes.Repeat([]byte{'x'}, 255), bytes.Repeat([]byte{0}, 300))
	f.Fuzz(func(t *testing.T, tag, msg []byte) {
		if len(tag) == 0 || len(tag) > 255 {
			return // no tag is as short or as long
		}
		var c1 circl.G1
		c1.Hash(msg, tag)
		if b := HashToG1(DST(tag), msg).Bytes(); !bytes.Equal(b[:], c1.BytesCompressed()) {
			t.Fatalf("G1: tag %x, message %x", tag, msg)
		}
		var c2 circl.G2
		c2.Hash(msg, tag)
		if b := HashToG2(DST(tag), msg).Bytes(); !bytes.Equal(b[:], c2.BytesCompressed()) {
			t.Fatalf("G2: tag %x, message %x", tag, msg)
		}
		wide := expander.NewExpanderMD(crypto.SHA256, tag).Expand(msg, 48)
		n := new(big.Int).Mod(new(big.Int).SetBytes(wide), groupOrder).FillBytes(make([]byte, 32))
		public, secret := HashToScalar(DST(tag), msg).Bytes(), HashToSecret(DST(tag), msg).Reveal()
		if !bytes.Equal(public[:], n) || !bytes.Equal(secret[:], n) {
			t.Fatalf("scalar: tag %x, message %x", tag, msg)
		}
	})
}

// FuzzLibrariesComputeAlike compares multiplications and pairings, of points
// made from two seeds and of scalars of every size.
func FuzzLibrariesComputeAlike(f *testing.F) {
	for _, n := range []int64{-1, 0, 1} {
		f.Add([]byte("p"), []byte("q"), new(big.Int).Add(groupOrder, big.NewInt(n)).Bytes())
		f.Add([]byte(nil), []byte{1}, big.NewInt(n+1).Bytes())
	}
	f.Fuzz(func(t *testing.T, seed1, seed2, scalar []byte) {
		if len(scalar) > 64 {
			return
		}
		n := new(big.Int).Mod(new(big.Int).SetBytes(scalar), groupOrder).FillBytes(make([]byte, 32))
		s, err := ParseScalar(n)
		if err != nil {
			t.Fatal(err)
		}
		p, q := HashToG1("p", seed1), HashToG2("q", seed2)
		sp, sq := p.Mul(s), q.Mul(s)
		if !SecretFrom(s).MulG1(p).Equal(sp) || !SecretFrom(s).MulG2(q).Equal(sq) {
			t.Fatalf("multiples by %x differ", n)
		}
		if !SecretFrom(s).Mul(SecretFrom(s)).Publish().Equal(s.Mul(s)) {
			t.Fatalf("squares of %x differ", n)
		}
		if s.IsZero() {
			return // CIRCL reads no identity, and no key is zero
		}
		e := Pair(sp, q)
		if e.Bytes() != ConstantTimePair(sp, q).Bytes() || e.Bytes() != ConstantTimePair(p, sq).Bytes() || e.Bytes() != Pair(p, q).Exp(s).Bytes() {
			t.Fatalf("pairings of multiples by %x differ", n)
		}
	})
}
