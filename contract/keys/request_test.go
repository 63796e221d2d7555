package keys_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/pre"
)

// smallOrder are the points of small order on Curve25519 and its twist, with
// their second encodings (RFC 7748, section 6.1): what is sealed to them is
// open to all.
var smallOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
	"4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
}

func transport(t testing.TB) []byte {
	t.Helper()
	k, err := pre.GenerateTransportKey()
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

func TestTransportKeysThatKeepNoSecret(t *testing.T) {
	for _, s := range smallOrder {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		if keys.ValidTransport(b) {
			t.Errorf("%s is accepted", s)
		}
	}
	good := transport(t)
	if !keys.ValidTransport(good) {
		t.Error("a fresh key is refused")
	}
	second := bytes.Clone(good)
	second[31] |= 0x80 // X25519 ignores the bit: it would be the same key
	for _, b := range [][]byte{nil, good[:31], append(bytes.Clone(good), 0), second} {
		if keys.ValidTransport(b) {
			t.Errorf("%x is accepted", b)
		}
	}
	// Not reduced: the same as 9, the base point.
	p9 := bytes.Repeat([]byte{0xff}, 32)
	p9[0], p9[31] = 0xf6, 0x7f
	if keys.ValidTransport(p9) {
		t.Error("a second encoding is accepted")
	}
}

func TestAnnounce(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	if got, err := keys.Transport(m.Keys(), "east"); got != nil || err != nil {
		t.Errorf("before: %x, %v", got, err)
	}
	first, second := transport(t), transport(t)
	for _, key := range [][]byte{first, second} {
		refused(t, run(m.Chain, "east", keys.MethodAnnounce, keys.AnnounceArgs{Transport: key}), "")
		if got, err := keys.Transport(m.Keys(), "east"); !bytes.Equal(got, key) || err != nil {
			t.Errorf("transport key is %x, %v", got, err)
		}
	}
	refused(t, run(m.Chain, "east", keys.MethodAnnounce, keys.AnnounceArgs{Transport: make([]byte, 32)}), keys.ErrMalformed)
	refused(t, run(m.Chain, "stranger", keys.MethodAnnounce, keys.AnnounceArgs{Transport: first}), keys.ErrDenied)
	refused(t, run(m.Chain, "east", keys.MethodAnnounce, []byte{0x80}), keys.ErrMalformed)
}

func TestRequestNamesTheIdentityThatTheKeysAreFor(t *testing.T) {
	const who = "p-7f3a@north"
	m := keystest.New(t, newChain(t, 4))
	key := ledgertest.Public(who)
	possession := ed25519.Sign(ledgertest.Key(who), identity.PossessionStatement(m.Chain.Consortium.Chain, identity.MethodRegister, who, key))
	m.Must("north", identity.Contract, identity.MethodRegister, identity.RegisterArgs{Name: who, Key: key, Possession: possession})
	args := keys.RequestArgs{Type: "clinical/exam", Transport: transport(t)}
	refused(t, run(m.Chain, who, keys.MethodRequest, args), keys.ErrNoKey)
	m.Open().Finish()
	refused(t, run(m.Chain, who, keys.MethodRequest, args), keys.ErrNoKey) // not in the consortium file yet
	m.Adopt()
	r := m.Must(who, keys.Contract, keys.MethodRequest, args)
	var result keys.RequestResult
	if err := chain.Unmarshal(r.Value, &result); err != nil {
		t.Fatal(err)
	}
	id, err := pre.ParseIdentity(result.Identity)
	if err != nil || id.Name != who || id.Version != 0 || !bytes.Equal(id.Key.Bytes(), m.Chain.Consortium.ExtractionKey) {
		t.Errorf("identity is %+v, %v", id, err)
	}
	for what, c := range map[string]struct {
		signer string
		args   any
		want   chain.Code
	}{
		"inbox":               {who, keys.RequestArgs{Inbox: true, Transport: transport(t)}, ""},
		"everything":          {who, keys.RequestArgs{Transport: transport(t)}, ""},
		"inbox of a type":     {who, keys.RequestArgs{Inbox: true, Type: "lab", Transport: transport(t)}, keys.ErrMalformed},
		"inbox by its type":   {who, keys.RequestArgs{Type: "#inbox", Transport: transport(t)}, keys.ErrMalformed},
		"no type":             {who, keys.RequestArgs{Type: "Lab", Transport: transport(t)}, keys.ErrMalformed},
		"sealed to everybody": {who, keys.RequestArgs{Transport: make([]byte, 32)}, keys.ErrMalformed},
		"no arguments":        {who, []byte{}, keys.ErrMalformed},
		"a member":            {"north", args, keys.ErrDenied},
		"a stranger":          {"stranger", args, keys.ErrDenied},
	} {
		if got := run(m.Chain, c.signer, keys.MethodRequest, c.args); got != c.want {
			t.Errorf("%s: code is %q, want %q", what, got, c.want)
		}
	}
	for method, args := range map[string]any{
		keys.MethodOpen: m.OpenArgs(), keys.MethodClose: keys.CloseArgs{Number: 1}, keys.MethodAnnounce: keys.AnnounceArgs{Transport: transport(t)},
		keys.MethodPost: keys.PostArgs{Number: 1, Phase: 4, Parts: 1, Data: []byte{1}},
	} {
		if got := run(m.Chain, who, method, args); got != keys.ErrDenied {
			t.Errorf("%s by an identity: %q", method, got)
		}
	}
	refused(t, run(m.Chain, "north", "nothing", args), keys.ErrDenied)
}

// family is a chain with its keys, a minor whose key her hospital holds, her
// guardian for an hour, and a stranger.
func family(t testing.TB) (*keystest.Members, func(signer string, args keys.RequestArgs) chain.Result) {
	m := keystest.New(t, newChain(t, 4))
	for _, who := range []identity.Name{"p-kid@north", "mum@south", "bob@south"} {
		key := ledgertest.Public(string(who))
		possession := ed25519.Sign(ledgertest.Key(string(who)), identity.PossessionStatement(m.Chain.Consortium.Chain, identity.MethodRegister, who, key))
		m.Must(who.Org(), identity.Contract, identity.MethodRegister, identity.RegisterArgs{Name: who, Key: key, Possession: possession, Controller: who == "p-kid@north"})
	}
	m.Open().Finish()
	m.Adopt()
	m.Must("north", identity.Contract, identity.MethodGuardian, identity.GuardianArgs{
		Name: "p-kid@north", Guardian: "mum@south", Kind: identity.Minor, Until: m.Chain.Now.Add(time.Hour).UnixMilli(),
	})
	return m, func(signer string, args keys.RequestArgs) chain.Result {
		t.Helper()
		if args.Transport == nil {
			args.Transport = transport(t)
		}
		return m.Chain.Run(m.Chain.Tx(signer, keys.Contract, keys.MethodRequest, args))[0]
	}
}

func TestGuardianGetsTheKeysOfTheWardAndTheChainSaysSo(t *testing.T) {
	m, ask := family(t)
	m.Must("p-kid@north", identity.Contract, identity.MethodEpoch, identity.EpochArgs{})
	want := []keys.KeyRequest{
		{By: "mum@south", Owner: "p-kid@north", Type: "clinical", Epoch: 1},
		{By: "mum@south", Owner: "p-kid@north", Type: "lab", Epoch: 0},
	}
	for i := range want {
		r := ask("mum@south", keys.RequestArgs{Type: want[i].Type, Epoch: want[i].Epoch, Owner: "p-kid@north"})
		refused(t, r.Code, "")
		want[i].Index, want[i].Time = m.Chain.Head.Header.Size-1, r.Time
		var result keys.RequestResult
		if err := chain.Unmarshal(r.Value, &result); err != nil {
			t.Fatal(err)
		}
		if id, err := pre.ParseIdentity(result.Identity); err != nil || id.Name != "p-kid@north" || id.Epoch != want[i].Epoch {
			t.Errorf("keys are for %+v, %v", id, err)
		}
		var told keys.KeyRequest
		if len(r.Events) != 1 || r.Events[0].Kind != keys.EventRequest || chain.Unmarshal(r.Events[0].Data, &told) != nil || told != want[i] {
			t.Errorf("events %+v", r.Events)
		}
	}
	// Her own requests are not logged, whether or not they name her.
	refused(t, ask("p-kid@north", keys.RequestArgs{Type: "lab"}).Code, "")
	refused(t, ask("p-kid@north", keys.RequestArgs{Type: "lab", Owner: "p-kid@north"}).Code, "")
	for after, from := range map[uint64]int{0: 0, want[0].Index: 1, want[1].Index: 2} {
		var got []keys.KeyRequest
		if err := keys.EachRequest(m.Keys(), "p-kid@north", after, func(q *keys.KeyRequest) bool {
			got = append(got, *q)
			return true
		}); err != nil || !slices.Equal(got, want[from:]) {
			t.Errorf("after %d: %+v, %v", after, got, err)
		}
	}
	first := 0
	if err := keys.EachRequest(m.Keys(), "p-kid@north", 0, func(*keys.KeyRequest) bool { first++; return false }); err != nil || first != 1 {
		t.Errorf("%d requests before it stopped, %v", first, err)
	}
}

// Attack: whoever is no guardian, or none any more, asks in an owner's name.
func TestNobodyElseGetsKeysOfAnOwner(t *testing.T) {
	m, ask := family(t)
	for what, c := range map[string]struct {
		signer string
		args   keys.RequestArgs
		want   chain.Code
	}{
		"a stranger":               {"bob@south", keys.RequestArgs{Owner: "p-kid@north"}, keys.ErrDenied},
		"the ward of her mother":   {"p-kid@north", keys.RequestArgs{Owner: "mum@south"}, keys.ErrDenied},
		"for nobody":               {"mum@south", keys.RequestArgs{Owner: "nobody@north"}, keys.ErrDenied},
		"for no name":              {"mum@south", keys.RequestArgs{Owner: "kid"}, keys.ErrDenied},
		"the inbox of the ward":    {"mum@south", keys.RequestArgs{Owner: "p-kid@north", Inbox: true}, keys.ErrDenied},
		"what her attributes open": {"mum@south", keys.RequestArgs{Owner: "p-kid@north", Type: "sealed:attributes"}, keys.ErrDenied},
		"a part of it":             {"mum@south", keys.RequestArgs{Owner: "p-kid@north", Type: "sealed:attributes/x"}, keys.ErrDenied},
		"an epoch to come":         {"mum@south", keys.RequestArgs{Owner: "p-kid@north", Epoch: 1}, keys.ErrEpoch},
		"her hospital":             {"north", keys.RequestArgs{Owner: "p-kid@north"}, keys.ErrDenied},
	} {
		if r := ask(c.signer, c.args); r.Code != c.want {
			t.Errorf("%s: %q, want %q", what, r.Code, c.want)
		}
	}
	refused(t, ask("mum@south", keys.RequestArgs{Owner: "p-kid@north"}).Code, "")
	m.Chain.Now = m.Chain.Now.Add(time.Hour + time.Millisecond)
	refused(t, ask("mum@south", keys.RequestArgs{Owner: "p-kid@north"}).Code, keys.ErrDenied)
}

// Attack: a guardian, or t members through one, collect halves of the keys of an
// owner in self-custody.
func TestGuardianGetsNoKeyOfAnOwnerInSelfCustody(t *testing.T) {
	m, ask := family(t)
	m.Must("mum@south", identity.Contract, identity.MethodGuardian, identity.GuardianArgs{Name: "mum@south", Guardian: "bob@south", Kind: identity.Delegate})
	refused(t, ask("bob@south", keys.RequestArgs{Owner: "mum@south"}).Code, "")
	x, err := pre.GenerateCustodyKey()
	if err != nil {
		t.Fatal(err)
	}
	proof, err := x.Prove(m.Chain.Consortium.Chain, "mum@south", 1)
	if err != nil {
		t.Fatal(err)
	}
	m.Must("mum@south", identity.Contract, identity.MethodCustody, identity.CustodyArgs{Proof: proof})
	refused(t, ask("bob@south", keys.RequestArgs{Owner: "mum@south"}).Code, keys.ErrCustody)
	refused(t, ask("mum@south", keys.RequestArgs{}).Code, "")
	m.Must("mum@south", identity.Contract, identity.MethodCustodyOff, identity.CustodyOffArgs{From: 1})
	refused(t, ask("bob@south", keys.RequestArgs{Owner: "mum@south", Epoch: 1}).Code, "")
}
