package replica

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
)

const (
	handshakeTimeout = 10 * time.Second
	maxHandshakes    = 64
)

// Directory tells who the members of the consortium are now. Replica.Consortium
// is one; before the replica is open, use the consortium file.
type Directory func() *chain.Consortium

// tlsNetwork is the Network over TCP with mutual TLS 1.3.
type tlsNetwork struct {
	listener net.Listener
	members  Directory
	config   *tls.Config
	accepted chan acceptedConn
	log      *slog.Logger

	ctx    context.Context // ends when the network is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

type acceptedConn struct {
	conn   net.Conn
	member string
	lane   Lane
}

// ListenTLS serves peers on listener with mutual TLS 1.3. key is this member's
// Ed25519 node key. A connection counts as a member's if its far end proves
// possession of the node key that members lists for it; names and dates in
// certificates mean nothing.
//
// The network owns the listener. log may be nil.
func ListenTLS(listener net.Listener, key crypto.Signer, members Directory, log *slog.Logger) (Network, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cert, err := nodeCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &tlsNetwork{
		listener: listener,
		members:  members,
		accepted: make(chan acceptedConn),
		log:      log,
		ctx:      ctx,
		cancel:   cancel,
	}
	n.config = &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		ClientAuth:   tls.RequireAnyClientCert,
		NextProtos:   []string{string(LaneRaft), string(LanePeer)},
		// The key is pinned in VerifyConnection, which runs on every
		// handshake; there is no certificate authority to ask.
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := n.memberOf(s)
			return err
		},
	}
	n.wg.Go(n.listen)
	return n, nil
}

// nodeCertificate wraps the node key in a certificate that nobody signed but
// itself: TLS needs one to carry the key.
func nodeCertificate(key crypto.Signer) (tls.Certificate, error) {
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return tls.Certificate{}, errors.New("node key is not Ed25519")
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
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// memberOf returns the name of the member whose node key the far end proved.
func (n *tlsNetwork) memberOf(s tls.ConnectionState) (string, error) {
	if len(s.PeerCertificates) == 0 {
		return "", errors.New("peer sent no certificate")
	}
	pub, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return "", errors.New("peer key is not Ed25519")
	}
	m := n.members().MemberByKey(chain.PublicKey(pub))
	if m == nil {
		return "", errors.New("peer key is no member's node key")
	}
	return m.Name, nil
}

func (n *tlsNetwork) listen() {
	slots := make(chan struct{}, maxHandshakes)
	for {
		select {
		case slots <- struct{}{}:
		case <-n.ctx.Done():
			return
		}
		raw, err := n.listener.Accept()
		if err != nil {
			<-slots
			if n.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			n.log.Warn("accept peer connection", "error", err)
			continue
		}
		n.wg.Go(func() {
			defer func() { <-slots }()
			n.handshake(raw)
		})
	}
}

func (n *tlsNetwork) handshake(raw net.Conn) {
	ctx, cancel := context.WithTimeout(n.ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Server(raw, n.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		if errors.Is(err, io.EOF) {
			n.log.Debug("peer port tried", "from", raw.RemoteAddr()) // connected and closed, as who looks whether it is open does
		} else {
			n.log.Warn("peer connection refused", "error", err)
		}
		raw.Close()
		return
	}
	s := conn.ConnectionState()
	member, err := n.memberOf(s)
	if err != nil || s.NegotiatedProtocol == "" {
		conn.Close()
		return
	}
	select {
	case n.accepted <- acceptedConn{conn, member, Lane(s.NegotiatedProtocol)}:
	case <-ctx.Done():
		conn.Close()
	}
}

func (n *tlsNetwork) Dial(ctx context.Context, member string, lane Lane) (net.Conn, error) {
	m := n.members().Member(member)
	if m == nil {
		return nil, fmt.Errorf("dial %s: not a member", member)
	}
	config := n.config.Clone()
	config.NextProtos = []string{string(lane)}
	config.VerifyConnection = func(s tls.ConnectionState) error {
		name, err := n.memberOf(s)
		if err == nil && name != member {
			err = fmt.Errorf("node key is %s's", name)
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	d := tls.Dialer{Config: config}
	conn, err := d.DialContext(ctx, "tcp", m.Peer)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", member, err)
	}
	return conn, nil
}

func (n *tlsNetwork) Accept() (net.Conn, string, Lane, error) {
	select {
	case a := <-n.accepted:
		return a.conn, a.member, a.lane, nil
	case <-n.ctx.Done():
		return nil, "", "", net.ErrClosed
	}
}

func (n *tlsNetwork) Close() error {
	n.cancel()
	err := n.listener.Close()
	n.wg.Wait()
	return err
}
