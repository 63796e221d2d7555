package api

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what the server counts. Their labels are routes, statuses and
// codes: never a name, a key, an address or a type of record.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  *prometheus.CounterVec
	stored   prometheus.Counter

	emergencies prometheus.Counter
	streams     prometheus.Gauge
}

func newMetrics(r *prometheus.Registry, b Backend) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ward_http_requests_total", Help: "Requests by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ward_http_request_seconds", Help: "Time from a request to the end of its response.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ward_http_requests_in_flight", Help: "Requests under way.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ward_http_callers_refused_total", Help: "Requests without a good proof of who makes them, by why.",
		}, []string{"code"}),
		stored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ward_blob_received_bytes_total", Help: "Bytes of blobs that were put.",
		}),
		emergencies: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ward_emergency_looks_total", Help: "Records and listings shown to emergency clinicians who have no part in them.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ward_event_streams", Help: "Event streams that are open.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.requests, m.seconds, m.inFlight, m.refused, m.stored, m.emergencies, m.streams, newStatusCollector(b),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// statusCollector shows the node's own Status, asked for once per scrape.
type statusCollector struct {
	b     Backend
	lines []statusLine
}

type statusLine struct {
	desc *prometheus.Desc
	of   func(*Status) float64
}

func newStatusCollector(b Backend) *statusCollector {
	line := func(name, help string, of func(*Status) float64) statusLine {
		return statusLine{prometheus.NewDesc("ward_"+name, help, nil, nil), of}
	}
	return &statusCollector{b, []statusLine{
		line("chain_height", "Height of the last block that was executed.", func(s *Status) float64 { return float64(s.Height) }),
		line("chain_certified_height", "Height of the newest certified block.", func(s *Status) float64 { return float64(s.Certified) }),
		line("chain_transactions", "Transactions on the chain.", func(s *Status) float64 { return float64(s.Size) }),
		line("chain_leader", "1 if this node leads.", func(s *Status) float64 { return flag(s.Leader == s.Member && s.Leader != "") }),
		line("chain_has_leader", "1 if a leader is known.", func(s *Status) float64 { return flag(s.Leader != "") }),
		line("node_sealed", "1 while the node's keys are locked.", func(s *Status) float64 { return flag(s.Sealed) }),
		line("node_fresh", "1 once the node has caught up since it started.", func(s *Status) float64 { return flag(s.Fresh) }),
		line("node_read_only", "1 while the disk is nearly full.", func(s *Status) float64 { return flag(s.ReadOnly) }),
		line("keys_generation", "Generation of the key shares in force.", func(s *Status) float64 { return float64(s.Generation) }),
		line("grant_shares", "Shares of grants in the vault.", func(s *Status) float64 { return float64(s.Shares) }),
		line("blobs", "Blobs in the node's own store.", func(s *Status) float64 { return float64(s.Blobs) }),
		line("blob_bytes", "Bytes of those blobs.", func(s *Status) float64 { return float64(s.BlobBytes) }),
	}}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, l := range c.lines {
		out <- l.desc
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(out chan<- prometheus.Metric) {
	status := c.b.Status()
	for _, l := range c.lines {
		out <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, l.of(&status))
	}
}
