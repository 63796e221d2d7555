package replica

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// Close hands leadership to another member, if this one leads, and stops the
// replica. It waits until everything executed is on disk.
func (r *Replica) Close() error {
	r.closing.Do(func() { r.closeErr = r.shutdown() })
	return r.closeErr
}

func (r *Replica) shutdown() error {
	if r.node() != nil && r.haltErr() == nil {
		r.handOver()
	}
	r.mu.Lock()
	r.closed = true
	select {
	case <-r.stopped:
	default:
		close(r.stopped)
	}
	r.mu.Unlock()
	r.cancel()
	r.begun.Wait() // no Raft begins after this
	var errs []error
	answered := make(chan struct{})
	go func() { r.asking.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-time.After(closeTimeout): // the others hear this leader, and take nothing from it
		if r.transport != nil {
			errs = append(errs, r.transport.Close())
		}
		<-answered // a leader that is alone steps down, and answers, within its lease
	}
	var down raft.Future
	if r.node() != nil {
		down = r.node().Shutdown()
	}
	if r.transport != nil {
		errs = append(errs, r.transport.Close()) // ends the calls that Raft waits for
	}
	if down != nil {
		errs = append(errs, down.Error())
	}
	if r.peers != nil {
		r.peers.close()
	}
	errs = append(errs, r.opt.Network.Close())
	r.wg.Wait()
	r.views.Lock() // until no View is in use
	defer r.views.Unlock()
	r.closeAside()
	if r.book != nil {
		errs = append(errs, r.book.Close())
	}
	if r.raftLog != nil {
		errs = append(errs, r.raftLog.log.Close())
	}
	if r.signed != nil {
		errs = append(errs, r.signed.Close())
	}
	if r.lock != nil {
		errs = append(errs, r.lock.Unlock())
	}
	return errors.Join(errs...)
}

// stepDown asks Raft to pass leadership on. What it answers is not waited for: in
// hashicorp/raft the answer can stay away for ever (its issue 696), also when Raft
// shuts down.
func (r *Replica) stepDown() { r.node().LeadershipTransfer() }

// handOver passes leadership on, if it can be done within a while.
func (r *Replica) handOver() {
	if _, self := r.leader(); !self || len(r.Consortium().Members) == 1 {
		return
	}
	r.stepDown()
	for begin := time.Now(); time.Since(begin) < min(closeTimeout, 3*r.opt.Heartbeat); r.pause(r.opt.Heartbeat / 50) {
		if name, self := r.leader(); !self && name != "" {
			return
		}
	}
	r.log.Info("leadership not handed over in time")
}

// ask hands Raft something through do and returns its answer. When Raft shuts down,
// what was committed and not yet given to the state machine is answered never: so
// Close lets Raft run until whoever asked has an answer.
func (r *Replica) ask(do func(*raft.Raft) raft.Future) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return raft.ErrRaftShutdown
	}
	r.asking.Add(1)
	r.mu.Unlock()
	defer r.asking.Done()
	return do(r.node()).Error()
}

// spawn runs f in a goroutine that Close waits for. It reports false, and does not,
// if the replica is closed.
func (r *Replica) spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.wg.Go(f)
	}
	return !r.closed
}

// pause waits for a moment, less if the replica stops.
func (r *Replica) pause(d time.Duration) { r.pauseFor(r.ctx, d) }

// pauseFor reports false if ctx ended or the replica stopped first.
func (r *Replica) pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-r.ctx.Done():
	}
	return false
}
