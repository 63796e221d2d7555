package admin

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/node/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An operator has a node and its socket.
type operator struct {
	*Client
	dir     string
	log     bytes.Buffer
	stopped chan struct{}
}

// alone starts the sealed node of a consortium of one.
func alone(t *testing.T) *operator {
	t.Helper()
	base, err := os.MkdirTemp("", "ward-admin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	o := &operator{dir: filepath.Join(base, strings.Repeat("a-long-name/", 10)), stopped: make(chan struct{})}
	card, err := node.Init(node.InitOptions{
		Dir: o.dir, Member: "east", URL: "https://east.example", Peer: "127.0.0.1:1",
		Passphrase: []byte("open sesame"), Vault: vault.Options{WorkFactor: 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	k, err := node.NewConsortium("alone.ward", time.Now().Add(-time.Second), 0, []*node.Card{card})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(t.Context(), node.Config{Dir: o.dir, Member: "east", Founding: k, AskCeremony: true, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	level := new(slog.LevelVar)
	s := New(Options{Node: n, Level: level, Stop: func() { close(o.stopped) }, Log: slog.New(slog.NewTextHandler(&o.log, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- n.Run(ctx) }()
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, <-ended, n.Close()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(Socket(o.dir)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	})
	o.Client = NewClient(o.dir)
	return o
}

// until asks for the status until it is as wanted.
func (o *operator) until(t *testing.T, ok func(*Status) bool) *Status {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		s, err := o.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("status stays %+v", s)
		}
	}
}

// TestOperatorTakesANodeIntoService from sealed to ready, in a directory whose
// name is longer than a socket's may be.
func TestOperatorTakesANodeIntoService(t *testing.T) {
	ctx, o := t.Context(), alone(t)
	if info, err := os.Stat(Socket(o.dir)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("mode of the socket: %v, %v", info, err)
	}
	if s, err := o.Status(ctx); err != nil || s.State != Sealed || s.PID != os.Getpid() {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := o.OpenCeremony(ctx, DefaultWindows()); !errors.Is(err, ward.ErrNotReady) {
		t.Errorf("a sealed node opens a ceremony: %v", err)
	}
	if err := o.Unlock(ctx, []byte("open barley")); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if err := o.Unlock(ctx, []byte("open sesame")); err != nil {
		t.Fatal(err)
	}
	o.until(t, func(s *Status) bool { return s.State == NoKeys })

	if _, err := o.Ceremony(ctx); !errors.Is(err, ward.ErrNotFound) {
		t.Errorf("no ceremony yet: %v", err)
	}
	c, err := o.OpenCeremony(ctx, [4]uint64{60_000, 60_000, 50, 60_000})
	if err != nil || c.Number != 1 || !c.Accepted || c.Refresh || c.KeyThreshold != 1 || len(c.Roster) != 1 || c.Windows[2] != 50 {
		t.Fatalf("%+v, %v", c, err)
	}
	s := o.until(t, func(s *Status) bool { return s.State == Ready && s.Ceremony == "completed" })
	if len(s.Holders) != 1 || s.Generation != 1 || s.Epoch != 1 || s.Asks != nil {
		t.Errorf("%+v", s)
	}
	if err := o.AcceptCeremony(ctx, chain.Hash{1}); !errors.Is(err, ward.ErrNotFound) {
		t.Errorf("accepted what there is not: %v", err)
	}
	if _, err := o.OpenCeremony(ctx, [4]uint64{}); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("ceremony without time: %v", err)
	}

	// The next file of the same members, and one that does not follow.
	k, err := o.Consortium(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Propose(ctx, k); !errors.Is(err, chain.ErrConsortium) {
		t.Errorf("the file in force is proposed again: %v", err)
	}
	next, err := node.NextFile(k)
	if err != nil {
		t.Fatal(err)
	}
	next.Members[0].URL = "https://moved.example"
	if e, err := o.Propose(ctx, next); err != nil || !e.InForce {
		t.Errorf("%+v, %v", e, err)
	}

	if err := o.SetLogLevel(ctx, "debug"); err != nil {
		t.Error(err)
	}
	if err := o.SetLogLevel(ctx, "loud"); err == nil {
		t.Error("there is no such level")
	}
	if s, err := o.Status(ctx); err != nil || s.LogLevel != "DEBUG" || s.Epoch != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	register(t, o, k.Chain)
	if err := o.Stop(ctx); err != nil {
		t.Error(err)
	}
	<-o.stopped
	if log := o.log.String(); strings.Contains(log, "sesame") || strings.Contains(log, "barley") || strings.Contains(log, "ann@") {
		t.Errorf("the log has a secret or a name:\n%s", log)
	}
}

// register puts somebody on the chain in the member's name.
func register(t *testing.T, o *operator, chainID string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public, err := node.PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	args := func(name identity.Name) []byte {
		b, err := chain.Marshal(identity.RegisterArgs{
			Name: name, Key: public,
			Possession: ed25519.Sign(key, identity.PossessionStatement(chainID, identity.MethodRegister, name, public)),
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r, err := o.Submit(t.Context(), identity.MethodRegister, args("ann@east"))
	if err != nil || r.Result.Err() != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	k, err := o.Consortium(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(k); err != nil {
		t.Error(err)
	}
	if _, err := o.Submit(t.Context(), identity.MethodRegister, args("ann@west")); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("registered at another member: %v", err)
	}
	if _, err := o.Submit(t.Context(), strings.Repeat("x", 999), nil); err == nil {
		t.Error("a method with such a name")
	}
	// Of another contract: it answers to the contract, unless it is none of the
	// operator's.
	if _, err := o.SubmitTo(t.Context(), workflow.Contract, workflow.MethodDefine, nil); !errors.Is(err, workflow.ErrMalformed) {
		t.Errorf("a definition that is none: %v", err)
	}
	if _, err := o.SubmitTo(t.Context(), consent.Contract, consent.MethodDefaults, nil); !errors.Is(err, consent.ErrMalformed) {
		t.Errorf("defaults that are none: %v", err)
	}
	if _, err := o.SubmitTo(t.Context(), consent.Contract, consent.MethodAccept, nil); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("a word on shares: %v", err)
	}
	for _, other := range []string{"", "consent", "record", "keys", chain.SystemContract} {
		if _, err := o.SubmitTo(t.Context(), other, "put", nil); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("contract %q: %v", other, err)
		}
	}
}

func TestNoNodeThere(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("long/", 40))} {
		_, err := NewClient(dir).Status(t.Context())
		if !errors.Is(err, ward.ErrUnavailable) || strings.Contains(err.Error(), "http://") {
			t.Errorf("%v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewClient(t.TempDir()).Status(ctx); err == nil {
		t.Error("a call that was cancelled")
	}
}

// TestGarbageOnTheSocket is answered, and nothing else happens.
func TestGarbageOnTheSocket(t *testing.T) {
	o := alone(t)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, o.dir) }}}
	for body, want := range map[string]int{
		"":                             http.StatusBadRequest,
		"{":                            http.StatusBadRequest,
		`{"passphrase":"!"}`:           http.StatusBadRequest,
		`{"password":"eA=="}`:          http.StatusBadRequest,
		`{"passphrase":"eA=="}`:        http.StatusConflict,
		strings.Repeat(" ", maxBody+1): http.StatusBadRequest,
	} {
		resp, err := client.Post("http://node/v1/unlock", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%.40q: status %d, want %d", body, resp.StatusCode, want)
		}
	}
	// What is no node, and what hangs up.
	dir := t.TempDir()
	other, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	answers := []string{"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nno\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno\n", ""}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, a := range answers {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			conn.Write([]byte(a))
			conn.Close()
		}
	}()
	for range answers {
		if _, err := NewClient(dir).Status(t.Context()); !errors.Is(err, ward.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
	<-done
	other.Close()
}

func FuzzTrouble(f *testing.F) {
	f.Add("node/no-quorum", "x", 503)
	f.Add("consent/revoked", "", 409)
	f.Add("", "", 0)
	f.Fuzz(func(t *testing.T, code, text string, status int) {
		if err := (trouble{code, text}).err(status); err == nil || code != "" && err.Error() != text {
			t.Errorf("%v", err)
		}
	})
}
