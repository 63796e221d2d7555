package pre

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// RecordKey is the key of one record, checked against its capsule.
type RecordKey struct {
	record *Record
	dek    [recordKeySize]byte
}

// Record returns the record that the key opens.
func (k *RecordKey) Record() *Record { return k.record }

// Erase overwrites the key. Later uses return [ErrErased].
func (k *RecordKey) Erase() { clear(k.dek[:]) }

// Format prints the record's id, never the key.
func (k RecordKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "key of record %s", k.record.header.Record)
}

// OpenIndex returns the index that [Encapsulator.Encapsulate] sealed. Anything
// else gives [ErrDecrypt].
func (k *RecordKey) OpenIndex(sealed []byte) ([]byte, error) {
	if k.dek == [recordKeySize]byte{} {
		return nil, ErrErased
	}
	name := indexName + "\n"
	if indexHash(sealed) != k.record.envelope.index || len(sealed) < len(name)+chacha20poly1305.NonceSizeX ||
		string(sealed[:len(name)]) != name {
		return nil, ErrDecrypt
	}
	aead, err := indexCipher(k.dek[:], k.record.context)
	if err != nil {
		return nil, ErrDecrypt
	}
	nonce, body := sealed[len(name):len(name)+chacha20poly1305.NonceSizeX], sealed[len(name)+chacha20poly1305.NonceSizeX:]
	padded, err := aead.Open(nil, nonce, body, indexData(k.record.context, k.record.envelope.U()))
	if err != nil {
		return nil, ErrDecrypt
	}
	return unpad(padded)
}

// OpenRecord returns the key of a record of the owner's own. It returns
// [ErrNotCovered] for a record that the key cannot reach.
func (k *PrivateKey) OpenRecord(r *Record) (*RecordKey, error) {
	if r == nil {
		return nil, ErrNotCovered
	}
	if k.d.IsIdentity() {
		return nil, ErrErased
	}
	level := k.t.level(r.header.Type)
	if level < 0 || !k.id.equal(r.header.Owner) {
		return nil, ErrNotCovered
	}
	return r.openWrap(pairing.Pair(r.envelope.u, k.d), level)
}

func indexHash(sealed []byte) [32]byte {
	return wire.Hash(string(pairing.DSTIndexHash), sealed)
}

func indexCipher(dek []byte, context [32]byte) (cipher.AEAD, error) {
	var w wire.Writer
	w.String(string(pairing.DSTIndexKey))
	w.Raw(context[:])
	key, err := hkdf.Key(sha256.New, dek, nil, string(w.Sum()), chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.NewX(key)
}

func indexData(context [32]byte, u []byte) []byte {
	var w wire.Writer
	w.Raw(context[:])
	w.Raw(u)
	return w.Sum()
}

func sealIndex(dek, nonce []byte, context [32]byte, u, index []byte) ([]byte, error) {
	aead, err := indexCipher(dek, context)
	if err != nil {
		return nil, err
	}
	w := wire.NewWriter(indexName)
	w.Raw(nonce)
	padded := pad(index)
	defer clear(padded)
	return aead.Seal(w.Sum(), nonce, padded, indexData(context, u)), nil
}

// pad puts the length in front and zeros behind, to a multiple of 256 bytes.
func pad(index []byte) []byte {
	n := (4 + len(index) + indexBlock - 1) / indexBlock * indexBlock
	padded := make([]byte, n)
	binary.BigEndian.PutUint32(padded, uint32(len(index)))
	copy(padded[4:], index)
	return padded
}

// unpad accepts only what pad returns.
func unpad(padded []byte) ([]byte, error) {
	if len(padded) == 0 || len(padded)%indexBlock != 0 {
		return nil, ErrDecrypt
	}
	n := uint64(binary.BigEndian.Uint32(padded)) + 4
	if n > maxIndex+4 || n > uint64(len(padded)) || uint64(len(padded))-n >= indexBlock {
		return nil, ErrDecrypt
	}
	for _, b := range padded[n:] {
		if b != 0 {
			return nil, ErrDecrypt
		}
	}
	return padded[4:n:n], nil
}
