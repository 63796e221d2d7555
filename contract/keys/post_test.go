package keys_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/keys/keystest"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

// join returns a member's join in an open ceremony, ready to post.
func join(r *keystest.Run, name string) keys.PostArgs {
	raw := r.Machines[name].Pending()[0].Sign(ledgertest.Key(name))
	return keystest.Parts(r.Number, dkg.PhaseJoin, 0, raw)[0]
}

func TestPostThatCannotCountIsRefused(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	none := keys.PostArgs{Number: 1, Phase: 1, Parts: 1, Data: []byte{1}}
	refused(t, run(m.Chain, "east", keys.MethodPost, none), keys.ErrUnknown)
	r := m.Open()
	good := join(r, "east")
	for what, c := range map[string]struct {
		edit func(*keys.PostArgs)
		want chain.Code
	}{
		"no phase":                {func(p *keys.PostArgs) { p.Phase = 0 }, keys.ErrMalformed},
		"phase after confirm":     {func(p *keys.PostArgs) { p.Phase = 5 }, keys.ErrMalformed},
		"no data":                 {func(p *keys.PostArgs) { p.Data = nil }, keys.ErrMalformed},
		"too much data":           {func(p *keys.PostArgs) { p.Data = make([]byte, keys.MaxPart+1) }, keys.ErrMalformed},
		"no parts":                {func(p *keys.PostArgs) { p.Parts = 0 }, keys.ErrMalformed},
		"part beyond the last":    {func(p *keys.PostArgs) { p.Part = 1 }, keys.ErrMalformed},
		"too many parts":          {func(p *keys.PostArgs) { p.Phase, p.Parts = 2, keys.MaxMessage/keys.MaxPart+2 }, keys.ErrMalformed},
		"join in parts":           {func(p *keys.PostArgs) { p.Parts = 2 }, keys.ErrMalformed},
		"join about a dealer":     {func(p *keys.PostArgs) { p.About = 1 }, keys.ErrMalformed},
		"complaint about nobody":  {func(p *keys.PostArgs) { p.Phase = 3 }, keys.ErrMalformed},
		"about no participant":    {func(p *keys.PostArgs) { p.Phase, p.About = 3, 5 }, keys.ErrMalformed},
		"another ceremony":        {func(p *keys.PostArgs) { p.Number = 2 }, keys.ErrUnknown},
		"no message":              {func(p *keys.PostArgs) { p.Data = []byte("no message") }, keys.ErrRefused},
		"in the place of another": {func(p *keys.PostArgs) { p.Phase = 4 }, keys.ErrRefused},
		"complaint that is none":  {func(p *keys.PostArgs) { p.Phase, p.About = 3, 2 }, keys.ErrRefused},
		"another's":               {func(p *keys.PostArgs) { *p = join(r, "north") }, keys.ErrRefused},
		"of another chain": {func(p *keys.PostArgs) {
			*p = join(keystest.New(t, newChain(t, 5)).Open(), "east")
		}, keys.ErrRefused},
	} {
		args := good
		c.edit(&args)
		if got := run(m.Chain, "east", keys.MethodPost, args); got != c.want {
			t.Errorf("%s: code is %q, want %q", what, got, c.want)
		}
	}
	refused(t, run(m.Chain, "stranger", keys.MethodPost, good), keys.ErrDenied)
	refused(t, run(m.Chain, "north", keys.MethodPost, good), keys.ErrRefused) // in east's name
	refused(t, run(m.Chain, "east", keys.MethodPost, []byte{0xff}), keys.ErrMalformed)
	refused(t, run(m.Chain, "east", keys.MethodPost, good), "")
	refused(t, run(m.Chain, "east", keys.MethodPost, good), keys.ErrRefused) // once
	if c := latest(t, m); c.Posts != 1 {
		t.Errorf("the log holds %d messages, want 1", c.Posts)
	}
}

// TestAMemberCannotFillTheChainWithMessages: one message of a kind, and none
// that is larger than a deal can be.
func TestAMemberCannotFillTheChainWithMessages(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	m.Open()
	const parts = keys.MaxMessage/keys.MaxPart + 1
	data := make([]byte, keys.MaxPart)
	for i := range uint32(parts) {
		want := chain.Code("")
		if i == parts-1 {
			want = keys.ErrRefused // over the limit
		}
		args := keys.PostArgs{Number: 1, Phase: uint8(dkg.PhaseDeal), Part: i, Parts: parts, Data: data}
		if got := run(m.Chain, "east", keys.MethodPost, args); got != want {
			t.Fatalf("part %d: %q", i, got)
		}
	}
}

func TestPartsComeInOrderAndMayBeginAnew(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	r := m.Open()
	r.Post() // all joined: deals are due
	raw := r.Machines["east"].Pending()[0].Sign(ledgertest.Key("east"))
	part := func(i, of uint32, data []byte) chain.Code {
		return run(m.Chain, "east", keys.MethodPost, keys.PostArgs{Number: 1, Phase: uint8(dkg.PhaseDeal), Part: i, Parts: of, Data: data})
	}
	refused(t, part(1, 3, raw[10:20]), keys.ErrRefused)
	refused(t, part(0, 3, raw[:10]), "")
	refused(t, part(2, 3, raw[20:]), keys.ErrRefused)
	refused(t, part(1, 2, raw[10:]), keys.ErrRefused) // of another number of parts
	refused(t, part(0, 3, raw[:10]), "")              // anew
	refused(t, part(1, 3, raw[10:20]), "")
	refused(t, part(1, 3, raw[10:20]), keys.ErrRefused)
	refused(t, part(2, 3, raw[20:]), "")
	refused(t, part(0, 3, raw[:10]), keys.ErrRefused) // it is complete
	log, err := keys.Messages(m.Keys(), 1, 4)
	if err != nil || len(log) != 1 || !bytes.Equal(log[0].Raw, raw) || log[0].Sender != "east" || log[0].At.Position != m.Chain.Head.Header.Size-2 {
		t.Errorf("the log holds %d messages: %v", len(log), err)
	}
}

// TestAForgedDealOnlyCostsItsSender: it is on the chain, no machine takes it,
// and the others go on.
func TestAForgedDealOnlyCostsItsSender(t *testing.T) {
	m := keystest.Found(t, newChain(t, 4))
	r := m.Open()
	r.Post()
	raw := r.Machines["west"].Pending()[0].Sign(ledgertest.Key("west"))
	raw[len(raw)-1] ^= 1
	r.Send("west", dkg.PhaseDeal, 0, raw)
	if s := r.Finish("west"); s != keys.Active {
		t.Fatalf("ends in state %d", s)
	}
	for name, x := range r.Machines {
		if q := x.Qualified(); fmt.Sprint(q) != "[1 2 3]" || len(x.Faults()) > 0 {
			t.Errorf("%s qualifies %v, blames %v", name, q, x.Faults())
		}
	}
}

// TestAComplaintIsAboutWhomItNames, so that a member has one place in the log
// for a complaint about each dealer.
func TestAComplaintIsAboutWhomItNames(t *testing.T) {
	m := keystest.New(t, newChain(t, 4))
	r := m.Open()
	payload := wire.NewWriter("ward/dkg/complaint/v1")
	payload.Uint8(2)
	payload.Raw(make([]byte, 32))
	pairing.WriteG1(payload, pairing.GeneratorG1())
	payload.Raw(make([]byte, 64))
	id := r.Machines["east"].ID()
	w := wire.NewWriter("ward/dkg/message/v1")
	w.Raw(id[:])
	w.Uint8(uint8(dkg.PhaseComplain))
	w.Uint8(1)
	w.Bytes(payload.Sum())
	w.Raw(make([]byte, 64)) // a signature is for the machines to check
	for about, want := range map[uint8]chain.Code{3: keys.ErrRefused, 1: keys.ErrRefused} {
		refused(t, run(m.Chain, "east", keys.MethodPost, keystest.Parts(1, dkg.PhaseComplain, about, w.Sum())[0]), want)
	}
	refused(t, run(m.Chain, "east", keys.MethodPost, keystest.Parts(1, dkg.PhaseComplain, 2, w.Sum())[0]), "")
}
