package ward_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/internal/wardtest"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/seal"
)

var errBroken = errors.New("broken")

// count returns how many records the patient has.
func (p *people) count() int {
	p.t.Helper()
	n := 0
	for _, err := range p.patient.Find(p.ctx, ward.Query{Owner: patientName, All: true}) {
		if err != nil {
			p.t.Fatal(err)
		}
		n++
	}
	return n
}

func TestReaderThatFailsHalfWayPutsNothing(t *testing.T) {
	p := meet(t)
	for _, n := range []int{0, 1, 100_000, 300_000} {
		src := io.MultiReader(bytes.NewReader(wardtest.Payload("x", n)), iotest.ErrReader(errBroken))
		id, err := p.as(authorName, p.Nodes()...).Put(p.ctx, ward.Record{Owner: patientName, Type: "lab"}, src)
		if !errors.Is(err, errBroken) || id != "" {
			t.Errorf("fails after %d bytes: %q, %v", n, id, err)
		}
	}
	if n := p.count(); n != 0 {
		t.Errorf("%d records are on the chain", n)
	}
}

// TestWriterThatFailsGetsATrueBeginning has the output fail at byte n.
func TestWriterThatFailsGetsATrueBeginning(t *testing.T) {
	p := meet(t)
	payload := wardtest.Payload("x", 5_000_000)
	id := p.put("a", payload)
	for _, n := range []int{0, 1, 70_000, len(payload) - 1} {
		w := &brokenWriter{n: n}
		e, err := p.patient.Get(p.ctx, id, treat, w)
		if !errors.Is(err, errBroken) || e == nil {
			t.Errorf("fails at byte %d: %v, %v", n, e, err)
		}
		if !bytes.HasPrefix(payload, w.got.Bytes()) || w.got.Len() != n {
			t.Errorf("fails at byte %d: %d bytes were written", n, w.got.Len())
		}
	}
}

type brokenWriter struct {
	got bytes.Buffer
	n   int
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.got.Len()+len(p) > w.n {
		k, _ := w.got.Write(p[:w.n-w.got.Len()])
		return k, errBroken
	}
	return w.got.Write(p)
}

// TestNextNodeGoesOnWhereOneStopped breaks the store of the first node in the
// middle of a payload.
func TestNextNodeGoesOnWhereOneStopped(t *testing.T) {
	p := meet(t)
	payload := wardtest.Payload("x", 6_000_000)
	id := p.put("a", payload)
	first := &liar{Node: p.Node("north"), blobs: altered{p.Blobs}}
	second := &liar{Node: p.Node("south"), blobs: p.Blobs}
	var out bytes.Buffer
	if _, err := p.as(patientName, first, second).Get(p.ctx, id, treat, &out); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), payload) {
		t.Error("another payload came out")
	}
	if first.calls == 0 || second.calls == 0 {
		t.Errorf("stores were asked %d and %d times", first.calls, second.calls)
	}
}

// TestPayloadGoesToAnotherNodeIfItCanBeReadAgain breaks the first node's store
// while it is written.
func TestPayloadGoesToAnotherNodeIfItCanBeReadAgain(t *testing.T) {
	p := meet(t)
	payload := wardtest.Payload("x", 500_000)
	broken := func() ward.Node { return &liar{Node: p.Node("north"), blobs: brokenStore{mem.New()}} }
	rec := ward.Record{Owner: patientName, Type: "lab"}
	c := p.as(authorName, broken(), p.Node("south"))
	id, err := c.Put(p.ctx, rec, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := p.patient.Get(p.ctx, id, treat, &out); err != nil || !bytes.Equal(out.Bytes(), payload) {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
	before := p.count()
	if _, err := c.Put(p.ctx, rec, io.MultiReader(bytes.NewReader(payload))); !errors.Is(err, errBroken) {
		t.Errorf("a payload that cannot be read again: %v", err)
	}
	if p.count() != before {
		t.Error("half a payload is on the chain")
	}
}

type brokenStore struct{ *mem.Store }

func (brokenStore) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	io.CopyN(io.Discard, r, 100_000)
	return store.Ref{}, errBroken
}

// forge has a dishonest author put a record whose sealed index, behind a good
// proof, is what he likes.
func (p *people) forge(index []any, payload seal.Payload) record.ID {
	p.t.Helper()
	id, err := record.GenerateID()
	if err != nil {
		p.t.Fatal(err)
	}
	raw, err := chain.Marshal(index)
	if err != nil {
		p.t.Fatal(err)
	}
	extraction, err := pre.ParsePublicKey(p.Current().ExtractionKey)
	if err != nil {
		p.t.Fatal(err)
	}
	var enc pre.Encapsulator
	owner := pre.Identity{Chain: p.Founding().Chain, Name: string(patientName), Key: extraction}
	envelope, sealed, err := enc.Encapsulate(pre.Header{Record: string(id), Owner: owner, Type: "lab", Author: string(authorName)}, raw)
	if err != nil {
		p.t.Fatal(err)
	}
	args, err := chain.Marshal(record.PutArgs{
		ID: id, Owner: patientName, Type: "lab", Envelope: envelope.Bytes(), Payload: payload.Ref.Bytes(), Size: uint64(seal.SealedSize(payload.Size)),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	sidecar, err := chain.NewSidecar(sealed)
	if err != nil {
		p.t.Fatal(err)
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: p.Founding().Chain, Contract: record.Contract, Method: record.MethodPut, Args: args,
		NotAfter: p.Now().Add(time.Minute).UnixMilli(), Sidecar: sidecar,
	}, p.wallets[authorName].Signer())
	if err != nil {
		p.t.Fatal(err)
	}
	if r, err := p.Node("north").Submit(p.ctx, tx, sealed); err != nil || r.Result.Code != "" {
		p.t.Fatal(err, r)
	}
	return id
}

func indexOf(payload seal.Payload, hash [32]byte) []any {
	return []any{"ward/v1/index", "", "", "", int64(0), payload.Size, hash, payload.Ref.Bytes(), payload.Key[:]}
}

// TestIndexOfAnotherPayloadIsRefused has a dishonest author name one payload on
// the chain and another in the sealed index: the erasure would miss it.
func TestIndexOfAnotherPayloadIsRefused(t *testing.T) {
	p := meet(t)
	shown, err := seal.Put(p.ctx, p.Blobs, strings.NewReader("shown"), seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := seal.Put(p.ctx, p.Blobs, strings.NewReader("hidden"), seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := p.forge(indexOf(hidden, sha256.Sum256([]byte("hidden"))), shown)
	var out bytes.Buffer
	_, err = p.patient.Get(p.ctx, id, treat, &out)
	p.wants(err, ward.ErrIntegrity)
	if out.Len() > 0 {
		t.Error("bytes were written")
	}
}

// TestPayloadHashIsChecked has an author describe a payload with another's hash.
func TestPayloadHashIsChecked(t *testing.T) {
	p := meet(t)
	payload, err := seal.Put(p.ctx, p.Blobs, strings.NewReader("payload"), seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.patient.Get(p.ctx, p.forge(indexOf(payload, sha256.Sum256([]byte("payload"))), payload), treat, io.Discard)
	if err != nil {
		t.Error(err)
	}
	// The same through Read instead of WriteTo.
	id := p.forge(indexOf(payload, [32]byte{1}), payload)
	_, err = p.patient.Get(p.ctx, id, treat, io.Discard)
	p.wants(err, ward.ErrIntegrity)
	o, err := p.patient.Open(p.ctx, id, treat)
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.Open(p.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for buf := make([]byte, 3); err == nil; {
		_, err = r.Read(buf)
	}
	p.wants(err, ward.ErrIntegrity)
}

// TestRecordSupersededDuringAnAccessStillOpens supersedes a record when the
// access is on the chain and its answers are not given yet.
func TestRecordSupersededDuringAnAccessStillOpens(t *testing.T) {
	p := meet(t)
	id := p.put("a", []byte("first"))
	p.grant()
	l := &liar{Node: p.Node("north")}
	l.accessed = func(r *[]ward.Sealed) (err error) {
		if _, err = p.author.Put(p.ctx, ward.Record{Owner: patientName, Type: "clinical/lab", Replaces: id}, nil); err != nil {
			return err
		}
		*r, err = l.Node.Accessed(p.ctx, p.lastAccess())
		return err
	}
	var out bytes.Buffer
	e, err := p.as(readerName, l).Get(p.ctx, id, treat, &out)
	if err != nil || out.String() != "first" || e.Replaced != "" {
		t.Errorf("%+v, %q, %v", e, out.String(), err)
	}
}

// lastAccess returns the leaf index of the newest access to the patient's records.
func (p *people) lastAccess() (index uint64) {
	p.t.Helper()
	for a, err := range p.patient.Accesses(p.ctx, consent.Accesses{Owner: patientName}) {
		if err != nil {
			p.t.Fatal(err)
		}
		index = a.Index
	}
	return index
}

// TestCancelledContextEndsEverything calls each method with a context that is
// done.
func TestCancelledContextEndsEverything(t *testing.T) {
	p := meet(t)
	id := p.put("a", []byte("x"))
	grant := p.grant()
	done, cancel := context.WithCancelCause(p.ctx)
	why := errors.New("the user has gone")
	cancel(why)
	first := func(err error) error { return err }
	calls := map[string]func(*ward.Client) error{
		"put": func(c *ward.Client) error {
			_, err := c.Put(done, ward.Record{Owner: patientName, Type: "lab"}, bytes.NewReader([]byte("x")))
			return err
		},
		"get": func(c *ward.Client) error { _, err := c.Get(done, id, treat, io.Discard); return err },
		"find": func(c *ward.Client) error {
			for _, err := range c.Find(done, ward.Query{Owner: patientName}) {
				return err
			}
			return nil
		},
		"grant":  func(c *ward.Client) error { _, err := c.Grant(done, ward.Terms{To: readerName, Type: "x"}); return err },
		"revoke": func(c *ward.Client) error { return c.Revoke(done, grant, ward.RevokeOptions{Rotate: true}) },
		"access": func(c *ward.Client) error { _, err := c.Access(done, grant, []record.ID{id}, treat); return err },
		"emergency": func(c *ward.Client) error {
			_, err := c.Emergency(done, patientName, []record.ID{id}, ward.Purpose{Reason: "x"})
			return err
		},
		"history": func(c *ward.Client) error {
			for _, err := range c.History(done, patientName) {
				return err
			}
			return nil
		},
		"verify":     func(c *ward.Client) error { _, err := c.Verify(done); return err },
		"checkpoint": func(c *ward.Client) error { _, err := c.Checkpoint(done); return err },
		"custody":    func(c *ward.Client) error { _, err := c.TakeCustody(done); return err },
		"rotate":     func(c *ward.Client) error { return first(c.RotateKey(done)) },
		"erase":      func(c *ward.Client) error { return c.Erase(done, id) },
		"reason":     func(c *ward.Client) error { _, err := c.Reason(done, 5); return err },
	}
	for name, call := range calls {
		if err := call(p.patient); !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p.count() != 1 {
		t.Error("something was put")
	}
	if g, err := p.patient.ShowGrant(p.ctx, grant); err != nil || g.Status != consent.StatusActive {
		t.Errorf("the grant is %v, %v", g, err)
	}
}

// TestReadingStopsWithItsContext cancels in the middle of a payload.
func TestReadingStopsWithItsContext(t *testing.T) {
	p := meet(t)
	id := p.put("a", wardtest.Payload("x", 6_000_000))
	o, err := p.patient.Open(p.ctx, id, treat)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.ctx)
	r, err := o.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("%d more bytes, then %v", n, err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("a closed payload is read")
	}
}

// TestPayloadsStreamInConstantMemory puts and gets a payload far larger than
// the memory it may take.
func TestPayloadsStreamInConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 200 MB")
	}
	p := meet(t)
	disk, err := fs.Open(t.TempDir(), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	node := &liar{Node: p.Node("north"), blobs: disk}
	const size, limit = 200 << 20, 40 << 20
	var peak atomic.Uint64
	watch := func(b []byte) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak.Store(max(peak.Load(), m.HeapInuse))
	}
	src := &zeros{left: size, at: watch}
	id, err := p.as(authorName, node).Put(p.ctx, ward.Record{Owner: patientName, Type: "imaging"}, src)
	if err != nil {
		t.Fatal(err)
	}
	sink := &counter{at: watch}
	if _, err := p.as(patientName, node).Get(p.ctx, id, treat, sink); err != nil {
		t.Fatal(err)
	}
	if sink.n != size {
		t.Errorf("%d bytes came out, want %d", sink.n, size)
	}
	t.Logf("peak of the heap: %d MiB", peak.Load()>>20)
	if peak.Load() > limit {
		t.Errorf("%d MiB of heap for a payload of %d", peak.Load()>>20, size>>20)
	}
}

type zeros struct {
	left int
	at   func([]byte)
	n    int
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	if z.n++; z.n%64 == 0 {
		z.at(p)
	}
	return n, nil
}

type counter struct {
	n     int
	calls int
	at    func([]byte)
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	if c.calls++; c.calls%64 == 0 {
		c.at(p)
	}
	return len(p), nil
}
