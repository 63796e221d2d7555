// Package apitest has a member's node in memory, for tests of what speaks to
// one: a chain of ledgertest whose other members sign what this one says, blobs
// in memory, and a state that the test writes down. It keeps the contract of
// api.Backend, but not the rules of the contracts: a transaction does what its
// arguments say.
package apitest

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/mem"
)

// A Script is the arguments of every transaction: what it leads to.
type Script struct {
	_      struct{} `cbor:",toarray"`
	Code   chain.Code
	Value  []byte
	Events []Event
}

// An Event is one that a Script emits.
type Event struct {
	_    struct{} `cbor:",toarray"`
	Kind string
	Data []byte
}

// Emit returns a script that emits one event with the encoding of v.
func Emit(tb testing.TB, kind string, v any) Script {
	tb.Helper()
	b, err := chain.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return Script{Events: []Event{{Kind: kind, Data: b}}}
}

// scripted is the contract that does what scripts say.
type scripted struct{}

func (scripted) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	var s Script
	if err := chain.Unmarshal(args, &s); err != nil {
		return nil, chain.Code("script/malformed")
	}
	if s.Code != "" {
		return nil, s.Code
	}
	for _, e := range s.Events {
		call.Emit(e.Kind, e.Data)
	}
	return s.Value, nil
}

// A World is the state about which questions are asked.
type World struct {
	Identities []identity.Identity
	Records    []record.Record
	Grants     []query.GrantState
	Requests   []consent.Request
	Accesses   []consent.Access
	Instances  []workflow.Instance
	Took       map[workflow.ID][]identity.Name // who took steps of an instance, besides its starter
}

// A Node is a member's node in memory. It implements api.Backend.
type Node struct {
	Mem *mem.Store // LocalBlobs, and Blobs

	name  string
	clock func() time.Time

	mu    sync.Mutex
	chain *ledgertest.Chain     // guarded by mu
	world World                 // guarded by mu
	fail  map[string]error      // guarded by mu; by method
	index map[chain.Hash]uint64 // guarded by mu
}

var _ api.Backend = (*Node)(nil)

// New returns the node of a member, "east", "north", "south" or "west".
func New(tb testing.TB, name string, clock func() time.Time) *Node {
	tb.Helper()
	contracts := make(map[string]ledger.Contract)
	for _, c := range []string{identity.Contract, record.Contract, consent.Contract, keys.Contract, workflow.Contract} {
		contracts[c] = scripted{}
	}
	n := &Node{
		Mem: mem.New(), name: name, clock: clock,
		chain: ledgertest.New(tb, contracts), fail: make(map[string]error), index: make(map[chain.Hash]uint64),
	}
	n.chain.Now = clock()
	n.chain.Run(n.chain.Tx(name, keys.Contract, keys.MethodAnnounce, Script{}))
	n.chain.Checkpoint()
	return n
}

// Now returns the time of the node's clock.
func (n *Node) Now() time.Time { return n.clock() }

// Set changes the state.
func (n *Node) Set(change func(*World)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.world)
}

// SetMembers puts another consortium in force, which the chain knows nothing
// of.
func (n *Node) SetMembers(k *chain.Consortium) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chain.Consortium = k
}

// Fail makes a method of the node return err, until that is nil again.
func (n *Node) Fail(method string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail[method] = err
}

func (n *Node) failure(method string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fail[method]
}

// Tx returns a transaction that does what the script says, signed by the key
// that ledgertest has for a name.
func (n *Node) Tx(signer, contract, method string, s Script, sidecar []byte) *chain.Tx {
	n.mu.Lock()
	defer n.mu.Unlock()
	args, err := chain.Marshal(s)
	if err != nil {
		panic(err)
	}
	n.chain.Now = n.clock()
	body := chain.TxBody{Contract: contract, Method: method, Args: args}
	if body.Sidecar, err = chain.NewSidecar(sidecar); err != nil {
		panic(err)
	}
	return n.chain.TxWith(signer, body)
}

// Submit implements ward.Node.
func (n *Node) Submit(ctx context.Context, tx *chain.Tx, sidecar []byte) (*chain.Receipt, error) {
	if err := errors.Join(context.Cause(ctx), n.failure("Submit")); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	index, known := n.index[tx.ID()]
	if !known {
		n.chain.Now = n.clock()
		out := n.chain.Apply(n.chain.Entry([]*chain.Tx{tx}, [][]byte{sidecar}))
		index = out.Block.Header.Size - 1
		n.index[tx.ID()] = index
		n.chain.Checkpoint()
	}
	return n.receipt(index)
}

// Grow adds a block of transactions that do nothing.
func (n *Node) Grow(transactions int) {
	var txs []*chain.Tx
	for range transactions {
		txs = append(txs, n.Tx(n.name, keys.Contract, keys.MethodAnnounce, Script{}, nil))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chain.Run(txs...)
	n.chain.Checkpoint()
}

// newest is called with mu held.
func (n *Node) newest() *chain.Checkpoint {
	return n.chain.Checkpoints[n.chain.Head.Header.Height]
}

// receipt is called with mu held.
func (n *Node) receipt(index uint64) (*chain.Receipt, error) {
	if index >= n.newest().Size {
		return nil, ward.ErrNotFound
	}
	return n.chain.Receipt(index, n.newest()), nil
}

// Ask implements ward.Node.
func (n *Node) Ask(ctx context.Context, question []byte) (*query.Answer, error) {
	if err := n.failure("Ask"); err != nil {
		return nil, err
	}
	var a query.Answer
	for _, member := range []string{"east", "north"} {
		value, code, att, err := n.attest(member, question)
		if err != nil {
			return nil, err
		}
		a.Value, a.Code = value, code
		a.Attestations = append(a.Attestations, att)
	}
	cp, err := n.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	a.Checkpoint, err = cp.Bytes()
	return &a, err
}

func (n *Node) attest(member string, question []byte) ([]byte, chain.Code, query.Attestation, error) {
	q, err := query.Parse(question)
	if err != nil {
		return nil, "", query.Attestation{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	value, code, err := n.world.answer(q)
	if err != nil {
		return nil, "", query.Attestation{}, err
	}
	a, err := query.Attest(n.chain.Consortium, member, n.chain.Head.Header, question, value, code, n.clock(), ledgertest.Key(member))
	return value, code, a, err
}

// Receipt implements ward.Node.
func (n *Node) Receipt(_ context.Context, index uint64) (*chain.Receipt, error) {
	if err := n.failure("Receipt"); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.receipt(index)
}

// Sidecar implements ward.Node.
func (n *Node) Sidecar(_ context.Context, index uint64) ([]byte, error) {
	if err := n.failure("Sidecar"); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	b, ok := n.chain.Sidecars[index]
	if !ok {
		return nil, ward.ErrNotFound
	}
	return b, nil
}

// Consortium implements ward.Node: nothing has replaced the founding file.
func (n *Node) Consortium(_ context.Context, epoch uint64) ([][]byte, error) {
	if err := n.failure("Consortium"); err != nil {
		return nil, err
	}
	return [][]byte{}, nil
}

// Checkpoint implements ward.Node.
func (n *Node) Checkpoint(context.Context) (*chain.Checkpoint, error) {
	if err := n.failure("Checkpoint"); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.newest(), nil
}

// PartialKeys implements ward.Node.
func (n *Node) PartialKeys(_ context.Context, index uint64, without []string) ([]ward.Part, error) {
	return n.gather("PartialKeys", index, without)
}

// Answers implements ward.Node.
func (n *Node) Answers(_ context.Context, index uint64, without []string) ([]ward.Part, error) {
	return n.gather("Answers", index, without)
}

func (n *Node) gather(method string, index uint64, without []string) ([]ward.Part, error) {
	if err := n.failure(method); err != nil {
		return nil, err
	}
	var parts []ward.Part
	for _, member := range ledgertest.Members(4) {
		if !slices.Contains(without, member) {
			p, err := n.part(member, index)
			if err != nil {
				return nil, err
			}
			parts = append(parts, p)
		}
	}
	if len(parts) < 3 {
		return nil, ward.ErrShares
	}
	return parts, nil
}

func (n *Node) part(member string, index uint64) (ward.Part, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, err := n.receipt(index)
	if err != nil {
		return ward.Part{}, err
	}
	tx, err := chain.ParseTx(r.Tx)
	if err != nil {
		return ward.Part{}, err
	}
	p := ward.Part{
		Member: member, Index: uint8(slices.Index(ledgertest.Members(4), member) + 1), Generation: 1,
		Sealed: fmt.Appendf(nil, "sealed by %s for %d", member, index),
	}
	return p, p.Sign(n.chain.Consortium.Chain, tx.ID(), ledgertest.Key(member))
}

// Accessed implements ward.Node: it gives the records of the world.
func (n *Node) Accessed(_ context.Context, index uint64) ([]ward.Sealed, error) {
	if err := n.failure("Accessed"); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	sealed := []ward.Sealed{}
	for _, r := range n.world.Records {
		sealed = append(sealed, ward.Sealed{Record: r, Index: []byte("sealed index of " + r.ID)})
	}
	return sealed, nil
}

// Export implements ward.Node.
func (n *Node) Export(_ context.Context, w io.Writer) error {
	n.mu.Lock()
	b := n.chain.Export()
	n.mu.Unlock()
	err := n.failure("Export")
	if err != nil {
		b = b[:len(b)/2]
	}
	_, failed := w.Write(b)
	return errors.Join(failed, err)
}

// Blobs implements ward.Node.
func (n *Node) Blobs() store.Store { return n.Mem }

// Member implements api.Backend.
func (n *Node) Member() string { return n.name }

// Members implements api.Backend.
func (n *Node) Members() *chain.Consortium {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.chain.Consortium
}

// Identify implements api.Backend.
func (n *Node) Identify(_ context.Context, key chain.PublicKey) (identity.Caller, error) {
	if err := n.failure("Identify"); err != nil {
		return identity.Caller{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.chain.Consortium.MemberByKey(key); m != nil {
		return identity.Caller{Member: m}, nil
	}
	for _, id := range n.world.Identities {
		if id.Key == key {
			return identity.Caller{Identity: &id}, nil
		}
	}
	return identity.Caller{}, identity.ErrUnknown
}

// Attest implements api.Backend.
func (n *Node) Attest(_ context.Context, question []byte) ([]byte, chain.Code, query.Attestation, error) {
	if err := n.failure("Attest"); err != nil {
		return nil, "", query.Attestation{}, err
	}
	return n.attest(n.name, question)
}

// PartialKey implements api.Backend.
func (n *Node) PartialKey(_ context.Context, index uint64) (ward.Part, error) {
	if err := n.failure("PartialKey"); err != nil {
		return ward.Part{}, err
	}
	return n.part(n.name, index)
}

// AnswerAccess implements api.Backend.
func (n *Node) AnswerAccess(_ context.Context, index uint64) (ward.Part, error) {
	if err := n.failure("AnswerAccess"); err != nil {
		return ward.Part{}, err
	}
	return n.part(n.name, index)
}

// SignHead implements api.Backend: a signature that means nothing.
func (n *Node) SignHead(_ context.Context, height uint64) ([]byte, error) {
	if err := n.failure("SignHead"); err != nil {
		return nil, err
	}
	return ledgertest.Key(n.name).Sign(nil, fmt.Appendf(nil, "head %d", height), crypto.Hash(0))
}

// Endorse implements api.Backend.
func (n *Node) Endorse(_ context.Context, next *chain.Consortium) (chain.Endorsement, error) {
	if err := n.failure("Endorse"); err != nil {
		return chain.Endorsement{}, err
	}
	return chain.Endorse(next, n.name, ledgertest.Key(n.name))
}

// ReadHashes implements tlog.HashReader.
func (n *Node) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.chain.Hashes.ReadHashes(indexes)
}

// LocalBlobs implements api.Backend.
func (n *Node) LocalBlobs() store.Store { return n.Mem }

// Referenced implements api.Backend.
func (n *Node) Referenced(_ context.Context, ref store.Ref) (bool, error) {
	if err := n.failure("Referenced"); err != nil {
		return false, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.world.Records, func(r record.Record) bool {
		return r.Erased == 0 && bytes.Equal(r.Payload, ref.Bytes())
	}), nil
}

// Live implements api.Backend.
func (n *Node) Live() error { return n.failure("Live") }

// Ready implements api.Backend.
func (n *Node) Ready() error { return n.failure("Ready") }

// Status implements api.Backend.
func (n *Node) Status() api.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.chain.Head.Header
	return api.Status{
		Member: n.name, Chain: h.Chain, Version: "test", Leader: "east",
		Height: h.Height, Certified: n.newest().Height, Size: h.Size, Fresh: true, Generation: 1,
	}
}
