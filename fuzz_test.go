package ward

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/seal"
)

var testRef = func() store.Ref {
	r, err := store.ParseRef("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
	if err != nil {
		panic(err)
	}
	return r
}()

func goodIndex() sealedIndex {
	return sealedIndex{
		Name: nameIndex, Title: "血常规 Hämoglobin", MediaType: "application/pdf", Filename: "report.pdf", Dated: 1_790_000_000_123,
		Size: 42, Hash: [32]byte{1}, Ref: testRef.Bytes(), Key: make([]byte, 16),
	}
}

func TestIndexRefusesWhatNoAuthorWrites(t *testing.T) {
	tests := map[string]func(*sealedIndex){
		"other version":             func(i *sealedIndex) { i.Name = "ward/v2/index" },
		"title too long":            func(i *sealedIndex) { i.Title = strings.Repeat("x", maxIndexText+1) },
		"escape sequence in title":  func(i *sealedIndex) { i.Title = "\x1b[2J" },
		"newline in media type":     func(i *sealedIndex) { i.MediaType = "text/html\n" },
		"file name climbs":          func(i *sealedIndex) { i.Filename = ".." },
		"file name is a path":       func(i *sealedIndex) { i.Filename = "../.ssh/config" },
		"file name is a path there": func(i *sealedIndex) { i.Filename = `..\x` },
		"before 1970":               func(i *sealedIndex) { i.Dated = -1 },
		"negative size":             func(i *sealedIndex) { i.Size = -1 },
		"size over the limit":       func(i *sealedIndex) { i.Size = seal.MaxSize + 1 },
		"short key":                 func(i *sealedIndex) { i.Key = i.Key[1:] },
		"reference is none":         func(i *sealedIndex) { i.Ref = i.Ref[1:] },
		"key without reference":     func(i *sealedIndex) { i.Ref = nil },
	}
	for name, edit := range tests {
		i := goodIndex()
		edit(&i)
		if _, err := i.bytes(); err == nil {
			t.Errorf("%s: it was written", name)
		}
		raw, err := chain.Marshal(&i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseIndex(raw); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
	if _, err := parseIndex(make([]byte, maxIndex+1)); err == nil {
		t.Error("too long: it was read")
	}
}

func TestIndexIsForThePayloadOnTheChain(t *testing.T) {
	i := goodIndex()
	r := record.Record{Payload: i.Ref, Size: uint64(seal.SealedSize(i.Size)), Dated: day(i.Dated)}
	if !i.matches(&r) {
		t.Fatal("a good index does not match")
	}
	for name, edit := range map[string]func(*record.Record){
		"another payload": func(r *record.Record) { r.Payload = flipped(r.Payload) },
		"no payload":      func(r *record.Record) { r.Payload, r.Size = nil, 0 },
		"another size":    func(r *record.Record) { r.Size++ },
		"another day":     func(r *record.Record) { r.Dated += record.Day },
	} {
		other := r
		edit(&other)
		if i.matches(&other) {
			t.Errorf("%s: it matches", name)
		}
	}
	none := sealedIndex{Name: nameIndex}
	if !none.matches(&record.Record{}) || none.matches(&record.Record{Size: 5}) {
		t.Error("a record without payload")
	}
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func FuzzIndex(f *testing.F) {
	i := goodIndex()
	b, err := i.bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	none := sealedIndex{Name: nameIndex}
	if b, err = none.bytes(); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := parseIndex(b)
		if err != nil {
			return
		}
		again, err := i.bytes()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
		i.matches(new(record.Record))
		i.payload()
	})
}

func FuzzDraft(f *testing.F) {
	d := Draft{Reader: "dr@south", Grant: "g-x", Records: []record.ID{"r-x"}, Purpose: consent.Treatment, public: make([]byte, 32)}
	b, err := d.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ParseDraftSecret(b); err == nil {
			return
		}
		d, err := ParseDraft(b)
		if err != nil {
			return
		}
		again, err := d.Bytes()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
		if _, err := consent.ApprovalStatement("c", d.Reader, d.method(), d.args(nil)); err != nil && len(d.Reader) < 200 {
			t.Error(err)
		}
	})
}

// TestReasonIsTextAndNoTerminalCommand: what a reader writes is printed on the
// owner's screen.
func TestReasonIsTextAndNoTerminalCommand(t *testing.T) {
	for reason, ok := range map[string]bool{
		"": true, "follow-up\n\t随访": true, strings.Repeat("x", maxReason): true,
		"\x1b[2J": false, "a\rb": false, "\x00": false, "\u009b2J": false, "\xff": false, strings.Repeat("x", maxReason+1): false,
	} {
		if err := checkReason(reason); (err == nil) != ok {
			t.Errorf("%.20q: %v", reason, err)
		}
	}
}

func FuzzReason(f *testing.F) {
	b, err := chain.Marshal(sealedReason{Name: nameReason, Owner: []byte("x"), Envelope: []byte("y"), Index: []byte("z")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseReason(b)
		if err != nil {
			return
		}
		if again, err := chain.Marshal(s); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
	})
}

// part returns a part that is signed as it should be.
func part(t testing.TB) (*chain.Consortium, chain.Hash, Part) {
	t.Helper()
	k, tx := ledgertest.Consortium(t, 4), chain.Hash{7}
	p := Part{Member: "south", Index: 3, Generation: 2, Sealed: []byte("sealed")}
	if err := p.Sign(k.Chain, tx, ledgertest.Key("south")); err != nil {
		t.Fatal(err)
	}
	return k, tx, p
}

func TestPartIsItsMembersAlone(t *testing.T) {
	k, tx, p := part(t)
	if !p.Verify(k, tx) {
		t.Fatal("a good part does not verify")
	}
	for name, edit := range map[string]func(*Part){
		"member":     func(p *Part) { p.Member = "west" },
		"no member":  func(p *Part) { p.Member = "nobody" },
		"index":      func(p *Part) { p.Index++ },
		"generation": func(p *Part) { p.Generation++ },
		"sealed":     func(p *Part) { p.Sealed = flipped(p.Sealed) },
		"signature":  func(p *Part) { p.Signature = flipped(p.Signature) },
		"unsigned":   func(p *Part) { p.Signature = nil },
	} {
		other := p
		edit(&other)
		if other.Verify(k, tx) {
			t.Errorf("%s: it verifies", name)
		}
	}
	if p.Verify(k, chain.Hash{8}) {
		t.Error("it verifies for another transaction")
	}
	other := *k
	other.Chain = "other.example"
	if p.Verify(&other, tx) {
		t.Error("it verifies on another chain")
	}
	big := Part{Member: "south", Index: 3, Sealed: make([]byte, maxSealed+1)}
	if err := big.Sign(k.Chain, tx, ledgertest.Key("south")); err != nil {
		t.Fatal(err)
	}
	if big.Verify(k, tx) {
		t.Error("it is larger than a part can be")
	}
}

// TestPartStatementIsPinned holds the bytes that members sign.
func TestPartStatementIsPinned(t *testing.T) {
	got := PartStatement("c", [32]byte{1}, Part{Member: "m", Index: 2, Generation: 3, Sealed: []byte{4}, Signature: []byte{5}})
	want := append([]byte("\x87\x6cward/v1/part\x61c\x58\x20\x01"), make([]byte, 31)...)
	want = append(want, 0x61, 'm', 2, 3, 0x41, 4)
	if !bytes.Equal(got, want) {
		t.Errorf("statement is %x, want %x", got, want)
	}
}

func FuzzPart(f *testing.F) {
	k, tx, p := part(f)
	b, err := chain.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Part
		if chain.Unmarshal(b, &q) != nil {
			return
		}
		d := demand{tx: tx, members: []string{"east", "north", "south", "west"}, generation: 2, threshold: 3}
		if d.check(k, &q) == nil && !bytes.Equal(PartStatement(k.Chain, tx, q), PartStatement(k.Chain, tx, p)) &&
			!ed25519.Verify(ledgertest.Key(q.Member).Public().(ed25519.PublicKey), PartStatement(k.Chain, tx, q), q.Signature) {
			t.Errorf("a forged part was taken: %+v", q)
		}
	})
}
