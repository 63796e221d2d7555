package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
)

// A diary is a log that is read while it is written.
type diary struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.String()
}

// TestNothingAboutAnybodyInLogsAndMetrics makes requests of all kinds, good and
// bad, and looks for what they were about.
func TestNothingAboutAnybodyInLogsAndMetrics(t *testing.T) {
	log := new(diary)
	h := open(t, api.Options{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	world(h)
	all := leaves(t, h)
	ctx := t.Context()
	for _, who := range append(everybody, "mallory") {
		n := h.as(t, who)
		_, _ = n.Ask(ctx, encode(t, query.Records{Owner: owner, Type: "clinical/exam"}))
		_, _ = n.Ask(ctx, encode(t, query.Record{ID: "r-1"}))
		_, _ = n.Receipt(ctx, all["put"].index)
		_, _ = n.Answers(ctx, all["access"].index, []string{"west"})
		ref, _ := n.Blobs().Put(ctx, strings.NewReader("sealed"))
		_, _ = n.Blobs().Stat(ctx, ref)
	}
	secret := owner + " clinical/exam/sealed:hiv"
	for _, err := range []error{
		errors.New("cannot read " + secret), fmt.Errorf("%s: %w", secret, fs.ErrPermission),
		&fs.PathError{Op: "open", Path: "/srv/" + secret, Err: syscall.EACCES},
	} {
		h.Fail("Answers", err)
		_, _ = h.as(t, west).Answers(ctx, 0, nil)
	}
	c := h.raw(t, nil)
	for _, path := range []string{"/" + owner, "/v1/blobs/" + owner, "/v1/transactions/" + owner + "/receipt?who=" + owner, "/v1/consortium?" + owner} {
		_ = h.send(t, c, http.MethodGet, path, h.token(t, lee), "", nil)
		_ = h.send(t, c, http.MethodGet, path, protocol.Scheme+" "+owner, "", nil)
		_ = h.send(t, c, "P-"+strings.ToUpper(lee[:2]), path, "", "", nil)
	}
	if r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+protocol.PathHealth, nil); err == nil {
		r.Header.Set("User-Agent", owner)
		r.Header.Set(protocol.HeaderRequestID, owner)
		r.Host = owner[:6]
		if resp, err := c.Do(r); err == nil {
			_ = resp.Body.Close()
		}
	}
	metrics := h.send(t, h.raw(t, ledgertest.Key(west)), http.MethodGet, protocol.PathMetrics, "", "", nil)
	if metrics.status != http.StatusOK || !bytes.Contains(metrics.body, []byte("ward_chain_certified_height")) {
		t.Fatalf("metrics: %d", metrics.status)
	}
	logged := log.String()
	if !strings.Contains(logged, "permission denied") || !strings.Contains(logged, "/v1/questions") {
		t.Fatal("the log does not say what an operator needs")
	}
	for _, word := range []string{
		"p-7f3a", "dr.", "@north", "@west", "mallory", "clinical", "hiv", "r-1", "g-1", "127.0.0.1", "::1",
		refOf(t, "sealed").String(), ledgertest.Public(lee).String()[:16], "/srv/",
	} {
		if strings.Contains(logged, word) {
			t.Errorf("the log says %q", word)
		}
		if bytes.Contains(metrics.body, []byte(word)) {
			t.Errorf("the metrics say %q", word)
		}
	}
}

// TestMetricsDoNotGrowWithWhatIsAsked: a label that a caller chooses would.
func TestMetricsDoNotGrowWithWhatIsAsked(t *testing.T) {
	h := open(t, api.Options{})
	c := h.raw(t, ledgertest.Key(west))
	lines := func() int {
		a := h.send(t, c, http.MethodGet, protocol.PathMetrics, "", "", nil)
		return bytes.Count(a.body, []byte("\nward_"))
	}
	probe := func(i int) {
		for _, path := range []string{"/x%d", "/v1/transactions/%d/receipt", "/v1/blobs/x%d"} {
			_ = h.send(t, c, http.MethodGet, fmt.Sprintf(path, i), "", "", nil)
		}
		_ = h.send(t, c, fmt.Sprintf("M%d", i), "/", "", "", nil)
	}
	_ = lines()
	probe(1000)
	before := lines()
	for i := range 50 {
		probe(i + 2000)
	}
	if after := lines(); after != before {
		t.Errorf("%d lines before, %d after", before, after)
	}
}

// broken is a node whose Ask panics.
type broken struct{ *apitest.Node }

func (broken) Ask(context.Context, []byte) (*query.Answer, error) { panic("about " + owner) }

func TestPanicIsAnAnswer(t *testing.T) {
	log := new(diary)
	h := open(t, api.Options{})
	url, _ := apitest.Serve(t, broken{h.Node}, api.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	h.url = url
	c := h.raw(t, ledgertest.Key(west))
	for range 2 {
		a := h.send(t, c, http.MethodPost, protocol.PathAsk, "", protocol.TypeCBOR, encode(t, query.Authority{}))
		if a.status != http.StatusInternalServerError || a.code != protocol.CodeInternal {
			t.Fatalf("%d %s", a.status, a.code)
		}
		if id := a.header.Get(protocol.HeaderRequestID); id == "" || !strings.Contains(log.String(), id) {
			t.Fatalf("request id %q is not in the log", id)
		}
	}
	if strings.Contains(log.String(), owner) {
		t.Fatal("the log says what the panic was about")
	}
}
