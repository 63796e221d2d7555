package node_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/wallet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a consortium in virtual time with people in it.
type world struct {
	*devnet.Devnet
	t   testing.TB
	ctx context.Context
}

// inWorld runs a test with n nodes in virtual time.
func inWorld(t *testing.T, n int, tune func(*devnet.Options), test func(*world)) {
	t.Helper()
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
		defer cancel()
		opt := devnet.Options{Members: n, Dir: dir, Log: testLog(t)}
		if tune != nil {
			tune(&opt)
		}
		d, err := devnet.New(ctx, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(&world{d, t, ctx})
	})
}

func testLog(t testing.TB) *slog.Logger {
	if os.Getenv("WARD_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// tempDir returns a directory in memory where there is one: what a test waits
// for is the program, not the disk.
func tempDir(t testing.TB) string {
	t.Helper()
	base := ""
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "ward-node-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// person registers somebody at a member and returns the client that acts for
// her, which asks that member's node first.
func (w *world) person(name string, attributes ...string) *ward.Client {
	w.t.Helper()
	local, org, _ := strings.Cut(name, "@")
	_ = local
	wal, err := wallet.Generate(w.Founding().Chain, identity.Name(name))
	if err != nil {
		w.t.Fatal(err)
	}
	at := w.member(org)
	c, err := ward.New(ward.Options{Consortium: w.Consortium(), Wallet: wal, Nodes: w.Nodes(at)})
	if err != nil {
		w.t.Fatal(err)
	}
	by, err := w.Key(at)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []identity.Attribute
	for _, a := range attributes {
		list = append(list, identity.Attribute{Name: a})
	}
	if err := c.Register(w.ctx, by, false, list...); err != nil {
		w.t.Fatalf("register %s: %v", name, err)
	}
	return c
}

func (w *world) member(name string) int {
	w.t.Helper()
	for i := range w.Len() {
		if w.Name(i) == name {
			return i
		}
	}
	w.t.Fatalf("no member %s", name)
	return -1
}

// put writes a record for an owner.
func (w *world) put(author *ward.Client, owner identity.Name, typ pre.Type, payload string) record.ID {
	w.t.Helper()
	id, err := author.Put(w.ctx, ward.Record{Owner: owner, Type: typ, Title: "title of " + payload, MediaType: "text/plain"}, strings.NewReader(payload))
	if err != nil {
		w.t.Fatalf("put: %v", err)
	}
	return id
}

// grant grants a type for treatment.
func (w *world) grant(owner *ward.Client, to identity.Name, typ pre.Type) consent.GrantID {
	w.t.Helper()
	id, err := owner.Grant(w.ctx, ward.Terms{To: to, Type: typ})
	if err != nil {
		w.t.Fatalf("grant: %v", err)
	}
	return id
}

var treatment = ward.Purpose{Code: consent.Treatment, Reason: "follow-up"}

// read gets a record and returns its payload.
func (w *world) read(reader *ward.Client, id record.ID) (string, error) {
	var out bytes.Buffer
	_, err := reader.Get(w.ctx, id, treatment, &out)
	return out.String(), err
}

func (w *world) mustRead(reader *ward.Client, id record.ID, want string) {
	w.t.Helper()
	got, err := w.read(reader, id)
	if err != nil {
		w.t.Fatalf("get: %v", err)
	}
	if got != want {
		w.t.Fatalf("got %q, want %q", got, want)
	}
}

// stop and restart switch a member's node off and on.
func (w *world) stop(i int) {
	w.t.Helper()
	if err := w.Stop(i); err != nil {
		w.t.Fatalf("stop %s: %v", w.Name(i), err)
	}
}

func (w *world) restart(i int) {
	w.t.Helper()
	if err := w.Restart(w.ctx, i); err != nil {
		w.t.Fatalf("restart %s: %v", w.Name(i), err)
	}
}

// settle waits until every running node is ready and has followed the chain.
func (w *world) settle() {
	w.t.Helper()
	w.until("every node is ready", func() bool {
		for i := range w.Len() {
			if n := w.Node(i); n != nil && n.Ready() != nil {
				return false
			}
		}
		return true
	})
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
	defer cancel()
	if err := w.Wait(ctx, ok); err != nil {
		for i := range w.Len() {
			if n := w.Node(i); n != nil {
				w.t.Logf("%+v %v", n.Status(), n.Ready())
			}
		}
		w.t.Fatalf("waiting until %s: %v", what, err)
	}
}

var _ = fmt.Sprint
var _ node.Config
