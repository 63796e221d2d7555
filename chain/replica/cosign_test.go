package replica

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
)

// certificate returns a checkpoint at h that members certified.
func certificate(t *testing.T, k *chain.Consortium, h chain.TreeHead, members ...string) *chain.Checkpoint {
	t.Helper()
	cp := &chain.Checkpoint{TreeHead: h}
	for _, m := range members {
		cp.Signatures = append(cp.Signatures, cosigned(t, k, h, m, m))
	}
	if err := k.Verify(cp); err != nil {
		t.Fatal(err)
	}
	return cp
}

// note returns a checkpoint at h with one signature by this member, made with this
// key.
func note(t *testing.T, k *chain.Consortium, h chain.TreeHead, member, key string) []byte {
	t.Helper()
	return mustNote(t, &chain.Checkpoint{TreeHead: h, Signatures: []chain.Signature{cosigned(t, k, h, member, key)}})
}

// A replica that comes to another block than the certificate on its disk is for,
// after a restart, says so, and counts neither its own block nor those before it
// for uncertified.
func TestOtherBlockThanTheNewestCertifiedIsNoticed(t *testing.T) {
	k := testConsortium(t, 3, 0)
	theirs := certificate(t, k, head(3, 2), "h1", "h2")
	for name, ours := range map[string]chain.TreeHead{"the same": head(3, 2), "another": head(3, 1), "before it": head(2, 1)} {
		var broken *chain.BrokenError
		c := newCertifier("h0", theirs, func(err error) { errors.As(err, &broken) })
		c.executed(ours, k, 1)
		if noticed := broken != nil; noticed != (name == "another") || noticed && broken.Height != 3 {
			t.Errorf("%s block: noticed %v", name, broken)
		}
		if len(c.unsigned) > 0 {
			t.Errorf("%s block: it would be signed", name)
		}
	}
}

// Evidence against a member is a signature of its own: nobody can make it look as if
// another had signed two histories.
func TestAttackForgedEvidence(t *testing.T) {
	k := testConsortium(t, 4, 0)
	ours, theirs := head(3, 1), head(3, 2)
	for name, c := range map[string]struct {
		member, signer, key string
		evidence            int
	}{
		"its own":                   {"h2", "h2", "h2", 1},
		"its own key, another name": {"h2", "h1", "h1", 0},
		"no key of a member":        {"h2", "h2", "stranger", 0},
		"another member's key":      {"h2", "h2", "h1", 0},
	} {
		certs := newCertifier("h0", nil, func(err error) { t.Errorf("%s: %v", name, err) })
		certs.executed(ours, k, 1)
		sig := cosigned(t, k, theirs, c.signer, c.key)
		for range 2 {
			certs.add(c.member, theirs, sig) // late, say, or before our own
			certs.settle()
		}
		if n := len(certs.evidence); n != c.evidence {
			t.Errorf("%s: %d pieces of evidence", name, n)
		}
		for _, d := range certs.evidence {
			e := chain.Evidence{First: &chain.Checkpoint{TreeHead: d.Theirs, Signatures: []chain.Signature{d.Signature}},
				Second: &chain.Checkpoint{TreeHead: d.Ours, Signatures: []chain.Signature{cosigned(t, k, d.Ours, "h2", "h2")}}}
			if who, err := e.Verify(k); who != "h2" || err != nil {
				t.Errorf("%s: convicts %q, %v", name, who, err)
			}
		}
	}
}

// Members who hold nobody's key but their own can hand in forged signatures on
// another history under every name: the replica does not halt, and is certified
// by the good ones.
func TestAttackForgedMajority(t *testing.T) {
	k := testConsortium(t, 4, 0)
	ours, theirs := head(3, 1), head(3, 2)
	certs := newCertifier("h0", nil, func(err error) { t.Errorf("halted: %v", err) })
	certs.executed(ours, k, 1)
	for _, m := range []string{"h1", "h2", "h3"} {
		certs.add(m, theirs, cosigned(t, k, theirs, m, "stranger"))
	}
	certs.settle()
	if len(certs.evidence) > 0 || certs.checkpoint() != nil {
		t.Errorf("evidence %v, certified %v", certs.evidence, certs.checkpoint())
	}
	for _, m := range []string{"h0", "h1", "h2"} {
		certs.add(m, ours, cosigned(t, k, ours, m, m))
	}
	certs.settle()
	if cp := certs.checkpoint(); cp == nil || k.Verify(cp) != nil {
		t.Errorf("certified: %v", cp)
	}
}

// A member that signs whatever it likes takes only so much memory.
func TestAttackFloodOfCosignatures(t *testing.T) {
	k := testConsortium(t, 4, 0)
	certs := newCertifier("h0", certificate(t, k, head(10, 1), "h0", "h1", "h2"), func(err error) { t.Error(err) })
	ours := head(11, 1)
	certs.executed(ours, k, 1)
	last := ours.Height + certWindow
	for height, kept := range map[uint64]bool{1: false, 9: false, 10: false, 12: true, last: true, last + 1: false, 1 << 60: false} {
		h := head(height, 1)
		certs.add("h3", h, cosigned(t, k, h, "h3", "h3"))
		if _, ok := certs.heads[height]; ok != kept {
			t.Errorf("cosignature at %d kept: %v", height, ok)
		}
	}
	for i := range 100 {
		h := ours
		h.Root = chain.Hash{byte(i + 1)}
		certs.add("h3", h, cosigned(t, k, h, "h3", "h3"))
	}
	if n := len(certs.evidence); n != 64 {
		t.Errorf("%d pieces of evidence", n)
	}
	if n := len(certs.seen); n != 1 {
		t.Errorf("%d newest heads of one member", n)
	}
}

// A message of cosignatures is taken only from the one who signed each of them, and
// only so many at a time.
func TestMessageOfCosignaturesIsBounded(t *testing.T) {
	k := testConsortium(t, 3, 0)
	r := signer(t, t.TempDir(), testKey("h0"))
	good := note(t, k, head(3, 1), "h1", "h1")
	if err := r.serveCosign("h1", cosignRequest{Notes: slices.Repeat([][]byte{good}, maxCosigns)}); err != nil {
		t.Errorf("%d cosignatures: %v", maxCosigns, err)
	}
	if err := r.serveCosign("h1", cosignRequest{Notes: slices.Repeat([][]byte{good}, maxCosigns+1)}); err == nil {
		t.Errorf("took %d cosignatures", maxCosigns+1)
	}
	two := &chain.Checkpoint{TreeHead: head(4, 1), Signatures: []chain.Signature{
		cosigned(t, k, head(4, 1), "h1", "h1"), cosigned(t, k, head(4, 1), "h2", "h2")}}
	if err := r.serveCosign("h1", cosignRequest{Notes: [][]byte{mustNote(t, two)}}); err == nil {
		t.Error("took one that another signed too")
	}
}

// A member that left signs nothing more, though it may still execute blocks, and
// those who stay go on: the heads it is asked to sign do not stop it.
func TestOneWhoLeftSignsNothing(t *testing.T) {
	with := testConsortium(t, 3, 0)
	without := *with
	without.Members = with.Members[1:]
	key := watchedKey{testKey("h0"), func() {}}
	signatures := 0
	key.before = func() { signatures++ }
	r := signer(t, t.TempDir(), key)
	out, err := r.signAll([]signJob{{head(4, 1), with, 1}, {head(5, 1), &without, 2}, {head(6, 1), &without, 3}})
	if err != nil || len(out) != 1 || out[0].Height != 4 || signatures != 1 {
		t.Errorf("%d signatures of %d made, %v", len(out), signatures, err)
	}
}

// What a member signed before it left counts for the blocks up to the change; once
// they are certified nobody listens to it any more, and never to anything but
// cosignatures.
func TestOneWhoLeftIsHeardUntilItsBlocksAreCertified(t *testing.T) {
	with := testConsortium(t, 4, 0)
	without := *with
	without.Members = with.Members[:3]
	r := signer(t, t.TempDir(), testKey("h0"))
	r.stopped, r.book = make(chan struct{}), &book{}
	r.consortium.Store(&without)
	h := head(3, 1)
	r.certs.executed(h, with, 1)
	r.certs.add("h0", h, cosigned(t, with, h, "h0", "h0"))
	r.certs.add("h1", h, cosigned(t, with, h, "h1", "h1"))
	ask := func(from string, kind byte, req any) error {
		_, err := r.handle(context.Background(), from, kind, mustMarshal(t, req))
		return err
	}
	cosign := cosignRequest{Notes: [][]byte{note(t, with, h, "h3", "h3")}}
	for kind := rpcSubmit; kind <= rpcHeads; kind++ {
		if kind != rpcCosign && ask("h3", kind, struct{}{}) == nil {
			t.Errorf("request %d of one who left was answered", kind)
		}
	}
	if err := ask("h9", rpcCosign, cosignRequest{}); err == nil {
		t.Error("heard one who was never a member")
	}
	if r.certs.checkpoint() != nil {
		t.Fatal("certified by two of four")
	}
	if err := ask("h3", rpcCosign, cosign); err != nil {
		t.Errorf("signature from before it left: %v", err)
	}
	if cp := r.certs.checkpoint(); cp == nil || with.Verify(cp) != nil {
		t.Errorf("the block before the change is not certified: %v", cp)
	}
	if err := ask("h3", rpcCosign, cosign); err == nil {
		t.Error("heard one who left for no block")
	}
}
