package consent_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

var methods = []struct {
	name, signer string
	args         any
}{
	{consent.MethodGrant, string(patient), consent.GrantArgs{}},
	{consent.MethodAccept, "east", consent.AcceptArgs{}},
	{consent.MethodRevoke, string(patient), consent.RevokeArgs{}},
	{consent.MethodAccess, string(reader), consent.AccessArgs{}},
	{consent.MethodEmergency, string(reader), consent.EmergencyArgs{}},
	{consent.MethodReview, string(reviewer), consent.ReviewArgs{}},
	{consent.MethodRequest, string(reader), consent.RequestArgs{}},
	{consent.MethodDeny, string(patient), consent.DenyArgs{}},
	{consent.MethodDefaults, "south", consent.DefaultsArgs{}},
	{consent.MethodGrant, string(patient), consent.GrantArgs{}}, // to a policy
	{consent.MethodAccess, string(reader), consent.AccessArgs{}},
}

// still is a fuzzing test whose Helper may be called from within its target.
type still struct{ testing.TB }

// Helper does nothing.
func (still) Helper() {}

// FuzzApply sends arbitrary arguments to every method of a chain with grants
// and records on it: nothing panics, and what is accepted has one encoding.
func FuzzApply(f *testing.F) {
	w := policyWorld(still{f})
	id := w.put(patient, "clinical", 1)
	g := w.grant(patient, reader, "clinical", terms{})
	fresh := w.offer(patient, reader, "clinical", terms{}).args
	emergency := w.breakGlass(reader, patient, []record.ID{id}, witness)
	w.must(w.emergency(reader, emergency))
	review := w.last()
	emergency = w.breakGlass(reader, patient, []record.ID{id}, witness)
	asked := w.request(reader, consent.RequestArgs{Owner: patient, Type: "clinical", Purpose: "TREAT"})
	fresh.Renews, fresh.Answers = g, asked
	held := w.ask(w.grant(patient, "", "clinical", terms{to: w.policy(physicians), Conditions: consent.Conditions{Instance: "w-1", Obligations: []consent.Obligation{"DELAU"}}}), id)
	held.Obligations = []consent.Obligation{"DELAU"}
	w.hand("w-1", reader)
	// try runs a method on the world as it is, and changes nothing.
	try := func(t testing.TB, which int, args []byte) chain.Code {
		m := methods[which]
		sidecar, err := chain.NewSidecar([]byte("sidecar"))
		if err != nil {
			t.Fatal(err)
		}
		tx := w.c.TxWith(m.signer, chain.TxBody{Contract: consent.Contract, Method: m.name, Args: args, Sidecar: sidecar})
		out, err := w.c.Executor.Apply(w.c.Head, &w.c.State, w.c.Entry([]*chain.Tx{tx}, [][]byte{[]byte("sidecar")}))
		if err != nil {
			t.Fatal(err)
		}
		return out.Block.Results[0].Code
	}
	for i, args := range []any{
		fresh,
		consent.AcceptArgs{Accepts: []consent.Accept{{Grant: g, OK: true}}},
		consent.RevokeArgs{Grant: g},
		w.ask(g, id),
		emergency,
		consent.ReviewArgs{Access: review, Outcome: consent.OutcomeAbuse},
		consent.RequestArgs{Owner: other, Type: "clinical", Purpose: "TREAT", NotAfter: w.now() + 1},
		consent.DenyArgs{Request: asked},
		consent.DefaultsArgs{Defaults: []consent.Default{{Name: "team", Type: "clinical", Policy: physicians, Lasts: 1, Conditions: consent.Conditions{Except: []pre.Type{"clinical/hiv"}}}}},
		w.offer(patient, "", "clinical", terms{to: w.policy(physicians)}).args,
		held,
	} {
		b, err := chain.Marshal(args)
		if err != nil {
			f.Fatal(err)
		}
		if code := try(f, i, b); code != "" {
			f.Fatalf("the fuzzer begins with %s that is refused as %s", methods[i].name, code)
		}
		f.Add(uint8(i), b)
		f.Add(uint8(i), b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, which uint8, args []byte) {
		m := methods[int(which)%len(methods)]
		v := reflect.New(reflect.TypeOf(m.args))
		parsed := chain.Unmarshal(args, v.Interface()) == nil
		if parsed {
			if again, err := chain.Marshal(v.Interface()); err != nil || !bytes.Equal(again, args) {
				t.Fatalf("%x comes back as %x, %v", args, again, err)
			}
		}
		code := try(t, int(which)%len(methods), args)
		if code == chain.ErrFault || code == chain.ErrFailed {
			t.Fatalf("%s panics or runs over a limit: %x", m.name, args)
		}
		if !parsed && code != consent.ErrMalformed {
			t.Fatalf("%s takes %x: %q", m.name, args, code)
		}
	})
}
