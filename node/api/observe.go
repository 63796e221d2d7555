package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/ward-health/ward/node/protocol"
)

// observed is a response whose outcome is kept for the log.
type observed struct {
	http.ResponseWriter
	status  int // 0 until the response begins
	code    string
	bytes   int64
	request *requestBody // nil if there is none
	early   bool         // the response began when some of the request was to come
}

func (o *observed) WriteHeader(status int) {
	if o.status == 0 {
		o.status = status
		if o.request.remains() {
			// So net/http neither waits for what comes before it sends the header,
			// nor takes it for the next request.
			o.early = true
			o.Header().Set("Connection", "close")
		}
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(p []byte) (int, error) {
	if o.status == 0 {
		o.WriteHeader(http.StatusOK)
	}
	n, err := o.ResponseWriter.Write(p)
	o.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// observe gives every request an id and an entry in the log and the metrics.
// What the client sent is in neither, the path included: only which route it
// took.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var id [8]byte
		_, _ = rand.Read(id[:]) // it does not fail
		h := w.Header()
		h.Set(protocol.HeaderRequestID, hex.EncodeToString(id[:]))
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		o := &observed{ResponseWriter: w}
		start := time.Now()
		s.meter.inFlight.Inc()
		defer func() {
			s.meter.inFlight.Dec()
			broken := recover()
			if broken != nil && broken != http.ErrAbortHandler {
				s.log.Error("request panicked", "request", h.Get(protocol.HeaderRequestID), "route", r.Pattern, "cause", fmt.Sprintf("%T", broken))
				if o.status == 0 {
					writeProblem(o, protocol.NewProblem(protocol.CodeInternal))
					broken = nil
				} else {
					broken = http.ErrAbortHandler
				}
			}
			s.record(o, r, time.Since(start))
			if broken != nil {
				panic(broken)
			}
			if o.early {
				protocol.Linger(o.ResponseWriter, o.request, s.opt.Limits.Linger, s.opt.Limits.LingerBytes)
			}
		}()
		control := http.NewResponseController(w)
		// A deadline that the last request on this connection left.
		err := control.SetWriteDeadline(time.Time{})
		if r.ContentLength != 0 {
			// It also bounds how long the server waits for the rest of a body that
			// nobody wants, after the response.
			err = errors.Join(err, control.SetReadDeadline(time.Now().Add(s.opt.Limits.Body)))
		}
		if err != nil {
			return // the connection has gone
		}
		if r.ContentLength != 0 {
			o.request = &requestBody{ReadCloser: r.Body, small: r.Header.Get("Expect") == "" && 0 < r.ContentLength && r.ContentLength <= smallBody}
			r = r.WithContext(r.Context()) // net/http keeps the body that it made
			r.Body = o.request
		}
		next.ServeHTTP(o, r)
	})
}

func (s *Server) record(o *observed, r *http.Request, took time.Duration) {
	route := r.Pattern
	if route == "" || route == "/" {
		route = "other"
	}
	status := o.status
	if status == 0 {
		status = http.StatusOK
	}
	s.meter.requests.WithLabelValues(route, fmt.Sprint(status)).Inc()
	s.meter.seconds.WithLabelValues(route).Observe(took.Seconds())
	s.log.Info("request", "request", o.Header().Get(protocol.HeaderRequestID), "route", route,
		"status", status, "code", o.code, "bytes", o.bytes, "ms", took.Milliseconds())
}

// describe says of an error what an operator can use: what kinds of error it
// is made of, and what the operating system said. Its text is left out, since
// it may name somebody.
func describe(err error) string {
	var kinds []string
	var visit func(error)
	visit = func(err error) {
		switch e := err.(type) {
		case syscall.Errno:
			kinds = append(kinds, e.Error())
		case *fs.PathError:
			kinds = append(kinds, e.Op)
		default:
			kinds = append(kinds, fmt.Sprintf("%T", err))
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				visit(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				visit(inner)
			}
		}
	}
	visit(err)
	return strings.Join(kinds, ": ")
}
