package dkg

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/internal/pairing"
)

// readVectors returns the colon-separated hexadecimal fields of every line that
// is not a comment.
func readVectors(t testing.TB, name string) [][][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var lines [][][]byte
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		var fields [][]byte
		for field := range strings.SplitSeq(strings.TrimSpace(line), ":") {
			b, err := hex.DecodeString(field)
			if err != nil {
				t.Fatal(err)
			}
			fields = append(fields, b)
		}
		lines = append(lines, fields)
	}
	if len(lines) == 0 {
		t.Fatalf("%s holds no vectors", name)
	}
	return lines
}

// dealtKey is a key dealt by a trusted dealer, for the tests of signing alone.
type dealtKey struct {
	sharing *Sharing
	shares  []*Share
}

func dealKey(t testing.TB, generation uint32, n, threshold int, constant *pairing.Secret) dealtKey {
	t.Helper()
	polynomial, commitments := []*pairing.Secret{constant}, []pairing.G1{constant.MulG1(pairing.GeneratorG1())}
	for len(polynomial) < threshold {
		c := generateSecret(t)
		polynomial, commitments = append(polynomial, c), append(commitments, c.MulG1(pairing.GeneratorG1()))
	}
	sharing, err := NewSharing(generation, n, commitments)
	if err != nil {
		t.Fatal(err)
	}
	d := dealtKey{sharing: sharing}
	for i := range n {
		share, err := NewShare(generation, uint8(i+1), pairing.EvaluateSecret(polynomial, uint8(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		d.shares = append(d.shares, share)
	}
	return d
}

func generateSecret(t testing.TB) *pairing.Secret {
	t.Helper()
	s, err := pairing.GenerateSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (d dealtKey) sign(t testing.TB, msg []byte, indices ...uint8) []*PartialSignature {
	t.Helper()
	var parts []*PartialSignature
	for _, i := range indices {
		key, err := NewSigningKey(d.shares[i-1], d.sharing)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, key.Sign(msg))
	}
	return parts
}

func TestPublishedSignatures(t *testing.T) {
	for _, v := range readVectors(t, "bls/sign.txt") {
		secret, err := pairing.ParseSecret(v[0])
		if err != nil {
			t.Fatal(err)
		}
		d := dealKey(t, 1, 1, 1, secret)
		sig, err := d.sharing.Combine(v[1], d.sign(t, v[1], 1))
		if err != nil || !bytes.Equal(sig.Bytes(), v[2]) {
			t.Errorf("key %x signs %x as %x, %v", v[0], v[1], sig.Bytes(), err)
		}
		d = dealKey(t, 1, 5, 3, secret)
		sig, err = d.sharing.Combine(v[1], d.sign(t, v[1], 2, 5, 3))
		if err != nil || !bytes.Equal(sig.Bytes(), v[2]) {
			t.Errorf("three shares of key %x sign %x as %x, %v", v[0], v[1], sig.Bytes(), err)
		}
	}
}

func TestPublishedThresholdSignature(t *testing.T) {
	for _, v := range readVectors(t, "bls/drand.txt") {
		key, err := ParsePublicKey(v[0])
		if err != nil {
			t.Fatal(err)
		}
		sig, err := ParseSignature(v[2])
		if err != nil {
			t.Fatal(err)
		}
		msg := sha256.Sum256(v[1])
		if err := key.Verify(msg[:], sig); err != nil {
			t.Error(err)
		}
		msg[0] ^= 1
		if err := key.Verify(msg[:], sig); !errors.Is(err, ErrSignature) {
			t.Errorf("another message: %v", err)
		}
	}
}

// subsets returns all subsets of {1, …, n} with size members.
func subsets(n, size int) [][]uint8 {
	var out [][]uint8
	for mask := range 1 << n {
		var s []uint8
		for i := range n {
			if mask>>i&1 == 1 {
				s = append(s, uint8(i+1))
			}
		}
		if len(s) == size {
			out = append(out, s)
		}
	}
	return out
}

func TestEveryQuorumSignsAndNoSmallerSetDoes(t *testing.T) {
	msg := []byte("WARD-V1-TEST message")
	for n := 1; n <= 7; n++ {
		threshold := checkpointThreshold(n)
		d := dealKey(t, 1, n, threshold, generateSecret(t))
		parts := make([]*PartialSignature, n+1)
		for i := 1; i <= n; i++ {
			parts[i] = d.sign(t, msg, uint8(i))[0]
		}
		choose := func(set []uint8) (out []*PartialSignature) {
			for _, i := range set {
				out = append(out, parts[i])
			}
			return out
		}
		var first []byte
		for _, set := range subsets(n, threshold) {
			sig, err := d.sharing.Combine(msg, choose(set))
			if err != nil {
				t.Fatalf("n = %d, members %v: %v", n, set, err)
			}
			if first == nil {
				first = sig.Bytes()
			}
			if !bytes.Equal(sig.Bytes(), first) {
				t.Fatalf("n = %d, members %v sign otherwise than the first quorum", n, set)
			}
		}
		for _, set := range subsets(n, threshold-1) {
			if _, err := d.sharing.Combine(msg, choose(set)); !errors.Is(err, ErrTooFew) {
				t.Fatalf("n = %d, members %v combine: %v", n, set, err)
			}
			if len(set) == 0 {
				continue
			}
			// Interpolating regardless of the threshold gives no signature.
			sig, err := interpolate(choose(set))
			if err != nil {
				t.Fatal(err)
			}
			if d.sharing.Key().Verify(msg, sig) == nil {
				t.Fatalf("n = %d: members %v, fewer than %d, sign", n, set, threshold)
			}
		}
	}
}

func TestWrongPartIsBlamed(t *testing.T) {
	msg := []byte("WARD-V1-TEST message")
	d := dealKey(t, 3, 5, 4, generateSecret(t))
	parts := d.sign(t, msg, 1, 2, 3, 4, 5)
	parts[1] = d.sign(t, []byte("WARD-V1-TEST other"), 2)[0]
	parts[3].point = parts[3].point.Neg()
	_, err := d.sharing.Combine(msg, parts)
	var named []uint8
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			var blame *BlameError
			if errors.As(e, &blame) {
				named = append(named, blame.Index)
			}
		}
	}
	if fmt.Sprint(named) != "[2 4]" || !errors.Is(err, ErrSignature) {
		t.Errorf("Combine blames %v: %v", named, err)
	}
	if err := d.sharing.VerifyPart(msg, parts[0]); err != nil {
		t.Error(err)
	}
	var blame *BlameError
	if err := d.sharing.VerifyPart(msg, parts[1]); !errors.As(err, &blame) || blame.Index != 2 {
		t.Errorf("VerifyPart = %v, want blame on 2", err)
	}
}

func TestCombineRefusesWhatDoesNotBelongTogether(t *testing.T) {
	msg := []byte("WARD-V1-TEST message")
	secret := generateSecret(t)
	d, next := dealKey(t, 1, 4, 3, secret), dealKey(t, 2, 4, 3, secret)
	mixed := append(d.sign(t, msg, 1, 2), next.sign(t, msg, 3)...)
	if _, err := d.sharing.Combine(msg, mixed); !errors.Is(err, ErrGeneration) {
		t.Errorf("two generations: %v", err)
	}
	mixed[2].generation = 1 // a lie does not help
	if _, err := d.sharing.Combine(msg, mixed); !errors.Is(err, ErrSignature) {
		t.Errorf("two generations under one number: %v", err)
	}
	if _, err := d.sharing.Combine(msg, d.sign(t, msg, 1, 2, 2)); !errors.Is(err, ErrDuplicate) {
		t.Errorf("a repeated index: %v", err)
	}
	for _, index := range []uint8{0, 5} {
		parts := d.sign(t, msg, 1, 2, 3)
		parts[1].index = index
		if _, err := d.sharing.Combine(msg, parts); !errors.Is(err, ErrIndex) {
			t.Errorf("index %d: %v", index, err)
		}
	}
	other := dealKey(t, 1, 4, 3, generateSecret(t))
	if _, err := NewSigningKey(other.shares[0], d.sharing); !errors.Is(err, ErrShare) {
		t.Errorf("a share of another key: %v", err)
	}
	if _, err := NewSigningKey(next.shares[0], d.sharing); !errors.Is(err, ErrGeneration) {
		t.Errorf("a share of another generation: %v", err)
	}
}

func TestSharesPersist(t *testing.T) {
	d := dealKey(t, 7, 4, 3, generateSecret(t))
	sharing, err := ParseSharing(d.sharing.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	share, err := ParseShare(d.shares[2].Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := share.Check(sharing); err != nil {
		t.Fatal(err)
	}
	if share.Generation() != 7 || share.Index() != 3 || sharing.Generation() != 7 || sharing.Members() != 4 || sharing.Threshold() != 3 {
		t.Error("a number came back changed")
	}
	share.Erase()
	if !share.Secret().IsZero() {
		t.Error("an erased share is not zero")
	}
	if err := share.Check(sharing); !errors.Is(err, ErrShare) {
		t.Errorf("an erased share: %v", err)
	}
}

func TestKeysAndSignaturesAreParsedStrictly(t *testing.T) {
	d := dealKey(t, 1, 4, 3, generateSecret(t))
	msg := []byte("WARD-V1-TEST message")
	sig, err := d.sharing.Combine(msg, d.sign(t, msg, 1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	infinity := func(size int) []byte { return append([]byte{0xc0}, make([]byte, size-1)...) }
	for name, b := range map[string][]byte{"empty": nil, "short": sig.Bytes()[:95], "long": append(sig.Bytes(), 0), "identity": infinity(96)} {
		if _, err := ParseSignature(b); err == nil {
			t.Errorf("a signature is accepted: %s", name)
		}
	}
	key := d.sharing.Key().Bytes()
	for name, b := range map[string][]byte{"empty": nil, "short": key[:47], "long": append(bytes.Clone(key), 0), "identity": infinity(48)} {
		if _, err := ParsePublicKey(b); err == nil {
			t.Errorf("a key is accepted: %s", name)
		}
	}
	if err := (PublicKey{}).Verify(msg, Signature{}); !errors.Is(err, ErrSignature) {
		t.Errorf("the identity signs under the identity: %v", err)
	}
	if _, err := NewSharing(1, 4, make([]pairing.G1, 3)); !errors.Is(err, ErrIdentity) {
		t.Errorf("commitments to zero: %v", err)
	}
}

func TestCombineIsDeterministic(t *testing.T) {
	d := dealKey(t, 1, 7, 5, generateSecret(t))
	rapid.Check(t, func(rt *rapid.T) {
		msg := rapid.SliceOf(rapid.Byte()).Draw(rt, "msg")
		set := rapid.SliceOfNDistinct(rapid.Uint8Range(1, 7), 5, 7, rapid.ID).Draw(rt, "members")
		sig, err := d.sharing.Combine(msg, d.sign(t, msg, set...))
		if err != nil || d.sharing.Key().Verify(msg, sig) != nil {
			rt.Fatal(err)
		}
		parsed, err := ParseSignature(sig.Bytes())
		if err != nil || d.sharing.Key().Verify(msg, parsed) != nil {
			rt.Fatal("a signature does not survive its encoding")
		}
	})
}

func ExampleSharing_Combine() {
	// A dealer stands in for the ceremony that makes such a key.
	polynomial := []*pairing.Secret{pairing.NewSecret(11), pairing.NewSecret(22), pairing.NewSecret(33)}
	var commitments []pairing.G1
	for _, c := range polynomial {
		commitments = append(commitments, c.MulG1(pairing.GeneratorG1()))
	}
	sharing, _ := NewSharing(1, 4, commitments)

	msg := []byte("WARD-V1-CHECKPOINT …")
	var parts []*PartialSignature
	for _, i := range []uint8{1, 2, 4} {
		share, _ := NewShare(1, i, pairing.EvaluateSecret(polynomial, i))
		key, _ := NewSigningKey(share, sharing)
		parts = append(parts, key.Sign(msg))
	}
	sig, err := sharing.Combine(msg, parts)
	fmt.Println(len(sig.Bytes()), err, sharing.Key().Verify(msg, sig))
	// Output: 96 <nil> <nil>
}
