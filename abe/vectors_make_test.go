package abe

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// maker makes the vectors.
type maker struct {
	t    testing.TB
	list []*vector
}

const vectorCatalogue = "contractor flag\nrole one of (nurse, physician)\n"

// add runs the operation to get the output.
func (m *maker) add(name, kind, operation, comment string, fields map[string]string) {
	m.t.Helper()
	v := &vector{name, comment, kind, operation, fields, nil}
	m.list = append(m.list, v)
	vectors := map[string]*vector{}
	for _, v := range m.list {
		vectors[v.name] = v
	}
	out, err := operations[operation](input{m.t, vectors, fields})
	if got := kindOf(err); got != kind {
		m.t.Errorf("%s: %s is %s, not %s", name, comment, got, kind)
	}
	if len(out) > 0 {
		v.Output = out
	}
}

func (m *maker) bytes(name, kind, operation, comment string, b []byte) {
	m.t.Helper()
	m.add(name, kind, operation, comment, output{"bytes": hex.EncodeToString(b)})
}

func makeVectors(t testing.TB) []*vector {
	m := &maker{t: t}
	m.texts()
	north, err := generateMasterKey(stream("vector north"), "north")
	must(t, err)
	south, err := generateMasterKey(stream("vector south"), "south")
	must(t, err)
	c := catalogueOf(t, vectorCatalogue)
	a, err := north.Authority(7, c)
	must(t, err)
	next, err := north.Authority(8, c)
	must(t, err)
	b, err := south.Authority(7, c)
	must(t, err)
	rich, err := north.Authority(9, catalogueOf(t, northCatalogue+"badge_until date\n"))
	must(t, err)
	m.authorities(north, a)
	m.bytes("authority-epoch-8", "valid", "parse-authority", "the same in the next epoch: another id", next.Bytes())
	m.bytes("authority-south", "valid", "parse-authority", "another authority", b.Bytes())
	m.bytes("authority-rich", "valid", "parse-authority", "every kind of attribute", rich.Bytes())
	m.compile()
	m.masterKeys(north, south)
	m.keys(north, south, a, next, b)
	m.opening(a, b)
	return m.list
}

func (m *maker) texts() {
	for name, text := range map[string]string{
		"clause": "contractor", "all": "role = physician and dept in (icu, er) and not contractor",
		"spaces": " role=physician and(dept in(icu,er))", "nested": "a and (b and c) or (d or e)", "double-not": "not not (not a)",
		"thresholds": "2 of (a, b, 1 of (c, d), 2 of (e, f))", "namespaces": "north:role = nurse or south:grade >= 3",
		"dates": "until >= 2026-09-01 and until < 2027-01-01", "in-one": "role in (nurse)", "numbers": "g < -3 or g <= 0 or g > 4294967295",
	} {
		m.add("policy-"+name, "valid", "parse-policy", "a policy and its canonical text", output{"text": text})
	}
	for name, text := range map[string]string{
		"empty": "", "trailing": "(role = doctor) (dept = cardio)", "upper-and": "(role = doctor) AND (dept = cardio)", "unclosed": "(a", "unequal": "a != b",
		"keyword": "role = and", "upper": "Role = nurse", "long-name": strings.Repeat("a", 33), "long-value": "a = " + strings.Repeat("a", 65),
		"listed-twice": "a in (b, b)", "no-list": "a in b", "zero-of": "0 of (a, b)", "too-many-of": "3 of (a, b)", "of-one": "1 of (a)",
		"deep": strings.Repeat("(", 17) + "a" + strings.Repeat(")", 17), "clauses": strings.Repeat("a or ", 64) + "a",
		"leading-zero": "g < 03", "order-of-words": "role < nurse", "no-such-day": "until < 2026-02-30", "wildcard": "role = *", "unicode": "role = ärztin",
		"long": strings.Repeat(" ", 4096) + "a",
	} {
		m.add("policy-"+name, "syntax", "parse-policy", "no policy", output{"text": text})
	}
	m.add("catalogue-all", "valid", "parse-catalogue", "every kind", output{"text": northCatalogue + "until date"})
	for name, text := range map[string]string{
		"empty": "", "twice": "a flag\na text", "unknown": "a colour", "range": "a number 3 to 3", "wide": "a number 0 to 4294967295", "list": "a one of (x, x)",
		"units": strings.Repeat("x", 1) + "0 date\nx1 date\nx2 date\nx3 date\nx4 date\nx5 date\nx6 date\nx7 date\nx8 date\nx9 date\nxa date\nxb date\nxc date\nxd date\nxe date\nxf date\nxg flag",
	} {
		m.add("catalogue-"+name, "syntax", "parse-catalogue", "no catalogue", output{"text": text})
	}
	m.add("attributes-none", "valid", "parse-attributes", "none", output{"text": ""})
	m.add("attributes-sorted", "valid", "parse-attributes", "sorted", output{"text": "south:a, role=nurse , dept = icu, dept = er"})
	for name, text := range map[string]string{"twice": "a = x, a = x", "flag-and-value": "a, a = x", "comma": "a,", "in": "a in (x)"} {
		m.add("attributes-"+name, "syntax", "parse-attributes", "no attributes", output{"text": text})
	}
	for name, c := range map[string][3]string{
		"not-missing":       {"not contractor", "", "valid"},
		"missing":           {"grade < 3", "", "not-satisfied"},
		"not-comparison":    {"not grade < 3", "", "valid"},
		"any-value":         {"dept = er and dept = icu", "dept = er, dept = icu", "valid"},
		"date-is-no-number": {"until > 3", "until = 2026-09-01", "not-satisfied"},
		"two-of-three":      {"2 of (a, b, c)", "a, c", "valid"},
		"one-of-three":      {"2 of (a, b, c)", "c", "not-satisfied"},
		"namespace":         {"north:a", "a", "not-satisfied"},
	} {
		m.add("evaluate-"+name, c[2], "evaluate", "the oracle", output{"policy": c[0], "attributes": c[1]})
	}
	slices.SortFunc(m.list, func(a, b *vector) int { return strings.Compare(a.name, b.name) })
}

// authorities adds an authority and everything that is wrong with one.
func (m *maker) authorities(k *MasterKey, a *Authority) {
	const op = "parse-authority"
	b := a.Bytes()
	head := len(authorityFormat) + 1
	m.bytes("authority", "valid", op, "an authority in epoch 7", b)
	m.bytes("authority-name", "name", op, "another version", slices.Concat([]byte("ward/attribute-authority/v2\n"), b[head:]))
	m.bytes("authority-cut", "length", op, "without the last byte", b[:len(b)-1])
	m.bytes("authority-trailing", "trailing", op, "a byte more", append(bytes.Clone(b), 0))
	m.bytes("authority-upper", "field", op, "a name that none can have", bytes.Replace(b, []byte("north"), []byte("North"), 1))
	m.bytes("authority-catalogue", "canonical", op, "a catalogue in another spelling", bytes.Replace(b, []byte("contractor flag\nrole one of (nurse, physician)\n"), []byte("contractor flag\nrole one of (physician, nurse)\n"), 1))
	m.bytes("authority-no-catalogue", "field", op, "a catalogue that is none", bytes.Replace(b, []byte("contractor flag"), []byte("contractor flat"), 1))
	long := bytes.Clone(b)
	binary.BigEndian.PutUint32(long[head:], 65)
	m.bytes("authority-long-name", "limit", op, "a length over the limit", long)
	public := bytes.Index(b, []byte{4, 6, 4, 0, 2, 0}) // 1540 bytes, 4 rows, 2 columns
	if public < 0 {
		m.t.Fatal("no public key")
	}
	change := func(at int, value ...byte) []byte {
		c := bytes.Clone(b)
		copy(c[public+at:], value)
		return c
	}
	inner := bytes.Clone(append(bytes.Clone(b), 0))
	size := bytes.LastIndex(b[:public], []byte{0, 0}) // of the public key, four bytes
	binary.BigEndian.PutUint32(inner[size:], uint32(len(b)-size-4+1))
	m.bytes("authority-public-trailing", "trailing", op, "a byte more within the public key", inner)
	m.bytes("authority-shape", "field", op, "a matrix of another shape", change(2, 2, 0, 4, 0))
	m.bytes("authority-point", "encoding", op, "a point that is not on the curve", change(20, b[public+20]^1))
	m.bytes("authority-point-identity", "identity", op, "a point at infinity", change(6, append([]byte{0x40}, make([]byte, g2Size-1)...)...))
	m.bytes("authority-gt-zero", "encoding", op, "zero for an element of GT", append(b[:len(b)-gtSize:len(b)-gtSize], make([]byte, gtSize)...))
	m.bytes("authority-gt-one", "identity", op, "one for an element of GT", append(append(b[:len(b)-gtSize:len(b)-gtSize], make([]byte, gtSize-1)...), 1))
}

func (m *maker) compile() {
	for name, c := range map[string][2]string{
		"flag":        {"@authority", "contractor"},
		"not-flag":    {"@authority", "not contractor"},
		"not-value":   {"@authority", "not role = nurse"},
		"in":          {"@authority", "role in (physician, nurse)"},
		"not-in":      {"@authority", "not role in (physician, nurse)"},
		"set":         {"@authority-rich", "dept = icu and not dept = er"},
		"text":        {"@authority-rich", "unit = A.7-b"},
		"equal":       {"@authority-rich", "grade = 4"},
		"not-equal":   {"@authority-rich", "not grade = 4"},
		"at-least":    {"@authority-rich", "grade >= 4"},
		"at-most":     {"@authority-rich", "grade <= 4"},
		"below":       {"@authority-rich", "grade < 4"},
		"above":       {"@authority-rich", "grade > 4"},
		"not-below":   {"@authority-rich", "not grade < 4"},
		"at-most-top": {"@authority-rich", "not grade <= 7"},
		"date":        {"@authority-rich", "badge_until >= 2026-09-01"},
		"threshold":   {"@authority-rich", "3 of (contractor, role = nurse, unit = a, dept = icu, grade >= 7)"},
		"not-of":      {"@authority-rich", "not 2 of (contractor, role = nurse, unit = a)"},
		"five":        {"@authority-rich", "contractor and role = nurse and unit = a and dept = icu and dept = er"},
	} {
		m.add("compile-"+name, "valid", "compile", "what tkn20 is given", output{"authority": c[0], "policy": c[1]})
	}
	for name, c := range map[string][3]string{
		"unknown":   {"salary = 3", "syntax"},
		"no-value":  {"role = boss", "syntax"},
		"flag":      {"contractor = yes", "syntax"},
		"order":     {"role = nurse and contractor < 3", "syntax"},
		"range":     {"grade >= 8", "syntax"},
		"never":     {"grade < 0", "syntax"},
		"large":     {"8 of (" + strings.TrimSuffix(strings.Repeat("contractor, ", 16), ", ") + ")", "syntax"},
		"authority": {"south:contractor", "other-authority"},
		"mixed":     {"north:contractor and south:contractor", "syntax"},
	} {
		m.add("compile-refused-"+name, c[1], "compile", "no policy for this authority", output{"authority": "@authority-rich", "policy": c[0]})
	}
	m.add("labels-none", "valid", "labels", "what a key says of who has nothing", output{"authority": "@authority-rich", "attributes": ""})
	m.add("labels-all", "valid", "labels", "what a key says of who has everything", output{"authority": "@authority-rich", "attributes": "contractor, dept = er, dept = icu, grade = 4, role = nurse, unit = A.7-b, badge_until = 2026-09-01"})
	m.add("labels-refused", "syntax", "labels", "a value that is not in the catalogue", output{"authority": "@authority-rich", "attributes": "role = boss"})
}

func (m *maker) masterKeys(k, other *MasterKey) {
	const op = "parse-master-key"
	b := k.Bytes()
	m.bytes("master-key", "valid", op, "the secret of north", b)
	m.bytes("master-key-name", "name", op, "the public part", append([]byte(authorityFormat+"\n"), b[len(masterKeyFormat)+1:]...))
	m.bytes("master-key-cut", "length", op, "without the last byte", b[:len(b)-1])
	m.bytes("master-key-trailing", "trailing", op, "a byte more", append(bytes.Clone(b), 0))
	mixed := *k
	mixed.secret = other.secret
	m.bytes("master-key-pair", "pair", op, "the public key of another secret", mixed.Bytes())
	c := bytes.Clone(b)
	copy(c[len(c)-18-32:], bytes.Repeat([]byte{0xff}, 32))
	m.bytes("master-key-scalar", "encoding", op, "a scalar over the order", c)
	c = bytes.Replace(b, []byte("north"), []byte("no th"), 1)
	m.bytes("master-key-authority", "field", op, "a name that none can have", c)
}

func (m *maker) keys(north, south *MasterKey, a, next, b *Authority) {
	const op = "parse-attribute-key"
	issue := func(seed string, k *MasterKey, a *Authority, attributes string) *Key {
		key, err := k.issue(stream(seed), a, seed, attributesOf(m.t, attributes))
		must(m.t, err)
		return key
	}
	k := issue("alice", north, a, "role = physician")
	good := k.Bytes()
	m.bytes("key", "valid", op, "alice is a physician at north, epoch 7", good)
	m.bytes("key-nurse", "valid", op, "bob is a nurse", issue("bob", north, a, "role = nurse").Bytes())
	m.bytes("key-nothing", "valid", op, "carol has no attribute", issue("carol", north, a, "").Bytes())
	m.bytes("key-epoch-8", "valid", op, "alice in the next epoch", issue("alice", north, next, "role = physician").Bytes())
	m.bytes("key-south", "valid", op, "a nurse at south", issue("dave", south, b, "role = nurse").Bytes())
	m.add("key-checks", "valid", "check-attribute-key", "the key has what it says", output{"key": "@key"})
	wrong := *k
	secret, err := south.keyGen(stream("x"), a.labels(k.attributes))
	must(m.t, err)
	wrong.secret = &secret
	m.bytes("key-of-other-secret", "valid", op, "well-formed, but another authority made it", wrong.Bytes())
	m.add("key-of-other-secret-checks", "pair", "check-attribute-key", "does not open what it should", output{"key": "@key-of-other-secret"})

	m.bytes("key-name", "name", op, "another version", bytes.Replace(good, []byte("key/v1"), []byte("key/v0"), 1))
	m.bytes("key-cut", "length", op, "without the last byte", good[:len(good)-1])
	m.bytes("key-trailing", "trailing", op, "a byte more", append(bytes.Clone(good), 0))
	m.bytes("key-holder", "field", op, "a holder with a space", bytes.Replace(good, []byte("alice"), []byte("al ce"), 1))
	m.bytes("key-attributes", "canonical", op, "attributes in another spelling", bytes.Replace(good, []byte("role = physician"), []byte("role =physician "), 1))
	m.bytes("key-attribute", "field", op, "an attribute that is not in the catalogue", bytes.Replace(good, []byte("role = physician"), []byte("rule = physician"), 1))
	label := []byte(a.label("role"))
	at := bytes.Index(good, label) + len(label)
	wild := bytes.Clone(good)
	wild[at] = 1
	m.bytes("key-wildcard", "field", op, "says of the role that it has every value", wild)
	other := bytes.Replace(good, label, []byte(a.label("rule")), 1)
	m.bytes("key-label", "field", op, "a label that is not in the catalogue", other)
	scalar := bytes.Clone(good)
	copy(scalar[at+1:], bytes.Repeat([]byte{0xff}, 32))
	m.bytes("key-scalar", "encoding", op, "a scalar over the order", scalar)
	point := bytes.Clone(good)
	point[len(point)-1] ^= 1
	m.bytes("key-point", "encoding", op, "a point that is not on the curve", point)
	identity := bytes.Clone(good)
	copy(identity[len(identity)-g1Size:], append([]byte{0x40}, make([]byte, g1Size-1)...))
	m.bytes("key-identity", "identity", op, "a point at infinity", identity)
}

func (m *maker) opening(a, b *Authority) {
	sealTo := func(seed, policy string, authorities ...*Authority) (description, sealed []byte) {
		r, err := NewRecipient(policyOf(m.t, policy), authorities...)
		must(m.t, err)
		sealed, err = r.sealHalf(stream(seed), m.half(), m.context())
		must(m.t, err)
		return r.Description(), sealed
	}
	d, s := sealTo("one", "role = physician and not contractor", a)
	m.descriptions(d)
	h := hex.EncodeToString
	context := m.context()
	open := func(name, kind, comment, key string, d, s []byte) {
		m.add("open-"+name, kind, "open", comment, output{"key": key, "description": h(d), "sealed": h(s), "context": h(context[:])})
	}
	open("physician", "valid", "who satisfies the policy", "@key", d, s)
	open("nurse", "not-satisfied", "who does not", "@key-nurse", d, s)
	open("epoch", "epoch", "a key of the next epoch", "@key-epoch-8", d, s)
	open("south", "other-authority", "a key of another authority", "@key-south", d, s)
	open("other-secret", "decrypt", "a key that another authority made under this one's name", "@key-of-other-secret", d, s)
	notD, notS := sealTo("not", "not role = nurse", a)
	open("not-missing", "valid", "not, of who lacks the attribute", "@key-nothing", notD, notS)
	open("not", "not-satisfied", "not, of who has it", "@key-nurse", notD, notS)
	orD, orS := sealTo("or", "north:role = physician or south:role = nurse", a, b)
	open("two-authorities-north", "valid", "the first of two authorities", "@key", orD, orS)
	open("two-authorities-south", "valid", "the second of two authorities", "@key-south", orD, orS)
	seals, err := parseSealed(orS, 2)
	must(m.t, err)
	open("two-authorities-exchanged", "decrypt", "the seals in the wrong order", "@key", orD, encodeSealed(seals[1], seals[0]))
	open("two-authorities-one", "decrypt", "the second seal is missing", "@key", orD, encodeSealed(seals[0]))
	open("no-description", "name", "no description", "@key", nil, s)

	context[0]++
	open("context", "decrypt", "another context", "@key", d, s)
	context[0]--
	otherD, otherS := sealTo("other", "role = physician and contractor", a)
	open("other-policy", "decrypt", "what was sealed to another policy", "@key", d, otherS)
	open("other-description", "not-satisfied", "under another policy's description", "@key", otherD, s)
	change := func(name, comment string, f func(b []byte) []byte) {
		open(name, "decrypt", comment, "@key", d, f(bytes.Clone(s)))
	}
	kem := len(sealedFormat) + 2 + 4
	body := len(s) - bodySize
	flip := func(i int) func([]byte) []byte { return func(b []byte) []byte { b[i] ^= 1; return b } }
	change("name", "another version", flip(len(sealedFormat)-1))
	change("count", "two seals are announced", func(b []byte) []byte { b[len(sealedFormat)+1] = 2; return b })
	change("cut", "without the last byte", func(b []byte) []byte { return b[:len(b)-1] })
	change("trailing", "a byte more", func(b []byte) []byte { return append(b, 0) })
	change("old-version", "a ciphertext of CIRCL before v1.3.8", func(b []byte) []byte { copy(b[kem:], "v1.3.7"); return b })
	change("id", "the ciphertext's id changed", flip(kem+8))
	change("policy", "the policy's text changed", func(b []byte) []byte { return bytes.Replace(b, []byte("vphysician"), []byte("vphysicist"), 1) })
	change("gate", "or for and", func(b []byte) []byte { b[kem+6+2+32+4+4+2+2+2] ^= 1; return b })
	change("point", "a point that is not on the curve", flip(body-32-2-envelopeSize-4-2-1))
	change("envelope", "the envelope changed", flip(body-32-2-1))
	change("tag", "the ciphertext's tag changed", flip(body-1))
	change("body", "the sealed half changed", flip(body))
	change("body-tag", "its tag changed", flip(len(s)-1))
	open("other-body", "decrypt", "the body of another seal", "@key", orD, encodeSealed(seal{seals[0].kem, s[body:]}, seals[1]))
}

func (m *maker) half() []byte {
	b := make([]byte, halfSize)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func (m *maker) context() [32]byte { return sha256.Sum256([]byte("vector context")) }

func (m *maker) descriptions(d []byte) {
	const op = "parse-description"
	m.bytes("description", "valid", op, "a policy over one authority", d)
	m.bytes("description-name", "name", op, "another version", bytes.Replace(d, []byte("policy/v1"), []byte("policy/v2"), 1))
	m.bytes("description-cut", "length", op, "without the last byte", d[:len(d)-1])
	m.bytes("description-trailing", "trailing", op, "a byte more", append(bytes.Clone(d), 0))
	m.bytes("description-canonical", "canonical", op, "another spelling", bytes.Replace(d, []byte("role = physician"), []byte("role =physician "), 1))
	m.bytes("description-syntax", "field", op, "no policy", bytes.Replace(d, []byte("role = physician"), []byte("role = physicia*"), 1))
	m.bytes("description-other", "field", op, "an authority that the policy does not name", bytes.Replace(d, []byte("\x00\x00\x00\x05north"), []byte("\x00\x00\x00\x05south"), 1))
	long := bytes.Clone(d)
	binary.BigEndian.PutUint32(long[len(audienceFormat)+1:], maxText+1)
	m.bytes("description-limit", "limit", op, "a length over the limit", long)
	n := bytes.Index(d, []byte("\x01\x00\x00\x00\x05north"))
	none := append(bytes.Clone(d[:n]), 0)
	m.bytes("description-none", "field", op, "no authority", none)
	twice := slices.Concat(d[:n], []byte{2}, d[n+1:], d[n+1:])
	m.bytes("description-twice", "field", op, "an authority twice", twice)
	mixed := []byte("north:contractor and south:contractor")
	ref := d[n+1:]
	b := binary.BigEndian.AppendUint32([]byte(audienceFormat+"\n"), uint32(len(mixed)))
	bare := binary.BigEndian.AppendUint32([]byte(audienceFormat+"\n"), uint32(len("contractor")))
	m.bytes("description-unqualified", "field", op, "an attribute that names no authority", slices.Concat(bare, []byte("contractor\x01"), ref))
	m.bytes("description-empty-name", "field", op, "an authority without a name", slices.Concat(bare, []byte("contractor\x01\x00\x00\x00\x00"), ref[4+len("north"):]))
	many, count := "", []byte{17}
	for i := range 17 {
		name := "north" + string(rune('a'+i))
		many += " or " + name + ":contractor"
		count = slices.Concat(count, binary.BigEndian.AppendUint32(nil, uint32(len(name))), []byte(name), ref[4+len("north"):])
	}
	many = strings.TrimPrefix(many, " or ")
	b17 := binary.BigEndian.AppendUint32([]byte(audienceFormat+"\n"), uint32(len(many)))
	m.bytes("description-17", "field", op, "17 authorities", slices.Concat(b17, []byte(many), count))
	b = slices.Concat(b, mixed, []byte{2}, ref, bytes.Replace(ref, []byte("north"), []byte("south"), 1))
	m.bytes("description-mixed", "field", op, "authorities joined by and", b)
}
