package workflow_test

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
	"github.com/ward-health/ward/pre"
)

const (
	patient    identity.Name = "p-7f3a@north"
	other      identity.Name = "p-0001@north"
	physician  identity.Name = "dr.lee@north"
	colleague  identity.Name = "dr.kim@south"
	pharmacist identity.Name = "ph.wu@north"
	stranger   identity.Name = "ph.xu@south" // a pharmacist of another hospital
	pharmacy   identity.Name = "pharmacy@west"
	rival      identity.Name = "pharmacy@east"
	courier    identity.Name = "courier@west"
	regulator  identity.Name = "board@east"
	guardian   identity.Name = "mother@north"
)

const day = 24 * time.Hour

// plant stores what it is told to in its namespace, so that tests have records
// and grants without their cryptography.
type plant struct{}

type seed struct {
	_          struct{} `cbor:",toarray"`
	Key, Value []byte
}

func (plant) Apply(call *ledger.Call, _ string, args []byte) ([]byte, error) {
	var s seed
	if err := chain.Unmarshal(args, &s); err != nil {
		return nil, err
	}
	return nil, call.State.Set(s.Key, s.Value)
}

func contracts() map[string]ledger.Contract {
	return map[string]ledger.Contract{
		identity.Contract: identity.New(), record.Contract: plant{}, consent.Contract: plant{}, keys.Contract: plant{}, workflow.Contract: workflow.New(),
	}
}

// world is a consortium of north, south, west and east with people in it.
type world struct {
	testing.TB
	c *ledgertest.Chain
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t, ledgertest.New(t, contracts())}
	w.plant(keys.Contract, "a", &keys.Authority{Generation: 1, Ceremony: 1, Members: ledgertest.Members(4)})
	for name, attributes := range map[identity.Name]string{
		patient: "", other: "", guardian: "", physician: "role=physician", colleague: "role=physician", pharmacist: "role=pharmacist", stranger: "role=pharmacist",
		pharmacy: "role=pharmacy", rival: "role=pharmacy", courier: "role=courier", regulator: "regulator",
	} {
		w.register(name, attributes)
	}
	return w
}

// prescribing is a world in which prescriptions are in force.
func prescribing(t testing.TB) *world {
	w := newWorld(t)
	w.enact(library.Prescription())
	return w
}

func (w *world) register(name identity.Name, attribute string) {
	w.Helper()
	key := ledgertest.Public(string(name))
	args := identity.RegisterArgs{
		Name: name, Key: key,
		Possession: ed25519.Sign(ledgertest.Key(string(name)), identity.PossessionStatement(w.c.Consortium.Chain, identity.MethodRegister, name, key)),
	}
	if attribute != "" {
		n, v, _ := strings.Cut(attribute, "=")
		args.Attributes = []identity.Attribute{{Name: n, Value: v}}
	}
	w.must(w.c.Run(w.c.Tx(name.Org(), identity.Contract, identity.MethodRegister, args))[0])
}

func (w *world) plant(contract, key string, value any) {
	w.Helper()
	b, err := chain.Marshal(value)
	if err != nil {
		w.Fatal(err)
	}
	w.must(w.c.Run(w.c.Tx("north", contract, "plant", &seed{Key: []byte(key), Value: b}))[0])
}

// put makes a record of an owner.
func (w *world) put(owner, author identity.Name, t string) record.ID {
	w.Helper()
	id, err := record.GenerateID()
	if err != nil {
		w.Fatal(err)
	}
	w.putAs(&record.Record{ID: id, Owner: owner, Author: author, Type: pre.Type(t), Time: w.now()})
	return id
}

func (w *world) putAs(r *record.Record) { w.Helper(); w.plant(record.Contract, "r/"+string(r.ID), r) }

// grant makes a grant that is in force, for as long as its recipient holds an
// instance.
func (w *world) grant(owner, to identity.Name, t string, while workflow.ID, edit ...func(*consent.Grant)) consent.GrantID {
	w.Helper()
	id, err := consent.GenerateID()
	if err != nil {
		w.Fatal(err)
	}
	g := &consent.Grant{ID: id, Owner: owner, Recipient: to, Type: pre.Type(t), Generation: 1, Members: 4, Needed: 2, Robust: 3, Accepted: []uint8{1, 2, 3}, Time: w.now(), By: owner}
	g.Conditions.Instance = string(while)
	for _, e := range edit {
		e(g)
	}
	w.plant(consent.Contract, "g/"+string(id), g)
	w.plant(consent.Contract, "w/"+string(id), [2][]byte{})
	return id
}

func (w *world) of(contract string) ledger.Reader { return keystest.Of(w.c, contract) }

func (w *world) now() int64 { return w.c.Now.UnixMilli() }

func (w *world) wait(d time.Duration) { w.c.Now = w.c.Now.Add(d) }

func (w *world) must(r chain.Result) {
	w.Helper()
	if r.Code != "" {
		w.Fatalf("refused as %s", r.Code)
	}
}

func (w *world) want(got, want chain.Code) {
	w.Helper()
	if got != want {
		w.Errorf("code is %q, want %q", got, want)
	}
}

func (w *world) do(signer, method string, args any) chain.Code {
	w.Helper()
	return w.c.Run(w.c.Tx(signer, workflow.Contract, method, args))[0].Code
}

// enact puts a definition in force.
func (w *world) enact(yaml []byte) *workflow.Definition {
	w.Helper()
	def, err := workflow.Compile(yaml)
	if err != nil {
		w.Fatal(err)
	}
	w.want(w.do("north", workflow.MethodDefine, workflow.DefineArgs{YAML: yaml}), "")
	args := workflow.VersionArgs{Definition: def.Name, Version: def.Version, Hash: def.Hash()}
	for _, m := range ledgertest.Members(w.c.Consortium.CheckpointThreshold + 1) {
		if m == "north" || w.version(def.Name) == def.Version {
			continue
		}
		w.want(w.do(m, workflow.MethodEndorse, args), "")
	}
	if w.version(def.Name) != def.Version {
		w.Fatal("not in force")
	}
	return def
}

func (w *world) version(name string) uint32 {
	p, err := workflow.Newest(w.of(workflow.Contract), name)
	if err != nil {
		return 0
	}
	return p.Version
}

func (w *world) instance(id workflow.ID) *workflow.Instance {
	w.Helper()
	i, err := workflow.Lookup(w.of(workflow.Contract), id)
	if err != nil {
		w.Fatal(err)
	}
	return i
}

// at checks where an instance is.
func (w *world) at(id workflow.ID, state string, holder identity.Name) {
	w.Helper()
	if i := w.instance(id); i.State != state || i.Holder != holder {
		w.Errorf("%s is held by %q, want %s by %q", i.State, i.Holder, state, holder)
	}
}

func (w *world) id() workflow.ID {
	w.Helper()
	id, err := workflow.GenerateID()
	if err != nil {
		w.Fatal(err)
	}
	return id
}

type fields map[string]workflow.Value

func (f fields) list() (out []workflow.Field) {
	for name, v := range f {
		out = append(out, workflow.Field{Name: name, Value: v})
	}
	return workflow.Sorted(out)
}

// begin starts an instance.
func (w *world) begin(who identity.Name, definition string, owner identity.Name, transition string, f fields, docs ...workflow.Document) (workflow.ID, chain.Code) {
	w.Helper()
	id := w.id()
	return id, w.do(string(who), workflow.MethodStart, workflow.StartArgs{
		ID: id, Definition: definition, Version: w.version(definition), Owner: owner, Transition: transition, Fields: f.list(), Documents: docs,
	})
}

// take takes a transition.
func (w *world) take(who identity.Name, id workflow.ID, transition string, f fields, docs ...workflow.Document) chain.Code {
	w.Helper()
	return w.do(string(who), workflow.MethodStep, workflow.StepArgs{ID: id, After: w.instance(id).Steps, Transition: transition, Fields: f.list(), Documents: docs})
}

func (w *world) number(id workflow.ID, variable string) int64 {
	w.Helper()
	v, ok := workflow.Get(w.instance(id).Variables, variable)
	if !ok {
		w.Fatalf("no variable %s", variable)
	}
	return v.Ints[0]
}

// ownType is the type of the prescription of an instance.
func ownType(id workflow.ID) string { return "medication/sealed:prescription/" + string(id) }

// issue starts a prescription with its document.
func (w *world) issue(who, owner identity.Name, edit fields) (workflow.ID, chain.Code) {
	w.Helper()
	id := w.id()
	f := fields{
		"quantity": workflow.Int(10_000), "repeats": workflow.Int(1), "schedule": workflow.Text("none"), "days": workflow.Int(30), "substitution": workflow.Text("allowed"),
	}
	for k, v := range edit {
		f[k] = v
	}
	return id, w.do(string(who), workflow.MethodStart, workflow.StartArgs{
		ID: id, Definition: "prescription", Version: 1, Owner: owner, Transition: "issue", Fields: f.list(),
		Documents: []workflow.Document{{Name: "prescription", Record: w.put(owner, who, ownType(id))}},
	})
}

func (w *world) shown(id workflow.ID, to identity.Name) workflow.Document {
	w.Helper()
	return workflow.Document{Name: "prescription", Grant: w.grant(w.instance(id).Owner, to, ownType(id), id)}
}

// approved is a prescription that was issued and reviewed.
func (w *world) approved(owner identity.Name, edit fields) workflow.ID {
	w.Helper()
	id, code := w.issue(physician, owner, edit)
	w.want(code, "")
	w.want(w.take(pharmacist, id, "review", nil, w.shown(id, pharmacist)), "")
	w.want(w.take(pharmacist, id, "approve", nil), "")
	return id
}

// claimed is a prescription that a pharmacy holds.
func (w *world) claimed(owner identity.Name, edit fields) workflow.ID {
	w.Helper()
	id := w.approved(owner, edit)
	w.want(w.take(owner, id, "offer", nil), "")
	w.want(w.take(pharmacy, id, "claim", nil), "")
	return id
}
