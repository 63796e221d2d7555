// Package pairing is the one room that knows the curve BLS12-381.
//
// It wraps two libraries and chooses between them by type, so that a caller
// cannot pick the wrong one:
//
//   - [Scalar] is public, or secret for the life of a single capsule. Work with
//     it runs on gnark-crypto, whose time depends on its operands.
//   - [Secret] outlives one capsule: a share, a polynomial, a custody key, the
//     nonce of a proof about one of them. It multiplies points only through
//     CIRCL, in constant time.
//
// G1 and G2 hold elements of the prime-order subgroups; the identity occurs as
// an intermediate result but is never accepted by a parser. Encodings are the
// compressed ones of the ZCash/IETF convention: 48 bytes in G1, 96 in G2, 32
// big-endian bytes for a scalar. GT elements are never parsed; see [GT.Bytes].
//
// All values are safe for concurrent use as long as nobody erases them.
//
// Warning: pairings, additions of points, hashing and every operation of
// [Scalar] take time that depends on their operands. Only the methods of
// [Secret] are constant-time.
package pairing

import "errors"

// Sizes of the canonical encodings, in bytes.
const (
	ScalarSize = 32
	G1Size     = 48
	G2Size     = 96
	GTSize     = 576
)

// Errors of the parsers. Each names what is wrong with the bytes; none of
// them depends on a secret.
var (
	ErrLength   = errors.New("wrong length")
	ErrEncoding = errors.New("not a canonical encoding of a point on the curve")
	ErrSubgroup = errors.New("point is outside the prime-order subgroup")
	ErrIdentity = errors.New("point is the identity")
	ErrRange    = errors.New("scalar is not below the group order")
	ErrZero     = errors.New("scalar is zero")
)
