package spectest

import (
	"crypto/ecdh"

	bls "github.com/cloudflare/circl/ecc/bls12381"
)

// The operations of the vectors that are about keys.

func describeTransportKey(secret []byte) object {
	k, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil
	}
	return object{"public": hx(k.PublicKey().Bytes())}
}

func runGT(in object) (object, error) {
	p, err := parseG1(in.hex("p"))
	if err != nil {
		return nil, err
	}
	q, err := parseG2(in.hex("q"))
	if err != nil {
		return nil, err
	}
	return object{"e": hx(gtBytes(pair(p, q)))}, nil
}

func runTypedIdentity(in object) (object, error) {
	id, err := parseIdentity(in.hex("identity"))
	if err != nil {
		return nil, err
	}
	path := in.text("type")
	return object{"typed": hx(id.typed(path)), "Q": hx(id.base(path).BytesCompressed())}, nil
}

func runCheckShare(in object) (object, error) {
	sh, err := parseShare(in.hex("share"))
	if err != nil {
		return nil, err
	}
	s, err := parseSharing(in.hex("sharing"))
	if err != nil {
		return nil, err
	}
	return object{}, checkShare(s, sh)
}

func runExtract(in object) (object, error) {
	sh, err := parseShare(in.hex("share"))
	if err != nil {
		return nil, err
	}
	id, err := parseIdentity(in.hex("identity"))
	if err != nil {
		return nil, err
	}
	D := mulG2(sh.value, id.base(in.text("type")))
	return object{"partial_key": hx(join([]byte("ward/partial-key/v1\n"), u32(sh.generation), u8(sh.index), D.BytesCompressed()))}, nil
}

func (k privateKey) encode() []byte {
	return join([]byte("ward/private-key/v1\n"), k.owner.encode(), lp([]byte(k.path)), k.point.BytesCompressed())
}

func runCombineKey(in object) (object, error) {
	s, err := parseSharing(in.hex("sharing"))
	if err != nil {
		return nil, err
	}
	id, err := parseIdentity(in.hex("identity"))
	if err != nil {
		return nil, err
	}
	var parts []partialKey
	for _, b := range in.hexes("partial_keys") {
		p, err := parsePartialKey(b)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	D, lambda, wrong, err := combineKeys(s, id, in.text("type"), parts)
	if len(wrong) > 0 {
		return object{"members": wrong}, err
	}
	if err != nil {
		return nil, err
	}
	id.version, id.key = 0, s.commitments[0]
	return object{"private_key": hx(privateKey{id, in.text("type"), D}.encode()), "lambda": hxScalars(lambda)}, nil
}

func runProveCustody(in object) (object, error) {
	x, err := parseCustodyKey(in.hex("custody_key"))
	if err != nil {
		return nil, err
	}
	X := mul(x, g1())
	statement := custodyStatement(in.text("chain"), in.text("name"), in.number("version"), X)
	k := nonce("CUSTODY-NONCE", x, in.hex("random"), statement)
	K := mul(k, g1())
	c := hashToScalar("CUSTODY-PROOF", lp(statement), K.BytesCompressed())
	z := new(bls.Scalar)
	z.Mul(c, x)
	z.Add(z, k)
	return object{"statement": hx(statement), "k": hx(scalarBytes(k)), "K": hx(K.BytesCompressed()),
		"proof": hx(join([]byte("ward/custody-proof/v1\n"), X.BytesCompressed(), scalarBytes(c), scalarBytes(z)))}, nil
}

func runCheckCustody(in object) (object, error) {
	P, err := parseG1(in.hex("authority"))
	if err != nil {
		return nil, err
	}
	proof, err := parseCustodyProof(in.hex("proof"))
	if err != nil {
		return nil, err
	}
	key, err := checkCustody(in.text("chain"), in.text("name"), in.number("version"), P, proof)
	if err != nil {
		return nil, err
	}
	return object{"key": hx(key.BytesCompressed())}, nil
}

func runCompleteKey(in object) (object, error) {
	x, err := parseCustodyKey(in.hex("custody_key"))
	if err != nil {
		return nil, err
	}
	k, err := parsePrivateKey(in.hex("private_key"))
	if err != nil {
		return nil, err
	}
	id, err := parseIdentity(in.hex("identity"))
	if err != nil {
		return nil, err
	}
	done, err := completeKey(x, k, id)
	if err != nil {
		return nil, err
	}
	return object{"private_key": hx(done.encode())}, nil
}

func runOpenShare(in object) (object, error) {
	g, err := parseGrant(in.hex("grant"))
	if err != nil {
		return nil, err
	}
	key, err := parseTransportKey(in.hex("transport_key"))
	if err != nil {
		return nil, err
	}
	member := int(in.number("member"))
	b, err := openTransport(key, "GRANT-SHARE", join(g.context(), u8(member)), in.hex("sealed"))
	if err != nil {
		return nil, err
	}
	sh, err := parseShare(b)
	if err != nil || sh.index != member || sh.generation != g.sharing.generation {
		return nil, noDecryption
	}
	if err := checkShare(g.sharing, sh); err != nil {
		return nil, err
	}
	return object{"share": hx(b)}, nil
}

func runOpenPartialKey(in object) (object, error) {
	key, err := parseTransportKey(in.hex("transport_key"))
	if err != nil {
		return nil, err
	}
	member, generation := int(in.number("member")), in.number("generation")
	b, err := openTransport(key, "PARTIAL-KEY", join(in.hex("request"), u8(member), u32(generation)), in.hex("sealed"))
	if err != nil {
		return nil, err
	}
	p, err := parsePartialKey(b)
	if err != nil || p.index != member || p.generation != generation {
		return nil, noDecryption
	}
	return object{"partial_key": hx(b)}, nil
}

func runOpenAnswer(in object) (object, error) {
	key, err := parseTransportKey(in.hex("transport_key"))
	if err != nil {
		return nil, err
	}
	member, generation := int(in.number("member")), in.number("generation")
	b, err := openTransport(key, "FRAGMENT-SEAL", join(in.hex("access_id"), u8(member), u32(generation)), in.hex("sealed"))
	if err != nil {
		return nil, err
	}
	a, err := parseAnswer(b)
	if err != nil || a.index != member || a.generation != generation {
		return nil, noDecryption
	}
	return object{"answer": hx(b)}, nil
}
