package replica

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/chain"
)

// ErrNotMember means that this node is not in the consortium file in force: the others
// answer it no more, and certify no block for it but those up to the one by which it
// left.
var ErrNotMember = errors.New("this node is not a member of the consortium")

// outside reports whether the consortium is without this replica: by the file that it
// goes by, and by the one that the chain has put in force. Of a replica that has stopped
// it says no.
func (r *Replica) outside() bool {
	if r.Consortium().Member(r.opt.Member) != nil || !r.views.TryRLock() { // who calls may hold it, and Close wait for that
		return false
	}
	defer r.views.RUnlock()
	if r.Err() != nil {
		return false
	}
	now, err := r.inForce()
	return err == nil && now.Member(r.opt.Member) == nil
}

// excluded returns why tx, which was sent and may be on the chain, comes here no more:
// this replica has left, and has not executed it. Otherwise it returns nil.
func (r *Replica) excluded(tx *chain.Tx) error {
	if !r.outside() {
		return nil
	}
	if _, ok := r.executor.Lookup(tx.ID()); ok {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnknown, ErrNotMember)
}

// neverCertified reports whether the block at height is known to have come after this
// replica, which is outside, left.
func (r *Replica) neverCertified(height uint64) bool {
	k := r.certs.certifiers(height)
	return k != nil && k.Member(r.opt.Member) == nil
}

// answers reports whether a request of one who left is answered. The blocks up to the
// change it certifies with the others: it hands its signatures in, and is shown the
// certificate until there is one of a block after them.
func (c *certifier) answers(member string, kind byte) bool {
	switch kind {
	case rpcCosign:
		return c.awaits(member)
	case rpcCheckpoint:
		if cp := c.checkpoint(); cp != nil {
			k := c.certifiers(cp.Height)
			return k != nil && k.Member(member) != nil
		}
	}
	return false
}

// leaving returns who certifies a block and has left since: it is not in now.
func (c *certifier) leaving(height uint64, now *chain.Consortium) (names []string) {
	k := c.certifiers(height)
	if k == nil || k.Epoch == now.Epoch {
		return nil
	}
	for _, m := range k.Members {
		if m.Name != c.self && now.Member(m.Name) == nil {
			names = append(names, m.Name)
		}
	}
	return names
}
