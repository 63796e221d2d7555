package pairing

import (
	gnark "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark-crypto/field/hash"
)

// HashToG1 hashes msg to G1 with BLS12381G1_XMD:SHA-256_SSWU_RO (RFC 9380,
// section 8.8.1).
func HashToG1(dst DST, msg []byte) G1 {
	p, err := gnark.HashToG1(msg, []byte(dst))
	if err != nil {
		return G1{} // unreachable: tags have 1 to 255 bytes, TestTags holds them to it
	}
	return G1{p}
}

// HashToG2 hashes msg to G2 with BLS12381G2_XMD:SHA-256_SSWU_RO (RFC 9380,
// section 8.8.2).
func HashToG2(dst DST, msg []byte) G2 {
	p, err := gnark.HashToG2(msg, []byte(dst))
	if err != nil {
		return G2{} // unreachable, as above
	}
	return G2{p}
}

// HashToScalar is hash_to_field of RFC 9380, section 5.2, for the scalar field:
// expand_message_xmd with SHA-256 to 48 bytes, reduced modulo the group order.
func HashToScalar(dst DST, msg []byte) Scalar {
	e, err := fr.Hash(msg, []byte(dst), 1)
	if err != nil {
		return Scalar{} // unreachable, as above
	}
	return Scalar{e[0]}
}

// HashToSecret computes the same function as [HashToScalar], reducing in
// constant time.
func HashToSecret(dst DST, msg []byte) *Secret {
	b, err := hash.ExpandMsgXmd(msg, []byte(dst), 48)
	if err != nil {
		return new(Secret) // unreachable, as above
	}
	defer clear(b)
	return secretFromUniform(b)
}
