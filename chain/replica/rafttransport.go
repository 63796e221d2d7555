package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// maxTermJump bounds how far ahead of ours a peer's term may be. Without it one
// message could exhaust the term counter.
const maxTermJump = 1 << 32

// raftTransport carries Raft messages between members.
//
// hashicorp/raft's network transport does not tell from which connection a
// message came, so there is one per peer, fed only with connections that the
// Network authenticated as that peer. A message is handed to Raft only if the
// member named in its header is the one at the far end, and if guard agrees.
type raftTransport struct {
	self    string
	net     Network
	guard   func(from string, command any) error
	refused func(from string, err error) // nil, or told of what is beyond the limits
	mayVote func() bool
	log     hclog.Logger
	timeout time.Duration

	consumer  chan raft.RPC
	turn      chan struct{} // holds a token while a message is judged and Raft has it
	heartbeat atomic.Pointer[func(raft.RPC)]
	done      chan struct{}
	wg        sync.WaitGroup

	mu     sync.Mutex
	peers  map[string]*raftPeer // guarded by mu
	closed bool                 // guarded by mu

	pipelines map[*pipeline]struct{} // guarded by mu; open ones
}

func newRaftTransport(self string, network Network, timeout time.Duration, log hclog.Logger) *raftTransport {
	return &raftTransport{
		self:     self,
		net:      network,
		log:      log,
		timeout:  timeout,
		consumer: make(chan raft.RPC),
		turn:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		peers:    map[string]*raftPeer{},

		pipelines: map[*pipeline]struct{}{},
	}
}

// raftPeer is the lane to one member. It is the raft.StreamLayer of its transport.
type raftPeer struct {
	t      *raftTransport
	member string
	inner  *raft.NetworkTransport
	accept chan net.Conn
	done   chan struct{}
	once   sync.Once

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu; open connections, nil when closed

	accepted []*trackedConn // guarded by mu; of conns and those that ended but are still served, oldest first
	large    chan struct{}  // holds a token for each connection with a large message
	crowded  chan struct{}  // holds a token when a connection was refused
}

func (t *raftTransport) peer(member string) (*raftPeer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, raft.ErrTransportShutdown
	}
	if p := t.peers[member]; p != nil {
		return p, nil
	}
	p := &raftPeer{
		t:      t,
		member: member,
		accept: make(chan net.Conn),
		done:   make(chan struct{}),
		conns:  map[net.Conn]struct{}{},
		large:  make(chan struct{}, maxRaftLarge),

		crowded: make(chan struct{}, 1),
	}
	p.inner = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:          p,
		MaxPool:         3,
		MaxRPCsInFlight: 2,
		Timeout:         t.timeout,
		Logger:          t.log,
	})
	p.inner.SetHeartbeatHandler(func(rpc raft.RPC) {
		if fn := t.heartbeat.Load(); fn == nil {
			refuse(rpc, errors.New("not ready"))
		} else if err := t.vet(member, rpc); err != nil {
			refuse(rpc, err)
		} else {
			(*fn)(rpc)
		}
	})
	t.peers[member] = p
	t.wg.Go(func() { t.pump(p) })
	t.wg.Go(func() { t.relieve(p) })
	return p, nil
}

// pump hands one peer's messages to Raft, in turn with those of the others.
func (t *raftTransport) pump(p *raftPeer) {
	for {
		select {
		case rpc := <-p.inner.Consumer():
			err := receive(&rpc)
			if err == nil {
				select {
				case t.turn <- struct{}{}:
					err = t.hand(p.member, rpc)
					<-t.turn
				case <-t.done:
					err = raft.ErrTransportShutdown
				}
			}
			if err != nil {
				refuse(rpc, err)
			}
		case <-t.done:
			return
		}
	}
}

// receive waits for the data of a snapshot, as far as it may be as long. Who sends it may
// be slow, or never send it: neither Raft nor the messages of others wait for that.
func receive(rpc *raft.RPC) error {
	if rpc.Reader == nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(rpc.Reader, maxAttested))
	rpc.Reader = io.MultiReader(bytes.NewReader(data), rpc.Reader)
	return err
}

// hand gives a message to Raft if it is one we may obey, and the answer to who sent it.
// When it returns Raft has done what the message says: the log by which one is judged is
// the log that Raft meets. With an error Raft does not have the message, and the caller
// answers.
func (t *raftTransport) hand(from string, rpc raft.RPC) error {
	if err := t.vet(from, rpc); err != nil {
		return err
	}
	answer := make(chan raft.RPCResponse, 1)
	judged := rpc
	judged.RespChan = answer
	select {
	case t.consumer <- judged:
	case <-t.done:
		return raft.ErrTransportShutdown
	}
	select {
	case a := <-answer:
		rpc.RespChan <- a
	case <-t.done: // so are the connections
	}
	return nil
}

// vet checks that a message is from who it says and is one we may obey.
func (t *raftTransport) vet(from string, rpc raft.RPC) error {
	h, ok := rpc.Command.(raft.WithRPCHeader)
	if !ok {
		return errors.New("message without header")
	}
	header := h.GetRPCHeader()
	if string(header.ID) != from || string(header.Addr) != from {
		return fmt.Errorf("message from %s says it is from %q", from, header.ID)
	}
	switch rpc.Command.(type) {
	case *raft.RequestVoteRequest, *raft.RequestPreVoteRequest, *raft.TimeoutNowRequest:
		if t.mayVote != nil && !t.mayVote() {
			return errRecovering
		}
	}
	if t.guard == nil {
		return nil
	}
	return t.guard(from, rpc.Command)
}

// refuse answers with an empty response of the right type, which Raft's callers
// dereference, and the error.
func refuse(rpc raft.RPC, err error) {
	var resp any
	var answered *answeredError
	if errors.As(err, &answered) {
		rpc.Respond(answered.answer, nil)
		return
	}
	switch rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		resp = &raft.AppendEntriesResponse{}
	case *raft.RequestVoteRequest:
		resp = &raft.RequestVoteResponse{}
	case *raft.RequestPreVoteRequest:
		resp = &raft.RequestPreVoteResponse{}
	case *raft.InstallSnapshotRequest:
		resp = &raft.InstallSnapshotResponse{}
	default:
		resp = &raft.TimeoutNowResponse{}
	}
	if rpc.Reader != nil {
		_, _ = io.Copy(io.Discard, rpc.Reader)
	}
	rpc.Respond(resp, err)
}

// serve takes an accepted connection of LaneRaft.
func (t *raftTransport) serve(conn net.Conn, member string) {
	p, err := t.peer(member)
	if err != nil {
		conn.Close()
		return
	}
	select {
	case p.accept <- conn:
	case <-p.done:
		conn.Close()
	}
}

func (t *raftTransport) Consumer() <-chan raft.RPC     { return t.consumer }
func (t *raftTransport) LocalAddr() raft.ServerAddress { return raft.ServerAddress(t.self) }

func (t *raftTransport) SetHeartbeatHandler(fn func(raft.RPC)) { t.heartbeat.Store(&fn) }

func (t *raftTransport) EncodePeer(_ raft.ServerID, addr raft.ServerAddress) []byte {
	return []byte(addr)
}
func (t *raftTransport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

func (t *raftTransport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.peer(string(id))
	if err != nil {
		return nil, err
	}
	inner, err := p.inner.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return t.newPipeline(inner)
}

// pipeline takes the answers out of hashicorp/raft's network pipeline at all
// times. Raft may stop reading them, after an answer with a newer term, while its
// sender waits for room that only reading makes: then neither ever ends.
type pipeline struct {
	raft.AppendPipeline
	t    *raftTransport
	out  chan raft.AppendFuture
	done chan struct{}
	once sync.Once
}

const pipelineBuffer = 128

func (t *raftTransport) newPipeline(inner raft.AppendPipeline) (*pipeline, error) {
	p := &pipeline{AppendPipeline: inner, t: t, out: make(chan raft.AppendFuture, pipelineBuffer), done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errors.Join(raft.ErrTransportShutdown, inner.Close())
	}
	t.pipelines[p] = struct{}{}
	t.wg.Go(p.run)
	return p, nil
}

func (p *pipeline) run() {
	for {
		select {
		case f := <-p.AppendPipeline.Consumer():
			select {
			case p.out <- f:
			case <-p.done:
				return
			}
		case <-p.done:
			return
		}
	}
}

func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.out }

func (p *pipeline) Close() error {
	p.once.Do(func() {
		close(p.done)
		p.t.mu.Lock()
		delete(p.t.pipelines, p)
		p.t.mu.Unlock()
	})
	return p.AppendPipeline.Close()
}

func (t *raftTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	p, err := t.peer(string(id))
	if err != nil {
		return err
	}
	cutToFit(args)
	return p.inner.AppendEntries(id, target, args, resp)
}

func (t *raftTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	p, err := t.candidate(id)
	if err != nil {
		return err
	}
	return p.inner.RequestVote(id, target, args, resp)
}

func (t *raftTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	p, err := t.candidate(id)
	if err != nil {
		return err
	}
	return p.inner.RequestPreVote(id, target, args, resp)
}

// candidate returns the peer to ask for a vote, unless this replica lost part of
// its log and must not be elected either.
func (t *raftTransport) candidate(id raft.ServerID) (*raftPeer, error) {
	if t.mayVote != nil && !t.mayVote() {
		return nil, errRecovering
	}
	return t.peer(string(id))
}

func (t *raftTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	p, err := t.peer(string(id))
	if err != nil {
		return err
	}
	return p.inner.InstallSnapshot(id, target, args, resp, data)
}

func (t *raftTransport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	p, err := t.peer(string(id))
	if err != nil {
		return err
	}
	return p.inner.TimeoutNow(id, target, args, resp)
}

// Close stops every lane and waits for the goroutines of this transport.
func (t *raftTransport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	peers := t.peers
	pipelines := slices.Collect(maps.Keys(t.pipelines))
	t.mu.Unlock()
	close(t.done)
	for _, p := range pipelines {
		_ = p.Close() // its connection is closed below in any case
	}
	for _, p := range peers {
		p.inner.CloseStreams()
		p.inner.Close()
	}
	t.wg.Wait()
	return nil
}

func (p *raftPeer) Accept() (net.Conn, error) {
	for {
		select {
		case conn := <-p.accept:
			c, err := p.track(conn, true)
			if errors.Is(err, errConns) {
				p.t.log.Warn("refused a connection", "from", p.member, "error", err)
				continue
			}
			return c, err
		case <-p.done:
			return nil, net.ErrClosed
		}
	}
}

func (p *raftPeer) Dial(_ raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := p.t.net.Dial(ctx, p.member, LaneRaft)
	if err != nil {
		return nil, err
	}
	return p.track(conn, false)
}

func (p *raftPeer) Close() error {
	p.once.Do(func() { close(p.done) })
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	return nil
}

func (p *raftPeer) Addr() net.Addr { return memberAddr(p.t.self) }

type memberAddr string

func (a memberAddr) Network() string { return "ward" }
func (a memberAddr) String() string  { return string(a) }
