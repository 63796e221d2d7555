package record_test

import (
	"strings"
	"testing"

	"github.com/ward-health/ward/contract/record"
)

func TestVerifyAllNamesTheRecordThatDoesNotHold(t *testing.T) {
	if got, err := record.VerifyAll("chain", []byte("seed"), nil); err != nil || len(got) != 0 {
		t.Fatalf("no records: %v, %v", got, err)
	}
	w := newWorld(t)
	var list []*record.Record
	for range 3 {
		list = append(list, w.put(w.draft(alice, lab, "lab")))
	}
	got, err := record.VerifyAll(w.Consortium.Chain, []byte("seed"), list)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d of 3 records, %v", len(got), err)
	}
	for i := range got {
		if got[i].Header().Record != string(list[i].ID) {
			t.Errorf("record %d is %q", i, got[i].Header().Record)
		}
	}
	moved := *list[1]
	moved.Envelope = list[0].Envelope
	short := *list[2]
	short.Envelope = short.Envelope[:len(short.Envelope)-1]
	for _, bad := range []*record.Record{&moved, &short} {
		_, err = record.VerifyAll(w.Consortium.Chain, []byte("seed"), []*record.Record{list[0], bad})
		if err == nil || !strings.Contains(err.Error(), string(bad.ID)) || strings.Contains(err.Error(), string(list[0].ID)) {
			t.Errorf("a record with another capsule: %v", err)
		}
	}
}
