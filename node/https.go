package node

import (
	"errors"
	"fmt"
	"sync"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/node/remote"
)

// httpsPeers speaks to the other members' nodes at the URLs in the consortium
// file.
type httpsPeers struct {
	self Self

	mu    sync.Mutex
	nodes map[string]*httpsPeer // guarded by mu
}

type httpsPeer struct {
	*remote.Node
	listed chain.Member // as the file had it
}

func newHTTPSPeers(self Self) (Peers, error) {
	return &httpsPeers{self: self, nodes: map[string]*httpsPeer{}}, nil
}

// Peer implements Peers.
func (p *httpsPeers) Peer(member string) (Peer, error) {
	k := p.self.Consortium()
	m := k.Member(member)
	if m == nil {
		return nil, fmt.Errorf("%s: %w", member, ward.ErrNotFound)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	have := p.nodes[member]
	if have != nil && have.listed == *m {
		return have, nil
	}
	n, err := remote.New("", remote.Options{Consortium: k, Member: member, Signer: p.self.Key})
	if err != nil {
		return nil, err
	}
	if have != nil {
		have.Close() // its URL or its key changed; requests under way go on
	}
	p.nodes[member] = &httpsPeer{n, *m}
	return p.nodes[member], nil
}

// Close implements Peers.
func (p *httpsPeers) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, n := range p.nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}
