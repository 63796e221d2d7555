package ledger

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/ward-health/ward/chain"
)

// digestSize is the size of an encoded Digest in bytes: 1024 lanes of 16 bits.
const digestSize = 2048

// lanes selects the low 15 bits of each 16-bit lane of a word.
const lanes = 0x7fff_7fff_7fff_7fff

// A Digest is the multiset hash of a state: the same for the same pairs of
// keys and values in whatever order they were added. It is LtHash16 with 1024
// lanes (Bellare and Micciancio 1997; Lewi, Kim, Maykov and Weis 2019), which
// can be updated at a cost that does not depend on the size of the state. No
// key may be added twice without being removed in between: whoever loads a
// state must see to it that its keys are distinct. The zero Digest is that of
// the empty state. It is not safe for concurrent use.
type Digest struct {
	sum [digestSize / 8]uint64 // four lanes a word
	x   *expander              // nil before the first Add or Remove
}

// clone returns a copy that shares nothing with d.
func (d *Digest) clone() *Digest { return &Digest{sum: d.sum} }

func (d *Digest) expander() *expander {
	if d.x == nil {
		d.x = new(expander)
	}
	return d.x
}

// Add adds a key with its value.
func (d *Digest) Add(key, value []byte) {
	element := d.expander().expand(key, value)
	for i := range d.sum {
		a, b := d.sum[i], binary.LittleEndian.Uint64(element[8*i:])
		d.sum[i] = (a&lanes + b&lanes) ^ (a^b)&^lanes
	}
}

// Remove takes a key with its value away again.
func (d *Digest) Remove(key, value []byte) {
	element := d.expander().expand(key, value)
	for i := range d.sum {
		a, b := d.sum[i], binary.LittleEndian.Uint64(element[8*i:])
		d.sum[i] = (a | ^uint64(lanes)) - b&lanes ^ (a^^b)&^lanes
	}
}

// Join adds what other was made of: as if all of it had been added to d. What was
// removed from other is removed from d.
func (d *Digest) Join(other *Digest) {
	for i := range d.sum {
		a, b := d.sum[i], other.sum[i]
		d.sum[i] = (a&lanes + b&lanes) ^ (a^b)&^lanes
	}
}

// Sum returns the state hash: SHA-256 over a domain string and the lanes.
func (d *Digest) Sum() chain.Hash {
	h := sha256.New()
	h.Write([]byte("WARD-V1-STATE-SUM"))
	h.Write(d.bytes())
	return chain.Hash(h.Sum(nil))
}

func (d *Digest) bytes() []byte {
	b := make([]byte, 0, digestSize)
	for _, w := range d.sum {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func parseDigest(data []byte) (*Digest, error) {
	if len(data) != digestSize {
		return nil, errors.New("state digest: wrong size")
	}
	d := new(Digest)
	for i := range d.sum {
		d.sum[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	return d, nil
}

// An expander makes elements. It holds the memory for that: an element is as
// large as what it is made of is small, and there is one for each write.
type expander struct {
	seed    []byte
	counter [aes.BlockSize]byte // zero
	element [digestSize]byte
}

// expand returns the key stream of AES-256 in counter mode, from counter zero,
// under the SHA-256 hash of the pair. Public seeds are expanded into the matrices
// of lattice schemes in the same way (FrodoKEM-AES). The result is valid until
// the next call.
func (x *expander) expand(key, value []byte) *[digestSize]byte {
	seed := append(x.seed[:0], "WARD-V1-STATE-ELEMENT"...)
	seed = binary.BigEndian.AppendUint32(seed, uint32(len(key)))
	seed = append(seed, key...)
	seed = append(seed, value...)
	x.seed = seed
	k := sha256.Sum256(seed)
	clear(x.element[:])
	if block, err := aes.NewCipher(k[:]); err == nil { // the key has 32 bytes: there is no error
		cipher.NewCTR(block, x.counter[:]).XORKeyStream(x.element[:], x.element[:])
	}
	return &x.element
}
