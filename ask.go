package ward

import (
	"context"
	"fmt"
	"iter"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
)

// ask has a question answered and the answer vouched for. It returns the value
// and its encoded size.
func ask[T any](ctx context.Context, c *Client, q query.Question) (*T, int, error) {
	question, err := query.Encode(q)
	if err != nil {
		return nil, 0, err
	}
	var out *T
	size := 0
	err = c.patiently(ctx, func(n Node) error {
		asked := c.clock()
		a, err := n.Ask(ctx, question)
		if err != nil {
			return err
		}
		if a == nil {
			return fmt.Errorf("%w: no answer", ErrIntegrity)
		}
		var cp *chain.Checkpoint
		err = c.verified(ctx, n, func(k *chain.Consortium) (err error) {
			cp, err = a.Verify(k, question, asked, c.clock(), skew)
			return err
		})
		if err != nil {
			return err
		}
		if err := c.advance(cp); err != nil {
			return err
		}
		if a.Code != "" {
			return settled{coded(a.Code)}
		}
		v := new(T)
		if err := chain.Unmarshal(a.Value, v); err != nil {
			return fmt.Errorf("%w: answer: %w", ErrIntegrity, err)
		}
		out, size = v, len(a.Value)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return out, size, nil
}

// pages yields the entries of a list, which next asks for in parts: it gives
// the question for the part behind an entry, or for the first if it is nil.
func pages[T any](ctx context.Context, c *Client, next func(last *T) query.Question) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		var last *T
		for {
			list, size, err := ask[[]T](ctx, c, next(last))
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range *list {
				if !yield(&(*list)[i], nil) {
					return
				}
			}
			if len(*list) < query.DefaultLimit && size < query.MaxList {
				return
			}
			last = &(*list)[len(*list)-1]
		}
	}
}

// Identity returns what the chain says of a name now.
func (c *Client) Identity(ctx context.Context, name identity.Name) (*identity.Identity, error) {
	asked := c.clock()
	id, _, err := ask[identity.Identity](ctx, c, query.Identity{Name: name})
	if err != nil {
		return nil, fmt.Errorf("identity %s: %w", name, err)
	}
	if id.Name != name {
		return nil, fmt.Errorf("identity %s: %w: members vouch for another", name, ErrIntegrity)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.names) >= maxNames {
		clear(c.names)
	}
	c.names[name] = knownIdentity{id, asked}
	return id, nil
}

// known is Identity, or what it said a little while ago.
func (c *Client) known(ctx context.Context, name identity.Name) (*identity.Identity, error) {
	c.mu.Lock()
	k, ok := c.names[name]
	c.mu.Unlock()
	if age := c.clock().Sub(k.asked); ok && age >= 0 && age < identityAge {
		return k.identity, nil
	}
	return c.Identity(ctx, name)
}

func (c *Client) forget(name identity.Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.names, name)
}
