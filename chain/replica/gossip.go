package replica

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/ward-health/ward/chain"
)

const maxCosigns = 512 // cosignatures in one message

type cosignRequest struct {
	_     struct{} `cbor:",toarray"`
	Notes [][]byte // checkpoints with one signature each
}

func (r *Replica) serveCosign(from string, req cosignRequest) error {
	if len(req.Notes) > maxCosigns {
		return errors.New("too many cosignatures")
	}
	for _, raw := range req.Notes {
		cp, err := chain.ParseCheckpoint(raw)
		if err != nil {
			return err
		}
		if len(cp.Signatures) != 1 || !strings.HasSuffix(cp.Signatures[0].Name, "/"+from) {
			return errors.New("not the sender's cosignature")
		}
		r.certs.add(from, cp.TreeHead, cp.Signatures[0])
	}
	r.certs.settle()
	return nil
}

// gossip delivers this replica's cosignatures to every peer, newest last, one
// message in flight per peer. Who has left gets those on the blocks up to the change.
type gossip struct {
	r  *Replica
	mu sync.Mutex
	to map[string]*mailbox // guarded by mu
}

type mailbox struct {
	mu    sync.Mutex
	notes [][]byte // guarded by mu
	wake  chan struct{}
}

func (g *gossip) send(cps []chain.Checkpoint) {
	notes := make([][]byte, 0, len(cps))
	for i := range cps {
		b, err := cps[i].Bytes()
		if err != nil {
			g.r.log.Error("encode cosignature", "error", err)
			return
		}
		notes = append(notes, b)
	}
	now := g.r.Consortium()
	for _, m := range now.Members {
		if m.Name != g.r.opt.Member {
			g.box(m.Name).put(notes)
		}
	}
	for i := range cps {
		for _, name := range g.r.certs.leaving(cps[i].Height, now) {
			g.box(name).put(notes[i : i+1])
		}
	}
}

func (g *gossip) box(member string) *mailbox {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.to[member]
	if b == nil {
		b = &mailbox{wake: make(chan struct{}, 1)}
		g.to[member] = b
		g.r.wg.Go(func() { g.deliver(member, b) })
	}
	return b
}

func (b *mailbox) put(notes [][]byte) {
	b.mu.Lock()
	b.notes = append(b.notes, notes...)
	if n := len(b.notes); n > maxCosigns {
		b.notes = slices.Clone(b.notes[n-maxCosigns:]) // old ones are covered by new ones
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (g *gossip) deliver(member string, b *mailbox) {
	for {
		select {
		case <-b.wake:
		case <-g.r.ctx.Done():
			return
		}
		b.mu.Lock()
		notes := b.notes
		b.notes = nil
		b.mu.Unlock()
		if len(notes) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(g.r.ctx, 2*g.r.opt.Heartbeat)
		err := g.r.peers.call(ctx, member, rpcCosign, cosignRequest{Notes: notes}, nil)
		cancel()
		if err != nil {
			g.r.log.Debug("deliver cosignatures", "to", member, "error", err)
			g.r.pause(g.r.opt.Heartbeat / 4)
		}
	}
}
