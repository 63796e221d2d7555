package threshold

import (
	"bytes"
	"testing"
)

// FuzzShares checks that what a parser accepts has one encoding.
func FuzzShares(f *testing.F) {
	d := dealKey(f, 1, 4, 3, generateSecret(f))
	f.Add(d.sharing.Bytes())
	f.Add(d.shares[0].Bytes())
	f.Add(d.sign(f, []byte("m"), 1)[0].Bytes())
	f.Add(d.sharing.Key().Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseSharing(b); err == nil && !bytes.Equal(s.Bytes(), b) {
			t.Error("a sharing has two encodings")
		}
		if s, err := ParseShare(b); err == nil && !bytes.Equal(s.Bytes(), b) {
			t.Error("a share has two encodings")
		}
		if p, err := ParsePartialSignature(b); err == nil && !bytes.Equal(p.Bytes(), b) {
			t.Error("a partial signature has two encodings")
		}
		if k, err := ParsePublicKey(b); err == nil && !bytes.Equal(k.Bytes(), b) {
			t.Error("a public key has two encodings")
		}
		if s, err := ParseSignature(b); err == nil && !bytes.Equal(s.Bytes(), b) {
			t.Error("a signature has two encodings")
		}
	})
}
