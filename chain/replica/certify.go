package replica

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
)

const (
	certWindow   = 8192                   // heights above the newest certificate that cosignatures are kept for
	certInterval = 500 * time.Millisecond // how long a block may lack a certificate before this replica asks
)

// certifier collects the members' cosignatures and makes certificates of them.
type certifier struct {
	mu       sync.Mutex
	self     string
	heads    map[uint64]*certHead        // guarded by mu; executed or announced, above newest
	newest   *chain.Checkpoint           // guarded by mu; covers only what was executed here
	ahead    *chain.Checkpoint           // guarded by mu; certified, not executed here yet
	top      uint64                      // guarded by mu; last executed height
	unsigned []signJob                   // guarded by mu; executed, not signed yet
	mine     chain.Checkpoint            // guarded by mu; the newest tree head this replica has signed since it was opened, with that signature
	signedTo uint64                      // guarded by mu; greatest height it has signed ever
	seen     map[string]chain.Checkpoint // guarded by mu; the newest tree head each member says it has signed, with that signature
	recent   map[uint64]ownHead          // guarded by mu; the last keepHeads executed
	evidence []Divergence                // guarded by mu
	waiting  map[uint64]chan struct{}    // guarded by mu; closed when the height is certified
	wake     chan struct{}               // for the signer; holds one token
	news     *bell                       // rung when newest changes
	diverged func(error)
}

// certHead is one height on its way to a certificate.
type certHead struct {
	head       *chain.TreeHead // nil until executed here
	consortium *chain.Consortium
	sigs       map[string]cosignature // by member
}

// ownHead is what this replica came to at some height, and who certifies it.
type ownHead struct {
	head       chain.TreeHead
	consortium *chain.Consortium
}

const keepHeads = 4096

type cosignature struct {
	head     chain.TreeHead
	sig      chain.Signature
	verified bool
}

// Divergence is a member's valid signature on a tree head that is not ours: one
// of the two replicas executed another history.
type Divergence struct {
	Member    string
	Ours      chain.TreeHead
	Theirs    chain.TreeHead
	Signature chain.Signature
}

func newCertifier(self string, newest *chain.Checkpoint, diverged func(error)) *certifier {
	return &certifier{
		self: self, newest: newest, heads: map[uint64]*certHead{}, seen: map[string]chain.Checkpoint{}, recent: map[uint64]ownHead{}, waiting: map[uint64]chan struct{}{},
		wake: make(chan struct{}, 1), news: newBell(), diverged: diverged,
	}
}

func (c *certifier) at(height uint64) *certHead {
	h := c.heads[height]
	if h == nil {
		h = &certHead{sigs: map[string]cosignature{}}
		c.heads[height] = h
	}
	return h
}

func (c *certifier) newestHeight() uint64 {
	if c.newest == nil {
		return 0
	}
	return c.newest.Height
}

// expect takes a verified certificate for a block that this replica is about to
// execute. Blocks before it need no signature of ours.
func (c *certifier) expect(cp *chain.Checkpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cp.Height > c.top && (c.ahead == nil || cp.Height > c.ahead.Height) {
		c.ahead = cp
	}
}

// executed announces a tree head that this replica came to.
func (c *certifier) executed(t chain.TreeHead, k *chain.Consortium, index uint64) {
	if !c.announce(t, k, index) {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
	c.settle()
}

// announce records a tree head and reports whether it needs signatures.
func (c *certifier) announce(t chain.TreeHead, k *chain.Consortium, index uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.top = t.Height
	c.recent[t.Height] = ownHead{t, k}
	delete(c.recent, t.Height-keepHeads)
	if t.Height <= c.newestHeight() {
		if t.Height == c.newestHeight() && c.newest.TreeHead != t {
			c.diverged(&chain.BrokenError{Height: t.Height, Link: "header hash against the certified checkpoint", Want: c.newest.Block, Got: t.Block})
		}
		return false
	}
	if c.ahead != nil && t.Height <= c.ahead.Height {
		if t.Height == c.ahead.Height {
			if c.ahead.TreeHead != t {
				c.diverged(&chain.BrokenError{Height: t.Height, Link: "header hash against the certified checkpoint", Want: c.ahead.Block, Got: t.Block})
				return false
			}
			c.accept(c.ahead)
			c.ahead = nil
		}
		return false
	}
	h := c.at(t.Height)
	h.head, h.consortium = &t, k
	c.unsigned = append(c.unsigned, signJob{t, k, index})
	return true
}

// add takes a member's cosignature. It verifies it when it is needed.
func (c *certifier) add(member string, t chain.TreeHead, sig chain.Signature) {
	c.mu.Lock()
	if t.Height >= c.seen[member].Height {
		c.seen[member] = chain.Checkpoint{TreeHead: t, Signatures: []chain.Signature{sig}}
	}
	if own, ok := c.recent[t.Height]; ok && own.head != t {
		if who, _, err := own.consortium.Cosigner(t, sig); err == nil && who == member {
			c.record(Divergence{Member: member, Ours: own.head, Theirs: t, Signature: sig})
		}
	}
	if t.Height > c.newestHeight() && t.Height <= max(c.newestHeight(), c.top)+certWindow {
		c.at(t.Height).sigs[member] = cosignature{head: t, sig: sig}
	}
	c.mu.Unlock()
}

// lastOf returns the newest tree head that a member says it has signed, with its
// signature, or a zero checkpoint.
func (c *certifier) lastOf(member string) chain.Checkpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[member]
}

// claim returns the newest certified checkpoint, nil if there is none, this
// replica's newest cosignature since it was opened, and the greatest height it has
// signed ever.
func (c *certifier) claim() (certified *chain.Checkpoint, mine chain.Checkpoint, signedTo uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest, c.mine, c.signedTo
}

// signs raises the greatest height this replica has signed.
func (c *certifier) signs(height uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signedTo = max(c.signedTo, height)
}

// awaits reports whether a signature of this member would still count: of one who
// left it does for the blocks up to the change.
func (c *certifier) awaits(member string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.heads {
		if h.consortium != nil && h.consortium.Member(member) != nil {
			return true
		}
	}
	return false
}

// settle certifies the highest block that can be.
func (c *certifier) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	heights := make([]uint64, 0, len(c.heads))
	for height, h := range c.heads {
		if h.head != nil && len(h.sigs) >= h.consortium.CheckpointThreshold {
			heights = append(heights, height)
		}
	}
	slices.Sort(heights)
	for _, height := range slices.Backward(heights) {
		if cp := c.certify(c.heads[height]); cp != nil {
			c.accept(cp)
			return
		}
	}
}

// certify returns a certified checkpoint at h, or nil. The caller holds mu.
func (c *certifier) certify(h *certHead) *chain.Checkpoint {
	cp := &chain.Checkpoint{TreeHead: *h.head}
	differ := 0
	for _, m := range h.consortium.Members {
		s, ok := h.sigs[m.Name]
		if !ok {
			continue
		}
		if !s.verified {
			if who, _, err := h.consortium.Cosigner(s.head, s.sig); err != nil || who != m.Name {
				delete(h.sigs, m.Name)
				continue
			}
			s.verified = true
			h.sigs[m.Name] = s
		}
		if s.head != *h.head {
			differ++
			c.record(Divergence{Member: m.Name, Ours: *h.head, Theirs: s.head, Signature: s.sig})
			continue
		}
		cp.Signatures = append(cp.Signatures, s.sig)
	}
	if differ >= h.consortium.CheckpointThreshold {
		c.diverged(fmt.Errorf("%d members signed another block at height %d than this replica has", differ, h.head.Height))
		return nil
	}
	if len(cp.Signatures) < h.consortium.CheckpointThreshold {
		return nil
	}
	return cp
}

func (c *certifier) record(d Divergence) {
	for _, old := range c.evidence {
		if old.Member == d.Member && old.Theirs == d.Theirs {
			return
		}
	}
	if len(c.evidence) < 64 {
		c.evidence = append(c.evidence, d)
	}
}

// accept takes over a verified certificate. The caller holds mu.
func (c *certifier) accept(cp *chain.Checkpoint) {
	c.newest = cp
	for height := range c.heads {
		if height <= cp.Height {
			delete(c.heads, height)
		}
	}
	for height, ch := range c.waiting {
		if height <= cp.Height {
			close(ch)
			delete(c.waiting, height)
		}
	}
	c.news.broadcast()
}

// wait returns the newest certificate if it covers height, or else a channel that
// is closed when one does.
func (c *certifier) wait(height uint64) (*chain.Checkpoint, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.newest != nil && c.newest.Height >= height {
		return c.newest, nil
	}
	ch := c.waiting[height]
	if ch == nil {
		ch = make(chan struct{})
		c.waiting[height] = ch
	}
	return nil, ch
}

// offer takes a certificate from a peer, already verified against the
// consortium, if it is newer than ours and not against what we executed.
func (c *certifier) offer(cp *chain.Checkpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cp.Height <= c.newestHeight() {
		return
	}
	h := c.heads[cp.Height]
	if h == nil || h.head == nil {
		return // not executed yet, or its head is not kept: it comes again
	}
	if *h.head != cp.TreeHead {
		c.diverged(&chain.BrokenError{Height: cp.Height, Link: "header hash against the certified checkpoint", Want: cp.Block, Got: h.head.Block})
		return
	}
	c.accept(cp)
}

// certifiers returns the consortium file in force for a block, nil if it is not one of
// the last that were executed.
func (c *certifier) certifiers(height uint64) *chain.Consortium {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recent[height].consortium
}

// checkpoint returns the newest certified checkpoint, or nil.
func (c *certifier) checkpoint() *chain.Checkpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// lacking reports whether the last executed block has no certificate.
func (c *certifier) lacking() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.top > c.newestHeight()
}

// own returns this replica's newest cosignatures that are not certified yet.
func (c *certifier) own() []chain.Checkpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	var heights []uint64
	for height, h := range c.heads {
		if _, ok := h.sigs[c.self]; ok && h.head != nil {
			heights = append(heights, height)
		}
	}
	slices.Sort(heights)
	heights = heights[max(0, len(heights)-8):]
	out := make([]chain.Checkpoint, 0, len(heights))
	for _, height := range heights {
		h := c.heads[height]
		out = append(out, chain.Checkpoint{TreeHead: *h.head, Signatures: []chain.Signature{h.sigs[c.self].sig}})
	}
	return out
}

// certifyLoop keeps the certificate moving: it stores new ones, tells the owner
// of the replica, and asks around when a block stays without one.
func (r *Replica) certifyLoop() {
	ticker := time.NewTicker(certInterval)
	defer ticker.Stop()
	told := r.savedCert // who opened the replica sees that one; a newer one may have come meanwhile
	for {
		changed := r.certs.news.wait()
		if cp := r.certs.checkpoint(); cp != nil && cp.Height > told {
			told = cp.Height
			r.opt.OnCertified(cp)
		}
		select {
		case <-changed:
		case <-ticker.C:
			r.saveCheckpoint()
			if r.certs.lacking() && (!r.outside() || r.certs.awaits(r.opt.Member)) {
				r.chaseCertificate()
			}
		case <-r.ctx.Done():
			return
		}
	}
}

// saveCheckpoint puts the newest certificate on disk once the blocks it covers
// are there: until then it keeps it for the next call, so that the disk never
// says that a block is certified that it does not hold.
func (r *Replica) saveCheckpoint() {
	if r.unsaved == nil {
		r.unsaved = r.certs.checkpoint()
	}
	cp := r.unsaved
	if cp == nil || r.haltErr() != nil || r.readOnly.Load() || !r.book.stored(cp.Height) {
		return
	}
	r.unsaved = nil
	if cp.Height <= r.savedCert {
		return
	}
	if err := r.book.storeCheckpoint(cp); err != nil {
		r.log.Error("store checkpoint", "error", err)
		return
	}
	r.savedCert = cp.Height
}

// chaseCertificate sends our signatures once more and asks a peer for what it has.
func (r *Replica) chaseCertificate() {
	if own := r.certs.own(); len(own) > 0 {
		r.gossip.send(own)
	}
	for _, m := range r.Consortium().Members {
		if m.Name == r.opt.Member {
			continue
		}
		r.wg.Go(func() {
			ctx, cancel := context.WithTimeout(r.ctx, certInterval)
			defer cancel()
			cp, err := r.fetchCheckpoint(ctx, m.Name)
			if err == nil {
				r.certs.offer(cp)
			}
		})
	}
}

// fetchCheckpoint asks a member for its newest certified checkpoint, and verifies it
// under the file in force for its block if that was executed here: the block may be the
// one that changed the consortium. Otherwise under the newest known.
func (r *Replica) fetchCheckpoint(ctx context.Context, member string) (*chain.Checkpoint, error) {
	var raw []byte
	if err := r.peers.call(ctx, member, rpcCheckpoint, struct{}{}, &raw); err != nil {
		return nil, err
	}
	cp, err := chain.ParseCheckpoint(raw)
	if err != nil {
		return nil, err
	}
	k := r.certs.certifiers(cp.Height)
	if k == nil {
		k = r.Consortium()
	}
	return cp, k.Verify(cp)
}

// WaitCertified waits until the block at height is certified and returns the
// certified checkpoint that covers it. It returns ErrNotMember if this replica left before
// that block.
func (r *Replica) WaitCertified(ctx context.Context, height uint64) (*chain.Checkpoint, error) {
	for {
		cp, certified := r.certs.wait(height)
		if cp != nil {
			return cp, nil
		}
		var executed <-chan struct{}
		if r.outside() {
			executed = r.news.wait()
			if r.neverCertified(height) {
				return nil, ErrNotMember
			}
		}
		select {
		case <-certified:
		case <-executed: // a block is seen a moment before it is known who certifies it
		case <-r.stopped:
			return nil, r.stopErr()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// bell wakes everyone who waits for something to change.
type bell struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu
}

func newBell() *bell { return &bell{ch: make(chan struct{})} }

// wait returns a channel that is closed at the next broadcast. Take it before
// looking at what may change.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *bell) broadcast() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
