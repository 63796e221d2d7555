package replica

import (
	"testing"
)

// What a member has applied is not overwritten, also by a peer that it takes for
// the leader, when no snapshot covers it yet: neither while the member runs, nor
// after a restart, before it applies anything new. The peer is counted, and the
// member goes on.
func TestAttackRewrittenSuffixWithoutSnapshots(t *testing.T) {
	attackWith(t, nil, func(a *attacker, victims []*Replica) {
		rewrite := func(v *Replica, when string) {
			t.Helper()
			head, last, hits := v.book.Head().Header, v.raftLog.log.Last(), v.floorHits.Load()
			if v.snaps.newest() != nil || v.raftLog.log.First() != 1 {
				t.Fatal("there is a snapshot")
			}
			for range 10 { // connections from before a restart are closed
				if a.append(v, last) == nil {
					break
				}
			}
			term := v.raftLog.term(last - 3)
			err := a.append(v, last-4, a.entry(v, put(t, "alice", "k", []byte("evil"), nil)))
			if err == nil {
				t.Errorf("%s, %s: took another history", v.opt.Member, when)
			}
			if v.floorHits.Load() == hits || v.Status().Refused == 0 {
				t.Errorf("%s, %s: did not notice: %v", v.opt.Member, when, err)
			}
			if got := v.raftLog.term(last - 3); got != term || v.raftLog.log.Last() != last {
				t.Errorf("%s, %s: entry %d is of term %d, was %d; the log ends at %d, did at %d", v.opt.Member, when, last-3, got, term, v.raftLog.log.Last(), last)
			}
			if got := v.book.Head().Header; got.Hash() != head.Hash() || v.Err() != nil {
				t.Errorf("%s, %s: changed, %v", v.opt.Member, when, v.Err())
			}
		}
		for _, v := range victims {
			rewrite(v, "running")
		}
		names := []string{"h0", "h1", "h2"}
		for _, name := range names {
			a.stop(name)
		}
		for _, name := range names { // alone, so that nothing new is applied
			rewrite(a.start(name), "restarted")
			if t.Failed() {
				a.nodes[name].Close()
				delete(a.nodes, name)
				return
			}
			a.stop(name)
		}
		for _, name := range names {
			a.start(name)
		}
		a.recovers()
	})
}
