// Package threshold holds the shares of a key that no member has whole, and
// signs with them.
//
// A [Sharing] is the public side of such a key, a [Share] one member's secret;
// package dkg makes both. Signing is threshold BLS (Boldyreva, PKC 2003) in the
// ciphersuite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_ of
// draft-irtf-cfrg-bls-signature-05: keys of 48 bytes, signatures of 96, which
// any BLS library of that suite verifies. The bytes are in dkg/SPEC.md,
// section 2.
//
// All types but [Share] are immutable and safe for concurrent use.
package threshold
