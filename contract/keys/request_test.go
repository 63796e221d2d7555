package keys_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"testing"

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
