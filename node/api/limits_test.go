package api_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/storetest"
)

func TestRateOfACaller(t *testing.T) {
	h := open(t, api.Options{Limits: api.Limits{Caller: api.Rate{PerSecond: 1, Burst: 3}}})
	h.Register(owner)
	h.Register(lee)
	question := encode(t, query.Authority{})
	ask := func(who string) error { _, err := h.as(t, who).Ask(t.Context(), question); return err }
	for range 3 {
		if err := ask(lee); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask(lee); !errors.Is(err, ward.ErrBusy) {
		t.Fatalf("one too many: %v", err)
	}
	if err := ask(owner); err != nil {
		t.Fatalf("another caller: %v", err)
	}
	if err := ask(west); err != nil {
		t.Fatalf("a member: %v", err)
	}
	h.clock.add(time.Second)
	if err := ask(lee); err != nil {
		t.Fatalf("a second later: %v", err)
	}
	if err := ask(lee); !errors.Is(err, ward.ErrBusy) {
		t.Fatalf("and another: %v", err)
	}
}

// TestGuessingTokens: who fails to prove who it is does not try for ever, and
// then not even the signature is looked at.
func TestGuessingTokens(t *testing.T) {
	h := open(t, api.Options{Limits: api.Limits{Anonymous: api.Rate{PerSecond: 1, Burst: 5}}})
	h.Register(lee)
	c := h.raw(t, nil)
	for range 5 {
		if a := h.send(t, c, http.MethodGet, protocol.PathStatus, "", "", nil); a.status != http.StatusUnauthorized {
			t.Fatal(a.status)
		}
	}
	a := h.send(t, c, http.MethodGet, protocol.PathStatus, "", "", nil)
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Fatalf("status %d", a.status)
	}
	if a := h.send(t, c, http.MethodGet, protocol.PathStatus, h.token(t, lee), "", nil); a.status != http.StatusTooManyRequests {
		t.Fatalf("a token is looked at: status %d", a.status)
	}
	if err := func() error { _, err := h.as(t, west).Checkpoint(t.Context()); return err }(); err != nil {
		t.Fatalf("a member from the same address: %v", err)
	}
}

func TestBodies(t *testing.T) {
	h := open(t, api.Options{})
	h.Register(lee)
	c := h.raw(t, nil)
	long := make([]byte, protocol.MaxSubmission+1)
	tx := h.Tx(lee, identity.Contract, identity.MethodEpoch, apitest.Script{}, nil)
	forged := bytes.Clone(tx.Bytes())
	forged[len(forged)-1] ^= 1
	submission := func(tx, sidecar []byte) []byte {
		b, err := chain.Marshal(protocol.Submission{Tx: tx, Sidecar: sidecar})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if a := h.send(t, c, http.MethodGet, protocol.PathStatus, h.token(t, lee), "", []byte("x")); a.code != protocol.CodeMalformed {
		t.Errorf("body that is not due: %d %s", a.status, a.code)
	}
	for _, b := range []struct {
		what, path, mediaType string
		body                  []byte
		status                int
		code                  string
	}{
		{"too long", protocol.PathSubmit, protocol.TypeCBOR, long, 413, protocol.CodeTooLarge},
		{"too long a question", protocol.PathAsk, protocol.TypeCBOR, long[:protocol.MaxQuestion+1], 413, protocol.CodeTooLarge},
		{"empty", protocol.PathSubmit, protocol.TypeCBOR, nil, 400, protocol.CodeMalformed},
		{"zeros", protocol.PathSubmit, protocol.TypeCBOR, long[:100], 400, protocol.CodeMalformed},
		{"no transaction", protocol.PathSubmit, protocol.TypeCBOR, submission([]byte("garbage"), nil), 400, protocol.CodeMalformed},
		{"bytes behind it", protocol.PathSubmit, protocol.TypeCBOR, append(submission(tx.Bytes(), nil), 0), 400, protocol.CodeMalformed},
		{"forged", protocol.PathSubmit, protocol.TypeCBOR, submission(forged, nil), 409, string(chain.ErrSignature)},
		{"no question", protocol.PathAsk, protocol.TypeCBOR, []byte{0x80}, 400, protocol.CodeMalformed},
		{"of another type", protocol.PathAsk, protocol.TypeJSON, []byte("{}"), 400, protocol.CodeMalformed},
		{"of no type", protocol.PathAsk, "", encode(t, query.Authority{}), 400, protocol.CodeMalformed},
	} {
		a := h.send(t, c, http.MethodPost, b.path, h.token(t, lee), b.mediaType, b.body)
		if a.status != b.status || a.code != b.code {
			t.Errorf("body %s: %d %s, want %d %s", b.what, a.status, a.code, b.status, b.code)
		}
		// Its length is not said in advance.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+b.path, io.MultiReader(bytes.NewReader(b.body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", h.token(t, lee))
		r.Header.Set("Content-Type", b.mediaType)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != b.status {
			t.Errorf("body %s, in chunks: %d, want %d", b.what, resp.StatusCode, b.status)
		}
	}
}

func TestParameters(t *testing.T) {
	h := open(t, api.Options{})
	c := h.raw(t, ledgertest.Key(west))
	ref := refOf(t, "x").String()
	for _, path := range []string{
		"/v1/transactions/x/receipt", "/v1/transactions/-1/receipt", "/v1/transactions/99999999999999999999/receipt",
		"/v1/consortium?after=x", "/v1/consortium?behind=1", "/v1/accesses/0/parts?without=" + strings.Repeat("a&without=", 80),
		"/v1/blobs/x", "/v1/blobs/" + strings.ToUpper(ref), "/v1/blobs/" + ref + "/tree/x", "/v1/member/heads/x/signature",
		"/tile/0/x", "/tile/0/000.p/0", "/tile/8/x001/000", "/tile/-1/000", "/tile/entries/../0/000", "/nothing", "/v1/", "/v1/events?after=x",
	} {
		if a := h.send(t, c, http.MethodGet, path, "", "", nil); a.status < 400 || a.status >= 500 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	for _, r := range []string{"bytes=0-", "bytes=-5", "bytes=5-2", "bytes=0-99", "items=0-1", "bytes=0-1,3-4", "bytes=+0-1", "bytes=0-18446744073709551616"} {
		if _, err := h.Mem.Put(t.Context(), strings.NewReader("0123456789")); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/v1/blobs/"+refOf(t, "0123456789").String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", r)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("range %q: %d", r, resp.StatusCode)
		}
	}
}

// dial returns a bare connection to the node.
func (h *house) dial(t *testing.T) *tls.Conn { return h.dialAs(t, ledgertest.Key(west)) }

// dialAs connects with a certificate of a key, or without one if that is nil.
func (h *house) dialAs(t *testing.T, key crypto.Signer) *tls.Conn {
	t.Helper()
	config, err := protocol.ClientTLS(ledgertest.Public("east"), key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(h.url, "https://"), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestNoHTTP2: deadlines and limits per connection are those of one request.
func TestNoHTTP2(t *testing.T) {
	h := open(t, api.Options{})
	config, err := protocol.ClientTLS(ledgertest.Public("east"), nil)
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{"h2", "http/1.1"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(h.url, "https://"), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Fatalf("the server speaks %q", p)
	}
}

// hurry lets no test wait long.
var hurry = api.Limits{Header: 300 * time.Millisecond, Body: 300 * time.Millisecond, Pace: 64 << 20, Grace: time.Second}

// TestSlowloris sends what it has to send a byte at a time, or stops half way:
// the node ends the connection.
func TestSlowloris(t *testing.T) {
	limits := hurry
	limits.Linger = time.Hour // whoever is too slow is not listened to any longer
	h := open(t, api.Options{Limits: limits})
	for what, text := range map[string]string{
		"nothing":                 "",
		"half a header":           "POST " + protocol.PathAsk + " HTTP/1.1\r\nHost: east\r\nX-A: ",
		"half a body":             "POST " + protocol.PathAsk + " HTTP/1.1\r\nHost: east\r\nContent-Type: application/cbor\r\nContent-Length: 100\r\n\r\nx",
		"half a chunk":            "POST " + protocol.PathAsk + " HTTP/1.1\r\nHost: east\r\nContent-Type: application/cbor\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
		"half a blob":             "POST " + protocol.PathBlobs + " HTTP/1.1\r\nHost: east\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\n\r\nx",
		"half a large blob":       "POST " + protocol.PathBlobs + " HTTP/1.1\r\nHost: east\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\nx",
		"a body that is not due":  "GET " + protocol.PathStatus + " HTTP/1.1\r\nHost: east\r\nContent-Length: 100\r\n\r\nx",
		"a body for a wrong path": "POST /nothing HTTP/1.1\r\nHost: east\r\nContent-Length: 100\r\n\r\nx",
	} {
		conn := h.dial(t)
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays open", what)
		}
	}
	if n := count(t, h.Mem); n != 0 {
		t.Errorf("%d blobs are stored", n)
	}
}

// TestLongUploadIsNotCutShort: what moves may take its time.
func TestLongUploadIsNotCutShort(t *testing.T) {
	h := open(t, api.Options{Limits: api.Limits{Body: time.Second, Pace: 10}})
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+protocol.PathBlobs, in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", protocol.TypeBytes)
	status := make(chan int)
	go func() {
		resp, err := h.raw(t, ledgertest.Key(west)).Do(r)
		if err != nil {
			status <- 0
			return
		}
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	for range 12 { // more than a second
		if _, err := out.Write(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		<-time.After(100 * time.Millisecond)
	}
	_ = out.Close()
	if got := <-status; got != http.StatusCreated {
		t.Fatalf("status %d", got)
	}
}

func count(t *testing.T, s store.Store) (n int) {
	t.Helper()
	for _, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestReaderThatDoesNotRead asks for a blob that no buffer holds, and takes
// none of it.
func TestReaderThatDoesNotRead(t *testing.T) {
	h := open(t, api.Options{Limits: hurry})
	ref, err := h.Mem.Put(t.Context(), bytes.NewReader(storetest.Bytes(1, 64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	conn := h.dial(t)
	if _, err := fmt.Fprintf(conn, "GET %s/%s HTTP/1.1\r\nHost: east\r\n\r\n", protocol.PathBlobs, ref); err != nil {
		t.Fatal(err)
	}
	// The download ends by itself: at the latest when the server stops, which
	// waits for it no longer than the grace.
	await(t, h, `ward_http_requests_total{route="GET /v1/blobs/{ref}",status="200"} 1`)
}

// await waits until the metrics show a line.
func await(t *testing.T, h *house, line string) {
	t.Helper()
	c := h.raw(t, ledgertest.Key(west))
	for range 2400 { // a minute
		a := h.send(t, c, http.MethodGet, protocol.PathMetrics, "", "", nil)
		if bytes.Contains(a.body, []byte(line)) {
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatalf("the metrics never show %s", line)
}

func TestBlobLimits(t *testing.T) {
	h := open(t, api.Options{Limits: api.Limits{Blob: 1000, Streams: 1}})
	h.Register(lee)
	n := h.as(t, lee)
	for _, size := range []int{1001, store.LeafSize, 2 * store.LeafSize} {
		if _, err := n.Blobs().Put(t.Context(), bytes.NewReader(make([]byte, size))); !errors.Is(err, protocol.ErrTooLarge) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if n := count(t, h.Mem); n != 0 {
		t.Errorf("%d blobs are stored", n)
	}
	in, out := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := n.Blobs().Put(t.Context(), in)
		done <- err
	}()
	if _, err := out.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	await(t, h, "ward_http_requests_in_flight 2") // the upload, and the one that asks
	if _, err := n.Blobs().Put(t.Context(), strings.NewReader("y")); !errors.Is(err, ward.ErrBusy) {
		t.Errorf("a second stream: %v", err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := n.Blobs().Put(t.Context(), strings.NewReader("y")); err != nil {
		t.Errorf("after the first one: %v", err)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	limits := hurry
	limits.Connections = 2
	limits.Header = time.Minute
	h := open(t, api.Options{Limits: limits})
	a := h.dial(t)
	_ = h.dial(t)
	ok := make(chan struct{})
	go func() {
		defer close(ok)
		c := h.dial(t)
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: east\r\n\r\n", protocol.PathHealth)
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Errorf("third connection: %q, %v", line, err)
		}
	}()
	select {
	case <-ok:
		t.Fatal("a third connection is served")
	case <-time.After(200 * time.Millisecond):
	}
	_ = a.Close()
	<-ok
}

// TestNobodyFillsTheDiskWithWhatIsNobodys: an identity may put only so many
// blobs, and bytes, before records refer to some of them. Members are not held
// to it, nor is one identity for another.
func TestNobodyFillsTheDiskWithWhatIsNobodys(t *testing.T) {
	for what, limits := range map[string]api.Limits{
		"blobs": {Unused: 3},
		"bytes": {UnusedBytes: 30},
	} {
		h := open(t, api.Options{Limits: limits})
		h.Register(lee)
		h.Register(stranger)
		n := h.as(t, lee)
		var refs []store.Ref
		put := func(text string) error {
			ref, err := n.Blobs().Put(t.Context(), strings.NewReader(text))
			if err == nil {
				refs = append(refs, ref)
			}
			return err
		}
		for _, text := range []string{"0123456789", "0123456789", "1123456789", "2123456789"} { // one twice
			if err := put(text); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if err := put("3123456789"); !errors.Is(err, ward.ErrBusy) {
			t.Errorf("%s: more than the limit: %v", what, err)
		}
		for _, who := range []string{stranger, west} {
			if _, err := h.as(t, who).Blobs().Put(t.Context(), strings.NewReader("another's")); err != nil {
				t.Errorf("%s: %s: %v", what, who, err)
			}
		}
		h.Set(func(w *apitest.World) {
			w.Records = append(w.Records, record.Record{ID: "r-1", Payload: refs[0].Bytes()})
		})
		if err := h.Mem.Delete(t.Context(), refs[2]); err != nil { // collected
			t.Fatal(err)
		}
		if err := put("3123456789"); !errors.Is(err, ward.ErrBusy) {
			t.Errorf("%s: looked up again at once: %v", what, err)
		}
		h.clock.add(time.Second)
		for _, text := range []string{"3123456789", "4123456789"} {
			if err := put(text); err != nil {
				t.Errorf("%s: after a record refers to one and one was collected: %v", what, err)
			}
		}
		h.clock.add(time.Second)
		if err := put("5123456789"); !errors.Is(err, ward.ErrBusy) {
			t.Errorf("%s: at the limit again: %v", what, err)
		}
	}
}

// TestWhoeverIsOverTheLimitHearsSoAtOnce: who has stored too much that no record
// refers to is asked to wait only while that may change: when a blob is on its way,
// or came so lately that its record may be, or it was not looked at just now, or
// could not be.
func TestWhoeverIsOverTheLimitHearsSoAtOnce(t *testing.T) {
	for what, limits := range map[string]api.Limits{
		"blobs": {Unused: 2},
		"bytes": {UnusedBytes: 20},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t, api.Options{Limits: limits})
			h.Register(lee)
			put := func(text string) (store.Ref, error) {
				return h.as(t, lee).Blobs().Put(t.Context(), strings.NewReader(text))
			}
			over := func(when string, want error) {
				t.Helper()
				if _, err := put("3123456789"); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", when, err, want)
				}
			}
			first, err := put("0123456789")
			if err != nil {
				t.Fatal(err)
			}
			h.clock.add(10 * time.Second)

			// The second one is on its way.
			c := h.dialAs(t, nil)
			answers := bufio.NewReader(c)
			answer := func(request string, want int) {
				t.Helper()
				if _, err := io.WriteString(c, request); err != nil {
					t.Fatal(err)
				}
				if resp, err := http.ReadResponse(answers, nil); err != nil || resp.StatusCode != want {
					t.Fatalf("%v, %v, want status %d", resp, err, want)
				}
			}
			answer(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: east\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
				protocol.PathBlobs, h.token(t, lee), protocol.TypeBytes), http.StatusContinue)
			over("one is under way", ward.ErrBusy)
			answer("1123456789", http.StatusCreated)
			await(t, h, `ward_http_requests_total{route="POST /v1/blobs",status="201"} 2`) // and what it began is settled
			h.clock.add(9 * time.Second)
			over("one came a moment ago", ward.ErrBusy)
			h.clock.add(time.Second)
			over("no record has come", ward.ErrQuota)
			over("not looked at", ward.ErrBusy)
			h.clock.add(time.Second)
			over("once more", ward.ErrQuota)
			h.clock.add(time.Second)
			h.Fail("Referenced", ward.ErrNoQuorum)
			over("nobody can tell", ward.ErrBusy)
			h.Fail("Referenced", nil)
			h.Set(func(w *apitest.World) {
				w.Records = append(w.Records, record.Record{ID: "r-1", Payload: first.Bytes()})
			})
			h.clock.add(time.Second)
			if _, err := put("3123456789"); err != nil {
				t.Errorf("a record has come: %v", err)
			}
		})
	}
}
