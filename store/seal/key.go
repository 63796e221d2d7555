package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"filippo.io/age"
)

// A Key is the file key of a sealed payload. Whoever has it can open the
// payload. It does not print, log or marshal as text.
type Key [16]byte

// identityInfo is the HKDF info by which a file key gives the X25519 identity
// that its own header is addressed to.
const identityInfo = "WARD-V1-AGE-IDENTITY"

// Identity returns an age identity (AGE-SECRET-KEY-1…) that opens the blob
// with any age program:
//
//	age --decrypt --identity FILE blob | head -c SIZE
//
// It is as secret as the key, from which it is derived.
func (k Key) Identity() (string, error) {
	scalar, err := hkdf.Key(sha256.New, k[:], nil, identityInfo, 32)
	if err != nil {
		return "", err
	}
	defer clear(scalar)
	return strings.ToUpper(bech32("age-secret-key-", scalar)), nil
}

func (k Key) identity() (*age.X25519Identity, error) {
	s, err := k.Identity()
	if err != nil {
		return nil, err
	}
	return age.ParseX25519Identity(s)
}

const redacted = "seal.Key(redacted)"

// Format prints a placeholder for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue logs a placeholder.
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses, so that no JSON or other text carries a key by accident.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("a payload key is not encoded as text")
}

// recipient addresses an age file to the identity of its own file key, and
// notes the key.
type recipient struct{ key *Key }

func (r recipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	if len(fileKey) != len(r.key) {
		return nil, fmt.Errorf("file key of %d bytes", len(fileKey))
	}
	copy(r.key[:], fileKey)
	id, err := r.key.identity()
	if err != nil {
		return nil, err
	}
	return id.Recipient().Wrap(fileKey)
}

// unwrapper opens age files whose file key is known, if their header is the one
// that recipient makes.
type unwrapper struct{ key Key }

func (u unwrapper) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "X25519" {
		return nil, ErrOpen
	}
	id, err := u.key.identity()
	if err != nil {
		return nil, err
	}
	fileKey, err := id.Unwrap(stanzas)
	if err != nil || subtle.ConstantTimeCompare(fileKey, u.key[:]) != 1 {
		return nil, ErrOpen
	}
	return fileKey, nil
}

// checkHeader reports whether b is the header of an age file as this package
// writes it: one X25519 stanza and the MAC, in the only spelling there is. It
// does not look at the MAC.
func checkHeader(b []byte) bool {
	const (
		intro = "age-encryption.org/v1\n-> X25519 "
		mac   = "\n--- "
	)
	if len(b) != headerSize {
		return false
	}
	s, ok := strings.CutPrefix(string(b), intro)
	if !ok {
		return false
	}
	lines := []string{s[:43], s[44:87], s[92:135]}
	if s != lines[0]+"\n"+lines[1]+mac+lines[2]+"\n" {
		return false
	}
	for _, l := range lines {
		// The decoder skips line breaks: a shorter value shows one.
		if v, err := base64.RawStdEncoding.Strict().DecodeString(l); err != nil || len(v) != 32 {
			return false
		}
	}
	return true
}

// bech32 encodes data after the human-readable part hrp (BIP 173, without its
// limit on length, as age uses it).
func bech32(hrp string, data []byte) string {
	const charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	var values []byte
	acc, bits := uint(0), 0
	for _, b := range data {
		acc, bits = acc<<8|uint(b), bits+8
		for ; bits >= 5; bits -= 5 {
			values = append(values, byte(acc>>(bits-5)&31))
		}
	}
	if bits > 0 {
		values = append(values, byte(acc<<(5-bits)&31))
	}

	check := uint32(1)
	polymod := func(v byte) {
		top := check >> 25
		check = check&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			check ^= g * (top >> i & 1)
		}
	}
	for _, c := range []byte(hrp) {
		polymod(c >> 5)
	}
	polymod(0)
	for _, c := range []byte(hrp) {
		polymod(c & 31)
	}
	for _, v := range values {
		polymod(v)
	}
	for range 6 {
		polymod(0)
	}
	check ^= 1
	out := hrp + "1"
	for _, v := range values {
		out += charset[v : v+1]
	}
	for i := range 6 {
		v := check >> (5 * (5 - i)) & 31
		out += charset[v : v+1]
	}
	return out
}
