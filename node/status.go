package node

import (
	"context"
	"fmt"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/vault"
)

var _ api.Backend = (*Node)(nil)
var _ Peer = (*Node)(nil)

// Live implements api.Backend: nil while the process does its work. A sealed
// node does.
func (n *Node) Live() error {
	if c := n.up.Load(); c != nil {
		return c.replica.Err()
	}
	return nil
}

// Ready implements api.Backend.
func (n *Node) Ready() error {
	c, err := n.core()
	if err != nil {
		return err
	}
	if err := c.replica.Err(); err != nil {
		return c.translate(err)
	}
	s := c.replica.Status()
	switch {
	case !c.fresh.Load():
		return fmt.Errorf("catching up with the other members: %w", ward.ErrNotReady)
	case !c.announced.Load():
		return fmt.Errorf("the chain does not have the key for this member's shares yet: %w", ward.ErrNotReady)
	case s.Leader == "":
		return fmt.Errorf("no leader: %w", ward.ErrNoQuorum)
	case s.ReadOnly:
		return ward.ErrReadOnly
	case len(c.replica.Consortium().ExtractionKey) == 0:
		return fmt.Errorf("the members have not made their keys yet: %w", ward.ErrNotReady)
	}
	return nil
}

// stateNames are the names of keys.State for people.
var stateNames = map[keys.State]string{
	keys.Preparing: "preparing", keys.Running: "running", keys.Active: "active", keys.Completed: "completed", keys.Aborted: "aborted",
}

// StateOf returns the name of a ceremony's state for people: "handing over" from
// the first part of a hand-over until its last part runs, also between two parts.
func StateOf(c *keys.Ceremony, pending *keys.Handover) string {
	if c.State == keys.Handing || pending != nil && !c.Moving() {
		return "handing over"
	}
	return stateNames[c.State]
}

// Status implements api.Backend.
func (n *Node) Status() api.Status {
	st := api.Status{Member: n.cfg.Member, Chain: n.cfg.Founding.Chain, Version: n.cfg.Version}
	c := n.up.Load()
	if c == nil {
		st.Sealed = true
		return st
	}
	s := c.replica.Status()
	st.Leader, st.Height, st.Certified, st.Size, st.ReadOnly = s.Leader, s.Height, s.Certified, s.Size, s.ReadOnly
	st.Fresh = c.fresh.Load()
	st.Shares = c.vault.Count(vault.Grant)
	u := c.blobs.usage()
	st.Blobs, st.BlobBytes = u.Blobs, u.Bytes
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := c.replica.ReadLocal(ctx, func(v *replica.View) error {
		r := v.Of(keys.Contract)
		a, err := keys.Current(r)
		if err != nil {
			return err
		}
		if a != nil {
			st.Generation = a.Generation
		}
		latest, err := keys.Latest(r)
		if err != nil || latest == nil {
			return err
		}
		pending, err := keys.Pending(r)
		st.Ceremony = StateOf(latest, pending)
		return err
	})
	if err != nil {
		c.log.Debug("status", "error", err)
	}
	return st
}
