package api_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
)

const lee = "dr.lee@south"

func TestTokens(t *testing.T) {
	h := open(t, api.Options{})
	h.Register(lee)
	c := h.raw(t, nil)
	status := func(header string) answer { return h.send(t, c, http.MethodGet, protocol.PathStatus, header, "", nil) }
	sign := func(chain, member string, at time.Time, name string) string {
		s, err := protocol.SignToken(chain, member, at, ledgertest.Key(name))
		if err != nil {
			t.Fatal(err)
		}
		return protocol.Scheme + " " + s
	}
	now := h.clock.Now()

	good := h.token(t, lee)
	if a := status(good); a.status != http.StatusOK {
		t.Fatalf("good token: %d %s", a.status, a.code)
	}
	for _, c := range []struct{ what, header, code string }{
		{"none", "", protocol.CodeTokenMissing},
		{"replayed", good, protocol.CodeTokenReplayed},
		{"expired", sign(h.k.Chain, "east", now.Add(-protocol.TokenWindow-time.Second), lee), protocol.CodeTokenTime},
		{"of tomorrow", sign(h.k.Chain, "east", now.Add(24*time.Hour), lee), protocol.CodeTokenTime},
		{"for another member", sign(h.k.Chain, "west", now, lee), protocol.CodeTokenAudience},
		{"for another chain", sign("other.example", "east", now, lee), protocol.CodeTokenChain},
		{"of an unknown key", sign(h.k.Chain, "east", now, "mallory"), protocol.CodeTokenUnknown},
		{"of a node key, which proves itself with a certificate", sign(h.k.Chain, "east", now, "west"), protocol.CodeTokenUnknown},
		{"with a bent signature", bent(t, h.token(t, lee)), protocol.CodeTokenSignature},
		{"in another scheme", strings.Replace(h.token(t, lee), "Ward-V1", "Bearer", 1), protocol.CodeTokenMalformed},
		{"garbage", protocol.Scheme + " !!!!", protocol.CodeTokenMalformed},
		{"empty", protocol.Scheme + " ", protocol.CodeTokenMalformed},
	} {
		if a := status(c.header); a.status != http.StatusUnauthorized || a.code != c.code {
			t.Errorf("token %s: %d %s, want %s", c.what, a.status, a.code, c.code)
		}
	}
}

// bent returns a token whose signature does not hold.
func bent(t *testing.T, header string) string {
	t.Helper()
	tok, err := protocol.ParseToken(strings.TrimPrefix(header, protocol.Scheme+" "))
	if err != nil {
		t.Fatal(err)
	}
	tok.Signature[0] ^= 1
	s, err := tok.Text()
	if err != nil {
		t.Fatal(err)
	}
	return protocol.Scheme + " " + s
}

func TestTwoTokensInOneRequest(t *testing.T) {
	h := open(t, api.Options{})
	h.Register(lee)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+protocol.PathStatus, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Authorization"] = []string{h.token(t, lee), h.token(t, lee)}
	resp, err := h.raw(t, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("status %d", resp.StatusCode)
	}
}

// TestReplayLateInTheWindow: a token of a client whose clock is ahead is good
// for four minutes, and is remembered for as long.
func TestReplayLateInTheWindow(t *testing.T) {
	h := open(t, api.Options{})
	h.Register(lee)
	c := h.raw(t, nil)
	s, err := protocol.SignToken(h.k.Chain, "east", h.clock.Now().Add(protocol.TokenWindow), ledgertest.Key(lee))
	if err != nil {
		t.Fatal(err)
	}
	header := protocol.Scheme + " " + s
	use := func(header string) string {
		return h.send(t, c, http.MethodGet, protocol.PathStatus, header, "", nil).code
	}
	if code := use(header); code != "" {
		t.Fatal(code)
	}
	for range 3 { // others make the server forget what is old enough
		h.clock.add(79 * time.Second)
		_ = use(h.token(t, lee))
	}
	if code := use(header); code != protocol.CodeTokenReplayed {
		t.Fatalf("after almost four minutes: %q, want %q", code, protocol.CodeTokenReplayed)
	}
}

// TestTokensOverTheLimitAreNotRemembered: what a server remembers of one caller
// is bounded by the caller's rate.
func TestTokensOverTheLimitAreNotRemembered(t *testing.T) {
	h := open(t, api.Options{Limits: api.Limits{Caller: api.Rate{PerSecond: 1, Burst: 1}}})
	h.Register(lee)
	c := h.raw(t, nil)
	first, second := h.token(t, lee), h.token(t, lee)
	use := func(header string) answer {
		return h.send(t, c, http.MethodGet, protocol.PathStatus, header, "", nil)
	}
	if a := use(first); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.code)
	}
	for range 3 {
		if a := use(second); a.status != http.StatusTooManyRequests {
			t.Fatalf("over the limit: %d %s", a.status, a.code)
		}
	}
	h.clock.add(time.Second)
	if a := use(second); a.status != http.StatusOK {
		t.Fatalf("within it: %d %s", a.status, a.code)
	}
	h.clock.add(time.Second)
	if a := use(second); a.code != protocol.CodeTokenReplayed {
		t.Fatalf("again: %d %s", a.status, a.code)
	}
}

func TestRotatedKeyIsRefused(t *testing.T) {
	h := open(t, api.Options{})
	h.Register(lee)
	n := h.as(t, lee)
	question := encode(t, query.Identity{Name: lee})
	if _, err := n.Ask(t.Context(), question); err != nil {
		t.Fatal(err)
	}
	h.Set(func(w *apitest.World) { w.Identities[0].Key = ledgertest.Public("dr.lee's next key") })
	_, err := n.Ask(t.Context(), question)
	var auth *protocol.AuthError
	if !errors.As(err, &auth) || auth.Code != protocol.CodeTokenUnknown || !errors.Is(err, ward.ErrUnauthorized) {
		t.Fatalf("old key: %v", err)
	}
	if _, err := h.as(t, "dr.lee's next key").Ask(t.Context(), question); err != nil {
		t.Fatalf("new key: %v", err)
	}
}

// TestServerWithAnotherKeyIsNotSpokenTo: nothing is sent to a server that has
// not the pinned key, a token least of all.
func TestServerWithAnotherKeyIsNotSpokenTo(t *testing.T) {
	h := open(t, api.Options{Key: ledgertest.Key("mallory")})
	h.Register(lee)
	_, err := h.as(t, lee).Checkpoint(t.Context())
	if !errors.Is(err, protocol.ErrPinned) || !errors.Is(err, ward.ErrUnavailable) {
		t.Fatalf("%v, want ErrPinned and ErrUnavailable", err)
	}
	_, err = h.as(t, lee).Submit(t.Context(), h.Tx(lee, identity.Contract, "rotate", apitest.Script{}, nil), nil)
	if errors.Is(err, ward.ErrUnknown) || !errors.Is(err, ward.ErrUnavailable) {
		t.Fatalf("a transaction that was never sent: %v", err)
	}
}

// TestMembersOnly calls everything that members ask each other as everybody
// else.
func TestMembersOnly(t *testing.T) {
	h := open(t, api.Options{})
	h.Register(lee, identity.Auditor, identity.Emergency, identity.Reviewer, identity.Registrar)
	question := encode(t, query.Identity{Name: lee})
	for _, who := range []string{lee, "mallory", ""} {
		n := h.as(t, who)
		want := error(identity.ErrDenied)
		if who != lee {
			want = ward.ErrUnauthorized
		}
		next := *h.k
		next.KeyThreshold = 2
		for what, do := range map[string]func() error{
			"attest":     func() error { _, _, _, err := n.Attest(t.Context(), question); return err },
			"part":       func() error { _, err := n.PartialKey(t.Context(), 0); return err },
			"answer":     func() error { _, err := n.AnswerAccess(t.Context(), 0); return err },
			"sign head":  func() error { _, err := n.SignHead(t.Context(), 1); return err },
			"endorse":    func() error { _, err := n.Endorse(t.Context(), &next); return err },
			"put local":  func() error { _, err := n.LocalBlobs().Put(t.Context(), strings.NewReader("x")); return err },
			"list":       func() error { return first(n.Blobs().List(t.Context())) },
			"list local": func() error { return first(n.LocalBlobs().List(t.Context())) },
			"delete":     func() error { return n.Blobs().Delete(t.Context(), refOf(t, "x")) },
		} {
			if err := do(); !errors.Is(err, want) {
				t.Errorf("%s as %q: %v, want %v", what, who, err, want)
			}
		}
	}
}

// TestOnlyTheOperatorDeletes: one member must not be able to delete what
// another stores.
func TestOnlyTheOperatorDeletes(t *testing.T) {
	h := open(t, api.Options{})
	ref, err := h.as(t, "west").LocalBlobs().Put(t.Context(), strings.NewReader("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.as(t, "west").LocalBlobs().Delete(t.Context(), ref); !errors.Is(err, identity.ErrDenied) {
		t.Fatalf("another member deletes: %v", err)
	}
	if err := h.as(t, "east").LocalBlobs().Delete(t.Context(), ref); err != nil {
		t.Fatalf("the operator cannot delete: %v", err)
	}
}

// TestMemberThatLeft keeps its connection, and is nobody.
func TestMemberThatLeft(t *testing.T) {
	h := open(t, api.Options{})
	n := h.as(t, west)
	if _, err := n.SignHead(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	without := *h.k
	without.Members = without.Members[:3]
	h.SetMembers(&without)
	if _, err := n.SignHead(t.Context(), 1); !errors.Is(err, ward.ErrUnauthorized) {
		t.Fatalf("%v, want ErrUnauthorized", err)
	}
}

func TestCertificateOfAStrangerIsWorthNothing(t *testing.T) {
	h := open(t, api.Options{})
	c := h.raw(t, ledgertest.Key("mallory"))
	if a := h.send(t, c, http.MethodGet, protocol.PathStatus, "", "", nil); a.code != protocol.CodeTokenMissing {
		t.Fatalf("%d %s", a.status, a.code)
	}
	h.Register(lee)
	c = h.raw(t, ledgertest.Key(lee)) // an identity proves itself with tokens
	if a := h.send(t, c, http.MethodGet, protocol.PathStatus, "", "", nil); a.code != protocol.CodeTokenMissing {
		t.Fatalf("%d %s", a.status, a.code)
	}
}

// TestSubmitOnTheWordOfTheSigner: who registers has no token yet.
func TestSubmitOnTheWordOfTheSigner(t *testing.T) {
	h := open(t, api.Options{})
	tx := h.Tx("north", identity.Contract, identity.MethodRegister, apitest.Script{}, nil)
	for _, who := range []string{"", "p-new@north"} {
		if _, err := h.as(t, who).Submit(t.Context(), tx, nil); err != nil {
			t.Errorf("a member's transaction, sent by %q: %v", who, err)
		}
	}
	unknown := h.Tx("mallory", identity.Contract, identity.MethodRegister, apitest.Script{}, nil)
	if _, err := h.as(t, "").Submit(t.Context(), unknown, nil); !errors.Is(err, ward.ErrUnauthorized) {
		t.Errorf("a stranger's transaction, sent by nobody: %v", err)
	}
}

func TestPublicRoutesAreFew(t *testing.T) {
	h := open(t, api.Options{MetricsFrom: nets(t, "192.0.2.0/24")})
	c := h.raw(t, nil)
	var open []string
	for path, methods := range document(t, h).Paths {
		for method := range methods {
			path := strings.NewReplacer("{index}", "0", "{height}", "0", "{ref}", "x", "{level}", "0", "{tile}", "000.p/1").Replace(path)
			mediaType := ""
			if method == "post" {
				mediaType = protocol.TypeCBOR
			}
			if a := h.send(t, c, strings.ToUpper(method), path, "", mediaType, nil); a.status != http.StatusUnauthorized {
				open = append(open, method+" "+path)
			}
		}
	}
	slices.Sort(open)
	want := []string{
		"get /checkpoint", "get /healthz", "get /metrics", "get /openapi.json", "get /readyz", "get /tile/0/000.p/1",
		"get /v1/consortium", "post /v1/transactions",
	}
	if !slices.Equal(open, want) {
		t.Errorf("without a proof of who calls:\n%q, want\n%q", open, want)
	}
	if a := h.send(t, c, http.MethodGet, protocol.PathMetrics, "", "", nil); a.status != http.StatusForbidden {
		t.Errorf("metrics from a network that is not listed: %d", a.status)
	}
}
