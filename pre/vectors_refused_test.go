package pre

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// refuseKeys adds keys and proofs that are not what they claim.
func (w *world) refuseKeys() {
	sharing := hx(w.authority.Bytes())
	check := func(name, kind, comment string, s *Share) {
		w.add("check-share-"+name, kind, "check-share", comment, object{"sharing": sharing, "share": hx(s.Bytes())})
	}
	first := w.shares[0]
	check("wrong", "proof", "member 1 holds the share of member 2", &Share{1, 1, w.shares[1].secret})
	check("generation", "shares", "a share of another generation", &Share{2, 1, first.secret})
	check("index", "shares", "a share of a member that is not", &Share{1, 6, first.secret})

	combine := func(name, kind, comment string, in object) {
		w.add("combine-key-"+name, kind, "combine-key", comment, in)
	}
	combine("too-few", "shares", "t − 1 parts", w.combination(w.owner, worldType, 0, 1))
	combine("too-many", "shares", "t + 1 parts", w.combination(w.owner, worldType, 0, 1, 2, 3))
	combine("repeated", "shares", "the same member twice", w.combination(w.owner, worldType, 0, 1, 1))
	in := w.combination(w.owner, worldType, 0, 1, 2)
	part := func(id Identity, t Type, change func(p *PartialKey)) object {
		p, err := w.shares[1].extract(id, t)
		must(w.t, err)
		change(p)
		parts := slices.Clone(in["partial_keys"].([]string))
		parts[1] = hx(p.Bytes())
		return in.with("partial_keys", parts)
	}
	combine("index-above", "shares", "member 6 of 5", part(w.owner, worldType, func(p *PartialKey) { p.index = 6 }))
	combine("generations", "shares", "one part of another generation", part(w.owner, worldType, func(p *PartialKey) { p.generation = 2 }))
	combine("wrong-part", "blame", "member 2 answers with a multiple", part(w.owner, worldType, func(p *PartialKey) { p.d = p.d.Add(p.d) }))
	combine("wrong-type", "blame", "member 2 answers for an ancestor", part(w.owner, "lab", func(*PartialKey) {}))
	later := w.owner
	later.Epoch++
	combine("wrong-epoch", "blame", "member 2 answers for another epoch", part(later, worldType, func(*PartialKey) {}))
	combine("wrong-index", "blame", "member 2 says that it is member 4", part(w.owner, worldType, func(p *PartialKey) { p.index = 4 }))

	k := w.key(w.owner, "lab")
	w.add("private-key-of-other-type", "proof", "parse-private-key", "D belongs to another type",
		object{"bytes": hx((&PrivateKey{k.id, "imaging", k.d}).Bytes())})
	w.add("private-key-of-other-owner", "proof", "parse-private-key", "D belongs to another owner",
		object{"bytes": hx((&PrivateKey{w.reader, "lab", k.d}).Bytes())})

	done := w.completion(w.patient, "lab")
	w.add("complete-key-other-custody-key", "proof", "complete-key", "x is another's",
		done.with("custody_key", hx(w.custody[w.doctor.Name].Bytes())))
	for name, change := range map[string]func(id *Identity){
		"chain": func(id *Identity) { id.Chain = "south-sea" },
		"name":  func(id *Identity) { id.Name = "p-9c02@west" },
		"epoch": func(id *Identity) { id.Epoch++ },
	} {
		id := w.patient
		id.Version, id.Key = 0, w.authority.Key()
		change(&id)
		w.add("complete-key-other-"+name, "not-covered", "complete-key", "D is of another "+name,
			done.with("private_key", hx(w.key(id, "lab").Bytes())))
	}
	w.add("complete-key-twice", "not-covered", "complete-key", "D' is complete already",
		done.with("private_key", hx(w.key(w.patient, "lab").Bytes())))
	w.add("complete-key-version-zero", "not-covered", "complete-key", "the identity is not in self-custody",
		done.with("identity", hx(Identity{w.patient.Chain, w.patient.Name, 0, w.patient.Epoch, w.patient.Key}.Description())))
	w.refuseCustody()
}

func (w *world) refuseCustody() {
	in := w.custodyCase(w.patient)
	refuse := func(name, kind, comment string, in object) {
		w.add("check-custody-"+name, kind, "check-custody", comment, in)
	}
	refuse("other-chain", "proof", "a proof made for another chain", in.with("chain", "south-sea"))
	refuse("other-name", "proof", "a proof made for another name", in.with("name", "p-9c02@west"))
	refuse("other-version", "proof", "a proof made for another version", in.with("version", 2))
	refuse("version-zero", "field", "version 0 is not self-custody", in.with("version", 0))
	// X = −P is proven by whoever knows s: t members together.
	minus := &CustodyKey{new(pairing.Secret).Sub(w.secret)}
	rogue, err := minus.prove(stream("rogue"), "north-sea", "p-9c01@west", 1)
	must(w.t, err)
	refuse("minus-authority", "identity", "X = −P, proven: P' would be the identity", in.with("proof", hx(rogue)))
	proof := unhex(in.text("proof"))
	head := len(custodyProofName) + 1
	for name, at := range map[string]int{"challenge": head + 48 + 31, "response": head + 80 + 31} {
		changed := slices.Clone(proof)
		changed[at] ^= 1
		refuse(name, "proof", "one bit changed", in.with("proof", hx(changed)))
	}
	// X is another key: a rogue one, from which the attacker's own is subtracted.
	x := w.authority.Key().g.Neg().Add(pairing.MulGenerator(pairing.NewScalar(7))).Bytes()
	refuse("rogue", "proof", "X = 7·g1 − P, with another's proof", in.with("proof", hx(slices.Concat(proof[:head], x[:], proof[head+48:]))))
	o := encoded{"custody-proof", proof, []field{{"x", head, 48, false}, {"c", head + 48, 32, false}, {"z", head + 80, 32, false}}}
	malformed := func(name, kind, comment string, b []byte) { refuse(name, kind, comment, in.with("proof", hx(b))) }
	malformed("cut", "length", "a byte too few", proof[:len(proof)-1])
	malformed("trailing", "trailing", "a byte too many", append(slices.Clone(proof), 0))
	malformed("empty", "name", "nothing at all", nil)
	for _, f := range o.fields {
		put := func(v []byte) []byte { return slices.Concat(proof[:f.offset], v, proof[f.offset+f.size:]) }
		if f.size == 32 {
			malformed(f.name+"-order", "range", "the scalar q", put(groupOrder(0)))
			continue
		}
		for _, p := range badPoints(48, proof[f.offset:f.offset+48]) {
			malformed(f.name+"-"+p.name, p.kind, p.comment, put(unhex(p.hex)))
		}
	}
}

// refuseEnvelopes adds envelopes that do not verify.
func (w *world) refuseEnvelopes() {
	h := w.header(w.owner, worldType, "refused")
	refuse := func(name, kind, comment string, h Header, change func(e *Envelope)) {
		e, _ := w.put(w.header(w.owner, worldType, "refused"), []byte("refused"))
		change(e)
		w.add("verify-envelope-"+name, kind, "verify-envelope", comment, recordObject(h, e))
	}
	g1, delta := pairing.GeneratorG1(), pairing.NewScalar(5)
	keep := func(*Envelope) {}
	refuse("u", "proof", "U + g1", h, func(e *Envelope) { e.u = e.u.Add(g1) })
	refuse("ubar", "proof", "Ubar + g1", h, func(e *Envelope) { e.ubar = e.ubar.Add(g1) })
	refuse("r", "proof", "R + g1", h, func(e *Envelope) { e.r = e.r.Add(g1) })
	refuse("rbar", "proof", "Rbar + g1", h, func(e *Envelope) { e.rbar = e.rbar.Add(g1) })
	refuse("z", "proof", "z + 1", h, func(e *Envelope) { e.z = e.z.Add(pairing.NewScalar(1)) })
	refuse("z-zero", "proof", "z = 0 is a scalar, and wrong", h, func(e *Envelope) { e.z = pairing.Scalar{} })
	refuse("mauled", "proof", "U + δ·g1 and Ubar, R, Rbar, z shifted to match as well as an outsider can", h, func(e *Envelope) {
		label := e.label(h.context())
		base, c := capsuleBase(e.u, e.r, label), e.challenge(label)
		e.u, e.ubar = e.u.Add(pairing.MulGenerator(delta)), e.ubar.Add(base.Mul(delta))
		e.z = e.z.Add(c.Mul(delta))
	})
	bases := func(first, second pairing.Scalar) func(e *Envelope) {
		return func(e *Envelope) {
			r, k := w.randomSecret("bases r").Publish(), w.randomSecret("bases k").Publish()
			e.u, e.r = pairing.MulGenerator(r.Add(first)), pairing.MulGenerator(k)
			label := e.label(h.context())
			base := capsuleBase(e.u, e.r, label)
			e.ubar, e.rbar = base.Mul(r.Add(second)), base.Mul(k)
			e.z = k.Add(e.challenge(label).Mul(r))
		}
	}
	refuse("second-base", "proof", "Ubar = r'·h: the first equation holds, the second does not", h, bases(pairing.Scalar{}, delta))
	refuse("first-base", "proof", "U = r'·g1: the second equation holds, the first does not", h, bases(delta, pairing.Scalar{}))
	refuse("wrap", "proof", "one bit of a wrap", h, func(e *Envelope) { e.wraps[1][7] ^= 0x10 })
	refuse("index-hash", "proof", "one bit of the index's hash", h, func(e *Envelope) { e.index[31] ^= 1 })
	refuse("wraps-reordered", "proof", "two wraps change places", h, func(e *Envelope) { e.wraps[0], e.wraps[1] = e.wraps[1], e.wraps[0] })
	refuse("wraps-missing", "field", "the root's wrap is missing", h, func(e *Envelope) { e.wraps = e.wraps[:3] })
	refuse("wraps-extra", "field", "a wrap more than levels", h, func(e *Envelope) { e.wraps = append(e.wraps, e.wraps[0]) })
	for _, c := range []struct {
		name   string
		change func(h *Header)
	}{
		{"record", func(h *Header) { h.Record = "refused2" }},
		{"owner", func(h *Header) { h.Owner.Name = "p-0000@north" }},
		{"chain", func(h *Header) { h.Owner.Chain = "south-sea" }},
		{"epoch", func(h *Header) { h.Owner.Epoch++ }},
		{"version", func(h *Header) { h.Owner.Version++ }},
		{"key", func(h *Header) { h.Owner.Key = w.patient.Key }},
		{"author", func(h *Header) { h.Author = "lab@north" }},
		{"type", func(h *Header) { h.Type = "lab/hematology/cbx" }},
	} {
		other := h
		c.change(&other)
		refuse("other-"+c.name, "proof", "a proof copied to another "+c.name, other, keep)
	}
	for name, change := range map[string]func(h *Header){
		"record-empty": func(h *Header) { h.Record = "" }, "author-empty": func(h *Header) { h.Author = "" },
	} {
		other := h
		change(&other)
		refuse(name, "length", "a header with an empty name", other, keep)
	}
	inboxed := h
	inboxed.Type = inbox
	refuse("inbox", "field", "no record is of the type #inbox", inboxed, keep)
}

// refuseOpening adds records that verify and that a key does not open.
func (w *world) refuseOpening() {
	h := w.header(w.owner, worldType, "unopened")
	e, sealed := w.put(h, []byte("unopened"))
	uncovered := func(name, comment string, k *PrivateKey, h Header) {
		e, sealed := w.put(h, []byte("unopened"))
		w.add("open-record-"+name, "not-covered", "open-record", comment,
			recordObject(h, e).with("private_key", hx(k.Bytes())).with("sealed", hx(sealed)))
	}
	later, version := w.owner, w.patient
	later.Epoch++
	version.Version++
	uncovered("sibling", "the key is for a sibling", w.key(w.owner, "lab/microbiology"), h)
	uncovered("descendant", "the key is for a descendant", w.key(w.owner, worldType+"/x"), h)
	uncovered("prefix", "half a component is no ancestor", w.key(w.owner, "lab/hema"), h)
	uncovered("owner", "the key is another's", w.key(w.reader, worldType), h)
	uncovered("epoch", "the key is of a later epoch", w.key(later, worldType), h)
	uncovered("inbox", "the key is for the inbox", w.key(w.owner, inbox), h)
	uncovered("sealed", "a sealed component keeps its ancestors out", w.key(w.owner, "clinical"), w.header(w.owner, "clinical/sealed:hiv", "unopened"))
	uncovered("version", "the key is of a later version", w.key(version, "lab"), w.header(w.patient, "lab", "unopened"))

	closed := func(name, comment string, e *Envelope, sealed []byte) {
		w.add("open-record-"+name, "decrypt", "open-record", comment,
			recordObject(h, e).with("private_key", hx(w.key(w.owner, "lab").Bytes())).with("sealed", hx(sealed)))
	}
	context, dek := h.context(), w.recordKey(h, []byte("unopened"))
	r, other := recordScalar(dek, context), randomBytes("another record key", 32)
	// The key opens at level 2; the author cheats there and proves what it did.
	rewrap := func(e *Envelope, r pairing.Scalar, key []byte) {
		for j, l := range worldType.Levels() {
			id := h.Owner.typed(l)
			with := dek
			if j == 2 {
				with = key
			}
			wrap, err := sealWrap(pairing.Pair(h.Owner.Key.g, id.point()).Exp(r), id, e.U(), j, context, with)
			must(w.t, err)
			e.wraps[j] = wrap
		}
	}
	// The index is sealed so that only the check of U keeps it shut.
	cheat := func(name, comment string, r pairing.Scalar, key []byte) {
		var sealed []byte
		e := w.forge(h, []byte("unopened"), r, func(e *Envelope) {
			rewrap(e, r, key)
			var err error
			sealed, err = sealIndex(key, randomBytes("cheat", 24), context, e.U(), []byte("cheat"))
			must(w.t, err)
			e.index = indexHash(sealed)
		})
		closed(name, comment, e, sealed)
	}
	cheat("other-key-at-level", "the author wrapped another record key at the level of the reader", r, other)
	cheat("u-not-committed", "U is not H(DEK, ctx)·g1", w.randomSecret("free r").Publish(), dek)
	closed("wraps-exchanged", "the author exchanged two wraps and proved it so",
		w.forge(h, []byte("unopened"), r, func(e *Envelope) { e.wraps[1], e.wraps[2] = e.wraps[2], e.wraps[1] }), sealed)
	second, err := sealIndex(dek, randomBytes("second index", 24), context, e.U(), []byte("second"))
	must(w.t, err)
	closed("index-second", "another index under the same key, which the hash does not name", e, second)
	closed("index-mauled", "one bit of the index", e, append(slices.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1))
	closed("index-cut", "the index lacks a byte", e, sealed[:len(sealed)-1])
	w.refuseIndices(h, dek, closed)
}

// refuseIndices adds sealed indices that an author made wrong, with their right
// hash in the envelope.
func (w *world) refuseIndices(h Header, dek []byte, closed func(name, comment string, e *Envelope, sealed []byte)) {
	r, nonce := recordScalar(dek, h.context()), randomBytes("bad index", 24)
	u := pairing.MulGenerator(r).Bytes()
	seal := func(name string, padded, data []byte) []byte {
		aead, err := indexCipher(dek, h.context())
		must(w.t, err)
		o := wire.NewWriter(name)
		o.Raw(nonce)
		return aead.Seal(o.Sum(), nonce, padded, data)
	}
	bad := func(name, comment string, sealed []byte) {
		closed("index-"+name, comment, w.forge(h, []byte("unopened"), r, func(e *Envelope) { e.index = indexHash(sealed) }), sealed)
	}
	data := indexData(h.context(), u[:])
	padded := pad([]byte("index"))
	dirty := slices.Clone(padded)
	dirty[200] = 1
	bad("padding-not-zero", "the padding is not zero", seal(indexName, dirty, data))
	bad("padding-too-long", "a block of padding too many", seal(indexName, append(slices.Clone(padded), make([]byte, indexBlock)...), data))
	bad("padding-missing", "not a multiple of 256 bytes", seal(indexName, padded[:9], data))
	long := slices.Clone(padded)
	copy(long, []byte{0, 0, 0, 253})
	bad("length", "the length reaches beyond the end", seal(indexName, long, data))
	huge := slices.Clone(padded)
	copy(huge, []byte{255, 255, 255, 255})
	bad("length-huge", "a length of 2³² − 1", seal(indexName, huge, data))
	bad("nothing", "not even a length", seal(indexName, nil, data))
	bad("version", "another version", seal("ward/index/v2", padded, data))
	bad("data", "sealed for another capsule", seal(indexName, padded, indexData(h.context(), pairingGenerator())))
	bad("short", "shorter than a nonce and a tag", []byte(indexName+"\n"+string(nonce[:chacha20poly1305.NonceSizeX-1])))
	bad("empty", "nothing at all", nil)
}

func pairingGenerator() []byte {
	b := pairing.GeneratorG1().Bytes()
	return b[:]
}

// refuseGrants adds grants that their reader cannot open, or must not accept.
func (w *world) refuseGrants() {
	refuse := func(name, kind, comment string, key *PrivateKey, change func(g *Grant)) {
		g, _ := w.grant(w.owner, "lab", w.reader, "refused")
		change(g)
		w.add("open-grant-"+name, kind, "open-grant", comment, object{"grant": hx(g.Bytes()), "inbox_key": hx(key.Bytes())})
	}
	mine, keep := w.key(w.reader, inbox), func(*Grant) {}
	later := w.reader
	later.Epoch++
	refuse("other-reader", "decrypt", "sealed to somebody else", w.key(w.doctor, inbox), keep)
	refuse("other-epoch", "decrypt", "opened with the inbox key of another epoch", w.key(later, inbox), keep)
	refuse("no-inbox-key", "decrypt", "opened with a key for records", w.key(w.reader, "lab"), keep)
	other, _ := w.grant(w.owner, "lab", w.reader, "the-other-grant")
	refuse("copied-half", "decrypt", "the sealed half of another grant of the same owner, type and reader", mine, func(g *Grant) { g.sealed = other.sealed })
	refuse("changed-conditions", "decrypt", "the conditions are not those it was sealed under", mine, func(g *Grant) { g.condition[0] ^= 1 })
	refuse("changed-id", "decrypt", "the grant's id is not the one it was sealed under", mine, func(g *Grant) { g.id = "refuse-2" })
	for name, at := range map[string]int{"s": 20, "mask": 100} {
		refuse("mauled-"+name, "decrypt", "one bit of the sealed half", mine, func(g *Grant) { g.sealed = slices.Clone(g.sealed); g.sealed[at] ^= 1 })
	}
	refuse("s-identity", "decrypt", "S is the identity", mine, func(g *Grant) {
		g.sealed = slices.Concat(append([]byte{0xc0}, make([]byte, 47)...), g.sealed[48:])
	})
	refuse("cut", "decrypt", "the sealed half lacks a byte", mine, func(g *Grant) { g.sealed = g.sealed[:143] })
	refuse("long", "decrypt", "the sealed half has a byte too many", mine, func(g *Grant) { g.sealed = append(slices.Clone(g.sealed), 0) })
	refuse("empty", "decrypt", "no sealed half", mine, func(g *Grant) { g.sealed = nil })
	reseal := func(half []byte) func(g *Grant) {
		return func(g *Grant) {
			var err error
			g.sealed, err = w.reader.SealHalf(half, g.context)
			must(w.t, err)
		}
	}
	d := w.key(w.owner, "lab").d
	q := w.owner.typed("lab").point()
	wrong := d.Sub(q.Mul(w.randomSecret("another w0").Publish())).Bytes()
	whole := d.Bytes()
	refuse("other-secret", "dealer", "E is made with another w₀", mine, reseal(wrong[:]))
	refuse("whole-key", "dealer", "E is the whole key D", mine, reseal(whole[:]))
	refuse("half-of-other-grant", "dealer", "E of another grant, sealed anew for this one", mine, reseal(w.half(other, w.reader)))
	refuse("half-not-a-point", "dealer", "E does not parse", mine, reseal(randomBytes("no point", 96)))
	refuse("half-identity", "dealer", "E is the identity", mine, reseal(append([]byte{0xc0}, make([]byte, 95)...)))
	refuse("half-subgroup", "dealer", "E is outside the subgroup", mine, reseal(unhex(firstPoint(96, pairing.ErrSubgroup))))
}

// refuseTransport adds sealed messages that do not open.
func (w *world) refuseTransport() {
	share, part, ans := w.shareTransport(), w.partialTransport(), w.answerTransport()
	refuse := func(name, kind, operation, comment string, in object) { w.add(name, kind, operation, comment, in) }
	for operation, in := range map[string]object{"open-share": share, "open-partial-key": part, "open-answer": ans} {
		sealed := unhex(in.text("sealed"))
		last := slices.Clone(sealed)
		last[len(last)-1] ^= 1
		refuse(operation+"-mauled", "decrypt", operation, "one bit of the tag", in.with("sealed", hx(last)))
		refuse(operation+"-short", "decrypt", operation, "shorter than an encapsulated key", in.with("sealed", hx(sealed[:31])))
		refuse(operation+"-zero-key", "decrypt", operation, "an encapsulated key of zeros: the shared secret would be zero",
			in.with("sealed", hx(slices.Concat(make([]byte, 32), sealed[32:]))))
		refuse(operation+"-other-key", "decrypt", operation, "sealed to somebody else",
			in.with("transport_key", hx(w.transportKey("nobody").Bytes())))
	}
	g, _ := w.grant(w.owner, "lab", w.reader, "another-grant")
	refuse("open-share-other-grant", "decrypt", "open-share", "sealed for another grant", share.with("grant", hx(g.Bytes())))
	refuse("open-share-other-member", "decrypt", "open-share", "sealed for another member", share.with("member", 3))
	refuse("open-partial-key-other-request", "decrypt", "open-partial-key", "sealed for another request", part.with("request", hx(make([]byte, 32))))
	refuse("open-partial-key-other-member", "decrypt", "open-partial-key", "sealed by another member", part.with("member", 1))
	refuse("open-partial-key-other-generation", "decrypt", "open-partial-key", "sealed in another generation", part.with("generation", 2))
	refuse("open-answer-other-access", "decrypt", "open-answer", "sealed for another access", ans.with("access_id", hx(make([]byte, 32))))
	refuse("open-answer-other-member", "decrypt", "open-answer", "sealed by another member", ans.with("member", 1))
	refuse("open-answer-other-generation", "decrypt", "open-answer", "sealed in another generation", ans.with("generation", 2))

	c, to := w.standard(1), w.transportKey("member 2")
	reseal := func(comment string, s *Share) {
		refuse(fmt.Sprintf("open-share-of-%d", s.index), map[bool]string{true: "proof", false: "decrypt"}[s.index == 2], "open-share", comment,
			share.with("sealed", hx(w.sealFixed("wrong share", to.Public(), pairing.DSTGrantShare, shareData(c.grant, 2), s.Bytes()))))
	}
	reseal("the dealer sent the share of member 3 under the number of member 2", &Share{1, 2, c.shares[2].secret})
	reseal("the share inside says that it is another member's", c.shares[2])
	inner := w.answer(c.shares[0], c.grant, c.sharing, c.access)
	refuse("open-answer-inner-index", "decrypt", "open-answer", "the answer inside says that it is another member's",
		ans.with("sealed", hx(w.sealFixed("inner", c.transfer.Public(), pairing.DSTFragmentSeal, partData(c.access.ID, 4, 1), inner.Bytes()))))
	old := w.answer(c.shares[3], c.grant, c.sharing, c.access)
	old.generation = 2
	refuse("open-answer-inner-generation", "decrypt", "open-answer", "the answer inside says that it is of another generation",
		ans.with("sealed", hx(w.sealFixed("inner", c.transfer.Public(), pairing.DSTFragmentSeal, partData(c.access.ID, 4, 1), old.Bytes()))))
	refuse("open-share-inner-generation", "decrypt", "open-share", "the share inside says that it is of another generation",
		share.with("sealed", hx(w.sealFixed("wrong share", to.Public(), pairing.DSTGrantShare, shareData(c.grant, 2), (&Share{2, 2, c.shares[1].secret}).Bytes()))))
	request := [32]byte(unhex(part.text("request")))
	inside := func(name, comment string, change func(p *PartialKey)) {
		p, err := w.shares[2].extract(w.owner, worldType)
		must(w.t, err)
		change(p)
		refuse("open-partial-key-inner-"+name, "decrypt", "open-partial-key", comment, part.with("sealed", hx(
			w.sealFixed("inner", w.transportKey("request").Public(), pairing.DSTPartialKey, partData(request, 3, 1), p.Bytes()))))
	}
	inside("index", "the partial key inside says that it is another member's", func(p *PartialKey) { p.index = 1 })
	inside("generation", "the partial key inside says that it is of another generation", func(p *PartialKey) { p.generation = 2 })
	p := unhex(part.text("sealed"))
	refuse("open-partial-key-as-share", "decrypt", "open-share", "a message of another kind", share.with("sealed", hx(p)))
}
