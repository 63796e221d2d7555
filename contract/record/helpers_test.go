package record_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

const (
	alice identity.Name = "p-7f3a@north"
	carol identity.Name = "p-0001@south"
	lab   identity.Name = "lab@south"   // author
	clerk identity.Name = "clerk@north" // no author
	day                 = record.Day
)

// world is a chain with owners and authors.
type world struct {
	t testing.TB
	*ledgertest.Chain
	encapsulator pre.Encapsulator
}

func newWorld(t testing.TB) *world { return newWorldOf(t, ledgertest.Consortium(t, 4)) }

func newWorldOf(t testing.TB, k *chain.Consortium) *world {
	return newWorldWith(t, k, record.New())
}

func newWorldWith(t testing.TB, k *chain.Consortium, contract ledger.Contract) *world {
	w := &world{t: t, Chain: ledgertest.NewFrom(t, k, map[string]ledger.Contract{"identity": identity.New(), "record": contract})}
	w.register(alice)
	w.register(carol)
	w.register(lab, "author")
	w.register(clerk)
	return w
}

func (w *world) register(name identity.Name, attributes ...string) {
	w.t.Helper()
	a := identity.RegisterArgs{
		Name: name, Key: ledgertest.Public(string(name)),
		Possession: ed25519.Sign(ledgertest.Key(string(name)), identity.PossessionStatement(w.Consortium.Chain, "register", name, ledgertest.Public(string(name)))),
	}
	for _, n := range attributes {
		a.Attributes = append(a.Attributes, identity.Attribute{Name: n})
	}
	w.identity(name.Org(), "register", a)
}

// identity runs a transaction of the other contract, which is accepted.
func (w *world) identity(signer, method string, args any) {
	w.t.Helper()
	if r := w.Run(w.Tx(signer, "identity", method, args))[0]; r.Code != "" {
		w.t.Fatalf("%s by %s: %s", method, signer, r.Code)
	}
}

// A draft is a put that may be changed before it is sent.
type draft struct {
	record.PutArgs
	signer  identity.Name
	sidecar []byte
}

// draft writes a record as an honest author does.
func (w *world) draft(owner, author identity.Name, t pre.Type) *draft {
	w.t.Helper()
	d := &draft{signer: author, PutArgs: record.PutArgs{ID: must(record.GenerateID()), Owner: owner, Type: t}}
	if id, err := identity.Lookup(w.space("identity"), owner); err == nil {
		d.Version, d.Epoch = id.Version, id.Epoch
	}
	w.seal(d)
	return d
}

// seal makes the envelope for what the draft says.
func (w *world) seal(d *draft) {
	w.t.Helper()
	owner := &identity.Identity{Name: d.Owner}
	if id, err := identity.Lookup(w.space("identity"), d.Owner); err == nil {
		owner = id
	}
	to := must(owner.Recipient(w.Founding.Chain, w.authority()))
	to.Version, to.Epoch = d.Version, d.Epoch
	h := pre.Header{Record: string(d.ID), Owner: to, Type: d.Type, Author: string(d.signer)}
	envelope, sealed, err := w.encapsulator.Encapsulate(h, []byte("title"))
	if err != nil {
		w.t.Fatal(err)
	}
	d.Envelope, d.sidecar = envelope.Bytes(), sealed
}

func (w *world) authority() pre.PublicKey {
	return must(pre.ParsePublicKey(ledgertest.Consortium(w.t, 4).ExtractionKey))
}

func (w *world) tx(d *draft) *chain.Tx {
	w.t.Helper()
	return w.TxWith(string(d.signer), chain.TxBody{
		Contract: "record", Method: "put", Args: must(chain.Marshal(d.PutArgs)), Sidecar: must(chain.NewSidecar(d.sidecar)),
	})
}

// block runs puts in one block and returns their codes.
func (w *world) block(drafts ...*draft) []chain.Code {
	w.t.Helper()
	var txs []*chain.Tx
	var sidecars [][]byte
	for _, d := range drafts {
		txs, sidecars = append(txs, w.tx(d)), append(sidecars, d.sidecar)
	}
	var codes []chain.Code
	for _, r := range w.Apply(w.Entry(txs, sidecars)).Block.Results {
		codes = append(codes, r.Code)
	}
	return codes
}

// put puts a record, which is accepted.
func (w *world) put(d *draft) *record.Record {
	w.t.Helper()
	if code := w.block(d)[0]; code != "" {
		w.t.Fatalf("put is refused: %s", code)
	}
	return w.lookup(d.ID)
}

// refuse runs a put that must be refused with a code and leave nothing behind.
func (w *world) refuse(want chain.Code, d *draft) {
	w.t.Helper()
	before, sidecars := w.dump(), len(w.Sidecars)
	if code := w.block(d)[0]; code != want {
		w.t.Errorf("put gives %q, want %q", code, want)
	}
	if !slices.Equal(before, w.dump()) || len(w.Sidecars) != sidecars {
		w.t.Error("a refused put left something behind")
	}
}

func (w *world) erase(signer identity.Name, id record.ID) chain.Code {
	w.t.Helper()
	before := w.dump()
	r := w.Run(w.Tx(string(signer), "record", "erase", record.EraseArgs{ID: id}))[0]
	if r.Code != "" && !slices.Equal(before, w.dump()) {
		w.t.Error("a refused erasure left something behind")
	}
	return r.Code
}

func (w *world) lookup(id record.ID) *record.Record {
	w.t.Helper()
	return must(record.Lookup(w.space("record"), id))
}

func (w *world) list(owner identity.Name, after uint64, f record.Filter) []record.ID {
	w.t.Helper()
	var ids []record.ID
	if err := record.Each(w.space("record"), owner, after, f, func(r *record.Record) bool {
		ids = append(ids, r.ID)
		return true
	}); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// ref is the binary form of the store.Ref of some bytes.
func ref(data string) []byte {
	digest := sha256.Sum256([]byte(data))
	return append([]byte{1, 0x55, 0x12, 32}, digest[:]...)
}

// dump returns all keys and values of the namespace.
func (w *world) dump() []string {
	var all []string
	if err := w.space("record").Scan(nil, nil, func(k, v []byte) bool {
		all = append(all, string(k)+"="+string(v))
		return true
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) space(contract string) ledger.Reader { return space{&w.State, contract + "\x00"} }

// space is a contract's namespace.
type space struct {
	state  *ledgertest.State
	prefix string
}

func (s space) Get(key []byte) ([]byte, error) { return s.state.Get([]byte(s.prefix + string(key))) }

func (s space) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	return s.state.Scan([]byte(s.prefix+string(prefix)), []byte(s.prefix+string(start)), func(k, v []byte) bool {
		return fn(bytes.Clone(k[len(s.prefix):]), v)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// has reports whether a list of keys and values has one with the prefix.
func has(dump []string, prefix string) bool {
	return slices.ContainsFunc(dump, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

// markUsed marks a capsule as used in another record, which only its author
// could bring about.
func (w *world) markUsed(envelope []byte) {
	key := append([]byte("record\x00u/"), must(pre.ParseEnvelope(envelope)).U()...)
	w.State.Apply([]ledger.Write{{Key: key, Value: []byte{1}}})
	w.Head.Digest.Add(key, []byte{1})
}
