package api

import (
	"net/http"
	"net/netip"
	"reflect"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ward-health/ward/node/protocol"
)

var problemType = reflect.TypeFor[protocol.Problem]()

// watchRoutes adds what tells how the node is doing.
func (s *Server) watchRoutes() {
	plain := func(path, id, summary string, ask func() error) {
		add(s, route{
			method: http.MethodGet, path: path, id: id, access: public,
			summary: summary, gives: protocol.TypeNote, givesWhat: "ok", also: []int{http.StatusServiceUnavailable},
		}, func(c *call, _ *none) error {
			if err := ask(); err != nil {
				// Why not is in the log and in the status; here it could tell
				// strangers about the inside.
				c.w.Header().Set("Content-Type", protocol.TypeNote)
				c.w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = c.w.Write([]byte("not ok\n")) // the client has gone: there is nobody to tell
				return nil
			}
			return c.bytes(protocol.TypeNote, []byte("ok\n"))
		})
	}
	plain(protocol.PathHealth, "health", "Say whether the process does its work", s.b.Live)
	plain(protocol.PathReady, "ready", "Say whether clients can use the node", s.b.Ready)
	add(s, route{
		method: http.MethodGet, path: protocol.PathStatus, id: "status", access: caller,
		summary: "Say how the node is doing", gives: protocol.TypeJSON, givesWhat: "Status",
	}, func(c *call, _ *none) error { return c.json(s.b.Status()) })

	scrape := promhttp.HandlerFor(s.opt.Registry, promhttp.HandlerOpts{
		DisableCompression: true, MaxRequestsInFlight: 4, ErrorHandling: promhttp.HTTPErrorOnError,
	})
	add(s, route{
		method: http.MethodGet, path: protocol.PathMetrics, id: "metrics", access: public,
		summary: "Get metrics for Prometheus. For the networks that the operator listed, and members",
		gives:   protocol.TypeNote, givesWhat: "Prometheus text format",
	}, func(c *call, _ *none) error {
		if !s.mayScrape(c.r) {
			return protocol.ErrDenied
		}
		scrape.ServeHTTP(c.w, c.r)
		return nil
	})
}

// mayScrape reports whether a request may read the metrics.
func (s *Server) mayScrape(r *http.Request) bool {
	if key, ok := protocol.PeerKey(r.TLS); ok && s.b.Members().MemberByKey(key) != nil {
		return true
	}
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return true // a Unix socket, which has permissions of its own
	}
	ip := a.Addr().Unmap()
	if s.opt.MetricsFrom == nil {
		return ip.IsLoopback()
	}
	for _, p := range s.opt.MetricsFrom {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
