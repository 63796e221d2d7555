package replica

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// withholder is a leader's transport that shows one member nothing new: it gets
// heartbeats without entries, and Raft is told that it took all.
type withholder struct {
	*raftTransport
	victim raft.ServerID
	on     *atomic.Bool
}

func (w *withholder) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if id != w.victim || !w.on.Load() {
		return w.raftTransport.AppendEntries(id, target, args, resp)
	}
	empty := *args
	empty.Entries, empty.PrevLogEntry, empty.PrevLogTerm, empty.LeaderCommitIndex = nil, 0, 0, 0
	err := w.raftTransport.AppendEntries(id, target, &empty, resp)
	resp.LastLog = args.PrevLogEntry + uint64(len(args.Entries))
	return err
}

func (w *withholder) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	if id == w.victim {
		return nil, raft.ErrPipelineReplicationNotSupported
	}
	return w.raftTransport.AppendEntriesPipeline(id, target)
}

// A leader keeps every new block from one honest member and tells it that there
// are none. The others go on, with the leader's signatures. The member does not
// answer from the certified past in which it is kept.
func TestAttackLeaderKeepsAMemberInThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		var old uint64
		c := newCluster(t, 4, func(o *Options) {
			if o.Member != "h3" {
				return
			}
			o.wrapTransport = func(inner raft.Transport) raft.Transport {
				return &withholder{inner.(*raftTransport), "h0", &lying}
			}
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					if from != "h0" || !lying.Load() {
						return honest(ctx, from, kind, body)
					}
					switch kind {
					case rpcBarrier:
						return old, nil
					case rpcHeads:
						return &headsAnswer{}, nil
					}
					return nil, errors.New("no")
				}
			}
		})
		c.startAll()
		c.load(4)
		c.leads("h3")
		mustSubmit(t, c.nodes["h1"], put(t, "alice", "k", []byte("granted"), nil), nil)
		c.sameHead()
		time.Sleep(2 * time.Second)
		old = c.nodes["h0"].book.Head().Header.Height
		lying.Store(true)
		mustSubmit(t, c.nodes["h1"], put(t, "alice", "k", []byte("revoked"), nil), nil)
		if name, _ := c.nodes["h0"].leader(); name != "h3" || c.nodes["h0"].book.Head().Header.Height != old {
			t.Fatalf("h0 follows %q and is at block %d", name, c.nodes["h0"].book.Head().Header.Height)
		}
		read := func(name string) (got string, err error) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err = c.nodes[name].Read(ctx, func(v *View) error {
				b, err := v.Of("kv").Get([]byte("k"))
				got = string(b)
				return err
			})
			return got, err
		}
		if got, err := read("h0"); err == nil {
			t.Errorf("the member kept in the past answers %q", got)
		}
		if got, err := read("h1"); err != nil || got != "revoked" {
			t.Errorf("another member answers %q, %v", got, err)
		}
		// No one helps the liar: with h1 silent, h0 does not hear of the block
		// from enough members, and does not answer either.
		c.stop("h1")
		if got, err := read("h0"); err == nil {
			t.Errorf("the member kept in the past answers %q without h1", got)
		}
		lying.Store(false)
		c.start("h1")
		for begin := time.Now(); c.nodes["h0"].book.Head().Header.Height <= old; time.Sleep(time.Second) {
			if time.Since(begin) > time.Minute {
				// Raft believes that h0 has the entries: a new leader sends them.
				c.stop("h3")
				c.start("h3")
				begin = time.Now()
			}
		}
		if got, err := read("h0"); err != nil || got != "revoked" {
			t.Errorf("after the attack: %q, %v", got, err)
		}
		c.stopAll()
	})
}

// A member claims, with its signature, a block that there never is. Reads go on
// while the honest members answer, since one claim counts for nothing then; and
// wait, rather than answer with what may be old, when too few of them do.
func TestAttackClaimOfABlockThatIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(3)
		head := c.sameHead()
		c.stop("h3")
		far := head.TreeHead()
		far.Height, far.Size = 1<<40, 1<<50
		sig, err := c.consortium.Cosign(far, "h3", time.Now().Unix(), testKey("h3"))
		if err != nil {
			t.Fatal(err)
		}
		lie := chain.Checkpoint{TreeHead: far, Signatures: []chain.Signature{sig}}
		raw, err := lie.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		stop := c.lie("h3", func(_ context.Context, _ string, kind byte, _ []byte) (any, error) {
			if kind == rpcHeads {
				return &headsAnswer{Signed: raw}, nil
			}
			return nil, errors.New("no")
		})
		c.load(2)
		read := func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return c.nodes["h0"].Read(ctx, func(*View) error { return nil })
		}
		for range 5 {
			if err := read(); err != nil {
				t.Errorf("a lie stops reads: %v", err)
			}
		}
		c.net.setCut("h0", "h1", true)
		if bound, err := c.nodes["h0"].askHeads(); err != nil || bound != far.Height {
			t.Errorf("with an honest member silent the bound is %d, %v", bound, err)
		}
		c.net.setCut("h0", "h1", false)
		stop()
		c.start("h3")
		c.load(2)
		if err := read(); err != nil {
			t.Errorf("when the lie has ended: %v", err)
		}
		c.stopAll()
	})
}

// What a member shows counts only if it verifies: its own signature, or a
// certified checkpoint.
func TestClaimsAreVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(2)
		tip := c.sameHead()
		head := tip.TreeHead()
		head.Height, head.Size = head.Height+5, head.Size+5
		note := func(by ...string) []byte {
			cp := chain.Checkpoint{TreeHead: head}
			for _, name := range by {
				sig, err := c.consortium.Cosign(head, name, time.Now().Unix(), testKey(name))
				if err != nil {
					t.Fatal(err)
				}
				cp.Signatures = append(cp.Signatures, sig)
			}
			raw, err := cp.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		r := c.nodes["h0"]
		for name, a := range map[string]headsAnswer{
			"another member's signature": {Signed: note("h2")},
			"two signatures":             {Signed: note("h1", "h2")},
			"too few certify":            {Certified: note("h1", "h2")},
			"garbage":                    {Certified: []byte("x")},
		} {
			if h, err := r.claimed(c.consortium, "h1", &a); err == nil {
				t.Errorf("%s: counts for block %d", name, h)
			}
		}
		for name, a := range map[string]headsAnswer{
			"its signature":           {Signed: note("h1")},
			"a certificate":           {Certified: note("h1", "h2", "h3")},
			"a certificate of others": {Certified: note("h0", "h2", "h3")},
		} {
			if h, err := r.claimed(c.consortium, "h1", &a); err != nil || h != head.Height {
				t.Errorf("%s: block %d, %v", name, h, err)
			}
		}
		if h, err := r.claimed(c.consortium, "h1", &headsAnswer{}); err != nil || h != 0 {
			t.Errorf("nothing: block %d, %v", h, err)
		}
		// A member that cannot show what it has signed does not answer.
		r.certs.signs(head.Height)
		if _, err := r.serveHeads(); err == nil {
			t.Error("answers with less than it has signed")
		}
		c.stopAll()
	})
}

// Whichever members answer, up to f of them with lies, the bound covers what t_c
// members have signed; and lies alone do not raise it when all honest ones answer.
func TestSignedBound(t *testing.T) {
	for n := 1; n <= 7; n++ {
		f := (n - 1) / 3
		k := testConsortium(t, n, 0)
		for certified := range 1 << n { // who signed block 5
			if ones(certified) < k.CheckpointThreshold {
				continue
			}
			for liars := range 1 << n {
				if ones(liars) > f {
					continue
				}
				for answer := range 1 << n {
					for _, lie := range []uint64{0, 9} {
						var heights []uint64
						for i := range n {
							switch bit := 1 << i; {
							case answer&bit == 0:
							case liars&bit != 0:
								heights = append(heights, lie)
							case certified&bit != 0:
								heights = append(heights, 5)
							default:
								heights = append(heights, 4)
							}
						}
						bound, known := signedBound(k, heights)
						if known && bound < 5 {
							t.Fatalf("n=%d: signed by %b, liars %b, answers %b: bound %d", n, certified, liars, answer, bound)
						}
						honest := (1<<n - 1) &^ liars
						if answer&honest == honest && (!known || bound > 5) {
							t.Fatalf("n=%d: all honest members answer, liars %b: bound %d, %v", n, liars, bound, known)
						}
					}
				}
			}
		}
	}
}

func ones(x int) (n int) {
	for ; x > 0; x &= x - 1 {
		n++
	}
	return n
}
