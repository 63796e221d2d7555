package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ward-health/ward/chain"
)

// How new the state is that a replica reads does not rest on its leader. What was
// acknowledged before is certified, so t_c members signed it or a later head, at
// least t_c − f of them honest, and each of these says so. As many claims as
// remain of t_c − f when those who are silent are taken off reach that height: at
// least one, if n − t_c + f + 1 members answer, this one included.
//
// Up to f members may claim more than there is. When all honest members answer,
// more than f claims are taken together and lies do not count. When some are
// silent, a lie can make a read wait, but the liar has to sign it: a cosignature
// of a tree head that there never is, is evidence against it.

// headsAnswer shows the newest certified checkpoint of a member and, if that is
// higher, its own newest cosignature. Either may be empty.
type headsAnswer struct {
	_         struct{} `cbor:",toarray"`
	Certified []byte
	Signed    []byte
}

// serveHeads shows how far this replica has signed. It does not answer before it
// has executed again what it signed before a restart: it could not show it.
func (r *Replica) serveHeads() (*headsAnswer, error) {
	certified, signed, upTo := r.certs.claim()
	a := &headsAnswer{}
	var reached uint64
	var err error
	if certified != nil {
		reached = certified.Height
		if a.Certified, err = certified.Bytes(); err != nil {
			return nil, err
		}
	}
	if signed.Height > reached {
		reached = signed.Height
		if a.Signed, err = signed.Bytes(); err != nil {
			return nil, err
		}
	}
	if reached < upTo {
		return nil, fmt.Errorf("has not come again to block %d, which it signed", upTo)
	}
	return a, nil
}

// claimed returns the height that a member's answer shows. What it shows of blocks
// that this replica has is not verified: it cannot count for too much.
func (r *Replica) claimed(k *chain.Consortium, member string, a *headsAnswer) (uint64, error) {
	own := r.book.Head().Header.Height
	var height uint64
	for i, raw := range [][]byte{a.Certified, a.Signed} {
		if len(raw) == 0 {
			continue
		}
		cp, err := chain.ParseCheckpoint(raw)
		if err != nil {
			return 0, err
		}
		switch {
		case cp.Height <= own:
		case i == 0:
			err = k.Verify(cp)
		case len(cp.Signatures) != 1:
			err = errors.New("not one cosignature")
		default:
			var who string
			if who, _, err = k.Cosigner(cp.TreeHead, cp.Signatures[0]); err == nil && who != member {
				err = errors.New("cosignature of another member")
			}
		}
		if err != nil {
			return 0, err
		}
		height = max(height, cp.Height)
	}
	return height, nil
}

// askHeads returns a height that includes every block certified before it was
// called. It returns as soon as that is known to be no more than this replica has.
func (r *Replica) askHeads() (uint64, error) {
	k := r.Consortium()
	heights := make([]uint64, 0, len(k.Members))
	if k.Member(r.opt.Member) != nil {
		heights = append(heights, r.book.Head().Header.Height)
	}
	answers := make(chan uint64, len(k.Members))
	failed := make(chan error, len(k.Members))
	waiting := 0
	for _, m := range k.Members {
		if m.Name == r.opt.Member {
			continue
		}
		if !r.spawn(func() {
			ctx, cancel := context.WithTimeout(r.ctx, r.opt.Heartbeat)
			defer cancel()
			var a headsAnswer
			err := r.peers.call(ctx, m.Name, rpcHeads, struct{}{}, &a)
			var height uint64
			if err == nil {
				height, err = r.claimed(k, m.Name, &a)
			}
			if err != nil {
				failed <- fmt.Errorf("%s: %w", m.Name, err)
				return
			}
			answers <- height
		}) {
			return 0, ErrClosed
		}
		waiting++
	}
	var errs []error
	for {
		bound, known := signedBound(k, heights)
		if known && (waiting == 0 || bound <= r.book.Head().Header.Height) {
			return bound, nil
		}
		if waiting == 0 {
			return 0, fmt.Errorf("%d of %d members say how far they are: %w", len(heights), len(k.Members), errors.Join(errs...))
		}
		select {
		case height := <-answers:
			heights = append(heights, height)
		case err := <-failed:
			errs = append(errs, err)
		}
		waiting--
	}
}

// signedBound returns a height that includes every certified block, from the
// claims of those members that answered. It never rises when one more answers.
func signedBound(k *chain.Consortium, heights []uint64) (bound uint64, known bool) {
	n := len(k.Members)
	silent := n - len(heights)
	count := k.CheckpointThreshold - (n-1)/3 - silent
	if count < 1 {
		return 0, false
	}
	slices.Sort(heights)
	return heights[len(heights)-min(count, len(heights))], true
}

// reachSigned waits until this replica has executed every block that was certified
// when it was called. It asks again while it waits: that can only take away what
// nobody has.
func (r *Replica) reachSigned(ctx context.Context) error {
	for {
		height, err := r.heads.do(ctx, r.askHeads)
		if err == nil {
			waiting, cancel := context.WithTimeout(ctx, r.opt.Heartbeat)
			err = r.waitExecuted(waiting, height)
			cancel()
		}
		if err == nil {
			return nil
		}
		select {
		case <-r.stopped:
			return r.stopErr()
		default:
		}
		if r.outside() {
			return ErrNotMember
		}
		if !r.pauseFor(ctx, r.opt.Heartbeat/10) {
			return fmt.Errorf("not known to be up to date: %w: %w", context.Cause(ctx), err)
		}
	}
}
