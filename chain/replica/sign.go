package replica

import (
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/ward-health/ward/chain"
)

type signJob struct {
	head       chain.TreeHead
	consortium *chain.Consortium
	index      uint64 // of the Raft entry
}

// sign is the signer's loop: it signs every executed tree head once, after
// writing down that it does, and hands the signatures to the peers. It ends when
// the replica halts.
func (r *Replica) sign() {
	c := r.certs
	for {
		select {
		case <-c.wake:
		case <-r.ctx.Done():
			return
		}
		c.mu.Lock()
		jobs := c.unsigned
		c.unsigned = nil
		c.mu.Unlock()
		if len(jobs) == 0 {
			continue
		}
		if r.haltErr() != nil {
			return
		}
		signed, err := r.signAll(jobs)
		if errors.As(err, new(*chain.BrokenError)) {
			if jobs, err = r.unsignable(jobs, err); err == nil {
				signed, err = r.signAll(jobs)
			}
		}
		if err != nil {
			r.halt(err)
			return
		}
		if len(signed) > 0 {
			c.settle()
			r.gossip.send(signed)
		}
	}
}

// signAll signs the heads in jobs that may be signed. One write to the sign file
// covers them all.
func (r *Replica) signAll(jobs []signJob) ([]chain.Checkpoint, error) {
	last := r.signed.last
	first := 0
	for first < len(jobs) && jobs[first].head.Height <= last.Height {
		j := jobs[first]
		if j.head.Height == last.Height && !last.Hash.IsZero() {
			if bodyHash(j.head) != last.Hash {
				return nil, &chain.BrokenError{Height: j.head.Height, Link: "tree head signed before", Want: last.Hash, Got: bodyHash(j.head)}
			}
			break // signing the same again is no second signature
		}
		first++
	}
	jobs = jobs[first:]
	if len(jobs) == 0 {
		return nil, nil
	}
	if j := jobs[len(jobs)-1]; j.head.Height > last.Height {
		if err := r.signed.record(signedHead{Height: j.head.Height, Hash: bodyHash(j.head), Raft: j.index}); err != nil {
			return nil, err
		}
		r.certs.signs(j.head.Height)
	}
	out := make([]chain.Checkpoint, 0, len(jobs))
	for _, j := range jobs {
		if j.consortium.Member(r.opt.Member) == nil {
			continue
		}
		sig, err := j.consortium.Cosign(j.head, r.opt.Member, time.Now().Unix(), r.opt.Key)
		if err != nil {
			return nil, err
		}
		cp := chain.Checkpoint{TreeHead: j.head, Signatures: []chain.Signature{sig}}
		r.certs.mu.Lock()
		r.certs.mine = cp
		if h := r.certs.heads[j.head.Height]; h != nil {
			h.sigs[r.opt.Member] = cosignature{head: j.head, sig: sig, verified: true}
		}
		r.certs.mu.Unlock()
		out = append(out, cp)
	}
	return out, nil
}

// unsignable returns those of jobs that are above the last signature, which is on
// another tree head than this replica has now: if a certificate vouches for the one it
// has now, what was signed is the history that a leader showed to this replica alone.
// Otherwise it returns err, as judged.
func (r *Replica) unsignable(jobs []signJob, err error) ([]signJob, error) {
	last := r.signed.last.Height
	for tries := 0; ; tries++ {
		height, other := r.certified(r.ctx)
		if other {
			return nil, &astrayError{err}
		}
		if height >= last {
			break
		}
		if tries == behindFor || !r.pauseFor(r.ctx, r.opt.Heartbeat) {
			return nil, err
		}
	}
	r.log.Error("signed a tree head that is on no chain", "error", err)
	return slices.DeleteFunc(slices.Clone(jobs), func(j signJob) bool { return j.head.Height <= last }), nil
}

func bodyHash(t chain.TreeHead) chain.Hash { return sha256.Sum256([]byte(t.Body())) }
