package replica

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// Consortium returns the consortium file in force for the next block, as far as
// this replica has executed the chain, or a newer one: Options.Known, or one that
// members have told of.
func (r *Replica) Consortium() *chain.Consortium { return r.consortium.Load() }

// setConsortium goes by k if it is newer than the file that is known.
func (r *Replica) setConsortium(k *chain.Consortium) {
	r.goBy(k, func(old *chain.Consortium) bool { return k.Epoch > old.Epoch })
}

// setExecuted goes by k, which the chain has put in force, if no newer file is known.
// What was taken for the file of its epoch before may be another.
func (r *Replica) setExecuted(k *chain.Consortium) {
	r.goBy(k, func(old *chain.Consortium) bool { return k.Epoch >= old.Epoch })
}

func (r *Replica) goBy(k *chain.Consortium, replaces func(old *chain.Consortium) bool) {
	for old := r.consortium.Load(); replaces(old); old = r.consortium.Load() {
		if r.consortium.CompareAndSwap(old, k) {
			r.news.broadcast()
			if old.Member(r.opt.Member) != nil && k.Member(r.opt.Member) == nil {
				r.log.Warn("this node is no longer a member of the consortium: it takes part in nothing more", "epoch", k.Epoch)
			}
			return
		}
	}
}

// superviseMembers keeps Raft's configuration equal to the consortium on the
// chain while this replica leads: it adds members that joined, first without a
// vote, and removes those that left, one change at a time.
func (r *Replica) superviseMembers() {
	ticker := time.NewTicker(2 * r.opt.Heartbeat)
	defer ticker.Stop()
	for {
		executed := r.news.wait()
		select {
		case <-ticker.C:
		case <-executed:
			if !r.outside() { // one who leaves steps down at once: nothing that it proposes counts
				continue
			}
		case <-r.ctx.Done():
			return
		}
		if _, self := r.leader(); !self || r.haltErr() != nil {
			continue
		}
		if err := r.reconcile(); err != nil {
			r.log.Warn("change Raft configuration", "error", err)
		}
	}
}

// reconcile makes at most one change.
func (r *Replica) reconcile() error {
	future := r.node().GetConfiguration()
	if err := future.Error(); err != nil {
		return err
	}
	servers := future.Configuration().Servers
	k, err := r.inForce() // what is only known here, the others refuse, and all that comes after it
	if err != nil {
		return err
	}
	for _, m := range k.Members {
		i := slices.IndexFunc(servers, func(s raft.Server) bool { return string(s.ID) == m.Name })
		id, addr := raft.ServerID(m.Name), raft.ServerAddress(m.Name)
		if i < 0 {
			r.log.Info("member joins", "member", m.Name)
			return r.ask(func(n *raft.Raft) raft.Future { return n.AddNonvoter(id, addr, 0, enqueueTimeout) })
		}
		if servers[i].Suffrage != raft.Voter && r.caughtUp(m.Name) {
			r.log.Info("member gets a vote", "member", m.Name)
			return r.ask(func(n *raft.Raft) raft.Future { return n.AddVoter(id, addr, 0, enqueueTimeout) })
		}
	}
	for _, s := range servers {
		if k.Member(string(s.ID)) != nil {
			continue
		}
		if string(s.ID) == r.opt.Member {
			r.stepDown() // the next leader removes us
			return nil
		}
		r.log.Info("member leaves", "member", string(s.ID))
		return r.ask(func(n *raft.Raft) raft.Future { return n.RemoveServer(s.ID, 0, enqueueTimeout) })
	}
	return nil
}

// caughtUp reports whether a member that joins comes, within the time of an
// election, to all that this leader has executed now: then a quorum that needs it
// is not slower than others (Ongaro, "Consensus: Bridging Theory and Practice",
// 4.2.1).
func (r *Replica) caughtUp(member string) bool {
	ctx, cancel := context.WithTimeout(r.ctx, r.opt.Heartbeat)
	defer cancel()
	for goal := r.book.Head().Header.Height; ; {
		var a statusAnswer
		err := r.peers.call(ctx, member, rpcStatus, struct{}{}, &a)
		if err == nil && a.Height >= goal {
			return true
		}
		if !r.pauseFor(ctx, r.opt.Heartbeat/10) {
			return false
		}
	}
}
