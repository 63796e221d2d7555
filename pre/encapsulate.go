package pre

import (
	"container/list"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	recordKeySize = 32
	cacheSize     = 1024 // pairings remembered, about 1 MB
	indexName     = "ward/index/v1"
	indexBlock    = 256     // indices are padded to multiples of it
	maxIndex      = 1 << 20 // bytes of an index before sealing
)

// Encapsulator writes records. It remembers the pairings of the last 1,024 typed
// identities it wrote for, so that writing for the same owner again needs no
// pairing. Its zero value is ready to use, by any number of goroutines.
type Encapsulator struct {
	mu    sync.Mutex
	bases map[baseKey]*list.Element // guarded by mu
	order list.List                 // of *base, last used first; guarded by mu
}

type baseKey struct {
	key pairing.G1
	typedID
}

type base struct {
	key baseKey
	gt  pairing.GT
}

// Encapsulate seals index for the owner named in h, at h.Type and all its
// ancestors, under a fresh key. It returns the envelope for the chain and the
// sealed index, which travels as the transaction's sidecar. The index has at
// most 1 MiB; sealed, its length shows only to the next multiple of 256.
//
// The caller makes sure that key, version and epoch in h.Owner are the current
// ones, by a proof under a certified checkpoint: what is sealed to a key of the
// past is open to whoever holds it.
func (w *Encapsulator) Encapsulate(h Header, index []byte) (*Envelope, []byte, error) {
	return w.encapsulate(rand.Reader, h, index)
}

func (w *Encapsulator) encapsulate(random io.Reader, h Header, index []byte) (*Envelope, []byte, error) {
	if err := h.check(); err != nil {
		return nil, nil, err
	}
	if len(index) > maxIndex {
		return nil, nil, &FormatError{"index", "limit"}
	}
	var fresh [32 + chacha20poly1305.NonceSizeX + 32]byte
	if _, err := io.ReadFull(random, fresh[:]); err != nil {
		return nil, nil, fmt.Errorf("encapsulate: %w", err)
	}
	defer clear(fresh[:])
	seed, nonce, hedge := fresh[:32], fresh[32:32+chacha20poly1305.NonceSizeX], fresh[len(fresh)-32:]

	context := h.context()
	dek, err := recordKey(seed, context, index)
	if err != nil {
		return nil, nil, err
	}
	defer clear(dek)
	r := recordScalar(dek, context)
	e := &Envelope{u: pairing.MulGenerator(r)}
	ub := e.u.Bytes()
	for j, level := range h.Type.Levels() {
		id := h.Owner.typed(level)
		wrap, err := sealWrap(w.base(h.Owner.Key.g, id).Exp(r), id, ub[:], j, context, dek)
		if err != nil {
			return nil, nil, err
		}
		e.wraps = append(e.wraps, wrap)
	}
	sealed, err := sealIndex(dek, nonce, context, ub[:], index)
	if err != nil {
		return nil, nil, err
	}
	e.index = indexHash(sealed)
	label := e.label(context)
	e.prove(r, capsuleNonce(r, hedge, label), label)
	return e, sealed, nil
}

// recordKey hedges the random seed with what is written: a generator that
// repeats itself, as in a copied virtual machine, repeats no key for another
// record or another index.
func recordKey(seed []byte, context [32]byte, index []byte) ([]byte, error) {
	var w wire.Writer
	w.String(string(pairing.DSTRecordKey))
	w.Raw(context[:])
	written := sha256.Sum256(index)
	w.Raw(written[:])
	return hkdf.Key(sha256.New, seed, nil, string(w.Sum()), recordKeySize)
}

// recordScalar derives r, so that U commits to the record key. A key that gives
// r = 0 does not occur; were it to, no parser would take the capsule.
func recordScalar(dek []byte, context [32]byte) pairing.Scalar {
	input := make([]byte, 0, recordKeySize+len(context))
	defer clear(input[:cap(input)])
	return pairing.HashToScalar(pairing.DSTCapsuleScalar, append(append(input, dek...), context[:]...))
}

// capsuleNonce hedges as hedgedNonce does; the label covers U and the context.
func capsuleNonce(r pairing.Scalar, hedge []byte, label [32]byte) pairing.Scalar {
	var w wire.Writer
	writeScalar(&w, r)
	w.Raw(hedge)
	w.Raw(label[:])
	return pairing.HashToScalar(pairing.DSTCapsuleNonce, w.Sum())
}

// base returns e(key, Q), from memory if it can.
func (w *Encapsulator) base(key pairing.G1, id typedID) pairing.GT {
	k := baseKey{key, id}
	w.mu.Lock()
	if el, ok := w.bases[k]; ok {
		w.order.MoveToFront(el)
		gt := el.Value.(*base).gt
		w.mu.Unlock()
		return gt
	}
	w.mu.Unlock()
	gt := pairing.Pair(key, id.point())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bases == nil {
		w.bases = make(map[baseKey]*list.Element)
	}
	if _, ok := w.bases[k]; !ok {
		w.bases[k] = w.order.PushFront(&base{k, gt})
	}
	for len(w.bases) > cacheSize {
		delete(w.bases, w.order.Remove(w.order.Back()).(*base).key)
	}
	return gt
}

// wrapKey derives the key that wraps the record key at one level.
func wrapKey(k pairing.GT, id typedID, u []byte, context [32]byte) ([]byte, error) {
	w := wire.Writer{}
	w.String(string(pairing.DSTKeyWrap))
	w.Bytes(id.bytes())
	w.Raw(u)
	w.Raw(context[:])
	secret := k.Bytes()
	defer clear(secret[:])
	return hkdf.Key(sha256.New, secret[:], nil, string(w.Sum()), chacha20poly1305.KeySize)
}

func wrapData(u []byte, level int, context [32]byte) []byte {
	var w wire.Writer
	w.Raw(u)
	w.Uint8(uint8(level))
	w.Raw(context[:])
	return w.Sum()
}

// wrapNonce is zero because a wrap key is used once: U commits to the record
// key, so U, context and level fix key, plaintext and data together.
var wrapNonce [chacha20poly1305.NonceSize]byte

func sealWrap(k pairing.GT, id typedID, u []byte, level int, context [32]byte, dek []byte) (wrap [wrapSize]byte, err error) {
	key, err := wrapKey(k, id, u, context)
	if err != nil {
		return wrap, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return wrap, err
	}
	aead.Seal(wrap[:0], wrapNonce[:], dek, wrapData(u, level, context))
	return wrap, nil
}

// openWrap returns the record key wrapped at a level, given that level's K, and
// checks that U commits to it.
func (r *Record) openWrap(k pairing.GT, level int) (*RecordKey, error) {
	e, u := r.envelope, r.envelope.U()
	id := r.header.Owner.typed(r.header.Type.Levels()[level])
	key, err := wrapKey(k, id, u, r.context)
	if err != nil {
		return nil, ErrDecrypt
	}
	defer clear(key)
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, ErrDecrypt
	}
	dek, err := aead.Open(nil, wrapNonce[:], e.wraps[level][:], wrapData(u, level, r.context))
	if err != nil || !pairing.MulGenerator(recordScalar(dek, r.context)).Equal(e.u) {
		clear(dek)
		return nil, ErrDecrypt
	}
	return &RecordKey{r, [recordKeySize]byte(dek)}, nil
}
