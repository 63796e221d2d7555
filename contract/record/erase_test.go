package record_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

func TestRecordSupersedesAnother(t *testing.T) {
	w := newWorld(t)
	old := w.put(w.draft(alice, lab, "lab"))
	w.register("lab2@south", "author")
	d := w.draft(alice, "lab2@south", "lab/chemistry")
	d.Replaces = old.ID
	r := w.put(d)
	if was := w.lookup(old.ID); r.Replaces != old.ID || was.Replaced != r.ID || was.Erased != 0 {
		t.Errorf("%+v replaces %+v", r, was)
	}
	if got := w.list(alice, 0, record.Filter{}); !slices.Equal(got, []record.ID{r.ID}) {
		t.Errorf("listed %q", got)
	}
	third := w.draft(alice, alice, "lab")
	third.Replaces = r.ID
	w.put(third) // an owner replaces what others wrote for her
}

func TestWhatMayNotBeSuperseded(t *testing.T) {
	w := newWorld(t)
	w.register("lab@north", "author")
	current, gone, old := w.put(w.draft(alice, lab, "lab")), w.put(w.draft(alice, lab, "lab")), w.put(w.draft(alice, lab, "lab"))
	hers, carols := w.put(w.draft(alice, alice, "lab")), w.put(w.draft(carol, lab, "lab"))
	next := w.draft(alice, lab, "lab")
	next.Replaces = old.ID
	w.put(next)
	if code := w.erase(alice, gone.ID); code != "" {
		t.Fatal(code)
	}
	for story, c := range map[string]struct {
		author   identity.Name
		replaces record.ID
		want     chain.Code
	}{
		"nothing":                       {lab, must(record.GenerateID()), record.ErrUnknown},
		"superseded already":            {lab, old.ID, record.ErrReplaced},
		"another owner's":               {lab, carols.ID, record.ErrReplaced},
		"erased":                        {lab, gone.ID, record.ErrErased},
		"another organisation's":        {"lab@north", current.ID, record.ErrDenied},
		"the owner's own, by an author": {"lab@north", hers.ID, record.ErrDenied}, // though both are of north
	} {
		d := w.draft(alice, c.author, "lab")
		d.Replaces = c.replaces
		if code := w.block(d)[0]; code != c.want {
			t.Errorf("%s: %q, want %q", story, code, c.want)
		}
	}
	itself := w.draft(alice, lab, "lab")
	itself.Replaces = itself.ID
	w.refuse(record.ErrUnknown, itself)
}

func TestErasureLeavesATombstone(t *testing.T) {
	w := newWorld(t)
	d := w.draft(alice, lab, "lab")
	d.Payload, d.Size = ref("payload"), 4096
	r := w.put(d)
	w.Now = w.Now.Add(time.Hour)
	if code := w.erase(alice, r.ID); code != "" {
		t.Fatal(code)
	}
	gone := w.lookup(r.ID)
	if gone.Erased != w.Now.UnixMilli() || len(gone.Envelope) != 0 || len(gone.Key) != 0 || !bytes.Equal(gone.Payload, d.Payload) || gone.Type != "lab" {
		t.Errorf("tombstone %+v", gone)
	}
	if _, ok := w.Sidecars[r.Index]; ok {
		t.Error("the sealed index is still there")
	}
	if held := must(record.References(w.space("record"), d.Payload)); held {
		t.Error("the payload is still held")
	}
	if _, err := gone.Verified("records.example"); !errors.Is(err, record.ErrErased) {
		t.Error(err)
	}
	if code := w.erase(alice, r.ID); code != record.ErrErased {
		t.Errorf("erased twice: %q", code)
	}
}

func TestOnlyTheOwnerErases(t *testing.T) {
	w := newWorld(t)
	r := w.put(w.draft(alice, lab, "lab"))
	for _, signer := range []identity.Name{lab, carol, clerk, "north", "nobody@north"} {
		if code := w.erase(signer, r.ID); code != record.ErrDenied {
			t.Errorf("%s: %q", signer, code)
		}
	}
	if code := w.erase(alice, must(record.GenerateID())); code != record.ErrUnknown {
		t.Errorf("nothing: %q", code)
	}
}

func TestPayloadIsHeldByTheLastRecord(t *testing.T) {
	w := newWorld(t)
	held := func() bool { return must(record.References(w.space("record"), ref("shared"))) }
	var ids []record.ID
	for range 2 {
		d := w.draft(alice, lab, "lab")
		d.Payload, d.Size = ref("shared"), 4096
		ids = append(ids, w.put(d).ID)
	}
	if code := w.erase(alice, ids[0]); code != "" || !held() {
		t.Errorf("after the first erasure (%q) it is held: %v", code, held())
	}
	if code := w.erase(alice, ids[1]); code != "" || held() {
		t.Errorf("after the second erasure (%q) it is held: %v", code, held())
	}
	if has(w.dump(), "p/") {
		t.Error("a count of nothing is kept")
	}
}

// References are on the chain for all to see. A record of somebody else's with
// the same one would keep a payload from ever being erased.
func TestNobodyPinsAnothersPayload(t *testing.T) {
	w := newWorld(t)
	d := w.draft(alice, lab, "lab")
	d.Payload, d.Size = ref("hers"), 4096
	w.put(d)
	pin := w.draft(carol, carol, "lab")
	pin.Payload, pin.Size = ref("hers"), 4096
	w.refuse(record.ErrPayload, pin)
	if code := w.erase(alice, d.ID); code != "" || must(record.References(w.space("record"), ref("hers"))) {
		t.Errorf("the payload is held after its erasure (%q)", code)
	}
}
