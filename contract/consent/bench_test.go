package consent_test

import (
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
)

// apply measures one transaction on the world as it is, and changes nothing.
func (w *world) apply(b *testing.B, who, method string, args any) {
	b.Helper()
	raw, err := chain.Marshal(args)
	if err != nil {
		b.Fatal(err)
	}
	sidecar, err := chain.NewSidecar([]byte("sidecar"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		e := w.c.Entry([]*chain.Tx{w.c.TxWith(who, chain.TxBody{Contract: consent.Contract, Method: method, Args: raw, Sidecar: sidecar})}, [][]byte{[]byte("sidecar")})
		b.StartTimer()
		out, err := w.c.Executor.Apply(w.c.Head, &w.c.State, e)
		if err != nil || out.Block.Results[0].Code != "" {
			b.Fatal(out.Block.Results[0].Code, err)
		}
	}
}

func BenchmarkGrant(b *testing.B) {
	w := newWorld(b)
	w.apply(b, string(patient), consent.MethodGrant, w.offer(patient, reader, "clinical", terms{}).args)
}

func BenchmarkAccess(b *testing.B) {
	w := newWorld(b)
	g := w.grant(patient, reader, "clinical", terms{})
	one := []record.ID{w.put(patient, "clinical", 1)}
	many := append([]record.ID(nil), one...)
	for range 99 {
		many = append(many, w.put(patient, "clinical", 1))
	}
	b.Run("1 record", func(b *testing.B) { w.apply(b, string(reader), consent.MethodAccess, w.ask(g, one...)) })
	b.Run("100 records", func(b *testing.B) { w.apply(b, string(reader), consent.MethodAccess, w.ask(g, many...)) })
}

func BenchmarkAccept(b *testing.B) {
	w := newWorld(b)
	o := w.offer(patient, reader, "clinical", terms{})
	w.must(o.send())
	w.apply(b, "east", consent.MethodAccept, consent.AcceptArgs{Accepts: []consent.Accept{{Grant: o.id, OK: true}}})
}
