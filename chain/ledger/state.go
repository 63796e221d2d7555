package ledger

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits on what contracts store, in bytes. Part of the format.
const (
	MaxKey   = 512      // of a key, without its namespace
	MaxValue = 64 << 10 // of a value
)

// A Reader reads a key-value state, ordered by key. A Reader that fails once
// for a reason of its own (disk, checksum) must fail the whole block: the
// executor then returns the error and changes nothing.
type Reader interface {
	// Get returns the value of key, or nil if there is none. Values are never
	// empty. The caller must not change the value. The key is valid during the
	// call only.
	Get(key []byte) ([]byte, error)
	// Scan calls fn with every key that has the prefix and is not less than
	// start, in ascending bytewise order, until fn returns false. The slices
	// are valid during the call only.
	Scan(prefix, start []byte, fn func(key, value []byte) bool) error
}

// A Write sets a key to a value or, when Value is nil, deletes it.
type Write struct {
	Key   []byte
	Value []byte
}

// A View is a contract's own part of the state during one transaction. Its
// writes take effect only if the contract returns no error. It is not safe for
// concurrent use and must not be kept.
type View struct {
	prefix string
	tx     *overlay
	budget int   // bytes this transaction may still write
	fault  error // first failure to read, or first broken limit
}

// errLimit reports a write beyond the limits. The transaction is recorded as
// chain.ErrFault.
var errLimit = errors.New("write beyond limits")

// Get returns a copy of the value of key, or nil if there is none.
func (v *View) Get(key []byte) ([]byte, error) {
	v.tx.buf = append(append(v.tx.buf[:0], v.prefix...), key...)
	value, err := v.tx.Get(v.tx.buf)
	return bytes.Clone(value), v.note(err) // a contract that writes to it must not reach what replicas cache
}

// Scan calls fn with every key that has the prefix and is not less than start,
// in ascending bytewise order, until fn returns false. fn must not write. The
// slices are valid during the call only.
func (v *View) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	return v.note(v.tx.Scan(v.key(prefix), v.key(start), func(key, value []byte) bool {
		return fn(key[len(v.prefix):], value)
	}))
}

// Set stores a copy of value, 1 to MaxValue bytes, under key, 1 to MaxKey.
func (v *View) Set(key, value []byte) error {
	if len(key) == 0 || len(key) > MaxKey || len(value) == 0 || len(value) > MaxValue {
		return v.note(fmt.Errorf("%w: key of %d bytes, value of %d", errLimit, len(key), len(value)))
	}
	return v.write(key, bytes.Clone(value))
}

// Delete removes key. It is no error if there is none.
func (v *View) Delete(key []byte) error {
	if len(key) == 0 || len(key) > MaxKey {
		return v.note(fmt.Errorf("%w: key of %d bytes", errLimit, len(key)))
	}
	return v.write(key, nil)
}

func (v *View) write(key, value []byte) error {
	if v.tx.scans > 0 {
		return v.note(fmt.Errorf("%w: write during a scan", errLimit))
	}
	if err := v.charge(len(v.prefix) + len(key) + len(value)); err != nil {
		return err
	}
	v.tx.set(v.prefix+string(key), value)
	return nil
}

// charge counts a write of this many bytes.
func (v *View) charge(n int) error {
	if v.budget -= n + writeOverhead; v.budget < 0 {
		return v.note(fmt.Errorf("%w: transaction writes too much", errLimit))
	}
	return nil
}

// note remembers the first error, so that a contract that drops it cannot make
// replicas differ.
func (v *View) note(err error) error {
	if v.fault == nil {
		v.fault = err
	}
	return err
}

func (v *View) readFault() error {
	if v.fault != nil && !errors.Is(v.fault, errLimit) {
		return v.fault
	}
	return nil
}

func (v *View) key(key []byte) []byte {
	return append(append(make([]byte, 0, len(v.prefix)+len(key)), v.prefix...), key...)
}

// namespace returns what the keys of a contract begin with. Names have no
// zero byte, so that no namespace is a prefix of another.
func namespace(contract string) string { return contract + "\x00" }
