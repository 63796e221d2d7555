package ipfs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ward-health/ward/internal/realserver"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/internal/faulthttp"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick does not let a test wait long for retries.
var quick = store.Retry{Attempts: 3, Base: time.Millisecond, Max: time.Millisecond}

// A liar is a node that tells other content and other sizes than it holds.
type liar struct {
	base http.RoundTripper

	mu    sync.Mutex
	edits map[string]func([]byte) []byte // guarded by mu; by CID
}

func (l *liar) edit(cid string) func([]byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.edits[strings.TrimPrefix(cid, "/ipfs/")]
}

func (l *liar) RoundTrip(r *http.Request) (*http.Response, error) {
	command := strings.TrimPrefix(r.URL.Path, "/api/v0/")
	if command == "add" {
		l.mu.Lock()
		clear(l.edits) // the blob is put again
		l.mu.Unlock()
	}
	q := r.URL.Query()
	edit := l.edit(q.Get("arg"))
	if edit == nil || (command != "cat" && command != "files/stat") {
		return l.base.RoundTrip(r)
	}
	whole := r.Clone(r.Context())
	whole.URL.Path = "/api/v0/cat"
	whole.URL.RawQuery = "offline=true&arg=" + strings.TrimPrefix(q.Get("arg"), "/ipfs/")
	resp, err := l.base.RoundTrip(whole)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	data = edit(data)
	if command == "cat" {
		off, _ := strconv.Atoi(q.Get("offset"))
		n, _ := strconv.Atoi(q.Get("length"))
		data = data[min(off, len(data)):min(off+n, len(data))]
	} else if data, err = json.Marshal(map[string]int{"Size": len(data)}); err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return resp, nil
}

// node is a running node whose pins are removed between the parts of a test.
type node struct{ url, repository string }

func startNode(t *testing.T) *node {
	t.Helper()
	url, repository := realserver.Kubo(t)
	return &node{url, repository}
}

func (n *node) open(t *testing.T) (*Store, *faulthttp.Transport, *liar) {
	t.Helper()
	base := &http.Transport{}
	l := &liar{base: base, edits: make(map[string]func([]byte) []byte)}
	faults := &faulthttp.Transport{
		Base:  l,
		Read:  func(r *http.Request) bool { return r.URL.Path == "/api/v0/cat" },
		Write: func(r *http.Request) bool { return r.URL.Path == "/api/v0/add" },
	}
	s, err := Open(t.Context(), n.url, Options{Transport: faults, Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	for info, err := range s.List(t.Context()) {
		if err == nil {
			err = s.Delete(t.Context(), info.Ref)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		base.CloseIdleConnections()
	})
	return s, faults, l
}

func TestContract(t *testing.T) {
	n := startNode(t)
	transports := make(map[store.Store]*faulthttp.Transport)
	liars := make(map[store.Store]*liar)
	open := func(t *testing.T) store.Store {
		s, faults, l := n.open(t)
		transports[s], liars[s] = faults, l
		return s
	}
	storetest.Test(t, storetest.Harness{
		Open: open,
		Damage: func(t *testing.T, s store.Store, ref store.Ref, edit func([]byte) []byte) {
			l := liars[s]
			l.mu.Lock()
			defer l.mu.Unlock()
			l.edits[ref.String()] = edit
		},
		FailWrites: func(t *testing.T, n int64) (store.Store, func()) {
			s := open(t)
			transports[s].FailWrites(n)
			return s, func() { transports[s].FailWrites(-1) }
		},
		CutReads: func(t *testing.T, s store.Store, n int64, times int) {
			transports[s].CutReads(n, times)
		},
	})
}

// TestBitRotInTheBlockstoreIsFoundAndMended flips a bit of a block file of the
// node.
func TestBitRotInTheBlockstoreIsFoundAndMended(t *testing.T) {
	n := startNode(t)
	s, _, _ := n.open(t)
	good := mem.New()
	data := storetest.Bytes(1, 5*store.LeafSize)
	ref, err := s.Put(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := good.Put(t.Context(), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	rotten := 0
	err = filepath.WalkDir(filepath.Join(n.repository, "blocks"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".data") {
			return err
		}
		block, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(block, data[store.LeafSize:2*store.LeafSize]) {
			return err
		}
		rotten++
		block[1000] ^= 4
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, block, 0o600)
	})
	if err != nil || rotten != 1 {
		t.Fatalf("%d blocks made rotten, %v", rotten, err)
	}
	report, err := store.Scrub(t.Context(), s, store.ScrubOptions{Repair: good})
	if err != nil || len(report.Findings) != 1 || report.Unrepaired() != 0 {
		t.Fatalf("Scrub: %+v, %v", report, err)
	}
	if err := store.Verify(t.Context(), s, ref); err != nil {
		t.Fatal(err)
	}
}

func TestDeleteRemovesTheBlocks(t *testing.T) {
	n := startNode(t)
	s, _, _ := n.open(t)
	ob, err := store.Digest(t.Context(), nil, bytes.NewReader(storetest.Bytes(1, 200*store.LeafSize)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), bytes.NewReader(storetest.Bytes(1, 200*store.LeafSize))); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), ob.Ref()); err != nil {
		t.Fatal(err)
	}
	var left []string
	for line, err := range stream[struct{ Ref, Err string }](t.Context(), &s.rpc, "refs/local", nil) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, line.Ref)
	}
	for b := range ob.Blocks() {
		if slices.Contains(left, b.String()) {
			t.Fatalf("block %s is still there", b)
		}
	}
}

func TestForeignPinsAreNotTouched(t *testing.T) {
	n := startNode(t)
	s, _, _ := n.open(t)
	ref, err := s.Put(t.Context(), strings.NewReader("pinned by someone else"))
	if err != nil {
		t.Fatal(err)
	}
	q := map[string][]string{"arg": {ref.String()}, "name": {"mine"}}
	if _, err := call[struct{}](t.Context(), &s.rpc, "pin/add", q); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), ref); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Open: %v, want ErrNotFound", err)
	}
	if err := s.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := call[pin](t.Context(), &s.rpc, "pin/ls", map[string][]string{"arg": {ref.String()}, "stream": {"true"}}); err != nil {
		t.Fatalf("the pin is gone: %v", err)
	}
}

// TestNodeThatNamesTheBlobOtherwiseIsRefused stores nothing under a name that
// was not computed here.
func TestNodeThatNamesTheBlobOtherwiseIsRefused(t *testing.T) {
	var commands []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		command := strings.TrimPrefix(r.URL.Path, "/api/v0/")
		commands = append(commands, command)
		_, _ = io.Copy(io.Discard, r.Body)
		switch command {
		case "add":
			_, _ = io.WriteString(w, `{"Hash":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}`)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	defer server.Close()
	s, err := Open(t.Context(), server.URL, Options{Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(t.Context(), strings.NewReader("not empty")); err == nil {
		t.Fatal("Put succeeded")
	}
	if !slices.Equal(commands, []string{"version", "add", "pin/rm"}) {
		t.Fatalf("commands %q", commands)
	}
}

func TestRequestsAreRetriedAndAuthorized(t *testing.T) {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("Authorization is %q", r.Header.Get("Authorization"))
		}
		if n++; n < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"Version":"x"}`)
	}))
	defer server.Close()
	s, err := Open(t.Context(), server.URL, Options{Retry: quick, Authorization: "Bearer token"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n != 3 {
		t.Fatalf("%d requests, want 3", n)
	}
}

func TestOpenRefusesBadEndpoints(t *testing.T) {
	for _, endpoint := range []string{
		"", "127.0.0.1:5001", "ftp://127.0.0.1", "http://", "http://user:secret@127.0.0.1:5001",
		"http://127.0.0.1:5001/api/v0", "http://127.0.0.1:5001?x=1", "http://127.0.0.1:5001/#x", "http://%zz",
	} {
		_, err := Open(t.Context(), endpoint, Options{Retry: store.Retry{Attempts: 1}})
		if err == nil {
			t.Errorf("%q was accepted", endpoint)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the password: %v", endpoint, err)
		}
	}
}
