package api_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/node/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A watch is a clock that stands still until it is set.
type watch struct {
	mu  sync.Mutex
	now time.Time
}

func (w *watch) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *watch) add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// A house is the node of the member east, served.
type house struct {
	*apitest.Node
	url   string
	k     *chain.Consortium
	clock *watch
	stop  func()

	mu    sync.Mutex
	nodes map[string]*remote.Node // guarded by mu; by URL and name
}

func open(t testing.TB, opt api.Options) *house {
	t.Helper()
	h := &house{clock: &watch{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}, k: apitest.Founding(t), nodes: make(map[string]*remote.Node)}
	h.Node = apitest.New(t, "east", h.clock.Now)
	h.url, h.stop = apitest.Serve(t, h.Node, opt)
	return h
}

// as returns the node as the holder of a key has it.
func (h *house) as(t testing.TB, name string) *remote.Node {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nodes[h.url+name]; n != nil {
		return n
	}
	opt := remote.Options{Consortium: h.k, Member: "east", Clock: h.clock.Now, Patience: -1}
	if name != "" {
		opt.Signer = ledgertest.Key(name)
	}
	n, err := remote.New(h.url, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	h.nodes[h.url+name] = n
	return n
}

// raw returns a client that sends what it is told, and shows a certificate of a
// key unless that is nil.
func (h *house) raw(t testing.TB, key crypto.Signer) *http.Client {
	t.Helper()
	config, err := protocol.ClientTLS(ledgertest.Public("east"), key)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: config}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// token returns the header of a caller at the time of the clock.
func (h *house) token(t testing.TB, name string) string {
	t.Helper()
	s, err := protocol.SignToken(h.k.Chain, "east", h.clock.Now(), ledgertest.Key(name))
	if err != nil {
		t.Fatal(err)
	}
	return protocol.Scheme + " " + s
}

// An answer is what a raw client got.
type answer struct {
	status int
	code   string // of the problem
	header http.Header
	body   []byte
}

func (h *house) send(t testing.TB, c *http.Client, method, path, authorization, mediaType string, body []byte) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: b}
	var p protocol.Problem
	if resp.Header.Get("Content-Type") == protocol.TypeProblem {
		if err := json.Unmarshal(b, &p); err != nil || p.Status != resp.StatusCode {
			t.Fatalf("problem %s: %v", b, err)
		}
		a.code = p.Code
	}
	return a
}
