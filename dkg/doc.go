// Package dkg creates, renews and moves keys that exist only as shares, and
// signs with them.
//
// A consortium of n members shares two keys: the identity key s, from which
// members extract typed identity keys, and the checkpoint key v, which signs
// the heads of the chain. This package makes them, and carries them and the
// constant terms of live grants to another roster, other thresholds or fresh
// shares, under the same public keys. [SPEC.md] gives the bytes.
//
// A ceremony is a pure state machine on a totally ordered log. [Machine] has
// no clock, network, goroutine or hidden state: it takes the log's signed
// messages with their positions and times, and says which messages its member
// owes to the log. Every machine that reads the same log reaches the same
// outcome: the same qualified dealers, keys and faults. Faults carry evidence
// that a third party checks offline.
//
// The protocol is the distributed key generation of Pedersen with the
// complaints of EthDKG (by revealing a Diffie–Hellman key, never a share
// between honest members), proofs of possession after FROST, a commitment
// before the deal, and the resharing of Desmedt and Jajodia. Its keys are not
// uniform but key-expressible (Gurkan et al. 2021), which suffices for
// identity keys and BLS signatures.
//
// Signing is threshold BLS in the ciphersuite
// BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_ of
// draft-irtf-cfrg-bls-signature: 48-byte keys, 96-byte signatures.
//
// Warning: secrets are multiplied in constant time, but Go copies memory as it
// likes, so their erasure is a best effort; and marshalled states contain
// secrets and belong in a sealed vault.
//
// [SPEC.md]: https://github.com/ward-health/ward/blob/main/dkg/SPEC.md
package dkg
