package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/chain/tile"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
)

// kinds follows the events until there are n, and returns where they are from.
func follow(t *testing.T, h *house, who string, after int64, n int) (indexes []uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for e, err := range h.as(t, who).Events(ctx, after) {
		if err != nil {
			t.Fatalf("%s after %d events: %v", who, len(indexes), err)
		}
		if e.Time != h.clock.Now().UnixMilli() || e.Kind == "" {
			t.Fatalf("event %+v", e)
		}
		if indexes = append(indexes, e.Index); len(indexes) == n {
			return indexes
		}
	}
	return indexes
}

// TestEventsAreForThoseWhoMaySeeThem follows the chain from its beginning as
// everybody.
func TestEventsAreForThoseWhoMaySeeThem(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	all := leaves(t, h)
	for _, who := range everybody {
		var want []uint64
		for what, leaf := range all {
			silent := what == "refused access" || what == "key request" || what == "event of another kind"
			// A signer sees its transaction, and its event only if that is its
			// affair: the author of a record is named in it.
			if who == west && !silent || who == west && what == "event of another kind" ||
				!silent && may(leaf.may, who) && !(what == "review" && who == reviewer) {
				want = append(want, leaf.index)
			}
		}
		slices.Sort(want)
		if got := follow(t, h, who, -1, len(want)); !slices.Equal(got, want) {
			t.Errorf("%s sees %d, want %d", who, got, want)
		}
	}
}

// attesting counts how often a node is asked for its word.
type attesting struct {
	*apitest.Node
	asked atomic.Int64
}

func (n *attesting) Attest(ctx context.Context, question []byte) ([]byte, chain.Code, query.Attestation, error) {
	n.asked.Add(1)
	return n.Node.Attest(ctx, question)
}

// TestAStrangersStreamCostsLittle: who may see none of a thousand records does
// not make the members agree a thousand times on that.
func TestAStrangersStreamCostsLittle(t *testing.T) {
	h := open(t, api.Options{})
	n := &attesting{Node: h.Node}
	h.url, h.stop = apitest.Serve(t, n, api.Options{})
	world(h)
	for i := range 400 {
		put := apitest.Emit(t, record.EventPut, &record.Record{ID: "r-x", Owner: []identity.Name{owner, other}[i%2], Author: author})
		if _, err := h.Submit(t.Context(), h.Tx(author, record.Contract, record.MethodPut, put, nil), nil); err != nil {
			t.Fatal(err)
		}
	}
	last, err := h.Submit(t.Context(), h.Tx(stranger, identity.Contract, identity.MethodRotate, apitest.Emit(t, identity.EventChanged, &identity.Identity{Name: stranger}), nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := follow(t, h, stranger, -1, 1); !slices.Equal(got, []uint64{last.Index}) {
		t.Errorf("sees %d, want %d", got, last.Index)
	}
	if asked := n.asked.Load(); asked > 20 {
		t.Errorf("%d questions for 400 records of two owners", asked)
	}
}

func TestEventsComeAsTheyHappen(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	submit := func() uint64 {
		r, err := h.Submit(ctx, h.Tx(owner, consent.Contract, "grant", apitest.Emit(t, consent.EventGrant, &consent.Grant{Owner: owner}), nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Index
	}
	_ = submit() // before anybody listens
	got := make(chan uint64)
	go func() {
		defer close(got)
		for e, err := range h.as(t, owner).Events(ctx, -2) {
			if err != nil {
				return
			}
			got <- e.Index
		}
	}()
	await(t, h, "ward_event_streams 1")
	for range 3 {
		want := submit()
		if i := <-got; i != want {
			t.Fatalf("event of %d, want %d", i, want)
		}
	}
	cancel()
	for range got {
	}
}

// TestEventsGoOnAfterTheServerWasGone: the client comes back, without a gap.
func TestEventsGoOnAfterTheServerWasGone(t *testing.T) {
	h := open(t, api.Options{})
	world(h)
	put := func() {
		tx := h.Tx(owner, consent.Contract, "grant", apitest.Emit(t, consent.EventGrant, &consent.Grant{Owner: owner}), nil)
		if _, err := h.Submit(t.Context(), tx, nil); err != nil {
			t.Fatal(err)
		}
	}
	put()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cut := h.through(t)
	n := h.as(t, owner)
	var indexes []uint64
	for e, err := range n.Events(ctx, -1) {
		if err != nil {
			t.Fatal(err)
		}
		if indexes = append(indexes, e.Index); len(indexes) == 1 {
			cut()
			put()
		} else {
			break
		}
	}
	if len(indexes) != 2 || indexes[1] != indexes[0]+1 {
		t.Fatalf("events of %d", indexes)
	}
}

// TestEventsEndWithTheRightToSeeThem: a stream does not outlive its caller's
// key, or membership, or attribute.
func TestEventsEndWithTheRightToSeeThem(t *testing.T) {
	h := open(t, api.Options{Limits: api.Limits{Beat: 20 * time.Millisecond}})
	world(h)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error)
	listen := func(who string) {
		n := h.as(t, who)
		go func() {
			var last error
			for _, err := range n.Events(ctx, -2) {
				last = err
			}
			ended <- last
		}()
	}
	listen(owner)
	listen(west)
	await(t, h, "ward_event_streams 2")
	h.Set(func(w *apitest.World) { w.Identities[0].Key = ledgertest.Public("next") })
	if err := <-ended; !errors.Is(err, ward.ErrUnauthorized) {
		t.Errorf("rotated key: %v", err)
	}
	without := *h.k
	without.Members = without.Members[:3]
	h.SetMembers(&without)
	if err := <-ended; !errors.Is(err, ward.ErrUnauthorized) {
		t.Errorf("member that left: %v", err)
	}
}

// through puts a wire between the callers and the node that can be cut: cut
// breaks the connections that there are.
func (h *house) through(t *testing.T) (cut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node := strings.TrimPrefix(h.url, "https://")
	h.url = "https://" + l.Addr().String()
	var mu sync.Mutex
	var conns []net.Conn
	cut = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
		conns = nil
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", node)
			if err != nil {
				_ = near.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, near, far)
			mu.Unlock()
			wg.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
			wg.Go(func() { _, _ = io.Copy(far, near); _ = far.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		cut()
		wg.Wait()
	})
	return cut
}

// TestExportThatBreaksIsAnError: half a chain must not look like one.
func TestExportThatBreaksIsAnError(t *testing.T) {
	h := open(t, api.Options{})
	h.Grow(100) // more than a buffer holds
	h.Fail("Export", errors.New("disk"))
	var b bytes.Buffer
	err := h.as(t, west).Export(t.Context(), &b)
	if !errors.Is(err, ward.ErrUnavailable) || b.Len() == 0 {
		t.Fatalf("%d bytes, %v", b.Len(), err)
	}
	if _, err := audit.Verify(&b, h.k, audit.Visitor{}); !errors.Is(err, audit.ErrTruncated) {
		t.Fatalf("what arrived: %v", err)
	}
	// A writer that fails is not the node's fault.
	h.Fail("Export", nil)
	full := errors.New("no space")
	if err := h.as(t, west).Export(t.Context(), failing{full}); !errors.Is(err, full) || errors.Is(err, ward.ErrUnavailable) {
		t.Fatalf("writer that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestTiles lets a reader of transparency logs prove a leaf out of tiles.
func TestTiles(t *testing.T) {
	h := open(t, api.Options{Limits: api.Limits{Anonymous: api.Rate{PerSecond: 1e6, Burst: 1e6}}})
	h.Register(auditor, identity.Auditor)
	h.Register(stranger)
	h.Grow(300)
	cp, err := h.as(t, "").Checkpoint(t.Context())
	if err != nil || h.k.Verify(cp) != nil {
		t.Fatal(err)
	}
	c := h.raw(t, nil)
	r := tlog.TileHashReader(tlog.Tree{N: int64(cp.Size), Hash: tlog.Hash(cp.Root)}, tiles(func(tl tlog.Tile) ([]byte, error) {
		a := h.send(t, c, http.MethodGet, "/"+tile.Path(tl), "", "", nil)
		if a.status != http.StatusOK {
			return nil, fmt.Errorf("%s: %d", tile.Path(tl), a.status)
		}
		return a.body, nil
	}))
	for _, index := range []int64{0, 100, 255, 256, int64(cp.Size) - 1} {
		if _, err := tlog.ProveRecord(int64(cp.Size), index, r); err != nil {
			t.Errorf("leaf %d: %v", index, err)
		}
	}
	for _, path := range []string{"/tile/0/000.p/5", "/tile/1/000.p/1"} {
		if a := h.send(t, c, http.MethodGet, path, "", "", nil); a.status != http.StatusOK {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	for _, path := range []string{"/tile/0/001", "/tile/0/002", "/tile/1/000", "/tile/1/000.p/2", "/tile/7/x999/999", "/tile/0/x999/x999/x999/x999/x999/x999/999", "/tile/63/000"} {
		if a := h.send(t, c, http.MethodGet, path, "", "", nil); a.status != http.StatusNotFound {
			t.Errorf("%s, which is not certified: %d", path, a.status)
		}
	}

	entries := "/tile/entries/000"
	for who, want := range map[string]int{"": 401, h.token(t, stranger): 403, h.token(t, auditor): 200} {
		a := h.send(t, c, http.MethodGet, entries, who, "", nil)
		if a.status != want || want == 200 && !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
			t.Errorf("entries: %d %s, want %d", a.status, a.header.Get("Cache-Control"), want)
		}
	}
	a := h.send(t, h.raw(t, ledgertest.Key(west)), http.MethodGet, entries, "", "", nil)
	n := 0
	for b := a.body; len(b) > 0; n++ {
		size := int(b[0])<<8 | int(b[1])
		if _, _, err := chain.ParseLeaf(b[2 : 2+size]); err != nil {
			t.Fatal(err)
		}
		b = b[2+size:]
	}
	if n != 256 {
		t.Errorf("%d entries", n)
	}
}

type tiles func(tlog.Tile) ([]byte, error)

func (tiles) Height() int { return tile.Height }

func (f tiles) ReadTiles(list []tlog.Tile) (data [][]byte, err error) {
	for _, t := range list {
		b, err := f(t)
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// slow is a node whose Ask takes until it is told.
type slow struct {
	*apitest.Node
	begun, end chan struct{}
}

func (s slow) Ask(ctx context.Context, q []byte) (*query.Answer, error) {
	close(s.begun)
	select {
	case <-s.end:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return s.Node.Ask(ctx, q)
}

// TestShutdownLetsAnswersBeFinished, and does not wait for streams that would
// not end by themselves.
func TestShutdownLetsAnswersBeFinished(t *testing.T) {
	h := open(t, api.Options{})
	h.Register(owner)
	s := slow{h.Node, make(chan struct{}), make(chan struct{})}
	url, stop := apitest.Serve(t, s, api.Options{Limits: api.Limits{Grace: time.Hour}})
	h.url = url
	n := h.as(t, west)
	answered := make(chan error, 1)
	go func() {
		_, err := n.Ask(t.Context(), encode(t, query.Authority{}))
		answered <- err
	}()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		var last error
		for _, err := range h.as(t, owner).Events(ctx, -1) {
			last = err
		}
		ended <- last
	}()
	<-s.begun
	await(t, h, "ward_event_streams 1")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case <-stopped:
		t.Fatal("the server did not wait for the answer")
	case <-time.After(100 * time.Millisecond):
	}
	close(s.end)
	if err := <-answered; err != nil {
		t.Errorf("answer under way: %v", err)
	}
	select {
	case <-stopped:
	case <-time.After(time.Minute): // the grace is longer
		t.Error("the server waits for the stream")
	}
	if _, err := n.Checkpoint(t.Context()); !errors.Is(err, ward.ErrUnavailable) {
		t.Errorf("afterwards: %v", err)
	}
	cancel()
	<-ended
}

// TestShutdownGivesUp: an answer that does not come ends with the grace.
func TestShutdownGivesUp(t *testing.T) {
	h := open(t, api.Options{})
	s := slow{h.Node, make(chan struct{}), make(chan struct{})}
	url, stop := apitest.Serve(t, s, api.Options{Limits: api.Limits{Grace: 50 * time.Millisecond}})
	h.url = url
	answered := make(chan error, 1)
	n := h.as(t, west)
	go func() {
		_, err := n.Ask(t.Context(), encode(t, query.Authority{}))
		answered <- err
	}()
	<-s.begun
	stop()
	if err := <-answered; !errors.Is(err, ward.ErrUnavailable) {
		t.Fatalf("%v, want ErrUnavailable", err)
	}
}

// TestSubmitWhoseConnectionBreaks: nobody knows what became of it.
func TestSubmitWhoseConnectionBreaks(t *testing.T) {
	h := open(t, api.Options{})
	s := stuck{h.Node, h}
	url, _ := apitest.Serve(t, s, api.Options{})
	h.url = url
	tx := h.Tx(west, identity.Contract, "x", apitest.Script{}, nil)
	_, err := h.as(t, west).Submit(t.Context(), tx, nil)
	if !errors.Is(err, ward.ErrUnknown) || errors.Is(err, ward.ErrUnavailable) {
		t.Fatalf("%v, want ErrUnknown", err)
	}
}

// stuck breaks the connections when it is asked to submit.
type stuck struct {
	*apitest.Node
	h *house
}

func (s stuck) Submit(context.Context, *chain.Tx, []byte) (*chain.Receipt, error) {
	panic(http.ErrAbortHandler)
}
