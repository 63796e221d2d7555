package node

import (
	"context"
	"fmt"

	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/keys"
)

// DefaultWindows are the lengths of the phases of a ceremony between hospitals
// whose operators may have to start a node first.
var DefaultWindows = [4]keys.Window{{Milliseconds: 3_600_000}, {Milliseconds: 3_600_000}, {Milliseconds: 600_000}, {Milliseconds: 3_600_000}}

// OpenCeremony opens a key ceremony among the members of the consortium file in
// force and returns when it runs: the first makes the consortium's keys, later
// ones move keys and grants to the members that there are now, with fresh
// shares. If there are more grants than one ceremony moves, it is the first part
// of a hand-over, or the next one. The members' nodes do the rest.
func (n *Node) OpenCeremony(ctx context.Context, windows [4]keys.Window) (*keys.Ceremony, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	number := uint64(1)
	err = c.replica.Read(ctx, func(v *replica.View) error {
		latest, err := keys.Latest(v.Of(keys.Contract))
		if err != nil || latest == nil {
			return err
		}
		number = latest.Number
		if latest.State != keys.Preparing {
			number++
		}
		return nil
	})
	if err != nil {
		return nil, c.translate(err)
	}
	cer, err := c.openAll(ctx, keys.OpenArgs{Number: number, Windows: windows})
	if err != nil {
		return nil, fmt.Errorf("open ceremony %d: %w", number, err)
	}
	return cer, nil
}
