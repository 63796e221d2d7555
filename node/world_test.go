package node_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
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
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
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

// A person has a wallet, and a client that acts for her.
type person struct {
	*ward.Client
	wallet *wallet.Wallet
}

// person registers somebody at a member, whose node her client asks first.
func (w *world) person(name string, attributes ...string) *person {
	w.t.Helper()
	wal, err := wallet.Generate(w.Founding().Chain, identity.Name(name))
	if err != nil {
		w.t.Fatal(err)
	}
	at := w.member(identity.Name(name).Org())
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
	return &person{c, wal}
}

// now returns a client for the same person that asks the nodes that run now,
// beginning with a member's.
func (w *world) now(p *person, i int) *person {
	w.t.Helper()
	c, err := ward.New(ward.Options{Consortium: w.Consortium(), Wallet: p.wallet, Nodes: w.Nodes(i)})
	if err != nil {
		w.t.Fatal(err)
	}
	return &person{c, p.wallet}
}

// tx signs a transaction of hers.
func (p *person) tx(t testing.TB, contract, method string, args any) *chain.Tx {
	t.Helper()
	b, err := chain.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return p.txWith(t, contract, method, b, nil)
}

// txWith signs a transaction of hers with a sidecar.
func (p *person) txWith(t testing.TB, contract, method string, args, sidecar []byte) *chain.Tx {
	t.Helper()
	commitment, err := chain.NewSidecar(sidecar)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: p.wallet.Chain(), Contract: contract, Method: method, Args: args, Sidecar: commitment,
		NotAfter: time.Now().Add(10 * time.Minute).UnixMilli(),
	}, p.wallet.Signer())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// accessArgs asks for one record under a grant.
func accessArgs(t testing.TB, g consent.GrantID, id record.ID) consent.AccessArgs {
	t.Helper()
	key, err := pre.GenerateTransportKey()
	if err != nil {
		t.Fatal(err)
	}
	return consent.AccessArgs{Grant: g, Records: []record.ID{id}, Purpose: consent.Treatment, Transport: key.Public()}
}

// access puts an access on the chain and returns its leaf index.
func (w *world) access(reader *person, g consent.GrantID, id record.ID) uint64 {
	w.t.Helper()
	r, err := w.Nodes(0)[0].Submit(w.ctx, reader.tx(w.t, consent.Contract, consent.MethodAccess, accessArgs(w.t, g, id)), nil)
	if err == nil {
		err = r.Result.Err()
	}
	if err != nil {
		w.t.Fatalf("access: %v", err)
	}
	return r.Index
}

// leader returns the number of the member that leads.
func (w *world) leader() int {
	w.t.Helper()
	for i := range w.Len() {
		if n := w.Node(i); n != nil && n.Status().Leader == w.Name(i) {
			return i
		}
	}
	w.t.Fatal("nobody leads")
	return -1
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
func (w *world) put(author *person, owner identity.Name, typ pre.Type, payload string) record.ID {
	w.t.Helper()
	id, err := author.Put(w.ctx, ward.Record{Owner: owner, Type: typ, Title: "a title", MediaType: "text/plain"}, strings.NewReader(payload))
	if err != nil {
		w.t.Fatalf("put: %v", err)
	}
	return id
}

// grant grants a type for treatment.
func (w *world) grant(owner *person, to identity.Name, typ pre.Type) consent.GrantID {
	w.t.Helper()
	id, err := owner.Grant(w.ctx, ward.Terms{To: to, Type: typ})
	if err != nil {
		w.t.Fatalf("grant: %v", err)
	}
	return id
}

var treatment = ward.Purpose{Code: consent.Treatment, Reason: "follow-up"}

// read gets a record and returns its payload.
func (w *world) read(reader *person, id record.ID) (string, error) {
	var out bytes.Buffer
	_, err := reader.Get(w.ctx, id, treatment, &out)
	return out.String(), err
}

func (w *world) mustRead(reader *person, id record.ID, want string) {
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
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Minute)
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

// submit puts a transaction on the chain through one member.
func (w *world) submit(i int, tx *chain.Tx) error { return w.submitIn(w.ctx, i, tx) }

func (w *world) submitIn(ctx context.Context, i int, tx *chain.Tx) error {
	r, err := w.Node(i).Submit(ctx, tx, nil)
	if err != nil {
		return err
	}
	return r.Result.Err()
}
