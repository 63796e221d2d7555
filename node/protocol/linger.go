package protocol

import (
	"io"
	"net/http"
	"time"
)

// How long a node goes on to read, and drop, what a client sends after the answer, and
// how many bytes of it.
const (
	LingerTime  = 30 * time.Second
	LingerBytes = 64 << 20
)

// Linger sends the answer to a request whose body was not read to its end, and
// then reads what still comes and drops it, until the client has sent all,
// closes the connection, or so much time or so many bytes are used up. Without
// that the system, asked to close a connection with bytes that nobody read,
// resets it, and the reset may overtake the answer: the client would learn that
// the connection broke instead of why it was refused. See RFC 9112, section 9.6.
func Linger(w http.ResponseWriter, body io.Reader, long time.Duration, most int64) {
	control := http.NewResponseController(w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(long)) != nil {
		return // the connection has gone
	}
	if _, err := io.CopyN(io.Discard, body, most); err != io.EOF {
		_ = control.SetReadDeadline(time.Now()) // that net/http waits no longer; the connection is closed
	}
}
