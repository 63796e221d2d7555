package abe

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"
)

// What tkn20 writes, as CIRCL v1.6.5 does: little-endian lengths, matrices of
// uncompressed points. CIRCL's parsers take matrices of any shape, older ciphertexts,
// the identity, and some surplus bytes; frames are checked here before CIRCL
// sees them.
const (
	ciphertextVersion = "v1.3.8"
	wildcardLabel     = "internal-boneh-katz-transform-attribute"

	scalarSize = 32
	g1Size     = 96
	g2Size     = 192
	gtSize     = 576

	seedSize     = 72
	kemSize      = 32 // what our ciphertexts carry
	envelopeSize = seedSize + kemSize
)

// frame takes fields off what tkn20 wrote. The first fault sticks.
type frame struct {
	b      []byte
	reason string // of the fault
}

func (f *frame) fault(reason string) {
	if f.reason == "" {
		f.reason = reason
	}
	f.b = nil
}

func (f *frame) take(n int) []byte {
	if n > len(f.b) {
		f.fault("length")
	}
	if f.reason != "" {
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

// want takes bytes that are known.
func (f *frame) want(b []byte) {
	if got := f.take(len(b)); f.reason == "" && !bytes.Equal(got, b) {
		f.fault("field")
	}
}

func (f *frame) want16(n int) { f.want(binary.LittleEndian.AppendUint16(nil, uint16(n))) }
func (f *frame) want32(n int) { f.want(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

func (f *frame) text(s string) {
	f.want16(len(s))
	f.want([]byte(s))
}

// matrix takes the length, shape and entries of a matrix.
func (f *frame) matrix(rows, columns, size int) {
	f.want16(4 + rows*columns*size)
	f.want16(rows)
	f.want16(columns)
	for range rows * columns {
		f.entry(size)
	}
}

// entry takes a scalar, point or target group element; CIRCL checks what it is,
// but takes the identity for a point.
func (f *frame) entry(size int) {
	b := f.take(size)
	if f.reason != "" || size == scalarSize {
		return
	}
	identity := make([]byte, size)
	switch size {
	case gtSize:
		// All zero is no element, and CIRCL takes it. One is the identity.
		if bytes.Equal(b, identity) {
			f.fault("encoding")
			return
		}
		identity[size-1] = 1
	default:
		identity[0] = 0x40
	}
	if bytes.Equal(b, identity) {
		f.fault("identity")
	}
}

// done returns the fault as an error, and surplus bytes as a fault.
func (f *frame) done(what string) error {
	if f.reason == "" && len(f.b) > 0 {
		f.fault("trailing")
	}
	if f.reason != "" {
		return &FormatError{what, f.reason}
	}
	return nil
}

// marshaler is what CIRCL's keys have in common.
type marshaler interface {
	MarshalBinary() ([]byte, error)
	UnmarshalBinary([]byte) error
}

// unframe gives checked bytes to CIRCL and compares what it writes for them.
func unframe(what string, b []byte, into marshaler) error {
	err := guard(func() error { return into.UnmarshalBinary(b) })
	if err != nil {
		return &FormatError{what, "encoding"}
	}
	var again []byte
	if err = guard(func() (err error) { again, err = into.MarshalBinary(); return }); err != nil || !bytes.Equal(again, b) {
		return &FormatError{what, "encoding"}
	}
	clear(again)
	return nil
}

func parsePublic(b []byte) (p tkn20.PublicKey, err error) {
	const what = "public key"
	f := frame{b: b}
	f.matrix(4, 2, g2Size)
	f.matrix(3, 2, g1Size)
	f.matrix(2, 1, gtSize)
	if err = f.done(what); err != nil {
		return p, err
	}
	return p, unframe(what, b, &p)
}

func parseSecret(b []byte) (s tkn20.SystemSecretKey, err error) {
	const what = "master key"
	f := frame{b: b}
	f.matrix(3, 2, scalarSize)
	f.matrix(4, 2, scalarSize)
	f.matrix(4, 2, scalarSize)
	f.matrix(4, 2, scalarSize)
	f.matrix(4, 1, scalarSize)
	f.want16(16)
	f.take(16)
	if err = f.done(what); err != nil {
		return s, err
	}
	return s, unframe(what, b, &s)
}

// parseAttributeKey takes a key for exactly these labels. That their values are
// what was said is for [Key.Check].
func parseAttributeKey(b []byte, labels map[string]string) (k tkn20.AttributeKey, err error) {
	if err = checkAttributeKey(b, labels); err != nil {
		return k, err
	}
	return k, unframe("attribute key", b, &k)
}

// checkAttributeKey returns an error unless b is framed as a key for exactly
// these labels. Points are for CIRCL to check.
func checkAttributeKey(b []byte, labels map[string]string) error {
	sorted := slices.Sorted(maps.Keys(labels))
	sorted = append(sorted, wildcardLabel) // behind ours, which begin with "a"
	list := 2
	for _, l := range sorted {
		list += 2 + len(l) + 1 + scalarSize
	}
	f := frame{b: b}
	f.want16(list)
	f.want16(len(sorted))
	for _, l := range sorted {
		f.text(l)
		if l == wildcardLabel {
			f.want([]byte{1})
			f.want(make([]byte, scalarSize))
		} else {
			f.want([]byte{0})
			f.take(scalarSize)
		}
	}
	f.matrix(3, 1, g2Size)
	f.matrix(4, 1, g1Size)
	f.want16(len(sorted))
	for _, l := range sorted {
		f.text(l)
		f.matrix(4, 1, g1Size)
	}
	f.want16(1)
	f.text(wildcardLabel)
	f.matrix(4, 1, g1Size)
	return f.done("attribute key")
}

// sizes are the lengths within a ciphertext, which follow from its policy.
type sizes struct {
	policy, header, authenticated, all int
	shares                             int // of the randomness: the most occurrences of a label
	negative                           int
}

func (c *compiled) sizes() (s sizes) {
	count := map[string]int{wildcardLabel: 1}
	s.policy = 2 + 2 + 7*(len(c.leaves)-1) + 2
	for _, l := range c.leaves {
		s.policy += 2 + wireSize(l)
		count[l.label]++
		if l.negative {
			s.negative++
		}
	}
	for _, n := range count {
		s.shares = max(s.shares, n)
	}
	const g1, g2 = 2 + 4 + 3*g1Size, 2 + 4 + 4*g2Size
	s.header = 2 + s.policy + g2 + 2 + s.shares*g2 + 2 + (len(c.leaves)+1)*(g1+2) + s.negative*(g1-2)
	s.authenticated = 4 + s.header + 4 + envelopeSize
	s.all = len(ciphertextVersion) + 2 + 32 + 4 + s.authenticated + 2 + 32
	return s
}

func wireSize(l leaf) int { return 2 + len(l.label) + 2 + len(l.value) + 2 + scalarSize + 1 }

// checkCiphertext returns an error unless b is framed as a ciphertext of 32 bytes
// under exactly this policy. Points are for CIRCL to check.
func (c *compiled) checkCiphertext(b []byte) error {
	const what = "ciphertext"
	s := c.sizes()
	f := frame{b: b}
	f.want([]byte(ciphertextVersion))
	f.want16(32)
	id := f.take(32)
	f.want32(s.authenticated)
	f.want32(s.header)
	f.want16(s.policy)
	policy := f.take(s.policy)
	f.matrix(4, 1, g2Size)
	f.want16(s.shares)
	for range s.shares {
		f.matrix(4, 1, g2Size)
	}
	f.want16(len(c.leaves) + 1)
	for range len(c.leaves) + 1 {
		f.matrix(3, 1, g1Size)
	}
	for _, l := range c.leaves {
		if l.negative {
			f.matrix(3, 1, g1Size)
		} else {
			f.want16(0)
		}
	}
	f.want16(0) // of the wildcard
	f.want32(envelopeSize)
	f.take(envelopeSize)
	f.want16(32)
	f.take(32)
	if err := f.done(what); err != nil {
		return err
	}
	if !c.policyIs(policy, id) {
		return &FormatError{what, "field"}
	}
	return nil
}

// policyIs reports whether the policy in a ciphertext is c. A ciphertext has for
// each leaf the value as text and as a scalar, and tkn20 prints the text but
// computes with the scalar; equality is of both. To have CIRCL parse the policy
// without all the points, it is given the policy in a ciphertext without any.
func (c *compiled) policyIs(policy, id []byte) bool {
	header := binary.LittleEndian.AppendUint16(nil, uint16(len(policy)))
	header = append(header, policy...)
	header = append(header, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0) // a matrix of no rows, no shares, no leaves
	b := append([]byte(ciphertextVersion), 32, 0)
	b = append(b, id...)
	b = binary.LittleEndian.AppendUint32(b, uint32(4+len(header)+4))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	b = append(b, header...)
	b = append(b, 0, 0, 0, 0, 0, 0) // no envelope, no tag
	var got tkn20.Policy
	err := guard(func() error { return got.ExtractFromCiphertext(b) })
	if err != nil {
		return false
	}
	want, equal := c.policy, false
	err = guard(func() error { equal = got.Equal(&want); return nil })
	return err == nil && equal
}
