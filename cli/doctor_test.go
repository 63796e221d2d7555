package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	integer "math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/internal/realserver"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/admin"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/protocol"
)

// A patient is a node as the doctor finds it.
type patient struct {
	skew     time.Duration
	expires  time.Duration // of its certificate; 0 means never
	notReady bool
	down     bool
	otherKey bool // as a sealed node, or somebody else's
	noPeer   bool // its port for other nodes is closed
}

// admit starts what a patient shows to a stranger.
func admit(t *testing.T, name string, p patient) chain.Member {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := chain.Member{Name: name, NodeKey: chain.PublicKey(public), URL: "https://" + realserver.FreeAddresses(t, 1)[0], Peer: realserver.FreeAddresses(t, 1)[0]}
	if p.down {
		return m
	}
	if !p.noPeer {
		l, err := net.Listen("tcp", m.Peer)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	if p.otherKey {
		if _, key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	config, err := protocol.ServerTLS(key)
	if err != nil {
		t.Fatal(err)
	}
	if p.expires != 0 {
		template := &x509.Certificate{SerialNumber: integer.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(p.expires)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(p.skew).UTC().Format(http.TimeFormat))
		if r.URL.Path == protocol.PathReady && p.notReady {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	s.TLS = config
	s.StartTLS()
	t.Cleanup(s.Close)
	m.URL = s.URL
	return m
}

// examine lets the doctor look at four hospitals from outside.
func examine(t *testing.T, patients ...patient) []finding {
	t.Helper()
	k := &chain.Consortium{KeyThreshold: 3, CheckpointThreshold: 3, ExtractionKey: chain.GroupKey{1}}
	for i, p := range patients {
		k.Members = append(k.Members, admit(t, string(rune('a'+i)), p))
	}
	e := &examination{s: &session{ui: newUI(io.Discard, io.Discard)}, consortium: k}
	e.members(t.Context())
	return e.found
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	well := patient{}
	for name, test := range map[string]struct {
		patients []patient
		want     []string // what is not ok: check, severity, part of the text
	}{
		"nothing": {[]patient{well, well, well, well}, nil},
		"own clock is off": {[]patient{{skew: time.Minute}, {skew: time.Minute}, {skew: time.Minute}, {skew: time.Minute}},
			[]string{"clock warning this clock"}},
		"own clock is wrong": {[]patient{{skew: -time.Hour}, {skew: -time.Hour}, {skew: -time.Hour}, {skew: -time.Hour}},
			[]string{"clock problem this clock"}},
		"another's clock is wrong": {[]patient{well, well, {skew: time.Hour}, well},
			[]string{"clock warning the clock of c"}},
		"one is down": {[]patient{well, {down: true}, well, well},
			[]string{"b problem is not reachable", "quorum warning 3 of 4", "shares warning 3 of 4"}},
		"two are down": {[]patient{{down: true}, {down: true}, well, well},
			[]string{"a problem is not reachable", "b problem is not reachable", "quorum problem 2 of 4", "shares problem 2 of 4"}},
		"two lack shares": {[]patient{{notReady: true}, {notReady: true}, well, well},
			[]string{"a warning not ready", "b warning not ready", "shares problem 2 of 4"}},
		"one is sealed, or somebody else": {[]patient{{otherKey: true}, well, well, well},
			[]string{"a problem another key", "quorum warning 3 of 4", "shares warning 3 of 4"}},
		"a certificate expires": {[]patient{{expires: time.Hour}, well, {expires: -time.Hour}, {expires: 1000 * time.Hour}},
			[]string{"a warning expires on", "c problem expired on"}},
		"a port is closed": {[]patient{well, well, well, {noPeer: true}},
			[]string{"d problem not reachable for other nodes"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []finding
			for _, f := range examine(t, test.patients...) {
				if f.Severity != healthy {
					got = append(got, f)
					if f.Fix == "" {
						t.Errorf("%s: no fix", f.Check)
					}
				}
			}
			if len(got) != len(test.want) {
				t.Fatalf("found %+v, want %q", got, test.want)
			}
			for i, w := range test.want {
				head, text := string(got[i].Check)+" "+string(got[i].Severity)+" ", got[i].Text
				if rest, ok := strings.CutPrefix(w, head); !ok || !strings.Contains(text, rest) {
					t.Errorf("found %s%s, want %s", head, text, w)
				}
			}
		})
	}
}

func TestDoctorLooksAtKeys(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	card, err := node.NewCard("b", "https://b.example", "b.example:1", key)
	if err != nil {
		t.Fatal(err)
	}
	members := func(own chain.Member) *chain.Consortium {
		return &chain.Consortium{Members: []chain.Member{{Name: "a"}, own, {Name: "c"}, {Name: "d"}}}
	}
	holders := func(names ...string) *admin.Status {
		return &admin.Status{Status: api.Status{Generation: 1}, Threshold: 3, Holders: names}
	}
	for name, test := range map[string]struct {
		consortium *chain.Consortium
		status     *admin.Status
		want       severity
	}{
		"all hold":     {members(card.Member), holders("a", "b", "c", "d"), healthy},
		"own is lost":  {members(card.Member), holders("a", "c", "d", "e"), warning},
		"too few hold": {members(card.Member), holders("a", "b", "c"), warning},
		"no member":    {members(chain.Member{Name: "x"}), nil, problemFound},
		"another key":  {members(chain.Member{Name: "b"}), nil, problemFound},
	} {
		e := &examination{s: &session{ui: newUI(io.Discard, io.Discard)}, card: card, consortium: test.consortium, status: test.status}
		e.keys()
		if len(e.found) != 1 || e.found[0].Severity != test.want {
			t.Errorf("%s: %+v", name, e.found)
		}
	}
	var out strings.Builder
	e := &examination{s: &session{ui: newUI(&out, io.Discard)}, dir: t.TempDir()}
	e.disk()
	if _, err := e.report(); err != nil || !slices.ContainsFunc(e.found, func(f finding) bool { return f.Check == "disk" }) && freeKnown(t) {
		t.Errorf("%+v, %v", e.found, err)
	}
}

func freeKnown(t *testing.T) bool {
	_, err := freeSpace(t.TempDir())
	return err == nil
}
