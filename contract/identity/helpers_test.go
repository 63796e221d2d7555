package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
)

// world is a chain of the members east, north, south and west.
type world struct {
	t testing.TB
	*ledgertest.Chain
}

func newWorld(t testing.TB) *world { return newWorldOf(t, ledgertest.Consortium(t, 4)) }

func newWorldOf(t testing.TB, k *chain.Consortium) *world {
	return &world{t, ledgertest.NewFrom(t, k, map[string]ledger.Contract{
		"identity": identity.New(), "consent": probe{"consent"}, "keys": probe{"keys"}, "record": probe{"record"}, "workflow": probe{"workflow"}, "other": probe{"other"},
	})}
}

// probe is a contract that only asks who calls.
type probe struct{ name string }

func (p probe) Apply(call *ledger.Call, method string, _ []byte) ([]byte, error) {
	by, err := identity.Authorize(call, p.name, method)
	switch {
	case err != nil:
		return nil, err
	case by.Member != nil:
		return []byte("member " + by.Member.Name), nil
	case by.Identity != nil:
		return []byte("identity " + by.Identity.Name), nil
	}
	return []byte("key"), nil
}

// possession is the proof that the holder of a key wants it for a name.
func possession(key, use string, name identity.Name) []byte {
	return ed25519.Sign(ledgertest.Key(key), identity.PossessionStatement("records.example", use, name, ledgertest.Public(key)))
}

func attribute(names ...string) []identity.Attribute {
	var list []identity.Attribute
	for _, n := range names {
		list = append(list, identity.Attribute{Name: n})
	}
	return list
}

// registration is what registers a name with a key called like it.
func registration(name identity.Name, attributes ...string) identity.RegisterArgs {
	return identity.RegisterArgs{
		Name: name, Key: ledgertest.Public(string(name)), Possession: possession(string(name), "register", name), Attributes: attribute(attributes...),
	}
}

// controlled is a registration by which the organisation keeps the key.
func controlled(name identity.Name) identity.RegisterArgs {
	a := registration(name)
	a.Controller = true
	return a
}

func handOver(name identity.Name, key string) identity.HandOverArgs {
	return identity.HandOverArgs{Key: ledgertest.Public(key), Possession: possession(key, "hand-over", name)}
}

func rotation(name identity.Name, key string) identity.RotateArgs {
	return identity.RotateArgs{Key: ledgertest.Public(key), Possession: possession(key, "rotate", name)}
}

func recovery(name identity.Name, key string) identity.RecoverArgs {
	return identity.RecoverArgs{
		Name: name, Key: ledgertest.Public(key), Possession: possession(key, "recover", name), Wait: identity.MinRecoveryWait,
	}
}

func meant(name identity.Name, key string) identity.NameArgs {
	return identity.NameArgs{Name: name, Key: ledgertest.Public(key)}
}

// call runs one transaction in a block of its own. One that is refused must
// leave nothing behind.
func (w *world) call(signer, method string, args any) chain.Code {
	w.t.Helper()
	before := w.dump()
	r := w.Run(w.Tx(signer, "identity", method, args))[0]
	if r.Code != "" {
		if !strings.HasPrefix(string(r.Code), "identity/") {
			w.t.Fatalf("%s is refused with %q", method, r.Code)
		}
		if len(r.Events) > 0 || !slices.Equal(before, w.dump()) {
			w.t.Fatalf("refused %s left something behind", method)
		}
	}
	return r.Code
}

// must runs transactions that are accepted.
func (w *world) must(signer, method string, args any) {
	w.t.Helper()
	if code := w.call(signer, method, args); code != "" {
		w.t.Fatalf("%s by %s is refused: %s", method, signer, code)
	}
}

// refuse runs a transaction that must be refused with a code.
func (w *world) refuse(want chain.Code, signer, method string, args any) {
	w.t.Helper()
	if code := w.call(signer, method, args); code != want {
		w.t.Errorf("%s by %s gives %q, want %q", method, signer, code, want)
	}
}

func (w *world) register(name identity.Name, attributes ...string) {
	w.t.Helper()
	w.must(name.Org(), "register", registration(name, attributes...))
}

func (w *world) lookup(name identity.Name) *identity.Identity {
	w.t.Helper()
	id, err := identity.Lookup(w.space(), name)
	if err != nil {
		w.t.Fatalf("look up %s: %v", name, err)
	}
	return id
}

func (w *world) wait(d time.Duration) { w.Now = w.Now.Add(d) }

// space is the contract's namespace.
func (w *world) space() ledger.Reader { return space{&w.State} }

// dump returns all keys and values of the namespace.
func (w *world) dump() []string {
	var all []string
	if err := w.space().Scan(nil, nil, func(k, v []byte) bool {
		all = append(all, string(k)+"="+string(v))
		return true
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

type space struct{ state *ledgertest.State }

func (s space) Get(key []byte) ([]byte, error) {
	return s.state.Get(append([]byte("identity\x00"), key...))
}

func (s space) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	p := []byte("identity\x00")
	return s.state.Scan(append(bytes.Clone(p), prefix...), append(bytes.Clone(p), start...), func(k, v []byte) bool {
		return fn(k[len(p):], v)
	})
}
