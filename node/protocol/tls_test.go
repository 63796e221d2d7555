package protocol_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/node/protocol"
)

// shake makes a connection and returns the key that the server saw.
func shake(t *testing.T, server crypto.Signer, client *tls.Config) (seen chain.PublicKey, proved bool, err error) {
	t.Helper()
	config, err := protocol.ServerTLS(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var far *tls.Conn
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			far = tls.Server(conn, config)
			err = far.HandshakeContext(t.Context())
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near := tls.Client(conn, client)
	err = near.HandshakeContext(t.Context())
	_ = conn.Close()
	if failed := <-done; err == nil {
		err = failed
	}
	s := far.ConnectionState()
	seen, proved = protocol.PeerKey(&s)
	return seen, proved, err
}

func clientTLS(t *testing.T, pin string, key crypto.Signer) *tls.Config {
	t.Helper()
	c, err := protocol.ClientTLS(ledgertest.Public(pin), key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestServerIsPinned(t *testing.T) {
	if _, proved, err := shake(t, ledgertest.Key("east"), clientTLS(t, "east", nil)); err != nil || proved {
		t.Fatalf("right key: %v, client proved a key: %v", err, proved)
	}
	if _, _, err := shake(t, ledgertest.Key("west"), clientTLS(t, "east", nil)); !errors.Is(err, protocol.ErrPinned) {
		t.Fatalf("another member's key: %v, want ErrPinned", err)
	}
}

func TestMemberProvesItsKey(t *testing.T) {
	seen, proved, err := shake(t, ledgertest.Key("east"), clientTLS(t, "east", ledgertest.Key("west")))
	if err != nil || !proved || seen != ledgertest.Public("west") {
		t.Fatalf("%v, %v, %v", seen, proved, err)
	}
}

// TestStolenCertificateWithoutItsKey shows a member's certificate, which is no
// secret, without having its key.
func TestStolenCertificateWithoutItsKey(t *testing.T) {
	c := clientTLS(t, "east", ledgertest.Key("west"))
	stolen, err := c.GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	forged := *stolen
	forged.PrivateKey = claims{ledgertest.Key("mallory"), ledgertest.Key("west").Public()}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &forged, nil }
	if _, _, err := shake(t, ledgertest.Key("east"), c); err == nil {
		t.Fatal("the handshake succeeds")
	}
}

// claims signs with one key and says that it is another.
type claims struct {
	ed25519.PrivateKey
	public crypto.PublicKey
}

func (c claims) Public() crypto.PublicKey { return c.public }

func TestOldTLSIsRefused(t *testing.T) {
	c := clientTLS(t, "east", nil)
	c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, _, err := shake(t, ledgertest.Key("east"), c); err == nil {
		t.Fatal("TLS 1.2 is taken")
	}
}
