package api_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
)

// recorder is a response without a connection.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

// quiet is an f whose Helper may be called while fuzzing.
type quiet struct{ *testing.F }

func (quiet) Helper() {}

// handler returns what serves the node east without a connection, and a state
// of one that a member made.
func handler(f *testing.F) (*apitest.Node, http.Handler, *tls.ConnectionState) {
	f.Helper()
	n := apitest.New(quiet{f}, "east", time.Now)
	s, err := api.New(n, api.Options{Key: ledgertest.Key("east")})
	if err != nil {
		f.Fatal(err)
	}
	return n, s.Handler(), &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{PublicKey: ledgertest.Key(west).Public()}}}
}

// FuzzBody sends bodies to what parses them. None may make the node fail.
func FuzzBody(f *testing.F) {
	n, h, member := handler(f)
	tx := n.Tx(west, identity.Contract, identity.MethodEpoch, apitest.Script{}, nil)
	submission, err := chain.Marshal(protocol.Submission{Tx: tx.Bytes()})
	if err != nil {
		f.Fatal(err)
	}
	file, err := apitest.Founding(f).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), submission)
	f.Add(uint8(1), encode(f, query.Authority{}))
	f.Add(uint8(2), encode(f, query.Identity{Name: owner}))
	f.Add(uint8(3), file)
	paths := []string{protocol.PathSubmit, protocol.PathAsk, protocol.PathAttest, protocol.PathEndorse}
	f.Fuzz(func(t *testing.T, path uint8, body []byte) {
		r := httptest.NewRequest(http.MethodPost, paths[int(path)%len(paths)], bytes.NewReader(body))
		r.Header.Set("Content-Type", protocol.TypeCBOR)
		if int(path)%len(paths) == 3 {
			r.Header.Set("Content-Type", protocol.TypeJSON)
		}
		r.TLS = member
		w := recorder{httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%s: %d %s", r.URL.Path, w.Code, w.Body)
		}
	})
}

// FuzzRequest sends paths, parameters and headers.
func FuzzRequest(f *testing.F) {
	n, h, member := handler(f)
	ref, err := n.Mem.Put(f.Context(), bytes.NewReader([]byte("0123456789")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("/v1/blobs/"+ref.String(), "", "bytes=2-5", "")
	f.Add("/v1/transactions/0/receipt", "", "", "Ward-V1 h20")
	f.Add("/tile/0/000.p/1", "", "", "")
	f.Add("/v1/consortium", "after=0", "", "")
	f.Add("/v1/accesses/0/parts", "without=west&without=east", "", "")
	f.Fuzz(func(t *testing.T, path, rawQuery, byteRange, authorization string) {
		if path == "" || path[0] != '/' || path == protocol.PathEvents {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: path, RawQuery: rawQuery}
		r.Header.Set("Range", byteRange)
		r.Header.Set("Authorization", authorization)
		for _, r.TLS = range []*tls.ConnectionState{nil, member} {
			w := recorder{httptest.NewRecorder()}
			h.ServeHTTP(w, r)
			// Too few members answer a caller who excludes them.
			if w.Code >= 500 && !bytes.Contains(w.Body.Bytes(), []byte("node/shares")) {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}
