package remote_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/node/remote"
)

// TestAnswerCountsForMoreThanAReset: a node that answers and then resets the
// connection, while the blob is being sent, has answered.
func TestAnswerCountsForMoreThanAReset(t *testing.T) {
	config, err := protocol.ServerTLS(ledgertest.Key("east"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- resetting(l, config) }()
	n, err := remote.New("https://"+l.Addr().String(), remote.Options{
		Consortium: apitest.Founding(t), Member: "east", Signer: ledgertest.Key("west"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := n.Blobs().Put(t.Context(), zeros{}); !errors.Is(err, protocol.ErrTooLarge) {
			t.Fatalf("%v, want what the node said", err)
		}
	}
	_ = l.Close()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	_ = n.Close()
}

// zeros is read without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// resetting takes one connection after the other, refuses the upload that comes
// on it as too large, and resets it with most of that unread.
func resetting(l net.Listener, config *tls.Config) error {
	for {
		raw, err := l.Accept()
		if err != nil {
			return nil // the test is over
		}
		c := tls.Server(raw, config)
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, in, 100<<10); err != nil {
			return err
		}
		problem := fmt.Sprintf(`{"status":413,"code":%q}`, protocol.CodeTooLarge)
		if _, err := fmt.Fprintf(c, "HTTP/1.1 413 Large\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			protocol.TypeProblem, len(problem), problem); err != nil {
			return err
		}
		if err := raw.Close(); err != nil { // with unread bytes: a reset
			return err
		}
	}
}
