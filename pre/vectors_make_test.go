package pre

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// makeVectors makes all vectors.
func makeVectors(t *testing.T) []*vector {
	w := newWorld(t)
	w.makeGroups()
	w.makeTypes()
	w.makeObjects()
	w.makeKeys()
	w.makeRecords()
	w.makeGrants()
	w.makeAnswers()
	w.makeTransport()
	w.refuseObjects()
	w.refuseKeys()
	w.refuseEnvelopes()
	w.refuseOpening()
	w.refuseGrants()
	w.refuseAnswers()
	w.refuseCombination()
	w.refuseTransport()
	return w.vectors
}

func (w *world) makeGroups() {
	g1, g2 := pairing.GeneratorG1(), pairing.GeneratorG2()
	w.add("gt", "valid", "gt", "e(g1, g2): fixes the pairing and the order of the twelve coordinates",
		object{"p": hxPoint(g1), "q": hxPoint2(g2)})
	a, b := w.randomSecret("gt, first scalar").Publish(), w.randomSecret("gt, second scalar").Publish()
	w.add("gt-random", "valid", "gt", "e of two points of no particular kind",
		object{"p": hxPoint(g1.Mul(a)), "q": hxPoint2(g2.Mul(b))})
	for _, c := range []struct {
		name string
		id   Identity
		t    Type
	}{
		{"root", w.owner, ""}, {"type", w.owner, worldType}, {"sealed", w.owner, "clinical/sealed:hiv"},
		{"inbox", w.doctor, inbox}, {"self-custody", w.patient, "lab"},
		{"long", w.longIdentities()["longest"], "a"},
	} {
		w.add("typed-identity-"+c.name, "valid", "typed-identity", "a typed identity and its hash to G2",
			object{"identity": hx(c.id.Description()), "type": c.t})
	}
}

// longIdentities are identities of the shortest and the longest encoding.
func (w *world) longIdentities() map[string]Identity {
	return map[string]Identity{
		"shortest": {Chain: "!", Name: "~", Key: w.authority.Key()},
		"longest":  {Chain: strings.Repeat("!", 128), Name: strings.Repeat("~", 128), Version: 1<<32 - 1, Epoch: 1<<64 - 1, Key: w.patient.Key},
	}
}

func (w *world) makeTypes() {
	long := strings.Repeat("x", 32)
	for _, c := range [][3]string{
		{"root", "", "the root"},
		{"one", "lab", "one component"},
		{"three", "lab/hematology/cbc", "three components"},
		{"characters", "0a.b_c-d/9", "every class of character"},
		{"eight", "a/b/c/d/e/f/g/h", "eight components, nine levels"},
		{"long-component", long, "a component of 32 characters"},
		{"longest", "sealed:" + long + strings.Repeat("/sealed:"+long, 7), "the longest type there is, every component sealed: one level"},
		{"sealed-last", "clinical/sealed:hiv", "the sealed type itself is the only level"},
		{"sealed-middle", "clinical/sealed:hiv/viral-load", "the ancestors stop at the sealed component"},
		{"sealed-twice", "sealed:a/b/sealed:c/d", "the innermost sealed component counts"},
		{"sealed-first", "sealed:a/b", "sealed at the top"},
	} {
		w.add("type-"+c[0], "valid", "parse-type", c[2], object{"type": c[1]})
	}
	for _, c := range [][4]string{
		{"nine", "limit", "a/b/c/d/e/f/g/h/i", "nine components"},
		{"component-too-long", "field", long + "x", "a component of 33 characters"},
		{"sealed-too-long", "field", "sealed:" + long + "x", "a sealed component of 33 characters"},
		{"inbox", "field", "#inbox", "the inbox is not a type to ask for"},
		{"hash-prefixed", "field", "#lab", "# is no character of a component"},
		{"hash-inside", "field", "lab/#inbox", "# is no character of a component"},
		{"empty-component", "field", "lab//cbc", "an empty component"},
		{"slash", "field", "/", "two empty components"},
		{"leading-slash", "field", "/lab", "an empty first component"},
		{"trailing-slash", "field", "lab/", "an empty last component"},
		{"upper-case", "field", "Lab", "an upper-case letter"},
		{"space", "field", "lab cbc", "a space"},
		{"newline", "field", "lab\n", "a newline"},
		{"nul", "field", "lab\x00", "a zero byte"},
		{"unicode", "field", "läb", "a letter outside ASCII"},
		{"dot-first", "field", ".lab", "a component begins with a letter or digit"},
		{"parent", "field", "lab/..", "a component begins with a letter or digit"},
		{"dash-first", "field", "lab/-a", "a component begins with a letter or digit"},
		{"sealed-empty", "field", "sealed:", "nothing is sealed"},
		{"sealed-nested", "field", "sealed:sealed:a", "sealed once is enough"},
		{"sealed-upper", "field", "Sealed:a", "the prefix has one spelling"},
		{"colon", "field", "a:b", "a colon elsewhere"},
		{"wildcard", "field", "lab/*", "there are no patterns"},
	} {
		w.add("type-"+c[0], c[1], "parse-type", c[3], object{"type": c[2]})
	}
}

// makeObjects adds one valid vector for every object that stands alone.
func (w *world) makeObjects() {
	for _, o := range w.objects() {
		w.add(o.name+"-valid", "valid", "parse-"+o.name, "what the parser accepts", object{"bytes": hx(o.bytes)})
	}
	s, _ := w.deal("one of one", w.randomSecret("one of one"), 0, 1, 1)
	w.add("sharing-one-of-one", "valid", "parse-sharing", "the smallest sharing, generation 0", object{"bytes": hx(s.Bytes())})
	s, shares := w.deal("64", w.randomSecret("64"), 1<<32-1, 64, 2)
	w.add("sharing-of-64", "valid", "parse-sharing", "the largest number of members, the last generation", object{"bytes": hx(s.Bytes())})
	w.add("share-64", "valid", "parse-share", "the last member that a sharing may have", object{"bytes": hx(shares[63].Bytes())})
	w.add("share-255", "valid", "parse-share", "the last member that a share may name", object{"bytes": hx((&Share{1, 255, shares[0].secret}).Bytes())})
	for name, id := range w.longIdentities() {
		w.add("identity-"+name, "valid", "parse-identity", "the "+name+" identity there is", object{"bytes": hx(id.Description())})
	}
	w.add("private-key-inbox", "valid", "parse-private-key", "the key that opens grants", object{"bytes": hx(w.key(w.reader, inbox).Bytes())})
	w.add("private-key-root", "valid", "parse-private-key", "a key for everything", object{"bytes": hx(w.key(w.patient, "").Bytes())})
}

func (w *world) makeKeys() {
	sharing := hx(w.authority.Bytes())
	for _, s := range w.shares[:2] {
		w.add(fmt.Sprintf("check-share-%d", s.index), "valid", "check-share", "a share that matches the commitments",
			object{"sharing": sharing, "share": hx(s.Bytes())})
	}
	w.add("extract", "valid", "extract", "a member's part of a key",
		object{"share": hx(w.shares[1].Bytes()), "identity": hx(w.owner.Description()), "type": worldType})
	w.add("combine-key", "valid", "combine-key", "a key from members 5, 1 and 4", w.combination(w.owner, worldType, 4, 0, 3))
	w.add("combine-key-inbox", "valid", "combine-key", "an inbox key", w.combination(w.reader, inbox, 0, 1, 2))
	for _, id := range []Identity{w.patient, w.doctor} {
		x := hx(w.custody[id.Name].Bytes())
		w.add("prove-custody-"+id.Name[:4], "valid", "prove-custody", "a custody key proven", object{"custody_key": x, "chain": id.Chain,
			"name": id.Name, "version": id.Version, "random": hx(randomBytes("custody proof of "+id.Name, 32))})
		w.add("check-custody-"+id.Name[:4], "valid", "check-custody", "a custody proof and the key it registers", w.custodyCase(id))
	}
	w.add("complete-key", "valid", "complete-key", "the key of an identity in self-custody", w.completion(w.patient, "lab"))
}

// combination is the input that makes a key of the parts of the members at the
// given positions.
func (w *world) combination(id Identity, t Type, members ...int) object {
	w.t.Helper()
	var parts []string
	for _, m := range members {
		p, err := w.shares[m].extract(id, t)
		must(w.t, err)
		parts = append(parts, hx(p.Bytes()))
	}
	return object{"sharing": hx(w.authority.Bytes()), "identity": hx(id.Description()), "type": t, "partial_keys": parts}
}

func (w *world) custodyCase(id Identity) object {
	w.t.Helper()
	proof, err := w.custody[id.Name].prove(stream("custody proof of "+id.Name), id.Chain, id.Name, id.Version)
	must(w.t, err)
	return object{"authority": hx(w.authority.Key().Bytes()), "chain": id.Chain, "name": id.Name, "version": id.Version, "proof": hx(proof)}
}

func (w *world) completion(id Identity, t Type) object {
	plainID := id
	plainID.Version, plainID.Key = 0, w.authority.Key()
	return object{"custody_key": hx(w.custody[id.Name].Bytes()), "private_key": hx(w.key(plainID, t).Bytes()),
		"identity": hx(id.Description())}
}

func (w *world) makeRecords() {
	for _, c := range []struct {
		name  string
		owner Identity
		t     Type
		index []byte
	}{
		{"three-components", w.owner, worldType, []byte(`{"loinc":"58410-2"}`)},
		{"root", w.owner, "", []byte("everything")},
		{"sealed", w.owner, "clinical/sealed:hiv/viral-load", []byte("one sealed ancestor")},
		{"eight-components", w.owner, "a/b/c/d/e/f/g/h", []byte("nine levels")},
		{"self-custody", w.patient, "imaging/ct", []byte("in self-custody")},
		{"empty-index", w.owner, "lab", nil},
		{"index-252", w.owner, "lab", bytes.Repeat([]byte{0xa5}, 252)},
		{"index-253", w.owner, "lab", bytes.Repeat([]byte{0xa5}, 253)},
	} {
		h := w.header(c.owner, c.t, "rec-"+c.name)
		fresh := randomBytes("record "+h.Record, 88)
		w.add("encapsulate-"+c.name, "valid", "encapsulate", "a record with every intermediate value", object{
			"header": headerObject(h), "seed": hx(fresh[:32]), "nonce": hx(fresh[32:56]), "random": hx(fresh[56:]), "index": hx(c.index)})
		e, sealed := w.put(h, c.index)
		w.add("verify-envelope-"+c.name, "valid", "verify-envelope", "an envelope that its header goes with", recordObject(h, e))
		levels := c.t.Levels()
		for _, l := range slices.Compact([]int{0, len(levels) - 1}) {
			w.add(fmt.Sprintf("open-record-%s-level-%d", c.name, l), "valid", "open-record", "opened by the owner",
				recordObject(h, e).with("private_key", hx(w.key(c.owner, levels[l]).Bytes())).with("sealed", hx(sealed)))
		}
	}
	for _, c := range []struct {
		name, kind, comment string
		length, zeros       uint32
	}{
		{"longest", "valid", "an index of 1 MiB", maxIndex, maxIndex + indexBlock - 4},
		{"over-limit", "decrypt", "an index of a byte more than 1 MiB, padded as it should be", maxIndex + 1, maxIndex + indexBlock - 4},
	} {
		w.add("unpad-"+c.name, c.kind, "unpad", c.comment, object{"begin": hx(binary.BigEndian.AppendUint32(nil, c.length)), "zeros": c.zeros})
	}
	var good, mixed []object
	for i := range 4 {
		h := w.header(w.owner, worldType, fmt.Sprintf("batch-%d", i))
		e, _ := w.put(h, []byte("batch"))
		good = append(good, recordObject(h, e))
		switch i {
		case 1:
			e.z = e.z.Add(pairing.NewScalar(1))
		case 2:
			e.wraps = e.wraps[:2]
		}
		mixed = append(mixed, recordObject(h, e))
	}
	w.add("verify-batch", "valid", "verify-batch", "four envelopes, one equation", object{"seed": hx(randomBytes("block", 32)), "records": good})
	w.add("verify-batch-mixed", "valid", "verify-batch", "the second proof is wrong, the third envelope lacks wraps: both are found, positions count on",
		object{"seed": hx(randomBytes("block", 32)), "records": mixed})
}

// grantCase is the input that makes a grant with coefficients of its label.
func (w *world) grantCase(owner Identity, t Type, to Identity, id string, n, threshold int) object {
	var coefficients []string
	for i := range threshold {
		coefficients = append(coefficients, hxSecret(w.randomSecret(fmt.Sprintf("coefficient %d of %s", i, id))))
	}
	return object{"private_key": hx(w.key(owner, t).Bytes()), "recipient": hx(to.Description()), "id": id,
		"conditions": hx(randomBytes("conditions of "+id, 32)), "generation": 4, "n": n, "t": threshold, "coefficients": coefficients}
}

func (w *world) makeGrants() {
	w.add("grant", "valid", "grant", "a grant with every intermediate value", w.grantCase(w.owner, "lab", w.reader, "grant-1", 5, 3))
	w.add("grant-self-custody", "valid", "grant", "owner and reader in self-custody", w.grantCase(w.patient, "imaging", w.doctor, "grant-2", 4, 2))
	w.add("grant-everything", "valid", "grant", "the root, among one member of one", w.grantCase(w.owner, "", w.doctor, "grant-3", 1, 1))
	w.add("grant-exposed", "exposed", "grant", "the owner is in self-custody, the reader is not", w.grantCase(w.patient, "imaging", w.reader, "grant-4", 4, 2))
	w.add("grant-threshold-over-members", "field", "grant", "t = 3 of n = 2", w.grantCase(w.owner, "lab", w.reader, "grant-5", 2, 3))
	w.add("grant-too-many-members", "field", "grant", "n = 65", w.grantCase(w.owner, "lab", w.reader, "grant-7", 65, 3))
	w.add("grant-of-inbox", "field", "grant", "the inbox is never granted", w.grantCase(w.owner, inbox, w.reader, "grant-6", 5, 3))
	for name, pair := range map[string][2]Identity{"open-grant": {w.owner, w.reader}, "open-grant-self-custody": {w.patient, w.doctor}} {
		g, shares := w.grant(pair[0], "lab", pair[1], name)
		w.add(name, "valid", "open-grant", "a grant opened by its reader", object{"grant": hx(g.Bytes()), "inbox_key": hx(w.key(pair[1], inbox).Bytes())})
		w.add(name+"-share", "valid", "check-share", "a member accepts its share of a grant",
			object{"sharing": hx(g.sharing.Bytes()), "share": hx(shares[2].Bytes())})
	}
}

// answering is a grant with records and answers, or a decapsulation.
type answerCase struct {
	grant    *Grant // nil for a decapsulation
	sharing  *Sharing
	shares   []*Share
	access   *Access
	in       object // all that verify-answer needs but the answer
	half     []byte
	transfer *TransportKey
}

func (w *world) answerCase(label string, g *Grant, reader Identity, sharing *Sharing, shares []*Share, records ...*Record) *answerCase {
	w.t.Helper()
	c := &answerCase{grant: g, sharing: sharing, shares: shares, access: w.access(label, records...), transfer: w.transportKey(label)}
	c.in = object{"sharing": hx(sharing.Bytes()), "access": accessObject(c.access)}
	if g != nil {
		c.half = w.half(g, reader)
		c.in = c.in.with("grant", hx(g.Bytes()))
	}
	return c
}

// standard is the case most vectors about answers start from: one or three
// records under a grant.
func (w *world) standard(records int) *answerCase {
	w.t.Helper()
	g, shares := w.grant(w.owner, "lab", w.reader, "standard")
	list := []*Record{w.record(w.owner, worldType, "answered-0"), w.record(w.owner, "lab", "answered-1"), w.record(w.owner, "lab/x", "answered-2")}
	return w.answerCase(fmt.Sprintf("standard %d", records), g, w.reader, g.sharing, shares, list[:records]...)
}

// emergency is a decapsulation of two records.
func (w *world) emergency() *answerCase {
	w.t.Helper()
	return w.answerCase("emergency", nil, Identity{}, w.authority, w.shares,
		w.record(w.owner, worldType, "emergency-0"), w.record(w.reader, "", "emergency-1"))
}

// reshared is the standard case after the grant moved to other members.
func (w *world) reshared() *answerCase {
	w.t.Helper()
	old := w.standard(3)
	l, err := pairing.NewLagrange([]uint8{1, 2, 3})
	must(w.t, err)
	w0 := l.CombineSecrets([]*pairing.Secret{old.shares[0].secret, old.shares[1].secret, old.shares[2].secret})
	sharing, shares := w.deal("reshare", w0, 2, 7, 4)
	return w.answerCase("reshared", old.grant, w.reader, sharing, shares, old.access.Records...)
}

func (w *world) makeAnswers() {
	self, shares := w.grant(w.patient, "", w.doctor, "self-custody")
	everything := w.answerCase("self-custody", self, w.doctor, self.sharing, shares, w.record(w.patient, "imaging/ct", "answered-self"))
	for _, c := range []struct {
		name    string
		c       *answerCase
		comment string
		members []int
	}{
		{"one-record", w.standard(1), "one record, no weights", []int{0, 1, 2}},
		{"three-records", w.standard(3), "three records at three levels, one proof", []int{4, 2, 0}},
		{"self-custody", everything, "owner and reader in self-custody, granted at the root", []int{1, 3, 4}},
		{"reshared", w.reshared(), "generation 2, seven members, four answer", []int{6, 0, 3, 1}},
		{"decapsulation", w.emergency(), "no grant: the authority's shares", []int{0, 3, 4}},
	} {
		first := c.c.shares[c.members[0]]
		w.add("answer-"+c.name, "valid", "answer", c.comment, c.c.in.with("share", hx(first.Bytes())).with("random", hx(randomBytes("answer", 32))))
		list := w.answers(pick(c.c.shares, c.members), c.c.grant, c.c.sharing, c.c.access)
		w.add("verify-answer-"+c.name, "valid", "verify-answer", c.comment, c.c.in.with("answer", hx(list[0].Bytes())))
		w.add("open-access-"+c.name, "valid", "open-access", c.comment, c.c.opening(list))
	}
}

func (c *answerCase) opening(list []*Answer) object {
	in := c.in.with("answers", hexAnswers(list))
	if c.grant != nil {
		in = in.with("half", hx(c.half))
	}
	return in
}

func (w *world) makeTransport() {
	w.add("open-share", "valid", "open-share", "a member opens its share of a grant", w.shareTransport())
	w.add("open-partial-key", "valid", "open-partial-key", "a requester opens a partial key", w.partialTransport())
	w.add("open-answer", "valid", "open-answer", "a reader opens an answer", w.answerTransport())
}

func (w *world) shareTransport() object {
	w.t.Helper()
	c, to := w.standard(1), w.transportKey("member 2")
	return object{"transport_key": hx(to.Bytes()), "grant": hx(c.grant.Bytes()), "member": 2, "sealed": hx(
		w.sealFixed("share", to.Public(), pairing.DSTGrantShare, shareData(c.grant, 2), c.shares[1].Bytes()))}
}

func (w *world) partialTransport() object {
	w.t.Helper()
	to, request := w.transportKey("request"), randomBytes("request", 32)
	p, err := w.shares[2].extract(w.owner, worldType)
	must(w.t, err)
	return object{"transport_key": hx(to.Bytes()), "request": hx(request), "member": 3, "generation": 1, "sealed": hx(
		w.sealFixed("partial key", to.Public(), pairing.DSTPartialKey, partData([32]byte(request), 3, 1), p.Bytes()))}
}

func (w *world) answerTransport() object {
	w.t.Helper()
	c := w.standard(1)
	ans := w.answer(c.shares[3], c.grant, c.sharing, c.access)
	return object{"transport_key": hx(c.transfer.Bytes()), "access_id": hx(c.access.ID[:]), "member": 4, "generation": 1, "sealed": hx(
		w.sealFixed("answer", c.transfer.Public(), pairing.DSTFragmentSeal, partData(c.access.ID, 4, 1), ans.Bytes()))}
}
