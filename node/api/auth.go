package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/protocol"
)

// who is a caller: a member, an identity, or, if both are nil, somebody at an
// address.
type who struct {
	identity.Caller
	address netip.Prefix
}

// key is what the caller's limits are counted under.
func (w who) key() string {
	switch {
	case w.Member != nil:
		return "m" + w.Member.Name
	case w.Identity != nil:
		return "i" + string(w.Identity.Name)
	}
	return "a" + w.address.String()
}

// authenticate returns who calls, within its limits.
func (s *Server) authenticate(a access, r *http.Request) (who, error) {
	if key, ok := protocol.PeerKey(r.TLS); ok {
		if m := s.b.Members().MemberByKey(key); m != nil {
			w := who{Caller: identity.Caller{Member: m}}
			return w, s.limits.take(w, s.opt.Limits.Member, s.now())
		}
	}
	nobody := who{address: addressOf(r)}
	if a == public {
		return nobody, s.limits.take(nobody, s.opt.Limits.Anonymous, s.now())
	}
	// Failures count against the address, so that nobody can have signatures
	// checked without end.
	if !s.limits.has(nobody, s.opt.Limits.Anonymous, s.now()) {
		return who{}, ward.ErrBusy
	}
	id, err := s.bearer(r)
	if refused := new(protocol.AuthError); errors.As(err, &refused) {
		s.meter.refused.WithLabelValues(refused.Code).Inc()
		if limit := s.limits.take(nobody, s.opt.Limits.Anonymous, s.now()); limit != nil {
			return who{}, limit
		}
		if a == signed {
			return nobody, nil
		}
	}
	if err != nil {
		return who{}, err
	}
	return who{Caller: identity.Caller{Identity: id}}, nil
}

// bearer returns the identity whose fresh token the request carries, within its
// limits. They come first: so no identity has more tokens remembered than it may
// send requests, and one that it could not use yet is good for another try.
func (s *Server) bearer(r *http.Request) (*identity.Identity, error) {
	header := r.Header["Authorization"]
	if len(header) == 0 {
		return nil, &protocol.AuthError{Code: protocol.CodeTokenMissing}
	}
	text, ok := strings.CutPrefix(header[0], protocol.Scheme+" ")
	if !ok || len(header) > 1 {
		return nil, &protocol.AuthError{Code: protocol.CodeTokenMalformed}
	}
	t, err := protocol.ParseToken(text)
	if err != nil {
		return nil, &protocol.AuthError{Code: protocol.CodeTokenMalformed}
	}
	now := s.now()
	if err := t.Verify(s.b.Members().Chain, s.b.Member(), now); err != nil {
		return nil, err
	}
	id, err := s.known(r, t.Key)
	if err != nil {
		return nil, err
	}
	if err := s.limits.take(who{Caller: identity.Caller{Identity: id}}, s.opt.Limits.Caller, now); err != nil {
		return nil, err
	}
	if !s.seen.first(t.Key, t.Nonce, now) {
		return nil, &protocol.AuthError{Code: protocol.CodeTokenReplayed}
	}
	return id, nil
}

// known returns the identity for which a key signs now. A member's node key
// proves itself with a certificate and nothing else.
func (s *Server) known(r *http.Request, key chain.PublicKey) (*identity.Identity, error) {
	ctx, cancel := context.WithTimeout(r.Context(), s.opt.Limits.Body)
	defer cancel()
	c, err := s.b.Identify(ctx, key)
	if errors.Is(err, identity.ErrUnknown) || err == nil && c.Identity == nil {
		return nil, &protocol.AuthError{Code: protocol.CodeTokenUnknown}
	}
	return c.Identity, err
}

// addressOf returns the network that a request comes from: one IPv4 address,
// or 2^64 of IPv6, which one subscriber has.
func addressOf(r *http.Request) netip.Prefix {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{} // a Unix socket
	}
	ip := a.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// replays remembers the tokens that were used. It begins empty when the
// process does: a token is seen by nobody but the two ends of a connection, so
// whoever could use one again could as well have used it first.
type replays struct {
	mu       sync.Mutex
	now, old map[used]struct{} // guarded by mu
	since    time.Time         // guarded by mu: when now was begun
}

type used struct {
	key   chain.PublicKey
	nonce [16]byte
}

// first reports whether a token comes the first time. It remembers it for at
// least as long as the token is good: its time may be a window ahead, and it is
// taken for a window after that.
func (r *replays) first(key chain.PublicKey, nonce [16]byte, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.since); r.now == nil || age > 2*protocol.TokenWindow {
		r.old, r.now, r.since = r.now, make(map[used]struct{}), now
	}
	u := used{key, nonce}
	_, a := r.now[u]
	_, b := r.old[u]
	r.now[u] = struct{}{}
	return !a && !b
}
