package pre

import (
	"errors"

	"github.com/ward-health/ward/internal/pairing"
)

// The operations of the vectors that are about keys.

func runCheckShare(in object) (object, error) {
	s, err := ParseShare(in.hex("share"))
	if err != nil {
		return nil, err
	}
	of, err := ParseSharing(in.hex("sharing"))
	if err != nil {
		return nil, err
	}
	return object{}, s.Check(of)
}

func runExtract(in object) (object, error) {
	s, err := ParseShare(in.hex("share"))
	if err != nil {
		return nil, err
	}
	id, err := ParseIdentity(in.hex("identity"))
	if err != nil {
		return nil, err
	}
	p, err := s.extract(id, Type(in.text("type")))
	if err != nil {
		return nil, err
	}
	return object{"partial_key": hx(p.Bytes())}, nil
}

func runCombineKey(in object) (object, error) {
	s, err := ParseSharing(in.hex("sharing"))
	if err != nil {
		return nil, err
	}
	id, err := ParseIdentity(in.hex("identity"))
	if err != nil {
		return nil, err
	}
	var parts []*PartialKey
	var indices []uint8
	for _, b := range in.hexes("partial_keys") {
		p, err := ParsePartialKey(b)
		if err != nil {
			return nil, err
		}
		parts, indices = append(parts, p), append(indices, p.index)
	}
	k, err := s.combineKey(id, Type(in.text("type")), parts)
	if err != nil {
		return faults(err), err
	}
	l, err := pairing.NewLagrange(indices)
	if err != nil {
		return nil, err
	}
	var lambda []string
	for _, c := range l.Coefficients() {
		lambda = append(lambda, hxScalar(c))
	}
	return object{"private_key": hx(k.Bytes()), "lambda": lambda}, nil
}

// faults is the part of an error that names somebody or something.
func faults(err error) object {
	var blame *BlameError
	var dealer *DealerError
	var author *AuthorError
	switch {
	case errors.As(err, &blame):
		list := make([]int, len(blame.Members))
		for i, m := range blame.Members {
			list[i] = int(m)
		}
		return object{"members": list}
	case errors.As(err, &author):
		return object{"records": author.Records}
	case errors.As(err, &dealer):
		return object{"evidence": hx(dealer.Half)}
	}
	return nil
}

func runProveCustody(in object) (object, error) {
	x, err := ParseCustodyKey(in.hex("custody_key"))
	if err != nil {
		return nil, err
	}
	chain, name, version := in.text("chain"), in.text("name"), in.number("version")
	proof, err := x.prove(replay(in.hex("random")), chain, name, version)
	if err != nil {
		return nil, err
	}
	statement := custodyStatement(chain, name, version, pairing.MulGenerator(x.x.Publish()))
	k, err := hedgedNonce(replay(in.hex("random")), pairing.DSTCustodyNonce, x.x, statement)
	if err != nil {
		return nil, err
	}
	return object{"statement": hx(statement), "k": hxSecret(k), "K": hxPoint(pairing.MulGenerator(k.Publish())),
		"proof": hx(proof)}, nil
}

func runCheckCustody(in object) (object, error) {
	p, err := ParsePublicKey(in.hex("authority"))
	if err != nil {
		return nil, err
	}
	k, err := p.SelfCustody(in.text("chain"), in.text("name"), in.number("version"), in.hex("proof"))
	if err != nil {
		return nil, err
	}
	return object{"key": hx(k.Bytes())}, nil
}

func runCompleteKey(in object) (object, error) {
	x, err := ParseCustodyKey(in.hex("custody_key"))
	if err != nil {
		return nil, err
	}
	d, err := ParsePrivateKey(in.hex("private_key"))
	if err != nil {
		return nil, err
	}
	id, err := ParseIdentity(in.hex("identity"))
	if err != nil {
		return nil, err
	}
	k, err := x.Complete(d, id)
	if err != nil {
		return nil, err
	}
	return object{"private_key": hx(k.Bytes())}, nil
}

func runOpenShare(in object) (object, error) {
	k, err := ParseTransportKey(in.hex("transport_key"))
	if err != nil {
		return nil, err
	}
	g, err := ParseGrant(in.hex("grant"))
	if err != nil {
		return nil, err
	}
	s, err := k.OpenShare(in.hex("sealed"), g, uint8(in.number("member")))
	if err != nil {
		return nil, err
	}
	return object{"share": hx(s.Bytes())}, nil
}

func runOpenPartialKey(in object) (object, error) {
	k, err := ParseTransportKey(in.hex("transport_key"))
	if err != nil {
		return nil, err
	}
	p, err := k.OpenPartialKey(in.hex("sealed"), [32]byte(in.hex("request")), uint8(in.number("member")), in.number("generation"))
	if err != nil {
		return nil, err
	}
	return object{"partial_key": hx(p.Bytes())}, nil
}

func runOpenAnswer(in object) (object, error) {
	k, err := ParseTransportKey(in.hex("transport_key"))
	if err != nil {
		return nil, err
	}
	a := &Access{ID: [32]byte(in.hex("access_id"))}
	ans, err := k.OpenAnswer(in.hex("sealed"), a, uint8(in.number("member")), in.number("generation"))
	if err != nil {
		return nil, err
	}
	return object{"answer": hx(ans.Bytes())}, nil
}
