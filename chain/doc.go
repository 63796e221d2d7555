// Package chain defines what the members of a consortium and their clients
// send each other about the chain, and checks it: signed transactions, blocks,
// an RFC 6962 tree over transactions and their results, checkpoints that a
// threshold of members certify, receipts, and the consortium file that all of
// it is checked against. It does no I/O. SPEC.md gives the bytes.
//
// A client signs a transaction with [SignTx]. What comes back is a [Receipt],
// which [Receipt.Verify] checks with nothing but the consortium file: that the
// transaction is on the chain, when, and with what result. Two checkpoints
// that a member signed for one size are [Evidence] against it. Package
// [github.com/ward-health/ward/chain/audit] checks a whole chain, package
// [github.com/ward-health/ward/chain/tile] names its resources.
//
// Every Parse function accepts exactly one encoding of each value and
// validates its form; verifying signatures is a step of its own. Values are
// safe for concurrent use as long as nobody changes them, except where a
// method says otherwise.
//
// Ed25519 signatures are verified by the rules of ZIP 215 everywhere, so that
// a signature has the same verdict alone and in a batch, on every replica.
//
// Package [github.com/ward-health/ward/chain/ledger] runs the contracts.
package chain
