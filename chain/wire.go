package chain

import (
	"encoding/binary"
	"math"
)

// What replicas encode and decode for every transaction is written out here:
// the reflection of the general codec costs several times as much. The bytes are
// those of Marshal, and a wireReader accepts no others; tests and fuzzers compare
// the two.

// The major types of CBOR that our formats use (RFC 8949, section 3.1).
const (
	majorUint  = 0 << 5
	majorNint  = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
)

// appendHead appends the head of an item: its type and length or value, in the
// shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendBytes(b, p []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(p))), p...)
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNint, uint64(^n))
	}
	return appendHead(b, majorUint, uint64(n))
}

// appendList appends an array of byte strings.
func appendList(b []byte, list [][]byte) []byte {
	b = appendHead(b, majorArray, uint64(len(list)))
	for _, p := range list {
		b = appendBytes(b, p)
	}
	return b
}

// A wireReader takes items from the front of data, which it does not copy. After
// an item of another type or form than asked for it is bad, for good, and returns
// zeros.
type wireReader struct {
	data []byte
	bad  bool
}

func (r *wireReader) fail() uint64 {
	r.data, r.bad = nil, true
	return 0
}

// head takes the head of an item of this type.
func (r *wireReader) head(major byte) uint64 {
	if len(r.data) == 0 || r.data[0]&0xe0 != major {
		return r.fail()
	}
	n := uint64(r.data[0] & 0x1f)
	if n < 24 {
		r.data = r.data[1:]
		return n
	}
	size := 1 << (n - 24) // bytes of the value; 28 to 31 are reserved or indefinite
	if n > 27 || len(r.data) < 1+size {
		return r.fail()
	}
	n = 0
	for _, c := range r.data[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	r.data = r.data[1+size:]
	if size == 1 && n < 24 || size > 1 && n>>(4*size) == 0 {
		return r.fail() // a shorter form would do
	}
	return n
}

// take takes n bytes.
func (r *wireReader) take(n uint64) []byte {
	if n > uint64(len(r.data)) {
		r.fail()
		return nil
	}
	p := r.data[:n:n]
	r.data = r.data[n:]
	return p
}

func (r *wireReader) bytes() []byte { return r.take(r.head(majorBytes)) }

// text takes a text string. The caller checks that it is one of those the format
// allows, all of them ASCII. last is returned where it is the same string, which
// saves a copy.
func (r *wireReader) text(last string) string {
	p := r.take(r.head(majorText))
	if string(p) == last {
		return last
	}
	return string(p)
}

// int takes an integer that is not negative: no format has others.
func (r *wireReader) int() int64 {
	n := r.head(majorUint)
	if n > math.MaxInt64 {
		return int64(r.fail())
	}
	return int64(n)
}

func (r *wireReader) uint() uint64 { return r.head(majorUint) }

// array takes the head of an array of exactly n items.
func (r *wireReader) array(n uint64) {
	if r.head(majorArray) != n {
		r.fail()
	}
}

// fixed takes a byte string of exactly len(p) bytes.
func (r *wireReader) fixed(p []byte) {
	if got := r.bytes(); len(got) == len(p) {
		copy(p, got)
	} else {
		r.fail()
	}
}

// list takes an array of at most limit byte strings.
func (r *wireReader) list(limit int) [][]byte {
	n := r.head(majorArray)
	if n > uint64(limit) || n > uint64(len(r.data)) { // an item has a byte at least
		r.fail()
		return nil
	}
	list := make([][]byte, n)
	for i := range list {
		list[i] = r.bytes()
	}
	return list
}

// done reports whether everything was as asked for and nothing is left.
func (r *wireReader) done() bool { return !r.bad && len(r.data) == 0 }

// readTxBody takes the body of a transaction. Strings that are those of last are
// shared with it.
func (r *wireReader) readTxBody(b, last *TxBody) {
	r.array(9)
	b.Name = r.text(nameTx)
	b.Chain = r.text(last.Chain)
	b.Contract = r.text(last.Contract)
	b.Method = r.text(last.Method)
	b.Args = r.bytes()
	b.NotAfter = r.int()
	r.fixed(b.Nonce[:])
	r.array(2)
	size := r.uint()
	if size > math.MaxUint32 {
		r.fail()
	}
	b.Sidecar.Size = uint32(size)
	r.fixed(b.Sidecar.Hash[:])
	r.fixed(b.Signer[:])
}

// readProposal takes a proposal.
func (r *wireReader) readProposal(p *Proposal) {
	r.array(8)
	p.Name = r.text(nameProposal)
	p.Chain = r.text("")
	r.fixed(p.Proposer[:])
	p.Height = r.uint()
	r.fixed(p.Parent[:])
	p.Time = r.int()
	p.Txs = r.list(MaxEntryTxs)
	p.Signature = r.bytes()
}

func (p *Proposal) size() int {
	n := 256 + len(p.Chain) + len(p.Signature)
	for _, tx := range p.Txs {
		n += 5 + len(tx)
	}
	return n
}

func (p *Proposal) append(b []byte) []byte {
	b = appendList(p.appendStart(b), p.Txs)
	return appendBytes(b, p.Signature)
}

// appendStart appends what comes before the transactions.
func (p *Proposal) appendStart(b []byte) []byte {
	b = appendHead(b, majorArray, 8)
	b = appendText(b, p.Name)
	b = appendText(b, p.Chain)
	b = appendBytes(b, p.Proposer[:])
	b = appendHead(b, majorUint, p.Height)
	b = appendBytes(b, p.Parent[:])
	return appendInt(b, p.Time)
}

func (h *Header) append(b []byte) []byte {
	b = appendHead(b, majorArray, 9)
	b = appendText(b, h.Name)
	b = appendText(b, h.Chain)
	b = appendHead(b, majorUint, h.Height)
	b = appendBytes(b, h.Prev[:])
	b = appendInt(b, h.Time)
	b = appendBytes(b, h.Proposal[:])
	b = appendHead(b, majorUint, h.Size)
	b = appendBytes(b, h.Root[:])
	return appendBytes(b, h.State[:])
}

func (r *Result) append(b []byte) []byte {
	b = appendHead(b, majorArray, 6)
	b = appendText(b, r.Name)
	b = appendHead(b, majorUint, r.Height)
	b = appendInt(b, r.Time)
	b = appendText(b, string(r.Code))
	b = appendBytes(b, r.Value)
	b = appendHead(b, majorArray, uint64(len(r.Events)))
	for _, e := range r.Events {
		b = appendHead(b, majorArray, 2)
		b = appendText(b, e.Kind)
		b = appendBytes(b, e.Data)
	}
	return b
}

// size returns an upper bound of the encoded size.
func (r *Result) size() int {
	n := 64 + len(r.Code) + len(r.Value)
	for _, e := range r.Events {
		n += 16 + len(e.Kind) + len(e.Data)
	}
	return n
}
