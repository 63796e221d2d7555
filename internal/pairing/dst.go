package pairing

// DST is a domain separation tag: the first input of everything that is
// hashed, signed or derived. Each is used in exactly one place, none is ever
// edited, and none is a prefix of another.
type DST string

// The one list of tags.
//
// Part of the format: only add at the end.
const (
	DSTIdentity        DST = "WARD-V1-IDENTITY-BLS12381G2" // hash to G2: typed identity
	DSTRecordContext   DST = "WARD-V1-RECORD-CONTEXT"      // what a capsule is bound to
	DSTCapsuleScalar   DST = "WARD-V1-CAPSULE-SCALAR"      // r from the record key
	DSTCapsuleBase     DST = "WARD-V1-CAPSULE-BASE"        // hash to G1: second base of the proof
	DSTCapsuleNonce    DST = "WARD-V1-CAPSULE-NONCE"       // hedged nonce of the capsule proof
	DSTCapsuleProof    DST = "WARD-V1-CAPSULE-PROOF"       // challenge of the capsule proof
	DSTCapsuleWeight   DST = "WARD-V1-CAPSULE-WEIGHT"      // weights of batch verification
	DSTKeyWrap         DST = "WARD-V1-KEY-WRAP"            // HKDF info: key encryption key of a level
	DSTIndexKey        DST = "WARD-V1-INDEX-KEY"           // HKDF info: key of the sealed index
	DSTIndexHash       DST = "WARD-V1-INDEX-HASH"          // hash of the sealed index
	DSTLabel           DST = "WARD-V1-LABEL"               // label of the capsule proof
	DSTCustodyNonce    DST = "WARD-V1-CUSTODY-NONCE"       // hedged nonce of a custody proof
	DSTCustodyProof    DST = "WARD-V1-CUSTODY-PROOF"       // challenge of a custody proof
	DSTGrantContext    DST = "WARD-V1-GRANT-CONTEXT"       // what a grant is bound to
	DSTGrantSeal       DST = "WARD-V1-GRANT-SEAL"          // HKDF info: seal of the reader's half
	DSTGrantSealScalar DST = "WARD-V1-GRANT-SCALAR"        // Fujisaki–Okamoto scalar of that seal
	DSTGrantShare      DST = "WARD-V1-GRANT-SHARE"         // HPKE info: a member's share of a grant
	DSTPartialKey      DST = "WARD-V1-PARTIAL-KEY"         // HPKE info: a partial identity key
	DSTFragment        DST = "WARD-V1-FRAGMENT-PROOF"      // statement of a re-encryption proof
	DSTDecapsulation   DST = "WARD-V1-DECAPSULATION-PROOF" // statement of a threshold decapsulation proof
	DSTFragmentWeight  DST = "WARD-V1-FRAGMENT-WEIGHT"     // weights of a batched proof
	DSTFragmentNonce   DST = "WARD-V1-FRAGMENT-NONCE"      // hedged nonce of such a proof
	DSTFragmentDLEQ    DST = "WARD-V1-FRAGMENT-CHALLENGE"  // challenge of such a proof
	DSTFragmentSeal    DST = "WARD-V1-FRAGMENT-SEAL"       // HPKE info: an answer on its way to the reader

	DSTRecordKey    DST = "WARD-V1-RECORD-KEY"    // HKDF info: hedged record key
	DSTCapsuleBatch DST = "WARD-V1-CAPSULE-BATCH" // hash of everything a batch verifies

	// DSTAgeIdentity derives the age identity of a payload from its file key.
	// Package store/seal writes it out, because it imports no curve.
	DSTAgeIdentity DST = "WARD-V1-AGE-IDENTITY"

	DSTConfirmation    DST = "WARD-V1-CEREMONY"            // prefix of the message that confirms a ceremony
	DSTCeremonyHash    DST = "WARD-V1-DKG-CEREMONY"        // hash of a ceremony's description: its id
	DSTCeremonyMessage DST = "WARD-V1-DKG-MESSAGE"         // signature of a ceremony's message
	DSTCommitmentHash  DST = "WARD-V1-DKG-COMMITMENT-HASH" // what a dealer commits to before the deal
	DSTReceiversHash   DST = "WARD-V1-DKG-RECEIVERS-HASH"  // the receiving keys a deal is for
	DSTDealHash        DST = "WARD-V1-DKG-DEAL-HASH"       // the deal a complaint is about
	DSTTranscript      DST = "WARD-V1-DKG-TRANSCRIPT"      // what members confirm
	DSTCoefficient     DST = "WARD-V1-DKG-COEFFICIENT"     // polynomials from the ceremony's seed
	DSTDealNonce       DST = "WARD-V1-DKG-NONCE"           // hedged nonces of the three proofs below
	DSTPossession      DST = "WARD-V1-DKG-POSSESSION"      // challenge: possession of a receiving key
	DSTKnowledge       DST = "WARD-V1-DKG-KNOWLEDGE"       // challenge: knowledge of what is dealt
	DSTComplaint       DST = "WARD-V1-DKG-COMPLAINT"       // challenge: a revealed Diffie–Hellman key
	DSTShareKey        DST = "WARD-V1-DKG-SHARE-KEY"       // HKDF info: sealing of dealt shares
	DSTShareWeight     DST = "WARD-V1-DKG-SHARE-WEIGHT"    // weights of batched share checks
	DSTConfirmWeight   DST = "WARD-V1-DKG-CONFIRM-WEIGHT"  // weights of batched confirmation checks

	// DSTSignature is the standard tag of the BLS signature ciphersuite
	// (draft-irtf-cfrg-bls-signature, section 4.2.1), so that any library
	// can check a checkpoint. It is the one tag that is not ours.
	DSTSignature DST = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"

	// Package abe writes these two out, because it imports no curve.
	DSTAttributeAuthority DST = "WARD-V1-ABE-AUTHORITY" // hash of an attribute authority: its id
	DSTAttributeSeal      DST = "WARD-V1-ABE-SEAL"      // HKDF info: seal of the reader's half to a policy
)

// Tags returns the whole list, for the test that holds it to its rules.
func Tags() []DST {
	return []DST{
		DSTIdentity, DSTRecordContext, DSTCapsuleScalar, DSTCapsuleBase, DSTCapsuleNonce,
		DSTCapsuleProof, DSTCapsuleWeight, DSTKeyWrap, DSTIndexKey, DSTIndexHash, DSTLabel,
		DSTCustodyNonce, DSTCustodyProof, DSTGrantContext, DSTGrantSeal, DSTGrantSealScalar,
		DSTGrantShare, DSTPartialKey, DSTFragment, DSTDecapsulation, DSTFragmentWeight,
		DSTFragmentNonce, DSTFragmentDLEQ, DSTFragmentSeal, DSTRecordKey, DSTCapsuleBatch, DSTAgeIdentity,
		DSTConfirmation, DSTCeremonyHash, DSTCeremonyMessage, DSTCommitmentHash, DSTReceiversHash,
		DSTDealHash, DSTTranscript, DSTCoefficient, DSTDealNonce, DSTPossession, DSTKnowledge,
		DSTComplaint, DSTShareKey, DSTShareWeight, DSTConfirmWeight,
		DSTSignature,
		DSTAttributeAuthority, DSTAttributeSeal,
	}
}
