package identity_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
)

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"p-7f3a@north", "a@b@c", "@", "a@b/c", ".a@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := identity.ParseName(s)
		if err != nil {
			return
		}
		if string(n) != s || len(s) > 97 || !strings.HasSuffix(s, "@"+n.Org()) || !chain.ValidName(n.Org()) {
			t.Fatalf("%q is a name of %q", s, n.Org())
		}
	})
}

// FuzzArgs parses arguments of every method: one encoding for each value.
func FuzzArgs(f *testing.F) {
	samples := everyArgs()
	for i, a := range samples {
		f.Add(uint8(i), must(chain.Marshal(a.args)))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		var v any
		switch samples[int(which)%len(samples)].args.(type) {
		case identity.RegisterArgs:
			v = new(identity.RegisterArgs)
		case identity.AttestArgs:
			v = new(identity.AttestArgs)
		case identity.HandOverArgs:
			v = new(identity.HandOverArgs)
		case identity.RotateArgs:
			v = new(identity.RotateArgs)
		case identity.EpochArgs:
			v = new(identity.EpochArgs)
		case identity.CustodyArgs:
			v = new(identity.CustodyArgs)
		case identity.RecoverArgs:
			v = new(identity.RecoverArgs)
		case identity.NameArgs:
			v = new(identity.NameArgs)
		case identity.VetoArgs:
			v = new(identity.VetoArgs)
		case identity.GuardianArgs:
			v = new(identity.GuardianArgs)
		case identity.EndGuardianArgs:
			v = new(identity.EndGuardianArgs)
		case identity.ProposalArgs:
			v = new(identity.ProposalArgs)
		case identity.CustodyOffArgs:
			v = new(identity.CustodyOffArgs)
		case identity.AuthorityArgs:
			v = new(identity.AuthorityArgs)
		}
		if chain.Unmarshal(data, v) == nil && !bytes.Equal(must(chain.Marshal(v)), data) {
			t.Fatal("another encoding is accepted")
		}
	})
}

// FuzzApply sends arbitrary arguments to every method, by everybody. What is
// refused has a code of the contract and leaves nothing.
func FuzzApply(f *testing.F) {
	w := newWorld(new(testing.T)) // f must not be used inside the target
	w.register(desk, "registrar")
	w.must("north", "register", controlled("kept@north"))
	w.register(alice)
	w.must("east", "recover", recovery(alice, "new"))
	w.register(mum)
	w.must("north", "guardian", incapable())
	signers := []string{"north", "east", string(desk), "kept@north", string(alice), "nobody"}
	for i, a := range everyArgs() {
		f.Add(a.method, uint8(i), must(chain.Marshal(a.args)))
		f.Add(a.method, uint8(slices.Index(signers, a.signer)), must(chain.Marshal(a.args)))
	}
	f.Fuzz(func(t *testing.T, method string, signer uint8, args []byte) {
		if !chain.ValidName(method) || len(args) > 8000 {
			return
		}
		tx := w.Tx(signers[int(signer)%len(signers)], "identity", method, append([]byte{}, args...))
		out, err := w.Executor.Apply(w.Head, &w.State, w.Entry([]*chain.Tx{tx}, nil))
		if err != nil {
			t.Fatal(err)
		}
		r := out.Block.Results[0]
		if r.Code != "" && !strings.HasPrefix(string(r.Code), "identity/") {
			t.Fatalf("refused with %q", r.Code)
		}
		wrote := false
		for _, write := range out.Writes {
			wrote = wrote || strings.HasPrefix(string(write.Key), "identity\x00")
		}
		if wrote != (r.Code == "") || len(r.Events) > 0 != wrote {
			t.Fatalf("%q, writes %v, events %v", r.Code, wrote, r.Events)
		}
	})
}

type sample struct {
	signer, method string
	args           any
}

func everyArgs() []sample {
	return []sample{
		{"north", "register", registration("p-1@north", "author", "emergency")},
		{string(desk), "register", controlled("p-2@north")},
		{"north", "attest", identity.AttestArgs{Name: alice, Attributes: []identity.Attribute{{Name: "role", Value: "icu", Until: 7}}}},
		{"kept@north", "hand-over", handOver("kept@north", "phone")},
		{string(alice), "rotate", rotation(alice, "next")},
		{string(alice), "epoch", identity.EpochArgs{}},
		{string(alice), "custody", identity.CustodyArgs{Proof: []byte("ward/custody-proof/v1")}},
		{"east", "recover", recovery(alice, "newer")},
		{"north", "approve", meant(alice, "new")},
		{"north", "finish", meant(alice, "new")},
		{string(alice), "veto", identity.VetoArgs{}},
		{string(alice), "guardian", identity.GuardianArgs{Name: alice, Guardian: mum, Kind: identity.Delegate, Until: 1 << 50}},
		{"north", "guardian", incapable()},
		{"east", "approve-guardian", proposed(incapable())},
		{"north", "finish-guardian", proposed(incapable())},
		{string(alice), "end-guardian", identity.EndGuardianArgs{Name: alice, Guardian: mum}},
		{string(alice), "custody-off", identity.CustodyOffArgs{From: 1}},
		{"north", "authority", published(1)},
	}
}
