package replica

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ward-health/ward/chain"
)

func head(height uint64, block byte) chain.TreeHead {
	return chain.TreeHead{Chain: testChain, Size: height, Height: height, Block: chain.Hash{block}}
}

// signer returns what signs tree heads on h0, with its sign file in dir.
func signer(t *testing.T, dir string, key crypto.Signer) *Replica {
	t.Helper()
	f, _, err := openSignFile(dir, medium{simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &Replica{
		opt: Options{Member: "h0", Key: key}, signed: f,
		certs: newCertifier("h0", nil, func(error) {}),
	}
}

func jobs(t *testing.T, heads ...chain.TreeHead) []signJob {
	k := testConsortium(t, 3, 0)
	var out []signJob
	for i, h := range heads {
		out = append(out, signJob{h, k, uint64(i + 1)})
	}
	return out
}

// A member signs each height once: not another body at a height it has signed,
// nothing below it, and the same body again only as it was. This holds across a
// restart.
func TestNoTreeHeadIsSignedTwice(t *testing.T) {
	dir := t.TempDir()
	if out, err := signer(t, dir, testKey("h0")).signAll(jobs(t, head(4, 1), head(5, 1))); err != nil || len(out) != 2 {
		t.Fatalf("%d signatures, %v", len(out), err)
	}
	r := signer(t, dir, testKey("h0"))
	if out, err := r.signAll(jobs(t, head(3, 2), head(4, 2))); err != nil || len(out) != 0 {
		t.Fatalf("signed %d heights below the newest, %v", len(out), err)
	}
	var broken *chain.BrokenError
	if out, err := r.signAll(jobs(t, head(5, 2))); !errors.As(err, &broken) || len(out) != 0 {
		t.Fatalf("another body at the newest height: %d signatures, %v", len(out), err)
	}
	if out, err := r.signAll(jobs(t, head(5, 1))); err != nil || len(out) != 1 {
		t.Fatalf("the same body again: %d signatures, %v", len(out), err)
	}
	if out, err := r.signAll(jobs(t, head(6, 1))); err != nil || len(out) != 1 {
		t.Fatalf("the next height: %d signatures, %v", len(out), err)
	}
}

// A member that gave up what it cannot remember signs only above that height.
func TestNothingIsSignedUpToAForfeitedHeight(t *testing.T) {
	r := signer(t, t.TempDir(), testKey("h0"))
	if err := r.signed.record(signedHead{Height: 7}); err != nil {
		t.Fatal(err)
	}
	out, err := r.signAll(jobs(t, head(6, 1), head(7, 1), head(8, 1)))
	if err != nil || len(out) != 1 || out[0].Height != 8 {
		t.Fatalf("%d signatures, %v", len(out), err)
	}
}

// watchedKey calls before in front of every signature.
type watchedKey struct {
	ed25519.PrivateKey
	before func()
}

func (k watchedKey) Sign(rand io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.before()
	return k.PrivateKey.Sign(rand, msg, opts)
}

// When the key is used, the file holds the height already; when the file cannot
// be written, the key is not used.
func TestSignatureIsOnRecordBeforeItIsMade(t *testing.T) {
	dir := t.TempDir()
	signatures := 0
	key := watchedKey{testKey("h0"), func() {
		signatures++
		f, _, err := openSignFile(dir, medium{simulated: true})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.last.Height != 5 || f.last.Hash != bodyHash(head(5, 1)) {
			t.Errorf("record holds height %d", f.last.Height)
		}
	}}
	r := signer(t, dir, key)
	if _, err := r.signAll(jobs(t, head(4, 1), head(5, 1))); err != nil || signatures != 2 {
		t.Fatalf("%d signatures, %v", signatures, err)
	}
	r.signed.Close()
	if out, err := r.signAll(jobs(t, head(6, 1))); err == nil || len(out) != 0 || signatures != 2 {
		t.Fatalf("signed without a record: %d signatures, %v", len(out), err)
	}
}

// Either copy in the sign file is enough; with both damaged the file is.
func TestSignFileHoldsTwoCopies(t *testing.T) {
	write := func(t *testing.T) string {
		dir := t.TempDir()
		if err := signer(t, dir, testKey("h0")).signed.record(signedHead{Height: 9}); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, c := range map[string]struct {
		at     []int64
		height uint64
	}{
		"whole": {nil, 9}, "first copy": {[]int64{10}, 9}, "second copy": {[]int64{signSlot + 10}, 9}, "both": {[]int64{10, signSlot + 10}, 0},
	} {
		dir := write(t)
		for _, at := range c.at {
			flipAt(t, filepath.Join(dir, "signed"), at)
		}
		f, existed, err := openSignFile(dir, medium{simulated: true})
		f.Close()
		if !existed || isDamage(err) != (c.height == 0) || f.last.Height != c.height {
			t.Errorf("%s: height %d, %v", name, f.last.Height, err)
		}
	}
}

func flipAt(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every flipped bit in the small files is found.
func TestNoFlipInVoteOrSealedBytesIsSilent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vote")
	s, _, err := openStable(path, medium{simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetUint64([]byte(keyCurrentTerm), 7); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(whole) {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := openStable(path, medium{simulated: true}); !isDamage(err) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

func cosigned(t *testing.T, k *chain.Consortium, h chain.TreeHead, member, key string) chain.Signature {
	t.Helper()
	sig, err := k.Cosign(h, member, 1_700_000_000, testKey(key))
	if err != nil {
		forged := *k
		forged.Members = append([]chain.Member(nil), k.Members...)
		for i := range forged.Members {
			if forged.Members[i].Name == member {
				forged.Members[i] = testMember(key)
				forged.Members[i].Name = member
			}
		}
		if sig, err = forged.Cosign(h, member, 1_700_000_000, testKey(key)); err != nil {
			t.Fatal(err)
		}
	}
	return sig
}

// Only valid cosignatures of different members on our own tree head count, and
// it takes t_c of them.
func TestCertificateTakesThresholdOfValidCosignatures(t *testing.T) {
	k := testConsortium(t, 4, 0)
	h := head(3, 1)
	for name, c := range map[string]struct {
		add       func(*certifier)
		certified bool
	}{
		"three members": {func(c *certifier) {
			c.add("h2", h, cosigned(t, k, h, "h2", "h2"))
		}, true},
		"two members": {func(*certifier) {}, false},
		"forged": {func(c *certifier) {
			c.add("h2", h, cosigned(t, k, h, "h2", "stranger"))
		}, false},
		"one member twice": {func(c *certifier) {
			c.add("h2", h, cosigned(t, k, h, "h1", "h1"))
		}, false},
		"another head": {func(c *certifier) {
			c.add("h2", head(3, 2), cosigned(t, k, head(3, 2), "h2", "h2"))
		}, false},
	} {
		certs := newCertifier("h0", nil, func(err error) { t.Errorf("%s: %v", name, err) })
		certs.executed(h, k, 1)
		certs.add("h0", h, cosigned(t, k, h, "h0", "h0"))
		certs.add("h1", h, cosigned(t, k, h, "h1", "h1"))
		c.add(certs)
		certs.settle()
		if got := certs.checkpoint() != nil; got != c.certified {
			t.Errorf("%s: certified is %v", name, got)
		}
		if cp := certs.checkpoint(); cp != nil && k.Verify(cp) != nil {
			t.Errorf("%s: certificate does not verify", name)
		}
	}
}

// A replica whose block is not the certified one says so, wherever the
// certificate comes from.
func TestOtherHistoryThanTheCertifiedIsNoticed(t *testing.T) {
	k := testConsortium(t, 3, 0)
	ours, theirs := head(3, 1), head(3, 2)
	cp := &chain.Checkpoint{TreeHead: theirs}
	for name, script := range map[string]func(*certifier){
		"offered after": func(c *certifier) { c.executed(ours, k, 1); c.offer(cp) },
		"expected":      func(c *certifier) { c.expect(cp); c.executed(ours, k, 1) },
		"signed by the others": func(c *certifier) {
			c.executed(ours, k, 1)
			for _, m := range []string{"h1", "h2"} {
				c.add(m, theirs, cosigned(t, k, theirs, m, m))
			}
			c.settle()
		},
	} {
		noticed := false
		c := newCertifier("h0", nil, func(error) { noticed = true })
		script(c)
		if !noticed || c.checkpoint() != nil {
			t.Errorf("%s: noticed %v, certified %v", name, noticed, c.checkpoint() != nil)
		}
	}
}

// A member cannot hand in cosignatures under another's name.
func TestCosignaturesAreTakenFromTheirSignerOnly(t *testing.T) {
	k := testConsortium(t, 3, 0)
	r := signer(t, t.TempDir(), testKey("h0"))
	h := head(3, 1)
	note := func(members ...string) []byte {
		cp := chain.Checkpoint{TreeHead: h}
		for _, m := range members {
			cp.Signatures = append(cp.Signatures, cosigned(t, k, h, m, m))
		}
		b, err := cp.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, bad := range [][]byte{note("h2"), note("h1", "h2"), []byte("x")} {
		if err := r.serveCosign("h1", cosignRequest{Notes: [][]byte{bad}}); err == nil {
			t.Errorf("took %q", bad)
		}
	}
	if err := r.serveCosign("h1", cosignRequest{Notes: make([][]byte, maxCosigns+1)}); err == nil {
		t.Error("took too many")
	}
	if err := r.serveCosign("h1", cosignRequest{Notes: [][]byte{note("h1")}}); err != nil {
		t.Error(err)
	}
}
