package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/internal/pairing"
)

func TestCheckpointNeedsThresholdOfDistinctMembers(t *testing.T) {
	c := ledgertest.NewLog(t, 3)
	k := c.Consortium // four members, threshold three
	head := c.Head.Header.TreeHead()
	sign := func(members ...string) *chain.Checkpoint {
		cp := &chain.Checkpoint{TreeHead: head}
		for i, m := range members {
			s, err := k.Cosign(head, m, c.Now.Unix()+int64(i), ledgertest.Key(m))
			if err != nil {
				t.Fatal(err)
			}
			cp.Signatures = append(cp.Signatures, s)
		}
		return cp
	}
	for _, good := range []*chain.Checkpoint{sign("east", "north", "south"), sign("west", "south", "north", "east")} {
		if err := k.Verify(good); err != nil {
			t.Error(err)
		}
	}
	for name, bad := range map[string]*chain.Checkpoint{
		"two members":         sign("east", "north"),
		"one member twice":    sign("east", "north", "north"),
		"one member at times": sign("east", "east", "east", "east"),
	} {
		if err := k.Verify(bad); !errors.Is(err, chain.ErrUncertified) {
			t.Errorf("%s: %v, want ErrUncertified", name, err)
		}
	}
	if err := k.Verify(&chain.Checkpoint{TreeHead: head}); err == nil {
		t.Error("a checkpoint without signatures verifies")
	}
}

func TestCheckpointTextIsCovered(t *testing.T) {
	for name, cp := range map[string]*chain.Checkpoint{"cosigned": ledgertest.NewLog(t, 3).Checkpoint(), "condensed": ledgertest.NewLog(t, 3).Condensed()} {
		k := ledgertest.Consortium(t, 4)
		if err := k.Verify(cp); err != nil {
			t.Fatal(err)
		}
		for field, change := range map[string]func(*chain.TreeHead){
			"chain":  func(h *chain.TreeHead) { h.Chain = "other.example" },
			"size":   func(h *chain.TreeHead) { h.Size++ },
			"root":   func(h *chain.TreeHead) { h.Root[31] ^= 1 },
			"height": func(h *chain.TreeHead) { h.Height++ },
			"block":  func(h *chain.TreeHead) { h.Block[0] ^= 1 },
			"state":  func(h *chain.TreeHead) { h.State[0] ^= 1 },
		} {
			forged := *cp
			change(&forged.TreeHead)
			if k.Verify(&forged) == nil {
				t.Errorf("%s: %s may be changed", name, field)
			}
		}
		for i := range cp.Signatures {
			for at := range cp.Signatures[i].Data {
				forged := *cp
				forged.Signatures = append([]chain.Signature{}, cp.Signatures...)
				forged.Signatures[i].Data = bytes.Clone(cp.Signatures[i].Data)
				forged.Signatures[i].Data[at] ^= 1
				if k.Verify(&forged) == nil {
					t.Errorf("%s: byte %d of signature %d may be changed", name, at, i)
				}
			}
		}
	}
}

func TestUnknownSignaturesAreIgnoredAndWrongOnesAreNot(t *testing.T) {
	c := ledgertest.NewLog(t, 3)
	cp := c.Checkpoint()
	stranger := chain.Signature{Name: "witness.example", KeyID: 7, Data: make([]byte, 72)}
	with := func(s chain.Signature) *chain.Checkpoint {
		return &chain.Checkpoint{TreeHead: cp.TreeHead, Signatures: append([]chain.Signature{s}, cp.Signatures...)}
	}
	if err := c.Consortium.Verify(with(stranger)); err != nil {
		t.Errorf("a witness's line: %v", err)
	}
	west, err := c.Consortium.Cosign(cp.TreeHead, "west", c.Now.Unix(), ledgertest.Key("west"))
	if err != nil {
		t.Fatal(err)
	}
	west.Data[20] ^= 1
	var invalid *note.InvalidSignatureError
	if err := c.Consortium.Verify(with(west)); !errors.As(err, &invalid) {
		t.Errorf("a wrong fourth cosignature: %v", err)
	}
}

func TestThresholdSignatureUnderAnotherKeyIsRefused(t *testing.T) {
	c := ledgertest.NewLog(t, 3)
	cp := c.Condensed()
	k := *c.Consortium
	k.CheckpointKey, k.ExtractionKey = k.ExtractionKey, k.CheckpointKey
	if err := k.Verify(cp); !errors.Is(err, chain.ErrUncertified) {
		t.Errorf("%v, want ErrUncertified: the line is by an unknown key", err)
	}
	// With the right key id the signature itself is what fails.
	forged, err := k.ThresholdSignature(cp.TreeHead, cp.Signatures[0].Data)
	if err == nil {
		t.Errorf("signature verifies under another key: %v", forged)
	}
	none := *c.Consortium
	none.CheckpointKey, none.ExtractionKey = nil, nil
	if err := none.Verify(cp); !errors.Is(err, chain.ErrUncertified) {
		t.Errorf("without a checkpoint key: %v", err)
	}
	infinity := append([]byte{0xc0}, make([]byte, 95)...)
	if _, err := c.Consortium.ThresholdSignature(cp.TreeHead, infinity); err == nil {
		t.Error("the identity signs")
	}
}

func TestCosignRefusesWhatIsNotTheMembers(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	head := c.Head.Header.TreeHead()
	for name, try := range map[string]func() error{
		"stranger":      func() error { _, err := c.Consortium.Cosign(head, "nobody", 1, ledgertest.Key("nobody")); return err },
		"another's key": func() error { _, err := c.Consortium.Cosign(head, "east", 1, ledgertest.Key("north")); return err },
		"negative time": func() error { _, err := c.Consortium.Cosign(head, "east", -1, ledgertest.Key("east")); return err },
		"another chain": func() error {
			h := head
			h.Chain = "other.example"
			_, err := c.Consortium.Cosign(h, "east", 1, ledgertest.Key("east"))
			return err
		},
	} {
		if try() == nil {
			t.Errorf("%s: cosigned", name)
		}
	}
}

func TestEquivocationConvictsTheMember(t *testing.T) {
	c := ledgertest.NewLog(t, 3)
	good := equivocation(t, c, "east", "east")
	if member, err := good.Verify(c.Consortium); err != nil || member != "east" {
		t.Fatalf("%q, %v", member, err)
	}
	two := equivocation(t, c, "east", "north")
	same := equivocation(t, c, "east", "east")
	same.Second.TreeHead = same.First.TreeHead
	later, err := c.Consortium.Cosign(same.First.TreeHead, "east", c.Now.Unix()+60, ledgertest.Key("east"))
	if err != nil {
		t.Fatal(err)
	}
	same.Second.Signatures = []chain.Signature{later}
	// A longer chain, honestly cosigned later.
	size := equivocation(t, c, "east", "east")
	size.Second.Size++
	longer, err := c.Consortium.Cosign(size.Second.TreeHead, "east", c.Now.Unix(), ledgertest.Key("east"))
	if err != nil {
		t.Fatal(err)
	}
	size.Second.Signatures = []chain.Signature{longer}
	forged := equivocation(t, c, "east", "east")
	forged.Second.Signatures[0].Data[9] ^= 1
	extra := equivocation(t, c, "east", "east")
	extra.First.Signatures = append(extra.First.Signatures, extra.First.Signatures[0])
	for name, e := range map[string]*chain.Evidence{
		"two chains with one key": abroad(t, c), "two members": two, "the same head twice": same, "two sizes": size, "a forged signature": forged, "two signatures": extra,
	} {
		if member, err := e.Verify(c.Consortium); err == nil {
			t.Errorf("%s convicts %q", name, member)
		}
	}
}

// A member may use one node key, and the consortium one group key, on two
// chains.
func TestHeadOfAnotherChainIsNeverTheirs(t *testing.T) {
	c := ledgertest.NewLog(t, 3)
	head := c.Head.Header.TreeHead()
	head.Chain = "other.example"
	sig := pairing.NewSecret(4711).MulG2(pairing.HashToG2(pairing.DSTSignature, head.ThresholdMessage())).Bytes()
	if _, err := c.Consortium.ThresholdSignature(head, sig[:]); err == nil {
		t.Error("threshold signature of another chain's head")
	}
	e := abroad(t, c)
	if member, _, err := c.Consortium.Cosigner(e.Second.TreeHead, e.Second.Signatures[0]); err == nil {
		t.Errorf("%s cosigned another chain's head", member)
	}
}

// Times of cosignatures are seconds that fit 63 bits.
func TestCosignatureOfAFarFutureIsRefused(t *testing.T) {
	c := ledgertest.NewLog(t, 3)
	head := c.Head.Header.TreeHead()
	s, err := c.Consortium.Cosign(head, "east", 1, ledgertest.Key("east"))
	if err != nil {
		t.Fatal(err)
	}
	for unix, ok := range map[uint64]bool{1<<63 - 1: true, 1 << 63: false} {
		msg := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", unix, head.Body())
		s.Data = append(binary.BigEndian.AppendUint64(nil, unix), ed25519.Sign(ledgertest.Key("east"), msg)...)
		if _, _, err := c.Consortium.Cosigner(head, s); (err == nil) != ok {
			t.Errorf("time %d: %v", unix, err)
		}
	}
}

func TestSignaturesOfACheckpointAreCounted(t *testing.T) {
	c := ledgertest.NewLog(t, 3)
	cp := c.Checkpoint()
	for n, ok := range map[int]bool{80: true, 81: false} {
		cp.Signatures = cp.Signatures[:3]
		for i := range n - 3 {
			cp.Signatures = append(cp.Signatures, chain.Signature{Name: fmt.Sprint("witness", i), Data: []byte{1}})
		}
		if _, err := cp.Bytes(); (err == nil) != ok {
			t.Errorf("%d signatures: %v", n, err)
		}
	}
}

// abroad is what a member signs that uses one node key on two chains: it lies
// on neither.
func abroad(t *testing.T, c *ledgertest.Chain) *chain.Evidence {
	t.Helper()
	e := equivocation(t, c, "east", "east")
	other := *c.Consortium
	other.Chain = "other.example"
	head := e.First.TreeHead
	head.Chain = other.Chain
	s, err := other.Cosign(head, "east", c.Now.Unix(), ledgertest.Key("east"))
	if err != nil {
		t.Fatal(err)
	}
	s.Name, s.KeyID = e.First.Signatures[0].Name, e.First.Signatures[0].KeyID
	e.Second = &chain.Checkpoint{TreeHead: head, Signatures: []chain.Signature{s}}
	return e
}

func TestCheckpointFormIsStrict(t *testing.T) {
	good := string(encoded(t, ledgertest.NewLog(t, 3).Checkpoint()))
	for name, change := range map[string][2]string{
		"size with a zero":     {"\n3\n", "\n03\n"},
		"size with a sign":     {"\n3\n", "\n+3\n"},
		"space in height":      {"height 1", "height  1"},
		"extra extension line": {"\n\n—", "\nmore\n\n—"},
		"missing line":         {"height 1\n", ""},
		"other origin":         {"/ward\n", "/log\n"},
		"hyphen for em dash":   {"\n\n— ", "\n\n- "},
		"carriage return":      {"\n", "\r\n"},
		"space at the end":     {"=\n—", "= \n—"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := chain.ParseCheckpoint([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestTreeHeadsDoNotShrink(t *testing.T) {
	c := ledgertest.NewLog(t, 250)
	old, now := c.Blocks[1].Header.TreeHead(), c.Head.Header.TreeHead()
	p, err := tlog.ProveTree(250, 200, c.Hashes)
	if err != nil {
		t.Fatal(err)
	}
	if err := now.CheckExtends(old, p); err != nil {
		t.Fatal(err)
	}
	if err := now.CheckExtends(c.Genesis.TreeHead(), nil); err != nil {
		t.Errorf("genesis: %v", err)
	}
	if err := now.CheckExtends(now, nil); err != nil {
		t.Errorf("the head itself: %v", err)
	}
	lower := now
	lower.Height = 1
	foreign := now
	foreign.Chain = "other.example"
	forked := now
	forked.State[0] ^= 1
	sibling := now
	sibling.Height = old.Height
	for name, err := range map[string]error{
		"another state": forked.CheckExtends(now, nil),
		"same height":   sibling.CheckExtends(old, p),
		"smaller":       old.CheckExtends(now, p),
		"lower":         lower.CheckExtends(old, p),
		"another chain": foreign.CheckExtends(old, p),
		"without proof": now.CheckExtends(old, nil),
	} {
		if err == nil {
			t.Errorf("%s: extends", name)
		}
	}
}

// A node that signed transactions, proposals, cosignatures and consortium
// files with one key must never have signed one as another.
func TestSignedMessagesAreOfOneKind(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	head := c.Head.Header.TreeHead()
	s, err := c.Consortium.Cosign(head, "east", c.Now.Unix(), ledgertest.Key("east"))
	if err != nil {
		t.Fatal(err)
	}
	sig := s.Data[8:]
	if binary.BigEndian.Uint64(s.Data) != uint64(c.Now.Unix()) {
		t.Fatal("timestamp is not the first field")
	}
	pub := ledgertest.Public("east")
	if pub.Verify([]byte(head.Body()), sig) || pub.Verify(head.ThresholdMessage(), sig) {
		t.Error("a cosignature is a plain signature of the text")
	}
	plain := ed25519.Sign(ledgertest.Key("east"), []byte(head.Body()))
	forged := chain.Signature{Name: s.Name, KeyID: s.KeyID, Data: append(s.Data[:8:8], plain...)}
	if _, _, err := c.Consortium.Cosigner(head, forged); err == nil {
		t.Error("a plain signature of the text is a cosignature")
	}
}
