package remote_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/storetest"
)

// faults is a connection that breaks on purpose, and a node that lies about
// blobs.
type faults struct {
	base http.RoundTripper

	mu       sync.Mutex
	edits    map[string]func([]byte) []byte // guarded by mu; by reference
	cutAfter int64                          // guarded by mu
	cuts     int                            // guarded by mu
	room     int64                          // guarded by mu: bytes that uploads may carry; negative for any
}

func newFaults() *faults { return &faults{edits: make(map[string]func([]byte) []byte), room: -1} }

func (f *faults) wrap(base http.RoundTripper) http.RoundTripper {
	f.base = base
	return f
}

func (f *faults) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.Split(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, protocol.PathBlobs), "/"), "/")
	if r.Method == http.MethodPost {
		clear(f.edits)
		if f.room >= 0 {
			r = r.Clone(r.Context())
			r.Body = &short{r.Body, f.room}
		}
	}
	edit := f.edits[path[0]]
	f.mu.Unlock()
	resp, err := f.answer(r, path, edit)
	f.mu.Lock()
	if err == nil && len(path) == 1 && path[0] != "" && r.Method == http.MethodGet && f.cuts > 0 {
		f.cuts--
		resp.Body = &short{resp.Body, f.cutAfter}
	}
	return resp, err
}

// answer is what a node says of a blob that it altered.
func (f *faults) answer(r *http.Request, path []string, edit func([]byte) []byte) (*http.Response, error) {
	if edit == nil || r.Method != http.MethodGet || len(path) == 2 && path[1] == "tree" {
		return f.base.RoundTrip(r)
	}
	whole := r.Clone(r.Context())
	whole.URL.Path = protocol.PathBlobs + "/" + path[0]
	whole.Header.Del("Range")
	resp, err := f.base.RoundTrip(whole)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		panic(string(data))
	}
	data = edit(data)
	if len(path) == 2 {
		resp.Header.Set("Content-Type", protocol.TypeJSON)
		data, err = json.Marshal(protocol.BlobInfo{Size: int64(len(data)), Time: 1})
		if err != nil {
			return nil, err
		}
	} else if first, last, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"); ok {
		from, _ := strconv.Atoi(first)
		to, _ := strconv.Atoi(last)
		data = data[min(from, len(data)):min(to+1, len(data))]
		resp.StatusCode = http.StatusPartialContent
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return resp, nil
}

// short is a body whose connection breaks after so many bytes.
type short struct {
	io.ReadCloser
	left int64
}

func (s *short) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.ErrClosedPipe
	}
	n, err := s.ReadCloser.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

// TestBlobsAreAStore runs the contract of stores over a connection to a node,
// for whoever has the node's key.
func TestBlobsAreAStore(t *testing.T) {
	all := make(map[store.Store]*faults)
	open := func(t *testing.T) store.Store {
		n := apitest.New(t, "east", time.Now)
		url, _ := apitest.Serve(t, n, api.Options{})
		f := newFaults()
		r, err := remote.New(url, remote.Options{
			Consortium: apitest.Founding(t), Member: "east", Signer: ledgertest.Key("east"), Wrap: f.wrap,
			Retry: store.Retry{Attempts: 3, Base: time.Millisecond, Max: time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		s := r.Blobs()
		all[s] = f
		return s
	}
	storetest.Test(t, storetest.Harness{
		Open: open,
		Damage: func(t *testing.T, s store.Store, ref store.Ref, edit func([]byte) []byte) {
			f := all[s]
			f.mu.Lock()
			defer f.mu.Unlock()
			f.edits[ref.String()] = edit
		},
		FailWrites: func(t *testing.T, n int64) (store.Store, func()) {
			s := open(t)
			set := func(n int64) {
				f := all[s]
				f.mu.Lock()
				defer f.mu.Unlock()
				f.room = n
			}
			set(n)
			return s, func() { set(-1) }
		},
		CutReads: func(t *testing.T, s store.Store, n int64, times int) {
			f := all[s]
			f.mu.Lock()
			defer f.mu.Unlock()
			f.cutAfter, f.cuts = n, times
		},
	})
}
