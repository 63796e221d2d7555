package replica

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// One of four is down, one was away while the fourth joined, and only the fourth has
// the newest entry: it is elected by the vote of the one who was away, whose log does
// not name it yet.
func TestMemberThatWasAwayVotesForOneWhoJoinedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known *chain.Consortium
		c := newCluster(t, 3, func(o *Options) {
			neverCompacting(o)
			if o.Member == "h3" {
				o.Bootstrap, o.Known = false, known
			}
		})
		c.startAll()
		c.load(3)
		c.sameHead()
		c.stop("h1")
		next, tx := nextConsortium(t, c.consortium, append(slices.Clone(c.consortium.Members), testMember("h3")))
		known = next
		submitChange(t, c.nodes["h0"], c.consortium, tx)
		c.start("h3")
		waitVoters(t, c, "h0", []string{"h0", "h1", "h2", "h3"})
		c.leads("h3")
		c.sameHead()
		c.parted("h0", "h3", true)
		last := func(name string) uint64 { return c.nodes[name].raftLog.log.Last() }
		go c.nodes["h3"].Submit(within(t, 2*time.Second), put(t, "alice", "k", []byte("v"), nil), nil) // nobody tells it what became of it
		for range 100 {
			if last("h3") > last("h0") {
				break
			}
			time.Sleep(time.Millisecond)
		}
		c.stop("h2") // before it is elected
		if last("h0") >= last("h3") {
			t.Fatalf("logs to %d and %d: the test tests nothing", last("h0"), last("h3"))
		}
		r := c.start("h1")
		if slices.Contains(voters(r), "h3") {
			t.Fatal("the log of h1 names h3: the test tests nothing")
		}
		c.parted("h0", "h3", false)
		mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("w"), nil), nil)
		c.comesTo("h1", "h3")
		if got := r.Status().Refused; got != 0 {
			t.Errorf("%d messages were refused", got)
		}
		c.stopAll()
	})
}

// Only a member gets a vote that way, only with a log that is no older, and only while
// no leader is known. Whom the configuration names, Raft judges alone.
func TestOnlyMembersAreCandidatesTheLogDoesNotName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, neverCompacting)
		c.startAll()
		c.load(3)
		c.sameHead()
		r := c.nodes["h0"]
		term := r.node().CurrentTerm()
		end := func() position {
			index := r.node().LastIndex()
			return position{Index: index, Term: r.raftLog.term(index)}
		}
		last := end()
		// prevote returns "Raft" if that is to answer.
		prevote := func(from string, term uint64, end position) string {
			err := r.vetPreVote(&raft.RequestPreVoteRequest{RPCHeader: raft.RPCHeader{ID: []byte(from)}, Term: term, LastLogIndex: end.Index, LastLogTerm: end.Term}, r.node().CurrentTerm())
			var answered *answeredError
			switch {
			case err == nil:
				return "Raft"
			case !errors.As(err, &answered):
				return err.Error()
			case answered.answer.(*raft.RequestPreVoteResponse).Granted:
				return "yes"
			}
			return "no"
		}
		nameless := func(from string) bool {
			req := &raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{ID: []byte(from), Addr: []byte(from)}}
			r.vetVote(req)
			return len(req.ID) == 0 && string(req.Addr) == from
		}
		if got := prevote("h3", term+1, last); got != "Raft" || nameless("h3") {
			t.Errorf("before h3 is a member: %s", got)
		}
		next, _ := nextConsortium(t, c.consortium, append(slices.Clone(c.consortium.Members), testMember("h3")))
		r.setConsortium(next)
		if got := prevote("h3", term+1, last); got != "Raft" {
			t.Errorf("while there is a leader: %s", got)
		}
		c.stop("h1")
		c.stop("h2")
		for range 60 {
			if leader, _ := r.leader(); leader == "" {
				break
			}
			time.Sleep(time.Second)
		}
		term, last = r.node().CurrentTerm(), end()
		for name, v := range map[string]struct {
			from string
			term uint64
			end  position
			want string
		}{
			"a member":         {"h3", term + 1, last, "yes"},
			"of the same term": {"h3", term, last, "yes"},
			"of an older term": {"h3", term - 1, last, "Raft"},
			"a longer log":     {"h3", term + 1, position{Index: last.Index + 1, Term: last.Term}, "yes"},
			"a shorter log":    {"h3", term + 1, position{Index: last.Index - 1, Term: last.Term}, "no"},
			"a newer log":      {"h3", term + 1, position{Index: last.Index - 1, Term: last.Term + 1}, "yes"},
			"an older log":     {"h3", term + 1, position{Index: last.Index + 1, Term: last.Term - 1}, "no"},
			"one it names":     {"h1", term + 1, last, "Raft"},
			"a stranger":       {"h4", term + 1, last, "Raft"},
		} {
			if got := prevote(v.from, v.term, v.end); got != v.want {
				t.Errorf("%s: %s, want %s", name, got, v.want)
			}
		}
		if !nameless("h3") || nameless("h1") || nameless("h4") {
			t.Error("vote of h3, h1, h4")
		}
		c.stopAll()
	})
}
