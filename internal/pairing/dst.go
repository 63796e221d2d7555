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

	// DSTSignature is the standard tag of the BLS signature ciphersuite
	// (draft-irtf-cfrg-bls-signature, section 4.2.1), so that any library
	// can check a checkpoint. It is the one tag that is not ours.
	DSTSignature DST = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
)

// Tags returns the whole list, for the test that holds it to its rules.
func Tags() []DST {
	return []DST{
		DSTIdentity, DSTRecordContext, DSTCapsuleScalar, DSTCapsuleBase, DSTCapsuleNonce,
		DSTCapsuleProof, DSTCapsuleWeight, DSTKeyWrap, DSTIndexKey, DSTIndexHash, DSTLabel,
		DSTCustodyNonce, DSTCustodyProof, DSTGrantContext, DSTGrantSeal, DSTGrantSealScalar,
		DSTGrantShare, DSTPartialKey, DSTFragment, DSTDecapsulation, DSTFragmentWeight,
		DSTFragmentNonce, DSTFragmentDLEQ, DSTFragmentSeal, DSTSignature,
	}
}
