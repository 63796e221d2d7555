package pairing

import (
	"testing"

	"pgregory.net/rapid"
)

// commitments draws a row of points, the identity and repetitions included.
func commitments(n int) *rapid.Generator[[]G1] {
	return rapid.Custom(func(t *rapid.T) []G1 {
		row := make([]G1, n)
		for k := range row {
			row[k] = MulGenerator(scalars().Draw(t, "coefficient"))
		}
		return row
	})
}

func TestRangeAndEachEqualEvaluate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, x := rapid.IntRange(0, 12).Draw(t, "n"), rapid.Uint8Range(1, 255).Draw(t, "x")
		width := rapid.IntRange(1, 8).Draw(t, "t")
		rows := rapid.SliceOfN(commitments(width), 1, 3).Draw(t, "rows")
		for i, g := range EvaluateRange(rows[0], n) {
			if !g.Equal(Evaluate(rows[0], uint8(i+1))) {
				t.Fatalf("value at %d of %d commitments differs", i+1, width)
			}
		}
		if len(EvaluateRange(rows[0], n)) != n {
			t.Fatal("values are missing")
		}
		for i, g := range EvaluateEach(rows, x) {
			if !g.Equal(Evaluate(rows[i], x)) {
				t.Fatalf("value of row %d at %d differs", i, x)
			}
		}
	})
}

func TestPolynomialsWithoutCoefficients(t *testing.T) {
	for _, g := range append(EvaluateRange(nil, 3), EvaluateEach([][]G1{nil}, 2)...) {
		if !g.IsIdentity() {
			t.Error("the empty polynomial has a value")
		}
	}
	if SumRows(nil) != nil || new(Lagrange).CombineRows(nil) != nil {
		t.Error("no rows have a sum")
	}
}

func TestRowsCombineLikeColumns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfNDistinct(rapid.Uint8Range(1, 40), 1, 6, rapid.ID).Draw(t, "x")
		rows := rapid.SliceOfN(commitments(3), len(x), len(x)).Draw(t, "rows")
		l, err := NewLagrange(x)
		if err != nil {
			t.Fatal(err)
		}
		sums, combined := SumRows(rows), l.CombineRows(rows)
		for k := range 3 {
			column, sum := make([]G1, len(rows)), G1{}
			for i := range rows {
				column[i] = rows[i][k]
				sum = sum.Add(rows[i][k])
			}
			if !sums[k].Equal(sum) || !combined[k].Equal(l.CombineG1(column)) {
				t.Fatalf("column %d differs", k)
			}
		}
	})
}

func TestMultiMulG2EqualsSumOfProducts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SliceOfN(scalars(), 0, 9).Draw(t, "scalars")
		p, want := make([]G2, len(s)), G2{}
		for i := range s {
			p[i] = GeneratorG2().Mul(NewScalar(uint64(i) + 2))
			want = want.Add(p[i].Mul(s[i]))
		}
		if !MultiMulG2(p, s).Equal(want) {
			t.Fatal("multi-scalar multiplication differs")
		}
	})
}
