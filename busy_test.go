package ward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
)

// A crowded node refuses everything so many times before it does it.
type crowded struct {
	ward.Node
	busy int

	mu      sync.Mutex
	refused map[string]int // guarded by mu; by method
}

// A later is ward.ErrBusy with what the node asks for.
type later struct{}

func (later) Error() string             { return "later" }
func (later) Unwrap() error             { return ward.ErrBusy }
func (later) RetryAfter() time.Duration { return 2 * time.Second }

func (c *crowded) refuse(method string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = make(map[string]int)
	}
	if c.refused[method] >= c.busy {
		return nil
	}
	c.refused[method]++
	return fmt.Errorf("north: %w", later{})
}

func (c *crowded) Submit(ctx context.Context, tx *chain.Tx, sidecar []byte) (*chain.Receipt, error) {
	if err := c.refuse("Submit"); err != nil {
		return nil, err
	}
	return c.Node.Submit(ctx, tx, sidecar)
}

func (c *crowded) Ask(ctx context.Context, question []byte) (*query.Answer, error) {
	if err := c.refuse("Ask"); err != nil {
		return nil, err
	}
	return c.Node.Ask(ctx, question)
}

func (c *crowded) Sidecar(ctx context.Context, index uint64) ([]byte, error) {
	if err := c.refuse("Sidecar"); err != nil {
		return nil, err
	}
	return c.Node.Sidecar(ctx, index)
}

func (c *crowded) PartialKeys(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	if err := c.refuse("PartialKeys"); err != nil {
		return nil, err
	}
	return c.Node.PartialKeys(ctx, index, without)
}

func (c *crowded) Answers(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	if err := c.refuse("Answers"); err != nil {
		return nil, err
	}
	return c.Node.Answers(ctx, index, without)
}

func (c *crowded) Accessed(ctx context.Context, index uint64) ([]ward.Sealed, error) {
	if err := c.refuse("Accessed"); err != nil {
		return nil, err
	}
	return c.Node.Accessed(ctx, index)
}

// TestBusyNodesSlowDownAndDoNotFail: everything a busy node refuses is asked
// again, when the node said, until it does it.
func TestBusyNodesSlowDownAndDoNotFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		id := p.put("a", []byte("payload"))
		p.grant()
		c := &crowded{Node: p.Node("north"), busy: 8}
		began := time.Now()
		var out bytes.Buffer
		if _, err := p.as(readerName, c).Get(p.ctx, id, treat, &out); err != nil || out.String() != "payload" {
			t.Fatalf("a reader: %q, %v", out.String(), err)
		}
		out.Reset()
		if _, err := p.as(patientName, c).Get(p.ctx, id, ward.Purpose{}, &out); err != nil || out.String() != "payload" {
			t.Fatalf("the owner: %q, %v", out.String(), err)
		}
		if len(c.refused) < 5 {
			t.Errorf("only %v were refused", c.refused)
		}
		if took := time.Since(began); took < time.Duration(len(c.refused)*c.busy)*2*time.Second {
			t.Errorf("%v in %v: sooner than the node asked for", c.refused, took)
		}
	})
}

// TestPatienceWithBusyNodesEnds: within about a minute, and nothing is in doubt
// then; at once when the caller does not wait.
func TestPatienceWithBusyNodesEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		id := p.put("a", []byte("payload"))
		c := p.as(patientName, &crowded{Node: p.Node("north"), busy: 1e6})
		for what, call := range map[string]func(context.Context) error{
			"submit": func(ctx context.Context) error { return c.Erase(ctx, id) },
			"ask":    func(ctx context.Context) error { _, err := c.Show(ctx, id); return err },
		} {
			began := time.Now()
			err := call(p.ctx)
			if took := time.Since(began); !errors.Is(err, ward.ErrBusy) || errors.Is(err, ward.ErrUnknown) || took < 30*time.Second || took > 70*time.Second {
				t.Errorf("%s: %v after %v", what, err, took)
			}
			ctx, cancel := context.WithTimeout(p.ctx, 3*time.Second)
			began = time.Now()
			err = call(ctx)
			if took := time.Since(began); err == nil || errors.Is(err, ward.ErrUnknown) || took > 3*time.Second {
				t.Errorf("%s, for three seconds: %v after %v", what, err, took)
			}
			cancel()
		}
	})
}
