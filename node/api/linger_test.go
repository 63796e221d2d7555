package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/protocol"
)

// TestRefusalIsHeardByWhoIsSending: a client that is refused while it sends gets
// the answer, and is not cut off before it can have read it. What it sends until
// then is read and dropped; nobody is reset.
func TestRefusalIsHeardByWhoIsSending(t *testing.T) {
	h := open(t, api.Options{Limits: api.Limits{Blob: 1000}})
	const expect, chunked = "Expect: 100-continue\r\n", "Transfer-Encoding: chunked\r\n"
	const long, bytes = "Content-Length: 1000000000\r\n", "Content-Type: application/octet-stream\r\n"
	for what, r := range map[string]struct {
		path, header string
		status       int
	}{
		"too large a blob":             {protocol.PathBlobs, bytes + long, 413},
		"too large a blob, announced":  {protocol.PathBlobs, bytes + long + expect, 413},
		"too large, length not said":   {protocol.PathBlobs, bytes + chunked, 413},
		"likewise, announced":          {protocol.PathBlobs, bytes + chunked + expect, 413},
		"too large for another member": {protocol.PathLocalBlobs, bytes + chunked, 413},
		"too large a transaction":      {protocol.PathSubmit, "Content-Type: application/cbor\r\n" + chunked, 413},
		"of another type":              {protocol.PathBlobs, long, 400},
		"for another path":             {"/nothing", bytes + chunked, 404},
	} {
		t.Run(what, func(t *testing.T) {
			c := h.dial(t)
			part := make([]byte, 64<<10)
			if strings.Contains(r.header, chunked) {
				part = fmt.Appendf(nil, "%x\r\n%s\r\n", len(part), part)
			}
			_, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: east\r\n%s\r\n", r.path, r.header)
			// More than a limit: a refusal that depends on the length comes now.
			for sent := 0; err == nil && sent < protocol.MaxSubmission+len(part); sent += len(part) {
				_, err = c.Write(part)
			}
			if err != nil {
				t.Fatalf("broken while it sends: %v", err)
			}
			in := bufio.NewReader(c)
			resp, err := http.ReadResponse(in, nil)
			for err == nil && resp.StatusCode == http.StatusContinue {
				resp, err = http.ReadResponse(in, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != r.status || !resp.Close {
				t.Fatalf("status %d, close %v, %v", resp.StatusCode, resp.Close, err)
			}
			for range 128 { // far more than the buffers between the two hold
				if _, err := c.Write(part); err != nil {
					t.Fatalf("cut off: %v", err)
				}
			}
		})
	}
}

// TestNobodyIsListenedToForEver: the node listens to whom it has refused no
// longer than so long, and to no more than so much.
func TestNobodyIsListenedToForEver(t *testing.T) {
	sizes := map[string]int{"time": 1, "bytes": 64 << 10} // of what is sent at once
	for what, limits := range map[string]api.Limits{
		"time":  {Linger: 200 * time.Millisecond},
		"bytes": {LingerBytes: 1 << 20, Linger: time.Hour},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t, api.Options{Limits: limits})
			c := h.dial(t)
			if _, err := fmt.Fprintf(c, "POST /nothing HTTP/1.1\r\nHost: east\r\nContent-Length: 1000000000000000\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.CopyBuffer(c, zeros{}, make([]byte, sizes[what])) }()
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection stays open")
			}
		})
	}
}

// zeros is read without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
