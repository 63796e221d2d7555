package replica

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// An attacker is a member that does not run a replica but speaks Raft as it
// likes. hashicorp/raft obeys anyone whose term is higher.
type attacker struct {
	*cluster
	name      string
	transport *raftTransport
	term      uint64
}

// attack runs four members, of which three must certify, stops the last one and
// hands its place to an attacker.
func attack(t *testing.T, script func(a *attacker, victims []*Replica)) {
	attackWith(t, compacting, script)
}

// attackWith is attack on members with other options.
func attackWith(t *testing.T, tune func(*Options), script func(a *attacker, victims []*Replica)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, tune)
		c.startAll()
		c.load(6)
		c.sameHead()
		c.stop("h3")
		c.load(2)
		c.sameHead()
		time.Sleep(5 * time.Second)
		a := &attacker{cluster: c, name: "h3", term: 1000}
		node := c.net.node("h3")
		a.transport = newRaftTransport("h3", node, 5*time.Second, raftLogger(discardLog()))
		victims := []*Replica{c.nodes["h0"], c.nodes["h1"], c.nodes["h2"]}
		script(a, victims)
		a.transport.Close()
		node.Close()
		c.stopAll()
	})
}

func (a *attacker) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(a.name), Addr: []byte(a.name)}
}

// append sends entries after prev, declared committed.
func (a *attacker) append(victim *Replica, prev uint64, entries ...*raft.Log) error {
	req := &raft.AppendEntriesRequest{RPCHeader: a.header(), Term: a.term, PrevLogEntry: prev, PrevLogTerm: victim.raftLog.term(prev)}
	for i, e := range entries {
		e.Index, e.Term = prev+uint64(i)+1, a.term
		req.Entries = append(req.Entries, e)
	}
	req.LeaderCommitIndex = prev + uint64(len(entries))
	var resp raft.AppendEntriesResponse
	err := a.transport.AppendEntries(raft.ServerID(victim.opt.Member), raft.ServerAddress(victim.opt.Member), req, &resp)
	if err == nil && !resp.Success {
		err = errors.New("not accepted")
	}
	time.Sleep(50 * time.Millisecond)
	return err
}

// entry returns an entry signed by the attacker's own node key.
func (a *attacker) entry(victim *Replica, txs ...*chain.Tx) *raft.Log {
	a.t.Helper()
	h := victim.book.Head().Header
	e, err := chain.SignEntry(testChain, h.Height, h.Hash(), time.Now().UnixMilli(), txs, nil, testKey(a.name))
	if err != nil {
		a.t.Fatal(err)
	}
	data, err := e.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	return &raft.Log{Type: raft.LogCommand, Data: data}
}

func value(t *testing.T, r *Replica, key string) []byte {
	t.Helper()
	v := r.book.view()
	defer v.txn.Discard()
	got, err := v.Of("kv").Get([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// recovers checks that the honest members agree and go on without the attacker.
func (a *attacker) recovers() {
	a.t.Helper()
	a.load(3)
	a.sameHead()
}

// A leader changes a client's transaction: every member records that its
// signature is wrong, nothing changes, and a receipt proves the rejection only.
func TestAttackForgedTransaction(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		raw := bytes.Clone(put(t, "alice", "k", []byte("mine"), nil).Bytes())
		raw[len(raw)-1] ^= 1
		forged, err := chain.ParseTx(raw)
		if err != nil {
			t.Fatal(err)
		}
		before := value(t, victims[0], "k")
		index := victims[0].book.Head().Header.Size
		entry := a.entry(victims[0], forged)
		for _, v := range victims {
			log := &raft.Log{Type: entry.Type, Data: entry.Data}
			if err := a.append(v, v.raftLog.log.Last(), log); err != nil {
				t.Fatalf("%s: %v", v.opt.Member, err)
			}
		}
		time.Sleep(5 * time.Second)
		for _, v := range victims {
			if got := value(t, v, "k"); !bytes.Equal(got, before) {
				t.Fatalf("%s executed a forged transaction", v.opt.Member)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			rc, err := v.Receipt(ctx, index)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if rc.Result.Code != chain.ErrSignature {
				t.Fatalf("result %q", rc.Result.Code)
			}
			if tx, err := rc.Verify(a.consortium); err != nil || tx != nil {
				t.Fatalf("light client took a forged transaction: %v, %v", tx, err)
			}
		}
		a.recovers()
	})
}

// A peer that was never elected rewrites committed entries, as hashicorp/raft
// lets it: refused and counted, nothing is changed.
func TestAttackRewrittenSuffix(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		for _, v := range victims {
			head := v.book.Head().Header
			prev := v.raftLog.log.Last() - 3
			if err := a.append(v, prev, a.entry(v, put(t, "alice", "k", []byte("evil"), nil))); err == nil {
				t.Errorf("%s accepted another history", v.opt.Member)
			}
			if v.Status().Refused == 0 {
				t.Errorf("%s did not notice", v.opt.Member)
			}
			if got := v.book.Head().Header; got.Hash() != head.Hash() || v.Err() != nil {
				t.Errorf("%s changed", v.opt.Member)
			}
		}
		a.recovers()
	})
}

// Snapshots that t_c members did not sign, or that are sent for another place or
// configuration than they were signed for, are refused before Raft acts on them.
func TestAttackForgedSnapshot(t *testing.T) {
	noticed := map[string]*messages{}
	attackWith(t, func(o *Options) {
		compacting(o)
		noticed[o.Member] = &messages{text: "refused a snapshot"}
		o.Log = slog.New(noticed[o.Member])
	}, func(a *attacker, victims []*Replica) {
		a.load(40)
		time.Sleep(6 * time.Second) // snapshots are taken
		good := victims[0].snaps.newest()
		if good == nil {
			t.Fatal("no snapshot")
		}
		raw, err := chain.Marshal(good)
		if err != nil {
			t.Fatal(err)
		}
		config := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "h3", Address: "h3"}}})
		forgedConfig := *good
		forgedConfig.Anchor.Config = config
		forgedPlace := *good
		forgedPlace.Anchor.Pos.Index += 1000
		few := *good
		few.Members, few.Signatures = few.Members[:2], few.Signatures[:2]
		send := func(v *Replica, data, config []byte, pos position) error {
			req := &raft.InstallSnapshotRequest{
				RPCHeader: a.header(), SnapshotVersion: raft.SnapshotVersionMax, Term: a.term,
				LastLogIndex: pos.Index, LastLogTerm: pos.Term, Configuration: config,
				ConfigurationIndex: good.Anchor.ConfigIndex, Size: int64(len(data)),
			}
			var resp raft.InstallSnapshotResponse
			err := a.transport.InstallSnapshot(raft.ServerID(v.opt.Member), raft.ServerAddress(v.opt.Member), req, &resp, bytes.NewReader(data))
			if err == nil && !resp.Success {
				err = errors.New("not accepted")
			}
			return err
		}
		far := good.Anchor.Pos
		far.Index += 1000
		for _, v := range victims {
			before := v.node().GetConfiguration().Configuration()
			head := v.book.Head().Header
			held, place := v.snaps.newest(), v.raftLog.log.Last()
			for name, err := range map[string]error{
				"garbage":              send(v, []byte("garbage"), good.Anchor.Config, far),
				"other place":          send(v, raw, good.Anchor.Config, far),
				"other configuration":  send(v, raw, config, good.Anchor.Pos),
				"forged configuration": send(v, mustMarshal(t, forgedConfig), config, good.Anchor.Pos),
				"forged place":         send(v, mustMarshal(t, forgedPlace), good.Anchor.Config, far),
				"too few signatures":   send(v, mustMarshal(t, few), good.Anchor.Config, good.Anchor.Pos),
			} {
				if err == nil {
					t.Errorf("%s accepted a snapshot: %s", v.opt.Member, name)
				}
			}
			if n := noticed[v.opt.Member].n.Load(); n != 6 {
				t.Errorf("%s noticed %d forged snapshots of 6", v.opt.Member, n)
			}
			if got := v.node().GetConfiguration().Configuration(); len(got.Servers) != len(before.Servers) {
				t.Errorf("%s: configuration replaced", v.opt.Member)
			}
			if got := v.snaps.newest(); got != held || v.raftLog.log.Last() != place {
				t.Errorf("%s: snapshot or log replaced", v.opt.Member)
			}
			// One that no honest member sends is counted besides.
			refused := v.Status().Refused
			if err := send(v, raw, nil, good.Anchor.Pos); err == nil || v.Status().Refused != refused+1 {
				t.Errorf("%s did not count a snapshot without a configuration: %v", v.opt.Member, err)
			}
			if got := v.book.Head().Header; got.Hash() != head.Hash() {
				t.Errorf("%s: state replaced", v.opt.Member)
			}
		}
		a.recovers()
	})
}

// messages counts how often a text is logged.
type messages struct {
	text string
	n    atomic.Int64
}

func (m *messages) Enabled(context.Context, slog.Level) bool { return true }
func (m *messages) WithAttrs([]slog.Attr) slog.Handler       { return m }
func (m *messages) WithGroup(string) slog.Handler            { return m }

func (m *messages) Handle(_ context.Context, r slog.Record) error {
	if r.Message == m.text {
		m.n.Add(1)
	}
	return nil
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := chain.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A configuration entry that makes the attacker the only voter is refused.
func TestAttackConfigurationSwap(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		for _, v := range victims {
			for _, servers := range [][]raft.Server{
				{{ID: "h3", Address: "h3"}},
				{{ID: "h0", Address: "h0"}, {ID: "h1", Address: "h1"}, {ID: "h2", Address: "h2"}, {ID: "h3", Address: "h3"}, {ID: "h9", Address: "h9"}},
				{},
			} {
				log := &raft.Log{Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{Servers: servers})}
				if err := a.append(v, v.raftLog.log.Last(), log); err == nil {
					t.Errorf("%s accepted configuration %v", v.opt.Member, servers)
				}
			}
			if n := len(v.node().GetConfiguration().Configuration().Servers); n != 4 {
				t.Errorf("%s: %d servers", v.opt.Member, n)
			}
		}
		a.recovers()
	})
}

// Entries that would make hashicorp/raft panic, and messages under another
// member's name, are refused.
func TestAttackMalformedMessages(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		for _, v := range victims {
			last := v.raftLog.log.Last()
			for name, log := range map[string]*raft.Log{
				"unknown type":      {Type: 77},
				"old configuration": {Type: raft.LogAddPeerDeprecated, Data: []byte("x")},
				"bad configuration": {Type: raft.LogConfiguration, Data: []byte("x")},
				"empty entry":       {Type: raft.LogCommand},
				"no entry":          {Type: raft.LogCommand, Data: []byte("x")},
			} {
				if err := a.append(v, last, log); err == nil {
					t.Errorf("%s accepted: %s", v.opt.Member, name)
				}
			}
			spoof := &raft.AppendEntriesRequest{RPCHeader: a.header(), Term: a.term + 50}
			spoof.ID, spoof.Addr = []byte("h1"), []byte("h1")
			var resp raft.AppendEntriesResponse
			id := raft.ServerID(v.opt.Member)
			if err := a.transport.AppendEntries(id, raft.ServerAddress(id), spoof, &resp); err == nil {
				t.Errorf("%s took a message under a false name", id)
			}
			jump := &raft.AppendEntriesRequest{RPCHeader: a.header(), Term: 1 << 62}
			if err := a.transport.AppendEntries(id, raft.ServerAddress(id), jump, &resp); err == nil {
				t.Errorf("%s took a term of 2^62", id)
			}
		}
		a.recovers()
	})
}

// An old entry sent again has no second effect.
func TestAttackReplayedBlock(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		tx := put(t, "alice", "r", []byte("first"), nil)
		mustSubmit(t, victims[0], tx, nil)
		mustSubmit(t, victims[0], put(t, "alice", "r", []byte("second"), nil), nil)
		a.sameHead()
		for _, v := range victims {
			blk, pos, err := v.book.block(v.book.Head().Header.Height - 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(blk.Proposal.Txs) != 1 || !bytes.Equal(blk.Proposal.Txs[0], tx.Bytes()) {
				t.Fatal("not the block expected")
			}
			var old raft.Log
			if err := v.raftLog.GetLog(pos.Index, &old); err != nil {
				t.Fatal(err)
			}
			replayed := &raft.Log{Type: raft.LogCommand, Data: old.Data}
			if err := a.append(v, v.raftLog.log.Last(), replayed); err != nil {
				t.Fatalf("%s: %v", v.opt.Member, err)
			}
		}
		time.Sleep(5 * time.Second)
		for _, v := range victims {
			if got := value(t, v, "r"); string(got) != "second" {
				t.Fatalf("%s: replayed transaction took effect: %q", v.opt.Member, got)
			}
			// Every member says on the chain, and so to a light client, that it
			// was a replay.
			head := v.book.Head().Header
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			rc, err := v.Receipt(ctx, head.Size-1)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := rc.Verify(a.consortium); err != nil || rc.Result.Code != chain.ErrDuplicate || !bytes.Equal(rc.Tx, tx.Bytes()) {
				t.Errorf("%s: the replay is recorded as %q of %v, %v", v.opt.Member, rc.Result.Code, got, err)
			}
		}
		a.recovers()
	})
}

// A leader proposes on a block that nobody has, first beside the head and then
// further back. If members stopped for it they would stop again at every restart,
// and one member could end the chain: no block is made of it, on any of them.
func TestAttackParentThatNobodyHas(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		before := a.sameHead()
		for back := range uint64(3) {
			for _, v := range victims {
				h := v.book.Head().Header
				e, err := chain.SignEntry(testChain, h.Height-back, chain.Hash{1}, time.Now().UnixMilli(), []*chain.Tx{put(t, "alice", "k", []byte("astray"), nil)}, nil, testKey(a.name))
				if err != nil {
					t.Fatal(err)
				}
				data, err := e.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				if err := a.append(v, v.raftLog.log.Last(), &raft.Log{Type: raft.LogCommand, Data: data}); err != nil {
					t.Fatalf("%s: %v", v.opt.Member, err)
				}
			}
		}
		time.Sleep(5 * time.Second)
		for _, v := range victims {
			if got := v.book.Head().Header; v.Err() != nil || got.Hash() != before.Hash() {
				t.Errorf("%s: block %d after %d, %v", v.opt.Member, got.Height, before.Height, v.Err())
			}
		}
		a.recovers()
		for _, name := range []string{"h0", "h1", "h2"} {
			a.stop(name)
		}
		for _, name := range []string{"h0", "h1", "h2"} {
			a.start(name)
		}
		a.recovers()
	})
}

// A leader shows two histories. At most one is ever certified; the member that
// got the other notices, halts, and rebuilds the certified one.
func TestAttackForkedLeader(t *testing.T) {
	attack(t, func(a *attacker, victims []*Replica) {
		for _, v := range victims {
			for _, w := range victims {
				a.net.setCut(v.opt.Member, w.opt.Member, v != w) // until each has its own history
			}
		}
		left := a.entry(victims[0], put(t, "alice", "k", []byte("left"), nil))
		right := a.entry(victims[1], put(t, "alice", "k", []byte("right"), nil))
		for i, log := range []*raft.Log{left, right, right} {
			v := victims[i]
			twin := *log
			if err := a.append(v, v.raftLog.log.Last(), &twin); err != nil {
				t.Fatalf("%s: %v", v.opt.Member, err)
			}
		}
		fork := victims[0].book.Head().Header
		main := victims[1].book.Head().Header
		if fork.Height != main.Height || fork.Hash() == main.Hash() {
			t.Fatal("no fork")
		}
		// The attacker signs both.
		for _, v := range victims {
			sig, err := a.consortium.Cosign(v.book.Head().Header.TreeHead(), "h3", time.Now().Unix(), testKey("h3"))
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range victims {
				w.certs.add("h3", v.book.Head().Header.TreeHead(), sig)
				w.certs.settle()
			}
		}
		for _, v := range victims {
			for _, w := range victims {
				a.net.setCut(v.opt.Member, w.opt.Member, false)
			}
		}
		time.Sleep(20 * time.Second)
		if err := victims[0].Err(); !errors.Is(err, ErrHalted) {
			t.Fatalf("the member with the other history did not halt: %v", err)
		}
		if cp := victims[0].Checkpoint(); cp != nil && cp.Height >= fork.Height {
			t.Fatal("two histories were certified")
		}
		for _, v := range victims[1:] {
			if cp := v.Checkpoint(); cp == nil || cp.Height < main.Height {
				t.Errorf("%s: the history of the majority was not certified", v.opt.Member)
			}
			if len(v.Status().Divergences) == 0 {
				t.Errorf("%s has no evidence of the fork", v.opt.Member)
			}
		}
		a.stop("h0")
		a.start("h0")
		a.recovers()
		if got := value(t, a.nodes["h0"], "k"); string(got) == "left" {
			t.Fatal("the rebuilt member still has the other history")
		}
	})
}

// A member whose directory is put back to an older copy signs nothing twice,
// does not serve the old state as the newest, and catches up.
func TestAttackRolledBackMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(5)
		c.sameHead()
		c.stop("h2")
		if err := os.CopyFS(filepath.Join(c.dir, "copy"), os.DirFS(filepath.Join(c.dir, "h2"))); err != nil {
			t.Fatal(err)
		}
		c.start("h2")
		c.load(10)
		c.sameHead()
		c.stop("h2")
		if err := os.RemoveAll(filepath.Join(c.dir, "h2")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(c.dir, "copy"), filepath.Join(c.dir, "h2")); err != nil {
			t.Fatal(err)
		}
		rc := mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("new"), nil), nil)
		r := c.start("h2")
		err := r.Read(context.Background(), func(v *View) error {
			if v.Header().Height < rc.Result.Height {
				t.Error("stale state served")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c.load(3)
		c.sameHead()
		for _, r := range c.nodes {
			if ev := r.Status().Divergences; len(ev) > 0 {
				t.Fatalf("signed twice: %+v", ev)
			}
		}
		c.stopAll()
	})
}
