package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/replicated"
)

const fetchPatience = 10 * time.Minute // for one blob from another member

// blobs keeps sealed payloads on f+1 members: those whose turn it is by the
// blob's name, and the one that took it from the client. It implements
// store.Store for clients.
type blobs struct {
	*core
	wake *signal

	mu      sync.Mutex
	wanted  map[store.Ref]bool // guarded by mu; to be fetched if it is this member's turn
	doomed  map[store.Ref]bool // guarded by mu; of records that were erased
	counted store.Usage        // guarded by mu; as of the last scrub, and put since
}

var _ store.Store = (*blobs)(nil)

func newBlobs(c *core) *blobs {
	return &blobs{core: c, wake: newSignal(), wanted: map[store.Ref]bool{}, doomed: map[store.Ref]bool{}}
}

// Blobs implements ward.Node.
func (n *Node) Blobs() store.Store {
	if c := n.up.Load(); c != nil {
		return c.blobs
	}
	return sealedStore{}
}

// copies is how many members keep a blob: f+1, so that one of them is honest.
func (b *blobs) copies() int { return query.Needed(b.replica.Consortium()) }

// homes returns the members in the order in which they keep a blob.
func (b *blobs) homes(ref store.Ref) []string {
	k := b.replica.Consortium()
	type home struct {
		weight [32]byte
		name   string
	}
	var list []home
	for i := range k.Members {
		name := k.Members[i].Name
		list = append(list, home{sha256.Sum256([]byte(ref.String() + " " + name)), name})
	}
	slices.SortFunc(list, func(a, b home) int {
		return cmp.Or(bytes.Compare(a.weight[:], b.weight[:]), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, h := range list {
		names = append(names, h.name)
	}
	return names
}

// isHome reports whether this member is one of those that keep a blob.
func (b *blobs) isHome(ref store.Ref) bool {
	homes := b.homes(ref)
	return slices.Contains(homes[:min(len(homes), b.copies())], b.cfg.Member)
}

// Put implements store.Store: when it returns nil, f+1 members have the blob,
// this one among them.
func (b *blobs) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	ref, err := b.node.local.Put(ctx, r)
	if err != nil {
		return store.Ref{}, err
	}
	missing := b.copies() - 1
	if missing == 0 {
		return ref, nil
	}
	others := slices.DeleteFunc(b.homes(ref), func(m string) bool { return m == b.cfg.Member })
	var errs []error
	for missing > 0 && len(others) > 0 {
		// As many at once as are still needed; whoever fails is replaced.
		batch := others[:min(missing, len(others))]
		others = others[len(batch):]
		results := make(chan error, len(batch))
		for _, name := range batch {
			go func() { results <- b.copyTo(ctx, name, ref) }()
		}
		for range batch {
			if err := <-results; err != nil {
				errs = append(errs, err)
			} else {
				missing--
			}
		}
	}
	if missing > 0 {
		return store.Ref{}, fmt.Errorf("payload is on %d of %d members: %w: %w", b.copies()-missing, b.copies(), ward.ErrNoQuorum, errors.Join(errs...))
	}
	return ref, nil
}

func (b *blobs) copyTo(ctx context.Context, member string, ref store.Ref) error {
	p, err := b.peers.Peer(member)
	if err == nil {
		err = store.Copy(ctx, p.LocalBlobs(), b.node.local, ref)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	return nil
}

// everywhere returns the stores of all members, this one first, then those that
// should have the blob.
func (b *blobs) everywhere(ref store.Ref) (*replicated.Store, error) {
	list := []replicated.Replica{{Name: b.cfg.Member, Store: b.node.local}}
	for _, name := range b.homes(ref) {
		if name == b.cfg.Member {
			continue
		}
		p, err := b.peers.Peer(name)
		if err != nil {
			continue
		}
		list = append(list, replicated.Replica{Name: name, Store: p.LocalBlobs()})
	}
	return replicated.New(replicated.Options{Quorum: 1, Logger: b.log, Retry: store.Retry{Attempts: 2}}, list...)
}

// Open implements store.Store. What this member lacks, or has damaged, comes
// from the others, and is mended later if it is this member's to keep.
func (b *blobs) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	all, err := b.everywhere(ref)
	if err != nil {
		return nil, err
	}
	if _, err := b.node.local.Stat(ctx, ref); err != nil && b.isHome(ref) {
		b.want(ref)
	}
	return all.Open(ctx, ref)
}

// Stat implements store.Store.
func (b *blobs) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	all, err := b.everywhere(ref)
	if err != nil {
		return store.Info{}, err
	}
	return all.Stat(ctx, ref)
}

// Delete implements store.Store. It fails: blobs go when the chain says that
// their records are erased.
func (b *blobs) Delete(context.Context, store.Ref) error {
	return fmt.Errorf("delete payload: %w", errors.ErrUnsupported)
}

// List implements store.Store. It yields what this member has.
func (b *blobs) List(ctx context.Context) iter.Seq2[store.Info, error] {
	return b.node.local.List(ctx)
}

// Close implements store.Store. The node closes its store.
func (b *blobs) Close() error { return nil }

// expect hears of a new record with a payload.
func (b *blobs) expect(payload []byte) {
	if ref, err := store.ParseRefBytes(payload); err == nil && b.isHome(ref) {
		b.want(ref)
	}
}

func (b *blobs) want(ref store.Ref) {
	b.mu.Lock()
	b.wanted[ref] = true
	b.mu.Unlock()
	b.wake.fire()
}

// erased hears of an erased record with a payload.
func (b *blobs) erased(payload []byte) {
	ref, err := store.ParseRefBytes(payload)
	if err != nil {
		return
	}
	b.mu.Lock()
	b.doomed[ref] = true
	b.mu.Unlock()
	b.wake.fire()
}

func (b *blobs) run(ctx context.Context) {
	b.measure(ctx)
	last := b.cfg.Clock()
	for ctx.Err() == nil {
		woken := b.wake.wait()
		b.erase(ctx)
		b.fetch(ctx)
		wait := time.Hour
		if b.cfg.ScrubEvery > 0 {
			if wait = b.cfg.ScrubEvery - b.cfg.Clock().Sub(last); wait <= 0 {
				b.scrub(ctx)
				last = b.cfg.Clock()
				continue
			}
		}
		pause(ctx, wait, woken)
	}
}

// drain returns what is in a set and empties it.
func (b *blobs) drain(set *map[store.Ref]bool) []store.Ref {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []store.Ref
	for ref := range *set {
		list = append(list, ref)
	}
	clear(*set)
	return list
}

// live reports whether a record that is not erased refers to a blob.
func (b *blobs) live(ctx context.Context, ref store.Ref) (live bool, err error) {
	err = b.replica.ReadLocal(ctx, func(v *replica.View) (err error) {
		live, err = record.References(v.Of(record.Contract), ref.Bytes())
		return err
	})
	return live, err
}

// erase deletes the blobs of erased records, unless another refers to them.
func (b *blobs) erase(ctx context.Context) {
	for _, ref := range b.drain(&b.doomed) {
		live, err := b.live(ctx, ref)
		if err == nil && !live {
			err = b.node.local.Delete(ctx, ref)
		}
		if err != nil && ctx.Err() == nil {
			b.log.Error("cannot delete the payload of an erased record", "blob", ref.String(), "error", err)
			b.erased(ref.Bytes())
			pause(ctx, time.Second, nil)
		}
	}
}

// fetch copies wanted blobs that are still in use from the other members.
func (b *blobs) fetch(ctx context.Context) {
	for _, ref := range b.drain(&b.wanted) {
		if ctx.Err() != nil {
			return
		}
		if err := b.fetchOne(ctx, ref); err != nil && ctx.Err() == nil {
			b.log.Warn("cannot fetch a payload that belongs here", "blob", ref.String(), "error", err)
		}
	}
}

func (b *blobs) fetchOne(ctx context.Context, ref store.Ref) error {
	if has, err := store.Has(ctx, b.node.local, ref); err != nil || has {
		return err
	}
	if live, err := b.live(ctx, ref); err != nil || !live {
		return err
	}
	all, err := b.everywhere(ref)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchPatience)
	defer cancel()
	return store.Copy(ctx, b.node.local, all, ref)
}

// scrub reads all blobs, mends the damaged ones from other members, and deletes
// those that no record refers to.
func (b *blobs) scrub(ctx context.Context) {
	report, err := b.Scrub(ctx)
	if err != nil && ctx.Err() == nil {
		b.log.Error("scrub of payloads did not finish", "error", err)
	}
	if n := len(report.Findings); n > 0 {
		b.log.Warn("scrub found damaged payloads", "damaged", n, "unrepaired", report.Unrepaired())
	}
	_, err = store.Collect(ctx, b.node.local, store.CollectOptions{Live: b.live})
	if err != nil && ctx.Err() == nil {
		b.log.Error("cannot delete payloads that nothing refers to", "error", err)
	}
	b.measure(ctx)
}

// Scrub reads every blob of this member and mends what is damaged.
func (b *blobs) Scrub(ctx context.Context) (store.ScrubReport, error) {
	return store.Scrub(ctx, b.node.local, store.ScrubOptions{Repair: (*elsewhere)(b)})
}

// Scrub reads every payload that this member keeps and mends damaged ones from
// the other members'.
func (n *Node) Scrub(ctx context.Context) (store.ScrubReport, error) {
	c, err := n.core()
	if err != nil {
		return store.ScrubReport{}, err
	}
	return c.blobs.Scrub(ctx)
}

func (b *blobs) measure(ctx context.Context) {
	u, err := store.Measure(ctx, b.node.local)
	if err != nil {
		return
	}
	b.mu.Lock()
	b.counted = u
	b.mu.Unlock()
}

func (b *blobs) usage() store.Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counted
}

// elsewhere is the other members' stores, to mend from.
type elsewhere blobs

func (e *elsewhere) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	b := (*blobs)(e)
	err := store.NotFound(ref)
	for _, name := range b.homes(ref) {
		if name == b.cfg.Member {
			continue
		}
		p, peerErr := b.peers.Peer(name)
		if peerErr != nil {
			continue
		}
		blob, openErr := p.LocalBlobs().Open(ctx, ref)
		if openErr == nil {
			return blob, nil
		}
		err = errors.Join(err, fmt.Errorf("%s: %w", name, openErr))
	}
	return nil, err
}

func (e *elsewhere) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	return (*blobs)(e).Stat(ctx, ref)
}
func (e *elsewhere) Put(context.Context, io.Reader) (store.Ref, error) {
	return store.Ref{}, errors.ErrUnsupported
}
func (e *elsewhere) Delete(context.Context, store.Ref) error           { return errors.ErrUnsupported }
func (e *elsewhere) List(context.Context) iter.Seq2[store.Info, error] { return none }
func (e *elsewhere) Close() error                                      { return nil }

func none(func(store.Info, error) bool) {}

// sealedStore is what a sealed node has to offer.
type sealedStore struct{}

func (sealedStore) Put(context.Context, io.Reader) (store.Ref, error) {
	return store.Ref{}, ward.ErrNotReady
}
func (sealedStore) Open(context.Context, store.Ref) (*store.Blob, error) {
	return nil, ward.ErrNotReady
}
func (sealedStore) Stat(context.Context, store.Ref) (store.Info, error) {
	return store.Info{}, ward.ErrNotReady
}
func (sealedStore) Delete(context.Context, store.Ref) error { return ward.ErrNotReady }
func (sealedStore) List(context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) { yield(store.Info{}, ward.ErrNotReady) }
}
func (sealedStore) Close() error { return nil }
