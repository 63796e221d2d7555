package pre

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ward-health/ward/internal/pairing"
)

// object is the input or the output of a vector. Bytes are in hexadecimal;
// identities stand in their encoding.
type object map[string]any

func (o object) text(k string) string   { s, _ := o[k].(string); return s }
func (o object) number(k string) uint32 { n, _ := o[k].(float64); return uint32(n) }
func (o object) has(k string) bool      { _, ok := o[k]; return ok }

func (o object) object(k string) object {
	m, _ := o[k].(map[string]any)
	return m
}

func (o object) objects(k string) (list []object) {
	all, _ := o[k].([]any)
	for _, v := range all {
		m, _ := v.(map[string]any)
		list = append(list, m)
	}
	return list
}

func (o object) hex(k string) []byte { return unhex(o.text(k)) }

func (o object) hexes(k string) (list [][]byte) {
	all, _ := o[k].([]any)
	for _, v := range all {
		s, _ := v.(string)
		list = append(list, unhex(s))
	}
	return list
}

// unhex returns nil for what is not hexadecimal; the operation then fails.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func hx(b []byte) string { return hex.EncodeToString(b) }

func hxPoint(g pairing.G1) string      { b := g.Bytes(); return hx(b[:]) }
func hxPoint2(g pairing.G2) string     { b := g.Bytes(); return hx(b[:]) }
func hxScalar(s pairing.Scalar) string { b := s.Bytes(); return hx(b[:]) }
func hxGT(e pairing.GT) string         { b := e.Bytes(); return hx(b[:]) }
func hxSecret(s *pairing.Secret) string {
	b := s.Reveal()
	return hx(b[:])
}

func hxPoints(points []pairing.G1) []string {
	list := make([]string, len(points))
	for i, p := range points {
		list[i] = hxPoint(p)
	}
	return list
}

// plain gives o the types it has when it is read from a file.
func plain(o object) object {
	b, err := json.Marshal(o)
	if err != nil {
		return nil
	}
	var back object
	if json.Unmarshal(b, &back) != nil {
		return nil
	}
	return back
}

// kindOf is the word of SPEC.md, section 13, for an error.
func kindOf(err error) string {
	var format *FormatError
	var blame *BlameError
	var dealer *DealerError
	var author *AuthorError
	switch {
	case err == nil:
		return "valid"
	case errors.As(err, &format):
		return format.Reason
	case errors.As(err, &blame):
		return "blame"
	case errors.As(err, &dealer):
		return "dealer"
	case errors.As(err, &author):
		return "author"
	}
	for kind, sentinel := range map[string]error{
		"decrypt": ErrDecrypt, "proof": ErrProof, "not-covered": ErrNotCovered, "shares": ErrShares, "exposed": ErrExposed,
	} {
		if errors.Is(err, sentinel) {
			return kind
		}
	}
	return err.Error()
}

// operations are what vectors exercise, by name. Each parses its input, runs
// the exported or the derandomized form of the operation, and returns what a
// second implementer would want to compare.
var operations = map[string]func(object) (object, error){
	"gt":                  runGT,
	"typed-identity":      runTypedIdentity,
	"parse-type":          runParseType,
	"parse-public-key":    runParsePublicKey,
	"parse-identity":      runParseIdentity,
	"parse-sharing":       runParseSharing,
	"parse-share":         runParseShare,
	"parse-partial-key":   runParsePartialKey,
	"parse-private-key":   runParsePrivateKey,
	"parse-custody-key":   runParseCustodyKey,
	"parse-envelope":      runParseEnvelope,
	"parse-grant":         runParseGrant,
	"parse-answer":        runParseAnswer,
	"parse-transport-key": runParseTransportKey,
	"check-share":         runCheckShare,
	"extract":             runExtract,
	"combine-key":         runCombineKey,
	"prove-custody":       runProveCustody,
	"check-custody":       runCheckCustody,
	"complete-key":        runCompleteKey,
	"encapsulate":         runEncapsulate,
	"unpad":               runUnpad,
	"verify-envelope":     runVerifyEnvelope,
	"verify-batch":        runVerifyBatch,
	"open-record":         runOpenRecord,
	"grant":               runGrant,
	"open-grant":          runOpenGrant,
	"answer":              runAnswer,
	"verify-answer":       runVerifyAnswer,
	"open-access":         runOpenAccess,
	"open-share":          runOpenShare,
	"open-partial-key":    runOpenPartialKey,
	"open-answer":         runOpenAnswer,
}

var errRoundTrip = errors.New("the encoding changes on the way")

func roundTrip(in object, v interface{ Bytes() []byte }) error {
	if !bytes.Equal(in.hex("bytes"), v.Bytes()) {
		return errRoundTrip
	}
	return nil
}

func vectorHeader(o object) (Header, error) {
	owner, err := ParseIdentity(o.hex("owner"))
	return Header{Record: o.text("record"), Owner: owner, Type: Type(o.text("type")), Author: o.text("author")}, err
}

func vectorRecord(o object) (*Record, error) {
	h, err := vectorHeader(o.object("header"))
	if err != nil {
		return nil, err
	}
	e, err := ParseEnvelope(o.hex("envelope"))
	if err != nil {
		return nil, err
	}
	return e.Verify(h)
}

func vectorAccess(o object) (*Access, error) {
	a := &Access{ID: [32]byte(o.hex("id")), Requester: o.hex("requester")}
	for _, r := range o.objects("records") {
		rec, err := vectorRecord(r)
		if err != nil {
			return nil, fmt.Errorf("record of access: %w", err)
		}
		a.Records = append(a.Records, rec)
	}
	return a, nil
}

func runGT(in object) (object, error) {
	p, err := pairing.ParseG1(in.hex("p"))
	if err != nil {
		return nil, err
	}
	q, err := pairing.ParseG2(in.hex("q"))
	if err != nil {
		return nil, err
	}
	return object{"e": hxGT(pairing.Pair(p, q))}, nil
}

func runTypedIdentity(in object) (object, error) {
	id, err := ParseIdentity(in.hex("identity"))
	if err != nil {
		return nil, err
	}
	typed := id.typed(Type(in.text("type")))
	return object{"typed": hx(typed.bytes()), "Q": hxPoint2(typed.point())}, nil
}

// encodedIdentity is an identity as the other objects are: with Bytes.
type encodedIdentity struct{ Identity }

func (id encodedIdentity) Bytes() []byte { return id.Description() }

func parseEncodedIdentity(b []byte) (encodedIdentity, error) {
	id, err := ParseIdentity(b)
	return encodedIdentity{id}, err
}

func runParseIdentity(in object) (object, error) {
	id, err := parseEncodedIdentity(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"chain": id.Chain, "name": id.Name, "version": id.Version, "epoch": id.Epoch,
		"key": hx(id.Key.Bytes())}, roundTrip(in, id)
}

func runParseType(in object) (object, error) {
	t, err := ParseType(in.text("type"))
	if err != nil {
		return nil, err
	}
	return object{"levels": t.Levels()}, nil
}

func runParsePublicKey(in object) (object, error) {
	k, err := ParsePublicKey(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{}, roundTrip(in, k)
}

func describeSharing(s *Sharing) object {
	return object{"generation": s.generation, "n": s.Members(), "t": s.Threshold(),
		"commitments": hxPoints(s.commitments), "public_shares": hxPoints(s.members)}
}

func runParseSharing(in object) (object, error) {
	s, err := ParseSharing(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return describeSharing(s), roundTrip(in, s)
}

func runParseShare(in object) (object, error) {
	s, err := ParseShare(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"generation": s.generation, "i": s.index, "w": hxSecret(s.secret)}, roundTrip(in, s)
}

func runParsePartialKey(in object) (object, error) {
	p, err := ParsePartialKey(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"generation": p.generation, "i": p.index, "D": hxPoint2(p.d)}, roundTrip(in, p)
}

func runParsePrivateKey(in object) (object, error) {
	k, err := ParsePrivateKey(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"identity": hx(k.id.Description()), "type": k.t, "D": hxPoint2(k.d)}, roundTrip(in, k)
}

func runParseCustodyKey(in object) (object, error) {
	c, err := ParseCustodyKey(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"x": hxSecret(c.x)}, roundTrip(in, c)
}

func runParseEnvelope(in object) (object, error) {
	e, err := ParseEnvelope(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"U": hxPoint(e.u), "Ubar": hxPoint(e.ubar), "R": hxPoint(e.r), "Rbar": hxPoint(e.rbar),
		"z": hxScalar(e.z), "levels": len(e.wraps), "index_hash": hx(e.index[:])}, roundTrip(in, e)
}

func runParseGrant(in object) (object, error) {
	g, err := ParseGrant(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"owner": hx(g.owner.Description()), "type": g.t, "id": g.id, "description": hx(g.recipient),
		"conditions": hx(g.condition[:]), "sharing": describeSharing(g.sharing), "sealed": hx(g.sealed),
		"gctx": hx(g.context[:])}, roundTrip(in, g)
}

func runParseAnswer(in object) (object, error) {
	a, err := ParseAnswer(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"generation": a.generation, "i": a.index, "R": hxPoints(a.points), "c": hxScalar(a.challenge),
		"z": hxScalar(a.z)}, roundTrip(in, a)
}

func runParseTransportKey(in object) (object, error) {
	k, err := ParseTransportKey(in.hex("bytes"))
	if err != nil {
		return nil, err
	}
	return object{"public": hx(k.Public())}, roundTrip(in, k)
}

// replay is a source of randomness that gives what a vector prescribes.
func replay(parts ...[]byte) io.Reader { return bytes.NewReader(bytes.Join(parts, nil)) }
