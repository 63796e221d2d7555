package dkg_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/pre"
)

// TestSharesServeReEncryption hands a ceremony's identity key to package pre in
// bytes, the way a node does.
func TestSharesServeReEncryption(t *testing.T) {
	window := dkg.Window{Positions: 100}
	seed := sha256.Sum256([]byte("only member"))
	key := ed25519.NewKeyFromSeed(seed[:])
	c := &dkg.Ceremony{
		Chain: "test", Generation: 3, Members: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)},
		Join: window, Deal: window, Complain: window, Confirm: window,
		Secrets: []dkg.Secret{{Use: dkg.UseCheckpoint, Threshold: 1}, {Use: dkg.UseIdentity, Threshold: 1}},
	}
	m, err := dkg.New(c, c.Members[0], nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var at dkg.Point
	for m.Phase() <= dkg.PhaseConfirm {
		owed := m.Pending()
		if len(owed) == 0 {
			at.Position += 100
			if err := m.Tick(at); err != nil {
				t.Fatal(err)
			}
		}
		for _, msg := range owed {
			at.Position++
			if err := m.Step(at, msg.Sign(key)); err != nil {
				t.Fatal(err)
			}
		}
	}
	result, err := m.Result()
	if err != nil {
		t.Fatal(err)
	}
	sharing, err := pre.ParseSharing(result.Sharings[1].Bytes())
	if err != nil {
		t.Fatal(err)
	}
	share, err := pre.ParseShare(result.Shares[1].Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := share.Check(sharing); err != nil {
		t.Error(err)
	}
	if share.Generation() != 3 || share.Index() != 1 || sharing.Members() != 1 || sharing.Threshold() != 1 {
		t.Error("a number changed on the way")
	}
}
