package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/protocol"
)

// serve serves the API until ctx is done: of a sealed node that it lives and is
// sealed, and everything once it is unlocked.
func (n *Node) serve(ctx context.Context) error {
	select {
	case <-n.unsealed:
	default:
		if err := n.serveSealed(ctx); err != nil || ctx.Err() != nil {
			return errors.Join(err, n.cfg.API.Close())
		}
	}
	opt := n.cfg.Server
	opt.Key, opt.Log, opt.Clock = n.up.Load().key, n.cfg.Log, n.cfg.Clock
	s, err := api.New(n, opt)
	if err != nil {
		return errors.Join(err, n.cfg.API.Close())
	}
	return s.Serve(ctx, n.cfg.API)
}

// serveSealed serves until the node is unlocked. The node key is in the vault, so
// that the certificate is of a key that nobody pins: only who asks about the
// health of the process gets an answer that he believes.
func (n *Node) serveSealed(ctx context.Context) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	config, err := protocol.ServerTLS(key)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(n.Status())
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "node is sealed", http.StatusServiceUnavailable)
	})
	server := &http.Server{
		Handler: heard(mux), TLSConfig: config, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false)
	lent := &lentListener{Listener: n.cfg.API}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(lent, "", "") }()
	select {
	case err := <-done:
		return fmt.Errorf("serve while sealed: %w", err)
	case <-n.unsealed:
	case <-ctx.Done():
	}
	lent.wake(time.Now())
	err = server.Close()
	<-done
	lent.wake(time.Time{})
	return err
}

// heard sends next's answer, which reads nothing of a body, so that the client hears
// it: see protocol.Linger.
func heard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close") // so that net/http does not wait for the body before it sends the answer
		next.ServeHTTP(w, r)
		protocol.Linger(w, r.Body, protocol.LingerTime, protocol.LingerBytes)
	})
}

// A lentListener does not close when the server that borrowed it does.
type lentListener struct{ net.Listener }

func (l *lentListener) Close() error { return nil }

// wake ends Accept at a time.
func (l *lentListener) wake(at time.Time) {
	if d, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(at) // a listener without deadlines is ended by closing it
	}
}
