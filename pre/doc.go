// Package pre is type-and-identity-based proxy re-encryption with a
// distributed authority, for records that a patient owns, anyone may write, and
// no single hospital can open.
//
// The parties and what they do here:
//
//   - The members of a consortium hold a [Share] each of the authority's
//     secret s and of every grant's secret w₀. They extract partial keys
//     ([Share.Extract]) and answer accesses ([Share.Reencrypt],
//     [Share.Decapsulate]).
//   - An author writes a record for an owner with [Encapsulator.Encapsulate].
//     He needs the owner's [Identity] and nobody's permission.
//   - The owner, or a custodian, holds a [PrivateKey] for a [Type] of records
//     and delegates it with [PrivateKey.Grant].
//   - A reader turns the [Grant] into a [Delegation], asks t members, and opens
//     the records with [Delegation.Open].
//
// A record is encapsulated to its type and all ancestors of that type, so a
// grant on "lab" opens "lab/hematology/cbc". What a member answers is one
// point in G1 per record with a proof that anyone can check: no pairing at the
// members, no target-group element on the wire.
//
// The scheme splits an identity-based key of Boneh and Franklin (CRYPTO 2001)
// additively between reader and proxies, after Ivan and Dodis (NDSS 2003),
// keeps the per-type delegation of Ibraimi, Tang, Hartel and Jonker (SDM
// 2008), shares the proxies' half as Umbral does, and labels its capsules like
// TDH1 of Shoup and Gennaro (EUROCRYPT 1998). SPEC.md beside this file gives
// every byte; it names what is claimed, and what is not.
//
// Everything here is safe for concurrent use, except that nobody may erase a
// key while another uses it. Only operations on long-lived scalars (shares,
// custody keys, the splitting polynomial) run in constant time.
//
// Warning: pairings with a private key or a reader's half take time that
// depends on the point. Run them where nobody else can measure.
package pre
