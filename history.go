package ward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// An Event is one line of the history of an owner's records: who did what, when.
type Event struct {
	// Index is the leaf index, by which Receipt finds its proof; 0 if the state
	// does not say, as for an erasure and the review of an emergency.
	Index   uint64
	Time    time.Time // zero if the state does not say
	Kind    string    // "put", "erase", "grant", "revoke", "access", "emergency", "review", "request", "key", …
	By      identity.Name
	Records []record.ID
	Grant   consent.GrantID
	Purpose consent.Purpose
	Type    pre.Type // of the key that a guardian asked for
}

// History yields what happened to an owner's records and grants, oldest first.
// It ends after the first error.
func (c *Client) History(ctx context.Context, owner identity.Name) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		events, err := c.history(ctx, owner)
		if err != nil {
			yield(nil, fmt.Errorf("history: %w", err))
			return
		}
		for i := range events {
			if !yield(&events[i], nil) {
				return
			}
		}
	}
}

func (c *Client) history(ctx context.Context, owner identity.Name) ([]Event, error) {
	var out []Event
	add := func(index uint64, ms int64, kind string, by identity.Name) *Event {
		out = append(out, Event{Index: index, Time: time.UnixMilli(ms).UTC(), Kind: kind, By: by})
		return &out[len(out)-1]
	}
	for r, err := range c.records(ctx, Query{Owner: owner, All: true}) {
		if err != nil {
			return nil, err
		}
		add(r.Index, r.Time, "put", r.Author).Records = []record.ID{r.ID}
		if r.Erased != 0 {
			add(0, r.Erased, "erase", owner).Records = []record.ID{r.ID}
		}
	}
	for s, err := range c.Grants(ctx, owner, "") {
		if err != nil {
			return nil, err
		}
		g := &s.Grant
		add(g.Index, g.Time, "grant", g.By).Grant = g.ID
		if g.Ended != 0 {
			add(g.EndedBy, g.Ended, "revoke", g.Ender).Grant = g.ID
		}
	}
	for a, err := range c.Accesses(ctx, consent.Accesses{Owner: owner}) {
		if err != nil {
			return nil, err
		}
		kind := "access"
		if a.Emergency {
			kind = "emergency"
		}
		e := add(a.Index, a.Time, kind, a.Reader)
		e.Records, e.Grant, e.Purpose = a.Records, a.Grant, a.Purpose
		if a.Review == consent.Closed {
			add(0, a.Reviewed, "review", a.Reviewer).Records = a.Records
		}
	}
	for r, err := range c.Requests(ctx, owner, "") {
		if err != nil {
			return nil, err
		}
		add(r.Index, r.Time, "request", r.From).Purpose = r.Purpose
	}
	for r, err := range c.KeyRequests(ctx, owner) {
		if err != nil {
			return nil, err
		}
		add(r.Index, r.Time, "key", r.By).Type = r.Type
	}
	slices.SortStableFunc(out, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Index, b.Index))
	})
	return out, nil
}

// A Verification says what Verify found in order.
type Verification struct {
	Transactions uint64
	Height       uint64
	Time         time.Time
}

// Verify fetches the whole chain and checks it: every signature, link, tree and
// certificate, from genesis to the newest checkpoint. What the client has seen
// before must be in it. The first node whose chain holds is enough; the error is
// ErrIntegrity, with a *chain.BrokenError that names the first broken link, if a
// chain does not hold, and ErrStale if it ends before what the client has seen.
func (c *Client) Verify(ctx context.Context) (*Verification, error) {
	var out *Verification
	err := c.try(ctx, func(n Node) (err error) {
		if _, err := c.current(ctx, n); err != nil {
			return err
		}
		out, err = c.verify(ctx, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("verify chain: %w", err)
	}
	return out, nil
}

func (c *Client) verify(ctx context.Context, n Node) (*Verification, error) {
	c.mu.Lock()
	seen := c.head
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		err := n.Export(ctx, w)
		w.CloseWithError(err) // nil ends the stream
		exported <- err
	}()
	check := audit.Visitor{Block: func(b *chain.Block) error {
		if seen.Chain != "" && b.Header.Height == seen.Height && b.Header.TreeHead() != seen {
			return fmt.Errorf("%w: it is not the chain that was seen before", ErrIntegrity)
		}
		return nil
	}}
	a, err := audit.Verify(r, c.Consortium(), check)
	r.CloseWithError(errors.New("chain was checked"))
	cancel()
	failed := <-exported
	if err != nil {
		return nil, exportError(err, failed)
	}
	h := a.Head()
	if h.Height < seen.Height {
		return nil, ErrStale
	}
	return &Verification{Transactions: h.Size, Height: h.Height, Time: time.UnixMilli(h.Time).UTC()}, nil
}

// exportError tells a chain that does not hold from a node that failed.
func exportError(err, failed error) error {
	if failed != nil && errors.Is(err, failed) {
		return failed
	}
	return fmt.Errorf("%w: %w", ErrIntegrity, err)
}
