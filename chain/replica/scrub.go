package replica

import (
	"errors"
	"time"
)

// scrub compares the whole state with its hash every now and then, and reads
// every block and sidecar.
func (r *Replica) scrub() {
	if r.opt.ScrubEvery < 0 {
		return
	}
	ticker := time.NewTicker(r.opt.ScrubEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-r.ctx.Done():
			return
		}
		if err := r.Scrub(); err != nil {
			r.halt(err)
			return
		}
	}
}

// Scrub reads everything the replica holds and checks it. It takes seconds per
// million transactions, and does not hold up anything else.
func (r *Replica) Scrub() error {
	r.views.RLock()
	defer r.views.RUnlock()
	if err := r.Err(); err != nil {
		return err
	}
	if err := r.checkState(); err != nil {
		return err
	}
	return errors.Join(r.book.blocks.Verify(), r.book.sidecars.Verify())
}
