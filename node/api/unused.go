package api

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/store"
)

// unused counts, for each identity, the blobs it put here that no record refers
// to yet, so that nobody fills the disks with what is nobody's. It forgets when
// the node restarts, and blobs that nothing refers to are collected in time.
type unused struct {
	mu     sync.Mutex
	owners map[string]*puts // guarded by mu, with all in it
}

// puts are one caller's.
type puts struct {
	blobs     map[store.Ref]unusedBlob
	bytes     int64 // of blobs and of what is under way
	underWay  int
	looked    time.Time // when the blobs were last looked up
	lookingUp bool
}

type unusedBlob struct {
	size int64
	at   time.Time // when it was put
}

const (
	// lookAgain is how often at most the blobs of one caller are looked up.
	lookAgain = time.Second
	// recordFollows is within how long of a blob's being put its record is to be
	// expected: a client submits it when the blob is stored.
	recordFollows = 10 * time.Second
)

func (p *puts) full(l *Limits) bool {
	return len(p.blobs)+p.underWay >= l.Unused || p.bytes >= l.UnusedBytes
}

// stuck reports whether that is so even if what is under way now, and what came a
// moment ago, is used.
func (p *puts) stuck(l *Limits, now time.Time) bool {
	blobs, bytes := 0, int64(0)
	for _, b := range p.blobs {
		if now.Sub(b.at) >= recordFollows {
			blobs, bytes = blobs+1, bytes+b.size
		}
	}
	return blobs >= l.Unused || bytes >= l.UnusedBytes
}

// begin counts a put of about so many bytes. If too much of the caller's is unused
// it returns ward.ErrBusy as long as that may change by itself, or cannot be told
// now, and ward.ErrQuota if not. settle ends what it began.
func (s *Server) begin(ctx context.Context, key string, size int64) error {
	u := &s.unused
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.owners == nil {
		u.owners = make(map[string]*puts)
	}
	p := u.owners[key]
	if p == nil {
		p = &puts{blobs: make(map[store.Ref]unusedBlob)}
		u.owners[key] = p
	}
	looked := false // at all of them
	if p.full(&s.opt.Limits) && !p.lookingUp && s.now().Sub(p.looked) >= lookAgain {
		p.lookingUp = true // so that nobody else looks, and settle keeps p
		all := slices.Collect(maps.Keys(p.blobs))
		u.mu.Unlock()
		looked = true
		gone := slices.DeleteFunc(all, func(ref store.Ref) bool {
			used, err := s.used(ctx, ref)
			looked = looked && err == nil
			return err != nil || !used
		})
		u.mu.Lock()
		for _, ref := range gone {
			p.forget(ref)
		}
		p.lookingUp, p.looked = false, s.now()
	}
	switch {
	case !p.full(&s.opt.Limits):
	case looked && p.stuck(&s.opt.Limits, s.now()):
		return ward.ErrQuota
	default:
		return ward.ErrBusy
	}
	p.underWay++
	p.bytes += size
	return nil
}

// used reports whether a record refers to a blob, or it is here no more.
func (s *Server) used(ctx context.Context, ref store.Ref) (bool, error) {
	if used, err := s.b.Referenced(ctx, ref); err != nil || used {
		return used, err
	}
	has, err := store.Has(ctx, s.b.LocalBlobs(), ref)
	return !has, err
}

func (p *puts) forget(ref store.Ref) {
	p.bytes -= p.blobs[ref].size
	delete(p.blobs, ref)
}

// settle ends what begin began: the blob is here with so many bytes, or, without
// a reference, is not.
func (s *Server) settle(key string, began int64, ref store.Ref, size int64) {
	u := &s.unused
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.owners[key]
	p.underWay--
	p.bytes -= began
	if ref != (store.Ref{}) {
		p.forget(ref) // the same again
		p.blobs[ref] = unusedBlob{size, s.now()}
		p.bytes += size
	}
	if len(p.blobs)+p.underWay == 0 && !p.lookingUp {
		delete(u.owners, key)
	}
}

// counted counts the bytes of a body.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
