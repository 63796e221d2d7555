package pairing

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"go.dedis.ch/kyber/v3"
	"go.dedis.ch/kyber/v3/share"
)

// stream is a deterministic source of randomness for kyber.
func stream(t *testing.T, seed byte) cipher.Stream {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{seed}, 16))
	if err != nil {
		t.Fatal(err)
	}
	return cipher.NewCTR(block, make([]byte, 16))
}

func TestKyberShareRunsOnTheAdapter(t *testing.T) {
	g := KyberG1()
	for _, size := range []struct{ n, t int }{{3, 2}, {5, 3}, {7, 4}} {
		poly := share.NewPriPoly(g, size.t, nil, stream(t, 1))
		public := poly.Commit(nil)
		shares := poly.Shares(size.n)
		for _, s := range shares {
			if !public.Check(s) {
				t.Errorf("share %d does not match its commitment", s.I)
			}
		}
		secret, err := share.RecoverSecret(g, shares[size.n-size.t:], size.t, size.n)
		if err != nil || !secret.Equal(poly.Secret()) {
			t.Errorf("recovered another secret: %v", err)
		}
		commit, err := share.RecoverCommit(g, public.Shares(size.n), size.t, size.n)
		if err != nil || !commit.Equal(g.Point().Mul(secret, nil)) {
			t.Errorf("recovered another commitment: %v", err)
		}
		again, err := share.RecoverPriPoly(g, shares, size.t, size.n)
		if err != nil || !again.Equal(poly) {
			t.Errorf("recovered another polynomial: %v", err)
		}
	}
}

// TestKyberEvaluatesAtIndexPlusOne pins the difference between kyber's indices,
// from 0, and ours, from 1.
func TestKyberEvaluatesAtIndexPlusOne(t *testing.T) {
	g := KyberG1()
	poly := share.NewPriPoly(g, 3, nil, stream(t, 2))
	var ours []*Secret
	for _, c := range poly.Coefficients() {
		ours = append(ours, scalarOf(c))
	}
	var commitments []G1
	for _, c := range ours {
		commitments = append(commitments, MulGenerator(c.Publish()))
	}
	_, public := poly.Commit(nil).Info()
	for i := range 5 {
		if !scalarOf(poly.Eval(i).V).Equal(EvaluateSecret(ours, uint8(i+1))) {
			t.Errorf("kyber's share %d is not the value at %d", i, i+1)
		}
	}
	for k, p := range public {
		b, _ := p.MarshalBinary()
		if c := commitments[k].Bytes(); !bytes.Equal(b, c[:]) {
			t.Errorf("commitment %d differs", k)
		}
	}
	// The figure itself, so that neither side moves: f(z) = 5 + 7z + 11z².
	coefficients := []kyber.Scalar{g.Scalar().SetInt64(5), g.Scalar().SetInt64(7), g.Scalar().SetInt64(11)}
	if v := share.CoefficientsToPriPoly(g, coefficients).Eval(1).V; !v.Equal(g.Scalar().SetInt64(5 + 14 + 44)) {
		t.Error("kyber's share 1 of 5 + 7z + 11z² is not 63")
	}
}

func TestKyberScalarsObeyTheFieldLaws(t *testing.T) {
	g := KyberG1()
	s := stream(t, 3)
	for range 50 {
		a, b := g.Scalar().Pick(s), g.Scalar().Pick(s)
		if !g.Scalar().Div(a, b).Equal(g.Scalar().Mul(a, g.Scalar().Inv(b))) {
			t.Fatal("a/b is not a·(1/b)")
		}
		if !g.Scalar().Mul(b, g.Scalar().Inv(b)).Equal(g.Scalar().One()) || !g.Scalar().Add(a, g.Scalar().Neg(a)).Equal(g.Scalar().Zero()) {
			t.Fatal("inverses are not inverse")
		}
		if !g.Scalar().Sub(a, b).Equal(g.Scalar().Add(a, g.Scalar().Neg(b))) {
			t.Fatal("a − b is not a + (−b)")
		}
		p, q := g.Point().Mul(a, nil), g.Point().Mul(b, nil)
		if !g.Point().Add(p, q).Equal(g.Point().Mul(g.Scalar().Add(a, b), nil)) || !g.Point().Sub(p, q).Equal(g.Point().Add(p, g.Point().Neg(q))) {
			t.Fatal("points do not add as scalars do")
		}
	}
	if !g.Scalar().SetInt64(-3).Equal(g.Scalar().Neg(g.Scalar().SetInt64(3))) {
		t.Error("negative integers")
	}
	if !g.Point().Null().Equal(g.Point().Mul(g.Scalar().Zero(), nil)) || !g.Point().Base().Equal(g.Point().Mul(g.Scalar().One(), nil)) {
		t.Error("identity or generator")
	}
	aliased := g.Scalar().SetInt64(6)
	if !aliased.Mul(aliased, aliased).Equal(g.Scalar().SetInt64(36)) {
		t.Error("a receiver that is also an operand")
	}
	clone := aliased.Clone()
	aliased.Zero()
	if clone.Equal(aliased) {
		t.Error("a clone follows its original")
	}
}

func TestKyberEncodings(t *testing.T) {
	g := KyberG1()
	p, s := g.Point().Pick(stream(t, 4)), g.Scalar().Pick(stream(t, 5))
	for _, m := range []interface {
		kyber.Marshaling
		fmt.Stringer
	}{p, s} {
		var buf bytes.Buffer
		if n, err := m.MarshalTo(&buf); err != nil || n != m.MarshalSize() || buf.Len() != n {
			t.Fatalf("MarshalTo = %d, %v", n, err)
		}
		b := bytes.Clone(buf.Bytes())
		if n, err := m.UnmarshalFrom(&buf); err != nil || n != m.MarshalSize() {
			t.Fatalf("UnmarshalFrom = %d, %v", n, err)
		}
		if back, _ := m.MarshalBinary(); !bytes.Equal(back, b) {
			t.Error("the encoding changes on the way")
		}
		for _, bad := range [][]byte{nil, b[1:], append(bytes.Clone(b), 0), bytes.Repeat([]byte{0xff}, len(b))} {
			if m.UnmarshalBinary(bad) == nil {
				t.Errorf("%x is taken", bad)
			}
		}
		if _, err := m.UnmarshalFrom(bytes.NewReader(b[1:])); err == nil {
			t.Error("a short reader goes unnoticed")
		}
	}
	if err := g.Point().UnmarshalBinary(append([]byte{0xc0}, make([]byte, 47)...)); !errors.Is(err, ErrIdentity) {
		t.Errorf("the identity: %v", err)
	}
	if s.String() != "redacted" {
		t.Error("a scalar prints")
	}
	if n := g.Point().EmbedLen(); n != 0 {
		t.Errorf("a point holds %d bytes", n)
	}
	if _, err := g.Point().Embed([]byte("data"), stream(t, 6)).Data(); err == nil {
		t.Error("a point gives data back")
	}
	var seed [40]byte
	rand.Read(seed[:])
	var wide [48]byte
	copy(wide[8:], seed[:])
	if !scalarOf(g.Scalar().SetBytes(seed[:])).Equal(secretFromUniform(wide[:])) {
		t.Error("SetBytes does not reduce")
	}
}
