package ledger

import (
	"bytes"

	"github.com/ward-health/ward/chain"
)

// systemContract is the name of the contract that changes the consortium.
const systemContract = chain.SystemContract

// system is the built-in contract. It has one method, which replaces the
// consortium file from the next block on.
type system struct{ x *Executor }

// Apply implements Contract.
func (s system) Apply(call *Call, method string, args []byte) ([]byte, error) {
	if method != chain.ConsortiumMethod {
		return nil, chain.ErrConsortium
	}
	// Not call.Consortium: an earlier transaction of the block may have
	// replaced it.
	file, err := call.tx.Get([]byte(keyConsortium))
	if err != nil {
		call.State.fault = err
		return nil, err
	}
	current := call.Consortium
	if !bytes.Equal(file, s.x.file) {
		if current, err = chain.ParseConsortium(file); err != nil {
			call.State.fault = err
			return nil, err
		}
	}
	next, err := current.Next(args)
	if err != nil {
		return nil, chain.ErrConsortium
	}
	if file, err = next.Bytes(); err != nil {
		return nil, chain.ErrConsortium
	}
	call.tx.set(keyConsortium, file)
	return nil, nil
}
