package chain

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/replica"
)

const (
	chainID = "bench.ward"
	members = 3
)

// register is a contract with one value for each key.
type register struct{}

type putArgs struct {
	_     struct{} `cbor:",toarray"`
	Key   string
	Value []byte
}

func (register) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	var a putArgs
	if method != "put" || chain.Unmarshal(args, &a) != nil {
		return nil, chain.Code("kv/malformed")
	}
	return nil, call.State.Set([]byte(a.Key), a.Value)
}

// nothing is a contract that keeps no state: what is left is the chain.
type nothing struct{}

func (nothing) Apply(*ledger.Call, string, []byte) ([]byte, error) { return nil, nil }

// The contracts, by names of equal length: entries of both are of equal size.
const (
	contractRegister = "kv"
	contractNothing  = "no"
)

func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("key of " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func memberName(i int) string { return fmt.Sprintf("h%d", i) }

// consortium returns the founding file of members that listen at these addresses.
func consortium(peers []string) *chain.Consortium {
	n := len(peers)
	k := &chain.Consortium{
		Format: "ward/v1/consortium", Chain: chainID, Created: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyThreshold: n/3 + 1, CheckpointThreshold: (n+(n-1)/3)/2 + 1,
	}
	for i, at := range peers {
		name := memberName(i)
		k.Members = append(k.Members, chain.Member{
			Name: name, NodeKey: chain.PublicKey(keyOf(name).Public().(ed25519.PublicKey)), URL: "https://" + name + ".example", Peer: at,
		})
	}
	return k
}

// openMember opens the i-th member below dir. Everything is as in a hospital:
// mutual TLS on loopback, every signature verified, every write synced.
func openMember(ctx context.Context, dir string, i int, k *chain.Consortium, l net.Listener) (*replica.Replica, error) {
	name := memberName(i)
	network, err := replica.ListenTLS(l, keyOf(name), func() *chain.Consortium { return k }, nil)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return replica.Open(ctx, replica.Options{
		Dir: filepath.Join(dir, name), Member: name, Key: keyOf(name), Consortium: k,
		Contracts: map[string]ledger.Contract{contractRegister: register{}, contractNothing: nothing{}}, Network: network, Bootstrap: true, ScrubEvery: -1,
	})
}

// loopback is where everything listens.
const loopback = "127.0.0.1"

// listen takes n free ports of loopback.
func listen(n int) (listeners []net.Listener, addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", loopback+":0")
		if err != nil {
			return nil, nil, errors.Join(err, closeAll(listeners))
		}
		listeners, addresses = append(listeners, l), append(addresses, l.Addr().String())
	}
	return listeners, addresses, nil
}

func closeAll(listeners []net.Listener) (err error) {
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// wardChain is a chain of three members in this process.
type wardChain struct {
	nodes  []*replica.Replica
	leader *replica.Replica
	signer *signer
}

func startWard(ctx context.Context, dir string) (*wardChain, error) {
	listeners, addresses, err := listen(members)
	if err != nil {
		return nil, err
	}
	k := consortium(addresses)
	w := &wardChain{nodes: make([]*replica.Replica, members), signer: newSigner()}
	errs := make([]error, members)
	var all sync.WaitGroup
	for i := range members {
		all.Go(func() { w.nodes[i], errs[i] = openMember(ctx, dir, i, k, listeners[i]) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, w.close())
	}
	for w.leader == nil {
		for i, r := range w.nodes {
			if r.Status().Leader == memberName(i) {
				w.leader = r
			}
		}
		if err := pause(ctx); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

// pause waits a little for something that other processes or goroutines do.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}

func (w *wardChain) close() (err error) {
	for _, r := range w.nodes {
		if r != nil {
			err = errors.Join(err, r.Close())
		}
	}
	return err
}

func (w *wardChain) load(n, clients, batch int) (peer.Load, error) {
	txs, err := w.signer.sign(n)
	if err != nil {
		return peer.Load{}, err
	}
	return submit(w.leader, txs, clients, batch)
}

// stateless returns the same chain, given entries of the contract that keeps nothing.
func (w *wardChain) stateless() *wardChain {
	s := newSigner()
	s.contract = contractNothing
	return &wardChain{nodes: w.nodes, leader: w.leader, signer: s}
}

func submit(r *replica.Replica, txs []*chain.Tx, clients, batch int) (peer.Load, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return drive(len(txs), clients, batch, func(from, to int) error {
		if to-from == 1 {
			receipt, err := r.Submit(ctx, txs[from], nil)
			if err != nil {
				return err
			}
			return accepted(receipt)
		}
		return submitAll(ctx, r, txs[from:to])
	})
}

// submitAll puts a batch on the chain.
func submitAll(ctx context.Context, r *replica.Replica, txs []*chain.Tx) error {
	out, err := r.SubmitAll(ctx, txs, nil)
	for _, o := range out {
		if err == nil {
			err = o.Err
		}
		if err == nil {
			err = accepted(o.Receipt)
		}
	}
	return err
}

func accepted(r *chain.Receipt) error {
	if r.Result.Code != "" {
		return fmt.Errorf("refused: %s", r.Result.Code)
	}
	return nil
}

// signer makes entries of 512 bytes, all different, of 64 clients.
type signer struct {
	contract string
	keys     []ed25519.PrivateKey
	noise    []byte // that nothing compresses
	next     atomic.Int64
}

func newSigner() *signer {
	s := &signer{contract: contractRegister, noise: make([]byte, 1<<16)}
	for i := range 64 {
		s.keys = append(s.keys, keyOf(fmt.Sprint("client ", i)))
	}
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(s.noise) // never fails
	return s
}

// sign makes n entries, on all processors.
func (s *signer) sign(n int) ([]*chain.Tx, error) {
	txs := make([]*chain.Tx, n)
	err := s.each(n, func(i int, tx *chain.Tx) error {
		txs[i] = tx
		return nil
	})
	return txs, err
}

// each makes n entries, on all processors, and hands each to fn with its number
// until an error.
func (s *signer) each(n int, fn func(i int, tx *chain.Tx) error) error {
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				tx, err := s.one()
				if err == nil {
					err = fn(i, tx)
				}
				errs[w] = err
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// valueSize makes a transaction of 512 bytes.
const valueSize = 297

func (s *signer) one() (*chain.Tx, error) {
	i := int(s.next.Add(1))
	from := i * 61 % (len(s.noise) - valueSize)
	args, err := chain.Marshal(putArgs{Key: fmt.Sprintf("record/%010d", i), Value: s.noise[from : from+valueSize]})
	if err != nil {
		return nil, err
	}
	return chain.SignTx(chain.TxBody{
		Chain: chainID, Contract: s.contract, Method: "put", Args: args, NotAfter: time.Now().Add(10 * time.Minute).UnixMilli(),
	}, s.keys[i%len(s.keys)])
}

// bound is what no chain of three members that verifies can go below: the
// signatures alone, in batches of 1,000, on every member.
type bound struct{ signer *signer }

func (b bound) load(n, _, _ int) (peer.Load, error) {
	const batch = 1000
	n = max(n/batch, 1) * batch
	txs, err := b.signer.sign(n)
	if err != nil {
		return peer.Load{}, err
	}
	fresh := make([][]*chain.Tx, members) // a verified transaction is not verified again
	for m := range fresh {
		for _, tx := range txs {
			c := *tx
			fresh[m] = append(fresh[m], &c)
		}
	}
	return drive(n*members, runtime.GOMAXPROCS(0), batch, func(from, to int) error {
		for _, ok := range chain.VerifyTxs(fresh[from/n][from%n : from%n+batch]) {
			if !ok {
				return errors.New("a good signature was refused")
			}
		}
		return nil
	})
}
