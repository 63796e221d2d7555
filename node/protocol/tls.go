package protocol

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ward-health/ward/chain"
)

// ErrPinned says that a server does not hold the node key that the consortium
// file has for the member.
var ErrPinned = errors.New("server does not hold the member's node key")

// ServerTLS returns the configuration of a server that proves possession of
// its node key. It asks callers for a certificate and believes none: whose key
// it carries, PeerKey says, and what that key is worth is for the server.
func ServerTLS(key crypto.Signer) (*tls.Config, error) {
	cert, err := certificate(key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		ClientAuth:   tls.RequestClientCert,
		// HTTP/1.1 only: see docs/adr.
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}, nil
}

// ClientTLS returns the configuration of a client that talks to nobody but the
// holder of pin, and shows a certificate with its own key unless that is nil.
func ClientTLS(pin chain.PublicKey, key crypto.Signer) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
		// The key is pinned in VerifyConnection, which runs on every
		// handshake; there is no certificate authority to ask.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if got, ok := PeerKey(&s); !ok || got != pin {
				return ErrPinned
			}
			return nil
		},
	}
	if key != nil {
		cert, err := certificate(key)
		if err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return c, nil
}

// PeerKey returns the Ed25519 key that the far end of a connection proved.
func PeerKey(s *tls.ConnectionState) (chain.PublicKey, bool) {
	if s == nil || len(s.PeerCertificates) == 0 {
		return chain.PublicKey{}, false
	}
	pub, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return chain.PublicKey{}, false
	}
	return chain.PublicKey(pub), true
}

// certificate wraps a key in a certificate that nobody signed but itself: TLS
// needs one to carry the key. Names and dates in it mean nothing.
func certificate(key crypto.Signer) (tls.Certificate, error) {
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return tls.Certificate{}, errors.New("certificate: key is not Ed25519")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "ward node"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: no expiry
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
