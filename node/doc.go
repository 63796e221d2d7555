// Package node is a member's node: the daemon as a library.
//
// A node keeps its replica of the chain, its shares of the consortium's keys and
// of grants, and its copies of sealed payloads. It takes part in key ceremonies,
// accepts shares of new grants, and erases those of grants that ended. It
// releases a partial key or a fragment only in answer to a transaction that is
// covered by a checkpoint which it verified itself, at a moment when the state
// still allows it: see release.go, where these rules are.
//
// It starts sealed: node key and shares are encrypted on disk until Unlock. And
// a node that starts serves nothing until it has caught up with what t_c members
// vouch for, so that one restored from an old copy does not answer for grants
// that were revoked since.
//
// Init makes a node's directory, Open opens it, Run works until it is told to
// stop. A *Node implements api.Backend, which node/api serves over HTTPS, and
// Peer, so that nodes in one process can ask each other.
package node
