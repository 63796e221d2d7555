package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ward-health/ward/chain"
)

// Blocks that are fetched rest on a certificate before they are executed. Each header
// names the hash of the one before; so the headers from a certified block down to the
// last one here tell which blocks lie between. Otherwise one member could send blocks
// that are good each by itself, and a replica would see only at the end that they lead
// elsewhere, when it can no longer tell them from its own history.

// maxHeaders is how many headers are in one answer.
const maxHeaders = 1024

// serveHeaders answers with the headers of the blocks from req.To down to req.From,
// at least one if there are any, as many as fit in a message and are read before ctx
// ends: each costs the reading of its block. They need not be of blocks that were
// executed: who asks goes by their hashes.
func (r *Replica) serveHeaders(ctx context.Context, req blocksRequest) ([][]byte, error) {
	out := [][]byte{}
	for height := req.To; height >= max(1, req.From) && len(out) < maxHeaders; height-- {
		if len(out) > 0 && ctx.Err() != nil {
			break
		}
		blk, _, err := r.anyBlock(height)
		if err != nil && len(out) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		raw, err := blk.Header.Bytes()
		if err != nil {
			return nil, err
		}
		out = append(out, raw)
	}
	return out, nil
}

// walk calls see with the hash of every header below height top, where it is hash, down
// to bottom. It asks the members in turn. After an error it can go on from the last that was
// seen.
func (r *Replica) walk(ctx context.Context, who *turns, top uint64, hash chain.Hash, bottom uint64, see func(height uint64, hash chain.Hash)) error {
	for height := top; height > bottom; {
		before, err := r.hashesBefore(ctx, who, height, hash, bottom)
		if err != nil {
			return err
		}
		for _, hash = range before {
			height--
			see(height, hash)
		}
	}
	return nil
}

// hashesBefore returns the hashes of the headers before the one at height, which has
// this hash: of height−1 first, at least that, and none below bottom. It asks the
// members in turn, until one has them.
func (r *Replica) hashesBefore(ctx context.Context, who *turns, height uint64, hash chain.Hash, bottom uint64) ([]chain.Hash, error) {
	if blk, _, err := r.anyBlock(height); err == nil && blk.Header.Hash() == hash {
		return []chain.Hash{blk.Header.Prev}, nil
	}
	var errs []error
	for _, name := range who.order(r.Consortium().Members) {
		if name == r.opt.Member {
			continue
		}
		begun := time.Now()
		before, err := r.askHeaders(ctx, name, height, hash, bottom)
		got := uint64(len(before))
		who.note(name, time.Since(begun), got, got >= min(maxHeaders, height-bottom), r.opt.Heartbeat)
		if got > 0 {
			return before, nil
		}
		errs = append(errs, fmt.Errorf("header from %s: %w", name, err))
	}
	return nil, nobodyHas(height, errs)
}

// askHeaders is hashesBefore of one member: as far as its headers fit.
func (r *Replica) askHeaders(ctx context.Context, member string, height uint64, hash chain.Hash, bottom uint64) ([]chain.Hash, error) {
	ctx, cancel := context.WithTimeout(ctx, max(fetchTimeout, 2*r.opt.Heartbeat))
	defer cancel()
	var raw [][]byte
	if err := r.peers.call(ctx, member, rpcHeaders, blocksRequest{From: bottom + 1, To: height}, &raw); err != nil {
		return nil, err
	}
	var before []chain.Hash
	for _, b := range raw {
		h, err := chain.ParseHeader(b)
		if err == nil && (h.Height != height || h.Hash() != hash) {
			err = &chain.BrokenError{Height: height, Link: "header hash against a certified block", Want: hash, Got: h.Hash()}
		}
		if err != nil || height == bottom {
			return before, err
		}
		height, hash = height-1, h.Prev
		before = append(before, hash)
	}
	if len(before) == 0 {
		return nil, errors.New("none")
	}
	return before, nil
}

// trail knows which blocks lie between the last one here and a certified one. On a
// long way it keeps the hash of every window-th, and walks the way between two of
// them again when it comes to it. A nil trail takes any block.
type trail struct {
	r      *Replica
	window uint64
	base   chain.Header          // of the last block here when the way was begun
	last   uint64                // index of the last entry executed then
	top    uint64                // height of the certified block
	marks  map[uint64]chain.Hash // at top and at multiples of window
	near   map[uint64]chain.Hash // those that come next, about window
	who    turns

	// Down to where the way is known, and the hash there.
	height uint64
	hash   chain.Hash
}

const trailWindow = 1 << 14

// newTrail begins the way to a certified block above the last one here.
func (r *Replica) newTrail(target *chain.Header, window uint64) *trail {
	t := &trail{
		r: r, window: window, base: r.book.Head().Header, last: r.book.Applied().Index, top: target.Height,
		marks: map[uint64]chain.Hash{}, near: map[uint64]chain.Hash{},
	}
	t.see(target.Height, target.Hash())
	t.see(target.Height-1, target.Prev)
	return t
}

// after returns the index of the last entry executed here when the way was begun.
func (t *trail) after() uint64 {
	if t == nil {
		return 0
	}
	return t.last
}

func (t *trail) see(height uint64, hash chain.Hash) {
	if height == t.top || height%t.window == 0 {
		t.marks[height] = hash
	}
	if height < t.base.Height+t.window {
		t.near[height] = hash
	}
	t.height, t.hash = height, hash
}

// lay finds the rest of the way down to the last block here. After an error, when
// nobody had the next headers, it can be called again. The error is an *astrayError if
// there is no way: the certificate and the hashes show it, whoever sent them.
func (t *trail) lay(ctx context.Context) error {
	if err := t.r.walk(ctx, &t.who, t.height, t.hash, t.base.Height, t.see); err != nil {
		return err
	}
	if got := t.base.Hash(); got != t.hash {
		return &astrayError{&chain.BrokenError{Height: t.height, Link: "header hash against a certified block", Want: t.hash, Got: got}}
	}
	return nil
}

// check returns an error if a block is not the one on the way.
func (t *trail) check(ctx context.Context, blk *chain.Block) error {
	if t == nil {
		return nil
	}
	height := blk.Header.Height
	want, ok := t.near[height]
	if !ok {
		mark := min((height+t.window-1)/t.window*t.window, t.top)
		near := map[uint64]chain.Hash{mark: t.marks[mark]}
		err := t.r.walk(ctx, &t.who, mark, t.marks[mark], height, func(at uint64, hash chain.Hash) { near[at] = hash })
		if err != nil {
			return err
		}
		t.near, want = near, near[height]
	}
	if got := blk.Header.Hash(); got != want {
		return &chain.BrokenError{Height: height, Link: "header hash against a certified block", Want: want, Got: got}
	}
	return nil
}

// certified returns the greatest height at which a certificate of a member vouches
// for a block of this replica, and whether one shows that its last block is of another
// history.
func (r *Replica) certified(ctx context.Context) (height uint64, other bool) {
	for i, m := range r.Consortium().Members {
		if m.Name == r.opt.Member {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		at, differs, err := r.compare(ctx, i, m.Name)
		cancel()
		switch {
		case err != nil:
			r.log.Info("no certificate to compare with", "member", m.Name, "error", err)
		case differs:
			return 0, true
		default:
			height = max(height, at)
		}
	}
	return height, false
}

// compare compares the last block here, or the one that a member's certificate is
// for, if that is lower, with that certificate. who is the member's number: it has
// the headers, too, and no other can use up its time.
func (r *Replica) compare(ctx context.Context, who int, member string) (height uint64, differs bool, err error) {
	cp, err := r.fetchCheckpoint(ctx, member)
	if err != nil {
		return 0, false, err
	}
	head := r.book.Head().Header
	height = min(cp.Height, head.Height)
	own := head.Hash()
	if height < head.Height {
		blk, _, err := r.book.block(height)
		if err != nil {
			return 0, false, err
		}
		own = blk.Header.Hash()
	}
	want := cp.Block
	err = r.walk(ctx, &turns{first: who}, cp.Height, cp.Block, height, func(_ uint64, hash chain.Hash) { want = hash })
	return height, want != own, err
}

// judged returns err as an *astrayError if a certificate bears it out that this
// replica has another history than the others. What one member can bring about is no
// reason to throw the log away.
func (r *Replica) judged(err error) error {
	if _, other := r.certified(r.ctx); other {
		return &astrayError{err}
	}
	return err
}
