// Package wardtest is a consortium in memory for tests of clients: the real
// contracts, the real cryptography, members that behave as they should, and no
// replication. A test makes nodes and members lie; see Node and World.Dishonest.
package wardtest

import (
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/wallet"
)

// A World is a consortium in memory. Its methods may be called concurrently;
// its fields are set before the nodes are used.
type World struct {
	TB    testing.TB
	Blobs *mem.Store // what the members store, together

	// Dishonest members answer requests with what is wrong but signed.
	Dishonest map[string]bool
	// Down members do not answer, do not accept grants and vouch for nothing.
	Down map[string]bool
	// Tardy members do not accept grants.
	Tardy map[string]bool

	mu        sync.Mutex
	chain     *ledgertest.Chain // guarded by mu
	members   *keystest.Members // guarded by mu
	transport map[string]*pre.TransportKey
	grants    map[string]map[consent.GrantID]*pre.Share // by member; guarded by mu
	executed  map[chain.Hash]uint64                     // guarded by mu
}

// New returns a consortium of n members that made their keys.
func New(tb testing.TB, n int) *World {
	tb.Helper()
	c := ledgertest.NewFrom(tb, keystest.Keyless(tb, n), contract.All())
	w := &World{
		TB: tb, Blobs: mem.New(), Dishonest: make(map[string]bool), Down: make(map[string]bool), Tardy: make(map[string]bool),
		chain: c, transport: make(map[string]*pre.TransportKey),
		grants: make(map[string]map[consent.GrantID]*pre.Share), executed: make(map[chain.Hash]uint64),
	}
	w.members = keystest.Found(tb, c)
	for _, m := range c.Consortium.Members {
		k, err := pre.GenerateTransportKey()
		if err != nil {
			tb.Fatal(err)
		}
		w.transport[m.Name] = k
		w.grants[m.Name] = make(map[consent.GrantID]*pre.Share)
		w.members.Must(m.Name, keys.Contract, keys.MethodAnnounce, keys.AnnounceArgs{Transport: k.Public()})
	}
	return w
}

// Founding is the consortium file of epoch 0.
func (w *World) Founding() *chain.Consortium { return w.chain.Founding }

// Current is the consortium file in force.
func (w *World) Current() *chain.Consortium {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.chain.Consortium
}

// Members are the names of the members.
func (w *World) Members() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, m := range w.chain.Consortium.Members {
		out = append(out, m.Name)
	}
	return out
}

// Key is a member's node key.
func (w *World) Key(member string) crypto.Signer { return ledgertest.Key(member) }

// Now is the time of the next block, which is every clock's here.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.chain.Now
}

// Advance moves the clock.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chain.Now = w.chain.Now.Add(d)
}

// Change replaces the consortium file, endorsed by all members.
func (w *World) Change(edit func(*chain.Consortium)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members.Change(edit)
}

// Client returns a client for a wallet that trusts the founding file and talks
// to these nodes, or to the first member's if there are none.
func (w *World) Client(wal *wallet.Wallet, nodes ...ward.Node) *ward.Client {
	w.TB.Helper()
	return w.ClientWith(wal, nil, nodes...)
}

// ClientWith is Client with a log.
func (w *World) ClientWith(wal *wallet.Wallet, log *slog.Logger, nodes ...ward.Node) *ward.Client {
	w.TB.Helper()
	if len(nodes) == 0 {
		nodes = []ward.Node{w.Node(w.Founding().Members[0].Name)}
	}
	c, err := ward.New(ward.Options{Consortium: w.Founding(), Wallet: wal, Nodes: nodes, Clock: w.Now, Log: log})
	if err != nil {
		w.TB.Fatal(err)
	}
	return c
}

// Register returns the wallet of a name that it registers.
func (w *World) Register(name identity.Name, attributes ...string) *wallet.Wallet {
	w.TB.Helper()
	wal, err := wallet.Generate(w.Founding().Chain, name)
	if err != nil {
		w.TB.Fatal(err)
	}
	w.RegisterWallet(wal, false, attributes...)
	return wal
}

// RegisterWallet registers the name of a wallet; custodial says that its
// organisation holds it.
func (w *World) RegisterWallet(wal *wallet.Wallet, custodial bool, attributes ...string) {
	w.TB.Helper()
	var list []identity.Attribute
	for _, a := range attributes {
		list = append(list, identity.Attribute{Name: a})
	}
	if err := w.Client(wal).Register(context.Background(), w.Key(wal.Name().Org()), custodial, list...); err != nil {
		w.TB.Fatal(err)
	}
}

// Of reads the namespace of a contract.
func (w *World) of(name string) ledger.Reader { return keystest.Of(w.chain, name) }

// Must runs a transaction that has to succeed, signed by a member.
func (w *World) Must(member, contract, method string, args any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members.Must(member, contract, method, args)
	w.react()
}

// Accept has the tardy members accept every grant that they hold a share of.
func (w *World) Accept() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.Tardy)
	w.react()
}

// submit executes a transaction that was not executed before, and has the
// members do what they do then. The caller holds mu.
func (w *World) submit(tx *chain.Tx, sidecar []byte) (index uint64, err error) {
	if index, ok := w.executed[tx.ID()]; ok {
		return index, nil
	}
	index = w.chain.Head.Header.Size
	w.chain.Now = w.chain.Now.Add(time.Millisecond)
	w.chain.Apply(w.chain.Entry([]*chain.Tx{tx}, [][]byte{sidecar}))
	w.executed[tx.ID()] = index
	if tx.Contract == consent.Contract && tx.Method == consent.MethodGrant {
		w.receive(index)
	}
	w.react()
	return index, nil
}

// receive has every member open its share of a new grant.
func (w *World) receive(index uint64) {
	sidecar, ok := w.chain.Sidecars[index]
	if !ok {
		return // the grant was refused
	}
	r := w.chain.Receipt(index, w.chain.Checkpoint())
	tx, err := chain.ParseTx(r.Tx)
	if err != nil {
		w.TB.Fatal(err)
	}
	var args consent.GrantArgs
	var sealed [][]byte
	if err := chain.Unmarshal(tx.Args, &args); err != nil {
		w.TB.Fatal(err)
	}
	dealt, err := pre.ParseGrant(args.Grant)
	if err != nil {
		w.TB.Fatal(err)
	}
	if chain.Unmarshal(sidecar, &sealed) != nil {
		return
	}
	a := w.authority()
	for i, m := range a.Members {
		if i < len(sealed) && !w.Down[m] {
			if s, err := w.transport[m].OpenShare(sealed[i], dealt, uint8(i+1)); err == nil {
				w.grants[m][consent.GrantID(dealt.ID())] = s
			}
		}
	}
}

// react has the members accept the grants that wait for their word.
func (w *World) react() {
	for _, m := range w.chain.Consortium.Members {
		if w.Down[m.Name] || w.Tardy[m.Name] {
			continue
		}
		var accepts []consent.Accept
		for id := range w.grants[m.Name] {
			g, err := consent.Lookup(w.of(consent.Contract), id)
			a := w.authority()
			if err != nil || g.Ended != 0 || slices.Contains(g.Accepted, a.Index(m.Name)) {
				continue
			}
			accepts = append(accepts, consent.Accept{Grant: id, OK: true})
		}
		if len(accepts) > 0 {
			slices.SortFunc(accepts, func(a, b consent.Accept) int {
				if a.Grant < b.Grant {
					return -1
				}
				return 1
			})
			w.members.Must(m.Name, consent.Contract, consent.MethodAccept, consent.AcceptArgs{Accepts: accepts})
		}
	}
}

func (w *World) authority() *keys.Authority {
	a, err := keys.Current(w.of(keys.Contract))
	if err != nil || a == nil {
		w.TB.Fatal("no authority", err)
	}
	return a
}

// Payload returns size bytes that follow from a seed.
func Payload(seed string, size int) []byte {
	out := make([]byte, 0, size+sha256.Size)
	for i := 0; len(out) < size; i++ {
		sum := sha256.Sum256([]byte(fmt.Sprint(seed, i)))
		out = append(out, sum[:]...)
	}
	return out[:size]
}

// Again puts a transaction that was executed on the chain once more, as a
// dishonest leader could, and returns the receipt of the second leaf.
func (w *World) Again(tx *chain.Tx, sidecar []byte) *chain.Receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	index := w.chain.Head.Header.Size
	w.chain.Apply(w.chain.Entry([]*chain.Tx{tx}, [][]byte{sidecar}))
	return w.chain.Receipt(index, w.chain.Checkpoint())
}

// Uncertified is the newest checkpoint with too few cosignatures.
func (w *World) Uncertified() *chain.Checkpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	cp := *w.chain.Checkpoint()
	cp.Signatures = cp.Signatures[:1]
	return &cp
}
