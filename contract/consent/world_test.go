package consent_test

import (
	"crypto/ed25519"
	"slices"
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
	"github.com/ward-health/ward/pre"
)

const (
	patient  identity.Name = "p-7f3a@north"
	other    identity.Name = "p-0001@north" // another patient
	reader   identity.Name = "dr.lee@south"
	stranger identity.Name = "dr.who@west"
	witness  identity.Name = "dr.kim@south"  // emergency clinician
	reviewer identity.Name = "board@north"   // closes reviews
	author   identity.Name = "lab@north"     // writes records
	nurse    identity.Name = "nurse.b@south" // has role=nurse
)

const day = 24 * time.Hour

// world is a consortium with its keys made, and people in it.
type world struct {
	testing.TB
	c       *ledgertest.Chain
	members *keystest.Members
	writer  pre.Encapsulator
	sealed  map[consent.GrantID][]*pre.Share // as dealt
	custody map[identity.Name]*pre.CustodyKey
	signers map[identity.Name]string // names of their keys, if they rotated
}

// contracts are fresh ones.
func contracts() map[string]ledger.Contract { return contractsOf(holds) }

func contractsOf(holds consent.Holds) map[string]ledger.Contract {
	return map[string]ledger.Contract{
		identity.Contract: identity.New(), record.Contract: record.New(), consent.Contract: consent.New(holds), keys.Contract: keys.New(consent.Live),
		workflows: holding{},
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, holds)
}

func newWorldOf(t testing.TB, holds consent.Holds) *world {
	t.Helper()
	c := ledgertest.NewFrom(t, keystest.Keyless(t, 4), contractsOf(holds))
	w := &world{
		TB: t, c: c, members: keystest.Found(t, c), sealed: make(map[consent.GrantID][]*pre.Share), custody: make(map[identity.Name]*pre.CustodyKey),
	}
	w.register(patient)
	w.register(other)
	w.register(reader, identity.Emergency)
	w.register(stranger)
	w.register(witness, identity.Emergency)
	w.register(reviewer, identity.Reviewer)
	w.register(author, identity.Author)
	w.register(nurse, "role=nurse")
	return w
}

func (w *world) register(name identity.Name, attributes ...string) {
	w.Helper()
	key := ledgertest.Public(string(name))
	args := identity.RegisterArgs{
		Name: name, Key: key,
		Possession: ed25519.Sign(ledgertest.Key(string(name)), identity.PossessionStatement(w.c.Consortium.Chain, identity.MethodRegister, name, key)),
	}
	args.Attributes = attest(attributes)
	w.must(w.run(name.Org(), identity.Contract, identity.MethodRegister, args, nil))
}

func attest(list []string) (out []identity.Attribute) {
	for _, a := range list {
		n, v, _ := strings.Cut(a, "=")
		out = append(out, identity.Attribute{Name: n, Value: v})
	}
	return out
}

func (w *world) must(r chain.Result) chain.Result {
	w.Helper()
	if r.Code != "" {
		w.Fatalf("refused as %s", r.Code)
	}
	return r
}

// refused checks the code of a refusal.
func (w *world) refused(r chain.Result, want chain.Code) {
	w.Helper()
	if r.Code != want {
		w.Errorf("code is %q, want %q", r.Code, want)
	}
}

// run appends a block with one transaction.
func (w *world) run(signer, contract, method string, args any, sidecar []byte) chain.Result {
	w.Helper()
	b, ok := args.([]byte)
	if !ok {
		var err error
		if b, err = chain.Marshal(args); err != nil {
			w.Fatal(err)
		}
	}
	body := chain.TxBody{Contract: contract, Method: method, Args: b}
	var sidecars [][]byte
	if sidecar != nil {
		s, err := chain.NewSidecar(sidecar)
		if err != nil {
			w.Fatal(err)
		}
		body.Sidecar, sidecars = s, [][]byte{sidecar}
	}
	return w.c.Apply(w.c.Entry([]*chain.Tx{w.c.TxWith(signer, body)}, sidecars)).Block.Results[0]
}

func (w *world) do(who identity.Name, method string, args any) chain.Result {
	w.Helper()
	return w.run(string(who), consent.Contract, method, args, nil)
}

func (w *world) of(contract string) ledger.Reader { return keystest.Of(w.c, contract) }

// last is the leaf index of the newest transaction.
func (w *world) last() uint64 { return w.c.Head.Header.Size - 1 }

func (w *world) now() int64 { return w.c.Now.UnixMilli() }

func (w *world) wait(d time.Duration) { w.c.Now = w.c.Now.Add(d) }

func (w *world) identity(name identity.Name) *identity.Identity {
	w.Helper()
	id, err := identity.Lookup(w.of(identity.Contract), name)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// recipient is the identity as package pre needs it.
func (w *world) recipient(name identity.Name) pre.Identity {
	w.Helper()
	p, err := pre.ParsePublicKey(w.c.Consortium.ExtractionKey)
	if err != nil {
		w.Fatal(err)
	}
	id, err := w.identity(name).Recipient(w.c.Consortium.Chain, p)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

func (w *world) authority() *keys.Authority {
	w.Helper()
	a, err := keys.Current(w.of(keys.Contract))
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// key extracts an identity's key of a type, or its inbox key, from t members.
func (w *world) key(name identity.Name, t pre.Type, inbox bool) *pre.PrivateKey {
	w.Helper()
	a := w.authority()
	s, err := a.Sharing()
	if err != nil {
		w.Fatal(err)
	}
	id := w.recipient(name)
	plain := id
	plain.Version = 0
	plain.Key = s.Key()
	var parts []*pre.PartialKey
	for _, member := range a.Members[:s.Threshold()] {
		share := w.members.Identity[member]
		var p *pre.PartialKey
		if inbox {
			p, err = share.ExtractInbox(plain)
		} else {
			p, err = share.Extract(plain, t)
		}
		if err != nil {
			w.Fatal(err)
		}
		parts = append(parts, p)
	}
	var k *pre.PrivateKey
	if inbox {
		k, err = s.CombineInboxKey(plain, parts)
	} else {
		k, err = s.CombineKey(plain, t, parts)
	}
	if err != nil {
		w.Fatal(err)
	}
	if id.SelfCustody() {
		if k, err = w.custody[name].Complete(k, id); err != nil {
			w.Fatal(err)
		}
	}
	return k
}

// takeCustody puts an identity into self-custody.
func (w *world) takeCustody(name identity.Name) {
	w.Helper()
	x, err := pre.GenerateCustodyKey()
	if err != nil {
		w.Fatal(err)
	}
	proof, err := x.Prove(w.c.Consortium.Chain, string(name), w.identity(name).Custodies+1)
	if err != nil {
		w.Fatal(err)
	}
	w.must(w.run(string(name), identity.Contract, identity.MethodCustody, identity.CustodyArgs{Proof: proof}, nil))
	w.custody[name] = x
}

// put writes a record for an owner, dated some days before the chain's present.
func (w *world) put(owner identity.Name, t pre.Type, daysAgo int) record.ID {
	w.Helper()
	id, err := record.GenerateID()
	if err != nil {
		w.Fatal(err)
	}
	to := w.recipient(owner)
	env, index, err := w.writer.Encapsulate(pre.Header{Record: string(id), Owner: to, Type: t, Author: string(author)}, []byte("index of "+id))
	if err != nil {
		w.Fatal(err)
	}
	const dayMS = 86_400_000
	w.must(w.run(string(author), record.Contract, record.MethodPut, record.PutArgs{
		ID: id, Owner: owner, Type: t, Version: to.Version, Epoch: to.Epoch, Envelope: env.Bytes(),
		Dated: (w.now()/dayMS - int64(daysAgo)) * dayMS,
	}, index))
	return id
}

// offer is a grant before it is sent.
type offer struct {
	w       *world
	owner   identity.Name
	args    consent.GrantArgs
	id      consent.GrantID
	sidecar []byte
	shares  []*pre.Share
}

// terms are what offer deals besides owner, recipient and type.
type terms struct {
	consent.Conditions
	expose bool
	to     pre.Recipient    // a policy, instead of a name
	edit   func(*pre.Terms) // before the grant is dealt
}

// offer deals a grant, and makes the arguments that put it on the chain.
func (w *world) offer(owner, to identity.Name, t pre.Type, opt terms) *offer {
	w.Helper()
	id, err := consent.GenerateID()
	if err != nil {
		w.Fatal(err)
	}
	hash, err := opt.Conditions.Hash()
	if err != nil {
		w.Fatal(err)
	}
	a := w.authority()
	s, err := a.Sharing()
	if err != nil {
		w.Fatal(err)
	}
	pt := pre.Terms{
		ID: string(id), Conditions: hash, Generation: a.Generation, Members: uint8(s.Members()), Threshold: uint8(s.Threshold()),
		Everything: t == "", Expose: opt.expose,
	}
	if opt.edit != nil {
		opt.edit(&pt)
	}
	var recipient pre.Recipient
	if recipient = opt.to; opt.to == nil {
		recipient = w.recipient(to)
	}
	g, shares, err := w.key(owner, t, false).Grant(pt, recipient)
	if err != nil {
		w.Fatal(err)
	}
	return &offer{
		w: w, owner: owner, id: consent.GrantID(pt.ID), sidecar: []byte("sealed shares"), shares: shares,
		args: consent.GrantArgs{Grant: g.Bytes(), Recipient: to, Conditions: opt.Conditions, Everything: t == "", Expose: opt.expose},
	}
}

// send puts the grant on the chain.
func (o *offer) send() chain.Result {
	o.w.Helper()
	r := o.w.run(string(o.owner), consent.Contract, consent.MethodGrant, o.args, o.sidecar)
	if r.Code == "" {
		o.w.sealed[o.id] = o.shares
	}
	return r
}

// accept lets members accept a grant.
func (w *world) accept(id consent.GrantID, members ...string) {
	w.Helper()
	for _, m := range members {
		w.must(w.run(m, consent.Contract, consent.MethodAccept, consent.AcceptArgs{Accepts: []consent.Accept{{Grant: id, OK: true}}}, nil))
		if w.members.Grants[string(id)] == nil {
			w.members.Grants[string(id)] = make(map[string]*pre.Share)
		}
		w.members.Grants[string(id)][m] = w.sealed[id][w.authority().Index(m)-1]
	}
}

// grant makes a grant that all members accepted.
func (w *world) grant(owner, to identity.Name, t pre.Type, opt terms) consent.GrantID {
	w.Helper()
	o := w.offer(owner, to, t, opt)
	w.must(o.send())
	w.accept(o.id, w.authority().Members...)
	return o.id
}

func (w *world) lookup(id consent.GrantID) *consent.Grant {
	w.Helper()
	g, err := consent.Lookup(w.of(consent.Contract), id)
	if err != nil {
		w.Fatal(err)
	}
	return g
}

func (w *world) revoke(id consent.GrantID) {
	w.Helper()
	w.must(w.do(w.lookup(id).Owner, consent.MethodRevoke, consent.RevokeArgs{Grant: id}))
}

// transport returns a fresh transport key.
func (w *world) transport() *pre.TransportKey {
	w.Helper()
	k, err := pre.GenerateTransportKey()
	if err != nil {
		w.Fatal(err)
	}
	return k
}

// ask makes the arguments of an access for treatment.
func (w *world) ask(g consent.GrantID, ids ...record.ID) consent.AccessArgs {
	w.Helper()
	slices.Sort(ids)
	return consent.AccessArgs{Grant: g, Records: ids, Purpose: consent.Treatment, Transport: w.transport().Public()}
}

// approve signs an access or emergency of who as the given co-signers.
func (w *world) approve(who identity.Name, method string, args any, signers ...identity.Name) []consent.Approval {
	w.Helper()
	b, err := consent.ApprovalStatement(w.c.Consortium.Chain, who, method, args)
	if err != nil {
		w.Fatal(err)
	}
	slices.Sort(signers)
	var list []consent.Approval
	for _, s := range signers {
		list = append(list, consent.Approval{Name: s, Signature: ed25519.Sign(ledgertest.Key(string(s)), b)})
	}
	return list
}

// serveable asks whether members may answer the newest access now.
func (w *world) serveable(index uint64, at int64) error {
	w.Helper()
	a, err := consent.LookupAccess(w.of(consent.Contract), index)
	if err != nil {
		w.Fatal(err)
	}
	return consent.Serveable(w.c.Consortium, w.of, a, at, holds)
}

func idsOf(ids ...record.ID) []record.ID { return ids }
