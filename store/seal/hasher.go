package seal

import (
	"hash"
	"io"
)

// A hasher hands on what it reads and hashes it on a goroutine of its own. The
// sum is ready when stop returns.
type hasher struct {
	src  io.Reader
	free chan []byte
	full chan []byte
	cur  []byte // gathers what was read
	done chan struct{}
}

const hashBlock = 128 << 10

func newHasher(src io.Reader, to hash.Hash) *hasher {
	h := &hasher{
		src:  src,
		free: make(chan []byte, 4),
		full: make(chan []byte, 4),
		done: make(chan struct{}),
	}
	for range cap(h.free) {
		h.free <- make([]byte, 0, hashBlock)
	}
	go func() {
		defer close(h.done)
		for b := range h.full {
			to.Write(b) // never fails, says package hash
			h.free <- b[:0]
		}
	}()
	return h
}

func (h *hasher) Read(p []byte) (int, error) {
	n, err := h.src.Read(p)
	for p = p[:n]; len(p) > 0; {
		if h.cur == nil {
			h.cur = <-h.free
		}
		m := min(len(p), hashBlock-len(h.cur))
		h.cur = append(h.cur, p[:m]...)
		p = p[m:]
		if len(h.cur) == hashBlock {
			h.flush()
		}
	}
	return n, err
}

func (h *hasher) flush() {
	if h.cur != nil {
		h.full <- h.cur
		h.cur = nil
	}
}

// stop hashes the rest and waits for the goroutine.
func (h *hasher) stop() {
	h.flush()
	close(h.full)
	<-h.done
}
