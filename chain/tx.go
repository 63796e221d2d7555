package chain

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math"
	"time"
)

// Limits on transactions, in bytes. Part of the format.
const (
	MaxTx      = 48 << 10 // a signed transaction
	MaxSidecar = 1 << 20  // the sidecar of a transaction
)

// MaxLifetime is how far beyond the time of its block a transaction's NotAfter
// may lie. Replicas remember transactions for that long. Part of the format.
const MaxLifetime = time.Hour

// A Tx is a signed request to run one method of one contract. Fields must not
// be changed: the signature and the id cover the bytes they were read from.
type Tx struct {
	TxBody
	raw  []byte // body ‖ signature
	id   Hash   // SHA-256 of the body
	hash Hash   // SHA-256 of raw
	good bool   // the signature was verified
}

// TxBody is what a transaction says.
type TxBody struct {
	_        struct{} `cbor:",toarray"`
	Name     string   // "ward/v1/tx"; SignTx fills it in
	Chain    string   // id of the chain
	Contract string
	Method   string
	Args     []byte    // deterministic CBOR; its meaning is the contract's
	NotAfter int64     // Unix milliseconds; no block with a later time executes it
	Nonce    [16]byte  // random; SignTx fills it in when it is zero
	Sidecar  Sidecar   // zero when there is none
	Signer   PublicKey // SignTx fills it in
}

// Sidecar commits to bytes that travel with a transaction and can be purged
// later. The zero value stands for "none".
type Sidecar struct {
	_    struct{} `cbor:",toarray"`
	Size uint32   // bytes, at most MaxSidecar
	Hash Hash
}

// NewSidecar returns the commitment to data, at most MaxSidecar bytes. Empty
// data is no sidecar.
func NewSidecar(data []byte) (Sidecar, error) {
	if len(data) > MaxSidecar {
		return Sidecar{}, fmt.Errorf("sidecar: %d bytes, limit %d", len(data), MaxSidecar)
	}
	if len(data) == 0 {
		return Sidecar{}, nil
	}
	h := sha256.New()
	h.Write([]byte("WARD-V1-SIDECAR"))
	h.Write(data)
	return Sidecar{Size: uint32(len(data)), Hash: Hash(h.Sum(nil))}, nil
}

// Matches reports whether s commits to data.
func (s Sidecar) Matches(data []byte) bool {
	got, err := NewSidecar(data)
	return err == nil && got == s
}

// SignTx returns the transaction body signed by key, whose public key must be
// Ed25519. It sets Name, Signer and, when it is zero, Nonce; to retry safely,
// send the same Tx again rather than signing anew.
func SignTx(body TxBody, key crypto.Signer) (*Tx, error) {
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return nil, errors.New("sign transaction: key is not Ed25519")
	}
	body.Name = nameTx
	body.Signer = PublicKey(pub)
	if body.Nonce == ([16]byte{}) {
		if _, err := rand.Read(body.Nonce[:]); err != nil {
			return nil, fmt.Errorf("sign transaction: %w", err)
		}
	}
	if err := body.check(); err != nil {
		return nil, fmt.Errorf("sign transaction: %w", err)
	}
	msg, err := Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("sign transaction: %w", err)
	}
	sig, err := key.Sign(rand.Reader, msg, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("sign transaction: %w", err)
	}
	if len(msg)+len(sig) > MaxTx {
		return nil, fmt.Errorf("sign transaction: %d bytes, limit %d", len(msg)+len(sig), MaxTx)
	}
	tx := &Tx{TxBody: body, raw: append(msg, sig...)}
	tx.sum(sha256.New())
	return tx, nil
}

// ParseTx parses the bytes of a signed transaction, at most MaxTx. It does not
// verify the signature; Verify does. The Tx keeps data, which must not be
// changed any more.
func ParseTx(data []byte) (*Tx, error) {
	if len(data) > MaxTx {
		return nil, fmt.Errorf("transaction: %d bytes, limit %d", len(data), MaxTx)
	}
	n := len(data) - ed25519.SignatureSize
	if n < 0 {
		return nil, errors.New("transaction: too short for a signature")
	}
	tx := &Tx{raw: data[:len(data):len(data)]}
	if err := tx.parse(new(TxBody), sha256.New()); err != nil {
		return nil, err
	}
	return tx, nil
}

// parse fills tx from its raw bytes, at least as long as a signature. Strings
// that are those of last are shared with it. h is any SHA-256.
func (tx *Tx) parse(last *TxBody, h hash.Hash) error {
	msg, _ := tx.signed()
	r := wireReader{data: msg}
	r.readTxBody(&tx.TxBody, last)
	if !r.done() {
		return fmt.Errorf("transaction: %w", ErrNotCanonical)
	}
	if err := tx.check(); err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	tx.sum(h)
	return nil
}

// sum sets the two hashes. What they have in common, the body, is hashed once.
func (tx *Tx) sum(h hash.Hash) {
	msg, sig := tx.signed()
	h.Reset()
	h.Write(msg)
	h.Sum(tx.id[:0])
	h.Write(sig)
	h.Sum(tx.hash[:0])
}

// Bytes returns the exact bytes that ParseTx accepts. The caller must not
// change them.
func (tx *Tx) Bytes() []byte { return tx.raw }

// ID returns the SHA-256 hash of the signed bytes without the signature. A
// transaction with this id has at most one effect on its chain.
func (tx *Tx) ID() Hash { return tx.id }

// Verify reports whether the signature is valid for the signer under the
// rules of ZIP 215.
func (tx *Tx) Verify() bool {
	msg, sig := tx.signed()
	return tx.Signer.Verify(msg, sig)
}

// Admit returns the code with which every replica rejects tx in a block of
// this chain at this time, Unix milliseconds, before it looks at the state; it
// is empty if there is no reason to. A nil tx stands for bytes that are none,
// good is the verdict on the signature.
func (tx *Tx) Admit(chain string, time int64, good bool) Code {
	switch {
	case tx == nil:
		return ErrMalformed
	case !good:
		return ErrSignature
	case tx.Chain != chain:
		return ErrChain
	case tx.NotAfter < time:
		return ErrExpired
	case tx.NotAfter-time > MaxLifetime.Milliseconds():
		return ErrLifetime
	}
	return ""
}

func (tx *Tx) signed() (msg, sig []byte) {
	n := len(tx.raw) - ed25519.SignatureSize
	return tx.raw[:n], tx.raw[n:]
}

func (b *TxBody) check() error {
	switch {
	case b.Name != nameTx:
		return fmt.Errorf("name is not %q", nameTx)
	case !validChainID(b.Chain):
		return errors.New("malformed chain id")
	case !ValidName(b.Contract):
		return errors.New("malformed contract name")
	case !ValidName(b.Method):
		return errors.New("malformed method name")
	case b.NotAfter <= 0 || b.NotAfter > math.MaxInt64/2:
		return errors.New("not-after out of range")
	case b.Sidecar.Size > MaxSidecar:
		return fmt.Errorf("sidecar of %d bytes, limit %d", b.Sidecar.Size, MaxSidecar)
	case (b.Sidecar.Size == 0) != b.Sidecar.Hash.IsZero():
		return errors.New("malformed sidecar commitment")
	}
	return nil
}

// ValidName reports whether s can name a contract, a method, an event or a
// code: 1 to 48 of a–z, 0–9, '.', '-' and '/', beginning with a letter.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 48 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '/' {
			return false
		}
	}
	return true
}

// validChainID accepts 1 to 63 of a–z, 0–9, '.' and '-', beginning and ending
// with a letter or digit: a DNS name fits.
func validChainID(s string) bool {
	if len(s) == 0 || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (c != '-' && c != '.' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return true
}
