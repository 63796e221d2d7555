package api

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ward-health/ward/node/protocol"
)

// Options set up a Server. Zero fields mean the default.
type Options struct {
	// Key is the node key, which clients pin. Required.
	Key crypto.Signer
	// Log receives one line per request, without a path, an address, a name or
	// a word of what was sent; nil discards it.
	Log *slog.Logger
	// Clock is time.Now unless a test says otherwise.
	Clock func() time.Time
	// Limits bound what callers may ask for.
	Limits Limits
	// MetricsFrom lists the networks that may read /metrics without proving
	// who they are, besides members. nil means this machine only.
	MetricsFrom []netip.Prefix
	// Registry receives the server's metrics and is what /metrics shows. nil
	// means a new one.
	Registry *prometheus.Registry
}

// Limits bound what callers may ask for. Zero fields mean the default.
type Limits struct {
	// Connections that are open at once; more wait. Default 4096.
	Connections int
	// Caller is the rate for one registered identity, Member that for a
	// member, Anonymous that for one address whose caller is not known.
	// Defaults: 50 a second in bursts of 200, 2000 in bursts of 4000, 100
	// in bursts of 400.
	Caller, Member, Anonymous Rate
	// Streams is how many uploads, downloads, exports and event streams one
	// caller may have open. Default 16 for identities, 16 times that for
	// members.
	Streams int
	// Blob is the largest blob in bytes that is taken. Default 64 GiB.
	Blob int64
	// Unused and UnusedBytes are how many blobs, and of how many bytes together,
	// one identity may have put here that no record refers to. A put begins
	// while it has less, so it may end with a few blobs more. One too many is
	// ward.ErrBusy while what is under way may make room, else ward.ErrQuota.
	// Defaults 1024 and as much as the largest blob.
	Unused      int
	UnusedBytes int64
	// Header is how long the header of a request may take to arrive, Body how
	// long a small body may, Answer how long an answer may be in the making.
	// Defaults 10, 30 and 75 seconds.
	Header, Body, Answer time.Duration
	// Pace is the least bytes per second of a stream, after the first Body
	// seconds. Default 16 KiB.
	Pace int64
	// Beat is how often an event stream says that it is alive, and looks whether
	// its caller is still who it was. Default 10 seconds.
	Beat time.Duration
	// Linger and LingerBytes are how long the node goes on to read, and drop,
	// what a client sends that was refused already, and how much of it at most:
	// until the client has seen the answer. Defaults 30 seconds and 64 MiB.
	Linger      time.Duration
	LingerBytes int64
	// Grace is how long requests that are under way may take to end when the
	// server stops. Default 15 seconds.
	Grace time.Duration
}

// A Rate is how many requests a second are served in the long run, and how
// many at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

func (l *Limits) fill() {
	or(&l.Connections, 4096)
	or(&l.Caller, Rate{50, 200})
	or(&l.Member, Rate{2000, 4000})
	or(&l.Anonymous, Rate{100, 400})
	or(&l.Streams, 16)
	or(&l.Blob, 64<<30)
	or(&l.Unused, 1024)
	or(&l.UnusedBytes, l.Blob)
	or(&l.Header, 10*time.Second)
	or(&l.Body, 30*time.Second)
	or(&l.Answer, 75*time.Second)
	or(&l.Pace, 16<<10)
	or(&l.Beat, 10*time.Second)
	or(&l.Linger, protocol.LingerTime)
	or(&l.LingerBytes, protocol.LingerBytes)
	or(&l.Grace, 15*time.Second)
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// A Server serves one node. It is safe for concurrent use.
type Server struct {
	b      Backend
	opt    Options
	now    func() time.Time
	log    *slog.Logger
	mux    *http.ServeMux
	doc    huma.API
	limits limits
	unused unused
	seen   replays
	feed   feed
	meter  *metrics

	stop     chan struct{} // closed when streams that would not end by themselves must
	stopOnce sync.Once
}

// New returns a server for a node. Serve starts it.
func New(b Backend, opt Options) (*Server, error) {
	if opt.Key == nil {
		return nil, errors.New("api: no node key")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Registry == nil {
		opt.Registry = prometheus.NewRegistry()
	}
	opt.Limits.fill()
	s := &Server{
		b: b, opt: opt, now: opt.Clock, log: opt.Log,
		mux: http.NewServeMux(), stop: make(chan struct{}),
	}
	s.feed.b = b
	meter, err := newMetrics(opt.Registry, b)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s.meter = meter
	s.doc = humago.New(s.mux, s.config())
	s.clientRoutes()
	s.memberRoutes()
	s.blobRoutes()
	s.tileRoutes()
	s.eventRoute()
	s.watchRoutes()
	if err := s.serveOpenAPI(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, protocol.NewProblem(protocol.CodeNoRoute))
	})
	return s, nil
}

// Handler returns what Serve serves, for a listener of the caller's. Without
// TLS no member can prove who it is.
func (s *Server) Handler() http.Handler { return s.observe(s.mux) }

// Serve serves on l with TLS until ctx is done; then it takes no new requests,
// gives those under way Limits.Grace to end, and returns nil. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	config, err := protocol.ServerTLS(s.opt.Key)
	if err != nil {
		return errors.Join(fmt.Errorf("api: %w", err), l.Close())
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // and nothing else: see docs/adr
	server := &http.Server{
		Handler:           s.Handler(),
		TLSConfig:         config,
		ReadHeaderTimeout: s.opt.Limits.Header,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		// net/http logs addresses, and what a client sent that is no HTTP.
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return base },
		Protocols:   protocols,
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(newLimitedListener(l, s.opt.Limits.Connections), "", "") }()

	select {
	case err := <-done:
		return fmt.Errorf("api: %w", err)
	case <-ctx.Done():
	}
	s.stopOnce.Do(func() { close(s.stop) })
	grace, end := context.WithTimeout(base, s.opt.Limits.Grace)
	defer end()
	if server.Shutdown(grace) != nil {
		cancel()           // the answers still in the making are given up
		_ = server.Close() // its only error is that of the listener, which is closed
	}
	<-done
	return nil
}

// Registry returns what /metrics shows, for metrics of the node's own.
func (s *Server) Registry() *prometheus.Registry { return s.opt.Registry }
