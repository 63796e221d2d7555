package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/protocol"
)

// access says who may take a route.
type access string

const (
	public   access = "public"   // anybody who can reach the port
	signed   access = "signed"   // as public; the body is signed by somebody known
	caller   access = "caller"   // a registered identity or a member
	member   access = "member"   // a member
	operator access = "operator" // this very member: whoever has its node key
)

// A route is one method of one path: how it is served and what the OpenAPI
// document says of it.
type route struct {
	method, path string
	id           string // of the operation
	summary      string
	access       access
	takes        string // media type of the request's body; "" for none
	takesWhat    string
	limit        int64  // of that body, in bytes; 0 for a stream
	gives        string // media type of the response
	givesWhat    string
	status       int   // 0 means 200
	stream       bool  // it may take as long as bytes move
	also         []int // further statuses, besides those that every route has
}

// A call is one request that was admitted.
type call struct {
	s   *Server
	who who
	w   http.ResponseWriter
	r   *http.Request
	ctx context.Context // ends with the request, or when it took too long

	// What grants the caller has, by owner, while a stream of events goes on;
	// nil for other requests, which look once.
	granted map[identity.Name][]*consent.Grant
	// For whom the caller acts, and for whom not, likewise.
	wards map[identity.Name]bool
}

type callKey struct{}

// add makes a route. The fields of I are the parameters, with the tags of huma.
func add[I any](s *Server, rt route, fn func(c *call, in *I) error) {
	op := s.operation(rt)
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		c, done, err := s.admit(rt, w, r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		defer done()
		next(huma.WithValue(ctx, callKey{}, c))
	}}
	huma.Register(s.doc, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		c := ctx.Value(callKey{}).(*call)
		return &huma.StreamResponse{Body: func(huma.Context) {
			if err := fn(c, in); err != nil {
				s.refuse(c.w, c.r, err)
			}
		}}, nil
	})
	s.describe(rt)
}

// admit finds out who calls and whether it may, before a byte of the body is
// read.
func (s *Server) admit(rt route, w http.ResponseWriter, r *http.Request) (c *call, done func(), err error) {
	who, err := s.authenticate(rt.access, r)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case rt.access == member && who.Member == nil,
		rt.access == operator && (who.Member == nil || who.Member.Name != s.b.Member()):
		return nil, nil, protocol.ErrDenied
	case rt.takes == "" && r.ContentLength != 0,
		rt.takes != "" && r.Header.Get("Content-Type") != rt.takes:
		return nil, nil, protocol.ErrMalformed
	case rt.limit > 0 && r.ContentLength > rt.limit:
		return nil, nil, protocol.ErrTooLarge
	}
	c = &call{s: s, who: who, w: w, r: r, ctx: r.Context()}
	if rt.stream {
		release, err := s.limits.stream(who, s.opt.Limits.Streams)
		return c, release, err
	}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(r.Context(), s.opt.Limits.Answer)
	return c, cancel, nil
}

// body reads the whole body of the request, at most limit bytes.
func (c *call) body(limit int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, limit))
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return nil, protocol.ErrTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", protocol.ErrMalformed, err)
	}
	// From here on a deadline would only cut short the making of the answer.
	if err := http.NewResponseController(c.w).SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return b, nil
}

// parse reads the body of the request into v.
func (c *call) parse(limit int64, v any) error {
	b, err := c.body(limit)
	if err != nil {
		return err
	}
	if err := chain.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", protocol.ErrMalformed, err)
	}
	return nil
}

// bytes answers with a body.
func (c *call) bytes(mediaType string, b []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	out := c.paced()
	_, _ = out.Write(b) // the client has gone: there is nobody to tell
	return nil
}

// cbor answers with the encoding of v.
func (c *call) cbor(v any) error {
	b, err := chain.Marshal(v)
	if err != nil {
		return err
	}
	return c.bytes(protocol.TypeCBOR, b)
}

// json answers with v in JSON.
func (c *call) json(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.bytes(protocol.TypeJSON, b)
}

// refuse answers with an error. The log learns its code, not its text, which
// may name somebody.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := protocol.ProblemOf(err)
	if p.Code == protocol.CodeInternal && r.Context().Err() == nil {
		s.log.Error("request failed", "request", w.Header().Get(protocol.HeaderRequestID), "route", r.Pattern, "cause", describe(err))
	}
	if o, ok := w.(*observed); ok {
		o.code = p.Code
		if o.status != 0 {
			// The response has begun. Only by breaking the connection does the
			// client learn that it is not whole.
			panic(http.ErrAbortHandler)
		}
	}
	if errors.Is(err, ward.ErrBusy) {
		w.Header().Set("Retry-After", "1")
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p *protocol.Problem) {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // it is strings and a number
	}
	w.Header().Set("Content-Type", protocol.TypeProblem)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // the client has gone: there is nobody to tell
}
