package replica

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// simNet connects simulated members with connections that can be delayed, cut in
// one or both directions, and reset. It works in real and in virtual time.
type simNet struct {
	mu    sync.Mutex
	nodes map[string]*simNode
	cut   map[[2]string]*atomic.Bool  // [from, to]: bytes do not arrive
	delay map[[2]string]time.Duration // on top of base
	base  time.Duration
	conns map[*simConn]struct{}
}

func newSimNet(base time.Duration) *simNet {
	return &simNet{
		nodes: map[string]*simNode{}, cut: map[[2]string]*atomic.Bool{},
		delay: map[[2]string]time.Duration{}, base: base, conns: map[*simConn]struct{}{},
	}
}

// simNode is one member's Network while it runs.
type simNode struct {
	net    *simNet
	name   string
	accept chan acceptedConn
	done   chan struct{}
	once   sync.Once
}

func (s *simNet) node(name string) *simNode {
	n := &simNode{net: s, name: name, accept: make(chan acceptedConn, 64), done: make(chan struct{})}
	s.mu.Lock()
	s.nodes[name] = n
	s.mu.Unlock()
	return n
}

// link returns whether the direction from one member to another is cut.
func (s *simNet) link(from, to string) *atomic.Bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := [2]string{from, to}
	if s.cut[k] == nil {
		s.cut[k] = new(atomic.Bool)
	}
	return s.cut[k]
}

// setCut cuts or heals the direction from one member to another.
func (s *simNet) setCut(from, to string, cut bool) {
	s.link(from, to).Store(cut)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.mu.Lock()
		c.cond.Broadcast()
		c.mu.Unlock()
	}
}

func (s *simNet) isCut(from, to string) bool { return s.link(from, to).Load() }

func (s *simNet) setDelay(from, to string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay[[2]string{from, to}] = d
}

func (s *simNet) latency(from, to string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base + s.delay[[2]string{from, to}]
}

// reset breaks every connection between two members.
func (s *simNet) reset(a, b string) {
	s.mu.Lock()
	var broken []*simConn
	for c := range s.conns {
		if c.from == a && c.to == b || c.from == b && c.to == a {
			broken = append(broken, c)
		}
	}
	s.mu.Unlock()
	for _, c := range broken {
		c.Close()
	}
}

func (n *simNode) Dial(ctx context.Context, member string, lane Lane) (net.Conn, error) {
	s := n.net
	if s.isCut(n.name, member) || s.isCut(member, n.name) {
		timer := time.NewTimer(500 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return nil, errors.New("unreachable")
	}
	s.mu.Lock()
	peer := s.nodes[member]
	s.mu.Unlock()
	if peer == nil {
		return nil, errors.New("no such member")
	}
	a, b := newSimPipe(s, n.name, member)
	select {
	case <-peer.done:
	case <-n.done:
	default:
		select {
		case peer.accept <- acceptedConn{b, n.name, lane}:
			return a, nil
		default:
		}
	}
	a.Close()
	return nil, errors.New("connection refused")
}

func (n *simNode) Accept() (net.Conn, string, Lane, error) {
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

func (n *simNode) Close() error {
	n.once.Do(func() {
		close(n.done)
		n.net.mu.Lock()
		var mine []*simConn
		for c := range n.net.conns {
			if c.from == n.name {
				mine = append(mine, c)
			}
		}
		n.net.mu.Unlock()
		for _, c := range mine {
			c.Close()
		}
	})
	return nil
}

// unplug ends all connections of a member. It reaches nobody until it opens its
// network anew.
func (s *simNet) unplug(name string) {
	s.mu.Lock()
	n := s.nodes[name]
	s.mu.Unlock()
	if n != nil {
		n.Close()
	}
}

// simConn is one end of a connection: it reads what was sent to it.
type simConn struct {
	net      *simNet
	from, to string // this end, the other end
	peer     *simConn
	cut      *atomic.Bool // bytes to this end do not arrive

	mu       sync.Mutex
	cond     *sync.Cond
	in       []simChunk // guarded by mu; on the way to this end
	closed   bool       // guarded by mu; this end
	eof      bool       // guarded by mu; the other end
	deadline time.Time  // guarded by mu
	timer    *time.Timer
}

type simChunk struct {
	at   time.Time
	data []byte
}

func newSimPipe(s *simNet, from, to string) (a, b *simConn) {
	a = &simConn{net: s, from: from, to: to, cut: s.link(to, from)}
	b = &simConn{net: s, from: to, to: from, peer: a, cut: s.link(from, to)}
	a.peer = b
	a.cond, b.cond = sync.NewCond(&a.mu), sync.NewCond(&b.mu)
	s.mu.Lock()
	s.conns[a], s.conns[b] = struct{}{}, struct{}{}
	s.mu.Unlock()
	return a, b
}

func (c *simConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	closed := c.closed || c.eof
	c.mu.Unlock()
	if closed {
		return 0, io.ErrClosedPipe
	}
	at := time.Now().Add(c.net.latency(c.from, c.to))
	d := c.peer
	d.mu.Lock()
	if n := len(d.in); n > 0 && d.in[n-1].at.After(at) {
		at = d.in[n-1].at // bytes stay in order
	}
	d.in = append(d.in, simChunk{at, append([]byte(nil), p...)})
	d.wakeAt(at)
	d.mu.Unlock()
	return len(p), nil
}

// wakeAt makes a reader look again at a time. The caller holds mu.
func (c *simConn) wakeAt(at time.Time) {
	wait := time.Until(at)
	if wait <= 0 {
		c.cond.Broadcast()
		return
	}
	time.AfterFunc(wait, func() {
		c.mu.Lock()
		c.cond.Broadcast()
		c.mu.Unlock()
	})
}

func (c *simConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.closed {
			return 0, net.ErrClosed
		}
		if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		if len(c.in) > 0 && !time.Now().Before(c.in[0].at) {
			if !c.cut.Load() {
				n := copy(p, c.in[0].data)
				if c.in[0].data = c.in[0].data[n:]; len(c.in[0].data) == 0 {
					c.in = c.in[1:]
				}
				return n, nil
			}
		} else if c.eof && len(c.in) == 0 {
			return 0, io.EOF
		}
		c.cond.Wait()
	}
}

func (c *simConn) Close() error {
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

func (c *simConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if !t.IsZero() {
		if wait := time.Until(t); wait > 0 {
			c.timer = time.AfterFunc(wait, func() {
				c.mu.Lock()
				c.cond.Broadcast()
				c.mu.Unlock()
			})
		} else {
			c.cond.Broadcast()
		}
	}
	return nil
}

func (c *simConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *simConn) SetWriteDeadline(time.Time) error { return nil }
func (c *simConn) LocalAddr() net.Addr              { return memberAddr(c.from) }
func (c *simConn) RemoteAddr() net.Addr             { return memberAddr(c.to) }
