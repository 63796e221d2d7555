package replica

import (
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// A peer sends as many configurations as a message takes, after a tail that is not
// executed. All of them together read that tail once.
func TestAttackConfigurationsAfterALongTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(2)
		c.sameHead()
		r := c.nodes["h0"]
		a := &attacker{cluster: c, name: "h3"}
		var txs []*chain.Tx
		for range 10 {
			txs = append(txs, put(t, "alice", "k", []byte("v"), nil))
		}
		command := a.entry(r, txs...)
		command.Term = r.node().CurrentTerm()
		end := r.raftLog.log.Last()
		for range 400 {
			if err := r.raftLog.log.Append(r.raftLog.log.Last()+1, appendLog(nil, command)); err != nil {
				t.Fatal(err)
			}
		}
		last := r.raftLog.log.Last()
		config := raft.EncodeConfiguration(r.node().GetConfiguration().Configuration())
		costs := func(n int) float64 {
			req := &raft.AppendEntriesRequest{Term: command.Term, PrevLogEntry: last, PrevLogTerm: command.Term}
			for i := range n {
				req.Entries = append(req.Entries, &raft.Log{Index: last + 1 + uint64(i), Term: command.Term, Type: raft.LogConfiguration, Data: config})
			}
			return testing.AllocsPerRun(2, func() {
				if err := r.vetCommand(req); err != nil {
					t.Error(err)
				}
			})
		}
		if one, all := costs(1), costs(maxEntries); all > 8*one {
			t.Errorf("%v allocations for one configuration, %v for %d", one, all, maxEntries)
		}
		if err := r.raftLog.log.TruncateBack(end + 1); err != nil {
			t.Fatal(err)
		}
		c.stopAll()
	})
}
