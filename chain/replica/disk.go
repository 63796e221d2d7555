package replica

import (
	"context"
	"time"
)

const (
	diskInterval = time.Second
	minFree      = 256 << 20 // by default
)

// guardDisk makes the replica read-only before its disk is full, from now on. On a full
// disk it would halt, or die if the state store needs a new file just then.
func (r *Replica) guardDisk() {
	if r.opt.MinFree < 0 {
		return
	}
	r.checkDisk()
	r.wg.Go(r.watchDisk)
}

func (r *Replica) watchDisk() {
	ticker := time.NewTicker(diskInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.checkDisk()
		case <-r.ctx.Done():
			return
		}
	}
}

func (r *Replica) checkDisk() {
	free, err := r.opt.free(r.opt.Dir)
	if err != nil {
		r.log.Error("measure free space", "error", err)
		return
	}
	low := free < r.opt.MinFree
	if low == r.readOnly.Swap(low) {
		return
	}
	if !low {
		r.log.Info("there is room on the disk again", "free", free)
		return
	}
	r.log.Error("disk is nearly full: nothing more is written", "free", free, "needed", r.opt.MinFree)
	if _, self := r.leader(); self {
		r.stepDown()
	}
}

// short reports whether the disk is nearly full, or had no room for the state store
// lately.
func (r *Replica) short() bool {
	return r.readOnly.Load() || time.Now().UnixNano() < r.fullUntil.Load()
}

// writable returns ErrReadOnly while the disk is nearly full. Whatever would make
// the chain or the log longer asks it.
func (r *Replica) writable() error {
	if r.short() {
		return ErrReadOnly
	}
	return nil
}

// awaitRoom waits until there is room on the disk. It returns ErrReadOnly if ctx ends
// or the replica stops before.
func (r *Replica) awaitRoom(ctx context.Context) error {
	for r.writable() != nil {
		if !r.pauseFor(ctx, diskInterval) {
			return ErrReadOnly
		}
	}
	return nil
}
