package replica

import (
	"context"
	"crypto"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// A member signs an anchor at its own block's entry, or at one it has applied
// after it and before the next block, with the term that it knows of that entry.
func TestAnchorIsSignedOnlyAtAnAppliedEntryOfItsBlock(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		r := victims[0]
		head := r.book.Head().Header.Height
		_, at, err := r.book.block(head)
		if err != nil {
			t.Fatal(err)
		}
		// An entry that is in the log, and not committed.
		last := r.raftLog.log.Last()
		req := &raft.AppendEntriesRequest{
			RPCHeader: a.header(), Term: a.term, PrevLogEntry: last, PrevLogTerm: r.raftLog.term(last),
			Entries: []*raft.Log{{Index: last + 1, Term: a.term, Type: raft.LogNoop}},
		}
		var resp raft.AppendEntriesResponse
		if err := a.transport.AppendEntries("h0", "h0", req, &resp); err != nil || !resp.Success {
			t.Fatalf("append: %+v, %v", resp, err)
		}
		open := position{Index: last + 1, Term: a.term}
		if r.raftLog.term(open.Index) != open.Term || r.appliedIndex() >= open.Index {
			t.Fatalf("entry %d is not where it should be; applied %d", open.Index, r.appliedIndex())
		}
		for name, c := range map[string]struct {
			pos    position
			change func(*anchor)
			signs  bool
		}{
			"its block's entry":     {at, func(*anchor) {}, true},
			"an entry before it":    {position{Index: at.Index - 1, Term: r.raftLog.term(at.Index - 1)}, func(*anchor) {}, false},
			"one not applied":       {open, func(*anchor) {}, false},
			"one not there":         {position{Index: open.Index + 1}, func(*anchor) {}, false},
			"its entry, other term": {position{Index: at.Index, Term: at.Term + 1}, func(*anchor) {}, false},
			"its entry, no term":    {position{Index: at.Index}, func(*anchor) {}, false},
			"another chain":         {at, func(a *anchor) { a.Chain = "other.ward" }, false},
			"another name":          {at, func(a *anchor) { a.Name = "ward/v2/anchor" }, false},
		} {
			own, err := r.anchorAt(head, c.pos)
			if err != nil {
				t.Fatal(err)
			}
			c.change(own)
			if sig, err := r.attest(own); (err == nil) != c.signs || (sig != nil) != c.signs {
				t.Errorf("%s: signed %v, %v", name, sig != nil, err)
			}
			if _, err := r.serveAttest(attestRequest{Anchor: mustMarshal(t, own)}); (err == nil) != c.signs {
				t.Errorf("%s, asked by a peer: %v", name, err)
			}
		}
		a.recovers()
	})
}

// signAnchor signs the anchor of s anew, as these members would if they signed anything.
func signAnchor(t *testing.T, s *attested, members ...string) {
	t.Helper()
	msg, err := s.Anchor.message()
	if err != nil {
		t.Fatal(err)
	}
	s.Members, s.Signatures = nil, nil
	for _, m := range members {
		sig, err := testKey(m).Sign(nil, msg, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		s.Members, s.Signatures = append(s.Members, m), append(s.Signatures, sig)
	}
}

// What a snapshot says of itself fits together, whoever signed it.
func TestSnapshotOfAnotherChainIsRefusedWhoeverSigned(t *testing.T) {
	k := testConsortium(t, 4, 0)
	three := []string{"h0", "h1", "h2"}
	foreign := chain.Header{Name: "ward/v1/header", Chain: "other.ward", Height: 3, Size: 3, Proposal: chain.Hash{1}}
	raw, err := foreign.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*attested){
		"chain of the anchor":    func(s *attested) { s.Anchor.Chain = "other.ward" },
		"chain of the block":     func(s *attested) { s.Anchor.Header = raw },
		"chain of both":          func(s *attested) { s.Anchor.Chain, s.Anchor.Header = "other.ward", raw },
		"name of the anchor":     func(s *attested) { s.Anchor.Name = attestedName },
		"no header":              func(s *attested) { s.Anchor.Header = nil },
		"checkpoint of too few":  func(s *attested) { s.Checkpoint = note(t, k, head(9, 1), "h0", "h0") },
		"checkpoint before it":   func(s *attested) { s.Checkpoint = mustNote(t, certificate(t, k, head(2, 1), three...)) },
		"checkpoint of the fork": func(s *attested) { s.Checkpoint = mustNote(t, certificate(t, k, head(3, 9), three...)) },
	} {
		s := attestedBy(t, k, three, 9, three)
		change(s)
		signAnchor(t, s, three...)
		if h, err := s.verify(k); err == nil {
			t.Errorf("%s: taken for block %d", name, h.Height)
		}
	}
	s := attestedBy(t, k, three, 9, three)
	signAnchor(t, s, three...)
	if _, err := s.verify(k); err != nil {
		t.Errorf("good: %v", err)
	}
}

// A snapshot that nobody this replica knows signed, or not all of those who it says
// did, is refused without a question to anyone: it costs its sender a message, and
// everyone else nothing.
func TestAttackForgedSnapshotCostsNoQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := newCluster(t, 4, func(o *Options) {
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					if from == "h2" && kind == rpcChanges {
						asked.Add(1)
					}
					return honest(ctx, from, kind, body)
				}
			}
		})
		c.startAll()
		c.load(3)
		c.sameHead()
		r, stop := c.emptied("h2")
		three := []string{"h0", "h1", "h3"}
		for name, s := range map[string]struct {
			members []string
			forged  int // which of the signatures is not its member's
			asks    bool
		}{
			"strangers only":                    {[]string{"h7", "h8", "h9"}, -1, false},
			"strangers and a forged signature":  {[]string{"h0", "h8", "h9"}, 0, false},
			"good ones and a forged signature":  {[]string{"h0", "h1", "h3"}, 1, false},
			"good ones, too few, and strangers": {[]string{"h0", "h1", "h9"}, -1, true},
		} {
			a := attestedBy(t, c.consortium, three, 3, three)
			signAnchor(t, a, s.members...)
			if s.forged >= 0 {
				a.Signatures[s.forged][7] ^= 1
			}
			asked.Store(0)
			if _, err := r.attestAnew(a); err == nil {
				t.Errorf("%s: taken", name)
			}
			time.Sleep(5 * time.Second)
			if n := asked.Load(); (n > 0) != s.asks {
				t.Errorf("%s: %d questions", name, n)
			}
		}
		if err := errors.Join(c.nodes["h0"].Err(), c.nodes["h1"].Err()); err != nil {
			t.Error(err)
		}
		stop()
		c.stopAll()
	})
}
