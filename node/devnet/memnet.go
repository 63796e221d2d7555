package devnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ward-health/ward/chain/replica"
)

// memNet connects the replicas of members in one process. Members can be cut off
// from the others, lanes can be cut for all. It works in real and in virtual time.
type memNet struct {
	latency func() time.Duration // of what is sent next; nil for none

	mu    sync.Mutex
	nodes map[string]*memNode   // guarded by mu; who listens now
	cut   map[string]bool       // guarded by mu; members nobody reaches
	mute  map[replica.Lane]bool // guarded by mu; lanes nobody gets through on
	conns map[*memConn]bool     // guarded by mu; open ends
}

func newMemNet(latency func() time.Duration) *memNet {
	return &memNet{
		latency: latency, nodes: map[string]*memNode{}, cut: map[string]bool{},
		mute: map[replica.Lane]bool{}, conns: map[*memConn]bool{},
	}
}

// memNode is one member's network while it runs. It implements replica.Network.
type memNode struct {
	net    *memNet
	name   string
	accept chan accepted
	done   chan struct{}
	once   sync.Once
}

type accepted struct {
	conn   net.Conn
	member string
	lane   replica.Lane
}

func (m *memNet) node(name string) *memNode {
	n := &memNode{net: m, name: name, accept: make(chan accepted, 64), done: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[name] = n
	return n
}

// isolate cuts a member off, or brings it back.
func (m *memNet) isolate(name string, cut bool) {
	m.mu.Lock()
	m.cut[name] = cut
	m.mu.Unlock()
	if cut {
		m.breakAll(func(c *memConn) bool { return c.from == name || c.to == name })
	}
}

// muteLane cuts a lane between all members, or opens it again.
func (m *memNet) muteLane(lane replica.Lane, mute bool) {
	m.mu.Lock()
	m.mute[lane] = mute
	m.mu.Unlock()
	if mute {
		m.breakAll(func(c *memConn) bool { return c.lane == lane })
	}
}

// breakAll closes the connections that match.
func (m *memNet) breakAll(match func(*memConn) bool) {
	m.mu.Lock()
	var ends []*memConn
	for c := range m.conns {
		if match(c) {
			ends = append(ends, c)
		}
	}
	m.mu.Unlock()
	for _, c := range ends {
		c.Close()
	}
}

func (m *memNet) isCut(a, b string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cut[a] || m.cut[b]
}

var errUnreachable = errors.New("unreachable")

// Dial implements replica.Network.
func (n *memNode) Dial(_ context.Context, member string, lane replica.Lane) (net.Conn, error) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	peer := n.net.nodes[member]
	if peer == nil || n.net.cut[n.name] || n.net.cut[member] || n.net.mute[lane] {
		return nil, errUnreachable
	}
	select {
	case <-peer.done:
		return nil, errUnreachable
	case <-n.done:
		return nil, net.ErrClosed
	default:
	}
	a, b := n.net.pipe(n.name, member, lane)
	select {
	case peer.accept <- accepted{b, n.name, lane}:
		return a, nil
	default:
		delete(n.net.conns, a)
		delete(n.net.conns, b)
		return nil, errUnreachable
	}
}

// Accept implements replica.Network.
func (n *memNode) Accept() (net.Conn, string, replica.Lane, error) {
	select {
	case <-n.done:
		return nil, "", "", net.ErrClosed
	default:
	}
	select {
	case a := <-n.accept:
		return a.conn, a.member, a.lane, nil
	case <-n.done:
		return nil, "", "", net.ErrClosed
	}
}

// Close implements replica.Network.
func (n *memNode) Close() error {
	n.once.Do(func() {
		close(n.done)
		n.net.mu.Lock()
		if n.net.nodes[n.name] == n {
			delete(n.net.nodes, n.name)
		}
		n.net.mu.Unlock()
		n.net.breakAll(func(c *memConn) bool { return c.from == n.name })
	})
	return nil
}

// memConn is one end of a connection: it reads what was sent to it.
type memConn struct {
	net      *memNet
	from, to string
	lane     replica.Lane
	peer     *memConn

	mu       sync.Mutex
	cond     *sync.Cond
	in       []chunk   // guarded by mu, as all below; on the way to this end
	closed   bool      // this end
	eof      bool      // the other end
	deadline time.Time // of reads
	timer    *time.Timer
}

// A chunk arrives at a time.
type chunk struct {
	at   time.Time
	data []byte
}

// pipe returns the two ends of a new connection. The caller holds mu.
func (m *memNet) pipe(from, to string, lane replica.Lane) (a, b *memConn) {
	a, b = &memConn{net: m, from: from, to: to, lane: lane}, &memConn{net: m, from: to, to: from, lane: lane}
	a.peer, b.peer = b, a
	a.cond, b.cond = sync.NewCond(&a.mu), sync.NewCond(&b.mu)
	m.conns[a], m.conns[b] = true, true
	return a, b
}

// Write implements net.Conn. It does not wait for the reader.
func (c *memConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	closed := c.closed || c.eof
	c.mu.Unlock()
	if closed {
		return 0, io.ErrClosedPipe
	}
	at := time.Now()
	if c.net.latency != nil {
		at = at.Add(c.net.latency())
	}
	d := c.peer
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.in); n > 0 && d.in[n-1].at.After(at) {
		at = d.in[n-1].at // bytes stay in order
	}
	d.in = append(d.in, chunk{at, append([]byte(nil), p...)})
	d.wakeAt(at)
	return len(p), nil
}

// wakeAt makes a reader look again at a time. The caller holds mu.
func (c *memConn) wakeAt(at time.Time) {
	wait := time.Until(at)
	if wait <= 0 {
		c.cond.Broadcast()
		return
	}
	time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cond.Broadcast()
	})
}

// Read implements net.Conn.
func (c *memConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(c.in) > 0 && !time.Now().Before(c.in[0].at):
			n := copy(p, c.in[0].data)
			if c.in[0].data = c.in[0].data[n:]; len(c.in[0].data) == 0 {
				c.in = c.in[1:]
			}
			return n, nil
		case c.eof && len(c.in) == 0:
			return 0, io.EOF
		}
		c.cond.Wait()
	}
}

// Close implements net.Conn.
func (c *memConn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.cond.Broadcast()
	c.mu.Unlock()
	c.peer.mu.Lock()
	c.peer.eof = true
	c.peer.cond.Broadcast()
	c.peer.mu.Unlock()
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *memConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		c.timer = time.AfterFunc(wait, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.cond.Broadcast()
		})
	}
	c.cond.Broadcast()
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }
func (c *memConn) LocalAddr() net.Addr              { return memAddr(c.from) }
func (c *memConn) RemoteAddr() net.Addr             { return memAddr(c.to) }

type memAddr string

func (memAddr) Network() string  { return "memory" }
func (a memAddr) String() string { return string(a) }
