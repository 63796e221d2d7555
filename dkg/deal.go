package dkg

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const sealOverhead = 16 // bytes of an AEAD tag

// receiver is a new member that joined.
type receiver struct {
	index uint8
	key   pairing.G1 // pk
}

// audience is the set of receivers, fixed when the join phase ends.
type audience struct {
	receivers []receiver // by ascending index
	hash      [32]byte
}

func (p *plan) newAudience(receivers []receiver) audience {
	var w wire.Writer
	for _, r := range receivers {
		w.Uint8(r.index)
		pairing.WriteG1(&w, r.key)
	}
	return audience{receivers, wire.Hash(string(pairing.DSTReceiversHash), p.id[:], w.Sum())}
}

func (a *audience) find(index uint8) int {
	for i := range a.receivers {
		if a.receivers[i].index == index {
			return i
		}
	}
	return -1
}

// deal is a dealer's verified message.
type deal struct {
	dealer      uint8
	hash        [32]byte       // of the payload
	commitment  [32]byte       // hash of ephemeral key and commitments
	ephemeral   pairing.G1     // E = ε·g1
	commitments [][]pairing.G1 // one row per secret the dealer holds
	sealed      [][]byte       // one per receiver, in the audience's order
}

// commitmentHash is what a dealer posts when it joins, so that nobody chooses
// a polynomial after seeing another's, and no node deals twice.
func (p *plan) commitmentHash(dealer uint8, ephemeral, commitments []byte) [32]byte {
	return wire.Hash(string(pairing.DSTCommitmentHash), p.id[:], []byte{dealer}, ephemeral, commitments)
}

func dealHash(payload []byte) [32]byte {
	return wire.Hash(string(pairing.DSTDealHash), payload)
}

// dealing is what one dealer draws from its seed: the same seed and ceremony
// give the same polynomials, and nothing else is ever drawn.
type dealing struct {
	ephemeral   *pairing.Secret
	polynomials [][]*pairing.Secret // one per secret the dealer holds
}

// draw derives the dealing of a participant. In a reshare the constant terms
// are its old shares.
func (p *plan) draw(number uint8, seed *[32]byte, old []*pairing.Secret) *dealing {
	coefficient := func(secret uint32, degree uint8) *pairing.Secret {
		var w wire.Writer
		w.Raw(seed[:])
		w.Raw(p.id[:])
		w.Uint32(secret)
		w.Uint8(degree)
		defer clear(w.Sum())
		return pairing.HashToSecret(pairing.DSTCoefficient, w.Sum())
	}
	d := &dealing{ephemeral: coefficient(maxSecrets, 0)}
	for h, k := range p.holdings[number-1] {
		row := make([]*pairing.Secret, p.Secrets[k].Threshold)
		for degree := range row {
			row[degree] = coefficient(uint32(k), uint8(degree))
		}
		if p.reshares() {
			row[0] = copySecret(old[h])
		}
		d.polynomials = append(d.polynomials, row)
	}
	return d
}

func (d *dealing) erase() {
	d.ephemeral.Erase()
	for _, row := range d.polynomials {
		for _, c := range row {
			c.Erase()
		}
	}
}

// committed is the public part of a deal, as its dealer keeps it from the join
// to the deal.
type committed struct {
	ephemeral, commitments []byte // E and the points of rows, encoded

	// What the bytes encode, so that a dealer need not verify its own deal,
	// and the key between the dealer and itself. A machine that was restored
	// does without.
	point pairing.G1
	rows  [][]pairing.G1
	own   *pairing.G1
}

// commit computes the public part of a deal. The constant terms of a reshare
// are known to everybody.
func (p *plan) commit(number uint8, d *dealing) *committed {
	base := pairing.GeneratorG1ConstantTime()
	c, w := &committed{point: base.Mul(d.ephemeral)}, new(wire.Writer)
	for h, polynomial := range d.polynomials {
		row := make([]pairing.G1, len(polynomial))
		for degree, x := range polynomial {
			if degree == 0 && p.reshares() {
				row[0] = p.oldShare(number, p.holdings[number-1][h])
			} else {
				row[degree] = base.Mul(x)
			}
			pairing.WriteG1(w, row[degree])
		}
		c.rows = append(c.rows, row)
	}
	e := c.point.Bytes()
	c.ephemeral, c.commitments = e[:], w.Sum()
	return c
}

// oldShare returns the public share of secret k that a participant held.
func (p *plan) oldShare(number uint8, k int) pairing.G1 {
	return publicShare(p.Secrets[k].Old, p.oldIndex[number-1])
}

func publicShare(s *threshold.Sharing, index uint8) pairing.G1 {
	g, err := s.PublicShare(index)
	if err != nil {
		return pairing.G1{} // unreachable: the index is of a roster whose size was checked
	}
	return g
}

// encodeDeal completes a deal for the audience.
func (p *plan) encodeDeal(number uint8, d *dealing, public *committed, a *audience, seed *[32]byte, hedge [32]byte) []byte {
	known := []*pairing.Secret{d.ephemeral}
	if !p.reshares() {
		for _, row := range d.polynomials {
			known = append(known, row[0])
		}
	}
	commitment := p.commitmentHash(number, public.ephemeral, public.commitments)
	w := wire.NewWriter(dealFormat)
	w.Raw(a.hash[:])
	w.Raw(public.ephemeral)
	p.proveKnowledge(number, seed[:], commitment, known, hedge).write(w)
	w.Raw(public.commitments)
	shares := make([]byte, 0, pairing.ScalarSize*len(d.polynomials))
	defer clear(shares[:cap(shares)])
	for _, to := range a.receivers {
		shares = shares[:0]
		for _, row := range d.polynomials {
			s := pairing.EvaluateSecret(row, to.index)
			raw := s.Reveal()
			shares = append(shares, raw[:]...)
			clear(raw[:])
			s.Erase()
		}
		key := d.ephemeral.MulG1(to.key)
		if to.index == number {
			public.own = &key
		}
		w.Raw(p.sealer(number, to, public.ephemeral, commitment, key).Seal(nil, zeroNonce(), shares, nil))
	}
	return w.Sum()
}

// sealer returns the cipher between a dealer and a receiver. The nonce is zero
// because the key is used once: it is derived from an ephemeral key that
// belongs to one set of commitments, and a dealer seals one vector of shares
// per receiving key and commitments, however often it is asked.
func (p *plan) sealer(dealer uint8, to receiver, ephemeral []byte, commitment [32]byte, shared pairing.G1) cipher.AEAD {
	info := wire.NewWriter(string(pairing.DSTShareKey))
	info.Raw(p.id[:])
	info.Uint8(dealer)
	info.Uint8(to.index)
	info.Raw(ephemeral)
	pairing.WriteG1(info, to.key)
	info.Raw(commitment[:])
	secret := shared.Bytes()
	defer clear(secret[:])
	key, err := hkdf.Key(sha256.New, secret[:], nil, string(info.Sum()), 32)
	if err != nil {
		return nil // unreachable: 32 bytes are within HKDF's limit
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil // unreachable: 32 bytes are a key length of AES
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil // unreachable: AES has blocks of 16 bytes
	}
	return aead
}

func zeroNonce() []byte { return make([]byte, 12) }

// checkDeal reads and verifies a deal. Its answer depends on public data only,
// so all nodes agree on it. committed is nil when the dealer's commitment is
// checked elsewhere.
func (p *plan) checkDeal(number uint8, payload []byte, a *audience, committed *[32]byte) (*deal, error) {
	d, f, err := p.frameDeal(number, payload, a)
	if err != nil {
		return nil, err
	}
	if committed != nil && d.commitment != *committed {
		return nil, errCommitment
	}
	if d.ephemeral, err = pairing.ParseG1(f.ephemeral); err != nil {
		return nil, malformed(fmt.Errorf("ephemeral key: %w", err))
	}
	known := []pairing.G1{d.ephemeral}
	for _, k := range p.holdings[number-1] {
		row := make([]pairing.G1, p.Secrets[k].Threshold)
		for degree := range row {
			b := f.commitments[:pairing.G1Size]
			f.commitments = f.commitments[pairing.G1Size:]
			if degree == 0 && p.reshares() {
				// The constant term is the old share: comparing encodings
				// spares its check.
				row[0] = p.oldShare(number, k)
				if want := row[0].Bytes(); !bytes.Equal(b, want[:]) {
					return nil, errConstant
				}
				continue
			}
			if row[degree], err = pairing.ParseG1(b); err != nil {
				return nil, malformed(fmt.Errorf("commitment %d of secret %d: %w", degree, k, err))
			}
		}
		if !p.reshares() {
			known = append(known, row[0])
		}
		d.commitments = append(d.commitments, row)
	}
	if !p.verifyKnowledge(number, d.commitment, known, f.knowledge) {
		return nil, errProof
	}
	return d, nil
}

// fields are the parts of a deal that frameDeal does not look into.
type fields struct {
	ephemeral, commitments []byte
	knowledge              proof
}

// frameDeal takes a deal apart. All lengths follow from the ceremony and the
// audience, so that no dealer can choose a degree.
func (p *plan) frameDeal(number uint8, payload []byte, a *audience) (*deal, *fields, error) {
	held, size := p.holdings[number-1], 0
	for _, k := range held {
		size += p.Secrets[k].Threshold * pairing.G1Size
	}
	r := wire.NewReader(dealFormat, payload)
	to := r.Raw(len(a.hash))
	if r.Err() == nil && !bytes.Equal(to, a.hash[:]) {
		return nil, nil, errReceivers
	}
	f := &fields{ephemeral: r.Raw(pairing.G1Size), knowledge: readProof(r), commitments: r.Raw(size)}
	d := &deal{dealer: number, hash: dealHash(payload)}
	for range a.receivers {
		d.sealed = append(d.sealed, r.Raw(len(held)*pairing.ScalarSize+sealOverhead))
	}
	if err := r.Done(); err != nil {
		return nil, nil, malformed(err)
	}
	d.commitment = p.commitmentHash(number, f.ephemeral, f.commitments)
	return d, f, nil
}

// ownDeal returns the deal that this dealer just made, without verifying it.
func (p *plan) ownDeal(number uint8, payload []byte, a *audience, c *committed) (*deal, error) {
	d, _, err := p.frameDeal(number, payload, a)
	if err == nil {
		d.ephemeral, d.commitments = c.point, c.rows
	}
	return d, err
}

// open decrypts one receiver's shares, given the key between dealer and
// receiver. Shares that do not open, or are not scalars other than zero, are
// bad.
func (p *plan) open(d *deal, a *audience, at int, shared pairing.G1) ([]*pairing.Secret, error) {
	ephemeral := d.ephemeral.Bytes()
	plain, err := p.sealer(d.dealer, a.receivers[at], ephemeral[:], d.commitment, shared).Open(nil, zeroNonce(), d.sealed[at], nil)
	if err != nil {
		return nil, errBadShare
	}
	defer clear(plain)
	values := make([]*pairing.Secret, len(d.commitments))
	for h := range values {
		if values[h], err = pairing.ParseSecret(plain[h*pairing.ScalarSize : (h+1)*pairing.ScalarSize]); err != nil {
			return nil, errBadShare
		}
	}
	return values, nil
}

// weigher draws the weights of a batched check from a hash of all that the
// check is about, so that they are fixed after it: 1, then numbers of 128 bits.
// A wrong term passes with probability 2^-128.
type weigher struct {
	seed [32]byte
	next uint64
}

func (w *weigher) weight() pairing.Scalar {
	w.next++
	if w.next == 1 {
		return pairing.NewScalar(1)
	}
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], w.next)
	h := wire.Hash(string(pairing.DSTShareWeight), w.seed[:], counter[:])
	return pairing.ScalarFromUniform([16]byte(h[:16]))
}

// matches reports whether the values are the shares that receiver index gets
// by these deals: Σ ρ·f(index)·g1 = Σ ρ·C(index) for random ρ.
func (p *plan) matches(deals []*deal, values [][]*pairing.Secret, index uint8) bool {
	var all wire.Writer
	for _, d := range deals {
		all.Raw(d.hash[:])
	}
	draw := weigher{seed: wire.Hash(string(pairing.DSTShareWeight), p.id[:], []byte{index}, all.Sum())}
	var rows [][]pairing.G1
	var weights []pairing.Scalar
	sum := new(pairing.Secret)
	for i, d := range deals {
		for h, row := range d.commitments {
			rho := draw.weight()
			weights, rows = append(weights, rho), append(rows, row)
			sum = sum.Add(pairing.SecretFrom(rho).Mul(values[i][h]))
		}
	}
	defer sum.Erase()
	return pairing.GeneratorG1ConstantTime().Mul(sum).Equal(pairing.MultiMul(pairing.EvaluateEach(rows, index), weights))
}
