package remote_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/store"
)

// lying returns a node that has the right key and does what serve does.
func lying(t *testing.T, serve http.HandlerFunc) *remote.Node {
	t.Helper()
	config, err := protocol.ServerTLS(ledgertest.Key("east"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: serve, TLSConfig: config}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	n, err := remote.New("https://"+l.Addr().String(), remote.Options{
		Consortium: apitest.Founding(t), Member: "east", Signer: ledgertest.Key(reader),
		Retry: store.Retry{Attempts: 2, Base: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// calls are all that a node can be asked and answers from memory.
func calls(t *testing.T, n *remote.Node) map[string]func() error {
	ctx := t.Context()
	k := apitest.Founding(t)
	tx, err := chain.SignTx(chain.TxBody{Chain: k.Chain, Contract: "x", Method: "x", NotAfter: time.Now().UnixMilli()}, ledgertest.Key(reader))
	if err != nil {
		t.Fatal(err)
	}
	question := encode(t, query.Authority{})
	ob, err := store.Digest(ctx, nil, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func() error{
		"Submit":       func() error { _, err := n.Submit(ctx, tx, nil); return err },
		"Ask":          func() error { _, err := n.Ask(ctx, question); return err },
		"Receipt":      func() error { _, err := n.Receipt(ctx, 0); return err },
		"Sidecar":      func() error { _, err := n.Sidecar(ctx, 0); return err },
		"Consortium":   func() error { _, err := n.Consortium(ctx, 0); return err },
		"Checkpoint":   func() error { _, err := n.Checkpoint(ctx); return err },
		"PartialKeys":  func() error { _, err := n.PartialKeys(ctx, 0, nil); return err },
		"Answers":      func() error { _, err := n.Answers(ctx, 0, nil); return err },
		"Accessed":     func() error { _, err := n.Accessed(ctx, 0); return err },
		"Attest":       func() error { _, _, _, err := n.Attest(ctx, question); return err },
		"PartialKey":   func() error { _, err := n.PartialKey(ctx, 0); return err },
		"AnswerAccess": func() error { _, err := n.AnswerAccess(ctx, 0); return err },
		"SignHead":     func() error { _, err := n.SignHead(ctx, 0); return err },
		"Endorse":      func() error { _, err := n.Endorse(ctx, k); return err },
		"Put":          func() error { _, err := n.Blobs().Put(ctx, strings.NewReader("x")); return err },
		"Stat":         func() error { _, err := n.Blobs().Stat(ctx, ob.Ref()); return err },
		"Open":         func() error { _, err := n.Blobs().Open(ctx, ob.Ref()); return err },
	}
}

// TestAnswersThatAreNone: garbage of every type is an error, and none of those
// that say something about the chain.
func TestAnswersThatAreNone(t *testing.T) {
	for what, serve := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>welcome</html>") },
		"garbage of the right type": func(w http.ResponseWriter, r *http.Request) {
			drain(r)
			w.Header().Set("Content-Type", mediaTypeOf(r))
			_, _ = w.Write([]byte("\xff\x00garbage"))
		},
		"another page for what is missing": func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"a way to somewhere else": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.org/", http.StatusTemporaryRedirect)
		},
	} {
		n := lying(t, serve)
		for call, do := range calls(t, n) {
			err := do()
			if call == "Sidecar" && what == "garbage of the right type" || call == "SignHead" && what == "garbage of the right type" {
				continue // any bytes may be one: whoever asked checks
			}
			if err == nil || errors.Is(err, ward.ErrNotFound) || errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s for %s: %v", what, call, err)
			}
		}
	}
}

func drain(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

func mediaTypeOf(r *http.Request) string {
	switch p := r.URL.Path; {
	case p == protocol.PathCheckpoint || p == protocol.PathBlobs:
		return protocol.TypeNote
	case strings.HasSuffix(p, "/info"):
		return protocol.TypeJSON
	case strings.HasSuffix(p, "/sidecar") || strings.HasSuffix(p, "/signature"):
		return protocol.TypeBytes
	}
	return protocol.TypeCBOR
}

// TestRedirectsAreNotFollowed: a node does not send its callers, and what they
// carry, elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	n := lying(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	for call, do := range calls(t, n) {
		if err := do(); err == nil {
			t.Errorf("%s succeeds", call)
		}
	}
}

// TestAnswersWithoutEnd: no answer fills the memory of the caller.
func TestAnswersWithoutEnd(t *testing.T) {
	n := lying(t, func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		w.Header().Set("Content-Type", mediaTypeOf(r))
		page := make([]byte, 1<<20)
		for {
			if _, err := w.Write(page); err != nil {
				return
			}
		}
	})
	for call, do := range calls(t, n) {
		switch call {
		case "Ask", "Consortium", "PartialKeys", "Answers", "Accessed", "Attest":
			if testing.Short() {
				continue // they read 64 MiB
			}
		}
		err := do()
		want := protocol.ErrTooLarge
		if call == "Submit" {
			want = ward.ErrUnknown // it is on the chain, perhaps
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", call, err, want)
		}
	}
}

// TestPutThatTheNodeNamesOtherwise: a node that kept something else is found
// out at once.
func TestPutThatTheNodeNamesOtherwise(t *testing.T) {
	n := lying(t, func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		ob, _ := store.Digest(r.Context(), nil, strings.NewReader("something else"))
		w.Header().Set("Content-Type", protocol.TypeNote)
		_, _ = io.WriteString(w, ob.Ref().String())
	})
	var corrupt *store.CorruptError
	if _, err := n.Blobs().Put(t.Context(), strings.NewReader("x")); !errors.As(err, &corrupt) {
		t.Fatalf("%v, want a CorruptError", err)
	}
}

// TestPutThatTheNodeDoesNotRead: an answer before the blob was sent is not
// taken for success.
func TestPutThatTheNodeDoesNotRead(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 40*store.LeafSize)
	ob, err := store.Digest(t.Context(), nil, bytes.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	n := lying(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", protocol.TypeNote)
		_, _ = io.WriteString(w, ob.Ref().String())
	})
	if _, err := n.Blobs().Put(t.Context(), bytes.NewReader(big)); err == nil {
		t.Fatal("Put succeeds")
	}
}

// TestRefusalsThatClaimMore: a problem cannot stand for an error of the caller's
// own, and a code of a contract is told from those of the node.
func TestRefusalsThatClaimMore(t *testing.T) {
	for body, want := range map[string]error{
		`{"status":409,"code":"consent/revoked"}`:  consent.ErrRevoked,
		`{"status":409,"code":"node/erased"}`:      ward.ErrErased,
		`{"status":409,"code":"NODE/erased"}`:      ward.ErrUnavailable,
		`{"status":200,"code":"consent/revoked"}`:  ward.ErrUnavailable,
		`{"status":409,"code":"node/never-heard"}`: ward.ErrUnavailable,
		`garbage`: ward.ErrUnavailable,
	} {
		n := lying(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", protocol.TypeProblem)
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, body)
		})
		if _, err := n.Receipt(t.Context(), 0); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
}

// TestTokenIsNotSentTwice: what the transport sends again, over a connection
// that broke, is signed anew.
func TestRefusedAsReplayedIsSignedAnew(t *testing.T) {
	var tokens []string
	n := lying(t, func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", protocol.TypeProblem)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"status":401,"code":"auth/replayed"}`)
	})
	if _, err := n.Receipt(t.Context(), 0); !errors.Is(err, ward.ErrUnauthorized) {
		t.Fatal(err)
	}
	if len(tokens) != 2 || tokens[0] == tokens[1] {
		t.Fatalf("%d requests", len(tokens))
	}
}

func TestNewRefuses(t *testing.T) {
	k := apitest.Founding(t)
	for _, url := range []string{"http://east.example", "east.example", "https://", "https://a@east.example", "https://east.example/?x", ":"} {
		if _, err := remote.New(url, remote.Options{Consortium: k, Member: "east"}); err == nil {
			t.Errorf("URL %q is taken", url)
		}
	}
	if _, err := remote.New("", remote.Options{Consortium: k, Member: "nobody"}); err == nil {
		t.Error("a member that there is not is taken")
	}
	if _, err := remote.New("", remote.Options{Member: "east"}); err == nil {
		t.Error("no consortium file is taken")
	}
	if _, err := remote.New("", remote.Options{Consortium: k, Member: "east"}); err != nil {
		t.Errorf("the URL of the consortium file: %v", err)
	}
}
