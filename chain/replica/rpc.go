package replica

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
)

// The peer protocol is request and answer on one connection, one at a time.
// A request is a 4-byte length, a kind and a body; an answer is a 4-byte length,
// a status and a body. Lengths are big endian and cover what follows them.
// Bodies are deterministic CBOR (chain.Marshal).
//
// Kinds are part of the protocol: only add at the end.
const (
	rpcSubmit     byte = iota + 1 // propose transactions; leader only
	rpcCosign                     // deliver cosignatures
	rpcBarrier                    // linearization point; leader only
	rpcStatus                     // how far the peer is
	rpcBlocks                     // fetch blocks
	_                             // was reserved for states and never served
	rpcCheckpoint                 // fetch the newest certified checkpoint
	rpcAttest                     // sign where a block stands in the Raft log
	rpcSigned                     // show the newest signature of the asking member
	rpcChanges                    // fetch the changes of the consortium
	rpcHeads                      // show the newest certified and the newest signed tree head
	rpcHeaders                    // fetch headers
)

// Statuses of an answer. Part of the protocol: only add at the end.
const (
	statusOK byte = iota
	statusFailed
	statusNotLeader
	statusBusy
	statusReadOnly
	statusHalted
)

const (
	maxFrame     = 32 << 20
	maxIdleConns = 4
)

// remoteError is a failure that a peer reported about itself.
type remoteError struct {
	member string
	text   string
}

func (e *remoteError) Error() string { return fmt.Sprintf("%s: %s", e.member, e.text) }

// rpcHandler answers one request of a member.
type rpcHandler func(ctx context.Context, from string, kind byte, body []byte) (any, error)

// peerNet calls the other members and serves their calls.
type peerNet struct {
	net     Network
	handler rpcHandler
	log     *slog.Logger

	ctx    context.Context // ends when the peerNet is closed; calls are derived from it
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	idle  map[string][]net.Conn // guarded by mu; by member
	conns map[net.Conn]struct{} // guarded by mu; accepted or in use; nil when closed
}

func newPeerNet(network Network, handler rpcHandler, log *slog.Logger) *peerNet {
	ctx, cancel := context.WithCancel(context.Background())
	return &peerNet{
		net:     network,
		handler: handler,
		log:     log,
		ctx:     ctx,
		cancel:  cancel,
		idle:    map[string][]net.Conn{},
		conns:   map[net.Conn]struct{}{},
	}
}

// call sends req to member and decodes the answer into resp, if it is not nil.
func (p *peerNet) call(ctx context.Context, member string, kind byte, req, resp any) error {
	body, err := chain.Marshal(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", member, err)
	}
	status, answer, err := p.exchange(ctx, member, kind, body)
	if err != nil {
		return fmt.Errorf("call %s: %w", member, err)
	}
	if err := errorOf(status, member, answer); err != nil {
		return err
	}
	if resp == nil {
		return nil
	}
	if err := chain.Unmarshal(answer, resp); err != nil {
		return fmt.Errorf("answer of %s: %w", member, err)
	}
	return nil
}

// exchange does one request. A connection that was idle may have been closed by
// the peer; then one more is tried.
func (p *peerNet) exchange(ctx context.Context, member string, kind byte, body []byte) (byte, []byte, error) {
	for {
		conn, reused, err := p.take(ctx, member)
		if err != nil {
			return 0, nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		err = writeFrame(conn, kind, body)
		var status byte
		var answer []byte
		if err == nil {
			status, answer, err = readFrame(conn)
		}
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err == nil {
			p.release(member, conn)
			return status, answer, nil
		}
		p.drop(conn)
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		if !reused {
			return 0, nil, err
		}
	}
}

// take returns an idle connection to member or a new one.
func (p *peerNet) take(ctx context.Context, member string) (conn net.Conn, reused bool, err error) {
	p.mu.Lock()
	if p.conns == nil {
		p.mu.Unlock()
		return nil, false, net.ErrClosed
	}
	if idle := p.idle[member]; len(idle) > 0 {
		conn = idle[len(idle)-1]
		p.idle[member] = idle[:len(idle)-1]
		p.mu.Unlock()
		return conn, true, nil
	}
	p.mu.Unlock()
	conn, err = p.net.Dial(ctx, member, LanePeer)
	if err != nil {
		return nil, false, err
	}
	return conn, false, p.track(conn)
}

func (p *peerNet) track(conn net.Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		conn.Close()
		return net.ErrClosed
	}
	p.conns[conn] = struct{}{}
	return nil
}

func (p *peerNet) release(member string, conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns != nil && len(p.idle[member]) < maxIdleConns {
		p.idle[member] = append(p.idle[member], conn)
		return
	}
	delete(p.conns, conn)
	conn.Close()
}

func (p *peerNet) drop(conn net.Conn) {
	p.mu.Lock()
	delete(p.conns, conn)
	p.mu.Unlock()
	conn.Close()
}

// serve answers the requests on an accepted connection until it ends.
func (p *peerNet) serve(conn net.Conn, member string) {
	if p.track(conn) != nil {
		return
	}
	p.wg.Go(func() {
		defer p.drop(conn)
		r := bufio.NewReaderSize(conn, 64<<10)
		for {
			kind, body, err := readFrame(r)
			if err != nil {
				return
			}
			status, answer := p.answer(member, kind, body)
			if err := writeFrame(conn, status, answer); err != nil {
				return
			}
		}
	})
}

func (p *peerNet) answer(member string, kind byte, body []byte) (byte, []byte) {
	resp, err := p.handler(p.ctx, member, kind, body)
	if err == nil {
		var b []byte
		if b, err = chain.Marshal(resp); err == nil {
			return statusOK, b
		}
	}
	return statusOf(err), []byte(err.Error())
}

func (p *peerNet) close() {
	p.cancel()
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	p.wg.Wait()
}

func statusOf(err error) byte {
	switch {
	case errors.Is(err, errNotLeader):
		return statusNotLeader
	case errors.Is(err, ErrOverloaded):
		return statusBusy
	case errors.Is(err, ErrReadOnly):
		return statusReadOnly
	case errors.Is(err, ErrHalted):
		return statusHalted
	}
	return statusFailed
}

func errorOf(status byte, member string, text []byte) error {
	remote := &remoteError{member: member, text: string(text)}
	switch status {
	case statusOK:
		return nil
	case statusNotLeader:
		return fmt.Errorf("%w: %w", errNotLeader, remote)
	case statusBusy:
		return fmt.Errorf("%w: %w", ErrOverloaded, remote)
	case statusReadOnly:
		return fmt.Errorf("%w: %w", ErrReadOnly, remote)
	}
	return remote
}

func writeFrame(w io.Writer, tag byte, body []byte) error {
	if len(body)+1 > maxFrame {
		return fmt.Errorf("message of %d bytes: limit is %d", len(body), maxFrame)
	}
	b := make([]byte, 0, 5+len(body))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+1))
	b = append(b, tag)
	_, err := w.Write(append(b, body...))
	return err
}

func readFrame(r io.Reader) (tag byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxFrame {
		return 0, nil, fmt.Errorf("message of %d bytes: limit is %d", n, maxFrame)
	}
	// Memory is taken as bytes arrive, not as the length promises.
	body, err = io.ReadAll(io.LimitReader(r, int64(n-1)))
	if err == nil && len(body) != int(n-1) {
		err = io.ErrUnexpectedEOF
	}
	return head[4], body, err
}
