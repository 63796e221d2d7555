package replica

// crash stops the replica as a crash would: nothing is handed over, and blocks
// that the committer has not begun to write are lost.
func (r *Replica) crash() {
	r.mu.Lock()
	if r.halted == nil {
		r.halted = ErrClosed
		close(r.stopped)
	}
	r.mu.Unlock()
	r.book.abandon()
	_ = r.Close() // the disk is left as it is
}

// abandon makes the committer write nothing more.
func (b *book) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.abandoned = true
}
