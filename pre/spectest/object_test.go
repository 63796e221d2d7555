package spectest

import (
	"encoding/binary"
	"regexp"
	"strings"

	bls "github.com/cloudflare/circl/ecc/bls12381"
)

// reader takes an object apart. The first failure stays.
type reader struct {
	b   []byte
	err error
}

// open begins an object with its name.
func open(name string, b []byte) *reader {
	head := name + "\n"
	if len(b) < len(head) || string(b[:len(head)]) != head {
		return &reader{err: badName}
	}
	return &reader{b: b[len(head):]}
}

func (r *reader) take(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.err = badLength
	}
	if r.err != nil {
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() int     { return int(r.take(1)[0]) }
func (r *reader) u16() int    { return int(binary.BigEndian.Uint16(r.take(2))) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

// lp reads a string of at most limit bytes.
func (r *reader) lp(limit int) []byte {
	n := r.u32()
	if r.err == nil && int64(n) > int64(limit) {
		r.err = overLimit
	}
	if r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// is records a failure of what was read, unless one came before it.
func (r *reader) is(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) g1() *bls.G1 {
	p, err := parseG1(r.take(48))
	r.is(err)
	return p
}

func (r *reader) scalar() *bls.Scalar {
	s, err := parseScalar(r.take(32))
	r.is(err)
	return s
}

// end is the verdict.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		return trailing
	}
	return r.err
}

// Section 3.

const inbox = "#inbox"

var component = regexp.MustCompile(`^(sealed:)?[a-z0-9][a-z0-9._-]{0,31}$`)

func checkName(s string) error {
	if len(s) == 0 || len(s) > 128 {
		return badLength
	}
	for _, c := range []byte(s) {
		if c < '!' || c > '~' {
			return badField
		}
	}
	return nil
}

// checkPath accepts a type that is not the inbox.
func checkPath(s string) error {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, "/")
	if len(parts) > 8 {
		return overLimit
	}
	for _, p := range parts {
		if !component.MatchString(p) {
			return badField
		}
	}
	return nil
}

// levels returns the type and the ancestors that read it.
func levels(path string) []string {
	if path == inbox {
		return []string{inbox}
	}
	var list []string
	for {
		list = append(list, path)
		if path == "" {
			return list
		}
		cut := strings.LastIndexByte(path, '/')
		if strings.HasPrefix(path[cut+1:], "sealed:") {
			return list
		}
		path = path[:max(cut, 0)]
	}
}

func levelOf(path, wanted string) (int, bool) {
	for j, l := range levels(path) {
		if l == wanted {
			return j, true
		}
	}
	return 0, false
}

type identity struct {
	chain, name string
	version     uint32
	epoch       uint64
	key         *bls.G1
}

func (id identity) encode() []byte {
	return join(lp([]byte(id.chain)), lp([]byte(id.name)), u32(id.version), u64(id.epoch), id.key.BytesCompressed())
}

// describe returns the encoding of an identity that stands alone.
func (id identity) describe() []byte { return join([]byte("ward/identity/v1\n"), id.encode()) }

func (id identity) typed(path string) []byte {
	return join(lp([]byte(id.chain)), lp([]byte(id.name)), lp([]byte(path)), u64(id.epoch))
}

func (id identity) base(path string) *bls.G2 { return hashToG2("IDENTITY-BLS12381G2", id.typed(path)) }

func (id identity) equal(other identity) bool { return string(id.encode()) == string(other.encode()) }

func (r *reader) identity() identity {
	var id identity
	id.chain = r.text()
	id.name = r.text()
	id.version = r.u32()
	id.epoch = r.u64()
	id.key = r.g1()
	return id
}

func (r *reader) text() string {
	s := string(r.lp(128))
	r.is(checkName(s))
	return s
}

func parseIdentity(b []byte) (identity, error) {
	r := open("ward/identity/v1", b)
	id := r.identity()
	return id, r.end()
}

// Section 4.

type sharing struct {
	generation  uint32
	n, t        int
	commitments []*bls.G1
}

func (r *reader) sharing() sharing {
	s := sharing{generation: r.u32(), n: r.u8(), t: r.u8()}
	if s.t < 1 || s.t > s.n || s.n > 64 {
		r.is(badField)
	}
	for range s.t {
		s.commitments = append(s.commitments, r.g1())
	}
	if r.err != nil {
		return s
	}
	for i := 1; i <= s.n; i++ {
		if s.public(i).IsIdentity() {
			r.is(isZero)
		}
	}
	return s
}

func parseSharing(b []byte) (sharing, error) {
	r := open("ward/sharing/v1", b)
	s := r.sharing()
	return s, r.end()
}

func (s sharing) equal(o sharing) bool {
	if s.generation != o.generation || s.n != o.n || s.t != o.t {
		return false
	}
	for k, a := range s.commitments {
		if !a.IsEqual(o.commitments[k]) {
			return false
		}
	}
	return true
}

// public returns C_i = Σ i^k·A_k, from the highest power down.
func (s sharing) public(i int) *bls.G1 {
	sum := new(bls.G1)
	sum.SetIdentity()
	for k := s.t - 1; k >= 0; k-- {
		sum = add(mul(scalar(i), sum), s.commitments[k])
	}
	return sum
}

type share struct {
	generation uint32
	index      int
	value      *bls.Scalar
}

func parseShare(b []byte) (share, error) {
	r := open("ward/share/v1", b)
	s := share{generation: r.u32(), index: r.u8()}
	if s.index == 0 {
		r.is(badField)
	}
	var err error
	s.value, err = parseSecret(r.take(32))
	r.is(err)
	return s, r.end()
}

// Section 5.

type partialKey struct {
	generation uint32
	index      int
	point      *bls.G2
}

func parsePartialKey(b []byte) (partialKey, error) {
	r := open("ward/partial-key/v1", b)
	p := partialKey{generation: r.u32(), index: r.u8()}
	if p.index == 0 {
		r.is(badField)
	}
	var err error
	p.point, err = parseG2(r.take(96))
	r.is(err)
	return p, r.end()
}

type privateKey struct {
	owner identity
	path  string
	point *bls.G2
}

func parsePrivateKey(b []byte) (privateKey, error) {
	r := open("ward/private-key/v1", b)
	k := privateKey{owner: r.identity()}
	k.path = string(r.lp(8 * 40))
	if k.path != inbox {
		r.is(checkPath(k.path))
	}
	var err error
	k.point, err = parseG2(r.take(96))
	r.is(err)
	if err := r.end(); err != nil {
		return k, err
	}
	if !pair(g1(), k.point).IsEqual(pair(k.owner.key, k.owner.base(k.path))) {
		return k, badProof
	}
	return k, nil
}

type custodyProof struct {
	X    *bls.G1
	c, z *bls.Scalar
}

func parseCustodyProof(b []byte) (custodyProof, error) {
	r := open("ward/custody-proof/v1", b)
	p := custodyProof{X: r.g1(), c: r.scalar(), z: r.scalar()}
	return p, r.end()
}

func parseCustodyKey(b []byte) (*bls.Scalar, error) {
	r := open("ward/custody-key/v1", b)
	x, err := parseSecret(r.take(32))
	r.is(err)
	return x, r.end()
}

// Section 6.

type envelope struct {
	U, Ubar, R, Rbar *bls.G1
	z                *bls.Scalar
	wraps            [][]byte
	indexHash        []byte
}

func parseEnvelope(b []byte) (envelope, error) {
	r := open("ward/envelope/v1", b)
	e := envelope{U: r.g1(), Ubar: r.g1(), R: r.g1(), Rbar: r.g1(), z: r.scalar()}
	n := r.u8()
	if n < 1 || n > 9 {
		r.is(overLimit)
	}
	for range n {
		e.wraps = append(e.wraps, r.take(48))
	}
	e.indexHash = r.take(32)
	return e, r.end()
}

func parseSealedIndex(b []byte) (nonce, box []byte, err error) {
	r := open("ward/index/v1", b)
	nonce = r.take(24)
	return nonce, r.b, r.err
}
