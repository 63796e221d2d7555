package pairing

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// scalars draws public scalars, the small and the nearly-order ones included.
func scalars() *rapid.Generator[Scalar] {
	return rapid.Custom(func(t *rapid.T) Scalar {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return NewScalar(rapid.Uint64Range(0, 20).Draw(t, "small"))
		case 1:
			return NewScalar(rapid.Uint64Range(0, 20).Draw(t, "negated")).Neg()
		default:
			b := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")
			return HashToScalar(DSTCapsuleScalar, b)
		}
	})
}

func TestPairingIsBilinear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := scalars().Draw(t, "a"), scalars().Draw(t, "b")
		p, q := MulGenerator(a), GeneratorG2().Mul(b)
		base := Pair(GeneratorG1(), GeneratorG2())
		if got, want := Pair(p, q), base.Exp(a.Mul(b)); !got.Equal(want) {
			t.Fatal("e(a·g1, b·g2) is not e(g1, g2)^ab")
		}
		if !PairingsEqual(p, q, GeneratorG1().Mul(b), GeneratorG2().Mul(a)) {
			t.Fatal("e(a·g1, b·g2) is not e(b·g1, a·g2)")
		}
	})
}

func TestExpEqualsTheLibrarys(t *testing.T) {
	base := Pair(GeneratorG1(), GeneratorG2())
	rapid.Check(t, func(t *rapid.T) {
		k := scalars().Draw(t, "k")
		want := base.e
		want.Exp(base.e, k.big())
		if got := base.Exp(k); !got.e.Equal(&want) {
			t.Fatal("Exp differs from gnark-crypto's plain exponentiation")
		}
	})
}

func TestGeneratorTableEqualsMul(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := scalars().Draw(t, "k")
		if !MulGenerator(k).Equal(GeneratorG1().Mul(k)) {
			t.Fatal("table multiplication differs")
		}
	})
}

func TestMultiMulEqualsSumOfProducts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SliceOfN(scalars(), 0, 20).Draw(t, "scalars")
		p, want := make([]G1, len(s)), G1{}
		for i := range s {
			p[i] = MulGenerator(NewScalar(uint64(i) + 2))
			want = want.Add(p[i].Mul(s[i]))
		}
		if !MultiMul(p, s).Equal(want) {
			t.Fatal("multi-scalar multiplication differs")
		}
	})
}

func TestJointMulEqualsTwoProducts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := scalars().Draw(t, "a"), scalars().Draw(t, "b")
		g, h := GeneratorG1(), HashToG1(DSTCapsuleBase, []byte("h"))
		if !JointMul(g, a, h, b).Equal(g.Mul(a).Add(h.Mul(b))) {
			t.Fatal("joint multiplication differs")
		}
	})
}

func TestPreparedPairingIsRepeatable(t *testing.T) {
	// gnark-crypto's FixedQ functions overwrite the lines they are given: used
	// directly, the second pairing of this test is wrong.
	q := HashToG2(DSTIdentity, []byte("q"))
	prepared, other := q.Prepare(), GeneratorG2().Prepare()
	for i := range 3 {
		p := MulGenerator(NewScalar(uint64(i) + 1))
		if !prepared.Pair(p).Equal(Pair(p, q)) {
			t.Fatalf("use %d of the prepared point gives a wrong pairing", i)
		}
		if !prepared.PairProduct(p, GeneratorG1(), other).Equal(PairProduct(p, q, GeneratorG1(), GeneratorG2())) {
			t.Fatalf("use %d of the prepared points gives a wrong product", i)
		}
	}
	if !prepared.Pair(G1{}).Equal(Pair(G1{}, q)) {
		t.Fatal("pairing with the identity differs")
	}
}

func TestLagrangeRecoversTheConstantTerm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfNDistinct(rapid.Uint8Range(1, 255), 1, 9, rapid.ID).Draw(t, "x")
		poly, commitments := make([]*Secret, len(x)), make([]G1, len(x))
		for k := range poly {
			poly[k] = SecretFrom(scalars().Draw(t, "coefficient"))
			commitments[k] = MulGenerator(poly[k].Publish())
		}
		l, err := NewLagrange(x)
		if err != nil {
			t.Fatal(err)
		}
		points, points2, values := make([]G1, len(x)), make([]G2, len(x)), make([]*Secret, len(x))
		for i := range x {
			values[i] = EvaluateSecret(poly, x[i])
			points[i] = Evaluate(commitments, x[i])
			points2[i] = GeneratorG2().Mul(values[i].Publish())
			if !points[i].Equal(MulGenerator(values[i].Publish())) {
				t.Fatal("commitment evaluation differs from the polynomial's")
			}
		}
		if !l.CombineSecrets(values).Equal(poly[0]) || !l.CombineG1(points).Equal(commitments[0]) ||
			!l.CombineG2(points2).Equal(GeneratorG2().Mul(poly[0].Publish())) {
			t.Fatal("interpolation at 0 differs from the constant term")
		}
	})
}

func TestLagrangeRefusesBadIndices(t *testing.T) {
	for _, x := range [][]uint8{nil, {}, {0}, {0, 1}, {1, 1}, {2, 3, 2}} {
		if _, err := NewLagrange(x); err != ErrIndex {
			t.Errorf("NewLagrange(%v) = %v, want ErrIndex", x, err)
		}
	}
}

func TestConstantTimeAgreesWithVariableTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := scalars().Draw(t, "k")
		s, p, q := SecretFrom(k), HashToG1(DSTCapsuleBase, []byte("p")), HashToG2(DSTIdentity, []byte("q"))
		if !s.MulG1(p).Equal(p.Mul(k)) || !s.MulG2(q).Equal(q.Mul(k)) || !GeneratorG1ConstantTime().Mul(s).Equal(MulGenerator(k)) {
			t.Fatal("CIRCL and gnark-crypto disagree")
		}
		if !s.Publish().Equal(k) {
			t.Fatal("secret and scalar hold different numbers")
		}
	})
}

func TestScalarArithmeticAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := scalars().Draw(t, "a"), scalars().Draw(t, "b")
		x, y := SecretFrom(a), SecretFrom(b)
		if !x.Add(y).Publish().Equal(a.Add(b)) || !x.Sub(y).Publish().Equal(a.Sub(b)) ||
			!x.Mul(y).Publish().Equal(a.Mul(b)) || !x.inverse().Publish().Equal(a.Inverse()) {
			t.Fatal("secret arithmetic differs from public arithmetic")
		}
	})
}

func TestHashToSecretEqualsHashToScalar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := rapid.SliceOf(rapid.Byte()).Draw(t, "msg")
		if !HashToSecret(DSTCapsuleNonce, msg).Publish().Equal(HashToScalar(DSTCapsuleNonce, msg)) {
			t.Fatal("the constant-time reduction differs from the plain one")
		}
	})
}

func TestWideReductionAtTheEdges(t *testing.T) {
	order, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	edges := []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(order, big.NewInt(1)), order,
		new(big.Int).Add(order, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 384), big.NewInt(1))}
	for _, v := range edges {
		var wide [48]byte
		v.FillBytes(wide[:])
		got := secretFromUniform(wide[:]).Reveal()
		if want := new(big.Int).Mod(v, order); new(big.Int).SetBytes(got[:]).Cmp(want) != 0 {
			t.Errorf("%x reduces to %x", v, got)
		}
	}
}

func TestGenerateSecretReportsItsReader(t *testing.T) {
	if _, err := GenerateSecret(strings.NewReader("too short")); err == nil {
		t.Error("a short source of randomness goes unnoticed")
	}
	zero := strings.NewReader(strings.Repeat("\x00", 48) + strings.Repeat("\x01", 48))
	if s, err := GenerateSecret(zero); err != nil || s.IsZero() {
		t.Errorf("GenerateSecret = %v, %v; want the second draw", s, err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := NewSecret(0xdeadbeef)
	text, err := json.Marshal(map[string]*Secret{"s": s})
	if err == nil {
		t.Error("a secret is marshalled, or lost in marshalling")
	}
	out := fmt.Sprintf("%v %+v %#v %s %x %d", s, s, s, s, s, s) + string(text)
	if strings.Contains(out, "beef") || strings.Contains(out, fmt.Sprint(0xdeadbeef)) || !strings.Contains(out, "redacted") {
		t.Errorf("a secret prints as %q", out)
	}
	s.Erase()
	if !s.IsZero() {
		t.Error("an erased secret is not zero")
	}
}
