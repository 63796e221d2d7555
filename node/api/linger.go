package api

import (
	"io"
	"sync/atomic"
)

// smallBody is up to how many bytes of a body nobody wants are awaited before
// the answer, so that the connection can be used again: net/http's own bound.
const smallBody = 256 << 10

// A requestBody knows whether it was read to its end, or to an error.
type requestBody struct {
	io.ReadCloser
	small bool // net/http reads what is left by itself
	ended atomic.Bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}

// remains reports whether the client may be sending still, and does not know
// yet that it may stop. Whoever was too slow, or sent what is no HTTP, is not
// waited for.
func (b *requestBody) remains() bool { return b != nil && !b.small && !b.ended.Load() }
