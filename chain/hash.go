package chain

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Hash is a SHA-256 digest, 32 bytes. It prints as 64 lower-case hexadecimal
// digits.
type Hash [sha256.Size]byte

// String returns h as 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is all zeros, which stands for "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText returns String as bytes. It never fails.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText sets h from exactly 64 lower-case hexadecimal digits.
func (h *Hash) UnmarshalText(text []byte) error { return unmarshalHex(h[:], text) }

// PublicKey is an Ed25519 public key, 32 bytes. Two keys are the same signer
// if and only if their bytes are equal.
type PublicKey [ed25519.PublicKeySize]byte

// String returns k as 64 lower-case hexadecimal digits.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText returns String as bytes. It never fails.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText sets k from exactly 64 lower-case hexadecimal digits. It does
// not check that the bytes are a point: a key that is none verifies nothing.
func (k *PublicKey) UnmarshalText(text []byte) error { return unmarshalHex(k[:], text) }

func unmarshalHex(dst, text []byte) error {
	if len(text) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("want %d hexadecimal digits, have %d", hex.EncodedLen(len(dst)), len(text))
	}
	for _, c := range text {
		if c >= 'A' && c <= 'F' {
			return errors.New("hexadecimal digits must be lower-case")
		}
	}
	_, err := hex.Decode(dst, text)
	return err
}
