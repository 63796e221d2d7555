package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
)

// nextConsortium returns the file that follows k with other members, and the
// transaction that puts it in force.
func nextConsortium(t testing.TB, k *chain.Consortium, members []chain.Member) (*chain.Consortium, *chain.Tx) {
	t.Helper()
	founding, err := k.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next := *k
	next.Epoch, next.Founding, next.Members = k.Epoch+1, founding, members
	n := len(members)
	next.CheckpointThreshold, next.KeyThreshold = (n+(n-1)/3)/2+1, n/3+1
	var endorsements []chain.Endorsement
	for _, m := range k.Members {
		e, err := chain.Endorse(&next, m.Name, testKey(m.Name))
		if err != nil {
			t.Fatal(err)
		}
		endorsements = append(endorsements, e)
	}
	args, err := chain.NextConsortium(&next, endorsements)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: testChain, Contract: chain.SystemContract, Method: chain.ConsortiumMethod, Args: args,
		NotAfter: time.Now().Add(50 * time.Minute).UnixMilli(),
	}, testKey("operator"))
	if err != nil {
		t.Fatal(err)
	}
	return &next, tx
}

// voters returns who has a vote in Raft, as r sees it.
func voters(r *Replica) []string {
	var names []string
	for _, s := range r.node().GetConfiguration().Configuration().Servers {
		if s.Suffrage == 0 {
			names = append(names, string(s.ID))
		}
	}
	slices.Sort(names)
	return names
}

// A member joins and another leaves by transactions on the chain, while members
// crash and links fail. Raft's configuration follows, the new member has
// everything, and nothing acknowledged is lost.
func TestMembershipFollowsTheChain(t *testing.T) {
	n := 10
	if testing.Short() {
		n = 3
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { changeMembers(t, seed) })
		})
	}
}

func changeMembers(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 17))
	c := newCluster(t, 3, compacting)
	founding := c.consortium
	c.startAll()
	c.load(3 + r.IntN(30))
	trouble := func() {
		a, b := memberName(r.IntN(3)), memberName(r.IntN(3))
		if seed > 0 && a != b {
			c.net.setCut(a, b, true)
			c.net.reset(a, b)
			time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			c.net.setCut(a, b, false)
		}
	}
	known, tx := nextConsortium(t, founding, append(slices.Clone(founding.Members), testMember("h3")))
	submitChange(t, c.nodes["h0"], founding, tx)
	trouble()
	c.tune = func(o *Options) {
		compacting(o)
		if o.Member == "h3" {
			o.Bootstrap, o.Known = false, known
		}
	}
	c.start("h3")
	trouble()
	c.load(20)
	waitVoters(t, c, "h1", []string{"h0", "h1", "h2", "h3"})
	if c.sameHead(); c.nodes["h3"].Consortium().Epoch != 1 {
		t.Fatal("the new member does not know the file in force")
	}
	last, tx := nextConsortium(t, known, known.Members[1:])
	submitChange(t, c.nodes["h2"], known, tx)
	trouble()
	waitVoters(t, c, "h1", []string{"h1", "h2", "h3"})
	c.stop("h0")
	trouble()
	for range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		rc, err := c.nodes["h3"].Submit(ctx, put(t, "alice", "k", []byte{1}, nil), nil)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rc.Verify(last); err != nil {
			t.Fatal(err)
		}
	}
	c.sameHead()
	c.stopAll()
}

func waitVoters(t *testing.T, c *cluster, name string, want []string) {
	t.Helper()
	for range 600 {
		if slices.Equal(voters(c.nodes[name]), want) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("voters are %v, want %v", voters(c.nodes[name]), want)
}

// A snapshot that former members signed does not keep a member from opening after
// they left: its block is on the chain here.
func TestMemberOpensWithASnapshotOfFormerMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, compacting)
		c.startAll()
		c.load(30)
		time.Sleep(10 * time.Second)
		c.tune = func(o *Options) { o.SnapshotEntries, o.TrailingEntries = 1<<20, 1<<20 }
		c.stopAll()
		c.startAll()
		founding := c.consortium
		_, tx := nextConsortium(t, founding, founding.Members[1:])
		submitChange(t, c.nodes["h1"], founding, tx)
		waitVoters(t, c, "h1", []string{"h1", "h2", "h3"})
		c.stop("h0")
		c.load(2)
		if s := c.nodes["h1"].snaps.newest(); s == nil || !slices.Contains(s.Members, "h0") {
			t.Fatalf("snapshot %v is not signed by who left", s)
		}
		c.stopAll()
		for _, name := range []string{"h1", "h2", "h3"} {
			c.start(name)
		}
		c.load(2)
		c.sameHead()
		c.stopAll()
	})
}

// Closing the leader hands leadership over: the next one is there well before an
// election timeout would have made it so.
func TestCloseHandsLeadershipOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, func(o *Options) { o.Heartbeat = 10 * time.Second })
		c.startAll()
		c.load(2)
		var leader string
		for name, r := range c.nodes {
			if _, self := r.leader(); self {
				leader = name
			}
		}
		begin := time.Now()
		c.stop(leader)
		c.load(1)
		if took := time.Since(begin); took > 8*time.Second {
			t.Fatalf("it took %v to go on", took)
		}
		c.stopAll()
	})
}

// submitChange submits a change of the consortium, whose block the members before
// it certify.
func submitChange(t *testing.T, r *Replica, before *chain.Consortium, tx *chain.Tx) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rc, err := r.Submit(ctx, tx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rc.Result.Code != "" {
		t.Fatalf("result %q", rc.Result.Code)
	}
	if _, err := rc.Verify(before); err != nil && rc.Checkpoint.Height == rc.Result.Height {
		t.Fatal(err)
	}
}
