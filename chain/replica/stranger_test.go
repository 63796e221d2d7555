package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ward-health/ward/chain"
)

// knowing is a Network that, as the one for production does, connects members of the
// consortium file that its own member goes by, and nobody else.
type knowing struct {
	Network
	members Directory
}

func (n knowing) Dial(ctx context.Context, member string, lane Lane) (net.Conn, error) {
	if n.members().Member(member) == nil {
		return nil, fmt.Errorf("dial %s: not a member", member)
	}
	return n.Network.Dial(ctx, member, lane)
}

func (n knowing) Accept() (net.Conn, string, Lane, error) {
	for {
		conn, member, lane, err := n.Network.Accept()
		if err != nil || n.members().Member(member) != nil {
			return conn, member, lane, err
		}
		conn.Close()
	}
}

// A member was away while another joined, who leads since: its network does not take
// the leader for a member. It learns from the others who that is.
func TestMemberThatWasAwayMeetsALeaderItDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known *chain.Consortium
		var c *cluster
		var running sync.Map // by name
		c = newCluster(t, 4, func(o *Options) {
			name := o.Member
			file := c.consortium
			if name == "h4" {
				o.Bootstrap, o.Known, file = false, known, known
			}
			o.Network = knowing{o.Network, func() *chain.Consortium {
				if r, ok := running.Load(name); ok {
					return r.(*Replica).Consortium()
				}
				return file
			}}
		})
		c.startAll()
		for name, r := range c.nodes {
			running.Store(name, r)
		}
		c.load(3)
		c.sameHead()
		c.apart("h3", true)
		var tx *chain.Tx
		known, tx = nextConsortium(t, c.consortium, append(slices.Clone(c.consortium.Members), testMember("h4")))
		submitChange(t, c.nodes["h0"], c.consortium, tx)
		running.Store("h4", c.start("h4"))
		waitVoters(t, c, "h0", []string{"h0", "h1", "h2", "h3", "h4"})
		c.leads("h4")
		mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("v"), nil), nil)
		c.net.setCut("h3", "h4", false)
		c.net.setCut("h4", "h3", false)
		c.apart("h3", false)
		c.comesTo("h3", "h4")
		if _, self := c.nodes["h4"].leader(); !self {
			t.Error("another leads: the test tests nothing")
		}
		c.stopAll()
	})
}

// One member tells of a change that was endorsed and never came into force, of one
// by strangers, or of nothing that can be read. Only what f+1 tell alike is followed,
// and what the chain says goes before it.
func TestAttackChangeThatNobodyElseHasExecuted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		founding := c.consortium
		c.startAll()
		c.load(2)
		c.sameHead()
		idle, endorsed := nextConsortium(t, founding, founding.Members[1:])
		strangers := *founding
		strangers.Members = []chain.Member{testMember("x0"), testMember("x1"), testMember("x2"), testMember("x3")}
		_, forged := nextConsortium(t, &strangers, append(slices.Clone(strangers.Members), testMember("x4")))
		var told [][]byte
		lies := func(_ context.Context, _ string, kind byte, _ []byte) (any, error) {
			if kind == rpcChanges {
				return told, nil
			}
			return nil, errors.New("no")
		}
		c.stop("h3")
		stop := c.lie("h3", lies)
		r := c.nodes["h0"]
		for name, changes := range map[string][][]byte{
			"nothing": {}, "endorsed, not in force": {endorsed.Args}, "by strangers": {forged.Args}, "garbage": {{1}}, "empty": {nil},
		} {
			told = changes
			if r.hearOfChanges(); r.Consortium().Epoch != 0 {
				t.Errorf("%s: follows to %+v", name, r.Consortium())
			}
		}
		c.stop("h2")
		told = nil
		stopToo := c.lie("h2", lies) // more than may lie
		told = [][]byte{forged.Args}
		if r.hearOfChanges(); r.Consortium().Epoch != 0 {
			t.Error("follows to what no member endorsed")
		}
		told = [][]byte{endorsed.Args, forged.Args}
		if r.hearOfChanges(); r.Consortium().Epoch != 1 || len(r.Consortium().Members) != len(idle.Members) {
			t.Errorf("told by f+1: %+v", r.Consortium())
		}
		stop()
		stopToo()
		c.start("h2")
		c.start("h3")
		inForce, tx := nextConsortium(t, founding, append(slices.Clone(founding.Members), testMember("h4")))
		submitChange(t, c.nodes["h1"], founding, tx)
		c.comesTo("h0", "h1")
		if got := r.Consortium(); got.Epoch != 1 || len(got.Members) != len(inForce.Members) {
			t.Errorf("the chain says otherwise, and it goes by %+v", got)
		}
		c.stopAll()
	})
}
