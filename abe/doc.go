// Package abe makes grants to attributes instead of names: "whoever is a
// physician of the intensive care unit at north".
//
// Each hospital is an attribute authority. It holds a [MasterKey], publishes an
// [Authority] (its name, the attributes it certifies, an epoch, a public key)
// and issues a [Key] to each member of its staff. A [Policy] over attributes,
// with the authorities it names, is a [Recipient] that package pre can grant to;
// a key whose attributes satisfy the policy opens what was sealed to it, and any
// number of keys that do not, of however many people, open nothing together.
//
// The scheme is that of Tomida, Kawahara and Nishimaki (PKC 2020) as CIRCL's
// tkn20 implements it, secure against chosen ciphertexts. It is used only as a
// key encapsulation: 32 random bytes travel in it, and the secret is sealed
// under a key derived from them and from the context. Around it stands what
// tkn20 lacks: a language with thresholds and comparisons, "not" that also holds
// for who lacks an attribute, epochs, encodings with one form per value, limits.
// SPEC.md beside this file gives every byte.
//
// An authority can compute every key it could issue, so it can open whatever is
// sealed to a policy of its own. Attributes are therefore never sufficient alone:
// what they open is the reader's half of a grant, which opens nothing without
// the members' answers, and those are given only to an access on the chain.
//
// Everything here is safe for concurrent use, except that nobody may erase a
// key while another uses it.
//
// Warning: CIRCL parses what it is given before it authenticates it, and has
// panicked on such input in the past. Every call into it stands behind checks of
// all lengths and a recover; a panic counts as malformed input or as a failure
// to decrypt.
//
// Warning: erasing a key drops it for the garbage collector. CIRCL offers no way
// to overwrite it.
package abe
