package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract"
)

// A verification is what was found in order about an exported chain.
type verification struct {
	Chain        string    `json:"chain"`
	Verified     bool      `json:"verified"` // links, trees, signatures, certificates
	Rules        bool      `json:"rules"`    // and every result follows from the rules
	Transactions uint64    `json:"transactions"`
	Height       uint64    `json:"height"`
	Time         time.Time `json:"time"` // of the last block

	Calls []calls `json:"calls"`
}

// calls counts the transactions of one method.
type calls struct {
	Method  string `json:"method"` // with its contract
	Done    uint64 `json:"done"`
	Refused uint64 `json:"refused"` // and recorded as such
}

// verifyExport checks an exported chain against a consortium file: all that can
// be checked without running the contracts, and with rules that every result and
// the hash of the state follow from them too. Members that certify a false result
// together are found out only so.
func verifyExport(r io.Reader, trusted *chain.Consortium, rules bool) (*verification, error) {
	return verifySince(r, trusted, chain.TreeHead{}, rules)
}

// verifySince is verifyExport of a chain that must contain what was seen of it
// before.
func verifySince(r io.Reader, trusted *chain.Consortium, seen chain.TreeHead, rules bool) (*verification, error) {
	count := map[string]*calls{}
	var p *replayer
	v := audit.Visitor{
		Genesis: func(founding *chain.Consortium, _ *chain.Header) (err error) {
			if rules {
				p, err = newReplayer(founding)
			}
			return err
		},
		Block: func(b *chain.Block) error {
			if seen.Chain != "" && b.Header.Height == seen.Height && b.Header.TreeHead() != seen {
				return fmt.Errorf("%w: it is not the chain that was seen before", ward.ErrIntegrity)
			}
			if err := tally(count, b); err != nil || p == nil {
				return err
			}
			return p.block(b)
		},
	}
	a, err := audit.Verify(r, trusted, v)
	if err != nil {
		return nil, err
	}
	head := a.Head()
	if head.Height < seen.Height {
		return nil, ward.ErrStale
	}
	out := &verification{
		Chain: head.Chain, Verified: true, Rules: rules, Transactions: head.Size, Height: head.Height, Time: time.UnixMilli(head.Time).UTC(), Calls: []calls{},
	}
	for _, c := range count {
		out.Calls = append(out.Calls, *c)
	}
	slices.SortFunc(out.Calls, func(a, b calls) int { return strings.Compare(a.Method, b.Method) })
	return out, nil
}

// tally counts the transactions of a block.
func tally(count map[string]*calls, b *chain.Block) error {
	if len(b.Proposal.Txs) != len(b.Results) {
		return errors.New("a block has not one result for each transaction")
	}
	for i, raw := range b.Proposal.Txs {
		method := "?" // what is no transaction was refused as such
		if tx, err := chain.ParseTx(raw); err == nil {
			method = tx.Contract + "/" + tx.Method
		}
		c := count[method]
		if c == nil {
			c = &calls{Method: method}
			count[method] = c
		}
		if b.Results[i].Code == "" {
			c.Done++
		} else {
			c.Refused++
		}
	}
	return nil
}

// A replayer runs the contracts again on a state in memory.
type replayer struct {
	executor *ledger.Executor
	head     *ledger.Head
	state    memory
}

func newReplayer(founding *chain.Consortium) (*replayer, error) {
	x, err := ledger.NewExecutor(contract.All())
	if err != nil {
		return nil, err
	}
	head, writes, err := ledger.Genesis(founding)
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	p := &replayer{executor: x, head: head, state: memory{values: map[string][]byte{}}}
	p.state.apply(writes)
	return p, nil
}

// block runs a block. The error is a *chain.BrokenError if the rules give
// another result than the members certified.
func (p *replayer) block(b *chain.Block) error {
	out, err := p.executor.Replay(p.head, &p.state, b)
	if err != nil {
		return err
	}
	p.state.apply(out.Writes)
	p.head = out.Head
	return nil
}

// memory is a state of the chain in memory. It implements ledger.Reader.
type memory struct {
	keys   []string // ascending
	values map[string][]byte
}

// Get implements ledger.Reader.
func (m *memory) Get(key []byte) ([]byte, error) { return m.values[string(key)], nil }

// Scan implements ledger.Reader.
func (m *memory) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	from := max(string(prefix), string(start))
	for i := sort.SearchStrings(m.keys, from); i < len(m.keys) && strings.HasPrefix(m.keys[i], string(prefix)); i++ {
		if !fn([]byte(m.keys[i]), m.values[m.keys[i]]) {
			return nil
		}
	}
	return nil
}

func (m *memory) apply(writes []ledger.Write) {
	for _, w := range writes {
		key := string(w.Key)
		i, there := slices.BinarySearch(m.keys, key)
		switch {
		case w.Value == nil && there:
			m.keys = slices.Delete(m.keys, i, i+1)
			delete(m.values, key)
		case w.Value != nil:
			if !there {
				m.keys = slices.Insert(m.keys, i, key)
			}
			m.values[key] = w.Value
		}
	}
}
