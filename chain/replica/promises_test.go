package replica

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// lie gives the place of a member to one that answers requests of the others as
// it likes.
func (c *cluster) lie(name string, handler rpcHandler) (stop func()) {
	node := c.net.node(name)
	p := newPeerNet(node, handler, discardLog())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, from, lane, err := node.Accept()
			if err != nil {
				return
			}
			if lane == LanePeer {
				p.serve(conn, from)
			} else {
				conn.Close()
			}
		}
	}()
	return func() {
		node.Close()
		p.close()
		<-done
	}
}

// A member says that it is further than anyone can be, so that one that lost its
// disk waits for that for ever: it neither votes nor signs, and with four members
// the chain stands still. The recovering member goes by what others bear out.
func TestLyingMemberCannotSilenceARecoveringOne(t *testing.T) {
	const huge = math.MaxInt64
	for name, lie := range map[string]statusAnswer{
		"term":      {Term: huge},
		"log":       {Applied: huge, LastIndex: huge},
		"height":    {Height: huge, Certified: huge},
		"signature": {Signed: huge},
		"all":       {Term: huge, Applied: huge, LastIndex: huge, Height: huge, Certified: huge, Signed: huge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 4, compacting)
				c.startAll()
				c.load(12)
				c.sameHead()
				c.stop("h3")
				c.stop("h1")
				if err := os.RemoveAll(filepath.Join(c.dir, "h1")); err != nil {
					t.Fatal(err)
				}
				stop := c.lie("h3", func(_ context.Context, _ string, kind byte, _ []byte) (any, error) {
					switch kind {
					case rpcStatus:
						return &lie, nil
					case rpcSigned:
						cp := chain.Checkpoint{TreeHead: head(huge, 1)}
						cp.Signatures = append(cp.Signatures, cosigned(t, c.consortium, cp.TreeHead, "h3", "h3"))
						return cp.Bytes()
					}
					return nil, errors.New("no")
				})
				c.start("h1")
				time.Sleep(30 * time.Second)
				// Without h1's vote there is no leader, without its signature no
				// certificate.
				c.stop("h0")
				c.stop("h2")
				c.start("h0")
				c.start("h2")
				c.load(6)
				c.sameHead()
				stop()
				c.stopAll()
			})
		})
	}
}

// A member that takes requests and never answers costs a recovering one a while,
// and not for every block.
func TestSilentMemberCannotStallARecoveringOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := compacted(t, 4, 60, 5)
		c.stop("h0") // who is asked first
		c.stop("h1")
		if err := os.RemoveAll(filepath.Join(c.dir, "h1")); err != nil {
			t.Fatal(err)
		}
		stop := c.lie("h0", func(ctx context.Context, _ string, _ byte, _ []byte) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		c.start("h1")
		c.load(3)
		c.sameHead()
		stop()
		c.stopAll()
	})
}

// A claim that only one of the members that answered bears out counts as long as
// another is silent: in a consortium without liars it may be the only one left
// that executed a certified block.
func TestRecoveringMemberHeedsTheOnlyOneLeft(t *testing.T) {
	answers := func(applied ...uint64) (c claims) {
		for _, a := range applied {
			c.answers = append(c.answers, statusAnswer{Applied: a, Height: a, Term: a})
		}
		return c
	}
	for _, test := range []struct {
		n       int
		applied []uint64
		want    uint64
	}{
		{3, []uint64{7, 9}, 9},
		{4, []uint64{5, 9}, 9},
		{4, []uint64{5, 9, math.MaxUint64}, 9},
		{4, []uint64{9, 9, 5}, 9},
		{7, []uint64{1, 2, 3, 4, 5, 6}, 4},
		{7, []uint64{1, 2, 3, 4, 5}, 4},
		{7, []uint64{1, 2, 3, 4}, 4},
		{7, []uint64{1, 2, 3}, 3},
		{4, nil, 0},
	} {
		c := answers(test.applied...)
		c.faulty, c.others = (test.n-1)/3, test.n-1
		if got := c.applied(); got != test.want {
			t.Errorf("%d members, applied %d: waits for %d, want %d", test.n, test.applied, got, test.want)
		}
	}
	// Nothing was certified: the chain is being founded.
	founding := claims{faulty: 1, others: 3, answers: []statusAnswer{{Applied: 9}, {Applied: 9, Height: 1}, {Applied: 9}}}
	if got := founding.applied(); got != 0 {
		t.Errorf("waits for %d though nothing was certified", got)
	}
	c := answers(5, 7)
	c.faulty, c.others = 1, 3
	if c.proven = 6; c.signed() != 6 || c.term() != 7 {
		t.Errorf("signed %d, term %d", c.signed(), c.term())
	}
	c.answers[1].Term = math.MaxUint64
	if got := c.term(); got != 5+termSlack {
		t.Errorf("term %d", got)
	}
}

// A signature of its own that a member is shown counts, others do not.
func TestRecoveringMemberIsShownItsSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(9)
		height := c.sameHead().Height
		r := c.nodes["h1"]
		if got := r.provenBy(context.Background(), "h0", height); got != height {
			t.Errorf("shown height %d, want %d", got, height)
		}
		c.stop("h3")
		var shown []byte
		stop := c.lie("h3", func(context.Context, string, byte, []byte) (any, error) { return shown, nil })
		good, err := c.nodes["h0"].serveSigned("h1")
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := c.nodes["h0"].serveSigned("h2")
		if err != nil {
			t.Fatal(err)
		}
		forged := chain.Checkpoint{TreeHead: head(900, 1), Signatures: []chain.Signature{cosigned(t, c.consortium, head(901, 1), "h1", "h1")}}
		both, err := chain.ParseCheckpoint(good)
		if err != nil {
			t.Fatal(err)
		}
		both.Signatures = append(both.Signatures, both.Signatures[0])
		for name, b := range map[string][]byte{"another member's": foreign, "of another head": mustNote(t, &forged), "two": mustNote(t, both), "none": nil} {
			shown = b
			if got := r.provenBy(context.Background(), "h3", 900); got != 0 {
				t.Errorf("%s: counts for height %d", name, got)
			}
		}
		if shown = good; r.provenBy(context.Background(), "h3", 900) != height {
			t.Error("a good signature does not count")
		}
		stop()
		c.stopAll()
	})
}
