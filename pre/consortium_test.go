package pre

import (
	"fmt"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// consortium is an authority of n members with threshold t, dealt by a trusted
// hand: these tests are about what comes after key generation.
type consortium struct {
	t         testing.TB
	chain     string
	secret    *pairing.Secret
	authority *Sharing
	shares    []*Share
	writer    Encapsulator
}

func newConsortium(t testing.TB, n, threshold int) *consortium {
	t.Helper()
	secret, err := pairing.GenerateSecret(nil)
	must(t, err)
	c := &consortium{t: t, chain: "north-sea", secret: secret}
	c.authority, c.shares = deal(t, secret, 1, n, threshold)
	return c
}

// deal shares a secret anew, as a refresh or reshare does.
func deal(t testing.TB, secret *pairing.Secret, generation uint32, n, threshold int) (*Sharing, []*Share) {
	t.Helper()
	polynomial := []*pairing.Secret{secret}
	for len(polynomial) < threshold {
		w, err := pairing.GenerateSecret(nil)
		must(t, err)
		polynomial = append(polynomial, w)
	}
	commitments, shares := make([]pairing.G1, threshold), make([]*Share, n)
	for k := range polynomial {
		commitments[k] = pairing.MulGenerator(polynomial[k].Publish())
	}
	for i := range shares {
		shares[i] = &Share{generation, uint8(i + 1), pairing.EvaluateSecret(polynomial, uint8(i+1))}
	}
	s, err := newSharing(generation, n, commitments)
	must(t, err)
	return s, shares
}

func (c *consortium) identity(name string) Identity {
	return Identity{Chain: c.chain, Name: name, Key: c.authority.Key()}
}

// extract asks the first t members for a key.
func (c *consortium) extract(id Identity, typ Type) *PrivateKey {
	c.t.Helper()
	var parts []*PartialKey
	for _, s := range c.shares[:c.authority.Threshold()] {
		p, err := s.extract(id, typ)
		must(c.t, err)
		parts = append(parts, p)
	}
	k, err := c.authority.combineKey(id, typ, parts)
	must(c.t, err)
	return k
}

// custody registers a custody key for the identity.
func (c *consortium) custody(name string) (Identity, *CustodyKey) {
	c.t.Helper()
	x, err := GenerateCustodyKey()
	must(c.t, err)
	proof, err := x.Prove(c.chain, name, 1)
	must(c.t, err)
	key, err := c.authority.Key().SelfCustody(c.chain, name, 1, proof)
	must(c.t, err)
	return Identity{Chain: c.chain, Name: name, Version: 1, Key: key}, x
}

// complete extracts the key of an identity in self-custody.
func (c *consortium) complete(id Identity, x *CustodyKey, typ Type) *PrivateKey {
	c.t.Helper()
	k, err := x.Complete(c.extract(id, typ), id)
	must(c.t, err)
	return k
}

// put writes a record and returns it verified, with its sealed index.
func (c *consortium) put(owner Identity, typ Type, index string) (*Record, []byte) {
	c.t.Helper()
	h := Header{Record: fmt.Sprintf("rec-%x", index), Owner: owner, Type: typ, Author: "lab@south"}
	e, sealed, err := c.writer.Encapsulate(h, []byte(index))
	must(c.t, err)
	r, err := e.Verify(h)
	must(c.t, err)
	return r, sealed
}

func (c *consortium) terms(id string) Terms {
	return Terms{ID: id, Generation: c.authority.Generation(), Members: uint8(c.authority.Members()), Threshold: uint8(c.authority.Threshold())}
}

// grant delegates a type and opens the delegation for its reader.
func (c *consortium) grant(owner Identity, typ Type, reader Identity) (*Delegation, []*Share) {
	c.t.Helper()
	terms := c.terms(fmt.Sprintf("grant-%s-%s", owner.Name, reader.Name))
	terms.Everything = typ == ""
	g, shares, err := c.extract(owner, typ).Grant(terms, reader)
	must(c.t, err)
	d, err := g.Open(c.extract(reader, inbox))
	must(c.t, err)
	return d, shares
}

// access makes a reader's access to records.
func (c *consortium) access(records ...*Record) (*Access, *TransportKey) {
	c.t.Helper()
	k, err := GenerateTransportKey()
	must(c.t, err)
	return &Access{ID: [32]byte{1}, Requester: k.Public(), Records: records}, k
}

// answers collects what the given shares answer.
func answers(t testing.TB, g *Grant, current *Sharing, a *Access, shares ...*Share) []*Answer {
	t.Helper()
	out := make([]*Answer, len(shares))
	for i, s := range shares {
		var err error
		out[i], err = s.Reencrypt(g, current, a)
		must(t, err)
	}
	return out
}

// subsets returns every subset of size k of 0 … n−1.
func subsets(n, k int) [][]int {
	if k == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for last := k - 1; last < n; last++ {
		for _, s := range subsets(last, k-1) {
			out = append(out, append(append([]int(nil), s...), last))
		}
	}
	return out
}

func pick[T any](from []T, which []int) []T {
	out := make([]T, len(which))
	for i, w := range which {
		out[i] = from[w]
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
