package replica

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
)

func tlsPair(t *testing.T) (k *chain.Consortium, a, b Network) {
	t.Helper()
	k = testConsortium(t, 3, 0)
	var networks []Network
	for i := range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		k.Members[i].Peer = l.Addr().String()
		n, err := ListenTLS(l, testKey(memberName(i)), func() *chain.Consortium { return k }, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		networks = append(networks, n)
	}
	return k, networks[0], networks[1]
}

func TestConnectionNamesTheMemberWhoseKeyIsAtTheFarEnd(t *testing.T) {
	_, a, b := tlsPair(t)
	for _, lane := range []Lane{LaneRaft, LanePeer} {
		out, err := a.Dial(within(t, 10*time.Second), "h1", lane)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		in, member, got, err := b.Accept()
		if err != nil || member != "h0" || got != lane {
			t.Fatalf("accepted %q on %q: %v", member, got, err)
		}
		in.Close()
	}
}

func TestStrangersAreRefused(t *testing.T) {
	k, a, _ := tlsPair(t)
	stranger, err := nodeCertificate(testKey("stranger"))
	if err != nil {
		t.Fatal(err)
	}
	member, err := nodeCertificate(testKey("h1"))
	if err != nil {
		t.Fatal(err)
	}
	accepting := acceptor(t, a)
	for name, config := range map[string]*tls.Config{
		"key of no member": {Certificates: []tls.Certificate{stranger}, NextProtos: []string{string(LanePeer)}, MinVersion: tls.VersionTLS13},
		"no certificate":   {NextProtos: []string{string(LanePeer)}, MinVersion: tls.VersionTLS13},
		"TLS 1.2":          {Certificates: []tls.Certificate{member}, NextProtos: []string{string(LanePeer)}, MaxVersion: tls.VersionTLS12},
		"unknown lane":     {Certificates: []tls.Certificate{member}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13},
		"no lane":          {Certificates: []tls.Certificate{member}, MinVersion: tls.VersionTLS13},
	} {
		config.InsecureSkipVerify = true
		if connects(t, k.Members[0].Peer, config) {
			t.Errorf("%s: accepted", name)
		}
	}
	good := &tls.Config{Certificates: []tls.Certificate{member}, NextProtos: []string{string(LanePeer)}, MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	if !connects(t, k.Members[0].Peer, good) {
		t.Error("a member is not accepted")
	}
	// And a member that is reached must be the one that was meant.
	k.Members[2].Peer = k.Members[1].Peer
	if conn, err := a.Dial(within(t, 10*time.Second), "h2", LanePeer); err == nil {
		conn.Close()
		t.Error("took h1 for h2")
	}
	if _, err := a.Dial(context.Background(), "nobody", LanePeer); err == nil {
		t.Error("dialled someone who is no member")
	}
	if n := accepting(); n != 1 {
		t.Errorf("accepted %d connections", n)
	}
}

// acceptor greets every connection that a network accepts with one byte. stop closes
// the network and returns how many there were.
func acceptor(t *testing.T, n Network) (stop func() int) {
	t.Helper()
	done := make(chan int, 1)
	go func() {
		accepted := 0
		for {
			conn, _, _, err := n.Accept()
			if err != nil {
				done <- accepted
				return
			}
			accepted++
			if _, err := conn.Write([]byte{1}); err != nil {
				t.Error(err)
			}
			conn.Close()
		}
	}()
	return func() int { n.Close(); return <-done }
}

// connects reports whether the far end, an acceptor, takes a connection.
func connects(t *testing.T, addr string, config *tls.Config) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Read(make([]byte, 1))
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("neither accepted nor refused")
	}
	return err == nil
}
