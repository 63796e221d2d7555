package replica

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A peer announces snapshots and never sends them: Raft would wait for what comes, and
// hear nobody meanwhile.
func TestAttackSnapshotThatNeverComes(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		config := raft.EncodeConfiguration(victims[0].node().GetConfiguration().Configuration())
		for name, req := range map[string]raft.InstallSnapshotRequest{
			"plausible":       {Term: 1000, SnapshotVersion: raft.SnapshotVersionMax, Size: 100},
			"of an old term":  {Term: 0, SnapshotVersion: raft.SnapshotVersionMax, Size: 100},
			"one to refuse":   {Term: 1000, SnapshotVersion: raft.SnapshotVersionMin, Size: 100},
			"larger than any": {Term: 1000, SnapshotVersion: raft.SnapshotVersionMax, Size: math.MaxInt64},
		} {
			a.term += req.Term
			req.Term = min(req.Term, 1) * a.term
			never, end := io.Pipe()
			sent := make(chan error, len(victims))
			for _, v := range victims {
				req := req
				req.RPCHeader, req.Configuration = a.header(), config
				req.LastLogIndex, req.LastLogTerm = v.raftLog.log.Last()+10, req.Term
				id := raft.ServerID(v.opt.Member)
				go func() {
					sent <- a.transport.InstallSnapshot(id, raft.ServerAddress(id), &req, new(raft.InstallSnapshotResponse), never)
				}()
			}
			time.Sleep(5 * time.Second)
			a.recovers()
			end.Close()
			for range victims {
				if <-sent == nil {
					t.Errorf("%s: taken", name)
				}
			}
		}
	})
}

// A peer sends a configuration that comes after more entries than anyone could have:
// to judge it by all of them would take for ever.
func TestAttackConfigurationFarAhead(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		for _, v := range victims {
			config := raft.EncodeConfiguration(v.node().GetConfiguration().Configuration())
			for _, prev := range []uint64{math.MaxUint64, 1 << 62} {
				if err := a.append(v, prev, &raft.Log{Type: raft.LogConfiguration, Data: config}); err == nil {
					t.Errorf("%s took it", v.opt.Member)
				}
			}
		}
		a.recovers()
	})
}
