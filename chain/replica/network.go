package replica

import (
	"context"
	"net"
)

// Lane says what a connection between two members is for.
type Lane string

// The lanes. Part of the protocol: they are the ALPN names of connections.
const (
	LaneRaft Lane = "ward-raft/1" // Raft messages
	LanePeer Lane = "ward-peer/1" // cosignatures, forwarded transactions, blocks
)

// Network connects the members of a consortium. Both ends of a connection are
// authenticated: a Network returns it only if the far end holds the node key of
// the named member. ListenTLS is the one for production.
//
// Its methods may be called concurrently.
type Network interface {
	// Dial connects to a member.
	Dial(ctx context.Context, member string, lane Lane) (net.Conn, error)
	// Accept waits for the next connection from a member.
	Accept() (conn net.Conn, member string, lane Lane, err error)
	// Close stops the network and makes Accept return net.ErrClosed.
	Close() error
}
