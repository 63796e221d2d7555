package node

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract"
	"github.com/ward-health/ward/node/vault"
	"github.com/ward-health/ward/pre"
)

// core is the part of a node that needs its keys: it exists once the vault is
// open.
type core struct {
	cfg       Config
	node      *Node
	log       *slog.Logger
	vault     *vault.Vault
	key       ed25519.PrivateKey
	public    chain.PublicKey
	transport *pre.TransportKey
	replica   *replica.Replica
	peers     Peers

	certified atomic.Uint64 // height of the newest certified checkpoint
	fresh     atomic.Bool   // see fresh.go
	announced atomic.Bool   // the chain has the transport key
	news      *signal       // fires when certified or cursor moves
	workers   chan struct{} // bounds what is computed with the keys at a time
	gone      chan struct{} // closed when the keys are about to be erased

	follower *follower
	grants   *grantKeeper
	ceremony *ceremonies
	blobs    *blobs
	approved *approvals
	verified verified
}

func openCore(ctx context.Context, n *Node, passphrase []byte) (_ *core, err error) {
	cfg := n.cfg
	c := &core{cfg: cfg, node: n, log: cfg.Log, news: newSignal(), workers: make(chan struct{}, 16), gone: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.vault, err = vault.Open(filepath.Join(cfg.Dir, "vault"), passphrase); err != nil {
		return nil, err
	}
	if err := c.loadKeys(); err != nil {
		return nil, err
	}
	if c.approved, err = openApprovals(filepath.Join(cfg.Dir, "approved")); err != nil {
		return nil, err
	}
	if c.follower, err = openFollower(c); err != nil {
		return nil, err
	}
	c.grants, c.ceremony, c.blobs = newGrantKeeper(c), newCeremonies(c), newBlobs(c)
	if err := c.openReplica(ctx); err != nil {
		return nil, err
	}
	self := Self{Member: cfg.Member, Key: c.key, Consortium: c.replica.Consortium}
	dial := cfg.Peers
	if dial == nil {
		dial = newHTTPSPeers
	}
	if c.peers, err = dial(self); err != nil {
		return nil, err
	}
	return c, nil
}

// loadKeys takes the node key and the transport key from the vault.
func (c *core) loadKeys() error {
	seed, name, err := c.only(vault.NodeKey)
	if err != nil {
		return fmt.Errorf("node key: %w", err)
	}
	defer clear(seed)
	if len(seed) != ed25519.SeedSize {
		return errors.New("node key: malformed")
	}
	c.key = ed25519.NewKeyFromSeed(seed)
	c.public = chain.PublicKey(c.key.Public().(ed25519.PublicKey))
	if c.public.String() != name {
		return errors.New("node key: not the one of its name")
	}
	secret, name, err := c.only(vault.Transport)
	if err != nil {
		return fmt.Errorf("transport key: %w", err)
	}
	defer clear(secret)
	if c.transport, err = pre.ParseTransportKey(secret); err != nil {
		return fmt.Errorf("transport key: %w", err)
	}
	if hex.EncodeToString(c.transport.Public()) != name {
		return errors.New("transport key: not the one of its name")
	}
	return nil
}

// only returns the one secret of a kind.
func (c *core) only(kind vault.Kind) ([]byte, string, error) {
	names := c.vault.Names(kind)
	if len(names) != 1 {
		return nil, "", fmt.Errorf("vault holds %d, want 1", len(names))
	}
	secret, err := c.vault.Get(kind, names[0])
	return secret, names[0], err
}

func (c *core) openReplica(ctx context.Context) error {
	network, err := c.network()
	if err != nil {
		return err
	}
	founder := c.cfg.Founding.Member(c.cfg.Member) != nil
	opt := replica.Options{
		Dir: filepath.Join(c.cfg.Dir, "chain"), Member: c.cfg.Member, Key: c.key,
		Consortium: c.cfg.Founding, Known: c.cfg.Known, Contracts: contract.All(), Network: network,
		Bootstrap: founder, Log: c.log, OnCertified: c.onCertified,
	}
	if c.cfg.Replica != nil {
		c.cfg.Replica(&opt)
	}
	if c.replica, err = replica.Open(ctx, opt); err != nil {
		return err
	}
	if cp := c.replica.Checkpoint(); cp != nil {
		c.onCertified(cp)
	}
	return nil
}

// network returns how the replicas reach each other. The replica closes it.
func (c *core) network() (replica.Network, error) {
	// Before the replica is open it needs the members to find them.
	members := func() *chain.Consortium {
		if up := c.node.up.Load(); up != nil {
			return up.replica.Consortium()
		}
		return c.cfg.Known
	}
	if c.cfg.Network != nil {
		return c.cfg.Network(Self{Member: c.cfg.Member, Key: c.key, Consortium: members})
	}
	addr := c.cfg.Listen
	if addr == "" {
		m := c.cfg.Known.Member(c.cfg.Member)
		if m == nil {
			return nil, errors.New("no address to listen at: not in the consortium file")
		}
		addr = m.Peer
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return replica.ListenTLS(l, c.key, members, c.log)
}

// onCertified is called by the replica and must return at once.
func (c *core) onCertified(cp *chain.Checkpoint) {
	for {
		old := c.certified.Load()
		if cp.Height <= old {
			return
		}
		if c.certified.CompareAndSwap(old, cp.Height) {
			c.news.fire()
			return
		}
	}
}

// run starts the tasks of a node that is not sealed.
func (c *core) run(ctx context.Context, tasks *sync.WaitGroup, fail context.CancelCauseFunc) {
	tasks.Go(func() { c.becomeFresh(ctx) })
	tasks.Go(func() { c.follower.run(ctx) })
	tasks.Go(func() { c.grants.run(ctx) })
	tasks.Go(func() { c.ceremony.run(ctx) })
	tasks.Go(func() { c.blobs.run(ctx) })
	tasks.Go(func() {
		select {
		case <-c.replica.Stopped():
			if err := c.replica.Err(); !errors.Is(err, replica.ErrClosed) {
				fail(err) // halted: what it holds does not fit together
			}
		case <-ctx.Done():
		}
	})
}

func (c *core) close() error {
	var errs []error
	if c.replica != nil {
		errs = append(errs, c.replica.Close())
	}
	if c.peers != nil {
		errs = append(errs, c.peers.Close())
	}
	if c.follower != nil {
		errs = append(errs, c.follower.save())
	}
	close(c.gone)
	for range cap(c.workers) {
		c.workers <- struct{}{} // waits for what is still being computed
	}
	if c.transport != nil {
		c.transport.Erase()
	}
	if c.vault != nil {
		errs = append(errs, c.vault.Close())
	}
	clear(c.key)
	return errors.Join(errs...)
}

// submit signs a transaction with the node key and puts it on the chain. The
// error is the contract's code if it refuses.
func (c *core) submit(ctx context.Context, contract, method string, args any) (*chain.Receipt, error) {
	b, ok := args.([]byte)
	if !ok {
		var err error
		if b, err = chain.Marshal(args); err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
	}
	var tx *chain.Tx
	err := c.work(ctx, func() (err error) {
		tx, err = chain.SignTx(chain.TxBody{
			Chain: c.cfg.Founding.Chain, Contract: contract, Method: method, Args: b,
			NotAfter: c.cfg.Clock().Add(10 * time.Minute).UnixMilli(),
		}, c.key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	r, err := c.replica.Submit(ctx, tx, nil)
	if err != nil {
		return nil, c.translate(err)
	}
	return r, r.Result.Err()
}

// receipt returns the receipt of a transaction that the chain has.
func (c *core) receipt(ctx context.Context, index uint64) (*chain.Receipt, error) {
	if index >= c.replica.Status().Size {
		// Clients ask for what they know to be there, perhaps a moment before
		// this replica has it.
		if err := c.replica.Read(ctx, func(v *replica.View) error {
			if index >= v.Header().Size {
				return ward.ErrNotFound
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("transaction %d: %w", index, c.translate(err))
		}
	}
	r, err := c.replica.Receipt(ctx, index)
	return r, c.translate(err)
}

// rank returns this member's place among those that may do something for all,
// and whether it is one of them. Whoever comes first starts; the others wait for
// their turn, in case he does not.
func (c *core) rank(k *chain.Consortium) (int, bool) {
	for i := range k.Members {
		if k.Members[i].NodeKey == c.public {
			return i, true
		}
	}
	return 0, false
}

// work runs something that uses the keys, a bounded number at once. None runs
// any more when the keys are erased.
func (c *core) work(ctx context.Context, do func() error) error {
	select {
	case c.workers <- struct{}{}:
	case <-c.gone:
		return fmt.Errorf("node is closed: %w", ward.ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ward.ErrBusy, context.Cause(ctx))
	}
	defer func() { <-c.workers }()
	select {
	case <-c.gone:
		return fmt.Errorf("node is closed: %w", ward.ErrUnavailable)
	default:
	}
	return do()
}

// translate gives the errors of the replica the names that clients know.
func (c *core) translate(err error) error {
	if err == nil {
		return nil
	}
	for _, t := range [...]struct{ from, to error }{
		{replica.ErrUnknown, ward.ErrUnknown},
		{replica.ErrNotCommitted, ward.ErrNotCommitted},
		{replica.ErrOverloaded, ward.ErrBusy},
		{replica.ErrReadOnly, ward.ErrReadOnly},
		{replica.ErrHalted, ward.ErrUnavailable},
		{replica.ErrClosed, ward.ErrUnavailable},
		{replica.ErrNotMember, ward.ErrUnavailable},
		{replica.ErrNotFound, ward.ErrNotFound},
		{replica.ErrPurged, ward.ErrErased},
		{replica.ErrMissing, ward.ErrUnavailable},
		{replica.ErrSignature, ward.ErrUnauthorized},
		{context.DeadlineExceeded, ward.ErrNoQuorum},
	} {
		if errors.Is(err, t.from) {
			if errors.Is(err, t.to) {
				return err
			}
			return fmt.Errorf("%w: %w", t.to, err)
		}
	}
	return err
}
