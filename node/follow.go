package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/internal/durable"
)

const (
	nameCursor = "ward/v1/cursor"
	maxCursor  = 1 << 20
	saveEvery  = 1000 // blocks
)

// cursor is how far the follower is. It is a convenience: without it the
// follower begins at the first block, and everything it does can be done twice.
type cursor struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Chain   string
	Height  uint64   // last block that was followed
	Changes []uint64 // leaf indices of the changes of the consortium file so far
}

// A follower goes through the certified blocks in order and tells the parts of
// the node what concerns them.
type follower struct {
	*core
	path string

	mu    sync.Mutex
	at    cursor // guarded by mu
	saved uint64 // guarded by mu; height of the cursor on disk
}

func openFollower(c *core) (*follower, error) {
	f := &follower{core: c, path: filepath.Join(c.cfg.Dir, "cursor")}
	f.at = cursor{Name: nameCursor, Chain: c.cfg.Founding.Chain}
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read cursor: %w", err)
	}
	if at, err := parseCursor(data); err == nil && at.Chain == f.at.Chain {
		f.at, f.saved = *at, at.Height
	}
	return f, nil // a damaged one is made again
}

func parseCursor(data []byte) (*cursor, error) {
	if len(data) > maxCursor {
		return nil, errors.New("cursor: too long")
	}
	var at cursor
	if err := chain.Unmarshal(data, &at); err != nil {
		return nil, fmt.Errorf("cursor: %w", err)
	}
	if at.Name != nameCursor || !slices.IsSorted(at.Changes) {
		return nil, errors.New("cursor: malformed")
	}
	return &at, nil
}

// save writes the cursor if it moved.
func (f *follower) save() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at.Height == f.saved {
		return nil
	}
	data, err := chain.Marshal(f.at)
	if err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	if err := durable.WriteFile(f.path, data, 0o600); err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	f.saved = f.at.Height
	return nil
}

func (f *follower) height() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at.Height
}

func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		changed := f.news.wait()
		if err := f.catchUp(ctx); err != nil && ctx.Err() == nil {
			f.log.Error("cannot follow the chain", "height", f.height()+1, "error", err)
			pause(ctx, time.Second, nil)
			continue
		}
		pause(ctx, time.Minute, changed)
	}
}

// catchUp follows the chain up to the newest certified block.
func (f *follower) catchUp(ctx context.Context) error {
	moved := false
	for h := f.height() + 1; h <= f.certified.Load(); h++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b, err := f.replica.Block(h)
		if err != nil {
			return err
		}
		f.take(b)
		moved = true
		if h%saveEvery == 0 {
			if err := f.save(); err != nil {
				return err
			}
		}
	}
	if moved {
		f.news.fire() // whoever waits for the cursor
	}
	return nil
}

// take tells the others about one certified block.
func (f *follower) take(b *chain.Block) {
	var changes []uint64
	first := b.Header.Size - uint64(len(b.Results))
	for i := range b.Results {
		r := &b.Results[i]
		if r.Code != "" {
			continue
		}
		if tx, err := chain.ParseTx(b.Proposal.Txs[i]); err == nil && tx.Contract == chain.SystemContract && tx.Method == chain.ConsortiumMethod {
			changes = append(changes, first+uint64(i))
			f.ceremony.kick()
		}
		for _, e := range r.Events {
			f.event(e)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at.Height = b.Header.Height
	f.at.Changes = append(f.at.Changes, changes...)
}

// event passes on one event. Kinds and data are the contracts', executed by this
// node itself.
func (f *follower) event(e chain.Event) {
	switch e.Kind {
	case consent.EventGrant, consent.EventRevoke:
		var g consent.Grant
		if f.decode(e, &g) {
			f.grants.notice(g.ID)
		}
	case record.EventPut:
		var r record.Record
		if f.decode(e, &r) && len(r.Payload) > 0 {
			f.blobs.expect(r.Payload)
		}
	case record.EventErase:
		var r record.Record
		if f.decode(e, &r) && len(r.Payload) > 0 {
			f.blobs.erased(r.Payload)
		}
	case keys.EventOpened, keys.EventPosted, keys.EventClosed:
		f.ceremony.kick()
	}
}

func (f *follower) decode(e chain.Event, into any) bool {
	if err := chain.Unmarshal(e.Data, into); err != nil {
		f.log.Error("event does not parse", "kind", e.Kind, "error", err)
		return false
	}
	return true
}

// Consortium implements ward.Node.
func (n *Node) Consortium(ctx context.Context, epoch uint64) ([][]byte, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	current := c.replica.Consortium().Epoch
	c.follower.mu.Lock()
	changes := slices.Clone(c.follower.at.Changes)
	c.follower.mu.Unlock()
	if epoch > uint64(len(changes)) {
		if epoch > current {
			return nil, fmt.Errorf("consortium file of epoch %d: %w", epoch, ward.ErrNotFound)
		}
		return [][]byte{}, nil
	}
	list := make([][]byte, 0, len(changes))
	for _, index := range changes[epoch:] { // every change is one epoch
		r, err := c.receipt(ctx, index)
		if err != nil {
			return nil, err
		}
		tx, err := chain.ParseTx(r.Tx)
		if err != nil {
			return nil, fmt.Errorf("consortium file: %w", err)
		}
		list = append(list, tx.Args)
	}
	return list, nil
}
