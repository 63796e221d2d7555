package devnet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/node"
)

// Refresh holds a key ceremony among the members that there are and returns when
// all running nodes have their new shares.
func (d *Devnet) Refresh(ctx context.Context) error {
	list := d.running()
	if len(list) == 0 {
		return errors.New("no member runs")
	}
	c, err := d.open(ctx, list)
	if err != nil {
		return err
	}
	return d.Wait(ctx, func() bool {
		for _, m := range d.running() {
			if s := m.node.Status(); !slices.Contains(c.Roster, m.name) {
				continue
			} else if s.Ceremony != "completed" || s.Generation < uint32(c.Number) {
				return false
			}
		}
		return true
	})
}

// open opens a ceremony through the first member of the consortium that runs.
func (d *Devnet) open(ctx context.Context, list []*member) (*keys.Ceremony, error) {
	k := d.Consortium()
	for _, m := range list {
		if k.Member(m.name) != nil {
			return m.node.OpenCeremony(ctx, Windows)
		}
	}
	return nil, errors.New("no member runs")
}

// Change puts another consortium file in force: every running member's operator
// approves what change makes of the next file, one proposes it.
func (d *Devnet) Change(ctx context.Context, change func(*chain.Consortium)) error {
	next, err := node.NextFile(d.Consortium())
	if err != nil {
		return err
	}
	change(next)
	slices.SortFunc(next.Members, func(a, b chain.Member) int { return strings.Compare(a.Name, b.Name) })
	data, err := next.Bytes()
	if err != nil {
		return err
	}
	list := d.running()
	for _, m := range list {
		if err := m.node.Approve(sha256.Sum256(data)); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return errors.New("no member runs")
	}
	_, err = list[0].node.ProposeConsortium(ctx, next)
	return err
}

// thresholds sets what is usual for as many members as there are.
func thresholds(k *chain.Consortium) {
	n := len(k.Members)
	k.KeyThreshold, k.CheckpointThreshold = n/2+1, (n+(n-1)/3)/2+1
}

// Join takes a new member into the consortium, starts its node, and moves keys
// and grants. It returns the member's number.
func (d *Devnet) Join(ctx context.Context, name string) (int, error) {
	card, l, err := d.newMember(name)
	if err != nil {
		return 0, err
	}
	err = d.Change(ctx, func(k *chain.Consortium) {
		k.Members = append(k.Members, card.Member)
		thresholds(k)
	})
	if err != nil {
		l.close()
		return 0, fmt.Errorf("join %s: %w", name, err)
	}
	m := &member{name: name}
	if err := d.start(ctx, m, l); err != nil {
		return 0, err
	}
	d.mu.Lock()
	d.members = append(d.members, m)
	i := len(d.members) - 1
	d.mu.Unlock()
	if err := d.Wait(ctx, func() bool { return m.node.Ready() == nil }); err != nil {
		return 0, fmt.Errorf("join %s: %w", name, err)
	}
	return i, d.Refresh(ctx)
}

// Leave takes a member out of the consortium, and moves keys and grants to the
// others. Its node goes on running, by itself.
func (d *Devnet) Leave(ctx context.Context, i int) error {
	name := d.Name(i)
	err := d.Change(ctx, func(k *chain.Consortium) {
		k.Members = slices.DeleteFunc(k.Members, func(m chain.Member) bool { return m.Name == name })
		thresholds(k)
	})
	if err != nil {
		return fmt.Errorf("leave %s: %w", name, err)
	}
	return d.Refresh(ctx)
}
