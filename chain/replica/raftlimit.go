package replica

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// Limits of the messages of Raft. Part of the protocol.
const (
	maxRaftMessage = 32 << 20           // bytes of a message with entries
	maxRaftRequest = maxAttested        // of another request, without the data of a snapshot
	maxRaftAnswer  = 64 << 10           // of an answer
	maxRaftString  = chain.MaxEntry     // of a string in it
	maxRaftValues  = 16*maxEntries + 64 // numbers, strings, arrays and maps in it
)

// Limits of what one member makes us hold. It has at most maxRaftConns connections to us,
// and on maxRaftLarge of them more than smallMessage that we have not answered.
const (
	maxRaftConns = 16
	maxRaftLarge = 2
	smallMessage = 1 << 20
)

// Kinds of requests of hashicorp/raft, of which the limits differ.
const (
	raftEntries  = 0
	raftSnapshot = 2
)

// cutToFit leaves to the next message the entries that do not fit into this one. Raft looks
// at c after it is sent to see which come next.
func cutToFit(c *raft.AppendEntriesRequest) {
	const names = 256 // of the fields, and the numbers, of an entry or of the message
	size := names
	for i, e := range c.Entries {
		size += names + len(e.Data) + len(e.Extensions)
		if size > maxRaftMessage && i > 0 {
			c.Entries = c.Entries[:i]
			return
		}
	}
}

func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	cutToFit(args)
	return p.AppendPipeline.AppendEntries(args, resp)
}

// raftStream goes along with the messages of one direction of a connection, before they
// are decoded, and lets through only what has the shape of those that hashicorp/raft
// sends. Its decoder knows no limits: it takes the memory for a time as a message promises
// it, a hundred bytes for an entry of one, and that for a string in ever larger copies.
// Where a message of another shape ends would be for the decoder to say, and one could
// be hidden in another. The zero value is for requests.
type raftStream struct {
	answers bool

	kind   byte   // of the request
	size   int    // of the message so far
	values int    // in it so far, and promised
	depth  level  // where the next value is
	left   [4]int // values still to begin, by level; all 0 between messages

	first byte   // of the value that has begun
	form  form   // of it
	skip  int    // bytes still to come of it
	isKey bool   // it is the name of a field
	word  []byte // its bytes, if it is a name or a number
	name  string // of the field in the message

	behind int64 // bytes of a snapshot that come behind the message
	data   int64 // of these, still to come
}

// level is a place in a message: a request is a map, and so is an answer, behind a string
// that is an error; in a request there may be an array of entries, which are maps.
type level int

const (
	atTop level = iota
	inMessage
	inEntries
	inEntry
)

func (s *raftStream) open() bool { return s.left != [4]int{} || s.form.length > 0 || s.skip > 0 }

// pass goes over the next bytes. After an error there must be no other call, and what was
// read with them must not reach the decoder.
func (s *raftStream) pass(b []byte) error {
	for len(b) > 0 {
		n := 1
		switch {
		case s.data > 0:
			n = int(min(int64(len(b)), s.data))
			s.data -= int64(n)
			b = b[n:]
			continue
		case s.skip > 0:
			n = min(len(b), s.skip)
			s.skip -= n
			if s.isKey || s.first >= 0xcc && s.first <= 0xd3 {
				s.word = append(s.word, b[:n]...)
			}
		case !s.open() && s.answers:
			*s = raftStream{answers: true, left: [4]int{2}, values: 2}
			continue
		case !s.open():
			*s = raftStream{kind: b[0], left: [4]int{1}, values: 1}
			b = b[1:]
			continue
		default:
			if err := s.next(b[0]); err != nil {
				return err
			}
		}
		if s.size += n; s.size+s.skip > s.limit() {
			return fmt.Errorf("message of more than %d bytes", s.limit())
		}
		b = b[n:]
		if s.form.length > 0 || s.skip > 0 {
			continue
		}
		if err := s.ends(); err != nil {
			return err
		}
	}
	return nil
}

func (s *raftStream) limit() int {
	switch {
	case s.answers:
		return maxRaftAnswer
	case s.kind == raftEntries:
		return maxRaftMessage
	}
	return maxRaftRequest
}

// next takes the first byte of a value, or one of its length.
func (s *raftStream) next(c byte) error {
	if s.form.length == 0 {
		var ok bool
		s.isKey = (s.depth == inMessage || s.depth == inEntry) && s.left[s.depth]%2 == 0
		if s.form, ok = formOf(c); !ok || !s.mayBegin(c) {
			return fmt.Errorf("value of type %#x out of place", c)
		}
		s.first, s.word = c, s.word[:0]
		s.left[s.depth]--
	} else {
		s.form.n = s.form.n<<8 | uint64(c)
		s.form.length--
	}
	switch f := s.form; {
	case f.length > 0:
		return nil
	case f.per == 0 && f.n > maxRaftString:
		return fmt.Errorf("string of %d bytes", f.n)
	case f.per == 0:
		s.skip = int(f.n)
	case f.n > maxRaftValues || s.values+int(f.n)*f.per > maxRaftValues:
		return fmt.Errorf("message of more than %d values", maxRaftValues)
	default:
		s.depth++
		s.left[s.depth] = int(f.n) * f.per
		s.values += int(f.n) * f.per
	}
	return nil
}

// mayBegin reports whether a value that begins with c has its place here.
func (s *raftStream) mayBegin(c byte) bool {
	scalar, isMap, isNil := s.form.per == 0, s.form.per == 2, c == 0xc0
	switch {
	case s.isKey:
		return c >= 0xa0 && c <= 0xbf
	case s.depth == atTop && s.answers && s.left[atTop] == 2:
		return scalar
	case s.depth == atTop:
		return isMap || isNil && s.answers
	case s.depth == inEntries:
		return isMap || isNil
	case s.depth == inMessage && s.form.per == 1:
		return !s.answers && s.kind == raftEntries && s.name == "Entries"
	}
	return scalar
}

// ends takes note that a value is over, or a map or an array has begun, which may be empty.
func (s *raftStream) ends() error {
	switch {
	case s.depth != inMessage || s.form.per > 0:
	case s.isKey:
		s.name = string(s.word)
	case !s.answers && s.kind == raftSnapshot && s.name == "Size":
		var err error
		if s.behind, err = sizeOf(s.first, s.word); err != nil {
			return err
		}
	}
	for s.depth > atTop && s.left[s.depth] == 0 {
		s.depth--
	}
	if s.left[atTop] == 0 && s.depth == atTop {
		s.data = s.behind
	}
	return nil
}

// sizeOf returns the number that begins with c, if it is one that counts bytes.
func sizeOf(c byte, rest []byte) (int64, error) {
	if c < 0x80 {
		return int64(c), nil
	}
	var n uint64
	for _, b := range rest {
		n = n<<8 | uint64(b)
	}
	if c < 0xcc || c > 0xd3 || c >= 0xd0 && rest[0] >= 0x80 || n > math.MaxInt64 {
		return 0, errors.New("malformed size of a snapshot")
	}
	return int64(n), nil
}

// form says how a value of MessagePack goes on after its first byte.
type form struct {
	length int    // bytes that say n; 0 if n is known
	n      uint64 // what comes then: bytes, values or pairs of values
	per    int    // values that make one of these, 0 for bytes
}

// formOf returns the form of a value by its first byte, and false for extensions and what
// means nothing. The only time that is sent is a string.
func formOf(c byte) (form, bool) {
	switch {
	case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // small numbers, nil, false, true
		return form{}, true
	case c < 0x90:
		return form{n: uint64(c & 0xf), per: 2}, true
	case c < 0xa0:
		return form{n: uint64(c & 0xf), per: 1}, true
	case c < 0xc0:
		return form{n: uint64(c & 0x1f)}, true
	case c >= 0xc4 && c <= 0xc6: // bytes
		return form{length: 1 << (c - 0xc4)}, true
	case c == 0xca, c == 0xcb: // fractions
		return form{n: 4 << (c - 0xca)}, true
	case c >= 0xcc && c <= 0xcf:
		return form{n: 1 << (c - 0xcc)}, true
	case c >= 0xd0 && c <= 0xd3:
		return form{n: 1 << (c - 0xd0)}, true
	case c >= 0xd9 && c <= 0xdb: // strings
		return form{length: 1 << (c - 0xd9)}, true
	case c == 0xdc, c == 0xdd: // arrays
		return form{length: 2 << (c - 0xdc), per: 1}, true
	case c == 0xde, c == 0xdf: // maps
		return form{length: 2 << (c - 0xde), per: 2}, true
	}
	return form{}, false
}

var errConns = errors.New("too many connections")

// track remembers an open connection so that Close can end it. One that a member opens
// beyond its number is refused, and its oldest ends, which may be a forgotten one: it
// can try again.
func (p *raftPeer) track(conn net.Conn, accepted bool) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		conn.Close()
		return nil, net.ErrClosed
	}
	c := &trackedConn{Conn: conn, peer: p, in: raftStream{answers: !accepted}, ended: make(chan struct{})}
	if accepted {
		if len(p.accepted) >= maxRaftConns {
			for _, old := range p.accepted {
				if old.gone.CompareAndSwap(false, true) {
					p.t.wg.Go(func() { _ = old.end() })
					break
				}
			}
			select {
			case p.crowded <- struct{}{}:
			default:
			}
			conn.Close()
			return nil, errConns
		}
		p.accepted = append(p.accepted, c)
	}
	p.conns[c] = struct{}{}
	return c, nil
}

// relieve refuses the oldest message that waits for its turn when a member has too many
// connections. Raft may be busy for hours, with a snapshot whose blocks are fetched. A
// leader sends it again and again meanwhile; who serves a connection that it gave up would
// not notice, and there would be none left for heartbeats.
func (t *raftTransport) relieve(p *raftPeer) {
	for {
		select {
		case <-p.crowded:
		case <-t.done:
			return
		}
		select {
		case rpc := <-p.inner.Consumer():
			refuse(rpc, errConns)
		default:
		}
	}
}

// trackedConn is a connection of a raftPeer. What is read from it keeps to the limits.
type trackedConn struct {
	net.Conn
	peer *raftPeer
	in   raftStream // owned by who reads

	unanswered atomic.Int64 // bytes of requests
	large      atomic.Bool  // holds one of peer.large
	gone       atomic.Bool  // chosen to be ended for another
	ended      chan struct{}
	once       sync.Once
}

func (c *trackedConn) Read(b []byte) (int, error) {
	if !c.in.answers && c.unanswered.Load() > smallMessage && !c.large.Load() {
		select {
		case c.peer.large <- struct{}{}:
			c.large.Store(true)
		case <-c.ended:
			return 0, net.ErrClosed
		}
	}
	n, err := c.Conn.Read(b)
	if !c.in.answers {
		c.unanswered.Add(int64(n))
	}
	if bad := c.in.pass(b[:n]); bad != nil {
		if c.peer.t.refused != nil {
			c.peer.t.refused(c.peer.member, bad)
		}
		_ = c.end()
		return 0, bad
	}
	return n, err
}

// Write sends a request, or the answer to the one before: one at a time is read, judged
// and answered.
func (c *trackedConn) Write(b []byte) (int, error) {
	c.settle()
	return c.Conn.Write(b)
}

func (c *trackedConn) settle() {
	c.unanswered.Store(0)
	if c.large.Swap(false) {
		<-c.peer.large
	}
}

// end ends the connection. It counts until the one who serves it closes it: till then the
// message that came by it is held.
func (c *trackedConn) end() error {
	c.once.Do(func() { close(c.ended) })
	return c.Conn.Close()
}

func (c *trackedConn) Close() error {
	p := c.peer
	p.mu.Lock()
	delete(p.conns, c)
	p.accepted = slices.DeleteFunc(p.accepted, func(a *trackedConn) bool { return a == c })
	p.mu.Unlock()
	err := c.end()
	c.settle()
	return err
}

// refusedMessage counts a message that no honest member sends, or that is beyond the limits.
func (r *Replica) refusedMessage(from string, err error) {
	r.refused.Add(1)
	r.log.Warn("refused a Raft message", "from", from, "error", err)
}
