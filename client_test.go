package ward_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/internal/wardtest"
	"github.com/ward-health/ward/wallet"
)

// people is a consortium of four hospitals with a patient, an author and a
// reader in it.
type people struct {
	*wardtest.World
	t                       *testing.T
	ctx                     context.Context
	patient, author, reader *ward.Client
	wallets                 map[identity.Name]*wallet.Wallet
	log                     *logBuffer
	requests                int
}

const (
	patientName identity.Name = "p-1@north"
	authorName  identity.Name = "lab@north"
	readerName  identity.Name = "dr-lee@south"
)

func meet(t *testing.T) *people {
	t.Helper()
	w := wardtest.New(t, 4)
	// Without a Done channel, so that time passes in the bubbles of synctest.
	p := &people{World: w, t: t, ctx: context.Background(), wallets: make(map[identity.Name]*wallet.Wallet), log: new(logBuffer)}
	p.patient = p.join(patientName)
	p.author = p.join(authorName, identity.Author)
	p.reader = p.join(readerName)
	return p
}

// join registers someone and returns her client, of the first node.
func (p *people) join(name identity.Name, attributes ...string) *ward.Client {
	p.t.Helper()
	p.wallets[name] = p.Register(name, attributes...)
	return p.as(name)
}

// as returns a client for someone who talks to these nodes.
func (p *people) as(name identity.Name, nodes ...ward.Node) *ward.Client {
	p.t.Helper()
	return p.ClientWith(p.wallets[name], slog.New(slog.NewTextHandler(p.log, nil)), nodes...)
}

// put stores a payload for the patient.
func (p *people) put(kind string, payload []byte) record.ID {
	p.t.Helper()
	id, err := p.author.Put(p.ctx, ward.Record{
		Owner: patientName, Type: "clinical/lab", Title: kind, MediaType: "text/plain", Filename: "a.txt",
	}, bytes.NewReader(payload))
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// grant lets the reader read the patient's clinical records.
func (p *people) grant(edit ...func(*ward.Terms)) consent.GrantID {
	p.t.Helper()
	terms := ward.Terms{To: readerName, Type: "clinical"}
	for _, e := range edit {
		e(&terms)
	}
	id, err := p.patient.Grant(p.ctx, terms)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

var treat = ward.Purpose{Code: consent.Treatment}

// wants fails the test unless err matches.
func (p *people) wants(err, want error) {
	p.t.Helper()
	if !errors.Is(err, want) {
		p.t.Errorf("error is %v, want %v", err, want)
	}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestTheWholeStory(t *testing.T) {
	p := meet(t)
	payload := wardtest.Payload("report", 300_000)
	id := p.put("Haemoglobin", payload)

	// The owner reads her own record without a grant.
	var own bytes.Buffer
	e, err := p.patient.Get(p.ctx, id, treat, &own)
	if err != nil {
		t.Fatal(err)
	}
	if e.Title != "Haemoglobin" || e.MediaType != "text/plain" || e.Filename != "a.txt" || e.Author != authorName ||
		e.Size != int64(len(payload)) || e.Hash != sha256.Sum256(payload) || !bytes.Equal(own.Bytes(), payload) {
		t.Errorf("entry is %+v, payload of %d bytes", e, own.Len())
	}

	// Nobody else does, the author included.
	for _, c := range []*ward.Client{p.reader, p.author} {
		var out bytes.Buffer
		_, err := c.Get(p.ctx, id, treat, &out)
		p.wants(err, ward.ErrNoGrant)
		if out.Len() > 0 {
			t.Error("bytes were written")
		}
	}

	grant := p.grant()
	var read bytes.Buffer
	if _, err := p.reader.Get(p.ctx, id, ward.Purpose{Code: consent.Treatment, Reason: "follow-up"}, &read); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read.Bytes(), payload) {
		t.Error("reader got another payload")
	}

	// The owner sees who read it, when and why.
	var access *ward.Event
	var kinds []string
	for ev, err := range p.patient.History(p.ctx, patientName) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, ev.Kind)
		if ev.Kind == "access" {
			access = ev
		}
	}
	if !slices.Equal(kinds, []string{"put", "grant", "access"}) {
		t.Errorf("history is %v", kinds)
	}
	if access == nil || access.By != readerName || access.Grant != grant || !slices.Equal(access.Records, []record.ID{id}) {
		t.Fatalf("access is %+v", access)
	}
	if reason, err := p.patient.Reason(p.ctx, access.Index); err != nil || reason != "follow-up" {
		t.Errorf("reason is %q, %v", reason, err)
	}

	if err := p.patient.Revoke(p.ctx, grant, ward.RevokeOptions{}); err != nil {
		t.Fatal(err)
	}
	var late bytes.Buffer
	_, err = p.reader.Get(p.ctx, id, treat, &late)
	p.wants(err, ward.ErrNoGrant)
	p.wants(err, consent.ErrRevoked) // which says why
	_, err = p.reader.Access(p.ctx, grant, []record.ID{id}, treat)
	p.wants(err, consent.ErrRevoked)

	v, err := p.patient.Verify(p.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if v.Transactions == 0 || v.Height == 0 {
		t.Errorf("verification is %+v", v)
	}
}

func TestFindListsWhatTheChainShows(t *testing.T) {
	p := meet(t)
	day := p.Now().Add(-48 * time.Hour)
	first, err := p.author.Put(p.ctx, ward.Record{Owner: patientName, Type: "clinical/lab", Dated: day, Title: "old"}, strings.NewReader("a"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.author.Put(p.ctx, ward.Record{Owner: patientName, Type: "imaging", Replaces: ""}, nil)
	if err != nil {
		t.Fatal(err)
	}
	third, err := p.author.Put(p.ctx, ward.Record{Owner: patientName, Type: "clinical/lab", Replaces: first}, strings.NewReader("b"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		q    ward.Query
		want []record.ID
	}{
		{"all in force", ward.Query{}, []record.ID{second, third}},
		{"superseded too", ward.Query{All: true}, []record.ID{first, second, third}},
		{"by type", ward.Query{Type: "clinical", All: true}, []record.ID{first, third}},
		{"by date", ward.Query{Until: day, All: true}, []record.ID{first}},
		{"by another author", ward.Query{Author: readerName, All: true}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.q.Owner = patientName
			var got []record.ID
			for e, err := range p.patient.Find(p.ctx, tt.q) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Title != "" || e.Size != 0 {
					t.Error("the listing shows what is sealed")
				}
				got = append(got, e.ID)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("found %v, want %v", got, tt.want)
			}
		})
	}
}

// TestOneAccessOpensManyRecords reads two records at once, in the order asked
// for, with one line in the log.
func TestOneAccessOpensManyRecords(t *testing.T) {
	p := meet(t)
	a, b := p.put("a", []byte("first")), p.put("b", []byte("second"))
	ids := []record.ID{max(a, b), min(a, b)} // not the chain's order
	p.grant()
	opened, err := p.reader.Access(p.ctx, "", ids, treat)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range opened {
		if o.ID != ids[i] {
			t.Errorf("record %d is %s, want %s", i, o.ID, ids[i])
		}
	}
	count := 0
	for _, err := range p.patient.Accesses(p.ctx, consent.Accesses{Owner: patientName}) {
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count != 1 {
		t.Errorf("%d accesses in the log, want 1", count)
	}
}

func TestErasedRecordIsGoneForEveryone(t *testing.T) {
	p := meet(t)
	id := p.put("a", []byte("payload"))
	grant := p.grant()
	if err := p.patient.Erase(p.ctx, id); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, err := p.patient.Get(p.ctx, id, treat, &out)
	p.wants(err, ward.ErrErased)
	_, err = p.reader.Get(p.ctx, id, treat, &out)
	p.wants(err, ward.ErrErased)
	_, err = p.reader.Access(p.ctx, grant, []record.ID{id}, treat)
	p.wants(err, consent.ErrErased)
	p.wants(err, ward.ErrErased)
	if out.Len() > 0 {
		t.Error("bytes were written")
	}
}

// TestEpochsKeepOldRecordsReadable raises the epoch: what was granted before
// does not reach later records, and the owner reads all of hers.
func TestEpochsKeepOldRecordsReadable(t *testing.T) {
	p := meet(t)
	before := p.put("before", []byte("before"))
	grant := p.grant()
	if err := p.patient.RaiseEpoch(p.ctx); err != nil {
		t.Fatal(err)
	}
	after := p.put("after", []byte("after")) // the author's knowledge of the owner is stale: the client asks again
	for _, id := range []record.ID{before, after} {
		var out bytes.Buffer
		if _, err := p.patient.Get(p.ctx, id, treat, &out); err != nil {
			t.Errorf("owner cannot read %s: %v", id, err)
		}
	}
	if _, err := p.reader.Access(p.ctx, grant, []record.ID{before}, treat); err != nil {
		t.Errorf("old grant for an old record: %v", err)
	}
	_, err := p.reader.Access(p.ctx, grant, []record.ID{after}, treat)
	p.wants(err, consent.ErrEpoch)
}

// TestSelfCustody takes the owner and the reader into self-custody.
func TestSelfCustody(t *testing.T) {
	p := meet(t)
	before := p.put("before", []byte("before"))
	if v, err := p.patient.TakeCustody(p.ctx); err != nil || v != 1 {
		t.Fatal(v, err)
	}
	id := p.put("mine", []byte("mine"))
	for _, id := range []record.ID{before, id} {
		var out bytes.Buffer
		if _, err := p.patient.Get(p.ctx, id, treat, &out); err != nil {
			t.Errorf("owner cannot read %s: %v", id, err)
		}
	}
	if _, err := p.patient.Grant(p.ctx, ward.Terms{To: readerName, Type: "clinical"}); err == nil {
		t.Error("a grant exposes the records to the hospitals without Expose")
	}
	if _, err := p.reader.TakeCustody(p.ctx); err != nil {
		t.Fatal(err)
	}
	p.grant()
	var out bytes.Buffer
	if _, err := p.reader.Get(p.ctx, id, treat, &out); err != nil || out.String() != "mine" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if _, err := p.patient.TakeCustody(p.ctx); err != nil { // the next version
		t.Fatal(err)
	}
	out.Reset()
	if _, err := p.patient.Get(p.ctx, id, treat, &out); err != nil || out.String() != "mine" {
		t.Errorf("record of the first custody key: %q, %v", out.String(), err)
	}
}

func TestRequestIsGrantedOrDenied(t *testing.T) {
	p := meet(t)
	asked, err := p.reader.Request(p.ctx, patientName, "clinical", consent.Treatment, p.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	turned, err := p.reader.Request(p.ctx, patientName, "imaging", consent.Treatment, p.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p.grant(func(t *ward.Terms) { t.Answers = asked })
	if err := p.patient.Deny(p.ctx, turned); err != nil {
		t.Fatal(err)
	}
	states := make(map[string]string)
	for r, err := range p.patient.Requests(p.ctx, patientName, "") {
		if err != nil {
			t.Fatal(err)
		}
		states[r.ID] = r.State
	}
	if states[asked] != "granted" || states[turned] != "denied" {
		t.Errorf("states are %v", states)
	}
}

func TestRenewalEndsTheOldGrant(t *testing.T) {
	p := meet(t)
	old := p.grant()
	p.grant(func(t *ward.Terms) { t.Renews = old })
	g, err := p.patient.ShowGrant(p.ctx, old)
	if err != nil {
		t.Fatal(err)
	}
	if g.Status != consent.StatusRevoked {
		t.Errorf("old grant is %s", g.Status)
	}
}

// TestCoSignersApproveADraft makes an access that takes a nurse's signature.
func TestCoSignersApproveADraft(t *testing.T) {
	p := meet(t)
	nurse := p.join("nurse@south", "nurse")
	id := p.put("a", []byte("payload"))
	grant := p.grant(func(t *ward.Terms) { t.CoSigners, t.CoSignerAttribute = 1, "nurse" })
	_, err := p.reader.Access(p.ctx, grant, []record.ID{id}, treat)
	p.wants(err, consent.ErrApproval)

	draft, err := p.reader.Draft(p.ctx, grant, []record.ID{id}, consent.Treatment)
	if err != nil {
		t.Fatal(err)
	}
	b, err := draft.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	seen, err := ward.ParseDraft(b)
	if err != nil {
		t.Fatal(err)
	}
	if seen.Reader != readerName || seen.Grant != grant || seen.Purpose != consent.Treatment || !slices.Equal(seen.Records, []record.ID{id}) {
		t.Errorf("co-signer sees %+v", seen)
	}
	approval, err := nurse.Approve(seen)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := draft.Secret()
	if err != nil {
		t.Fatal(err)
	}
	if draft, err = ward.ParseDraftSecret(secret); err != nil { // in another process
		t.Fatal(err)
	}
	purpose := ward.Purpose{Code: consent.Treatment, Draft: draft, Approvals: []consent.Approval{approval}}
	other := p.put("b", []byte("another"))
	if _, err := p.reader.Access(p.ctx, grant, []record.ID{other}, purpose); err == nil {
		t.Error("a draft was used for another record")
	}
	if _, err := p.reader.Access(p.ctx, grant, []record.ID{id}, purpose); err != nil {
		t.Fatal(err)
	}
}

func TestEmergencyNeedsAnotherClinicianAndIsReviewed(t *testing.T) {
	p := meet(t)
	doctor := p.join("dr-er@east", identity.Emergency)
	second := p.join("dr-two@east", identity.Emergency)
	judge := p.join("board@north", identity.Reviewer)
	id := p.put("a", []byte("allergy: penicillin"))
	ids := []record.ID{id}

	_, err := doctor.Emergency(p.ctx, patientName, ids, ward.Purpose{Reason: "unconscious"})
	p.wants(err, consent.ErrApproval)
	draft, err := doctor.DraftEmergency(patientName, ids)
	if err != nil {
		t.Fatal(err)
	}
	approval, err := second.Approve(draft)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := doctor.Emergency(p.ctx, patientName, ids, ward.Purpose{Reason: "unconscious", Draft: draft, Approvals: []consent.Approval{approval}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := opened[0].Open(p.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil || out.String() != "allergy: penicillin" {
		t.Errorf("%q, %v", out.String(), err)
	}

	open := 0
	for a, err := range judge.Accesses(p.ctx, consent.Accesses{Open: true}) {
		if err != nil {
			t.Fatal(err)
		}
		open++
		if err := judge.Review(p.ctx, a.Index, consent.OutcomeJustified); err != nil {
			t.Fatal(err)
		}
		p.wants(judge.Review(p.ctx, a.Index, consent.OutcomeJustified), consent.ErrReviewed)
		if reason, err := p.patient.Reason(p.ctx, a.Index); err != nil || reason != "unconscious" {
			t.Errorf("reason is %q, %v", reason, err)
		}
	}
	if open != 1 {
		t.Errorf("%d open reviews, want 1", open)
	}
}

// TestCustodialWalletIsHandedOver goes the way of a patient whom the hospital
// registered: it holds her wallet, exports it, she takes her name over, and the
// hospital's copy signs nothing any more.
func TestCustodialWalletIsHandedOver(t *testing.T) {
	p := meet(t)
	held, err := wallet.Generate(p.Founding().Chain, "p-2@north")
	if err != nil {
		t.Fatal(err)
	}
	p.RegisterWallet(held, true)
	copied, err := wallet.Generate(p.Founding().Chain, "p-2@north")
	if err != nil {
		t.Fatal(err)
	}

	hospital := p.Client(held)
	id, err := p.author.Put(p.ctx, ward.Record{Owner: "p-2@north", Type: "clinical"}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := hospital.Get(p.ctx, id, treat, &out); err != nil {
		t.Fatal(err)
	}
	if err := hospital.HandOver(p.ctx, copied.Public(), copied.Possession(identity.MethodHandOver)); err != nil {
		t.Fatal(err)
	}
	if err := copied.Adopt(held); err != nil {
		t.Fatal(err)
	}
	p.wants(hospital.RaiseEpoch(p.ctx), identity.ErrDenied)
	if err := p.Client(copied).RotateKey(p.ctx); err != nil {
		t.Errorf("the patient's own key does not sign: %v", err)
	}
	now, err := p.Client(copied).Identity(p.ctx, "p-2@north")
	if err != nil {
		t.Fatal(err)
	}
	if now.Controller != "" || now.Key != copied.Public() {
		t.Errorf("identity is %+v", now)
	}
}

// TestClaimSurvivesACrash loses the receipt of the transaction that took the
// name over: the next attempt finds out.
func TestClaimSurvivesACrash(t *testing.T) {
	p := meet(t)
	held, err := wallet.Generate(p.Founding().Chain, "p-3@north")
	if err != nil {
		t.Fatal(err)
	}
	p.RegisterWallet(held, true)
	ctx, cancel := context.WithCancel(p.ctx)
	deaf := &liar{Node: p.Node("north")}
	deaf.submit = func(r *receipt) error {
		cancel()
		return ward.ErrUnavailable
	}
	err = p.Client(held, deaf).Claim(ctx)
	p.wants(err, ward.ErrUnknown)
	p.wants(err, context.Canceled)
	if err := p.Client(held).Claim(p.ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Client(held).RaiseEpoch(p.ctx); err != nil {
		t.Errorf("the key in the wallet does not sign: %v", err)
	}
}

// TestTermsThatAreNoConditionsAreRefused: an attribute asked of no co-signer is a
// grant without co-signers, which is not what the owner meant.
func TestTermsThatAreNoConditionsAreRefused(t *testing.T) {
	p := meet(t)
	for what, edit := range map[string]func(*ward.Terms){
		"an attribute of no co-signer":  func(t *ward.Terms) { t.CoSignerAttribute = "nurse" },
		"less than none":                func(t *ward.Terms) { t.CoSigners = -1 },
		"more than a grant can ask for": func(t *ward.Terms) { t.CoSigners = 300 },
		"an attribute that is none":     func(t *ward.Terms) { t.CoSigners, t.CoSignerAttribute = 1, "Nurse" },
		"an end before the beginning":   func(t *ward.Terms) { t.NotBefore, t.NotAfter = p.Now().Add(time.Hour), p.Now() },
		"a purpose that is none":        func(t *ward.Terms) { t.Purposes = []consent.Purpose{"CURIOUS"} },
		"an emergency for treatment": func(t *ward.Terms) {
			t.Emergency, t.Purposes = true, []consent.Purpose{consent.Treatment}
		},
	} {
		terms := ward.Terms{To: readerName, Type: "clinical"}
		edit(&terms)
		if id, err := p.patient.Grant(p.ctx, terms); err == nil || id != "" {
			t.Errorf("%s: granted %q, %v", what, id, err)
		}
	}
	for g, err := range p.patient.Grants(p.ctx, patientName, "") {
		t.Errorf("on the chain: %v, %v", g, err)
	}
}

// TestGrantsGoByTheDay: a grant on records since a moment of a day reaches all of
// that day's, since that is all the chain says of when they are of.
func TestGrantsGoByTheDay(t *testing.T) {
	p := meet(t)
	id := p.put("a", []byte("of today"))
	p.grant(func(t *ward.Terms) { t.Since, t.Until = p.Now(), p.Now() })
	if _, err := p.reader.Open(p.ctx, id, treat); err != nil {
		t.Error(err)
	}
}

func TestGrantSaysWhenMembersDoNotAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		for _, m := range p.Members()[:2] {
			p.Tardy[m] = true
		}
		id, err := p.patient.Grant(p.ctx, ward.Terms{To: readerName, Type: "clinical"})
		p.wants(err, consent.ErrPending)
		if id == "" {
			t.Fatal("the grant is on the chain, and its id was not returned")
		}
		p.Accept()
		if g, err := p.patient.ShowGrant(p.ctx, id); err != nil || g.Status != consent.StatusActive {
			t.Errorf("%v, %v", g, err)
		}
	})
}

// TestNothingSecretIsLogged looks for what nobody may see in the log and in
// everything that prints itself.
func TestNothingSecretIsLogged(t *testing.T) {
	p := meet(t)
	p.Dishonest["east"] = true
	id := p.put("Secret title", []byte("secret payload"))
	p.grant()
	p.reader = p.as(readerName)
	opened, err := p.reader.Access(p.ctx, "", []record.ID{id}, treat)
	if err != nil {
		t.Fatal(err)
	}
	printed := p.log.String() + fmt.Sprintf("%v %+v %#v", opened[0], opened[0], *opened[0]) + fmt.Sprintf("%v %+v", p.wallets[readerName], p.wallets[readerName])
	for _, s := range []string{"Secret title", "secret payload", "a.txt"} {
		if strings.Contains(printed, s) {
			t.Errorf("%q was printed", s)
		}
	}
	if strings.Contains(p.log.String(), string(patientName)) || strings.Contains(p.log.String(), string(readerName)) {
		t.Error("the log names people")
	}
}

func TestAttributesAreGivenInAnyOrder(t *testing.T) {
	p := meet(t)
	who := p.join("dr-ng@south", "physician", identity.Author)
	id, err := who.Identity(p.ctx, "dr-ng@south")
	if err != nil || len(id.Attributes) != 2 || id.Attributes[0].Name != identity.Author {
		t.Errorf("attested %v, %v", id, err)
	}
}
