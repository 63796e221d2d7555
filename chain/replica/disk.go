package replica

import (
	"time"
)

const (
	diskInterval = time.Second
	minFree      = 256 << 20 // by default
)

// watchDisk makes the replica read-only before its disk is full. Badger writes
// through memory maps: on a full disk it does not fail, it dies.
func (r *Replica) watchDisk() {
	if r.opt.MinFree < 0 {
		return
	}
	ticker := time.NewTicker(diskInterval)
	defer ticker.Stop()
	for {
		r.checkDisk()
		select {
		case <-ticker.C:
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

// writable returns ErrReadOnly while the disk is nearly full. Whatever would make
// the chain or the log longer asks it.
func (r *Replica) writable() error {
	if r.readOnly.Load() {
		return ErrReadOnly
	}
	return nil
}
