package node

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
	"github.com/ward-health/ward/store/storeurl"
)

// A Node is a member's node. Its methods may be called concurrently. While it is
// sealed, those that need its keys or its replica return ward.ErrNotReady.
type Node struct {
	cfg   Config
	lock  *durable.Lock
	local store.Store // own blobs

	up       atomic.Pointer[core] // nil while sealed
	unsealed chan struct{}        // closed when up is set

	halt    chan struct{}  // closed by Close
	running sync.WaitGroup // calls of Run

	mu     sync.Mutex // serialises Unlock and Close
	closed bool       // guarded by mu
}

// Open opens the node in cfg.Dir. Without a passphrase it stays sealed. ctx ends
// the wait for other members if the replica must be repaired from them. The
// error matches vault.ErrPassphrase if the passphrase is wrong.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	if err := durable.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	lock, err := durable.LockDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	n := &Node{cfg: cfg, lock: lock, unsealed: make(chan struct{}), halt: make(chan struct{})}
	if n.local, err = openBlobs(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open node: %w", err), n.Close())
	}
	if cfg.Passphrase == nil {
		return n, nil
	}
	passphrase, err := cfg.Passphrase(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open node: passphrase: %w", err), n.Close())
	}
	err = n.Unlock(ctx, passphrase)
	clear(passphrase)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open node: %w", err), n.Close())
	}
	return n, nil
}

func openBlobs(ctx context.Context, cfg Config) (store.Store, error) {
	switch {
	case cfg.Blobs != nil:
		return cfg.Blobs, nil
	case cfg.Store != "":
		return storeurl.Open(ctx, storeurl.Options{Logger: cfg.Log}, cfg.Store)
	}
	return fs.Open(filepath.Join(cfg.Dir, "blobs"), fs.Options{})
}

// Unlock opens the vault and starts the replica. It does nothing if the node is
// not sealed.
func (n *Node) Unlock(ctx context.Context, passphrase []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fmt.Errorf("unlock: %w", ward.ErrUnavailable)
	}
	if n.up.Load() != nil {
		return nil
	}
	c, err := openCore(ctx, n, passphrase)
	if err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	n.up.Store(c)
	close(n.unsealed)
	return nil
}

// Run works until ctx is done or the node is closed, then stops serving and
// returns nil, or the error that stopped it. It is called once.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return fmt.Errorf("run node: %w", ward.ErrUnavailable)
	}
	n.running.Add(1)
	n.mu.Unlock()
	defer n.running.Done()

	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() {
		select {
		case <-n.halt:
			cancel(nil)
		case <-ctx.Done():
		}
	})
	if n.cfg.API != nil {
		tasks.Go(func() { cancel(n.serve(ctx)) })
	}
	select {
	case <-n.unsealed:
	case <-ctx.Done():
		return stopped(ctx)
	}
	n.up.Load().run(ctx, &tasks, cancel)
	<-ctx.Done()
	return stopped(ctx)
}

// stopped returns why the tasks ended: nil if somebody asked for it.
func stopped(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// Close ends Run, stops the replica, forgets the keys and releases the
// directory. It does nothing the second time.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	close(n.halt)
	n.running.Wait()
	var errs []error
	if c := n.up.Load(); c != nil {
		errs = append(errs, c.close())
	}
	if n.local != nil {
		errs = append(errs, n.local.Close())
	}
	return errors.Join(append(errs, n.lock.Unlock())...)
}

// core returns the part of the node that needs its keys.
func (n *Node) core() (*core, error) {
	c := n.up.Load()
	if c == nil {
		return nil, fmt.Errorf("node is sealed: %w", ward.ErrNotReady)
	}
	return c, nil
}

// Member implements api.Backend.
func (n *Node) Member() string { return n.cfg.Member }

// Key returns the node key, with which the operator signs in the member's name.
// It works until Close.
func (n *Node) Key() (crypto.Signer, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	return c.key, nil
}

// Members implements api.Backend. A sealed node knows what its operator gave it.
func (n *Node) Members() *chain.Consortium {
	if c := n.up.Load(); c != nil {
		return c.replica.Consortium()
	}
	return n.cfg.Known
}

// Identify implements api.Backend. It reads the state that this node has, which
// may be behind: what callers do is checked again where it counts. Only of a key
// that is unknown in it does it ask how far the others are: a client that was
// registered at one member a moment ago is known at all.
func (n *Node) Identify(ctx context.Context, key chain.PublicKey) (identity.Caller, error) {
	c, err := n.core()
	if err != nil {
		return identity.Caller{}, err
	}
	if m := c.replica.Consortium().MemberByKey(key); m != nil {
		return identity.Caller{Member: m}, nil
	}
	var who *identity.Identity
	look := func(v *replica.View) (err error) {
		who, err = identity.ByKey(v.Of(identity.Contract), key)
		return err
	}
	err = c.replica.ReadLocal(ctx, look)
	if errors.Is(err, identity.ErrUnknown) {
		err = c.replica.Read(ctx, look)
	}
	if err != nil {
		return identity.Caller{}, c.translate(err)
	}
	return identity.Caller{Identity: who}, nil
}

// Submit implements ward.Node.
func (n *Node) Submit(ctx context.Context, tx *chain.Tx, sidecar []byte) (*chain.Receipt, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Quorum)
	defer cancel()
	r, err := c.replica.Submit(ctx, tx, sidecar)
	return r, c.translate(err)
}

// Receipt implements ward.Node.
func (n *Node) Receipt(ctx context.Context, index uint64) (*chain.Receipt, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	return c.receipt(ctx, index)
}

// Sidecar implements ward.Node.
func (n *Node) Sidecar(_ context.Context, index uint64) ([]byte, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	b, err := c.replica.Sidecar(index)
	if err == nil && b == nil {
		return nil, fmt.Errorf("sidecar of transaction %d: %w", index, ward.ErrNotFound)
	}
	return b, c.translate(err)
}

// Checkpoint implements ward.Node.
func (n *Node) Checkpoint(context.Context) (*chain.Checkpoint, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	if cp := c.replica.Checkpoint(); cp != nil {
		return cp, nil
	}
	return nil, fmt.Errorf("nothing is certified yet: %w", ward.ErrNotFound)
}

// Export implements ward.Node.
func (n *Node) Export(ctx context.Context, w io.Writer) error {
	c, err := n.core()
	if err != nil {
		return err
	}
	_, err = c.replica.Export(ctx, w)
	return c.translate(err)
}

// LocalBlobs implements api.Backend.
func (n *Node) LocalBlobs() store.Store { return n.local }

// Referenced implements api.Backend.
func (n *Node) Referenced(ctx context.Context, ref store.Ref) (bool, error) {
	c, err := n.core()
	if err != nil {
		return false, err
	}
	live, err := c.blobs.live(ctx, ref)
	return live, c.translate(err)
}
