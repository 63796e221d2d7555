package admin

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/protocol"
)

// Options set up a Server.
type Options struct {
	Node *node.Node // required
	// Level is what the node logs from; nil means that it cannot be changed.
	Level *slog.LevelVar
	// Stop ends the node in order; nil means that the socket cannot do that.
	Stop func()
	// Log is told every decision, without what is secret; nil discards it.
	Log *slog.Logger
	// Clock is time.Now unless a test says otherwise.
	Clock func() time.Time
}

// A Server serves the operator of one node.
type Server struct {
	opt     Options
	started time.Time
	mux     *http.ServeMux
}

// New returns a server. Serve starts it.
func New(opt Options) *Server {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	s := &Server{opt: opt, started: opt.Clock().UTC().Truncate(time.Second), mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /v1/status", s.status)
	s.mux.HandleFunc("GET /v1/consortium", s.consortium)
	s.mux.HandleFunc("GET /v1/ceremony", s.proposal)
	handle(s, "POST /v1/unlock", s.unlock)
	handle(s, "POST /v1/ceremony/open", s.open)
	handle(s, "POST /v1/ceremony/accept", s.accept)
	handle(s, "POST /v1/consortium/propose", s.propose)
	handle(s, "POST /v1/transactions", s.submit)
	handle(s, "POST /v1/log-level", s.level)
	handle(s, "POST /v1/stop", s.stop)
	return s
}

// Serve serves on l, which Listen made, until ctx is done, and closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // its only error is that of the listener, which is closed
	}
	<-done
	return nil
}

// handle adds a route with a JSON body.
func handle[In, Out any](s *Server, pattern string, do func(ctx context.Context, in In) (Out, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			fail(w, fmt.Errorf("%w: %w", protocol.ErrMalformed, err))
			return
		}
		out, err := do(r.Context(), in)
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, out)
	})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(marshal(v)) // the operator has gone: there is nobody to tell
}

func fail(w http.ResponseWriter, err error) {
	t := troubleOf(err)
	status := http.StatusInternalServerError
	if p := protocol.NewProblem(t.Code); p.Code == t.Code {
		status = p.Status
	} else if t.Code != protocol.CodeInternal {
		status = http.StatusConflict
	}
	reply(w, status, t)
}

// none is the answer where there is nothing to tell.
type none struct{}

func (s *Server) unlock(ctx context.Context, in unlockRequest) (none, error) {
	defer clear(in.Passphrase)
	// Opening a replica that must be repaired waits for other members, perhaps
	// for longer than the operator: let it.
	err := s.opt.Node.Unlock(context.WithoutCancel(ctx), in.Passphrase)
	s.decided(err, "unlock")
	return none{}, err
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	n := s.opt.Node
	st := Status{Status: n.Status(), PID: os.Getpid(), Started: s.started}
	if s.opt.Level != nil {
		st.LogLevel = s.opt.Level.Level().String()
	}
	k := n.Members()
	st.Epoch, st.Members, st.Threshold, st.Certifiers = k.Epoch, len(k.Members), k.KeyThreshold, k.CheckpointThreshold
	st.State, st.Why = stateOf(n, st)
	if p, err := n.Proposal(r.Context()); err == nil {
		if p.Involved && !p.Accepted {
			st.Asks = ceremonyOf(p)
		}
		if a, err := n.Authority(r.Context()); err == nil && a != nil {
			for _, i := range a.Holders {
				if i > 0 && int(i) <= len(a.Members) {
					st.Holders = append(st.Holders, a.Members[i-1])
				}
			}
		}
	}
	reply(w, http.StatusOK, st)
}

// stateOf says how far the node is.
func stateOf(n *node.Node, st Status) (State, string) {
	if st.Sealed {
		return Sealed, ""
	}
	if err := n.Live(); err != nil {
		return Failed, err.Error()
	}
	err := n.Ready()
	switch {
	case err == nil:
		return Ready, ""
	case errors.Is(err, ward.ErrReadOnly):
		return ReadOnly, err.Error()
	case st.Leader == "":
		return NoQuorum, err.Error()
	case st.Fresh && len(n.Members().ExtractionKey) == 0:
		return NoKeys, err.Error()
	}
	return Starting, err.Error()
}

func (s *Server) consortium(w http.ResponseWriter, _ *http.Request) {
	b, err := s.opt.Node.Members().Bytes()
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // the operator has gone: there is nobody to tell
}

func (s *Server) proposal(w http.ResponseWriter, r *http.Request) {
	p, err := s.opt.Node.Proposal(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, ceremonyOf(p))
}

func ceremonyOf(p *node.Proposal) *Ceremony {
	c := &Ceremony{
		Number: p.Ceremony.Number, State: node.StateOf(p.Ceremony, p.Handover), Hash: p.Hash, Roster: p.Ceremony.Roster,
		Grants: p.Ceremony.Grants, Posts: p.Ceremony.Posts, Involved: p.Involved, Accepted: p.Accepted,
	}
	if p.About == nil {
		return c
	}
	c.Generation, c.Refresh = p.About.Generation, len(p.About.Old) > 0
	for i, w := range [...]dkg.Window{p.About.Join, p.About.Deal, p.About.Complain, p.About.Confirm} {
		c.Windows[i] = w.Milliseconds
	}
	for _, secret := range p.About.Secrets {
		switch secret.Use {
		case dkg.UseIdentity:
			c.KeyThreshold = secret.Threshold
		case dkg.UseCheckpoint:
			c.CheckpointThreshold = secret.Threshold
		}
	}
	if h := p.Handover; h.Has(p.About) {
		if p.About.Secrets[0].Use == dkg.UseGrant {
			c.State = node.StateOf(&keys.Ceremony{State: keys.Handing}, h)
		}
		c.Part, c.Moved = h.Parts+1, h.Moved
		if !p.Ceremony.Runs() && p.Ceremony.State != keys.Aborted {
			c.Part-- // it is done, and the next one has not begun
		}
		c.KeyThreshold, c.CheckpointThreshold = int(h.Keys), int(h.Certify)
	}
	return c
}

// open opens a ceremony. Whoever proposes one has accepted it.
func (s *Server) open(ctx context.Context, in openRequest) (*Ceremony, error) {
	var windows [4]keys.Window
	for i, ms := range in.Windows {
		windows[i].Milliseconds = ms
	}
	p, err := s.opened(ctx, windows)
	if err != nil {
		s.decided(err, "open key ceremony")
		return nil, err
	}
	s.decided(nil, "open key ceremony", "ceremony", p.Ceremony.Number, "hash", p.Hash)
	return ceremonyOf(p), nil
}

func (s *Server) opened(ctx context.Context, windows [4]keys.Window) (*node.Proposal, error) {
	cer, err := s.opt.Node.OpenCeremony(ctx, windows)
	if err != nil {
		return nil, err
	}
	p, err := s.opt.Node.Proposal(ctx)
	if err != nil {
		return nil, err
	}
	if p.Ceremony.Number != cer.Number || p.About == nil {
		return nil, fmt.Errorf("key ceremony %d is open, and not accepted here yet: %w", cer.Number, ward.ErrStale)
	}
	p.Accepted = true
	return p, s.opt.Node.AcceptCeremony(ctx, p.Hash)
}

func (s *Server) accept(ctx context.Context, in acceptRequest) (none, error) {
	err := s.opt.Node.AcceptCeremony(ctx, in.Hash)
	s.decided(err, "accept key ceremony", "hash", in.Hash)
	return none{}, err
}

// propose approves a consortium file for this member, and puts it in force if
// enough members have.
func (s *Server) propose(ctx context.Context, in proposeRequest) (*Endorsed, error) {
	next, err := chain.ParseConsortium(in.File)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", protocol.ErrMalformed, err)
	}
	if have := s.opt.Node.Members(); next.Chain != have.Chain || next.Epoch != have.Epoch+1 {
		return nil, fmt.Errorf("consortium file of epoch %d does not follow the one in force, of epoch %d: %w", next.Epoch, have.Epoch, chain.ErrConsortium)
	}
	out := &Endorsed{Hash: sha256.Sum256(in.File)}
	err = s.opt.Node.Approve(out.Hash)
	s.decided(err, "approve consortium file", "epoch", next.Epoch, "hash", out.Hash)
	if err != nil {
		return nil, err
	}
	_, err = s.opt.Node.ProposeConsortium(ctx, next)
	if errors.Is(err, ward.ErrNoQuorum) || errors.Is(err, ward.ErrUnauthorized) {
		out.Why = err.Error() // the other operators have yet to approve
		return out, nil
	}
	out.InForce = err == nil
	return out, err
}

// signable reports whether an operator signs such a transaction in the member's
// name. What members say of their shares is for the node alone.
func signable(contract, method string) bool {
	switch contract {
	case identity.Contract, workflow.Contract:
		return true
	case consent.Contract:
		return method == consent.MethodDefaults
	}
	return false
}

// submit signs a transaction in the member's name.
func (s *Server) submit(ctx context.Context, in submitRequest) (*submitted, error) {
	if !signable(in.Contract, in.Method) {
		return nil, fmt.Errorf("contract %q, method %q: %w", in.Contract, in.Method, protocol.ErrMalformed)
	}
	key, err := s.opt.Node.Key()
	if err != nil {
		return nil, err
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: s.opt.Node.Members().Chain, Contract: in.Contract, Method: in.Method, Args: in.Args,
		NotAfter: s.opt.Clock().Add(10 * time.Minute).UnixMilli(),
	}, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", protocol.ErrMalformed, err)
	}
	r, err := s.opt.Node.Submit(ctx, tx, nil)
	if err == nil {
		err = r.Result.Err()
	}
	s.decided(err, "sign as member", "contract", in.Contract, "method", in.Method)
	if err != nil {
		return nil, err
	}
	b, err := r.Bytes()
	return &submitted{b}, err
}

func (s *Server) level(_ context.Context, in levelRequest) (none, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(in.Level)); err != nil || s.opt.Level == nil {
		return none{}, fmt.Errorf("log level %q: %w", in.Level, protocol.ErrMalformed)
	}
	s.opt.Level.Set(level)
	s.opt.Log.Info("log level", "level", level)
	return none{}, nil
}

func (s *Server) stop(context.Context, none) (none, error) {
	if s.opt.Stop == nil {
		return none{}, protocol.ErrMalformed
	}
	s.decided(nil, "stop")
	s.opt.Stop()
	return none{}, nil
}

// decided logs what the operator did.
func (s *Server) decided(err error, what string, args ...any) {
	if err != nil {
		s.opt.Log.Warn("operator", append([]any{"did", what, "error", err}, args...)...)
		return
	}
	s.opt.Log.Info("operator", append([]any{"did", what}, args...)...)
}
