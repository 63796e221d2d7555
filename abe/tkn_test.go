package abe

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"
	"github.com/cloudflare/circl/ecc/bls12381"
	"golang.org/x/crypto/blake2b"
)

// A second implementation of tkn20's decryption, from SPEC.md section 7. It takes
// any set of leaves, with a key for each, whether they satisfy the policy or
// not: what an attacker would do, who is not held back by CIRCL's own look at
// the policy.

type rawKey struct {
	value  map[string]*bls12381.Scalar
	wild   map[string]bool
	k1     []*bls12381.G2
	k2     []*bls12381.G1
	k3     map[string][]*bls12381.G1
	k3wild map[string][]*bls12381.G1
}

type rawLeaf struct {
	label, text string
	value       *bls12381.Scalar
	positive    bool
	share       int // which of c2
}

type rawCiphertext struct {
	id, mac, tag, envelope []byte
	leaves                 []rawLeaf // the last is the wildcard's
	c1                     []*bls12381.G2
	c2                     [][]*bls12381.G2
	c3, c3neg              [][]*bls12381.G1

	factors map[use]*bls12381.Gt // remembered by combine
	k2s     map[*rawKey]*bls12381.Gt
}

// rawReader reads little-endian fields. It trusts its input.
type rawReader struct{ b []byte }

func (r *rawReader) take(n int) []byte { b := r.b[:n]; r.b = r.b[n:]; return b }
func (r *rawReader) u16() int          { return int(binary.LittleEndian.Uint16(r.take(2))) }
func (r *rawReader) field() []byte     { return r.take(r.u16()) }
func (r *rawReader) long() []byte      { return r.take(int(binary.LittleEndian.Uint32(r.take(4)))) }

func rawG1(t testing.TB, b []byte) (list []*bls12381.G1) {
	t.Helper()
	for b = b[4:]; len(b) > 0; b = b[96:] {
		p := new(bls12381.G1)
		must(t, p.SetBytes(b[:96]))
		list = append(list, p)
	}
	return list
}

func rawG2(t testing.TB, b []byte) (list []*bls12381.G2) {
	t.Helper()
	for b = b[4:]; len(b) > 0; b = b[192:] {
		p := new(bls12381.G2)
		must(t, p.SetBytes(b[:192]))
		list = append(list, p)
	}
	return list
}

func rawScalar(b []byte) *bls12381.Scalar { s := new(bls12381.Scalar); s.SetBytes(b); return s }

func parseRawKey(t testing.TB, key *tkn20.AttributeKey) *rawKey {
	t.Helper()
	b, err := key.MarshalBinary()
	must(t, err)
	k := &rawKey{map[string]*bls12381.Scalar{}, map[string]bool{}, nil, nil, map[string][]*bls12381.G1{}, map[string][]*bls12381.G1{}}
	r := &rawReader{b}
	list := &rawReader{r.field()}
	for range list.u16() {
		label := string(list.field())
		k.wild[label] = list.take(1)[0] == 1
		k.value[label] = rawScalar(list.take(32))
	}
	k.k1, k.k2 = rawG2(t, r.field()), rawG1(t, r.field())
	for _, m := range []map[string][]*bls12381.G1{k.k3, k.k3wild} {
		for range r.u16() {
			label := string(r.field())
			m[label] = rawG1(t, r.field())
		}
	}
	return k
}

func parseRawCiphertext(t testing.TB, b []byte) *rawCiphertext {
	t.Helper()
	r := &rawReader{b}
	r.take(len("v1.3.8"))
	c := &rawCiphertext{id: r.field(), mac: r.long(), tag: r.field()}
	m := &rawReader{c.mac}
	h := &rawReader{m.long()}
	c.envelope = m.long()
	p := &rawReader{h.field()}
	p.field() // the gates
	seen := map[string]int{}
	add := func(l rawLeaf) {
		l.share = seen[l.label]
		seen[l.label]++
		c.leaves = append(c.leaves, l)
	}
	for range p.u16() {
		w := &rawReader{p.field()}
		label, text, value := string(w.field()), string(w.field()), rawScalar(w.field())
		add(rawLeaf{label: label, text: text, value: value, positive: w.take(1)[0] == 1})
	}
	add(rawLeaf{label: wildcardLabel, value: rawScalar(c.id), positive: true})
	c.c1 = rawG2(t, h.field())
	for range h.u16() {
		c.c2 = append(c.c2, rawG2(t, h.field()))
	}
	n := h.u16()
	for range n {
		c.c3 = append(c.c3, rawG1(t, h.field()))
	}
	for range n {
		if f := h.field(); len(f) > 0 {
			c.c3neg = append(c.c3neg, rawG1(t, f))
		} else {
			c.c3neg = append(c.c3neg, nil)
		}
	}
	return c
}

// use is one leaf opened with one key.
type use struct {
	leaf int
	key  *rawKey
}

var errNotOpened = errors.New("does not open")

// combine runs the decryption equation over the leaves. k2 is whose k2 is taken.
// It remembers the factors: attacks try many combinations of a few.
func (c *rawCiphertext) combine(k2 *rawKey, uses ...use) (*bls12381.Gt, error) {
	if c.factors == nil {
		c.factors, c.k2s = make(map[use]*bls12381.Gt), make(map[*rawKey]*bls12381.Gt)
	}
	if c.k2s[k2] == nil {
		var p pairs
		p.add(k2.k2, c.c1, 1)
		c.k2s[k2] = p.product()
	}
	all := new(bls12381.Gt)
	*all = *c.k2s[k2]
	for _, u := range uses {
		if c.factors[u] == nil {
			if c.factors[u] = c.factor(u); c.factors[u] == nil {
				return nil, errNotOpened
			}
		}
		all.Mul(all, c.factors[u])
	}
	return all, nil
}

// factor is what one leaf contributes, or nil if the key does not have its label.
func (c *rawCiphertext) factor(u use) *bls12381.Gt {
	l := c.leaves[u.leaf]
	k3 := u.key.k3[l.label]
	if k3 == nil {
		return nil
	}
	p1, p2 := c.c3[u.leaf], k3
	switch {
	case u.key.wild[l.label]:
		p2 = sum(times(l.value, k3), u.key.k3wild[l.label])
	case !l.positive:
		y := u.key.value[l.label]
		d := new(bls12381.Scalar)
		d.Sub(l.value, y)
		d.Inv(d)
		p1 = times(d, sum(times(y, p1), c.c3neg[u.leaf]))
		p2 = times(d, k3)
	}
	var p pairs
	p.add(p2, c.c2[l.share], 1)
	p.add(p1, u.key.k1, -1)
	return p.product()
}

// pairs are the factors of a product of pairings.
type pairs struct {
	as    []*bls12381.G1
	bs    []*bls12381.G2
	signs []int
}

func (p *pairs) add(a []*bls12381.G1, b []*bls12381.G2, sign int) {
	for i := range a {
		p.as, p.bs, p.signs = append(p.as, a[i]), append(p.bs, b[i]), append(p.signs, sign)
	}
}

func (p *pairs) product() *bls12381.Gt { return bls12381.ProdPairFrac(p.as, p.bs, p.signs) }

func times(k *bls12381.Scalar, list []*bls12381.G1) (out []*bls12381.G1) {
	for _, p := range list {
		q := new(bls12381.G1)
		q.ScalarMult(k, p)
		out = append(out, q)
	}
	return out
}

func sum(a, b []*bls12381.G1) (out []*bls12381.G1) {
	for i := range a {
		q := new(bls12381.G1)
		q.Add(a[i], b[i])
		out = append(out, q)
	}
	return out
}

// open recovers the plaintext with these leaves.
func (c *rawCiphertext) open(k2 *rawKey, uses ...use) ([]byte, error) {
	gt, err := c.combine(k2, uses...)
	if err != nil {
		return nil, err
	}
	b, err := gt.MarshalBinary()
	if err != nil {
		return nil, err
	}
	key := blake2b.Sum256(b)
	stream := make([]byte, len(c.envelope))
	xof, err := blake2b.NewXOF(blake2b.OutputLengthUnknown, key[:])
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(xof, stream); err != nil {
		return nil, err
	}
	subtle.XORBytes(stream, stream, c.envelope)
	seed := stream[:72]
	id := blake2b.Sum256(append([]byte("id computation hash"), seed...))
	if !bytes.Equal(id[:], c.id) || !bytes.Equal(rawTag(seed, c.mac), c.tag) {
		return nil, errNotOpened
	}
	return stream[72:], nil
}

// rawTag authenticates a ciphertext.
func rawTag(seed, data []byte) []byte {
	key := blake2b.Sum256(append([]byte("key computation hash"), seed...))
	mac, err := blake2b.New256(key[:])
	if err != nil {
		panic(err)
	}
	mac.Write(data)
	return mac.Sum(nil)
}

// attackAll tries every set of leaves for which the keys have the label, each
// leaf with each key, and returns the sets that open.
func (c *rawCiphertext) attackAll(keys ...*rawKey) (opened [][]use) {
	var options []use
	for i, l := range c.leaves {
		for _, k := range keys {
			if k.k3[l.label] != nil {
				options = append(options, use{i, k})
			}
		}
	}
	for set := 1; set < 1<<len(options); set++ {
		var uses []use
		for i, u := range options {
			if set>>i&1 == 1 {
				uses = append(uses, u)
			}
		}
		for _, k2 := range keys {
			if _, err := c.open(k2, uses...); err == nil {
				opened = append(opened, uses)
			}
		}
	}
	return opened
}
