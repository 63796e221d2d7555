package chain

import "github.com/ward-health/ward/dkg/threshold"

// checkGroupKey returns nil if key is empty or a public key that package dkg
// reads: a point of G1 in canonical compressed form, in the subgroup and not
// the identity.
func checkGroupKey(key GroupKey) error {
	if len(key) == 0 {
		return nil
	}
	_, err := threshold.ParsePublicKey(key)
	return err
}

// verifyThreshold reports whether sig is a BLS signature of msg under key, in
// the ciphersuite of [threshold.PublicKey].
func verifyThreshold(key GroupKey, msg, sig []byte) bool {
	v, err := threshold.ParsePublicKey(key)
	if err != nil {
		return false
	}
	s, err := threshold.ParseSignature(sig)
	return err == nil && v.Verify(msg, s) == nil
}
