// Package keystest runs key ceremonies on a chain in memory, for tests: real
// machines for the members, every message through the contract.
package keystest

import (
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/pre"
)

// Window is the length of every phase.
const Window = 10 * time.Minute

// Keyless returns the founding file of a chain of n members that have not made
// their keys yet.
func Keyless(tb testing.TB, n int) *chain.Consortium {
	tb.Helper()
	k := ledgertest.Consortium(tb, n)
	k.ExtractionKey, k.CheckpointKey = nil, nil
	return k
}

// Members are the members' secrets.
type Members struct {
	Chain      *ledgertest.Chain
	Checkpoint map[string]*threshold.Share // by member
	Identity   map[string]*pre.Share
	Grants     map[string]map[string]*pre.Share // by grant, then by member
	Handed     map[string]map[string]*pre.Share // likewise, of a hand-over that is not in force yet
	Renamed    map[string]string                // names of node keys, as ledgertest.Key knows them, of members whose key is not their name's

	tb testing.TB
}

// New returns members without shares.
func New(tb testing.TB, c *ledgertest.Chain) *Members {
	return &Members{
		Chain: c, tb: tb, Checkpoint: make(map[string]*threshold.Share), Identity: make(map[string]*pre.Share),
		Grants: make(map[string]map[string]*pre.Share), Handed: make(map[string]map[string]*pre.Share),
	}
}

// signer returns the name of a member's node key.
func (m *Members) signer(name string) string {
	if s := m.Renamed[name]; s != "" {
		return s
	}
	return name
}

// namespace reads a contract's part of the chain's state.
type namespace struct {
	c      *ledgertest.Chain
	prefix string
}

// Of returns the namespace of a contract in the chain's state.
func Of(c *ledgertest.Chain, contract string) ledger.Reader { return namespace{c, contract + "\x00"} }

func (n namespace) Get(key []byte) ([]byte, error) {
	return n.c.State.Get(append([]byte(n.prefix), key...))
}

func (n namespace) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	p := func(b []byte) []byte { return append([]byte(n.prefix), b...) }
	return n.c.State.Scan(p(prefix), p(start), func(key, value []byte) bool { return fn(key[len(n.prefix):], value) })
}

// A Run is a ceremony under way.
type Run struct {
	*Members
	Number      uint64
	Description *dkg.Ceremony
	Machines    map[string]*dkg.Machine // by member
	Names       []string                // of those who take part, by number
	taken       uint64
}

// Keys returns the namespace of the contract.
func (m *Members) Keys() ledger.Reader { return Of(m.Chain, keys.Contract) }

// Must runs a transaction that has to succeed.
func (m *Members) Must(signer, contract, method string, args any) chain.Result {
	m.tb.Helper()
	r := m.Chain.Run(m.Chain.Tx(signer, contract, method, args))[0]
	if r.Code != "" {
		m.tb.Fatalf("%s/%s by %s: %s", contract, method, signer, r.Code)
	}
	return r
}

// OpenArgs returns the arguments that open the next ceremony.
func (m *Members) OpenArgs() keys.OpenArgs {
	m.tb.Helper()
	last, err := keys.Latest(m.Keys())
	if err != nil {
		m.tb.Fatal(err)
	}
	w := keys.Window{Milliseconds: uint64(Window.Milliseconds())}
	args := keys.OpenArgs{Number: 1, Windows: [4]keys.Window{w, w, w, w}}
	if last != nil {
		args.Number = last.Number + 1
	}
	return args
}

// Open opens a ceremony and starts the machines of all but the absent ones.
func (m *Members) Open(absent ...string) *Run {
	m.tb.Helper()
	return m.Resume(m.OpenArgs(), absent...)
}

// Resume is Open for a ceremony that may be Preparing already.
func (m *Members) Resume(args keys.OpenArgs, absent ...string) *Run {
	m.tb.Helper()
	for {
		m.Must(m.signer(m.Chain.Consortium.Members[0].Name), keys.Contract, keys.MethodOpen, args)
		if m.latest().Runs() {
			break
		}
	}
	return m.Attend(args.Number, absent...)
}

// Attend starts the machines of a ceremony that runs.
func (m *Members) Attend(number uint64, absent ...string) *Run {
	m.tb.Helper()
	r := &Run{Members: m, Number: number, Machines: make(map[string]*dkg.Machine)}
	var err error
	if r.Description, err = keys.Description(m.Keys(), number); err != nil {
		m.tb.Fatal(err)
	}
	before, err := keys.Current(m.Keys())
	if err != nil {
		m.tb.Fatal(err)
	}
	r.Names = slices.Clone(m.latest().Roster)
	if before != nil {
		for _, name := range before.Members {
			if !slices.Contains(r.Names, name) {
				r.Names = append(r.Names, name)
			}
		}
	}
	for _, name := range r.Names {
		if !slices.Contains(absent, name) {
			r.start(name, before)
		}
	}
	return r
}

func (r *Run) start(name string, before *keys.Authority) {
	r.tb.Helper()
	var old []*threshold.Share
	if before != nil && before.Index(name) > 0 {
		for _, s := range r.Description.Secrets {
			if len(s.Holders) > 0 && !slices.Contains(s.Holders, before.Index(name)) {
				continue
			}
			old = append(old, r.share(name, &s))
		}
	}
	key := ledgertest.Key(r.signer(name)).Public().(ed25519.PublicKey)
	machine, err := dkg.New(r.Description, key, old, nil)
	if err != nil {
		r.tb.Fatalf("%s: %v", name, err)
	}
	r.Machines[name] = machine
}

// share returns a member's newest share of a secret.
func (m *Members) share(name string, s *dkg.Secret) *threshold.Share {
	m.tb.Helper()
	if s.Use == dkg.UseCheckpoint {
		return m.Checkpoint[name]
	}
	of := m.Identity
	if s.Use == dkg.UseGrant {
		of = m.Grants[s.Label]
	}
	share, err := threshold.ParseShare(of[name].Bytes())
	if err != nil {
		m.tb.Fatal(err)
	}
	return share
}

func (m *Members) latest() *keys.Ceremony {
	m.tb.Helper()
	c, err := keys.Latest(m.Keys())
	if err != nil || c == nil {
		m.tb.Fatal(c, err)
	}
	return c
}

// Follow hands every machine what is new in the log.
func (r *Run) Follow() {
	r.tb.Helper()
	log, err := keys.Messages(r.Keys(), r.Number, r.taken)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.taken += uint64(len(log))
	for _, x := range log {
		for _, m := range r.Machines {
			if x.Raw == nil {
				err = m.Tick(x.At)
			} else {
				_ = m.Step(x.At, x.Raw)
			}
			if err != nil {
				r.tb.Fatal(err)
			}
		}
	}
}

// Post sends what the members owe, except the given ones.
func (r *Run) Post(except ...string) {
	r.tb.Helper()
	for _, name := range r.Names {
		m := r.Machines[name]
		if m == nil || slices.Contains(except, name) {
			continue
		}
		for _, msg := range m.Pending() {
			r.Send(name, msg.Phase(), 0, msg.Sign(ledgertest.Key(r.signer(name))))
		}
		r.Follow()
	}
}

// Send posts a message in as many parts as it takes.
func (r *Run) Send(name string, phase dkg.Phase, about uint8, raw []byte) {
	r.tb.Helper()
	for _, args := range Parts(r.Number, phase, about, raw) {
		r.Must(r.signer(name), keys.Contract, keys.MethodPost, args)
	}
}

// Parts returns the arguments that post a message.
func Parts(number uint64, phase dkg.Phase, about uint8, raw []byte) (list []keys.PostArgs) {
	for data := range slices.Chunk(raw, keys.MaxPart) {
		list = append(list, keys.PostArgs{Number: number, Phase: uint8(phase), About: about, Part: uint32(len(list)), Data: data})
	}
	for i := range list {
		list[i].Parts = uint32(len(list))
	}
	return list
}

// Close asks the contract what became of the ceremony, and follows.
func (r *Run) Close() chain.Code {
	r.tb.Helper()
	c := r.Chain
	code := c.Run(c.Tx(r.signer(c.Consortium.Members[0].Name), keys.Contract, keys.MethodClose, keys.CloseArgs{Number: r.Number}))[0].Code
	r.Follow()
	return code
}

// Finish plays honestly until the ceremony ends, and keeps the shares.
func (r *Run) Finish(except ...string) keys.State {
	r.tb.Helper()
	for range 12 {
		r.settle(except...)
		r.Close()
		if !r.latest().Runs() {
			r.Keep()
			return r.latest().State
		}
		r.Chain.Now = r.Chain.Now.Add(Window)
		r.Close()
	}
	r.tb.Fatalf("ceremony %d does not end", r.Number)
	return 0
}

// settle posts until nobody owes anything.
func (r *Run) settle(except ...string) {
	r.tb.Helper()
	for moved := true; moved; {
		before := r.taken
		r.Post(except...)
		moved = r.taken > before
	}
}

// ToConfirm plays honestly until the confirm phase begins.
func (r *Run) ToConfirm() {
	r.tb.Helper()
	r.settle()
	r.Chain.Now = r.Chain.Now.Add(Window)
	if code := r.Close(); code != "" {
		r.tb.Fatal(code)
	}
}

// FinishAll opens one ceremony after the other and finishes it until the keys
// have moved, and returns how many it took.
func (m *Members) FinishAll() (ceremonies int) {
	m.tb.Helper()
	for {
		r := m.Open()
		state := r.Finish()
		if ceremonies++; state != keys.Completed {
			m.tb.Fatalf("ceremony %d ends in state %d", r.Number, state)
		}
		if r.Description.Secrets[0].Use == dkg.UseCheckpoint {
			return ceremonies
		}
	}
}

// Keep takes the members' shares of the result, if there is one. Those of a part
// of a hand-over are not in use before the keys have moved.
func (r *Run) Keep() {
	r.tb.Helper()
	if r.latest().State == keys.Aborted {
		return
	}
	fresh := New(r.tb, r.Chain)
	fresh.Grants = r.Handed
	for _, s := range r.Description.Secrets {
		delete(fresh.Grants, s.Label) // of a hand-over that was given up
	}
	for name, m := range r.Machines {
		result, err := m.Result()
		if err != nil {
			r.tb.Fatalf("%s: %v", name, err)
		}
		for k, s := range r.Description.Secrets {
			if result.Shares == nil || result.Shares[k] == nil {
				continue
			}
			if s.Use == dkg.UseCheckpoint {
				fresh.Checkpoint[name] = result.Shares[k]
				continue
			}
			share, err := pre.ParseShare(result.Shares[k].Bytes())
			if err != nil {
				r.tb.Fatal(err)
			}
			if s.Use == dkg.UseIdentity {
				fresh.Identity[name] = share
				continue
			}
			if fresh.Grants[s.Label] == nil {
				fresh.Grants[s.Label] = make(map[string]*pre.Share)
			}
			fresh.Grants[s.Label][name] = share
		}
	}
	if r.Description.Secrets[0].Use == dkg.UseGrant {
		return
	}
	r.Checkpoint, r.Identity, r.Grants, r.Handed = fresh.Checkpoint, fresh.Identity, fresh.Grants, fresh.Handed
}

// Change replaces the consortium file by what edit makes of it, endorsed by
// all its members.
func (m *Members) Change(edit func(k *chain.Consortium)) {
	m.tb.Helper()
	c := m.Chain
	next := *c.Consortium
	next.Members = slices.Clone(next.Members)
	next.Epoch++
	founding, err := c.Consortium.FoundingHash()
	if err != nil {
		m.tb.Fatal(err)
	}
	next.Founding = founding
	edit(&next)
	var ends []chain.Endorsement
	for _, x := range c.Consortium.Members {
		e, err := chain.Endorse(&next, x.Name, ledgertest.Key(x.Name))
		if err != nil {
			m.tb.Fatal(err)
		}
		ends = append(ends, e)
	}
	args, err := chain.NextConsortium(&next, ends)
	if err != nil {
		m.tb.Fatal(err)
	}
	m.Must(c.Consortium.Members[0].Name, chain.SystemContract, chain.ConsortiumMethod, args)
}

// Adopt puts the keys of the authority in force into the consortium file.
func (m *Members) Adopt() {
	m.tb.Helper()
	a, err := keys.Current(m.Keys())
	if err != nil || a == nil {
		m.tb.Fatal(a, err)
	}
	s, err := a.Sharing()
	if err != nil {
		m.tb.Fatal(err)
	}
	v, err := threshold.ParseSharing(a.Checkpoint)
	if err != nil {
		m.tb.Fatal(err)
	}
	m.Change(func(k *chain.Consortium) { k.ExtractionKey, k.CheckpointKey = s.Key().Bytes(), v.Key().Bytes() })
}

// Found makes the consortium's first keys and puts them into its file.
func Found(tb testing.TB, c *ledgertest.Chain) *Members {
	tb.Helper()
	m := New(tb, c)
	if state := m.Open().Finish(); state != keys.Completed {
		tb.Fatalf("first ceremony ends in state %d", state)
	}
	m.Adopt()
	return m
}
