// Package devnet runs a whole consortium in one process: for the demonstration,
// for trying things out, and for tests. The nodes are real, each with a
// directory, a vault and a replica of its own; they agree on blocks, make their
// keys in a ceremony and serve as they would in hospitals.
//
// What it is not is safe: one person holds all keys.
package devnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/vault"
)

// Options set up a devnet. Zero fields mean the default.
type Options struct {
	// Members is how many there are. 0 means four.
	Members int
	// Dir holds the consortium file, "consortium.json", and a directory for
	// every member. What is there is opened again. "" means a temporary
	// directory that Close removes.
	Dir string
	// Chain is the id of a new chain. "" means "devnet.ward".
	Chain string
	// HTTP serves every node's API on a loopback port, lets the nodes speak to
	// each other over it, and connects the replicas over loopback too. Without
	// it nothing leaves the process.
	HTTP bool
	// WithoutKeys leaves the first key ceremony to the caller.
	WithoutKeys bool
	// Passphrase seals the vaults. nil means "devnet".
	Passphrase []byte
	// Log receives what all nodes say; nil discards it.
	Log *slog.Logger
	// Node changes the configuration of a node before it is opened.
	Node func(*node.Config)
	// Latency is asked for every message between replicas how long it is on its
	// way. nil means no time. Without HTTP only.
	Latency func() time.Duration
}

// Windows are the phases of a devnet's key ceremonies. Only the one for
// complaints is waited for to its end.
var Windows = [4]keys.Window{{Milliseconds: 60_000}, {Milliseconds: 60_000}, {Milliseconds: 50}, {Milliseconds: 60_000}}

// A Devnet is a running consortium. Its methods may be called concurrently,
// those that stop and start the same member excepted.
type Devnet struct {
	opt      Options
	dir      string
	temp     bool
	founding *chain.Consortium
	net      *memNet

	mu      sync.Mutex
	members []*member // guarded by mu; in the order of the consortium file
	known   *chain.Consortium
	silent  map[string]bool // guarded by mu; see Silence
}

// member is one member's node, running or not.
type member struct {
	name   string
	node   *node.Node // nil while stopped
	cancel context.CancelFunc
	ended  chan error
}

// New starts a devnet and returns when every node is ready: caught up, with a
// leader, and with keys unless Options say otherwise.
func New(ctx context.Context, opt Options) (_ *Devnet, err error) {
	if opt.Members == 0 {
		opt.Members = 4
	}
	if opt.Chain == "" {
		opt.Chain = "devnet.ward"
	}
	if opt.Passphrase == nil {
		opt.Passphrase = []byte("devnet")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	d := &Devnet{opt: opt, dir: opt.Dir, net: newMemNet(opt.Latency), silent: map[string]bool{}}
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "ward-devnet-"); err != nil {
			return nil, fmt.Errorf("devnet: %w", err)
		}
		d.temp = true
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("devnet: %w", err), d.Close())
		}
	}()
	listeners, err := d.found()
	if err != nil {
		return nil, err
	}
	d.known = d.founding
	for i := range d.founding.Members {
		d.members = append(d.members, &member{name: d.founding.Members[i].Name})
	}
	if err := d.startAll(ctx, listeners); err != nil {
		return nil, err
	}
	return d, d.waitReady(ctx)
}

// MemberName returns the name of one of n members, in the order of the
// consortium file.
func MemberName(i, n int) string {
	if n <= 4 {
		return [...]string{"east", "north", "south", "west"}[i]
	}
	return fmt.Sprintf("hospital-%02d", i+1)
}

// found reads the founding file, or makes it with everybody's vault.
func (d *Devnet) found() (map[string]*listeners, error) {
	path := filepath.Join(d.dir, "consortium.json")
	if data, err := os.ReadFile(path); err == nil {
		d.founding, err = chain.ParseConsortium(data)
		return nil, err
	}
	all := map[string]*listeners{}
	var cards []*node.Card
	for i := range d.opt.Members {
		name := MemberName(i, d.opt.Members)
		card, l, err := d.newMember(name)
		if err != nil {
			return nil, err
		}
		cards, all[name] = append(cards, card), l
	}
	var err error
	if d.founding, err = node.NewConsortium(d.opt.Chain, time.Now().Add(-time.Second), 0, cards); err != nil {
		return nil, err
	}
	data, err := d.founding.Bytes()
	if err != nil {
		return nil, err
	}
	return all, durable.WriteFile(path, data, 0o644)
}

// newMember makes the directory of a member and finds ports for it.
func (d *Devnet) newMember(name string) (*node.Card, *listeners, error) {
	l := &listeners{}
	url, peer := "https://"+name+".invalid", "127.0.0.1:1"
	if d.opt.HTTP {
		var err error
		if l, err = listen("127.0.0.1:0", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		url, peer = "https://"+l.api.Addr().String(), l.peer.Addr().String()
	}
	card, err := node.Init(node.InitOptions{
		Dir: filepath.Join(d.dir, name), Member: name, URL: url, Peer: peer,
		Passphrase: d.opt.Passphrase, Vault: vault.Options{WorkFactor: 8},
	})
	if err != nil {
		l.close()
	}
	return card, l, err
}

// listeners are a node's two ports.
type listeners struct{ api, peer net.Listener }

func listen(api, peer string) (*listeners, error) {
	a, err := net.Listen("tcp", api)
	if err != nil {
		return nil, err
	}
	p, err := net.Listen("tcp", peer)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return &listeners{a, p}, nil
}

func (l *listeners) close() {
	if l != nil && l.api != nil {
		l.api.Close()
		l.peer.Close()
	}
}

// startAll opens all nodes at once: each waits for others.
func (d *Devnet) startAll(ctx context.Context, all map[string]*listeners) error {
	errs := make([]error, len(d.members))
	var wg sync.WaitGroup
	for i, m := range d.members {
		wg.Go(func() { errs[i] = d.start(ctx, m, all[m.name]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// start opens a member's node and runs it.
func (d *Devnet) start(ctx context.Context, m *member, l *listeners) (err error) {
	file := d.Consortium()
	cfg := node.Config{
		Dir: filepath.Join(d.dir, m.name), Member: m.name, Founding: d.founding, Known: file, Log: d.opt.Log.With("node", m.name),
		Passphrase: func(context.Context) ([]byte, error) { return append([]byte(nil), d.opt.Passphrase...), nil },
		Turn:       200 * time.Millisecond, Version: "devnet",
		Network: func(node.Self) (replica.Network, error) { return d.net.node(m.name), nil },
		Peers:   func(node.Self) (node.Peers, error) { return &peers{d, m.name}, nil },
		Replica: func(o *replica.Options) { o.Heartbeat, o.MinFree = 300*time.Millisecond, -1 },
	}
	if d.opt.HTTP {
		if l == nil {
			if l, err = d.relisten(file, m.name); err != nil {
				return err
			}
		}
		cfg.API, cfg.Peers = l.api, nil
		cfg.Network = func(self node.Self) (replica.Network, error) {
			return replica.ListenTLS(l.peer, self.Key, self.Consortium, cfg.Log)
		}
	}
	if d.opt.Node != nil {
		d.opt.Node(&cfg)
	}
	n, err := node.Open(ctx, cfg)
	if err != nil {
		l.close()
		return fmt.Errorf("start %s: %w", m.name, err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	d.mu.Lock()
	m.node, m.cancel, m.ended = n, cancel, ended
	d.mu.Unlock()
	go func() { ended <- n.Run(running) }()
	return nil
}

// relisten takes the ports that the consortium file has for a member.
func (d *Devnet) relisten(k *chain.Consortium, name string) (*listeners, error) {
	m := k.Member(name)
	if m == nil {
		return nil, fmt.Errorf("%s is no member", name)
	}
	return listen(m.URL[len("https://"):], m.Peer)
}

// waitReady holds the first ceremony, unless that was done before, and waits
// until all nodes are ready.
func (d *Devnet) waitReady(ctx context.Context) error {
	if !d.opt.WithoutKeys && len(d.Consortium().ExtractionKey) == 0 {
		_, err := d.members[0].node.OpenCeremony(ctx, Windows)
		if err != nil && !errors.Is(err, keys.ErrRunning) && !errors.Is(err, keys.ErrNumber) {
			return err
		}
	}
	return d.Wait(ctx, func() bool {
		for _, m := range d.running() {
			s := m.node.Status()
			if !s.Fresh || s.Leader == "" || !d.opt.WithoutKeys && (m.node.Ready() != nil || s.Ceremony != "completed") {
				return false
			}
		}
		return true
	})
}

// Wait returns when ok does.
func (d *Devnet) Wait(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (d *Devnet) running() (list []*member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.members {
		if m.node != nil {
			list = append(list, m)
		}
	}
	return list
}
