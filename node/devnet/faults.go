package devnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/node"
)

// Stop stops a member's node, as when its machine is switched off in order.
func (d *Devnet) Stop(i int) error {
	m := d.at(i)
	d.mu.Lock()
	n, cancel, ended := m.node, m.cancel, m.ended
	m.node = nil
	d.mu.Unlock()
	if n == nil {
		return nil
	}
	cancel()
	return errors.Join(<-ended, n.Close())
}

// Restart starts a stopped member's node and returns when it serves, or at once
// if too few others run for that.
func (d *Devnet) Restart(ctx context.Context, i int) error {
	return d.start(ctx, d.at(i), nil)
}

// Isolate cuts a member's node off from the others, or brings it back. It needs a
// devnet without HTTP.
func (d *Devnet) Isolate(i int, cut bool) { d.net.isolate(d.Name(i), cut) }

// Silence keeps a member's node and the others from asking each other for
// anything, while their replicas go on, or ends that. It needs a devnet without
// HTTP.
func (d *Devnet) Silence(i int, silent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent[d.members[i].name] = silent
}

// MuteLane cuts one lane between all replicas, or opens it again. Without the
// peer lane, what Raft commits is executed and never certified. It needs a devnet
// without HTTP.
func (d *Devnet) MuteLane(lane replica.Lane, mute bool) { d.net.muteLane(lane, mute) }

// Close stops all nodes.
func (d *Devnet) Close() error {
	errs := make([]error, d.Len())
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = d.Stop(i) })
	}
	wg.Wait()
	if d.temp {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

// peers finds the other nodes in this process.
type peers struct {
	d    *Devnet
	self string
}

// Peer implements node.Peers.
func (p *peers) Peer(name string) (node.Peer, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	for _, m := range p.d.members {
		if m.name != name {
			continue
		}
		if m.node == nil || p.d.silent[name] || p.d.silent[p.self] || p.d.net.isCut(name, p.self) {
			return nil, fmt.Errorf("%s: %w", name, ward.ErrUnavailable)
		}
		return m.node, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ward.ErrNotFound)
}

// Close implements node.Peers.
func (p *peers) Close() error { return nil }
