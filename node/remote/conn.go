package remote

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, heard: make(chan struct{})}, nil
}

// A conn is a connection on which an answer counts for more than a broken
// request. A node that refuses an upload may close the connection when it is
// tired of reading the rest. net/http gives a request up at the first Write that
// fails, even if the answer has arrived and waits to be read; so Write reports
// its failure only when everything that arrived was read, or the connection was
// closed by this end.
type conn struct {
	net.Conn
	once  sync.Once
	heard chan struct{} // closed when no Read gives anything any more
}

// hearingTime is how long at most a Write that failed waits. It ends the wait when
// nobody reads: there is no answer then that somebody waits for.
const hearingTime = 2 * time.Second

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.end()
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t := time.NewTimer(hearingTime)
		defer t.Stop()
		select {
		case <-c.heard:
		case <-t.C:
		}
	}
	return n, err
}

// SetWriteDeadline is what TLS calls before it takes its leave: this end is
// about to close the connection.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.end()
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) Close() error {
	c.end()
	return c.Conn.Close()
}

func (c *conn) end() { c.once.Do(func() { close(c.heard) }) }
