package node_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/vault"
)

// alone makes the directory of a consortium of one, whose node needs nobody.
func alone(t *testing.T) node.Config {
	t.Helper()
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close() // the port is free again when the node listens
	dir := tempDir(t)
	card, err := node.Init(node.InitOptions{
		Dir: dir, Member: "east", URL: "https://east.invalid", Peer: peer.Addr().String(),
		Passphrase: []byte("open sesame"), Vault: vault.Options{WorkFactor: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	k, err := node.NewConsortium("alone.ward", time.Now(), 0, []*node.Card{card})
	if err != nil {
		t.Fatal(err)
	}
	return node.Config{Dir: dir, Member: "east", Founding: k}
}

func TestSealedNodeDoesNothing(t *testing.T) {
	ctx := context.Background()
	cfg := alone(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.API = listener
	n, err := node.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	defer func() {
		stop()
		if err := errors.Join(<-ended, n.Close()); err != nil {
			t.Error(err)
		}
	}()

	if s := n.Status(); !s.Sealed || s.Fresh {
		t.Errorf("status %+v", s)
	}
	if err := n.Live(); err != nil {
		t.Errorf("a sealed node lives: %v", err)
	}
	for name, err := range map[string]error{
		"ready":    n.Ready(),
		"submit":   second(n.Submit(ctx, nil, nil)),
		"ask":      second(n.Ask(ctx, nil)),
		"receipt":  second(n.Receipt(ctx, 0)),
		"sidecar":  second(n.Sidecar(ctx, 0)),
		"answer":   second(n.AnswerAccess(ctx, 0)),
		"answers":  second(n.Answers(ctx, 0, nil)),
		"key":      second(n.PartialKey(ctx, 0)),
		"keys":     second(n.PartialKeys(ctx, 0, nil)),
		"head":     second(n.SignHead(ctx, 1)),
		"endorse":  second(n.Endorse(ctx, cfg.Founding)),
		"accessed": second(n.Accessed(ctx, 0)),
		"export":   n.Export(ctx, io.Discard),
		"blobs":    second(n.Blobs().Put(ctx, strings.NewReader("x"))),
		"identify": second(n.Identify(ctx, chain.PublicKey{})),
		"node key": second(n.Key()),
	} {
		if !errors.Is(err, ward.ErrNotReady) {
			t.Errorf("%s: %v, want ErrNotReady", name, err)
		}
	}

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	get := func(path string) (int, string) {
		r, err := client.Get("https://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Errorf("health of a sealed node: %d", code)
	}
	var s api.Status
	if code, body := get("/v1/status"); code != 200 || json.Unmarshal([]byte(body), &s) != nil || !s.Sealed {
		t.Errorf("status of a sealed node: %d %s", code, body)
	}
	if code, _ := get("/v1/consortium"); code != 503 {
		t.Errorf("a sealed node serves more: %d", code)
	}

	// Who is sending hears so, and is not cut off.
	sending, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sending.Close()
	_, err = io.WriteString(sending, "POST /v1/blobs HTTP/1.1\r\nHost: east\r\nContent-Length: 16777216\r\n\r\n")
	if err == nil {
		_, err = sending.Write(make([]byte, 16<<20)) // more than the buffers between the two hold
	}
	if err != nil {
		t.Errorf("a client that sends is cut off: %v", err)
	}
	if r, err := http.ReadResponse(bufio.NewReader(sending), nil); err != nil || r.StatusCode != 503 {
		t.Errorf("a client that sends hears %v, %v", r, err)
	}

	if err := n.Unlock(ctx, []byte("wrong")); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("got %v, want ErrPassphrase", err)
	}
	if !n.Status().Sealed {
		t.Error("a wrong passphrase unsealed the node")
	}
	if err := n.Unlock(ctx, []byte("open sesame")); err != nil {
		t.Fatal(err)
	}
	if err := n.Unlock(ctx, []byte("open sesame")); err != nil {
		t.Errorf("unlocked twice: %v", err)
	}
	for n.Status().Leader == "" {
		<-time.After(10 * time.Millisecond)
	}
	if n.Status().Sealed {
		t.Error("still sealed")
	}
	for { // the API changes hands
		if code, _ := get("/healthz"); code == 200 {
			if code, body := get("/openapi.json"); code == 200 && strings.Contains(body, "openapi") {
				break
			}
		}
		<-time.After(10 * time.Millisecond)
	}
}

func second[T any](_ T, err error) error { return err }

func TestNodeNeedsItsOwnKey(t *testing.T) {
	ctx := context.Background()
	pass := func(context.Context) ([]byte, error) { return []byte("open sesame"), nil }

	// The vault of another node, under the same passphrase.
	cfg, other := alone(t), alone(t)
	cfg.Passphrase, other.Passphrase = pass, pass
	cfg.Dir = other.Dir
	if n, err := node.Open(ctx, cfg); err == nil {
		n.Close()
		t.Error("a node opened with a key that is not in the consortium file")
	}

	cfg = alone(t)
	cfg.Passphrase = func(context.Context) ([]byte, error) { return []byte("wrong"), nil }
	if _, err := node.Open(ctx, cfg); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("got %v, want ErrPassphrase", err)
	}

	// Two processes.
	cfg.Passphrase = nil
	n, err := node.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Open(ctx, cfg); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if err := errors.Join(n.Close(), n.Close()); err != nil {
		t.Error(err)
	}
	if err := n.Run(ctx); !errors.Is(err, ward.ErrUnavailable) {
		t.Errorf("run after close: %v", err)
	}
}

// TestDamagedVaultIsNoticed flips a byte of the file of every secret in turn.
func TestDamagedVaultIsNoticed(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		index := w.access(reader, w.grant(owner, reader.Name(), "lab"), id)
		path := func(kind string) string {
			files, err := filepath.Glob(filepath.Join(w.Dir(), w.Name(1), "vault", kind, "*", "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%s: %q, %v", kind, files, err)
			}
			return files[0]
		}
		flip := func(kind string) {
			data, err := os.ReadFile(path(kind))
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-1] ^= 1
			if err := durable.WriteSecret(path(kind), data); err != nil {
				t.Fatal(err)
			}
		}
		flip("grant")
		if _, err := w.Node(1).AnswerAccess(w.ctx, index); !errors.Is(err, ward.ErrShares) {
			t.Errorf("with a damaged share: %v, want ErrShares", err)
		}
		if parts, err := w.Node(1).Answers(w.ctx, index, nil); err != nil || len(parts) != 3 {
			t.Errorf("the others stand in: %d parts, %v", len(parts), err)
		}
		flip("grant")
		flip("checkpoint")
		if _, err := w.Node(1).SignHead(w.ctx, 1); err == nil {
			t.Error("a damaged share signed a checkpoint")
		}
		flip("checkpoint")
		flip("node")
		w.stop(1)
		if err := w.Restart(w.ctx, 1); err == nil {
			t.Error("a node started with a damaged key")
		}
		flip("node")
		w.restart(1)
		w.settle()
	})
}

func TestCards(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	card, err := node.NewCard("east", "https://ward.east.example", "ward.east.example:7443", key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := card.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := node.ParseCard(data)
	if err != nil {
		t.Fatal(err)
	}
	if again.Member != card.Member || len(strings.Fields(again.Fingerprint())) != 8 {
		t.Errorf("%+v %q", again.Member, again.Fingerprint())
	}
	// Every byte of a card is bound to the key.
	for i := range data {
		bad := append([]byte(nil), data...)
		bad[i] ^= 1
		if _, err := node.ParseCard(bad); err == nil {
			t.Errorf("a card with byte %d (%q) changed was accepted", i, data[i])
		}
	}
	for _, c := range [][3]string{
		{"", "https://a.example", "a:1"}, {"a/b", "https://a.example", "a:1"}, {"east", "http://a.example", "a:1"},
		{"east", "https://a.example/", "a:1"}, {"east", "https://a.example", "a"}, {"east", "https://u@a.example", "a:1"},
	} {
		if _, err := node.NewCard(c[0], c[1], c[2], key); err == nil {
			t.Errorf("%q makes a card", c)
		}
	}
	if _, err := node.NewConsortium("x.ward", time.Now(), 0, []*node.Card{card, card}); err == nil {
		t.Error("a consortium with one member twice")
	}
}

func FuzzParseCard(f *testing.F) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	card, err := node.NewCard("east", "https://ward.east.example", "ward.east.example:7443", key)
	if err != nil {
		f.Fatal(err)
	}
	data, err := card.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := node.ParseCard(b)
		if err != nil {
			return
		}
		if again, err := c.Bytes(); err != nil || string(again) != string(b) {
			t.Errorf("%q parses and becomes %q, %v", b, again, err)
		}
	})
}
