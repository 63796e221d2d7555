package ward

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/pre"
)

// collectRounds is how often all nodes are asked for parts.
const collectRounds = 4

// collect asks node after node for parts until combine is content with t of
// them. A member whose part is wrong is named in the log and left out from then
// on. Combine blames members by index in a *pre.BlameError; other errors of it
// end the matter.
func collect[T any](ctx context.Context, c *Client, d *demand, fetch func(Node, []string) ([]Part, error), open func(*Part) (*T, error), combine func([]*T) error) error {
	col := &collection[T]{demand: d, have: make(map[uint8]*T), wrong: make(map[string]bool), open: open, combine: combine}
	wait, busy := firstPause, newPatience()
	for round := 1; ; round++ {
		col.tried = nil
		for _, n := range c.nodes {
			if done, err := col.from(ctx, c, n, fetch); done {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		if again(ctx, busy, col.tried) {
			round--
			continue
		}
		var code chain.Code
		if round == collectRounds || errors.As(col.tried, &code) || pause(ctx, wait) != nil {
			return col.failed()
		}
		wait *= 2
	}
}

type collection[T any] struct {
	*demand
	have    map[uint8]*T
	wrong   map[string]bool // members
	tried   triedError      // of the nodes in this round
	open    func(*Part) (*T, error)
	combine func([]*T) error
}

// from takes parts from a node as long as they show who else is wrong.
func (col *collection[T]) from(ctx context.Context, c *Client, n Node, fetch func(Node, []string) ([]Part, error)) (done bool, err error) {
	for {
		before := len(col.wrong)
		parts, err := fetch(n, slices.Sorted(maps.Keys(col.wrong)))
		if err != nil {
			col.tried = append(col.tried, err)
			return false, nil
		}
		col.take(ctx, c, parts)
		for len(col.have) >= col.threshold {
			indices := slices.Sorted(maps.Keys(col.have))[:col.threshold]
			chosen := make([]*T, 0, len(indices))
			for _, i := range indices {
				chosen = append(chosen, col.have[i])
			}
			err := col.combine(chosen)
			var blame *pre.BlameError
			if !errors.As(err, &blame) {
				return true, err
			}
			for _, i := range blame.Members {
				col.blame(ctx, c, i)
			}
			if len(blame.Members) == 0 {
				return true, err
			}
		}
		if len(col.wrong) == before {
			return false, nil
		}
	}
}

// take opens the parts that are in order.
func (col *collection[T]) take(ctx context.Context, c *Client, parts []Part) {
	for i := range parts[:min(len(parts), maxParts)] {
		p := &parts[i]
		if err := col.check(c.Consortium(), p); err != nil {
			c.log.WarnContext(ctx, "a node handed out what is no part", "error", err)
			col.tried = append(col.tried, err)
			continue
		}
		if col.wrong[p.Member] || col.have[p.Index] != nil {
			continue
		}
		v, err := col.open(p)
		if err != nil {
			col.blame(ctx, c, p.Index) // it signed what does not open
			continue
		}
		col.have[p.Index] = v
	}
}

func (col *collection[T]) blame(ctx context.Context, c *Client, index uint8) {
	delete(col.have, index)
	if name := col.members[index-1]; !col.wrong[name] {
		col.wrong[name] = true
		c.log.WarnContext(ctx, "a member's part is wrong", "member", name, "transaction", col.tx)
	}
}

// failed says why too few parts were good.
func (col *collection[T]) failed() error {
	if len(col.wrong) > 0 {
		return &MemberError{slices.Sorted(maps.Keys(col.wrong))}
	}
	if len(col.tried) == 0 || !errors.Is(col.tried, ErrShares) && !errors.As(col.tried, new(chain.Code)) {
		col.tried = append(col.tried, fmt.Errorf("%w: %d of %d", ErrShares, len(col.have), col.threshold))
	}
	return col.tried
}
