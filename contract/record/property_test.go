package record_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// Whatever is put, superseded and erased in whatever order: the listing has
// every record of an owner once and in order, a payload is held exactly as long
// as a record that is there refers to it, no sidecar outlives its record, and no
// record changes but by being superseded once and erased once.
func TestBooksBalanceWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		owners, payloads := []identity.Name{alice, carol}, []string{"", "", "x", "y"}
		var put []*record.Record // as they were put
		for range rapid.IntRange(3, 12).Draw(rt, "steps") {
			owner := rapid.SampledFrom(owners).Draw(rt, "owner")
			if len(put) > 0 && rapid.IntRange(0, 2).Draw(rt, "erase") == 0 {
				w.erase(owner, rapid.SampledFrom(put).Draw(rt, "record").ID)
			} else {
				d := w.draft(owner, lab, "lab")
				if p := rapid.SampledFrom(payloads).Draw(rt, "payload"); p != "" {
					d.Payload, d.Size = ref(p), 1
				}
				if len(put) > 0 && rapid.Bool().Draw(rt, "replaces") {
					d.Replaces = rapid.SampledFrom(put).Draw(rt, "replaced").ID
				}
				if w.block(d)[0] == "" {
					put = append(put, w.lookup(d.ID))
				}
			}
			w.audit(rt, put)
		}
	})
}

func (w *world) audit(rt *rapid.T, put []*record.Record) {
	held, listed := map[string]bool{}, map[identity.Name][]record.ID{}
	for _, was := range put {
		r := w.lookup(was.ID)
		listed[r.Owner] = append(listed[r.Owner], r.ID)
		_, sidecar := w.Sidecars[r.Index]
		if there := r.Erased == 0; sidecar != there || (len(r.Envelope) > 0) != there || (len(r.Key) > 0) != there {
			rt.Fatalf("erased at %d, sidecar %v: %+v", r.Erased, sidecar, r)
		} else if there {
			held[string(r.Payload)] = true
		}
		if r.Replaced != "" && w.lookup(r.Replaced).Replaces != r.ID {
			rt.Fatalf("%s says it was superseded by %s", r.ID, r.Replaced)
		}
		same := *r
		same.Envelope, same.Key, same.Erased, same.Replaced = was.Envelope, was.Key, was.Erased, was.Replaced
		if !slices.Equal(must(chain.Marshal(&same)), must(chain.Marshal(was))) {
			rt.Fatalf("%+v has become %+v", was, r)
		}
	}
	for _, p := range []string{"x", "y"} {
		if got := must(record.References(w.space("record"), ref(p))); got != held[string(ref(p))] {
			rt.Fatalf("payload %s is held: %v", p, got)
		}
	}
	for owner, want := range listed {
		if got := w.list(owner, 0, record.Filter{Erased: true}); !slices.Equal(got, want) {
			rt.Fatalf("%s has %q, listed are %q", owner, want, got)
		}
	}
}
