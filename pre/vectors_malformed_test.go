package pre

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// encoded is a valid object and where its parts are.
type encoded struct {
	name   string
	bytes  []byte
	fields []field
}

// field is a point or a scalar in an object.
type field struct {
	name   string
	offset int
	size   int  // 48 and 96 for points, 32 for scalars
	secret bool // a scalar that may not be zero
}

// objects returns one valid object for every parser.
func (w *world) objects() []encoded {
	w.t.Helper()
	c, head := w.standard(3), len(identityName)+1
	owner := len(w.owner.Description()) - head
	p, err := w.shares[1].extract(w.owner, "lab")
	must(w.t, err)
	e, _ := w.put(w.header(w.owner, worldType, "object"), []byte("object"))
	grant, private := len(grantName)+1, len(privateKeyName)+1
	commitments := grant + owner + 4 + len("lab") + 4 + len(c.grant.id) + 4 + len(c.grant.recipient) + 32 + 6
	env, ans := len(envelopeName)+1, len(answerName)+1+7
	return []encoded{
		{"public-key", w.patient.Key.Bytes(), []field{{"p", 0, 48, false}}},
		{"identity", w.patient.Description(), []field{{"key", len(w.patient.Description()) - 48, 48, false}}},
		{"sharing", w.authority.Bytes(), []field{{"a0", 22, 48, false}, {"a2", 22 + 96, 48, false}}},
		{"share", w.shares[2].Bytes(), []field{{"w", 19, 32, true}}},
		{"partial-key", p.Bytes(), []field{{"d", 25, 96, false}}},
		{"private-key", w.key(w.owner, "lab").Bytes(), []field{{"key", private + owner - 48, 48, false}, {"d", private + owner + 4 + 3, 96, false}}},
		{"custody-key", w.custody[w.patient.Name].Bytes(), []field{{"x", 20, 32, true}}},
		{"envelope", e.Bytes(), []field{{"u", env, 48, false}, {"ubar", env + 48, 48, false}, {"r", env + 96, 48, false},
			{"rbar", env + 144, 48, false}, {"z", env + 192, 32, false}}},
		{"grant", c.grant.Bytes(), []field{{"key", grant + owner - 48, 48, false}, {"a0", commitments, 48, false}, {"a1", commitments + 48, 48, false}}},
		{"answer", w.answer(c.shares[0], c.grant, c.sharing, c.access).Bytes(), []field{{"r0", ans, 48, false}, {"r2", ans + 96, 48, false},
			{"c", ans + 144, 32, false}, {"z", ans + 176, 32, false}}},
		{"transport-key", w.transportKey("object").Bytes(), nil},
	}
}

// badPoint is an encoding that no parser may take for a point.
type badPoint struct{ name, kind, comment, hex string }

const fieldPrime = "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab"

// groupOrder returns q plus a small number, in 32 bytes.
func groupOrder(plus int64) []byte {
	q, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	return q.Add(q, big.NewInt(plus)).FillBytes(make([]byte, 32))
}

// Points whose order divides the cofactor: q times the first point of the curve
// when x counts up from 1 (x = 4 in G1, x = 2 in G2).
const (
	cofactorG1 = "accd40884cb1834492efbd0149a414535890f30477f9535103082ff438ca13d7f7e36e2f1d15dd8ca30397f12170831a"
	cofactorG2 = "ae35f87bd26f0218f1928af3bf7c223b73482e509ae40ca19d3128233c763810135c6cde0296930a95ad34a74ce3b6be" +
		"0d3925372c636a26a79c89a525225cfbb6c94743eff9bf0898698c82a693c42590ce206cdc937dec55e0cd57aade3602"
)

// badPoints returns the faults of points of a size, given a valid one.
func badPoints(size int, valid []byte) []badPoint {
	zeros := strings.Repeat("0", 2*size-2)
	high := "9" + fieldPrime[1:] + strings.Repeat("0", 2*(size-48))
	uncompressed := slices.Clone(valid)
	uncompressed[0] &^= 0x80
	flipped := slices.Clone(valid)
	flipped[0] |= 0x40
	list := []badPoint{
		{"identity", "identity", "the identity", "c0" + zeros},
		{"identity-signed", "encoding", "the identity with a sign", "e0" + zeros},
		{"identity-dirty", "encoding", "the identity with a coordinate", "c0" + zeros[:len(zeros)-1] + "1"},
		{"uncompressed", "encoding", "the compression bit is clear", hx(uncompressed)},
		{"infinity-bit", "encoding", "a point with the bit of the identity", hx(flipped)},
		{"modulus", "encoding", "a coordinate of p, a second encoding of 0", high},
		{"all-ones", "encoding", "coordinates far above p", "9f" + strings.Repeat("f", 2*size-2)},
		{"off-curve", "encoding", "no point of the curve has this coordinate", firstPoint(size, pairing.ErrEncoding)},
		{"subgroup", "subgroup", "on the curve, outside the subgroup", firstPoint(size, pairing.ErrSubgroup)},
	}
	if size == 48 {
		return append(list,
			badPoint{"cofactor", "subgroup", "a point whose order divides the cofactor", cofactorG1},
			badPoint{"order-3", "subgroup", "the point (0, 2), of order 3", "80" + zeros},
			badPoint{"order-3-negated", "subgroup", "the point (0, −2), of order 3", "a0" + zeros},
			badPoint{"order-3-added", "subgroup", "the right point plus (0, 2)", hx(plusOrder3(valid))})
	}
	return append(list,
		badPoint{"cofactor", "subgroup", "a point whose order divides the cofactor", cofactorG2},
		badPoint{"modulus-low", "encoding", "the lower coordinate is p", hx(valid[:48]) + fieldPrime})
}

// plusOrder3 returns the point plus (0, 2). Package pairing has no such points,
// so this is the chord through the two in math/big.
func plusOrder3(valid []byte) []byte {
	p, _ := new(big.Int).SetString(fieldPrime, 16)
	two, half := big.NewInt(2), new(big.Int).Rsh(p, 1)
	b := slices.Clone(valid)
	b[0] &= 0x1f
	x := new(big.Int).SetBytes(b)
	y := new(big.Int).Exp(x, big.NewInt(3), p)
	y.ModSqrt(y.Add(y, big.NewInt(4)), p)
	if (y.Cmp(half) > 0) != (valid[0]&0x20 != 0) {
		y.Sub(p, y)
	}
	slope := new(big.Int).Sub(y, two)
	slope.Mul(slope, new(big.Int).ModInverse(x, p))
	x3 := new(big.Int).Mul(slope, slope)
	x3.Sub(x3, x).Mod(x3, p)
	y3 := new(big.Int).Mul(slope, x3)
	y3.Add(y3, two).Neg(y3).Mod(y3, p)
	out := x3.FillBytes(make([]byte, 48))
	out[0] |= 0x80
	if y3.Cmp(half) > 0 {
		out[0] |= 0x20
	}
	return out
}

// firstPoint counts x up from 1 until the parser refuses it for the reason.
// Both implementations must then agree that it does.
func firstPoint(size int, reason error) string {
	b := make([]byte, size)
	b[0] = 0x80
	for x := byte(1); x != 0; x++ {
		b[size-1] = x
		var err error
		if size == 48 {
			_, err = pairing.ParseG1(b)
		} else {
			_, err = pairing.ParseG2(b)
		}
		if err == reason {
			return hx(b)
		}
	}
	return ""
}

// refuseObjects adds the faults of every parser.
func (w *world) refuseObjects() {
	for _, o := range w.objects() {
		refuse := func(name, kind, comment string, b []byte) {
			w.add(o.name+"-"+name, kind, "parse-"+o.name, comment, object{"bytes": hx(b)})
		}
		if i := bytes.IndexByte(o.bytes, '\n'); bytes.HasPrefix(o.bytes, []byte("ward/")) {
			version := slices.Clone(o.bytes)
			version[i-1] = '2'
			refuse("version", "name", "another version", version)
			refuse("no-newline", "name", "no newline after the name", slices.Concat(o.bytes[:i], o.bytes[i+1:]))
			refuse("name-only", "length", "nothing after the name", o.bytes[:i+1])
			refuse("empty", "name", "nothing at all", nil)
			refuse("trailing", "trailing", "a byte too many", append(slices.Clone(o.bytes), 0))
		} else {
			refuse("trailing", "length", "a byte too many", append(slices.Clone(o.bytes), 0))
		}
		refuse("cut", "length", "a byte too few", o.bytes[:len(o.bytes)-1])
		for i, f := range o.fields {
			w.refuseField(o, f, i == 0)
		}
	}
	w.refuseValues()
}

// refuseField adds the faults of one point or scalar: all of them for the first
// of an object, and those that matter most for the others.
func (w *world) refuseField(o encoded, f field, all bool) {
	w.t.Helper()
	refuse := func(name, kind, comment string, value []byte) {
		b := slices.Concat(o.bytes[:f.offset], value, o.bytes[f.offset+f.size:])
		w.add(o.name+"-"+f.name+"-"+name, kind, "parse-"+o.name, comment, object{"bytes": hx(b)})
	}
	if f.size == pairing.ScalarSize {
		refuse("order", "range", "the scalar q", groupOrder(0))
		refuse("all-ones", "range", "a scalar far above q", bytes.Repeat([]byte{0xff}, 32))
		if f.secret {
			refuse("zero", "zero", "the scalar 0", make([]byte, 32))
		}
		return
	}
	for _, p := range badPoints(f.size, o.bytes[f.offset:f.offset+f.size]) {
		if all || p.name == "off-curve" || p.name == "subgroup" || p.name == "identity" || p.name == "order-3" || p.name == "order-3-added" {
			refuse(p.name, p.kind, p.comment, unhex(p.hex))
		}
	}
}

// refuseValues adds objects whose parts are well-formed and which cannot be.
func (w *world) refuseValues() {
	refuse := func(name, kind, parser, comment string, b []byte) {
		w.add(name, kind, "parse-"+parser, comment, object{"bytes": hx(b)})
	}
	sharing := func(n, t uint8, commitments []pairing.G1) []byte {
		o := wire.NewWriter(sharingName)
		o.Uint32(1)
		o.Uint8(n)
		o.Uint8(t)
		for _, c := range commitments {
			pairing.WriteG1(o, c)
		}
		return o.Sum()
	}
	a := w.authority.commitments
	refuse("sharing-threshold-zero", "field", "sharing", "t = 0", sharing(5, 0, nil))
	refuse("sharing-threshold-over-members", "field", "sharing", "t = 3 of n = 2", sharing(2, 3, a))
	refuse("sharing-no-members", "field", "sharing", "n = 0", sharing(0, 1, a[:1]))
	most, _ := w.deal("64", w.randomSecret("64"), 1<<32-1, 64, 2)
	refuse("sharing-of-65", "field", "sharing", "n = 65", sharing(65, 2, most.commitments))
	refuse("sharing-of-255", "field", "sharing", "n = 255", sharing(255, 2, most.commitments))
	// w(x) = (x − 3)·c has its root at member 3: his share would be zero.
	c := w.randomSecret("root at member 3").Publish()
	root := []pairing.G1{pairing.MulGenerator(c.Mul(pairing.NewScalar(3)).Neg()), pairing.MulGenerator(c)}
	refuse("sharing-zero-share", "zero", "sharing", "member 3 of 5 would have the share zero", sharing(5, 2, root))
	w.add("sharing-root-outside", "valid", "parse-sharing", "the same polynomial among two members harms nobody", object{"bytes": hx(sharing(2, 2, root))})

	share := w.shares[0].Bytes()
	share[len(shareName)+1+4] = 0
	refuse("share-index-zero", "field", "share", "member 0", share)
	p, err := w.shares[1].extract(w.owner, "lab")
	must(w.t, err)
	p.index = 0
	refuse("partial-key-index-zero", "field", "partial-key", "member 0", p.Bytes())
	refuse("transport-key-zero", "zero", "transport-key", "32 zero bytes", (&TransportKey{}).Bytes())

	c3 := w.standard(1)
	ans := w.answer(c3.shares[0], c3.grant, c3.sharing, c3.access)
	b := ans.Bytes()
	b[len(answerName)+1+4] = 0
	refuse("answer-index-zero", "field", "answer", "member 0", b)
	none := *ans
	none.points = nil
	refuse("answer-no-records", "limit", "answer", "an answer to nothing", none.Bytes())
	many := *ans
	many.points = slices.Repeat(ans.points, maxRecords+1)
	refuse("answer-too-many-records", "limit", "answer", "1,025 records", many.Bytes()[:len(answerName)+1+7+48])

	e, _ := w.put(w.header(w.owner, worldType, "object"), nil)
	e.wraps = nil
	refuse("envelope-no-levels", "limit", "envelope", "no wrap at all", e.Bytes())
	e.wraps = make([][wrapSize]byte, maxLevels+1)
	refuse("envelope-too-many-levels", "limit", "envelope", "ten wraps", e.Bytes())
	w.refuseTexts(refuse)
}

// refuseTexts adds names and paths that cannot be, inside objects.
func (w *world) refuseTexts(refuse func(name, kind, parser, comment string, b []byte)) {
	for _, c := range []struct {
		name, kind string
		change     func(k *PrivateKey)
	}{
		{"empty-chain", "length", func(k *PrivateKey) { k.id.Chain = "" }},
		{"empty-name", "length", func(k *PrivateKey) { k.id.Name = "" }},
		{"long-name", "limit", func(k *PrivateKey) { k.id.Name = strings.Repeat("x", 129) }},
		{"space-in-name", "field", func(k *PrivateKey) { k.id.Name = "p 7f3a" }},
		{"delete-in-chain", "field", func(k *PrivateKey) { k.id.Chain = "north\x7f" }},
		{"unicode-name", "field", func(k *PrivateKey) { k.id.Name = "zürich" }},
		{"nine-components", "limit", func(k *PrivateKey) { k.t = "a/b/c/d/e/f/g/h/i" }},
		{"empty-component", "field", func(k *PrivateKey) { k.t = "lab//cbc" }},
		{"hash-type", "field", func(k *PrivateKey) { k.t = "#outbox" }},
		{"over-long-type", "limit", func(k *PrivateKey) { k.t = Type(strings.Repeat("a", 321)) }},
	} {
		k := w.key(w.owner, "lab")
		c.change(k)
		refuse("private-key-"+c.name, c.kind, "private-key", strings.ReplaceAll(c.name, "-", " "), k.Bytes())
	}
	for _, c := range []struct {
		name, kind string
		change     func(id *Identity)
	}{
		{"empty-chain", "length", func(id *Identity) { id.Chain = "" }},
		{"empty-name", "length", func(id *Identity) { id.Name = "" }},
		{"long-chain", "limit", func(id *Identity) { id.Chain = strings.Repeat("x", 129) }},
		{"long-name", "limit", func(id *Identity) { id.Name = strings.Repeat("x", 129) }},
		{"space-in-name", "field", func(id *Identity) { id.Name = "p 7f3a" }},
		{"delete-in-chain", "field", func(id *Identity) { id.Chain = "north\x7f" }},
		{"nul-in-name", "field", func(id *Identity) { id.Name = "p-7f3a\x00" }},
		{"unicode-name", "field", func(id *Identity) { id.Name = "zürich" }},
	} {
		id := w.owner
		c.change(&id)
		refuse("identity-"+c.name, c.kind, "identity", strings.ReplaceAll(c.name, "-", " "), id.Description())
	}
	refuse("identity-without-name", "name", "identity", "the encoding inside other objects", w.owner.Description()[len(identityName)+1:])
	for _, c := range []struct {
		name, kind string
		change     func(g *Grant)
	}{
		{"inbox", "field", func(g *Grant) { g.t = inbox }},
		{"empty-component", "field", func(g *Grant) { g.t = "/" }},
		{"empty-id", "length", func(g *Grant) { g.id = "" }},
		{"long-id", "limit", func(g *Grant) { g.id = strings.Repeat("x", 129) }},
		{"newline-in-id", "field", func(g *Grant) { g.id = "a\nb" }},
		{"empty-owner", "length", func(g *Grant) { g.owner.Name = "" }},
	} {
		g, _ := w.grant(w.owner, "lab", w.reader, "texts")
		c.change(g)
		refuse("grant-"+c.name, c.kind, "grant", strings.ReplaceAll(c.name, "-", " "), g.Bytes())
	}
	g, _ := w.grant(w.owner, "lab", w.reader, "limits")
	// The lengths alone are over the limit: nothing of that size follows.
	at := len(grantName) + 1 + len(g.owner.Description()) - len(identityName) - 1 + 4 + len(g.t) + 4 + len(g.id)
	for name, offset := range map[string]int{"description-over-limit": at, "sealed-over-limit": len(g.Bytes()) - len(g.sealed) - 4} {
		b := g.Bytes()
		copy(b[offset:], []byte{0, 1, 0, 1})
		refuse("grant-"+name, "limit", "grant", fmt.Sprintf("a length of %d", 1<<16+1), b)
	}
	for name, b := range map[string]byte{"length-four-gigabytes": 0xff, "length-two-gigabytes": 0x7f} {
		k := w.key(w.owner, "lab").Bytes()
		k[len(privateKeyName)+1] = b
		refuse("private-key-"+name, "limit", "private-key", "the chain id claims to be as long", k)
		id := w.owner.Description()
		id[len(identityName)+1] = b
		refuse("identity-"+name, "limit", "identity", "the chain id claims to be as long", id)
	}
}
