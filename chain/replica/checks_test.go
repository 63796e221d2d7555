package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// A member signs an anchor between its block and the next only, and with the term
// of the entry there, also when the entry has left its log.
func TestAnchorIsSignedWhereItsBlockStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, compacting)
		c.startAll()
		c.load(5)
		leader, _ := c.nodes["h0"].leader()
		c.nodes[leader].stepDown()
		time.Sleep(5 * time.Second)
		c.load(40)
		c.sameHead()
		time.Sleep(10 * time.Second)
		r := c.nodes["h0"]
		if r.raftLog.log.First() < 15 {
			t.Fatalf("log begins at %d", r.raftLog.log.First())
		}
		at := func(height uint64) position {
			_, pos, err := r.book.block(height)
			if err != nil {
				t.Fatal(err)
			}
			return pos
		}
		signs := func(height uint64, pos position) bool {
			a, err := r.anchorAt(height, pos)
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.attest(a)
			return err == nil
		}
		changed := uint64(0) // the term changes after this block, and entries of none are between
		for h := uint64(1); h < 20 && changed == 0; h++ {
			if at(h).Term != at(h+1).Term && at(h+1).Index > at(h).Index+1 {
				changed = h
			}
		}
		if changed == 0 || at(changed+1).Index >= r.raftLog.log.First() {
			t.Fatal("no change of term in what was compacted")
		}
		between := position{Index: at(changed).Index + 1, Term: at(changed).Term}
		if signs(changed, between) {
			t.Error("signed at an entry whose term is not known any more")
		}
		if signs(changed, position{Index: between.Index}) {
			t.Error("signed at an entry without a term")
		}
		if !signs(changed, at(changed)) {
			t.Error("did not sign at the block itself")
		}
		if err := c.nodes[leader].node().Barrier(time.Second).Error(); err != nil {
			leader, _ = r.leader()
			if err := c.nodes[leader].node().Barrier(time.Second).Error(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		head := r.book.Head().Header.Height
		after := position{Index: at(head).Index + 1, Term: at(head).Term}
		if !signs(head, after) {
			t.Error("did not sign at an entry after the last block")
		}
		after.Term++
		if signs(head, after) {
			t.Error("signed another term than the entry has")
		}
		if signs(head-1, at(head)) || signs(head-1, position{Index: at(head).Index + 1, Term: at(head).Term}) {
			t.Error("signed beyond the next block")
		}
		c.stopAll()
	})
}

// A checkpoint that a member offers counts only if it is certified.
func TestCheckpointOfAMemberIsVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(3)
		c.sameHead()
		c.stop("h3")
		cp := chain.Checkpoint{TreeHead: head(90, 1), Signatures: []chain.Signature{cosigned(t, c.consortium, head(90, 1), "h3", "h3")}}
		stop := c.lie("h3", func(context.Context, string, byte, []byte) (any, error) { return cp.Bytes() })
		if got, err := c.nodes["h0"].fetchCheckpoint(context.Background(), "h3"); !errors.Is(err, chain.ErrUncertified) {
			t.Errorf("took %v: %v", got, err)
		}
		if got, err := c.nodes["h0"].fetchCheckpoint(context.Background(), "h1"); err != nil || got.Height == 0 {
			t.Errorf("good one: %v", err)
		}
		stop()
		c.stopAll()
	})
}

// What Raft hands over again after a restart is compared with what was executed. When
// that was of another term, nothing more is applied or served, at once: what the others
// say of it, late as it may be, only tells whether the log is another than theirs.
func TestReplayedEntryOfAnotherTermHalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		c := newCluster(t, 3, func(o *Options) {
			answersLate("h0", &lying, time.Hour, rpcCheckpoint)(o)
			answersLate("h2", &lying, time.Hour, rpcCheckpoint)(o)
		})
		c.startAll()
		c.load(4)
		head := c.sameHead()
		r := c.nodes["h1"]
		if err := r.book.drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		_, pos, err := r.book.block(head.Height)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.checkReplayed(&raft.Log{Type: raft.LogCommand, Index: pos.Index, Term: pos.Term}); err != nil || r.Err() != nil {
			t.Errorf("the same entry: %v", err)
		}
		lying.Store(true)
		begun := time.Now()
		if err := r.checkReplayed(&raft.Log{Type: raft.LogCommand, Index: pos.Index, Term: pos.Term + 1}); !errors.Is(err, errFloor) || !errors.Is(r.Err(), ErrHalted) {
			t.Errorf("an entry of another term: %v, replica %v", err, r.Err())
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("the state machine waited %v for the others", took)
		}
		if err, ok := (machine{r}).Apply(&raft.Log{Index: pos.Index + 1, Term: pos.Term + 1, Type: raft.LogCommand}).(error); !ok || !errors.Is(err, ErrHalted) || r.book.Applied() != pos {
			t.Errorf("the entry after it: %v", err)
		}
		if err := r.ReadLocal(within(t, time.Second), func(*View) error { return nil }); !errors.Is(err, ErrHalted) {
			t.Errorf("read: %v", err)
		}
		if _, err := r.handle(within(t, time.Second), "h0", rpcStatus, nil); !errors.Is(err, ErrHalted) {
			t.Errorf("asked by another: %v", err)
		}
		<-r.Stopped()
		c.keptItsLog("h1")
		c.nodes["h2"].haltJudged(errFloor)
		c.stop("h2") // does not wait until the others have told
		c.stopAll()
	})
}

// The replica that executed an entry of another term has another history than what is
// certified: it stops with that, and its log is thrown away. Closed before it is told, it
// has found out nothing.
func TestReplayedEntryOfAnotherTermIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(6)
		c.sameHead()
		for _, closed := range []bool{false, true} {
			r, stop := c.emptied("h2")
			forks(t, r, "h0", 3, 1)
			pos := r.book.Applied()
			r.replayed = map[uint64]uint64{pos.Index: pos.Term}
			if err := r.checkReplayed(&raft.Log{Type: raft.LogCommand, Index: pos.Index, Term: pos.Term + 1}); !errors.Is(err, errFloor) || isAstray(r.Err()) {
				t.Errorf("at once: %v, replica %v", err, r.Err())
			}
			if closed {
				r.mu.Lock()
				r.closed = true
				r.mu.Unlock()
				r.cancel()
			} else {
				<-r.Stopped()
			}
			r.wg.Wait()
			if p, err := readRepair(r.opt.Dir); err != nil || (p == nil) != closed || p != nil && !p.history || isAstray(r.Err()) == closed {
				t.Errorf("closed %v: repair %+v, %v; replica %v", closed, p, err, r.Err())
			}
			stop()
		}
		c.stopAll()
	})
}

// Messages that no honest member sends are refused one check at a time.
func TestMessagesAreVettedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(2)
		c.sameHead()
		r := c.nodes["h0"]
		term := r.node().CurrentTerm()
		last := r.raftLog.log.Last()
		entry := func(index, term uint64) *raft.Log { return &raft.Log{Index: index, Term: term, Type: raft.LogNoop} }
		var many []*raft.Log
		for i := range uint64(65) {
			many = append(many, entry(last+1+i, term))
		}
		if err := r.vetCommand(&raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, PrevLogTerm: term, Entries: many[:64]}); err != nil {
			t.Errorf("64 entries: %v", err)
		}
		for name, msg := range map[string]any{
			"gap":              &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, Entries: []*raft.Log{entry(last+2, term)}},
			"order":            &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, Entries: []*raft.Log{entry(last+1, term), entry(last+1, term)}},
			"entry from ahead": &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, Entries: []*raft.Log{entry(last+1, term+1)}},
			"falling terms":    &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, PrevLogTerm: term, Entries: []*raft.Log{entry(last+1, term), entry(last+2, term-1)}},
			"term before":      &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, PrevLogTerm: term, Entries: []*raft.Log{entry(last+1, term-1)}},
			"too many":         &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, PrevLogTerm: term, Entries: many[:65]},
			"term of entries":  &raft.AppendEntriesRequest{Term: term + maxTermJump + 1},
			"term of a vote":   &raft.RequestVoteRequest{Term: term + maxTermJump + 1},
			"term of snapshot": &raft.InstallSnapshotRequest{Term: term + maxTermJump + 1, SnapshotVersion: raft.SnapshotVersionMax},
		} {
			if err := r.vetCommand(msg); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		good := &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, Entries: []*raft.Log{entry(last+1, term), entry(last+2, term)}}
		if err := r.vetCommand(good); err != nil {
			t.Errorf("good entries: %v", err)
		}
		if vetConfig(raft.Configuration{}) == nil || vetConfig(raft.Configuration{Servers: []raft.Server{{ID: "h0", Address: "h0", Suffrage: raft.Nonvoter}}}) == nil {
			t.Error("a configuration without voters is accepted")
		}
		// A configuration in entries that do not join the log cannot be judged:
		// Raft's own answer, and nothing is counted as an attack.
		config := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "h0", Address: "h0"}, {ID: "h1", Address: "h1"}}})
		takes := &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, PrevLogTerm: r.raftLog.term(last),
			Entries: []*raft.Log{{Index: last + 1, Term: term, Type: raft.LogConfiguration, Data: config}}}
		before := r.Status().Refused
		var behind *answeredError
		if err := r.guard("h1", takes); err == nil || errors.As(err, &behind) || r.Status().Refused != before+1 {
			t.Errorf("a configuration without a member: %v", err)
		}
		takes.PrevLogEntry, takes.Entries[0].Index = last+5, last+6
		if err := r.guard("h1", takes); !errors.As(err, &behind) || r.Status().Refused != before+1 {
			t.Fatalf("the same behind a gap: %v", err)
		}
		if answer := behind.answer.(*raft.AppendEntriesResponse); answer.Success || answer.LastLog != last {
			t.Errorf("the same behind a gap: answered %v", answer)
		}
		c.stopAll()
	})
}

// A member signs an anchor only if it says in every bit what it knows itself.
func TestAnchorIsSignedOnlyIfItIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(4)
		height := c.sameHead().Height
		r := c.nodes["h0"]
		good, err := r.anchorAt(height, position{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.attest(good); err != nil {
			t.Fatal(err)
		}
		forgedHeader := head(height, 7)
		forged := chain.Header{Name: "ward/v1/header", Chain: testChain, Height: height, Size: forgedHeader.Size, Proposal: chain.Hash{1}}
		raw, err := forged.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*anchor){
			"header": func(a *anchor) { a.Header = raw },
			"configuration": func(a *anchor) {
				a.Config = raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "h2", Address: "h2"}}})
			},
			"place of it": func(a *anchor) { a.ConfigIndex++ },
		} {
			a := *good
			if change(&a); a.Chain != "" {
				if _, err := r.attest(&a); err == nil {
					t.Errorf("signed another %s", name)
				}
			}
		}
		c.stopAll()
	})
}

// Blocks that a member sends are taken only where they belong, and with the
// sidecars they commit to; at a snapshot's block its hash decides.
func TestFetchedBlocksAreCheckedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		side := []byte("sealed")
		mustSubmit(t, c.nodes["h0"], put(t, "alice", "s", []byte{1}, side), side)
		c.load(3)
		height := c.sameHead().Height
		blocks, err := c.nodes["h0"].serveBlocks(blocksRequest{From: 1, To: height})
		if err != nil {
			t.Fatal(err)
		}
		alone := newCluster(t, 1, func(o *Options) { o.Consortium, o.Bootstrap = c.consortium, false })
		alone.net = newSimNet(time.Millisecond)
		r := &Replica{opt: alone.options("h0"), log: discardLog(), news: newBell(), stopped: make(chan struct{})}
		if r.opt, err = r.opt.withDefaults(); err != nil {
			t.Fatal(err)
		}
		if r.executor, err = ledger.NewExecutor(testContracts()); err != nil {
			t.Fatal(err)
		}
		if r.book, err = openBook(r.opt.Dir, c.consortium, bookOptions{medium: r.opt.medium}, r.log); err != nil {
			t.Fatal(err)
		}
		r.consortium.Store(c.consortium)
		r.certs = newCertifier("h0", nil, func(error) {})
		r.waiters = &waiters{lookup: r.executor.Lookup, m: map[chain.Hash][]*waiter{}}
		last := blocks[len(blocks)-1].Pos.Index
		for name, change := range map[string]func(*sentBlock) (to, max uint64){
			"above the last asked for": func(b *sentBlock) (uint64, uint64) { return 0, last },
			"other sidecar":            func(b *sentBlock) (uint64, uint64) { b.Sidecars = [][]byte{[]byte("other")}; return height, last },
			"sidecar too many":         func(b *sentBlock) (uint64, uint64) { b.Sidecars = [][]byte{side, side}; return height, last },
			"sidecar too few":          func(b *sentBlock) (uint64, uint64) { b.Sidecars = nil; return height, last },
		} {
			b := blocks[0]
			to, limit := change(&b)
			if err := r.replayAll(context.Background(), []sentBlock{b}, to, limit); err == nil || r.book.Head().Header.Height != 0 {
				t.Errorf("%s: %v, height %d", name, err, r.book.Head().Header.Height)
			}
		}
		if err := r.replayAll(context.Background(), blocks, height, last); err != nil || r.book.Head().Header.Height != height {
			t.Fatalf("good blocks: %v", err)
		}
		k := c.consortium
		other := attestedBy(t, k, []string{"h0", "h1"}, 3, []string{"h0", "h1"}) // of another block 3
		var broken *chain.BrokenError
		if err := r.catchUp(context.Background(), other); !errors.As(err, &broken) || broken.Height != 3 {
			t.Errorf("another block at the snapshot: %v", err)
		}
		if err := r.book.Close(); err != nil {
			t.Error(err)
		}
		alone.net.node("h0").Close()
		c.stopAll()
	})
}

// A snapshot that t_c members vouch for names a block that is not on their chain: no
// block is executed on the way to it, good as each of them is.
func TestNothingIsFetchedForASnapshotOfNoChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(3)
		c.sameHead()
		r, stop := c.emptied("h2")
		forged := attestedBy(t, c.consortium, []string{"h0", "h1"}, 3, []string{"h0", "h1"})
		var broken *chain.BrokenError
		err := r.catchUp(within(t, time.Minute), forged)
		if !errors.As(err, &broken) || broken.Height != 2 || isAstray(err) || r.book.Head().Header.Height != 0 {
			t.Errorf("block 2 is another: %v at height %d", err, r.book.Head().Header.Height)
		}
		stop()
		c.stopAll()
	})
}

// emptied stops a member and returns one in its place that has nothing, only
// fetches, and is stopped with stop.
func (c *cluster) emptied(name string) (r *Replica, stop func()) {
	c.t.Helper()
	c.stop(name)
	opt, err := c.options(name).withDefaults()
	if err != nil {
		c.t.Fatal(err)
	}
	opt.Dir = tempDir(c.t)
	r = &Replica{opt: opt, log: discardLog(), news: newBell(), stopped: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if r.executor, err = ledger.NewExecutor(testContracts()); err != nil {
		c.t.Fatal(err)
	}
	if r.book, err = openBook(opt.Dir, c.consortium, bookOptions{medium: opt.medium}, r.log); err != nil {
		c.t.Fatal(err)
	}
	r.consortium.Store(c.consortium)
	r.certs = newCertifier(name, nil, func(error) {})
	r.waiters = &waiters{lookup: r.executor.Lookup, m: map[chain.Hash][]*waiter{}}
	r.peers = newPeerNet(opt.Network, r.handle, r.log)
	return r, func() {
		r.cancel()
		r.peers.close()
		if err := errors.Join(opt.Network.Close(), r.book.Close()); err != nil {
			c.t.Error(err)
		}
	}
}

// A member that sends blocks without a sidecar that it has does not make another
// forget it: it is missing, and not purged, until the others are asked.
func TestAttackHiddenSidecar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		kept, purged := []byte("kept"), []byte("purged")
		keep := mustSubmit(t, c.nodes["h0"], put(t, "alice", "s", []byte{1}, kept), kept)
		drop := mustSubmit(t, c.nodes["h0"], put(t, "alice", "p", []byte{1}, purged), purged)
		mustSubmit(t, c.nodes["h0"], sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, drop.Index), nil), nil)
		height := c.sameHead().Height
		for _, node := range c.nodes {
			if err := node.book.drain(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		r, stop := c.emptied("h2")
		blocks := hidden(t, c.nodes["h1"], height)
		if err := r.replayAll(within(t, time.Minute), blocks, height, blocks[len(blocks)-1].Pos.Index); err != nil {
			t.Fatal(err)
		}
		for _, drained := range []bool{false, true} {
			if got, err := r.Sidecar(keep.Index); !errors.Is(err, ErrMissing) || errors.Is(err, ErrPurged) {
				t.Errorf("hidden sidecar, on disk %v: %q, %v", drained, got, err)
			}
			if got, err := r.Sidecar(drop.Index); !errors.Is(err, ErrPurged) || errors.Is(err, ErrMissing) {
				t.Errorf("purged sidecar, on disk %v: %q, %v", drained, got, err)
			}
			if err := r.book.drain(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		if left, err := r.fetchMissing(within(t, time.Minute)); left != 0 || err != nil {
			t.Errorf("%d are missing, %v", left, err)
		}
		hasSidecar(t, r, keep.Index, kept)
		if got, err := r.book.sidecar(drop.Index); len(got) > 0 {
			t.Errorf("purged sidecar: %q, %v", got, err)
		}
		stop()
		c.stopAll()
	})
}

// The only other member with a sidecar cannot be reached, and then it is slow: it is
// waited for. What others say, one of them alone or all, makes nothing forgotten.
func TestSlowMemberIsAskedForSidecars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		kept := []byte("kept")
		keep := mustSubmit(t, c.nodes["h0"], put(t, "alice", "s", []byte{1}, kept), kept)
		height := c.sameHead().Height
		blocks := hidden(t, c.nodes["h1"], height)
		r, stop := c.emptied("h2")
		c.stop("h3")
		hides := c.lie("h3", func(context.Context, string, byte, []byte) (any, error) {
			return blocks[keep.Result.Height-1:][:1], nil
		})
		c.stop("h1")
		c.net.setCut("h0", "h2", true)
		if err := r.replayAll(within(t, time.Minute), blocks, height, blocks[len(blocks)-1].Pos.Index); err != nil {
			t.Fatal(err)
		}
		if left, err := r.fetchMissing(within(t, time.Minute)); left != 1 || err != nil {
			t.Errorf("%d are missing, %v", left, err)
		}
		if got, err := r.Sidecar(keep.Index); !errors.Is(err, ErrMissing) || errors.Is(err, ErrPurged) {
			t.Errorf("forgotten on the word of one member: %q, %v", got, err)
		}
		c.net.setCut("h0", "h2", false)
		c.net.reset("h0", "h2")
		c.net.setDelay("h0", "h2", 5*time.Second)
		if left, err := r.fetchMissing(within(t, time.Minute)); left != 0 || err != nil {
			t.Errorf("%d are missing, %v", left, err)
		}
		hasSidecar(t, r, keep.Index, kept)
		hides()
		stop()
		c.stopAll()
	})
}

// Nothing read is returned before its block is certified.
func TestReadWaitsForTheCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(2)
		c.sameHead()
		r := c.nodes["h0"]
		r.certs.mu.Lock()
		newest := r.certs.newest
		r.certs.newest = nil
		r.certs.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		err := r.ReadLocal(ctx, func(*View) error { return nil })
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read without a certificate: %v", err)
		}
		r.certs.mu.Lock()
		r.certs.newest = newest
		r.certs.mu.Unlock()
		if err := r.ReadLocal(context.Background(), func(*View) error { return nil }); err != nil {
			t.Error(err)
		}
		c.stopAll()
	})
}

// A state that differs from its hash, every value of it with a good checksum of
// its own, is found.
func TestStateIsComparedWithItsHash(t *testing.T) {
	c := newCluster(t, 1, nil)
	r := c.start("h0")
	mustSubmit(t, r, put(t, "alice", "k", []byte("v"), nil), nil)
	if err := r.book.drain(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := r.Scrub(); err != nil {
		t.Fatal(err)
	}
	var forged batch
	forged.set(stateKey([]byte("kv\x00k")), []byte("w"))
	if err := r.book.db.commit(&forged); err != nil {
		t.Fatal(err)
	}
	mustSubmit(t, r, put(t, "alice", "other", []byte("v"), nil), nil)
	if err := r.book.drain(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := r.Scrub(); !isDamage(err) {
		t.Errorf("forged value: %v", err)
	}
	c.stopAll()
}
