package ward

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/wallet"
)

// Options set up a Client.
type Options struct {
	// Consortium is the consortium file that the client trusts, of any epoch.
	Consortium *chain.Consortium
	// Wallet holds the keys of whoever the client acts for.
	Wallet *wallet.Wallet
	// For is the owner whose records and grants the client looks after, if it is
	// not the holder of the wallet, who is then her guardian. Readers and authors
	// act for themselves, whatever it says.
	For identity.Name
	// Nodes are tried in order: the client's own hospital first.
	Nodes []Node
	// Seen is what Client.Seen returned of an earlier client for the same chain,
	// perhaps in another process: this one takes nothing older for current, and
	// nothing that contradicts it. The zero value stands for nothing.
	Seen chain.TreeHead
	// Clock is time.Now unless a test says otherwise.
	Clock func() time.Time
	// Log is told which members gave wrong answers and which nodes gave what
	// does not hold; it gets no personal data. Default: nothing is logged.
	Log *slog.Logger
}

// A Client acts for one identity of a consortium. Every answer it gives was
// checked against the consortium file. It is safe for concurrent use.
type Client struct {
	wallet *wallet.Wallet
	owner  identity.Name // whose records and grants it looks after
	nodes  []Node
	clock  func() time.Time
	log    *slog.Logger
	writer pre.Encapsulator

	mu       sync.Mutex
	trusted  *chain.Consortium               // guarded by mu; the newest file that follows from the one given
	followed time.Time                       // guarded by mu; when a node was last asked for a newer one
	head     chain.TreeHead                  // guarded by mu; the newest certified one seen
	names    map[identity.Name]knownIdentity // guarded by mu
}

type knownIdentity struct {
	identity *identity.Identity
	asked    time.Time
}

// How long the client takes what it knows for current.
const (
	identityAge   = 60 * time.Second // of an owner it writes for; the chain refuses what is stale
	consortiumAge = 60 * time.Second
	maxNames      = 1024
)

// skew is how far apart the clocks of client and members may be.
const skew = time.Minute

// Retries of a request that no node has met, in rounds over all nodes.
const (
	rounds     = 6
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// New returns a client. It talks to no node yet.
func New(opt Options) (*Client, error) {
	switch {
	case opt.Consortium == nil || opt.Wallet == nil || len(opt.Nodes) == 0:
		return nil, errors.New("new client: consortium, wallet and at least one node are needed")
	case opt.Wallet.Chain() != opt.Consortium.Chain:
		return nil, errors.New("new client: wallet is for another chain")
	case opt.Seen != (chain.TreeHead{}) && opt.Seen.Chain != opt.Consortium.Chain:
		return nil, errors.New("new client: what was seen is of another chain")
	}
	if _, err := opt.Consortium.Bytes(); err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	if opt.For == "" {
		opt.For = opt.Wallet.Name()
	}
	if _, err := identity.ParseName(string(opt.For)); err != nil {
		return nil, fmt.Errorf("new client: acting for %q: %w", opt.For, err)
	}
	c := &Client{
		wallet: opt.Wallet, owner: opt.For, nodes: opt.Nodes, clock: opt.Clock, log: opt.Log,
		trusted: opt.Consortium, head: opt.Seen, names: make(map[identity.Name]knownIdentity),
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Name returns who signs: the holder of the wallet.
func (c *Client) Name() identity.Name { return c.wallet.Name() }

// Consortium returns the newest consortium file that the client has verified.
func (c *Client) Consortium() *chain.Consortium {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trusted
}

// try calls fn for one node after the other until one gives what holds, and
// again while nodes are busy. An error that is settled ends it at once.
func (c *Client) try(ctx context.Context, fn func(Node) error) error {
	for p := newPatience(); ; {
		err := c.once(ctx, fn)
		var s settled
		if errors.As(err, &s) {
			return s.error
		}
		if err == nil || !again(ctx, p, err) {
			return err
		}
	}
}

// once calls fn for one node after the other until one gives what holds, or an
// error that is settled.
func (c *Client) once(ctx context.Context, fn func(Node) error) error {
	var tried triedError
	for _, n := range c.nodes {
		err := fn(n)
		if err == nil {
			return nil
		}
		var s settled
		if errors.As(err, &s) {
			return s
		}
		tried = append(tried, err)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), tried)
		}
		if errors.Is(err, ErrIntegrity) {
			c.log.WarnContext(ctx, "a node's answer does not hold", "error", err)
		}
	}
	if len(tried) == 1 {
		return tried[0]
	}
	return tried
}

// patiently is try, in several rounds while nodes are merely behind.
func (c *Client) patiently(ctx context.Context, fn func(Node) error) error {
	wait := firstPause
	for round := 1; ; round++ {
		err := c.try(ctx, fn)
		if err == nil || round == rounds || !errors.Is(err, ErrStale) || errors.Is(err, ErrBusy) {
			return err
		}
		if pause(ctx, wait) != nil {
			return err
		}
		wait = min(2*wait, maxPause)
	}
}

// pause waits, or returns the error of a context that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Register registers the caller's name, on the word of a member or one of its
// registrars, who signs. custodial says that the organisation's wallet holds
// the key, until its person takes it over. See [identity.RegisterArgs].
func (c *Client) Register(ctx context.Context, by crypto.Signer, custodial bool, attributes ...identity.Attribute) error {
	if err := c.herself(); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	args := identity.RegisterArgs{
		Name: c.wallet.Name(), Key: c.wallet.Public(),
		Possession: c.wallet.Possession(identity.MethodRegister), Controller: custodial, Attributes: identity.Sorted(attributes),
	}
	if _, err := c.submit(ctx, identity.Contract, identity.MethodRegister, args, nil, by); err != nil {
		return fmt.Errorf("register %s: %w", args.Name, err)
	}
	c.forget(args.Name)
	return nil
}
