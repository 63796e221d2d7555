package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"
	"pgregory.net/rapid"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/storetest"
)

func sealed(t *testing.T, plain []byte) ([]byte, Key) {
	t.Helper()
	s, err := NewSealer(iotest.HalfReader(bytes.NewReader(plain)))
	if err != nil {
		t.Fatal(err)
	}
	blob, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Size() != int64(len(plain)) {
		t.Fatalf("Size = %d, want %d", s.Size(), len(plain))
	}
	return blob, s.Key()
}

// opened opens a sealed payload by itself and as a blob of a store, in which it
// has the right reference. All must agree.
func opened(blob []byte, key Key, size int) ([]byte, error) {
	got, err := openedAlone(blob, key, size)
	stored, storedErr := openedFromStore(blob, key, size)
	if (err == nil) != (storedErr == nil) || err == nil && !bytes.Equal(got, stored) {
		return got, fmt.Errorf("alone it opens to %d bytes, %v; from a store to %d bytes, %v",
			len(got), err, len(stored), storedErr)
	}
	return got, err
}

// openedAlone opens a sealed payload as something that can be read anywhere, by
// Read and by WriteTo, and as a stream. A stream may give more before it fails.
func openedAlone(blob []byte, key Key, size int) ([]byte, error) {
	var got [3][]byte
	var errs [3]error
	for i := range got {
		var src io.Reader = bytes.NewReader(blob)
		if i == 2 {
			src = struct{ io.Reader }{src}
		}
		var o *Opener
		if o, errs[i] = NewOpener(src, key, int64(size)); errs[i] != nil {
			continue
		}
		if i == 1 {
			var to bytes.Buffer
			_, errs[i] = o.WriteTo(&to)
			got[i] = to.Bytes()
		} else {
			got[i], errs[i] = io.ReadAll(o)
		}
	}
	switch {
	case errs[0] != errs[1] || errs[0] != errs[2]:
		return got[0], fmt.Errorf("by Read: %v; by WriteTo: %v; as a stream: %v", errs[0], errs[1], errs[2])
	case !bytes.Equal(got[0], got[1]):
		return got[0], fmt.Errorf("%d bytes by Read, %d others by WriteTo", len(got[0]), len(got[1]))
	case errs[0] == nil && !bytes.Equal(got[0], got[2]) || !bytes.HasPrefix(got[2], got[0]):
		return got[0], fmt.Errorf("%d bytes by Read, %d others as a stream", len(got[0]), len(got[2]))
	}
	return got[2], errs[2]
}

func openedFromStore(blob []byte, key Key, size int) ([]byte, error) {
	s := mem.New()
	ref, err := s.Put(context.Background(), bytes.NewReader(blob))
	if err != nil {
		return nil, err
	}
	r, err := Open(context.Background(), s, Payload{Ref: ref, Key: key, Size: int64(size)})
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

var plainSizes = []int{0, 1, 1023, 1024, 1025, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize, 300_000}

func TestSealOpenRoundTrip(t *testing.T) {
	for i, n := range plainSizes {
		plain := storetest.Bytes(uint64(i), n)
		blob, key := sealed(t, plain)
		if int64(len(blob)) != SealedSize(int64(n)) {
			t.Fatalf("blob of %d bytes has %d, SealedSize says %d", n, len(blob), SealedSize(int64(n)))
		}
		got, err := opened(blob, key, n)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("open of %d bytes: %d bytes, %v", n, len(got), err)
		}
		again, other := sealed(t, plain)
		if key == other || bytes.Equal(blob, again) {
			t.Fatal("two seals of one plaintext are alike")
		}
	}
}

func TestPutOpenThroughAStore(t *testing.T) {
	s := mem.New()
	for i, n := range append(plainSizes, store.WholeSize+store.LeafSize) {
		plain := storetest.Bytes(uint64(i), n)
		h := sha256.New()
		var last int64
		p, err := Put(t.Context(), s, iotest.HalfReader(bytes.NewReader(plain)), Options{
			Hash:     h,
			Progress: func(done int64) { last = done },
		})
		if err != nil {
			t.Fatal(err)
		}
		if p.Size != int64(n) || last != int64(n) {
			t.Fatalf("Size = %d, progress ends at %d, want %d", p.Size, last, n)
		}
		if want := sha256.Sum256(plain); !bytes.Equal(h.Sum(nil), want[:]) {
			t.Fatal("Options.Hash saw something else than the plaintext")
		}
		r, err := Open(t.Context(), s, p)
		if err != nil {
			t.Fatal(err)
		}
		if n <= 1025 { // it reads every pair of offsets
			err = iotest.TestReader(r, plain)
		} else {
			var got []byte
			if got, err = io.ReadAll(r); !bytes.Equal(got, plain) {
				t.Errorf("%d bytes: got %d other bytes", n, len(got))
			}
		}
		if err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestReadAtAgreesWithThePlaintext(t *testing.T) {
	s := mem.New()
	plain := storetest.Bytes(5, store.WholeSize+3*store.LeafSize+11)
	p, err := Put(t.Context(), s, bytes.NewReader(plain), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), s, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.IntRange(0, len(plain)+10).Draw(t, "off")
		n := rapid.OneOf(rapid.IntRange(0, 200_000), rapid.IntRange(0, 3_000_000)).Draw(t, "n")
		got, want := make([]byte, n), make([]byte, n)
		gotN, gotErr := r.ReadAt(got, int64(off))
		wantN, wantErr := bytes.NewReader(plain).ReadAt(want, int64(off))
		if n > 0 && (gotN != wantN || gotErr != wantErr || !bytes.Equal(got, want)) {
			t.Fatalf("ReadAt = %d, %v, want %d, %v", gotN, gotErr, wantN, wantErr)
		}
	})
}

// TestEveryByteFlipIsRejected flips bytes of a payload of three chunks, without
// the help of a store: every byte of the header, and every 41st of the rest.
// With WARD_EXHAUSTIVE=1 it is every byte, which takes some minutes.
func TestEveryByteFlipIsRejected(t *testing.T) {
	plain := storetest.Bytes(1, 2*chunkSize+100)
	blob, key := sealed(t, plain)
	step := 41
	switch {
	case os.Getenv("WARD_EXHAUSTIVE") != "":
		step = 1
	case testing.Short():
		step = 499
	}
	for i := 0; i < len(blob); i++ {
		if i > headerSize+nonceSize && i%step != 0 {
			continue
		}
		open := openedAlone
		if i <= headerSize+nonceSize || i%(20*step) == 0 {
			open = opened // slower: each is a blob to hash
		}
		blob[i] ^= 1 << (i % 8)
		got, err := open(blob, key, len(plain))
		blob[i] ^= 1 << (i % 8)
		if !errors.Is(err, ErrOpen) {
			t.Fatalf("byte %d flipped: %v, want ErrOpen", i, err)
		}
		// Without a store, the chunks before the flipped one leave.
		right := max(0, (i-headerSize-nonceSize)/(chunkSize+tagSize)*chunkSize)
		if len(got) > right || !bytes.Equal(got, plain[:len(got)]) {
			t.Fatalf("byte %d flipped: %d bytes left", i, len(got))
		}
	}
}

// TestEveryChunkOrderIsRejected permutes, repeats and drops the chunks of a
// payload.
func TestEveryChunkOrderIsRejected(t *testing.T) {
	plain := storetest.Bytes(1, 3*chunkSize)
	blob, key := sealed(t, plain)
	head, body := blob[:headerSize+nonceSize], blob[headerSize+nonceSize:]
	const sealedChunk = chunkSize + tagSize
	n := len(body) / sealedChunk
	if n*sealedChunk != len(body) || n != 3 {
		t.Fatalf("payload has %d chunks and a rest", n)
	}
	var orders [][]int
	for length := range 5 {
		order := make([]int, length)
		var fill func(int)
		fill = func(i int) {
			if i == length {
				orders = append(orders, append([]int(nil), order...))
				return
			}
			for c := range n {
				order[i] = c
				fill(i + 1)
			}
		}
		fill(0)
	}
	for _, order := range orders {
		mixed := bytes.Clone(head)
		for _, c := range order {
			mixed = append(mixed, body[c*sealedChunk:(c+1)*sealedChunk]...)
		}
		got, err := opened(mixed, key, len(plain))
		if fmt.Sprint(order) == "[0 1 2]" {
			if err != nil {
				t.Fatalf("the right order: %v", err)
			}
			continue
		}
		if !errors.Is(err, ErrOpen) {
			t.Fatalf("chunks %v: %v, want ErrOpen", order, err)
		}
		if !bytes.Equal(got, plain[:len(got)]) {
			t.Fatalf("chunks %v: wrong bytes left", order)
		}
	}
}

func TestTruncationAndExtensionAreRejected(t *testing.T) {
	plain := storetest.Bytes(1, chunkSize+500)
	blob, key := sealed(t, plain)
	for n := 0; n < len(blob); n += 1 + n/50 {
		if _, err := opened(blob[:n], key, len(plain)); !errors.Is(err, ErrOpen) {
			t.Fatalf("first %d bytes: %v, want ErrOpen", n, err)
		}
	}
	if _, err := opened(append(bytes.Clone(blob), 0), key, len(plain)); !errors.Is(err, ErrOpen) {
		t.Fatalf("a byte more: %v, want ErrOpen", err)
	}
}

func TestWrongKeySizeOrPaddingIsRejected(t *testing.T) {
	plain := storetest.Bytes(1, 3000)
	blob, key := sealed(t, plain)
	other := key
	other[15] ^= 1
	if _, err := opened(blob, other, len(plain)); !errors.Is(err, ErrOpen) {
		t.Errorf("other key: %v, want ErrOpen", err)
	}
	if _, err := opened(blob, Key{}, len(plain)); !errors.Is(err, ErrOpen) {
		t.Errorf("no key: %v, want ErrOpen", err)
	}
	for _, size := range []int{-1, 0, 2047, 2999, int(PaddedSize(3000)) + 1, 1 << 40} {
		if _, err := opened(blob, key, size); !errors.Is(err, ErrOpen) {
			t.Errorf("size %d: %v, want ErrOpen", size, err)
		}
	}

	// Someone who knows the key makes a payload with a second meaning.
	zero := append(bytes.Clone(plain), make([]byte, PaddedSize(3000)-3000)...)
	for name, padded := range map[string][]byte{
		"not padded":        plain,
		"too short":         plain[:2000],
		"padded with a one": append(append([]byte(nil), zero[:len(zero)-1]...), 1),
		"padded too little": zero[:len(zero)-1],
		"padded too much":   append(append([]byte(nil), zero...), 0),
	} {
		var key Key
		var buf bytes.Buffer
		w, err := age.Encrypt(&buf, recipient{&key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(padded); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := opened(buf.Bytes(), key, len(plain)); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v, want ErrOpen", name, err)
		}
	}
}

func TestForeignHeaderIsRejected(t *testing.T) {
	plain := make([]byte, PaddedSize(10))
	seal := func(recipients func(*Key) []age.Recipient) ([]byte, Key) {
		var key Key
		var buf bytes.Buffer
		w, err := age.Encrypt(&buf, recipients(&key)...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes(), key
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, recipients := range map[string]func(*Key) []age.Recipient{
		"second stanza":       func(k *Key) []age.Recipient { return []age.Recipient{recipient{k}, stranger.Recipient()} },
		"stanza for stranger": func(k *Key) []age.Recipient { return []age.Recipient{keyNoter{k, stranger.Recipient()}} },
	} {
		blob, key := seal(recipients)
		if _, err := opened(blob, key, 10); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v, want ErrOpen", name, err)
		}
	}
}

// TestHeaderForTheKeyThatHidesAnotherIsRejected addresses a file to the identity
// of the key in the index, but encrypts it under another.
func TestHeaderForTheKeyThatHidesAnotherIsRejected(t *testing.T) {
	_, key := sealed(t, nil)
	id, err := key.identity()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, PaddedSize(10))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := opened(buf.Bytes(), key, 10); !errors.Is(err, ErrOpen) || len(got) > 0 {
		t.Fatalf("opened to %d bytes, %v", len(got), err)
	}
}

func TestHeaderHasOneSpelling(t *testing.T) {
	blob, _ := sealed(t, nil)
	header := blob[:headerSize]
	// 32 bytes in base64: 42 characters and one whose low two bits are zero.
	const value = "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]"
	oracle := regexp.MustCompile(`\Aage-encryption\.org/v1\n-> X25519 ` + value + `\n` + value + `\n--- ` + value + `\n\z`)
	if !checkHeader(header) || !oracle.Match(header) {
		t.Fatal("our own header was rejected")
	}
	for i := range header {
		was := header[i]
		for c := range 256 {
			header[i] = byte(c)
			if got, want := checkHeader(header), oracle.Match(header); got != want {
				t.Fatalf("byte %d is %#x: accepted %v, want %v", i, c, got, want)
			}
		}
		header[i] = was
	}
	for _, b := range [][]byte{nil, header[:headerSize-1], blob[:headerSize+1]} {
		if checkHeader(b) {
			t.Fatalf("header of %d bytes accepted", len(b))
		}
	}
}

// keyNoter notes the file key of an age file for someone else.
type keyNoter struct {
	key *Key
	to  age.Recipient
}

func (n keyNoter) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	copy(n.key[:], fileKey)
	return n.to.Wrap(fileKey)
}

func TestOpenRefusesTheBlobOfAnotherPayload(t *testing.T) {
	s := mem.New()
	put := func(n int) Payload {
		p, err := Put(t.Context(), s, bytes.NewReader(storetest.Bytes(uint64(n), n)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b, c := put(5000), put(5001), put(9000)
	for name, p := range map[string]Payload{
		"other blob of that size":  {Ref: b.Ref, Key: a.Key, Size: a.Size},
		"other blob":               {Ref: c.Ref, Key: a.Key, Size: a.Size},
		"other size":               {Ref: a.Ref, Key: a.Key, Size: 9000},
		"negative size":            {Ref: a.Ref, Key: a.Key, Size: -1},
		"size over the limit":      {Ref: a.Ref, Key: a.Key, Size: MaxSize + 1},
		"zero reference, no store": {Key: a.Key, Size: a.Size},
	} {
		r, err := Open(t.Context(), s, p)
		if sized, statErr := s.Stat(t.Context(), p.Ref); err == nil && (statErr != nil || sized.Size != SealedSize(p.Size)) {
			t.Errorf("%s: only reading it fails", name)
		}
		if err == nil {
			var got []byte
			if got, err = io.ReadAll(r); len(got) > 0 {
				t.Errorf("%s: %d bytes left", name, len(got))
			}
			if _, atErr := r.ReadAt(make([]byte, 10), 0); atErr == nil {
				t.Errorf("%s: ReadAt succeeded", name)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if !errors.Is(err, ErrOpen) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, want ErrOpen or ErrNotFound", name, err)
		}
	}
}

func TestSourceThatFailsIsNotASealedPayload(t *testing.T) {
	s := mem.New()
	broken := errors.New("scanner unplugged")
	for _, n := range []int{0, 100, chunkSize, 5 * chunkSize} {
		src := io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(broken))
		if _, err := Put(t.Context(), s, src, Options{Hash: sha256.New()}); !errors.Is(err, broken) {
			t.Fatalf("source fails at byte %d: %v", n, err)
		}
	}
	for info := range s.List(t.Context()) {
		t.Fatalf("store holds %v", info)
	}
}

func TestOpenIsCancelled(t *testing.T) {
	s := mem.New()
	p, err := Put(t.Context(), s, bytes.NewReader(make([]byte, 2*store.WholeSize)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Open(ctx, s, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("read after cancel: %v, want context.Canceled", err)
	}
}

func TestPaddedSizeIsPadme(t *testing.T) {
	for size, want := range map[int64]int64{
		0: 1024, 1: 1024, 1024: 1024, 1025: 1088, 1088: 1088, 2048: 2048, 2049: 2176,
		9_000_000: 9_175_040, 1 << 30: 1 << 30, 1<<30 + 1: 1<<30 + 1<<25, MaxSize: MaxSize,
	} {
		if got := PaddedSize(size); got != want {
			t.Errorf("PaddedSize(%d) = %d, want %d", size, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(MinPadded, MaxSize).Draw(t, "size")
		p := PaddedSize(size)
		if p < size || float64(p) > 1.12*float64(size) {
			t.Fatalf("PaddedSize(%d) = %d", size, p)
		}
		if PaddedSize(p) != p {
			t.Fatalf("PaddedSize(%d) = %d is not a fixed point", size, p)
		}
		if PaddedSize(size+1) < p {
			t.Fatalf("PaddedSize is not monotone at %d", size)
		}
	})
}

func TestKeyDoesNotPrint(t *testing.T) {
	k := Key(storetest.Bytes(1, 16))
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", Payload{Key: k})
		fmt.Fprintf(&out, verb+"\n", &Payload{Key: k})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", k, "payload", Payload{Key: k})
	for _, leak := range []string{fmt.Sprintf("%x", k[:]), fmt.Sprintf("%X", k[:]), fmt.Sprint(k[:])[1:20]} {
		if strings.Contains(out.String(), leak) {
			t.Fatalf("a key was printed: %s", out.String())
		}
	}
	if b, err := json.Marshal(Payload{Key: k}); err == nil {
		t.Fatalf("a key was marshalled: %s", b)
	}
}
