package api

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
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

// linger sends the answer to a request whose body was not read to its end, and
// then reads what still comes and drops it, until the client has sent all,
// closes the connection, or Limits.Linger or LingerBytes are used up. Without
// that the system, asked to close a connection with bytes that nobody read,
// resets it, and the reset may overtake the answer: the client would learn that
// the connection broke instead of why it was refused. See RFC 9112, section 9.6.
func (s *Server) linger(o *observed) {
	control := http.NewResponseController(o.ResponseWriter)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(s.opt.Limits.Linger)) != nil {
		return // the connection has gone
	}
	if _, err := io.CopyN(io.Discard, o.request, s.opt.Limits.LingerBytes); err != io.EOF {
		_ = control.SetReadDeadline(time.Now()) // that net/http waits no longer; the connection is closed
	}
}
