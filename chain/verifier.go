package chain

import (
	"crypto/rand"
	"crypto/sha512"
	"sync"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

const (
	// batchSize is the number of signatures checked in one multiplication. Larger
	// batches gain nothing and cost memory.
	batchSize = 1024
	// maxKeys bounds the keys a Verifier remembers: one takes up to 11 KB.
	maxKeys = 1024
	// smallBatch is the number of points up to which the multiplication uses
	// tables of multiples.
	smallBatch = 190
)

// A Verifier verifies signatures in batches. It remembers the keys of signers, so
// that those who sign again and again are verified faster; verdicts do not depend
// on what it remembers. The zero Verifier is ready for use. Its methods may be
// called concurrently.
type Verifier struct {
	mu   sync.Mutex
	keys map[PublicKey]*signerKey // guarded by mu
}

// signerKey is the point of a key, negated. It does not change once used.
type signerKey struct {
	neg   curve.EdwardsPoint
	table *curve.ExpandedEdwardsPoint // nil for a key that was seen in one batch
}

// VerifyTxs returns one verdict per transaction, false for a nil one: the same
// as Tx.Verify, at about a quarter of the cost when there are many. It marks
// good transactions, so that they are not verified again, and is therefore not
// safe for concurrent use on the same transactions.
func (v *Verifier) VerifyTxs(txs []*Tx) []bool { return v.verifyTxs(txs) }

// VerifyEntry does what VerifySignatures of e does, which then costs nothing.
func (v *Verifier) VerifyEntry(e *Entry) {
	if e.verified == nil {
		e.verify(v)
	}
}

// verifyTxs appends the verdicts for more to those for the transactions.
func (v *Verifier) verifyTxs(txs []*Tx, more ...signed) []bool {
	items := make([]signed, 0, len(txs)+len(more))
	pending := make([]bool, len(txs)) // decided first: a transaction may occur twice
	for i, tx := range txs {
		if pending[i] = tx != nil && !tx.good; pending[i] {
			msg, sig := tx.signed()
			items = append(items, signed{tx.Signer, msg, sig})
		}
	}
	fresh := v.verify(append(items, more...))
	verdicts := make([]bool, len(txs), len(txs)+len(more))
	for i, tx := range txs {
		verdicts[i] = tx != nil && tx.good
		if pending[i] {
			verdicts[i], fresh = fresh[0], fresh[1:]
		}
	}
	for i, tx := range txs {
		if verdicts[i] {
			tx.good = true
		}
	}
	return append(verdicts, fresh...)
}

// verify returns one verdict per item, each the same as that of PublicKey.Verify.
func (v *Verifier) verify(items []signed) []bool {
	verdicts := make([]bool, len(items))
	for from := 0; from < len(items); from += batchSize {
		to := min(from+batchSize, len(items))
		if to-from == 1 {
			verdicts[from] = items[from].key.Verify(items[from].msg, items[from].sig)
			continue
		}
		b := v.newBatch(items[from:to])
		if good := b.equation(); !good {
			for _, i := range b.members {
				verdicts[from+i] = items[from+i].key.Verify(items[from+i].msg, items[from+i].sig)
			}
			continue
		}
		for _, i := range b.members {
			verdicts[from+i] = true
		}
	}
	return verdicts
}

// key returns the point of k, nil if its bytes are none.
func (v *Verifier) key(k *PublicKey, small bool) *signerKey {
	v.mu.Lock()
	known := v.keys[*k]
	v.mu.Unlock()
	if known != nil && (!small || known.table != nil) {
		return known
	}
	next := new(signerKey)
	if known == nil {
		if !decompress(&next.neg, k[:]) {
			return nil
		}
		next.neg.Neg(&next.neg)
	} else {
		next.neg.Set(&known.neg)
		next.table = curve.NewExpandedEdwardsPoint(&known.neg)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys == nil {
		v.keys = make(map[PublicKey]*signerKey)
	}
	if _, ok := v.keys[*k]; !ok && len(v.keys) >= maxKeys {
		for old := range v.keys { // any: which one is of no consequence
			delete(v.keys, old)
			break
		}
	}
	v.keys[*k] = next
	return next
}

// decompress sets p to the point with this encoding, canonical or not, as ZIP 215
// has it, and reports whether there is one.
func decompress(p *curve.EdwardsPoint, encoding []byte) bool {
	var y curve.CompressedEdwardsY
	if _, err := y.SetBytes(encoding); err != nil {
		return false
	}
	_, err := p.SetCompressedY(&y)
	return err == nil
}

// A batch is the equation that holds if all its signatures are good, and else with
// probability 2⁻¹²⁸ at most: for random 128-bit z,
//
//	8 (Σ z S · B - Σ z R - Σ z k A) = 0
//
// The terms of one signer are one term, and its coefficients are added up before
// they are multiplied.
type batch struct {
	members []int // items that are in it: the others cannot be good
	r       []curve.EdwardsPoint
	z       []scalar.Scalar
	base    scalar.Scalar // -Σ z S: everything is computed negated
	signers []*signerKey
	coeffs  []scalar.Scalar // Σ z k by signer; the points are negated
}

// newBatch makes the equation of items, 2 or more.
func (v *Verifier) newBatch(items []signed) *batch {
	n := len(items)
	b := &batch{members: make([]int, 0, n), r: make([]curve.EdwardsPoint, n), z: make([]scalar.Scalar, n)}
	random := make([]byte, 16*n)
	_, _ = rand.Read(random) // never fails
	place := make(map[PublicKey]int, min(n, 128))
	small := 2*n < smallBatch
	hash := sha512.New()
	for i := range items {
		item := &items[i]
		at, seen := place[item.key]
		if !seen {
			at = -1
			if key := v.key(&item.key, small); key != nil {
				at = len(b.signers)
				b.signers, b.coeffs = append(b.signers, key), append(b.coeffs, scalar.Scalar{})
			}
			place[item.key] = at
		}
		m := len(b.members)
		if at < 0 || len(item.sig) != ed25519.SignatureSize || !scalar.ScMinimalVartime(item.sig[32:]) || !decompress(&b.r[m], item.sig[:32]) {
			continue
		}
		var s, k, t scalar.Scalar
		var digest [sha512.Size]byte
		hash.Reset()
		hash.Write(item.sig[:32])
		hash.Write(item.key[:])
		hash.Write(item.msg)
		hash.Sum(digest[:0])
		var wide [scalar.ScalarSize]byte
		copy(wide[:16], random[16*i:])
		if wide == ([scalar.ScalarSize]byte{}) {
			wide[16] = 1 // 2¹²⁸: zero would leave the signature out
		}
		if _, err := s.SetBits(item.sig[32:]); err != nil {
			continue
		}
		if _, err := k.SetBytesModOrderWide(digest[:]); err != nil {
			continue
		}
		if _, err := b.z[m].SetBits(wide[:]); err != nil {
			continue
		}
		b.base.Add(&b.base, t.Mul(&b.z[m], &s))
		b.coeffs[at].Add(&b.coeffs[at], t.Mul(&b.z[m], &k))
		b.members = append(b.members, i)
	}
	return b
}

// equation reports whether the equation holds.
func (b *batch) equation() bool {
	n := len(b.members)
	scalars := make([]*scalar.Scalar, 0, 1+n+len(b.signers))
	points := make([]*curve.EdwardsPoint, 0, 1+n+len(b.signers))
	var tabled []*scalar.Scalar
	var tables []*curve.ExpandedEdwardsPoint
	// Σ z R + Σ z k A - Σ z S · B, with negated A: its coefficient is negated too.
	b.base.Neg(&b.base)
	scalars, points = append(scalars, &b.base), append(points, curve.ED25519_BASEPOINT_POINT)
	for i := range n {
		scalars, points = append(scalars, &b.z[i]), append(points, &b.r[i])
	}
	small := 1+n+len(b.signers) < smallBatch
	for i, key := range b.signers {
		c := &b.coeffs[i]
		c.Neg(c)
		if small && key.table != nil {
			tabled, tables = append(tabled, c), append(tables, key.table)
		} else {
			scalars, points = append(scalars, c), append(points, &key.neg)
		}
	}
	var sum curve.EdwardsPoint
	if len(tables) > 0 {
		sum.ExpandedMultiscalarMulVartime(tabled, tables, scalars, points)
	} else {
		sum.MultiscalarMulVartime(scalars, points)
	}
	return sum.IsSmallOrder()
}
