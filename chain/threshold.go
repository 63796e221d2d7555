package chain

import "github.com/ward-health/ward/internal/pairing"

// checkGroupKey returns nil if key is empty or a point of G1 in canonical
// compressed form, in the subgroup and not the identity.
func checkGroupKey(key GroupKey) error {
	if len(key) == 0 {
		return nil
	}
	_, err := pairing.ParseG1(key)
	return err
}

// verifyThreshold reports whether sig is a BLS signature of msg under key, in
// the ciphersuite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_ with keys in G1
// (draft-irtf-cfrg-bls-signature, "minimal public key size").
func verifyThreshold(key GroupKey, msg, sig []byte) bool {
	v, err := pairing.ParseG1(key)
	if err != nil {
		return false
	}
	s, err := pairing.ParseG2(sig)
	if err != nil {
		return false
	}
	return pairing.PairingsEqual(pairing.GeneratorG1(), s, v, pairing.HashToG2(pairing.DSTSignature, msg))
}
