package node_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/pre"
)

// A liar stands between the others and one member's node.
type liar struct {
	node.Peer
	part    func(ward.Part) ward.Part
	attest  func(value []byte, code chain.Code, a query.Attestation) ([]byte, chain.Code, query.Attestation)
	head    func([]byte) []byte
	endorse func(chain.Endorsement) chain.Endorsement
	newest  func(*chain.Checkpoint) *chain.Checkpoint
}

func (l *liar) Checkpoint(ctx context.Context) (*chain.Checkpoint, error) {
	cp, err := l.Peer.Checkpoint(ctx)
	if err == nil && l.newest != nil {
		cp = l.newest(cp)
	}
	return cp, err
}

func (l *liar) AnswerAccess(ctx context.Context, index uint64) (ward.Part, error) {
	p, err := l.Peer.AnswerAccess(ctx, index)
	if err == nil && l.part != nil {
		p = l.part(p)
	}
	return p, err
}

func (l *liar) PartialKey(ctx context.Context, index uint64) (ward.Part, error) {
	p, err := l.Peer.PartialKey(ctx, index)
	if err == nil && l.part != nil {
		p = l.part(p)
	}
	return p, err
}

func (l *liar) Attest(ctx context.Context, q []byte) ([]byte, chain.Code, query.Attestation, error) {
	v, c, a, err := l.Peer.Attest(ctx, q)
	if err == nil && l.attest != nil {
		v, c, a = l.attest(v, c, a)
	}
	return v, c, a, err
}

func (l *liar) SignHead(ctx context.Context, height uint64) ([]byte, error) {
	b, err := l.Peer.SignHead(ctx, height)
	if err == nil && l.head != nil {
		b = l.head(b)
	}
	return b, err
}

func (l *liar) Endorse(ctx context.Context, next *chain.Consortium) (chain.Endorsement, error) {
	e, err := l.Peer.Endorse(ctx, next)
	if err == nil && l.endorse != nil {
		e = l.endorse(e)
	}
	return e, err
}

// lying makes everybody reach one member through a liar.
type lying struct {
	node.Peers
	member string
	lie    *liar
}

func (l *lying) Peer(name string) (node.Peer, error) {
	p, err := l.Peers.Peer(name)
	if err != nil || name != l.member {
		return p, err
	}
	between := *l.lie
	between.Peer = p
	return &between, nil
}

// withLiar lets one member lie to all others.
func withLiar(member string, lie *liar) func(*devnet.Options) {
	return func(o *devnet.Options) {
		o.Node = func(c *node.Config) {
			honest := c.Peers
			c.Peers = func(s node.Self) (node.Peers, error) {
				p, err := honest(s)
				return &lying{p, member, lie}, err
			}
		}
	}
}

// TestPartInAnothersName lets a member pass off what it gives: in another's
// name, with another's number, changed, or for another transaction. No such part
// is handed out; the others stand in.
func TestPartInAnothersName(t *testing.T) {
	lie := &liar{}
	inWorld(t, 4, withLiar("east", lie), func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		g := w.grant(owner, reader.Name(), "lab")
		index, other := w.access(reader, g, id), w.access(reader, g, id)
		forAnother, err := w.Node(0).AnswerAccess(w.ctx, other)
		if err != nil {
			t.Fatal(err)
		}
		key, err := w.Key(0)
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := w.Node(0).Receipt(w.ctx, index)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := chain.ParseTx(receipt.Tx)
		if err != nil {
			t.Fatal(err)
		}
		for name, part := range map[string]func(ward.Part) ward.Part{
			"what another gave": func(ward.Part) ward.Part {
				p, err := w.Node(3).AnswerAccess(w.ctx, index)
				if err != nil {
					t.Error(err)
				}
				return p
			},
			"in the name of one who signs for it": func(p ward.Part) ward.Part {
				accomplice, err := w.Key(3)
				if err != nil {
					t.Error(err)
				}
				p.Member = "west"
				if err := p.Sign(w.Founding().Chain, tx.ID(), accomplice); err != nil {
					t.Error(err)
				}
				return p
			},
			"another's number, signed": func(p ward.Part) ward.Part {
				p.Index = 4
				if err := p.Sign(w.Founding().Chain, tx.ID(), key); err != nil {
					t.Error(err)
				}
				return p
			},
			"another's name":      func(p ward.Part) ward.Part { p.Member = "west"; return p },
			"another's number":    func(p ward.Part) ward.Part { p.Index = 4; return p },
			"another generation":  func(p ward.Part) ward.Part { p.Generation++; return p },
			"changed bytes":       func(p ward.Part) ward.Part { p.Sealed = append(bytes.Clone(p.Sealed), 0); return p },
			"no signature":        func(p ward.Part) ward.Part { p.Signature = nil; return p },
			"another transaction": func(ward.Part) ward.Part { return forAnother },
		} {
			lie.part = part
			parts, err := w.Node(1).Answers(w.ctx, index, nil)
			if err != nil || len(parts) != 3 || slices.ContainsFunc(parts, func(p ward.Part) bool { return p.Member == "east" || p.Index == 1 }) {
				t.Errorf("%s: %d parts, %v", name, len(parts), err)
			}
			w.mustRead(reader, id, "glucose 5.4")
		}
		lie.part = nil
	})
}

// TestLyingMemberCannotForgeAnAnswer lets one member of four, f of them, say
// something else than the others.
func TestLyingMemberCannotForgeAnAnswer(t *testing.T) {
	lie := &liar{}
	inWorld(t, 4, withLiar("east", lie), func(w *world) {
		owner := w.person("p-1@north")
		question, err := query.Encode(query.Identity{Name: owner.Name()})
		if err != nil {
			t.Fatal(err)
		}
		honest, err := w.Node(0).Ask(w.ctx, question)
		if err != nil {
			t.Fatal(err)
		}
		key, err := w.Key(0)
		if err != nil {
			t.Fatal(err)
		}
		forged := func(value []byte, code chain.Code, a query.Attestation) ([]byte, chain.Code, query.Attestation) {
			head := chain.Header{Name: "ward/v1/header", Chain: w.Founding().Chain, Height: a.Height}
			a, err := query.Attest(w.Consortium(), "east", head, question, value, code, time.Now(), key)
			if err != nil {
				t.Fatal(err)
			}
			return value, code, a
		}
		for name, attest := range map[string]func([]byte, chain.Code, query.Attestation) ([]byte, chain.Code, query.Attestation){
			"another's word": func([]byte, chain.Code, query.Attestation) ([]byte, chain.Code, query.Attestation) {
				v, c, a, err := w.Node(3).Attest(w.ctx, question)
				if err != nil {
					t.Error(err)
				}
				return v, c, a
			},
			"changed": func(v []byte, c chain.Code, a query.Attestation) ([]byte, chain.Code, query.Attestation) {
				return []byte{0xf6}, c, a
			},
			"its own": func(v []byte, c chain.Code, a query.Attestation) ([]byte, chain.Code, query.Attestation) {
				return forged([]byte{0xf6}, "", a)
			},
			"denied": func(v []byte, c chain.Code, a query.Attestation) ([]byte, chain.Code, query.Attestation) {
				return forged(nil, identity.ErrUnknown, a)
			},
			"in another name": func(v []byte, c chain.Code, a query.Attestation) ([]byte, chain.Code, query.Attestation) {
				a.Member = "west"
				return v, c, a
			},
		} {
			lie.attest = attest
			for i := 1; i < w.Len(); i++ {
				asked := time.Now()
				a, err := w.Node(i).Ask(w.ctx, question)
				if err != nil {
					t.Errorf("%s, by %s: %v", name, w.Name(i), err)
					continue
				}
				if !bytes.Equal(a.Value, honest.Value) || a.Code != "" {
					t.Errorf("%s, by %s: got %x %q", name, w.Name(i), a.Value, a.Code)
				}
				if _, err := a.Verify(w.Consortium(), question, asked, time.Now(), time.Minute); err != nil {
					t.Errorf("%s, by %s: %v", name, w.Name(i), err)
				}
			}
		}
		lie.attest = nil
		if _, err := w.Node(1).Ask(w.ctx, []byte("no question")); !errors.Is(err, query.ErrQuestion) {
			t.Errorf("got %v, want ErrQuestion", err)
		}
	})
}

// A clock is that of all members, ahead of the world's.
type clock struct{ ahead atomic.Int64 }

func (c *clock) set(o *devnet.Options) {
	o.Node = func(cfg *node.Config) {
		cfg.Clock = func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }
	}
}

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// TestKeysGoToWhoSignsNow asks for keys with transactions that are no reason to
// give them.
func TestKeysGoToWhoSignsNow(t *testing.T) {
	var clocks clock
	inWorld(t, 4, clocks.set, func(w *world) {
		owner := w.person("p-1@north")
		transport, err := pre.GenerateTransportKey()
		if err != nil {
			t.Fatal(err)
		}
		request := func() uint64 {
			r, err := w.Node(0).Submit(w.ctx, owner.tx(t, keys.Contract, keys.MethodRequest, keys.RequestArgs{Type: "lab", Transport: transport.Public()}), nil)
			if err != nil || r.Result.Err() != nil {
				t.Fatal(err, r.Result.Err())
			}
			return r.Index
		}
		refused := func(what string, index uint64, want error) {
			t.Helper()
			for i := range w.Len() {
				if _, err := w.Node(i).PartialKey(w.ctx, index); !errors.Is(err, want) {
					t.Errorf("%s: %s says %v, want %v", what, w.Name(i), err, want)
				}
			}
			if _, err := w.Node(0).PartialKeys(w.ctx, index, nil); !errors.Is(err, want) {
				t.Errorf("%s: gathered %v, want %v", what, err, want)
			}
		}
		index := request()
		parts, err := w.Node(0).PartialKeys(w.ctx, index, nil)
		if err != nil || len(parts) != 3 {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		r, err := w.Node(0).Receipt(w.ctx, index)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := chain.ParseTx(r.Tx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if !p.Verify(w.Consortium(), tx.ID()) {
				t.Errorf("part of %s is not signed", p.Member)
			}
		}

		refused("no such transaction", index+1000, ward.ErrNotFound)
		refused("another method", 0, keys.ErrUnknown)
		// A request that the contract refused.
		bad, err := w.Node(0).Submit(w.ctx, owner.tx(t, keys.Contract, keys.MethodRequest, keys.RequestArgs{Type: "lab", Transport: make([]byte, 32)}), nil)
		if err != nil {
			t.Fatal(err)
		}
		refused("a request without effect", bad.Index, keys.ErrMalformed)

		// Whoever had the key asked; then the owner replaced it.
		index = request()
		if err := owner.RotateKey(w.ctx); err != nil {
			t.Fatal(err)
		}
		refused("the key was replaced since", index, keys.ErrDenied)

		index = request()
		clocks.pass(consent.AnswerWindow - time.Minute)
		if _, err := w.Node(0).PartialKey(w.ctx, index); err != nil {
			t.Errorf("within the window: %v", err)
		}
		clocks.pass(2 * time.Minute)
		refused("the window is over", index, consent.ErrExpired)
	})
}

// TestAnswersEndWithTheWindow lets time pass on a chain on which nothing
// happens: the block time stands still, the members' clocks do not.
func TestAnswersEndWithTheWindow(t *testing.T) {
	var clocks clock
	inWorld(t, 4, clocks.set, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		g, err := owner.Grant(w.ctx, ward.Terms{To: reader.Name(), Type: "lab", NotAfter: time.Now().Add(30 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		forever := w.grant(owner, reader.Name(), "lab")
		short, long := w.access(reader, g, id), w.access(reader, forever, id)
		clocks.pass(29 * time.Minute)
		for i := range w.Len() {
			if _, err := w.Node(i).AnswerAccess(w.ctx, short); err != nil {
				t.Errorf("%s while the grant lives: %v", w.Name(i), err)
			}
		}
		clocks.pass(2 * time.Minute)
		for i := range w.Len() {
			if _, err := w.Node(i).AnswerAccess(w.ctx, short); !errors.Is(err, consent.ErrExpired) {
				t.Errorf("%s after the grant expired: %v", w.Name(i), err)
			}
			if _, err := w.Node(i).AnswerAccess(w.ctx, long); err != nil {
				t.Errorf("%s under a grant that did not: %v", w.Name(i), err)
			}
		}
		if _, err := w.Node(0).Answers(w.ctx, short, nil); !errors.Is(err, consent.ErrExpired) {
			t.Errorf("gathered: %v", err)
		}
		clocks.pass(30 * time.Minute)
		if _, err := w.Node(0).AnswerAccess(w.ctx, long); !errors.Is(err, consent.ErrExpired) {
			t.Errorf("after the window: %v", err)
		}
	})
}

// TestCondensedCheckpoint combines the members' parts into one signature that
// anyone with the consortium file checks; a wrong part is left out.
func TestCondensedCheckpoint(t *testing.T) {
	lie := &liar{}
	inWorld(t, 4, withLiar("east", lie), func(w *world) {
		w.person("p-1@north")
		w.quiet()
		// The part for the block before is a good signature, of something else.
		lie.head = func([]byte) []byte {
			b, err := w.Node(0).SignHead(w.ctx, w.Node(0).Status().Certified-1)
			if err != nil {
				t.Error(err)
			}
			return b
		}
		w.Silence(3, true)
		if _, err := w.Node(1).Condensed(w.ctx); !errors.Is(err, ward.ErrShares) {
			t.Errorf("out of two good parts and a wrong one: %v, want ErrShares", err)
		}
		w.Silence(3, false)
		cp, err := w.Node(1).Condensed(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(cp.Signatures) != 1 || len(cp.Signatures[0].Data) != threshold.SignatureSize {
			t.Fatalf("%d signatures", len(cp.Signatures))
		}
		if err := w.Consortium().Verify(cp); err != nil {
			t.Error(err)
		}
		cp.Height++
		if err := w.Consortium().Verify(cp); err == nil {
			t.Error("it verifies for another height")
		}
		for _, height := range []uint64{0, w.Node(1).Status().Certified + 1, 1 << 40} {
			if _, err := w.Node(1).SignHead(w.ctx, height); !errors.Is(err, ward.ErrNotFound) {
				t.Errorf("signed block %d, which is not certified: %v", height, err)
			}
		}
	})
}

// TestNobodyEndorsesWhatNobodyApproved proposes consortium files that the
// operators did not agree to.
func TestNobodyEndorsesWhatNobodyApproved(t *testing.T) {
	lie := &liar{}
	inWorld(t, 4, withLiar("east", lie), func(w *world) {
		next, err := node.NextFile(w.Consortium())
		if err != nil {
			t.Fatal(err)
		}
		next.Members[0].URL = "https://mallory.invalid"
		for i := range w.Len() {
			if _, err := w.Node(i).Endorse(w.ctx, next); !errors.Is(err, ward.ErrUnauthorized) {
				t.Errorf("%s: %v, want ErrUnauthorized", w.Name(i), err)
			}
		}
		if _, err := w.Node(0).ProposeConsortium(w.ctx, next); !errors.Is(err, ward.ErrNoQuorum) {
			t.Errorf("got %v, want ErrNoQuorum", err)
		}
		data, err := next.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		h := chain.Hash(sha256.Sum256(data))
		for i := range 2 { // one less than it takes
			if err := w.Node(i).Approve(h); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Node(0).ProposeConsortium(w.ctx, next); !errors.Is(err, ward.ErrNoQuorum) {
			t.Errorf("two of four: %v, want ErrNoQuorum", err)
		}
		// An approval can be withdrawn, and survives a restart.
		if err := w.Node(0).Withdraw(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Node(0).Endorse(w.ctx, next); !errors.Is(err, ward.ErrUnauthorized) {
			t.Errorf("withdrawn: %v", err)
		}
		w.stop(1)
		w.restart(1)
		w.settle()
		if _, err := w.Node(1).Endorse(w.ctx, next); err != nil {
			t.Errorf("approved before a restart: %v", err)
		}
		for i := range w.Len() {
			if err := w.Node(i).Approve(h); err != nil {
				t.Fatal(err)
			}
		}
		lie.endorse = func(e chain.Endorsement) chain.Endorsement { e.Member = "west"; return e }
		if _, err := w.Node(1).ProposeConsortium(w.ctx, next); err != nil {
			t.Errorf("approved by all, with a liar: %v", err)
		}
		w.until("it is in force", func() bool { return w.Consortium().Epoch == 2 })
		w.until("every node can tell how it came to that", func() bool {
			for i := range w.Len() {
				changes, err := w.Node(i).Consortium(w.ctx, 0)
				if err != nil || len(changes) != 2 {
					return false
				}
			}
			return true
		})
		k := w.Founding()
		changes, err := w.Node(3).Consortium(w.ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if k, err = k.Next(c); err != nil {
				t.Fatal(err)
			}
		}
		if k.Epoch != 2 || k.Members[0].URL != "https://mallory.invalid" {
			t.Errorf("file of epoch %d", k.Epoch)
		}
		if since, err := w.Node(3).Consortium(w.ctx, 1); err != nil || len(since) != 1 {
			t.Errorf("since epoch 1: %d, %v", len(since), err)
		}
		if _, err := w.Node(3).Consortium(w.ctx, 3); !errors.Is(err, ward.ErrNotFound) {
			t.Errorf("since an epoch to come: %v", err)
		}
	})
}

// TestFirstKeysAreThoseOfTheCeremony asks members to endorse other keys than
// they made.
func TestFirstKeysAreThoseOfTheCeremony(t *testing.T) {
	inWorld(t, 4, func(o *devnet.Options) { o.WithoutKeys = true }, func(w *world) {
		next, err := node.NextFile(w.Consortium())
		if err != nil {
			t.Fatal(err)
		}
		g1 := []byte{0x97, 0xf1, 0xd3, 0xa7, 0x31, 0x97, 0xd7, 0x94, 0x26, 0x95, 0x63, 0x8c, 0x4f, 0xa9, 0xac, 0x0f, 0xc3, 0x68, 0x8c, 0x4f, 0x97, 0x74, 0xb9, 0x05, 0xa1, 0x4e, 0x3a, 0x3f, 0x17, 0x1b, 0xac, 0x58, 0x6c, 0x55, 0xe8, 0x3f, 0xf9, 0x7a, 0x1a, 0xef, 0xfb, 0x3a, 0xf0, 0x0a, 0xdb, 0x22, 0xc6, 0xbb}
		next.ExtractionKey, next.CheckpointKey = g1, g1
		for i := range w.Len() {
			if _, err := w.Node(i).Endorse(w.ctx, next); !errors.Is(err, ward.ErrUnauthorized) {
				t.Errorf("%s before the ceremony: %v", w.Name(i), err)
			}
		}
		for i := range w.Len() { // so that the keys are made, and nobody publishes them yet
			w.Silence(i, true)
		}
		if _, err := w.Node(0).OpenCeremony(w.ctx, devnet.Windows); err != nil {
			t.Fatal(err)
		}
		w.until("the keys are made", func() bool { return w.Node(0).Status().Generation == 1 })
		for i := range w.Len() {
			if _, err := w.Node(i).Endorse(w.ctx, next); !errors.Is(err, ward.ErrUnauthorized) {
				t.Errorf("%s after it: %v", w.Name(i), err)
			}
			w.Silence(i, false)
		}
		w.settle()
		if k := w.Consortium(); bytes.Equal(k.ExtractionKey, g1) || len(k.ExtractionKey) != 48 {
			t.Errorf("extraction key %x", k.ExtractionKey)
		}
	})
}

// TestForgedCheckpointHoldsNobodyUp lets a member vouch for a height that the
// chain will never reach, and for one with nobody's signature.
func TestForgedCheckpointHoldsNobodyUp(t *testing.T) {
	lie := &liar{}
	inWorld(t, 4, withLiar("east", lie), func(w *world) {
		lie.newest = func(cp *chain.Checkpoint) *chain.Checkpoint {
			forged := *cp
			forged.Height = 1 << 40
			return &forged
		}
		w.quiet()
		w.stop(1)
		w.restart(1)
		w.settle()
	})
}

// TestNewConsortiumFileHasABlockOfItsOwn changes the file so that what the old
// one certified is not enough any more. Clients that have the new file, and nodes
// that restart, find a checkpoint that holds under it.
func TestNewConsortiumFileHasABlockOfItsOwn(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		if err := w.Change(w.ctx, func(k *chain.Consortium) { k.CheckpointThreshold = 4 }); err != nil {
			t.Fatal(err)
		}
		w.quiet()
		cp, err := w.Node(0).Checkpoint(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if k := w.Consortium(); k.Epoch != 2 || k.Verify(cp) != nil {
			t.Errorf("checkpoint at height %d under the file of epoch %d: %v", cp.Height, k.Epoch, k.Verify(cp))
		}
		w.stop(1)
		w.restart(1)
		w.settle()
	})
}
