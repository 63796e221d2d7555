package node

import (
	"testing"

	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

func TestOnlyTheVeryBytesThatWereCheckedAreRemembered(t *testing.T) {
	var v verified
	key := [32]byte{1}
	v.add(key, &pre.Record{})
	if v.find(key) == nil || v.find([32]byte{2}) != nil {
		t.Fatal("what was checked is not what is found")
	}
	// A record that was never checked is not taken on trust: this one has no
	// envelope at all.
	if _, err := v.records("chain", [32]byte{}, []*record.Record{{ID: "r-x", Owner: "a@b"}}); err == nil {
		t.Fatal("a record without an envelope was taken for checked")
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	var v verified
	kept := [32]byte{0xff}
	for i := range 3 * maxVerified {
		v.add([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, &pre.Record{})
		v.add(kept, &pre.Record{})
		if n := len(v.young) + len(v.old); n > 2*maxVerified {
			t.Fatalf("%d records are remembered", n)
		}
	}
	if v.find(kept) == nil {
		t.Error("a record in constant use was forgotten")
	}
	if v.find([32]byte{0, 0, 0}) != nil {
		t.Error("a record from long ago is remembered")
	}
}
