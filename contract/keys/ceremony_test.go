package keys_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/dkg/threshold"
)

func noGrants(ledger.Reader, int64, string, func(keys.LiveGrant) bool) error { return nil }

func newChain(t testing.TB, n int) *ledgertest.Chain { return newChainOf(t, n, noGrants) }

func newChainOf(t testing.TB, n int, live keys.Live) *ledgertest.Chain {
	return ledgertest.NewFrom(t, keystest.Keyless(t, n), map[string]ledger.Contract{
		keys.Contract: keys.New(live), identity.Contract: identity.New(),
	})
}

func current(t testing.TB, m *keystest.Members) *keys.Authority {
	t.Helper()
	a, err := keys.Current(m.Keys())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func latest(t testing.TB, m *keystest.Members) *keys.Ceremony {
	t.Helper()
	c, err := keys.Latest(m.Keys())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run returns the code of a transaction.
func run(c *ledgertest.Chain, signer, method string, args any) chain.Code {
	return c.Run(c.Tx(signer, keys.Contract, method, args))[0].Code
}

func refused(t testing.TB, got, want chain.Code) {
	t.Helper()
	if got != want {
		t.Errorf("code is %q, want %q", got, want)
	}
}

func TestFirstCeremonyMakesTheKeys(t *testing.T) {
	m := keystest.Found(t, newChain(t, 4))
	a := current(t, m)
	if a.Generation != 1 || a.Ceremony != 1 || !a.Complete || len(a.Holders) != 4 || a.Index("south") != 3 || a.Index("nobody") != 0 {
		t.Errorf("authority is %+v", a)
	}
	s, err := a.Sharing()
	if err != nil {
		t.Fatal(err)
	}
	for name, share := range m.Identity {
		if err := share.Check(s); err != nil || share.Index() != a.Index(name) {
			t.Errorf("share of %s: %v", name, err)
		}
	}
	c := latest(t, m)
	if c.State != keys.Completed || c.Opened != 0 || c.Ended == 0 || c.Moving() {
		t.Errorf("ceremony is %+v", c)
	}
}

// TestTheKeysOutliveTheMembers moves the keys to five members and back to four
// of which one is new.
func TestTheKeysOutliveTheMembers(t *testing.T) {
	m := keystest.Found(t, newChain(t, 4))
	before := current(t, m)
	resize := func(n int, drop ...string) {
		want := ledgertest.Consortium(t, n)
		m.Change(func(k *chain.Consortium) {
			k.Members = slices.DeleteFunc(want.Members, func(x chain.Member) bool { return slices.Contains(drop, x.Name) })
			n := len(k.Members)
			k.KeyThreshold, k.CheckpointThreshold = n/2+1, (n+(n-1)/3)/2+1
		})
		if s := m.Open().Finish(); s != keys.Completed {
			t.Fatalf("the ceremony for %d ends in state %d", n, s)
		}
	}
	resize(5)
	resize(5, "east") // east leaves, but deals once more
	a := current(t, m)
	if !slices.Equal(a.Members, []string{"north", "south", "west", "x5"}) || a.Generation != 3 {
		t.Errorf("authority is %+v", a)
	}
	old, err := before.Sharing()
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Sharing()
	if err != nil || !s.Key().Equal(old.Key()) {
		t.Errorf("the extraction key changed: %v", err)
	}
	v, err := threshold.ParseSharing(a.Checkpoint)
	if err != nil || !bytes.Equal(v.Key().Bytes(), m.Chain.Consortium.CheckpointKey) {
		t.Errorf("the checkpoint key changed: %v", err)
	}
	if m.Identity["east"] != nil {
		t.Error("who left has a share of the new generation")
	}
}

// TestTheLeaverMayPostThoughItIsNoMember holds the contract to the ceremony's
// roster, not the consortium's.
func TestTheLeaverMayPostThoughItIsNoMember(t *testing.T) {
	m := keystest.Found(t, newChain(t, 5))
	m.Change(func(k *chain.Consortium) {
		k.Members = k.Members[1:]
		k.KeyThreshold, k.CheckpointThreshold = 3, 3
	})
	r := m.Open()
	r.Post()
	log, err := keys.Messages(m.Keys(), r.Number, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(log, func(x keys.Message) bool { return x.Sender == "east" }) {
		t.Error("the log has no message of the leaver")
	}
	refused(t, run(m.Chain, "east", keys.MethodClose, keys.CloseArgs{Number: r.Number}), keys.ErrDenied)
}

// TestAMemberWhoseNodeHasANewKeyStillDeals its old shares.
func TestAMemberWhoseNodeHasANewKeyStillDeals(t *testing.T) {
	m := keystest.Found(t, newChain(t, 4))
	m.Change(func(k *chain.Consortium) { k.Members[1].NodeKey = ledgertest.Public("north's new node") })
	m.Renamed = map[string]string{"north": "north's new node"}
	r := m.Open()
	if s := r.Finish(); s != keys.Completed {
		t.Fatalf("ends in state %d", s)
	}
	if q := r.Machines["east"].Qualified(); !slices.Equal(q, []uint8{1, 2, 3, 4}) {
		t.Errorf("%v qualify", q)
	}
}

func TestAnAbsentMemberAbortsTheFirstCeremony(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	if s := m.Open("west").Finish(); s != keys.Aborted {
		t.Fatalf("ends in state %d", s)
	}
	if a := current(t, m); a != nil {
		t.Fatalf("authority is %+v", a)
	}
	// With everybody there it works, under a number and generation of its own.
	if s := m.Open().Finish(); s != keys.Completed {
		t.Fatalf("ends in state %d", s)
	}
	if a := current(t, m); a.Generation != 2 || a.Ceremony != 2 {
		t.Errorf("authority is %+v", a)
	}
}

// TestAnAbsentMemberDelaysNoRefresh: three of four move the keys, and the old
// shares serve until the fourth has confirmed or another ceremony follows.
func TestAnAbsentMemberDelaysNoRefresh(t *testing.T) {
	m := keystest.Found(t, newChain(t, 4))
	r := m.Open("west")
	if s := r.Finish(); s != keys.Active {
		t.Fatalf("ends in state %d", s)
	}
	a := current(t, m)
	if a.Generation != 2 || a.Complete || !slices.Equal(a.Holders, []uint8{1, 2, 3}) {
		t.Errorf("authority is %+v", a)
	}
	refused(t, run(m.Chain, "east", keys.MethodOpen, m.OpenArgs()), keys.ErrRunning) // west still has time
	refused(t, r.Close(), keys.ErrRunning)
	m.Chain.Now = m.Chain.Now.Add(keystest.Window)
	if s := m.Open().Finish(); s != keys.Completed {
		t.Fatalf("the next ends in state %d", s)
	}
	if len(m.Identity) != 4 {
		t.Errorf("%d members hold shares", len(m.Identity))
	}
}

// TestWindowsThatNeverEndOrLastForYears are refused: with a window of 2^32
// transactions and no time one silent member kept everybody from granting, and
// from any other ceremony, for good.
func TestWindowsThatNeverEndOrLastForYears(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	const week = 7 * 24 * 3_600_000
	for _, w := range []keys.Window{{}, {Positions: 1 << 32}, {Positions: 1}, {Positions: 1<<32 + 1, Milliseconds: 1}, {Milliseconds: week + 1}} {
		for i := range 4 {
			args := m.OpenArgs()
			args.Windows[i] = w
			refused(t, run(m.Chain, "east", keys.MethodOpen, args), keys.ErrMalformed)
		}
	}
	refused(t, run(m.Chain, "east", keys.MethodOpen, []byte{1}), keys.ErrMalformed)
	refused(t, run(m.Chain, "east", keys.MethodClose, []byte{1}), keys.ErrMalformed)
}

func TestOneCeremonyAtATime(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	args := m.OpenArgs()
	two := args
	two.Number = 2
	refused(t, run(m.Chain, "east", keys.MethodOpen, two), keys.ErrNumber)
	refused(t, run(m.Chain, "east", keys.MethodOpen, args), "")
	refused(t, run(m.Chain, "north", keys.MethodOpen, args), keys.ErrRunning)
	refused(t, run(m.Chain, "north", keys.MethodOpen, two), keys.ErrRunning)
}

func TestKeysThatNoCeremonyMadeAreNotReplaced(t *testing.T) {
	c := ledgertest.New(t, map[string]ledger.Contract{keys.Contract: keys.New(noGrants), identity.Contract: identity.New()})
	m := keystest.New(t, c)
	refused(t, run(c, "east", keys.MethodOpen, m.OpenArgs()), keys.ErrNoKey)
}

func TestAFileWithOtherKeysStopsTheNextCeremony(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	m.Open().Finish()
	foreign := ledgertest.Consortium(t, 4)
	m.Change(func(k *chain.Consortium) {
		k.ExtractionKey, k.CheckpointKey = foreign.ExtractionKey, foreign.CheckpointKey
	})
	refused(t, run(m.Chain, "east", keys.MethodOpen, m.OpenArgs()), keys.ErrNoKey)
}

func TestThresholdsThatNoCeremonyCanHave(t *testing.T) {
	k := keystest.Keyless(t, 4)
	k.CheckpointThreshold = 4
	c := ledgertest.NewFrom(t, k, map[string]ledger.Contract{keys.Contract: keys.New(noGrants), identity.Contract: identity.New()})
	refused(t, run(c, "east", keys.MethodOpen, keystest.New(t, c).OpenArgs()), keys.ErrThresholds)
}

func TestNothingToCloseIsSaidAtOnce(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	refused(t, run(m.Chain, "east", keys.MethodClose, keys.CloseArgs{Number: 1}), keys.ErrUnknown)
	r := m.Open()
	refused(t, r.Close(), keys.ErrRunning)
	refused(t, run(m.Chain, "east", keys.MethodClose, keys.CloseArgs{Number: 2}), keys.ErrUnknown)
	r.Post()
	refused(t, r.Close(), "") // another phase
	refused(t, r.Close(), keys.ErrRunning)
}

// TestMachinesThatReadTheLogLaterAgree runs an auditor over the whole log when
// all is over.
func TestMachinesThatReadTheLogLaterAgree(t *testing.T) {
	m := keystest.Found(t, newChain(t, 4))
	d, err := keys.Description(m.Keys(), 1)
	if err != nil {
		t.Fatal(err)
	}
	auditor, err := dkg.New(d, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := keys.Messages(m.Keys(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range log {
		if x.Raw == nil {
			err = auditor.Tick(x.At)
		} else {
			err = auditor.Step(x.At, x.Raw)
		}
		if err != nil {
			t.Errorf("%v: %v", x.At, err)
		}
	}
	result, err := auditor.Result()
	if err != nil || !bytes.Equal(result.Sharings[1].Bytes(), current(t, m).Identity) {
		t.Errorf("the auditor finds another key: %v", err)
	}
	if tail, err := keys.Messages(m.Keys(), 1, uint64(len(log)-1)); err != nil || len(tail) != 1 || tail[0].At != log[len(log)-1].At {
		t.Errorf("reading on gives %d messages, %v", len(tail), err)
	}
}

// TestEveryReplicaComesToTheSameState executes the whole chain again.
func TestEveryReplicaComesToTheSameState(t *testing.T) {
	contracts := func() map[string]ledger.Contract {
		return map[string]ledger.Contract{keys.Contract: keys.New(noGrants), identity.Contract: identity.New()}
	}
	used := contracts()
	m := keystest.Found(t, ledgertest.NewFrom(t, keystest.Keyless(t, 4), used))
	r := m.Open("west")
	refused(t, r.Close(), keys.ErrRunning)
	r.Finish()
	replay(t, m.Chain, contracts())
	replay(t, m.Chain, used) // what it remembers is of a later time
}

// TestACloseThatWasNeverCommittedLeavesNoTrace in what the contract remembers,
// as when a block is executed and then another in its place.
func TestACloseThatWasNeverCommittedLeavesNoTrace(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	c := m.Chain
	r := m.Open()
	r.Post()
	r.Post()
	c.Now = c.Now.Add(keystest.Window)
	e := c.Entry([]*chain.Tx{c.Tx("east", keys.Contract, keys.MethodClose, keys.CloseArgs{Number: 1})}, nil)
	if out, err := c.Executor.Apply(c.Head, &c.State, e); err != nil || out.Block.Results[0].Code != "" {
		t.Fatal(out.Block.Results[0].Code, err)
	}
	c.Now = c.Now.Add(keystest.Window)
	m.Must("east", keys.Contract, keys.MethodAnnounce, keys.AnnounceArgs{Transport: transport(t)})
	refused(t, r.Close(), "")
	r.Post()
	refused(t, r.Close(), "")
	if l := latest(t, m); l.State != keys.Completed {
		t.Fatalf("ends in state %d", l.State)
	}
	replay(t, c, map[string]ledger.Contract{keys.Contract: keys.New(noGrants), identity.Contract: identity.New()})
}

// TestACloseThatFailedElsewhereLeavesNoTrace: a machine that has seen a later
// point must not overlook a message before it.
func TestACloseThatFailedElsewhereLeavesNoTrace(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	c := m.Chain
	r := m.Open()
	r.Post("south", "west")
	begin := c.Now
	c.Now = c.Now.Add(keystest.Window / 2)
	e := c.Entry([]*chain.Tx{c.Tx("east", keys.Contract, keys.MethodClose, keys.CloseArgs{Number: 1})}, nil)
	if out, err := c.Executor.Apply(c.Head, &c.State, e); err != nil || out.Block.Results[0].Code != keys.ErrRunning {
		t.Fatal(out.Block.Results[0].Code, err)
	}
	c.Now = begin
	if s := r.Finish(); s != keys.Completed {
		t.Fatalf("ends in state %d", s)
	}
	replay(t, c, map[string]ledger.Contract{keys.Contract: keys.New(noGrants), identity.Contract: identity.New()})
}

func replay(t *testing.T, c *ledgertest.Chain, contracts map[string]ledger.Contract) {
	t.Helper()
	x, err := ledger.NewExecutor(contracts)
	if err != nil {
		t.Fatal(err)
	}
	head, writes, err := ledger.Genesis(c.Founding)
	if err != nil {
		t.Fatal(err)
	}
	var state ledgertest.State
	state.Apply(writes)
	for _, b := range c.Blocks {
		out, err := x.Replay(head, &state, b)
		if err != nil {
			t.Fatal(err)
		}
		state.Apply(out.Writes)
		head = out.Head
	}
}
