package replica

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// starver loses everything but heartbeats on the way to one member.
type starver struct {
	*raftTransport
	victim raft.ServerID
	on     *atomic.Bool
}

var errStarved = errors.New("lost")

func (s *starver) lose(id raft.ServerID, prev uint64) bool {
	return s.on.Load() && id == s.victim && prev > 0
}

func (s *starver) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if s.lose(id, args.PrevLogEntry) {
		return errStarved
	}
	return s.raftTransport.AppendEntries(id, target, args, resp)
}

func (s *starver) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	if id == s.victim {
		return nil, raft.ErrPipelineReplicationNotSupported
	}
	return s.raftTransport.AppendEntriesPipeline(id, target)
}

// A member gets heartbeats and no entries for minutes: Raft waits between attempts
// that fail, up to ten seconds each time. It is behind what is certified, and its
// log is good: it does not halt, and goes on where it stood.
func TestMemberWithoutEntriesWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var on atomic.Bool
		c := newCluster(t, 3, func(o *Options) {
			o.wrapTransport = func(inner raft.Transport) raft.Transport {
				return &starver{inner.(*raftTransport), "h2", &on}
			}
		})
		c.startAll()
		c.load(3)
		c.leads("h0")
		before := c.sameHead()
		on.Store(true)
		mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("v"), nil), nil)
		time.Sleep(5 * behindFor * c.nodes["h2"].opt.Heartbeat)
		if err := c.nodes["h2"].Err(); err != nil {
			t.Fatalf("a member whose leader sends it no entries: %v", err)
		}
		if got := c.nodes["h2"].book.Head().Header.Height; got != before.Height {
			t.Fatalf("it is at block %d, want %d: the test tests nothing", got, before.Height)
		}
		on.Store(false)
		if after := c.sameHead(); after.Height <= before.Height {
			t.Errorf("head %d after %d", after.Height, before.Height)
		}
		c.stopAll()
	})
}

// A leader keeps blocks from a member for good and says that there are none. The
// member sees what the others certify, and that its log does not lead there: it
// halts. The certificate says nothing against that log: it keeps it, and comes on from
// there when it is opened.
func TestAttackLeaderHidesCertifiedBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		var end position
		c := newCluster(t, 4, func(o *Options) {
			if o.Member == "h3" {
				o.wrapTransport = func(inner raft.Transport) raft.Transport {
					return &hider{withholder{inner.(*raftTransport), "h0", &lying}, &end}
				}
			}
		})
		c.startAll()
		c.load(4)
		c.leads("h3")
		before := c.sameHead()
		end = position{Index: c.nodes["h0"].node().LastIndex(), Term: c.nodes["h0"].node().CurrentTerm()}
		lying.Store(true)
		mustSubmit(t, c.nodes["h1"], put(t, "alice", "k", []byte("revoked"), nil), nil)
		time.Sleep(3 * behindFor * c.nodes["h0"].opt.Heartbeat)
		if err := c.nodes["h0"].Err(); !errors.Is(err, ErrHalted) || c.nodes["h0"].book.Head().Header.Height != before.Height {
			t.Fatalf("h0 stands at block %d of %d: %v", c.nodes["h0"].book.Head().Header.Height, before.Height, err)
		}
		c.keptItsLog("h0")
		lying.Store(false)
		_ = c.nodes["h0"].Close() // says why it halted
		c.start("h0")
		if after := c.sameHead(); after.Height <= before.Height {
			t.Errorf("head %d after %d", after.Height, before.Height)
		}
		c.stopAll()
	})
}

// hider is a leader's transport that tells one member, truthfully in form, that
// the log ends where the member's does. Raft is told that it took all.
type hider struct {
	withholder
	end *position // of the victim's log
}

func (h *hider) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if id != h.victim || !h.on.Load() {
		return h.withholder.AppendEntries(id, target, args, resp)
	}
	told := *args
	told.Entries = nil
	if args.PrevLogEntry > 0 {
		told.PrevLogEntry, told.PrevLogTerm, told.LeaderCommitIndex = h.end.Index, h.end.Term, h.end.Index
	}
	err := h.raftTransport.AppendEntries(id, target, &told, resp)
	resp.LastLog = args.PrevLogEntry + uint64(len(args.Entries))
	return err
}
