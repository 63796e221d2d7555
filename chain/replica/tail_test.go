package replica

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// A peer gives members an entry that is not committed, and then others in its place
// that they refuse to store. They keep what they had, and go on: Raft would count the
// entry that it has removed, and take nothing after it from anyone.
func TestAttackGarbageInPlaceOfAnEntry(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		later, err := chain.SignEntry(testChain, 1, chain.Hash{1}, time.Now().Add(time.Hour).UnixMilli(), []*chain.Tx{put(t, "alice", "k", nil, nil)}, [][]byte{nil}, testKey(a.name))
		if err != nil {
			t.Fatal(err)
		}
		future, err := later.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range victims {
			last := v.raftLog.log.Last()
			send := func(entries ...*raft.Log) error {
				for i, e := range entries {
					e.Index, e.Term = last+1+uint64(i), a.term
				}
				id := raft.ServerID(v.opt.Member)
				return a.transport.AppendEntries(id, raft.ServerAddress(id), &raft.AppendEntriesRequest{
					RPCHeader: a.header(), Term: a.term, PrevLogEntry: last, PrevLogTerm: v.raftLog.term(last), Entries: entries,
				}, new(raft.AppendEntriesResponse))
			}
			if err := send(&raft.Log{Type: raft.LogNoop}); err != nil || v.raftLog.log.Last() != last+1 {
				t.Fatalf("%s: log to %d after %d, %v", v.opt.Member, v.raftLog.log.Last(), last, err)
			}
			term := a.term
			for name, data := range map[string][]byte{"garbage": []byte("x"), "nothing": nil, "from the future": future} {
				for _, entries := range [][]*raft.Log{{{Type: raft.LogCommand, Data: data}}, {{Type: raft.LogNoop}, {Type: raft.LogCommand, Data: data}}} {
					a.term++
					err := send(entries...)
					if got := v.raftLog.term(last + 1); err == nil || got != term || v.node().LastIndex() != last+1 {
						t.Errorf("%s: %s as entry %d in place of one: %v; entry of term %d, was %d", v.opt.Member, name, len(entries), err, got, term)
					}
				}
			}
			v.readOnly.Store(true)
			a.term++
			if err := send(&raft.Log{Type: raft.LogNoop}); err == nil || v.raftLog.term(last+1) != term {
				t.Errorf("%s: on a full disk: %v; entry of term %d, was %d", v.opt.Member, err, v.raftLog.term(last+1), term)
			}
			v.readOnly.Store(false)
		}
		time.Sleep(5 * time.Second)
		a.recovers()
	})
}

// Entries were removed for others that the disk does not take: Raft counts what is not
// there, and the replica is told.
func TestLogThatWasCutAndTakesNothingHasFailed(t *testing.T) {
	l := raftLogOf(t, 10)
	full := errors.New("full")
	var refused, failed error
	l.check = func([]*raft.Log) error { return refused }
	l.onFailed = func(err error) { failed = err }
	next := func(index uint64) error { return l.StoreLog(&raft.Log{Index: index, Term: 2, Data: []byte("x")}) }
	refused = full
	if err := next(11); !errors.Is(err, full) || failed != nil {
		t.Errorf("nothing was removed: %v, %v", err, failed)
	}
	refused = nil
	if err := errors.Join(l.DeleteRange(8, 10), next(8)); err != nil {
		t.Fatal(err)
	}
	refused = full
	if err := next(9); !errors.Is(err, full) || failed != nil {
		t.Errorf("others are in their place: %v, %v", err, failed)
	}
	if err := errors.Join(l.DeleteRange(8, 8), next(8)); !errors.Is(err, full) || !errors.Is(failed, full) {
		t.Errorf("nothing is in their place: %v, %v", err, failed)
	}
}

// A message is judged when Raft has done what the one before said, whoever sent it.
func TestMessagesAreJudgedByTheLogThatRaftMeets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newSimNet(time.Millisecond)
		log := raftLogger(discardLog())
		tr := newRaftTransport("h0", net.node("h0"), time.Second, log)
		judged := 0
		tr.guard = func(string, any) error { judged++; return nil }
		go func() {
			for {
				conn, member, _, err := tr.net.Accept()
				if err != nil {
					return
				}
				tr.serve(conn, member)
			}
		}()
		var peers []*raftTransport
		answers := make(chan error, 2)
		for _, name := range []string{"h1", "h2"} {
			p := newRaftTransport(name, net.node(name), time.Minute, log)
			peers = append(peers, p)
			go func() {
				header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(name), Addr: []byte(name)}
				answers <- p.RequestVote("h0", "h0", &raft.RequestVoteRequest{RPCHeader: header, Term: 1}, new(raft.RequestVoteResponse))
			}()
		}
		time.Sleep(time.Second)
		for want := range 2 {
			rpc := <-tr.Consumer()
			time.Sleep(time.Second)
			if judged != want+1 {
				t.Errorf("%d messages were judged while Raft has number %d", judged, want+1)
			}
			rpc.Respond(&raft.RequestVoteResponse{}, nil)
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		for _, p := range append(peers, tr) {
			p.Close()
			p.net.Close()
		}
	})
}
