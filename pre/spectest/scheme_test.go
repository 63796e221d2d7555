package spectest

import (
	"bytes"
	"encoding/binary"
	"math/big"

	bls "github.com/cloudflare/circl/ecc/bls12381"
	"golang.org/x/crypto/chacha20poly1305"
)

// Section 4: interpolation and the checks before it.

func lagrange(indices []int) []*bls.Scalar {
	var list []*bls.Scalar
	for _, i := range indices {
		num, den := big.NewInt(1), big.NewInt(1)
		for _, j := range indices {
			if j != i {
				num.Mul(num, big.NewInt(int64(j)))
				den.Mul(den, big.NewInt(int64(j-i)))
			}
		}
		num.Mul(num, den.ModInverse(den.Mod(den, order), order))
		s := new(bls.Scalar)
		s.SetBytes(num.Mod(num, order).Bytes())
		list = append(list, s)
	}
	return list
}

// checkParts accepts exactly t distinct members of one generation.
func checkParts(s sharing, generations []uint32, indices []int) error {
	if len(indices) != s.t {
		return badShares
	}
	seen := map[int]bool{}
	for k, i := range indices {
		if i < 1 || i > s.n || seen[i] || generations[k] != s.generation {
			return badShares
		}
		seen[i] = true
	}
	return nil
}

func checkShare(s sharing, sh share) error {
	if sh.generation != s.generation || sh.index > s.n {
		return badShares
	}
	if !mul(sh.value, g1()).IsEqual(s.public(sh.index)) {
		return badProof
	}
	return nil
}

// Section 5.

// combineKeys returns the key D of owner for path, and λ. The authority's P is
// A_0. It names the members whose part is wrong.
func combineKeys(s sharing, owner identity, path string, parts []partialKey) (D *bls.G2, coefficients []*bls.Scalar, wrong []int, err error) {
	var generations []uint32
	var indices []int
	for _, p := range parts {
		generations, indices = append(generations, p.generation), append(indices, p.index)
	}
	if err := checkParts(s, generations, indices); err != nil {
		return nil, nil, nil, err
	}
	Q := owner.base(path)
	for _, p := range parts {
		if !pair(g1(), p.point).IsEqual(pair(s.public(p.index), Q)) {
			wrong = append(wrong, p.index)
		}
	}
	if len(wrong) > 0 {
		return nil, nil, wrong, blamed
	}
	D = new(bls.G2)
	D.SetIdentity()
	coefficients = lagrange(indices)
	for k, l := range coefficients {
		D = addG2(D, mulG2(l, parts[k].point))
	}
	if !pair(g1(), D).IsEqual(pair(s.commitments[0], Q)) {
		return nil, nil, nil, badProof
	}
	return D, coefficients, nil, nil
}

// completeKey returns D' = D + x·Q for an identity in self-custody.
func completeKey(x *bls.Scalar, k privateKey, owner identity) (privateKey, error) {
	same := k.owner.chain == owner.chain && k.owner.name == owner.name && k.owner.epoch == owner.epoch
	if !same || k.owner.version != 0 || owner.version == 0 {
		return privateKey{}, notCovered
	}
	done := privateKey{owner, k.path, addG2(k.point, mulG2(x, owner.base(k.path)))}
	if !pair(g1(), done.point).IsEqual(pair(owner.key, owner.base(k.path))) {
		return privateKey{}, badProof
	}
	return done, nil
}

func custodyStatement(chain, name string, version uint32, X *bls.G1) []byte {
	return join(lp([]byte(chain)), lp([]byte(name)), u32(version), X.BytesCompressed())
}

// nonce derives k: section 5, last paragraph.
func nonce(name string, secret *bls.Scalar, random, statement []byte) *bls.Scalar {
	return hashToScalar(name, scalarBytes(secret), random, lp(statement))
}

// checkCustody returns P' for a registration as the given version.
func checkCustody(chain, name string, version uint32, P *bls.G1, p custodyProof) (*bls.G1, error) {
	if version == 0 {
		return nil, badField
	}
	statement := custodyStatement(chain, name, version, p.X)
	K := sub(mul(p.z, g1()), p.c, p.X)
	if p.c.IsEqual(hashToScalar("CUSTODY-PROOF", lp(statement), K.BytesCompressed())) == 0 {
		return nil, badProof
	}
	key := add(P, p.X)
	if key.IsIdentity() {
		return nil, badIdentity
	}
	return key, nil
}

// Section 6.

type header struct {
	record string
	owner  identity
	path   string
	author string
}

func (h header) context() []byte {
	return hash("RECORD-CONTEXT", join(lp([]byte(h.owner.chain)), lp([]byte(h.record)), lp([]byte(h.owner.name)),
		u32(h.owner.version), h.owner.key.BytesCompressed(), lp([]byte(h.path)), u64(h.owner.epoch), lp([]byte(h.author))))
}

// check is what a verifier does before the equations.
func (h header) check(e envelope) error {
	for _, s := range []string{h.owner.chain, h.owner.name, h.record, h.author} {
		if err := checkName(s); err != nil {
			return err
		}
	}
	if err := checkPath(h.path); err != nil {
		return err
	}
	if len(e.wraps) != len(levels(h.path)) {
		return badField
	}
	return nil
}

func (e envelope) label(ctx []byte) []byte {
	return hash("LABEL", join(ctx, e.U.BytesCompressed(), join(e.wraps...), e.indexHash))
}

func verifyEnvelope(h header, e envelope) error {
	if err := h.check(e); err != nil {
		return err
	}
	U, R, Ubar, Rbar := e.U.BytesCompressed(), e.R.BytesCompressed(), e.Ubar.BytesCompressed(), e.Rbar.BytesCompressed()
	L := e.label(h.context())
	base := hashToG1("CAPSULE-BASE", U, R, L)
	c := hashToScalar("CAPSULE-PROOF", L, U, R, Ubar, Rbar)
	if !mul(e.z, g1()).IsEqual(add(e.R, mul(c, e.U))) || !mul(e.z, base).IsEqual(add(e.Rbar, mul(c, e.Ubar))) {
		return badProof
	}
	return nil
}

func wrapKey(h header, e envelope, level int, K *bls.Gt) []byte {
	I := h.owner.typed(levels(h.path)[level])
	return kdf(gtBytes(K), join(lp(tag("KEY-WRAP")), lp(I), e.U.BytesCompressed(), h.context()), 32)
}

func unwrap(h header, e envelope, level int, K *bls.Gt) ([]byte, error) {
	box, err := chacha20poly1305.New(wrapKey(h, e, level, K))
	if err != nil {
		return nil, err
	}
	U, ctx := e.U.BytesCompressed(), h.context()
	dek, err := box.Open(nil, make([]byte, 12), e.wraps[level], join(U, u8(level), ctx))
	if err != nil {
		return nil, noDecryption
	}
	if !mul(hashToScalar("CAPSULE-SCALAR", dek, ctx), g1()).IsEqual(e.U) {
		return nil, noDecryption
	}
	return dek, nil
}

func indexKey(dek, ctx []byte) []byte { return kdf(dek, join(lp(tag("INDEX-KEY")), ctx), 32) }

func openIndex(h header, e envelope, dek, sealed []byte) ([]byte, error) {
	nonce, box, err := parseSealedIndex(sealed)
	if err != nil || !bytes.Equal(hash("INDEX-HASH", sealed), e.indexHash) {
		return nil, noDecryption
	}
	aead, err := chacha20poly1305.NewX(indexKey(dek, h.context()))
	if err != nil {
		return nil, err
	}
	padded, err := aead.Open(nil, nonce, box, join(h.context(), e.U.BytesCompressed()))
	if err != nil {
		return nil, noDecryption
	}
	return unpad(padded)
}

func unpad(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, noDecryption
	}
	n := int(binary.BigEndian.Uint32(b))
	if n > 1<<20 || len(b) != (4+n+255)/256*256 || !bytes.Equal(b[4+n:], make([]byte, len(b)-4-n)) {
		return nil, noDecryption
	}
	return b[4 : 4+n], nil
}

// covers implements section 8.
func covers(owner identity, path string, h header) (int, error) {
	level, ok := levelOf(h.path, path)
	if !ok || !owner.equal(h.owner) {
		return 0, notCovered
	}
	return level, nil
}

func openWithKey(k privateKey, h header, e envelope) ([]byte, error) {
	level, err := covers(k.owner, k.path, h)
	if err != nil {
		return nil, err
	}
	return unwrap(h, e, level, pair(e.U, k.point))
}
