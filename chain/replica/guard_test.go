package replica

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// attestedBy returns a snapshot at block 3 that members signed, under a
// checkpoint at certified that cosigners certified.
func attestedBy(t *testing.T, k *chain.Consortium, members []string, certified uint64, cosigners []string) *attested {
	t.Helper()
	h := chain.Header{Name: "ward/v1/header", Chain: testChain, Height: 3, Size: 3, Proposal: chain.Hash{1}}
	raw, err := h.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	config := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "h0", Address: "h0"}}})
	s := &attested{Name: attestedName, Anchor: anchor{Name: anchorName, Chain: testChain, Header: raw, Pos: position{Index: 10, Term: 2}, Config: config, ConfigIndex: 1}}
	msg, err := s.Anchor.message()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		sig, err := testKey(m).Sign(nil, msg, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		s.Members, s.Signatures = append(s.Members, m), append(s.Signatures, sig)
	}
	cp := chain.Checkpoint{TreeHead: h.TreeHead()}
	if certified != h.Height {
		cp.TreeHead = head(certified, 1)
	}
	for _, m := range cosigners {
		cp.Signatures = append(cp.Signatures, cosigned(t, k, cp.TreeHead, m, m))
	}
	if s.Checkpoint, err = cp.Bytes(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A snapshot counts only with t_c different members' signatures on exactly what
// it says, under a certified checkpoint at its block or later.
func TestSnapshotNeedsSignaturesAndCertificate(t *testing.T) {
	k := testConsortium(t, 4, 0)
	three := []string{"h0", "h1", "h2"}
	for name, s := range map[string]*attested{
		"two signatures":          attestedBy(t, k, three[:2], 3, three),
		"one member three times":  attestedBy(t, k, []string{"h0", "h0", "h0"}, 3, three),
		"a stranger":              attestedBy(t, k, []string{"h0", "h1", "h9"}, 3, three),
		"checkpoint of two":       attestedBy(t, k, three, 3, three[:2]),
		"checkpoint before block": attestedBy(t, k, three, 2, three),
	} {
		if _, err := s.verify(k); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, change := range map[string]func(*attested){
		"index":         func(s *attested) { s.Anchor.Pos.Index++ },
		"term":          func(s *attested) { s.Anchor.Pos.Term++ },
		"configuration": func(s *attested) { s.Anchor.Config = append(bytes.Clone(s.Anchor.Config), 0) },
		"place of it":   func(s *attested) { s.Anchor.ConfigIndex++ },
		"signature":     func(s *attested) { s.Signatures[1][7] ^= 1 },
		"order":         func(s *attested) { slices.Reverse(s.Members); slices.Reverse(s.Signatures) },
		"chain":         func(s *attested) { s.Anchor.Chain = "other.ward" },
		"other block at its height": func(s *attested) {
			cp := chain.Checkpoint{TreeHead: head(3, 9)}
			for _, m := range three {
				cp.Signatures = append(cp.Signatures, cosigned(t, k, cp.TreeHead, m, m))
			}
			s.Checkpoint = mustNote(t, &cp)
		},
	} {
		s := attestedBy(t, k, three, 3, three)
		if change(s); s != nil {
			if _, err := s.verify(k); err == nil {
				t.Errorf("changed %s: accepted", name)
			}
		}
	}
	for _, certified := range []uint64{3, 9} {
		if _, err := attestedBy(t, k, three, certified, three).verify(k); err != nil {
			t.Errorf("certified at %d: %v", certified, err)
		}
	}
}

func mustNote(t *testing.T, cp *chain.Checkpoint) []byte {
	t.Helper()
	b, err := cp.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What Raft stores is what was signed: place and configuration are compared, an
// older snapshot does not replace a newer one, and damage to the file is found.
func TestSnapshotIsStoredOnlyAsItWasSigned(t *testing.T) {
	k := testConsortium(t, 4, 0)
	dir := t.TempDir()
	s, _, err := openSnaps(dir, medium{simulated: true}, func() *chain.Consortium { return k })
	if err != nil {
		t.Fatal(err)
	}
	good := attestedBy(t, k, []string{"h0", "h1", "h2"}, 3, []string{"h0", "h1", "h2"})
	raw := mustMarshal(t, good)
	config, err := decodeConfig(good.Anchor.Config)
	if err != nil {
		t.Fatal(err)
	}
	store := func(index, term, configIndex uint64, config raft.Configuration) error {
		sink, err := s.Create(raft.SnapshotVersionMax, index, term, config, configIndex, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Write(raw); err != nil {
			t.Fatal(err)
		}
		return sink.Close()
	}
	other := raft.Configuration{Servers: []raft.Server{{ID: "h3", Address: "h3"}}}
	for name, err := range map[string]error{
		"index": store(11, 2, 1, config), "term": store(10, 3, 1, config),
		"configuration index": store(10, 2, 2, config), "configuration": store(10, 2, 1, other),
	} {
		if err == nil || s.newest() != nil {
			t.Errorf("%s differs: stored, %v", name, err)
		}
	}
	if err := store(10, 2, 1, config); err != nil {
		t.Fatal(err)
	}
	older := *good
	older.Anchor.Pos.Index = 9
	if err := s.put(&older, raw); err == nil || s.newest().Anchor.Pos.Index != 10 {
		t.Errorf("an older snapshot replaced it: %v", err)
	}
	flipAt(t, s.path, 40)
	if again, damage, err := openSnaps(dir, medium{simulated: true}, func() *chain.Consortium { return k }); err != nil || !isDamage(damage) || again.newest() != nil {
		t.Errorf("damage %v, %v", damage, err)
	}
}

func raftLogOf(t *testing.T, n uint64) *raftLog {
	t.Helper()
	log, err := seglog.Open(t.TempDir(), seglog.Options{InsecureNoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	l := newRaftLog(log, 1<<20)
	for i := uint64(1); i <= n; i++ {
		if err := l.StoreLog(&raft.Log{Index: i, Term: 1, Data: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// Entries that were applied are neither removed nor replaced, and leave the
// front only when a certified snapshot covers them.
func TestAppliedEntriesAreNotOverwritten(t *testing.T) {
	l := raftLogOf(t, 10)
	reports := 0
	l.onFloor = func(uint64, uint64) { reports++ }
	l.raise(7)
	l.raise(3) // never goes down
	if err := l.StoreLog(&raft.Log{Index: 7, Term: 9}); !errors.Is(err, errFloor) {
		t.Errorf("replaced an applied entry: %v", err)
	}
	if err := l.DeleteRange(7, 10); !errors.Is(err, errFloor) {
		t.Errorf("removed an applied entry: %v", err)
	}
	if reports != 2 {
		t.Errorf("%d reports", reports)
	}
	if err := l.DeleteRange(1, 4); err == nil || l.log.First() != 1 {
		t.Errorf("removed from the front without a snapshot: %v", err)
	}
	if err := l.DeleteRange(3, 5); err == nil {
		t.Error("removed from the middle")
	}
	if err := l.DeleteRange(8, 10); err != nil || l.log.Last() != 7 {
		t.Errorf("an entry that was not applied stays: %v", err)
	}
	l.cover(position{Index: 4, Term: 1})
	if err := l.DeleteRange(1, 4); err != nil || l.log.First() != 5 {
		t.Errorf("compaction: %v", err)
	}
}

// A snapshot beyond the log was stored, and the catching up to it failed: a leader may
// still send what the snapshot covers. What is in the log stays as it is.
func TestEntriesBelowASnapshotThatAreMissingAreStored(t *testing.T) {
	l := raftLogOf(t, 5)
	reports := 0
	l.onFloor = func(uint64, uint64) { reports++ }
	l.cover(position{Index: 10, Term: 1})
	if err := l.StoreLog(&raft.Log{Index: 6, Term: 1}); err != nil || reports > 0 {
		t.Errorf("refused a missing entry: %v, %d reports", err, reports)
	}
	if err := l.StoreLog(&raft.Log{Index: 6, Term: 2}); !errors.Is(err, errFloor) || reports != 1 || l.term(6) != 1 {
		t.Errorf("replaced a covered entry: %v, %d reports", err, reports)
	}
}

// Raft orders the whole log removed when a snapshot was installed, and goes on as
// if its end were there: what is behind the snapshot stays, and the snapshot's own
// entry answers with its term.
func TestEntriesBehindAnInstalledSnapshotStay(t *testing.T) {
	for _, at := range []uint64{6, 1, 10} {
		l := raftLogOf(t, 10)
		l.raise(9)
		l.cover(position{Index: at, Term: 7})
		if err := l.DeleteRange(1, 10); err != nil {
			t.Fatal(err)
		}
		for i := uint64(0); i <= 10; i++ {
			want := uint64(0)
			switch {
			case i == at:
				want = 7
			case i > at:
				want = 1
			}
			if got := l.term(i); got != want {
				t.Errorf("snapshot at %d: entry %d has term %d, want %d", at, i, got, want)
			}
		}
		if err := l.DeleteRange(max(at+1, 8), 10); at < 10 && !errors.Is(err, errFloor) {
			t.Errorf("removed an applied entry: %v", err)
		}
	}
}

// What no honest leader sends is not stored: entries of another chain, from the
// future, empty or malformed ones.
func TestEntriesNoHonestLeaderSendsAreNotStored(t *testing.T) {
	c := newEntryCache(testChain, time.Minute, 1<<20)
	entry := func(chainID string, ahead time.Duration) *raft.Log {
		e, err := chain.SignEntry(chainID, 1, chain.Hash{1}, time.Now().Add(ahead).UnixMilli(), []*chain.Tx{put(t, "a", "k", nil, nil)}, [][]byte{nil}, testKey("h0"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return &raft.Log{Index: 5, Term: 2, Type: raft.LogCommand, Data: b}
	}
	for name, log := range map[string]*raft.Log{
		"another chain": entry("other.ward", 0), "future": entry(testChain, 2*time.Minute),
		"empty": {Type: raft.LogCommand}, "garbage": {Type: raft.LogCommand, Data: []byte("x")},
	} {
		if err := c.check([]*raft.Log{log}); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	good := entry(testChain, 30*time.Second)
	if err := c.check([]*raft.Log{good}); err != nil {
		t.Fatal(err)
	}
	// The entry that was checked is not taken for one of another term.
	other := entry(testChain, 10*time.Second)
	other.Term = 3
	if e, err := c.take(other); err != nil || e.Time == mustTake(t, good).Time {
		t.Errorf("took a cached entry for another: %v", err)
	}
}

func mustTake(t *testing.T, log *raft.Log) *chain.Entry {
	t.Helper()
	e, err := chain.ParseEntry(log.Data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A member that may have forgotten what it acknowledged neither votes nor asks
// for votes, and messages under another's name are refused.
func TestTransportRefusesFalseNamesAndVotesWhileRecovering(t *testing.T) {
	recovering := true
	tr := newRaftTransport("h0", newSimNet(0).node("h0"), time.Second, raftLogger(discardLog()))
	defer tr.Close()
	tr.mayVote = func() bool { return !recovering }
	header := raft.RPCHeader{ID: []byte("h1"), Addr: []byte("h1")}
	votes := []any{&raft.RequestVoteRequest{RPCHeader: header}, &raft.RequestPreVoteRequest{RPCHeader: header}, &raft.TimeoutNowRequest{RPCHeader: header}}
	for _, v := range votes {
		if err := tr.vet("h1", raft.RPC{Command: v}); !errors.Is(err, errRecovering) {
			t.Errorf("%T while recovering: %v", v, err)
		}
	}
	if err := tr.RequestVote("h1", "h1", votes[0].(*raft.RequestVoteRequest), &raft.RequestVoteResponse{}); !errors.Is(err, errRecovering) {
		t.Errorf("asked for a vote: %v", err)
	}
	if err := tr.RequestPreVote("h1", "h1", votes[1].(*raft.RequestPreVoteRequest), &raft.RequestPreVoteResponse{}); !errors.Is(err, errRecovering) {
		t.Errorf("asked for a pre-vote: %v", err)
	}
	recovering = false
	for _, v := range votes {
		if err := tr.vet("h1", raft.RPC{Command: v}); err != nil {
			t.Errorf("%T: %v", v, err)
		}
		if err := tr.vet("h2", raft.RPC{Command: v}); err == nil {
			t.Errorf("%T under another's name: accepted", v)
		}
	}
	mixed := &raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{ID: []byte("h1"), Addr: []byte("h2")}}
	if err := tr.vet("h1", raft.RPC{Command: mixed}); err == nil {
		t.Error("id and address differ: accepted")
	}
}

// What nobody waits for any more leaves the queue unsent, and makes room.
func TestWhatNobodyWaitsForIsNotSent(t *testing.T) {
	o := &outbox{limit: 1 << 20, stop: make(chan struct{}), kick: make(chan struct{}, 1), room: newBell()}
	var items []*item
	for range 5 {
		it := &item{tx: put(t, "a", "k", nil, nil), done: make(chan error, 1)}
		items = append(items, it)
		if err := o.put(context.Background(), it, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{0, 2, 4} {
		items[i].left.Store(true)
	}
	if got := o.take(2, 1<<20); !slices.Equal(got, []*item{items[1], items[3]}) || items[2].taken.Load() {
		t.Errorf("took %d", len(got))
	}
	if got := o.take(2, 1<<20); len(got) != 0 || !o.empty() || o.bytes != 0 {
		t.Errorf("took %d, %d bytes left", len(got), o.bytes)
	}
}

// The queue is bounded in bytes: who does not wait is told, who waits gets room.
func TestQueueIsBounded(t *testing.T) {
	o := &outbox{limit: 3000, stop: make(chan struct{}), kick: make(chan struct{}, 1), room: newBell()}
	it := func() *item { return &item{tx: put(t, "a", "k", make([]byte, 1000), nil), done: make(chan error, 1)} }
	if err := o.put(context.Background(), it(), false); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.put(context.Background(), it(), false), o.put(context.Background(), it(), false)); !errors.Is(err, ErrOverloaded) {
		t.Fatalf("over the limit: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := o.put(ctx, it(), true); !errors.Is(err, ErrOverloaded) {
		t.Fatalf("waited in vain: %v", err)
	}
	if n := len(o.take(10, 1<<20)); n == 0 || o.bytes != 0 {
		t.Fatalf("took %d, %d bytes left", n, o.bytes)
	}
	if err := o.put(context.Background(), it(), false); err != nil {
		t.Fatal(err)
	}
}
