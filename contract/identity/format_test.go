package identity_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/ward-health/ward/contract/identity"
)

// What is on chains and in wallets stays as it is: these values never change.

func TestPossessionStatementIsPinned(t *testing.T) {
	key := [32]byte{0: 0xaa, 31: 0xbb}
	want := "574152442d56312d504f5353455353494f4e" + // WARD-V1-POSSESSION
		"0f" + "7265636f7264732e6578616d706c65" + // records.example
		"08" + "7265676973746572" + // register
		"0c" + "702d37663361406e6f727468" + // p-7f3a@north
		"aa" + strings.Repeat("00", 30) + "bb"
	if got := hex.EncodeToString(identity.PossessionStatement("records.example", "register", alice, key)); got != want {
		t.Errorf("statement is %s", got)
	}
}

func TestStateOfAFixedHistoryIsPinned(t *testing.T) {
	w := newWorld(t)
	a := controlled(alice)
	a.Attributes = []identity.Attribute{{Name: "author"}, {Name: "role", Value: "icu.3", Until: 1_900_000_000_000}}
	w.must("north", "register", a)
	w.must(string(alice), "epoch", identity.EpochArgs{})
	w.must(string(alice), "hand-over", handOver(alice, "phone"))
	w.must("east", "recover", recovery(alice, "new"))
	w.must("south", "approve", meant(alice, "new"))
	w.register(bob)
	// Since identities have guardians, and count their custody keys apart from the
	// one in force, their encoding has three more fields, and the history more
	// steps.
	w.must("phone", "guardian", identity.GuardianArgs{Name: alice, Guardian: bob, Kind: identity.Delegate, Until: 1_900_000_000_000})
	w.must("north", "guardian", identity.GuardianArgs{Name: alice, Guardian: bob, Kind: identity.Incapacity, Wait: identity.MinRecoveryWait})
	h := sha256.New()
	for _, pair := range w.dump() {
		h.Write([]byte(pair + "\n"))
	}
	const want = "a9d678e72ca8c2504955f82e099b6464ba37da2e1d288ff48d0a3ec3df639ddd"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("hash over the state is %s", got)
	}
}
