package record_test

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// What is on chains stays as it is: the keys of the state, and the encodings.

func TestKeysOfTheStateArePinned(t *testing.T) {
	w := newWorld(t)
	d := w.draft(alice, lab, "lab")
	d.Payload, d.Size = ref("x"), 1
	r := w.put(d)
	index := string(binary.BigEndian.AppendUint64(nil, r.Index))
	want := []string{
		"o/p-7f3a@north\x00" + index + "=" + string(d.ID),
		"p/" + string(ref("x")) + "=" + string(must(hex.DecodeString("826c702d37663361406e6f72746801"))),
		"r/" + string(d.ID) + "=" + string(must(chain.Marshal(r))),
		"u/" + string(must(pre.ParseEnvelope(d.Envelope)).U()) + "=\x01",
	}
	if got := w.dump(); !slices.Equal(got, want) {
		t.Errorf("state is %q, want %q", got, want)
	}
}

func TestEncodingsArePinned(t *testing.T) {
	id := record.ID("r-aaaaaaaaaaaaaaaaaaaaaaaaaa")
	for want, v := range map[string]any{
		"81781c722d6161616161616161616161616161616161616161616161616161": record.EraseArgs{ID: id},
		"8a781c722d61616161616161616161616161616161616161616161616161616c702d37663361406e6f727468636c61620203420405420607081a5265c00060": record.PutArgs{
			ID: id, Owner: alice, Type: "lab", Version: 2, Epoch: 3, Envelope: []byte{4, 5}, Payload: []byte{6, 7}, Size: 8, Dated: 16 * day,
		},
		"90781c722d61616161616161616161616161616161616161616161616161616c702d37663361406e6f727468696c616240736f757468636c616202034101420203410408090a0b60600c": &record.Record{
			ID: id, Owner: alice, Author: lab, Type: "lab", Version: 2, Epoch: 3, Key: []byte{1}, Envelope: []byte{2, 3}, Payload: []byte{4}, Size: 8, Dated: 9, Index: 10, Time: 11, Erased: 12,
		},
	} {
		if got := hex.EncodeToString(must(chain.Marshal(v))); got != want {
			t.Errorf("%T is\n%s, want\n%s", v, got, want)
		}
	}
}
