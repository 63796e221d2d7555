package pre

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"io"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/internal/pairing"
)

// world is the consortium in which the vectors play. All its randomness comes
// from labelled streams, so that a new vector changes no old one.
type world struct {
	t         testing.TB
	vectors   []*vector
	secret    *pairing.Secret
	authority *Sharing
	shares    []*Share
	owner     Identity // without self-custody
	reader    Identity // without self-custody
	patient   Identity // in self-custody
	doctor    Identity // in self-custody
	custody   map[string]*CustodyKey
}

const worldType Type = "lab/hematology/cbc"

// stream returns the randomness that belongs to a label.
func stream(label string) io.Reader {
	h := sha3.NewSHAKE256()
	h.Write([]byte("ward test vectors, version 1: " + label))
	return h
}

func randomBytes(label string, n int) []byte {
	b := make([]byte, n)
	stream(label).Read(b) // a SHAKE gives what it is asked for
	return b
}

func (w *world) randomSecret(label string) *pairing.Secret {
	w.t.Helper()
	s, err := pairing.GenerateSecret(stream(label))
	must(w.t, err)
	return s
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, custody: map[string]*CustodyKey{}}
	w.secret = w.randomSecret("authority")
	w.authority, w.shares = w.deal("authority, generation 1", w.secret, 1, 5, 3)
	w.owner = Identity{Chain: "north-sea", Name: "p-7f3a@north", Epoch: 2, Key: w.authority.Key()}
	w.reader = Identity{Chain: "north-sea", Name: "dr.lee@south", Key: w.authority.Key()}
	w.patient = w.selfCustody("p-9c01@west", 1, 7)
	w.doctor = w.selfCustody("dr.kim@east", 3, 0)
	return w
}

// deal shares a secret with polynomial coefficients from the label's stream.
func (w *world) deal(label string, secret *pairing.Secret, generation uint32, n, threshold int) (*Sharing, []*Share) {
	w.t.Helper()
	polynomial, random := []*pairing.Secret{secret}, stream(label)
	for len(polynomial) < threshold {
		c, err := pairing.GenerateSecret(random)
		must(w.t, err)
		polynomial = append(polynomial, c)
	}
	s, err := newSharing(generation, n, commit(polynomial))
	must(w.t, err)
	var shares []*Share
	for i := 1; i <= n; i++ {
		shares = append(shares, &Share{generation, uint8(i), pairing.EvaluateSecret(polynomial, uint8(i))})
	}
	return s, shares
}

func commit(polynomial []*pairing.Secret) []pairing.G1 {
	commitments := make([]pairing.G1, len(polynomial))
	for k, c := range polynomial {
		commitments[k] = pairing.MulGenerator(c.Publish())
	}
	return commitments
}

func (w *world) selfCustody(name string, version uint32, epoch uint64) Identity {
	w.t.Helper()
	x := &CustodyKey{w.randomSecret("custody key of " + name)}
	w.custody[name] = x
	key := PublicKey{w.authority.Key().g.Add(pairing.MulGenerator(x.x.Publish()))}
	return Identity{Chain: "north-sea", Name: name, Version: version, Epoch: epoch, Key: key}
}

// key returns the private key of an identity.
func (w *world) key(id Identity, t Type) *PrivateKey {
	w.t.Helper()
	s := w.secret
	if x, ok := w.custody[id.Name]; ok && id.Version > 0 {
		s = s.Add(x.x)
	}
	k := &PrivateKey{id, t, s.MulG2(id.typed(t).point())}
	must(w.t, k.check())
	return k
}

func (w *world) header(owner Identity, t Type, record string) Header {
	return Header{Record: record, Owner: owner, Type: t, Author: "lab@south"}
}

// put writes a record with the randomness of its id.
func (w *world) put(h Header, index []byte) (*Envelope, []byte) {
	w.t.Helper()
	var author Encapsulator
	e, sealed, err := author.encapsulate(stream("record "+h.Record), h, index)
	must(w.t, err)
	return e, sealed
}

// record is put, for a record whose index does not matter.
func (w *world) record(owner Identity, t Type, id string) *Record {
	w.t.Helper()
	h := w.header(owner, t, id)
	e, _ := w.put(h, []byte("index of "+id))
	r, err := e.Verify(h)
	must(w.t, err)
	return r
}

// recordKey returns the key of what put writes.
func (w *world) recordKey(h Header, index []byte) []byte {
	w.t.Helper()
	dek, err := recordKey(randomBytes("record "+h.Record, 32), h.context(), index)
	must(w.t, err)
	return dek
}

// forge makes a record as an author does who deviates: change may alter the
// envelope that put writes before it is proven with r.
func (w *world) forge(h Header, index []byte, r pairing.Scalar, change func(e *Envelope)) *Envelope {
	e, _ := w.put(h, index)
	e.u = pairing.MulGenerator(r)
	change(e)
	label := e.label(h.context())
	e.prove(r, capsuleNonce(r, randomBytes("forger", 32), label), label)
	return e
}

func (w *world) terms(id string) Terms {
	return Terms{ID: id, Conditions: [32]byte(randomBytes("conditions of "+id, 32)), Generation: 1, Members: 5, Threshold: 3}
}

// grant makes a grant with the randomness of its id.
func (w *world) grant(owner Identity, t Type, to Recipient, id string) (*Grant, []*Share) {
	w.t.Helper()
	terms := w.terms(id)
	terms.Everything = t == ""
	g, shares, err := w.key(owner, t).grant(stream("grant "+id), terms, to)
	must(w.t, err)
	return g, shares
}

// half returns the reader's half of a grant.
func (w *world) half(g *Grant, reader Identity) []byte {
	w.t.Helper()
	half, err := w.key(reader, inbox).openHalf(g.sealed, g.context)
	must(w.t, err)
	return half
}

func (w *world) transportKey(label string) *TransportKey {
	w.t.Helper()
	return &TransportKey{[32]byte(randomBytes("transport key "+label, 32))}
}

func (w *world) access(label string, records ...*Record) *Access {
	return &Access{ID: [32]byte(randomBytes("access "+label, 32)), Requester: w.transportKey(label).Public(), Records: records}
}

// answer answers as the exported methods do, with fixed randomness. A nil
// grant asks for a decapsulation.
func (w *world) answer(s *Share, g *Grant, current *Sharing, a *Access) *Answer {
	w.t.Helper()
	st, err := w.statement(g, current, a)
	must(w.t, err)
	ans, err := s.answer(stream("answer"), st, current, a)
	must(w.t, err)
	return ans
}

func (w *world) statement(g *Grant, current *Sharing, a *Access) (statement, error) {
	if g == nil {
		return decapsulationStatement(current, a)
	}
	return grantStatement(g, current, a)
}

func (w *world) answers(shares []*Share, g *Grant, current *Sharing, a *Access) (list []*Answer) {
	w.t.Helper()
	for _, s := range shares {
		list = append(list, w.answer(s, g, current, a))
	}
	return list
}

// sealFixed is RFC 9180 in base mode with a given ephemeral key, which the
// standard library does not offer.
func (w *world) sealFixed(label string, to []byte, tag pairing.DST, data, plaintext []byte) []byte {
	w.t.Helper()
	ephemeral, err := ecdh.X25519().NewPrivateKey(randomBytes("ephemeral key "+label, 32))
	must(w.t, err)
	pub, err := ecdh.X25519().NewPublicKey(to)
	must(w.t, err)
	dh, err := ephemeral.ECDH(pub)
	must(w.t, err)
	enc := ephemeral.PublicKey().Bytes()
	kem, suite := "KEM\x00\x20", "HPKE\x00\x20\x00\x01\x00\x03"
	prk := labeledExtract(w.t, kem, nil, "eae_prk", dh)
	shared := labeledExpand(w.t, kem, prk, "shared_secret", string(enc)+string(to), 32)
	context := "\x00" + string(labeledExtract(w.t, suite, nil, "psk_id_hash", nil)) +
		string(labeledExtract(w.t, suite, nil, "info_hash", []byte(tag)))
	secret := labeledExtract(w.t, suite, shared, "secret", nil)
	aead, err := chacha20poly1305.New(labeledExpand(w.t, suite, secret, "key", context, 32))
	must(w.t, err)
	return aead.Seal(enc, labeledExpand(w.t, suite, secret, "base_nonce", context, 12), plaintext, data)
}

func labeledExtract(t testing.TB, suite string, salt []byte, label string, ikm []byte) []byte {
	t.Helper()
	prk, err := hkdf.Extract(sha256.New, append([]byte("HPKE-v1"+suite+label), ikm...), salt)
	must(t, err)
	return prk
}

func labeledExpand(t testing.TB, suite string, prk []byte, label, info string, n uint16) []byte {
	t.Helper()
	head := string(binary.BigEndian.AppendUint16(nil, n))
	b, err := hkdf.Expand(sha256.New, prk, head+"HPKE-v1"+suite+label+info, int(n))
	must(t, err)
	return b
}

// add runs a case and keeps it. Its verdict must be the one expected.
func (w *world) add(name, kind, operation, comment string, in object) {
	w.t.Helper()
	in = plain(in)
	out, err := operations[operation](in)
	if got := kindOf(err); got != kind {
		w.t.Errorf("%s: got %q, want %q", name, got, kind)
	}
	w.vectors = append(w.vectors, &vector{name, comment, kind, operation, in, plain(out)})
}

func headerObject(h Header) object {
	return object{"record": h.Record, "owner": hx(h.Owner.Description()), "type": h.Type, "author": h.Author}
}

func recordObject(h Header, e *Envelope) object {
	return object{"header": headerObject(h), "envelope": hx(e.Bytes())}
}

func accessObject(a *Access) object {
	var list []object
	for _, r := range a.Records {
		list = append(list, recordObject(r.header, r.envelope))
	}
	return object{"id": hx(a.ID[:]), "requester": hx(a.Requester), "records": list}
}

func hexAnswers(list []*Answer) (out []string) {
	for _, a := range list {
		out = append(out, hx(a.Bytes()))
	}
	return out
}

// with returns a copy of o in which k is v.
func (o object) with(k string, v any) object {
	c := object{k: v}
	for key, old := range o {
		if key != k {
			c[key] = old
		}
	}
	return c
}
