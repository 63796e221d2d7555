package apitest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/api"
)

// Serve serves a node on a port of this machine until the test ends, and
// returns its URL and what stops it before that. The key in the options, if
// there is none, is the member's.
func Serve(tb testing.TB, b api.Backend, opt api.Options) (url string, stop func()) {
	tb.Helper()
	if opt.Key == nil {
		opt.Key = ledgertest.Key(b.Member())
	}
	if timed, ok := b.(interface{ Now() time.Time }); ok && opt.Clock == nil {
		opt.Clock = timed.Now
	}
	s, err := api.New(b, opt)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(ctx, l); err != nil {
			tb.Errorf("Serve: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	tb.Cleanup(stop)
	return "https://" + l.Addr().String(), stop
}

// Register adds an identity whose key is ledgertest's for its name.
func (n *Node) Register(name identity.Name, attributes ...string) {
	id := identity.Identity{Name: name, Key: ledgertest.Public(string(name))}
	for _, a := range attributes {
		id.Attributes = append(id.Attributes, identity.Attribute{Name: a})
	}
	n.Set(func(w *World) { w.Identities = append(w.Identities, id) })
}

// Founding returns the consortium file of every node here.
func Founding(tb testing.TB) *chain.Consortium { return ledgertest.Consortium(tb, 4) }
