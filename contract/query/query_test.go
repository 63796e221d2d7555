package query_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
)

var questions = []query.Question{
	query.Identity{Name: "p-1@north"},
	query.Identities{Org: "north", After: "p-1@north", Limit: 7},
	query.Identities{},
	query.Record{ID: "r-aaaaaaaaaaaaaaaaaaaaaaaaaa"},
	query.Records{Owner: "p-1@north", Type: "clinical/sealed:hiv", Since: -1, Until: math.MaxInt64, Author: "lab@north", Erased: true, After: 9, Limit: 1000},
	query.Records{Owner: "p-1@north", Grant: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa"},
	query.Grant{ID: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa"},
	query.Grants{Owner: "p-1@north"},
	query.Grants{Recipient: "p-1@north", After: 1, Limit: 2},
	query.Grants{Owner: "p-1@north", Reader: "dr.lee@south"},
	query.Grants{Authority: "south"},
	query.Grants{Authority: "south", Reader: "dr.lee@south", After: 3},
	query.AttributeAuthority{Name: "south"},
	query.AttributeAuthority{Name: "south", Epoch: math.MaxUint64},
	query.Defaults{Org: "south"},
	query.Requests{Owner: "p-1@north"},
	query.Requests{From: "p-1@north"},
	query.Accesses{},
	query.Accesses{Owner: "p-1@north", Open: true},
	query.Accesses{Reader: "p-1@north"},
	query.Accesses{Record: "r-aaaaaaaaaaaaaaaaaaaaaaaaaa"},
	query.Authority{},
	query.KeyRequests{Owner: "p-1@north", After: 3, Limit: 4},
}

func TestQuestionsSurviveTheirEncoding(t *testing.T) {
	for _, q := range questions {
		b, err := query.Encode(q)
		if err != nil {
			t.Fatalf("%s: %v", q.Kind(), err)
		}
		back, err := query.Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", q.Kind(), err)
		}
		if !reflect.DeepEqual(back, q) {
			t.Errorf("%+v became %+v", q, back)
		}
	}
}

func TestMalformedQuestionsAreRefused(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, q := range []query.Question{
		nil,
		query.Identity{},
		query.Identity{Name: "nobody"},
		query.Identities{Org: long},
		query.Identities{After: "nobody"},
		query.Identities{Limit: -1},
		query.Identities{Limit: query.MaxLimit + 1},
		query.Record{},
		query.Record{ID: record.ID(long)},
		query.Records{},
		query.Records{Owner: "p-1@north", Type: "#inbox"},
		query.Records{Owner: "p-1@north", Author: "nobody"},
		query.Records{Owner: "p-1@north", Grant: consent.GrantID(long)},
		query.Records{Owner: "p-1@north", After: math.MaxUint64},
		query.Grant{},
		query.Grants{},
		query.Grants{Owner: "p-1@north", Recipient: "p-2@north"},
		query.Grants{Owner: "p-1@north", Authority: "north"},
		query.Grants{Recipient: "p-1@north", Authority: "north"},
		query.Grants{Recipient: "p-1@north", Reader: "p-1@north"},
		query.Grants{Reader: "p-1@north"},
		query.Grants{Authority: "North"},
		query.Grants{Authority: long},
		query.Grants{Authority: "north", Reader: "nobody"},
		query.Grants{Authority: "north", Limit: -1},
		query.AttributeAuthority{},
		query.AttributeAuthority{Name: long},
		query.Defaults{},
		query.Defaults{Org: "a/b c"},
		query.Requests{},
		query.KeyRequests{},
		query.KeyRequests{Owner: "nobody"},
		query.KeyRequests{Owner: "p-1@north", Limit: -1},
		query.Requests{Owner: "p-1@north", From: "p-2@north"},
		query.Accesses{Owner: "p-1@north", Reader: "p-2@north"},
		query.Accesses{Reader: "p-1@north", Record: "r-x"},
	} {
		if _, err := query.Encode(q); !errors.Is(err, query.ErrQuestion) {
			t.Errorf("%+v: %v", q, err)
		}
		if _, err := query.Run(nil, "", 0, q); !errors.Is(err, query.ErrQuestion) {
			t.Errorf("%+v was run: %v", q, err)
		}
	}
}

func TestParseRefusesWhatEncodeDoesNotWrite(t *testing.T) {
	good, err := query.Encode(query.Identity{Name: "p-1@north"})
	if err != nil {
		t.Fatal(err)
	}
	marshal := func(v any) []byte {
		b, err := chain.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	args := marshal([]any{"p-1@north"})
	for name, b := range map[string][]byte{
		"empty":            nil,
		"trailing byte":    append(bytes.Clone(good), 0),
		"cut":              good[:len(good)-1],
		"other version":    marshal([]any{"ward/v2/question", "identity", args}),
		"unknown kind":     marshal([]any{"ward/v1/question", "secrets", args}),
		"fields of others": marshal([]any{"ward/v1/question", "records", args}),
		"too long":         marshal([]any{"ward/v1/question", "identity", make([]byte, 4096)}),
		"bad field":        marshal([]any{"ward/v1/question", "identity", marshal([]any{"nobody"})}),
	} {
		if _, err := query.Parse(b); !errors.Is(err, query.ErrQuestion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// state is a chain with identities on it.
func state(t testing.TB, names int) *ledgertest.Chain {
	t.Helper()
	c := ledgertest.NewFrom(t, keystest.Keyless(t, 4), contract.All())
	for i := range names {
		register(t, c, identity.Name(fmt.Sprintf("p-%03d@north", i)))
	}
	return c
}

func register(t testing.TB, c *ledgertest.Chain, name identity.Name, attributes ...identity.Attribute) {
	t.Helper()
	key := ledgertest.Public(string(name))
	r := c.Run(c.Tx(name.Org(), identity.Contract, identity.MethodRegister, identity.RegisterArgs{
		Name: name, Key: key, Attributes: attributes,
		Possession: ed25519.Sign(ledgertest.Key(string(name)), identity.PossessionStatement(c.Founding.Chain, identity.MethodRegister, name, key)),
	}))
	if r[0].Code != "" {
		t.Fatal(r[0].Code)
	}
}

func run(t testing.TB, c *ledgertest.Chain, q query.Question, v any) error {
	t.Helper()
	b, err := query.Run(func(name string) ledger.Reader { return keystest.Of(c, name) }, c.Founding.Chain, c.Head.Header.Time, q)
	if err != nil {
		return err
	}
	if err := chain.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return nil
}

// TestListsComeInParts lists more names than fit in one part.
func TestListsComeInParts(t *testing.T) {
	c := state(t, 250)
	register(t, c, "other@south")
	for _, limit := range []int{0, 1, 100, 249, 250, 1000} {
		var got []identity.Name
		q := query.Identities{Org: "north", Limit: limit}
		for {
			var part []identity.Identity
			if err := run(t, c, q, &part); err != nil {
				t.Fatal(err)
			}
			if want := max(limit, 0); want == 0 && len(part) > query.DefaultLimit || want > 0 && len(part) > want {
				t.Fatalf("limit %d: %d entries", limit, len(part))
			}
			if len(part) == 0 {
				break
			}
			for _, id := range part {
				got = append(got, id.Name)
			}
			q.After = part[len(part)-1].Name
		}
		if len(got) != 250 {
			t.Fatalf("limit %d: %d names", limit, len(got))
		}
		for i, name := range got {
			if want := identity.Name(fmt.Sprintf("p-%03d@north", i)); name != want {
				t.Fatalf("limit %d: name %d is %s, want %s", limit, i, name, want)
			}
		}
	}
}

// TestLargeListEndsEarly lists identities with so many attributes that a
// thousand would not fit a response.
func TestLargeListEndsEarly(t *testing.T) {
	c := state(t, 0)
	var many []identity.Attribute
	for i := range 32 {
		many = append(many, identity.Attribute{Name: fmt.Sprintf("a%046d", i), Value: strings.Repeat("v", 48)})
	}
	const names = 400
	for i := range names {
		register(t, c, identity.Name(fmt.Sprintf("p-%03d@north", i)), many...)
	}
	q := query.Identities{Org: "north", Limit: query.MaxLimit}
	b, err := query.Run(func(name string) ledger.Reader { return keystest.Of(c, name) }, c.Founding.Chain, 0, q)
	if err != nil {
		t.Fatal(err)
	}
	var part []identity.Identity
	if err := chain.Unmarshal(b, &part); err != nil {
		t.Fatal(err)
	}
	if len(part) == names || len(part) == 0 || len(b) < query.MaxList || len(b) > 2*query.MaxList {
		t.Errorf("%d entries of %d in %d bytes", len(part), names, len(b))
	}
}

func TestWhatIsNotThereIsACode(t *testing.T) {
	c := state(t, 1)
	for _, tt := range []struct {
		q    query.Question
		want error
	}{
		{query.Identity{Name: "nobody@north"}, identity.ErrUnknown},
		{query.Record{ID: "r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}, record.ErrUnknown},
		{query.Grant{ID: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa"}, consent.ErrUnknown},
		{query.Record{ID: "what"}, record.ErrUnknown},
	} {
		if err := run(t, c, tt.q, new(any)); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.q, err, tt.want)
		}
	}
	for _, q := range []query.Question{query.Records{Owner: "p-000@north"}, query.Grants{Owner: "p-000@north"}, query.Requests{From: "p-000@north"}, query.Accesses{}} {
		var list []any
		if err := run(t, c, q, &list); err != nil || len(list) != 0 {
			t.Errorf("%+v: %v, %v", q, list, err)
		}
	}
}

func TestAuthorityBeforeAndAfterTheFirstCeremony(t *testing.T) {
	c := state(t, 0)
	var a query.AuthorityState
	if err := run(t, c, query.Authority{}, &a); err != nil || a.Ready || a.Moving {
		t.Errorf("%+v, %v", a, err)
	}
	m := keystest.New(t, c)
	ceremony := m.Open()
	a = query.AuthorityState{}
	if err := run(t, c, query.Authority{}, &a); err != nil || a.Ready || !a.Moving {
		t.Errorf("%+v, %v", a, err)
	}
	ceremony.Finish()
	m.Adopt()
	m.Must("east", keys.Contract, keys.MethodAnnounce, keys.AnnounceArgs{Transport: bytes.Repeat([]byte{9}, 32)})
	a = query.AuthorityState{}
	if err := run(t, c, query.Authority{}, &a); err != nil || !a.Ready || a.Moving || a.Generation != 1 ||
		!reflect.DeepEqual(a.Members, []string{"east", "north", "south", "west"}) || len(a.Transport) != 4 ||
		len(a.Transport[0]) != 32 || len(a.Transport[1]) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// answered is an answer that two of four members vouch for.
type answered struct {
	c        *ledgertest.Chain
	question []byte
	asked    time.Time
	answer   query.Answer
}

func answer(t *testing.T) *answered {
	t.Helper()
	c := state(t, 2)
	c.Checkpoint()
	a := &answered{c: c, asked: c.Now}
	var err error
	if a.question, err = query.Encode(query.Identity{Name: "p-000@north"}); err != nil {
		t.Fatal(err)
	}
	if a.answer.Value, err = query.Run(func(name string) ledger.Reader { return keystest.Of(c, name) }, c.Founding.Chain, 0, query.Identity{Name: "p-000@north"}); err != nil {
		t.Fatal(err)
	}
	if a.answer.Checkpoint, err = c.Checkpoint().Bytes(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"east", "north"} {
		a.vouch(t, m, c.Now)
	}
	return a
}

func (a *answered) vouch(t *testing.T, member string, now time.Time) {
	t.Helper()
	at, err := query.Attest(a.c.Consortium, member, a.c.Head.Header, a.question, a.answer.Value, a.answer.Code, now, ledgertest.Key(member))
	if err != nil {
		t.Fatal(err)
	}
	a.answer.Attestations = append(a.answer.Attestations, at)
}

func (a *answered) verify() error {
	cp, err := a.answer.Verify(a.c.Consortium, a.question, a.asked, a.asked.Add(time.Second), time.Minute)
	if err == nil && cp == nil {
		return errors.New("no checkpoint")
	}
	return err
}

func TestAnswerNeedsOneHonestMember(t *testing.T) {
	if err := answer(t).verify(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		edit func(*testing.T, *answered)
	}{
		{"value altered", func(t *testing.T, a *answered) { a.answer.Value = append(a.answer.Value, 0) }},
		{"value replaced by a code", func(t *testing.T, a *answered) { a.answer.Value, a.answer.Code = nil, identity.ErrUnknown }},
		{"code beside the value", func(t *testing.T, a *answered) { a.answer.Code = identity.ErrUnknown }},
		{"another question", func(t *testing.T, a *answered) { a.question, _ = query.Encode(query.Identity{Name: "p-001@north"}) }},
		{"one member", func(t *testing.T, a *answered) { a.answer.Attestations = a.answer.Attestations[:1] }},
		{"one member twice", func(t *testing.T, a *answered) { a.answer.Attestations[1] = a.answer.Attestations[0] }},
		{"one member at two times", func(t *testing.T, a *answered) {
			a.answer.Attestations = a.answer.Attestations[:1]
			a.vouch(t, "east", a.asked.Add(time.Second))
		}},
		{"no member", func(t *testing.T, a *answered) { a.answer.Attestations[1].Member = "stranger" }},
		{"another member's signature", func(t *testing.T, a *answered) { a.answer.Attestations[1].Member = "south" }},
		{"signature altered", func(t *testing.T, a *answered) { a.answer.Attestations[1].Signature[5] ^= 1 }},
		{"height altered", func(t *testing.T, a *answered) { a.answer.Attestations[1].Height-- }},
		{"block altered", func(t *testing.T, a *answered) { a.answer.Attestations[1].Block[5] ^= 1 }},
		{"time altered", func(t *testing.T, a *answered) { a.answer.Attestations[1].Time++ }},
		{"signed too early", func(t *testing.T, a *answered) { a.asked = a.asked.Add(2 * time.Minute) }},
		{"signed in the future", func(t *testing.T, a *answered) { a.asked = a.asked.Add(-2 * time.Minute) }},
		{"checkpoint older than the state", func(t *testing.T, a *answered) {
			old := a.answer.Checkpoint
			register(t, a.c, "p-3@north")
			a.answer.Attestations = nil
			a.vouch(t, "east", a.asked)
			a.vouch(t, "north", a.asked)
			a.answer.Checkpoint = old
		}},
		{"checkpoint of another fork", func(t *testing.T, a *answered) {
			a.answer.Attestations = nil
			h := a.c.Head.Header
			h.Root[3] ^= 1
			for _, m := range []string{"east", "north"} {
				at, err := query.Attest(a.c.Consortium, m, h, a.question, a.answer.Value, "", a.asked, ledgertest.Key(m))
				if err != nil {
					t.Fatal(err)
				}
				a.answer.Attestations = append(a.answer.Attestations, at)
			}
		}},
		{"checkpoint uncertified", func(t *testing.T, a *answered) {
			cp := *a.c.Checkpoint()
			cp.Signatures = cp.Signatures[:2]
			a.answer.Checkpoint, _ = cp.Bytes()
		}},
		{"checkpoint malformed", func(t *testing.T, a *answered) { a.answer.Checkpoint = a.answer.Checkpoint[1:] }},
		{"flooded", func(t *testing.T, a *answered) {
			for range 100 {
				a.answer.Attestations = append(a.answer.Attestations, a.answer.Attestations[0])
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := answer(t)
			tt.edit(t, a)
			if err := a.verify(); !errors.Is(err, query.ErrAnswer) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestOneLiarDoesNotSpoilAnAnswer adds what does not hold to what does.
func TestOneLiarDoesNotSpoilAnAnswer(t *testing.T) {
	a := answer(t)
	bad := a.answer.Attestations[0]
	bad.Member = "west"
	a.answer.Attestations = append([]query.Attestation{bad}, a.answer.Attestations...)
	if err := a.verify(); err != nil {
		t.Error(err)
	}
}

func TestCodesAreAttestedLikeValues(t *testing.T) {
	a := answer(t)
	a.answer.Value, a.answer.Code, a.answer.Attestations = nil, identity.ErrUnknown, nil
	a.vouch(t, "east", a.asked)
	a.vouch(t, "west", a.asked)
	if err := a.verify(); err != nil {
		t.Fatal(err)
	}
	a.answer.Code = identity.ErrDenied
	if err := a.verify(); !errors.Is(err, query.ErrAnswer) {
		t.Errorf("another code: %v", err)
	}
	if _, err := query.Attest(a.c.Consortium, "east", a.c.Head.Header, a.question, []byte{1}, "x", a.asked, ledgertest.Key("east")); err == nil {
		t.Error("a value and a code were signed together")
	}
	if _, err := query.Attest(a.c.Consortium, "nobody", a.c.Head.Header, a.question, nil, "x", a.asked, ledgertest.Key("east")); err == nil {
		t.Error("who is no member signed")
	}
	other := a.c.Head.Header
	other.Chain = "other.example"
	if _, err := query.Attest(a.c.Consortium, "east", other, a.question, nil, "x", a.asked, ledgertest.Key("east")); err == nil {
		t.Error("a block of another chain was vouched for")
	}
}

func TestNeededIsOneMoreThanMayBeDishonest(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3} {
		if got := query.Needed(ledgertest.Consortium(t, n)); got != want {
			t.Errorf("%d members: %d, want %d", n, got, want)
		}
	}
}

func FuzzQuestion(f *testing.F) {
	for _, q := range questions {
		b, err := query.Encode(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c := state(f, 3)
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := query.Parse(b)
		if err != nil {
			return
		}
		again, err := query.Encode(q)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
		var code chain.Code
		_, err = query.Run(func(name string) ledger.Reader { return keystest.Of(c, name) }, c.Founding.Chain, 0, q)
		if err != nil && !errors.As(err, &code) {
			t.Errorf("%+v: %v", q, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	a := query.Answer{Value: []byte{1}, Checkpoint: []byte("x"), Attestations: []query.Attestation{{Member: "east", Signature: make([]byte, 64)}}}
	b, err := a.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	k := ledgertest.Consortium(f, 4)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := query.ParseAnswer(b)
		if err != nil {
			return
		}
		again, err := a.Bytes()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
		if _, err := a.Verify(k, nil, time.Time{}, time.Now(), time.Hour); err == nil {
			t.Error("a made-up answer holds")
		}
	})
}

func Example() {
	q, err := query.Encode(query.Identity{Name: "p-7f3a@north"})
	if err != nil {
		panic(err)
	}
	back, err := query.Parse(q)
	if err != nil {
		panic(err)
	}
	fmt.Println(back.Kind(), back.(query.Identity).Name)
	// Output: identity p-7f3a@north
}
