// Package ledgertest runs contracts on a chain in memory, for tests: a
// consortium with known keys, a clock that stands still until it is set, one
// block per call, certified checkpoints and receipts. It replicates nothing.
package ledgertest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/internal/pairing"
)

// Key returns the Ed25519 key that belongs to a name: the same in every run.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("ledgertest key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Public returns the public half of Key.
func Public(name string) chain.PublicKey {
	return chain.PublicKey(Key(name).Public().(ed25519.PublicKey))
}

// State is a key-value state in memory. It implements ledger.Reader. The zero
// State is empty.
type State struct {
	keys   []string
	values map[string][]byte
}

// Get implements ledger.Reader.
func (s *State) Get(key []byte) ([]byte, error) { return s.values[string(key)], nil }

// Scan implements ledger.Reader.
func (s *State) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	from := max(string(prefix), string(start))
	for i := sort.SearchStrings(s.keys, from); i < len(s.keys) && strings.HasPrefix(s.keys[i], string(prefix)); i++ {
		if !fn([]byte(s.keys[i]), s.values[s.keys[i]]) {
			return nil
		}
	}
	return nil
}

// Apply makes the writes.
func (s *State) Apply(writes []ledger.Write) {
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	for _, w := range writes {
		k := string(w.Key)
		i, ok := slices.BinarySearch(s.keys, k)
		switch {
		case w.Value == nil && ok:
			s.keys = slices.Delete(s.keys, i, i+1)
			delete(s.values, k)
		case w.Value != nil && !ok:
			s.keys = slices.Insert(s.keys, i, k)
			s.values[k] = w.Value
		case w.Value != nil:
			s.values[k] = w.Value
		}
	}
}

// Digest returns the digest of the whole state, counted anew.
func (s *State) Digest() *ledger.Digest {
	d := new(ledger.Digest)
	for _, k := range s.keys {
		d.Add([]byte(k), s.values[k])
	}
	return d
}

// Hashes are the stored hashes of a tree. They implement tlog.HashReader.
type Hashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (h Hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(h)) {
			return nil, fmt.Errorf("hash %d is not stored", x)
		}
		out[i] = h[x]
	}
	return out, nil
}

// A Chain is a chain in memory. Its fields may be read at any time; Now may be
// set.
type Chain struct {
	Consortium  *chain.Consortium // in force for the next block
	Now         time.Time         // time of the next block
	Head        *ledger.Head
	State       State
	Hashes      Hashes
	Blocks      []*chain.Block
	Checkpoints map[uint64]*chain.Checkpoint // by height, those made by Checkpoint
	Sidecars    map[uint64][]byte            // kept ones, by leaf index
	Executor    *ledger.Executor
	Founding    *chain.Consortium
	Genesis     chain.Header

	tb         testing.TB
	nonce      uint64
	signer     *pairing.Secret
	certifiers *chain.Consortium // in force for the head
}

// Members are the names of the consortium's members.
func Members(n int) []string {
	return []string{"east", "north", "south", "west", "x5", "x6", "x7"}[:n]
}

// Consortium returns the founding file of a chain of n members, 1 to 7, with a
// checkpoint key.
func Consortium(tb testing.TB, n int) *chain.Consortium {
	tb.Helper()
	v := pairing.GeneratorG1ConstantTime().Mul(pairing.NewSecret(4711)).Bytes()
	p := pairing.GeneratorG1ConstantTime().Mul(pairing.NewSecret(4712)).Bytes()
	k := &chain.Consortium{
		Format: "ward/v1/consortium", Chain: "records.example",
		Created:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		KeyThreshold: n/2 + 1, CheckpointThreshold: (n+(n-1)/3)/2 + 1,
		ExtractionKey: p[:], CheckpointKey: v[:],
	}
	for _, name := range Members(n) {
		k.Members = append(k.Members, chain.Member{
			Name: name, NodeKey: Public(name), URL: "https://" + name + ".example", Peer: name + ".example:7700",
		})
	}
	if _, err := k.Bytes(); err != nil {
		tb.Fatal(err)
	}
	return k
}

// New returns a chain of four members that runs these contracts.
func New(tb testing.TB, contracts map[string]ledger.Contract) *Chain {
	tb.Helper()
	return NewFrom(tb, Consortium(tb, 4), contracts)
}

// NewFrom is New for a founding file made by Consortium.
func NewFrom(tb testing.TB, k *chain.Consortium, contracts map[string]ledger.Contract) *Chain {
	tb.Helper()
	x, err := ledger.NewExecutor(contracts)
	if err != nil {
		tb.Fatal(err)
	}
	head, writes, err := ledger.Genesis(k)
	if err != nil {
		tb.Fatal(err)
	}
	c := &Chain{
		Consortium: k, Founding: k, Now: k.Created.Add(time.Second), Head: head, Genesis: head.Header, Executor: x,
		Checkpoints: make(map[uint64]*chain.Checkpoint), Sidecars: make(map[uint64][]byte),
		tb: tb, signer: pairing.NewSecret(4711), certifiers: k,
	}
	c.State.Apply(writes)
	return c
}

// Tx returns a transaction signed by the key of this name, valid for a minute,
// with a nonce of its own. Args are encoded unless they are bytes.
func (c *Chain) Tx(signer, contract, method string, args any) *chain.Tx {
	c.tb.Helper()
	return c.TxWith(signer, chain.TxBody{Contract: contract, Method: method, Args: c.encode(args)})
}

// TxWith is Tx for a body in which zero fields are filled in.
func (c *Chain) TxWith(signer string, body chain.TxBody) *chain.Tx {
	c.tb.Helper()
	if body.Chain == "" {
		body.Chain = c.Consortium.Chain
	}
	if body.NotAfter == 0 {
		body.NotAfter = c.Now.Add(time.Minute).UnixMilli()
	}
	if body.Nonce == ([16]byte{}) {
		c.nonce++
		binary.BigEndian.PutUint64(body.Nonce[8:], c.nonce)
	}
	tx, err := chain.SignTx(body, Key(signer))
	if err != nil {
		c.tb.Fatal(err)
	}
	return tx
}

func (c *Chain) encode(args any) []byte {
	if b, ok := args.([]byte); ok {
		return b
	}
	b, err := chain.Marshal(args)
	if err != nil {
		c.tb.Fatal(err)
	}
	return b
}

// Entry returns the entry for a block of these transactions, proposed by the
// first member. Sidecars has one element per transaction or is nil.
func (c *Chain) Entry(txs []*chain.Tx, sidecars [][]byte) *chain.Entry {
	c.tb.Helper()
	h := c.Head.Header
	e, err := chain.SignEntry(h.Chain, h.Height, h.Hash(), c.Now.UnixMilli(), txs, sidecars, Key(c.Consortium.Members[0].Name))
	if err != nil {
		c.tb.Fatal(err)
	}
	return e
}

// Run appends a block of these transactions and returns their results.
func (c *Chain) Run(txs ...*chain.Tx) []chain.Result {
	c.tb.Helper()
	return c.Apply(c.Entry(txs, nil)).Block.Results
}

// Apply appends the block of an entry.
func (c *Chain) Apply(e *chain.Entry) *ledger.Outcome {
	c.tb.Helper()
	out, err := c.Executor.Apply(c.Head, &c.State, e)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.Commit(out)
	return out
}

// Commit makes an outcome part of the chain.
func (c *Chain) Commit(out *ledger.Outcome) {
	c.tb.Helper()
	c.State.Apply(out.Writes)
	c.Hashes = append(c.Hashes, out.Hashes...)
	c.Head = out.Head
	c.Blocks = append(c.Blocks, out.Block)
	for _, s := range out.Sidecars {
		c.Sidecars[s.Index] = s.Data
	}
	for _, i := range out.Purge {
		delete(c.Sidecars, i)
	}
	k, err := ledger.InForce(&c.State)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.Consortium, c.certifiers = k, out.Consortium
}

// Checkpoint certifies the head with the cosignatures of enough members.
func (c *Chain) Checkpoint() *chain.Checkpoint {
	c.tb.Helper()
	k := c.certifiers
	cp := &chain.Checkpoint{TreeHead: c.Head.Header.TreeHead()}
	for _, m := range k.Members[:k.CheckpointThreshold] {
		s, err := k.Cosign(cp.TreeHead, m.Name, c.Now.Unix(), Key(m.Name))
		if err != nil {
			c.tb.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, s)
	}
	c.Checkpoints[cp.Height] = cp
	return cp
}

// Condensed certifies the head with one threshold signature.
func (c *Chain) Condensed() *chain.Checkpoint {
	c.tb.Helper()
	head := c.Head.Header.TreeHead()
	sig := c.signer.MulG2(pairing.HashToG2(pairing.DSTSignature, head.ThresholdMessage())).Bytes()
	s, err := c.Consortium.ThresholdSignature(head, sig[:])
	if err != nil {
		c.tb.Fatal(err)
	}
	return &chain.Checkpoint{TreeHead: head, Signatures: []chain.Signature{s}}
}

// Receipt returns the receipt of the leaf at index under a checkpoint.
func (c *Chain) Receipt(index uint64, cp *chain.Checkpoint) *chain.Receipt {
	c.tb.Helper()
	for _, b := range c.Blocks {
		first := b.Header.Size - uint64(len(b.Results))
		if index >= first && index < b.Header.Size {
			r, err := chain.NewReceipt(b.Proposal.Txs[index-first], &b.Results[index-first], index, cp, c.Hashes)
			if err != nil {
				c.tb.Fatal(err)
			}
			return r
		}
	}
	c.tb.Fatalf("no leaf %d", index)
	return nil
}

// Export writes the chain with its sidecars and checkpoints, ending with a
// checkpoint of the head.
func (c *Chain) Export() []byte {
	c.tb.Helper()
	if c.Checkpoints[c.Head.Header.Height] == nil {
		c.Checkpoint()
	}
	var b bytes.Buffer
	e, err := audit.NewExporter(&b, c.Founding, &c.Genesis)
	check := func(err error) {
		if err != nil {
			c.tb.Fatal(err)
		}
	}
	check(err)
	for _, block := range c.Blocks {
		check(e.Block(block))
		for i := block.Header.Size - uint64(len(block.Results)); i < block.Header.Size; i++ {
			if data, ok := c.Sidecars[i]; ok {
				check(e.Sidecar(i, data))
			}
		}
		if cp := c.Checkpoints[block.Header.Height]; cp != nil {
			check(e.Checkpoint(cp))
		}
	}
	check(e.Close())
	return b.Bytes()
}
