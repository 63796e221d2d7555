package ledger

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/ward-health/ward/chain"
)

// A Contract is a set of deterministic rules for one namespace of the state.
// Every replica runs it on every transaction and must come to the same result.
//
// Apply must depend on nothing but its arguments: no clock, randomness, map
// order, network, goroutine or variable of its own. It runs method with args,
// which are any bytes a client sent, and returns the result, deterministic
// CBOR. An error means that the transaction has no effect: it should be a
// [chain.Code] beginning with the contract's name and a slash, which is
// recorded; any other error, and a code without a slash, is recorded as
// chain.ErrFailed. An error from
// reading the state stops the replica whether Apply returns it or not. A panic
// is recorded as chain.ErrFault.
type Contract interface {
	Apply(call *Call, method string, args []byte) (result []byte, err error)
}

// A Call is what a contract knows about the transaction it runs for. It is valid
// until Apply returns, and so is what its methods return.
type Call struct {
	Chain   string
	Height  uint64          // of the block
	Time    int64           // of the block, Unix milliseconds
	Index   uint64          // of the transaction's leaf in the tree
	ID      chain.Hash      // of the transaction
	Signer  chain.PublicKey // whose signature was verified
	Sidecar chain.Sidecar   // commitment to the sidecar, which is present; its bytes never decide anything
	State   *View           // the contract's own namespace
	// Consortium is the one in force at the start of the block. It must not be
	// changed.
	Consortium *chain.Consortium

	own    View // what State points to
	tx     *overlay
	others []*View
	events []chain.Event
	purge  []uint64
}

// Of returns the namespace of another contract as the transaction sees it, to
// read only.
func (c *Call) Of(contract string) Reader {
	v := &View{prefix: namespace(contract), tx: c.tx}
	c.others = append(c.others, v)
	return readOnly{v}
}

// Emit adds an event for subscribers. Kind must be a valid name; data should
// be deterministic CBOR. The event is dropped if the contract returns an error.
func (c *Call) Emit(kind string, data []byte) {
	c.events = append(c.events, chain.Event{Kind: kind, Data: data})
}

// Purge orders every replica to erase the sidecar of the transaction with this
// leaf index. It takes effect if that transaction was of the same contract and
// its sidecar is still kept, and otherwise changes nothing. It counts as a
// write either way.
func (c *Call) Purge(index uint64) {
	if c.State.charge(len(sidecarKey(index))) == nil {
		c.purge = append(c.purge, index)
	}
}

// readOnly hides the methods of a View that write.
type readOnly struct{ view *View }

// Get implements Reader.
func (r readOnly) Get(key []byte) ([]byte, error) { return r.view.Get(key) }

// Scan implements Reader.
func (r readOnly) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	return r.view.Scan(prefix, start, fn)
}

// A sidecarOwner is stored for each sidecar that is kept.
type sidecarOwner struct {
	_        struct{} `cbor:",toarray"`
	Contract string
	Sidecar  chain.Sidecar
}

// settle stores the ownership of the transaction's own sidecar, drops that of
// the purged ones and returns these. The error is that of reading the state.
func (c *Call) settle(contract string) (purged []uint64, err error) {
	if c.Sidecar.Size > 0 {
		value, err := chain.Marshal(sidecarOwner{Contract: contract, Sidecar: c.Sidecar})
		if err != nil {
			return nil, err
		}
		c.tx.set(sidecarKey(c.Index), value)
	}
	for _, index := range c.purge {
		value, err := c.tx.Get([]byte(sidecarKey(index)))
		if err != nil {
			return nil, err
		}
		var owner sidecarOwner
		if value == nil || index == c.Index {
			continue
		}
		if err := chain.Unmarshal(value, &owner); err != nil {
			return nil, err
		}
		if owner.Contract == contract {
			c.tx.set(sidecarKey(index), nil)
			purged = append(purged, index)
		}
	}
	return purged, nil
}

func sidecarKey(index uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte(keySidecar), index))
}

// readFault returns the first failure to read the state, which is not the
// transaction's fault.
func (c *Call) readFault() error {
	if err := c.State.readFault(); err != nil {
		return err
	}
	for _, v := range c.others {
		if err := v.readFault(); err != nil {
			return err
		}
	}
	return nil
}

// errPanic reports a panic of a contract.
var errPanic = errors.New("contract panicked")

// invoke runs the contract and turns a panic into an error: one bad
// transaction must not stop every replica.
func invoke(contract Contract, call *Call, method string, args []byte) (result []byte, err error) {
	defer func() {
		if recover() != nil {
			result, err = nil, errPanic
		}
	}()
	return contract.Apply(call, method, slices.Clone(args))
}

// codeOf returns what is recorded for the error of a contract.
func codeOf(err error, call *Call) chain.Code {
	switch {
	case call.State.fault != nil || errors.Is(err, errPanic):
		return chain.ErrFault
	case err == nil:
		return ""
	}
	var code chain.Code
	if errors.As(err, &code) && chain.ValidName(string(code)) && strings.Contains(string(code), "/") {
		return code // without a slash it is the chain's own, whose meaning is the executor's
	}
	return chain.ErrFailed
}

// fits reports whether a result is within the limits, and its events have names.
func fits(height uint64, time int64, value []byte, events []chain.Event) bool {
	r := chain.NewResult(height, time, "", value, events)
	return r.Valid()
}
