package api

import (
	"io"
	"net/http"
	"time"
)

// A pace gives the far end of a stream so much time and more with every byte
// that moved, so that none holds a connection by moving one now and then. Time
// in which the node itself was busy does not count.
type pace struct {
	limits  *Limits
	control *http.ResponseController
	waited  time.Duration
	n       int64
}

func (c *call) pace() pace {
	return pace{limits: &c.s.opt.Limits, control: http.NewResponseController(c.w)}
}

// deadline returns until when the far end has for the next bytes.
func (p *pace) deadline(next int) time.Time {
	earned := time.Duration(float64(p.n+int64(next)) / float64(p.limits.Pace) * float64(time.Second))
	return time.Now().Add(p.limits.Body + earned - p.waited)
}

func (p *pace) count(n int, since time.Time) {
	p.n += int64(n)
	p.waited += time.Since(since)
}

// pacedBody reads the body of a stream.
type pacedBody struct {
	pace
	r io.Reader
}

func (b *pacedBody) Read(p []byte) (int, error) {
	start := time.Now()
	if err := b.control.SetReadDeadline(b.deadline(0)); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	b.count(n, start)
	if err == io.EOF {
		// From here on a deadline would only cut short the making of the answer.
		if err := b.control.SetReadDeadline(time.Time{}); err != nil {
			return n, err
		}
	}
	return n, err
}

// pacedWriter writes a response.
type pacedWriter struct {
	pace
	w io.Writer
}

func (c *call) paced() *pacedWriter { return &pacedWriter{c.pace(), c.w} }

func (w *pacedWriter) Write(p []byte) (int, error) {
	start := time.Now()
	if err := w.control.SetWriteDeadline(w.deadline(len(p))); err != nil {
		return 0, err
	}
	n, err := w.w.Write(p)
	w.count(n, start)
	return n, err
}
