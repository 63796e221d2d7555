package chain

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// The names every encoding of this package begins with.
// Part of the format: only add at the end; none is a prefix of another.
const (
	nameTx       = "ward/v1/tx"
	nameResult   = "ward/v1/result"
	nameLeaf     = "ward/v1/leaf"
	nameProposal = "ward/v1/proposal"
	nameEntry    = "ward/v1/entry"
	nameHeader   = "ward/v1/header"
	nameBlock    = "ward/v1/block"
	nameReceipt  = "ward/v1/receipt"
	nameEvidence = "ward/v1/evidence"
)

// ErrNotCanonical reports bytes that decode to a value but are not its one
// encoding.
var ErrNotCanonical = errors.New("not in canonical form")

// The modes are immutable and safe for concurrent use. Their errors are those
// of the constant options below; a test asserts that there are none.
var (
	encMode, errEncMode = cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		ShortestFloat: cbor.ShortestFloat16,
		NaNConvert:    cbor.NaNConvertReject,
		InfConvert:    cbor.InfConvertReject,
		IndefLength:   cbor.IndefLengthForbidden,
		NilContainers: cbor.NilContainerAsEmpty,
		TagsMd:        cbor.TagsForbidden,
	}.UserBufferEncMode()
	decMode, errDecMode = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   16,
		MaxArrayElements:  1 << 16,
		MaxMapPairs:       1 << 12,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode()
)

// scratch is memory for encodings that are compared and dropped.
var scratch = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Marshal returns the deterministic CBOR encoding of v (RFC 8949, section
// 4.2.1): shortest integers and lengths, sorted map keys, no tags, no
// indefinite lengths, an empty list or string for a nil one. Contracts use it
// for arguments, results and stored values.
func Marshal(v any) ([]byte, error) { return encMode.Marshal(v) }

// Unmarshal decodes data into the value v points to and accepts exactly what
// Marshal produces for that value: no trailing bytes, duplicate or unknown
// keys, tags, indefinite lengths or longer forms than needed. *v should be
// zero before the call.
func Unmarshal(data []byte, v any) error {
	if err := decMode.Unmarshal(data, v); err != nil {
		return err
	}
	again := scratch.Get().(*bytes.Buffer)
	defer scratch.Put(again)
	again.Reset()
	if err := encMode.MarshalToBuffer(v, again); err != nil {
		return err
	}
	if !bytes.Equal(again.Bytes(), data) {
		return ErrNotCanonical
	}
	return nil
}

// unmarshalNamed is Unmarshal for the encodings of this package: what names
// the thing in errors, max is its largest size in bytes.
func unmarshalNamed(what string, max int, data []byte, v any) error {
	if len(data) > max {
		return fmt.Errorf("%s: %d bytes, limit %d", what, len(data), max)
	}
	if err := Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
