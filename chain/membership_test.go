package chain_test

import (
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

func TestConsortiumChangeNeedsTheMembersConsent(t *testing.T) {
	k := ledgertest.Consortium(t, 4)
	founding, err := k.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	try := func(change func(next *chain.Consortium), endorse func(next *chain.Consortium) []chain.Endorsement) error {
		next := *k
		next.Members = slices.Clone(k.Members)
		next.Epoch, next.Founding = 1, founding
		next.Members[3].NodeKey = ledgertest.Public("west-2")
		change(&next)
		args, err := chain.NextConsortium(&next, endorse(&next))
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Next(args)
		if err == nil && got.Member("west").NodeKey != next.Members[3].NodeKey {
			t.Fatal("another file is in force")
		}
		return err
	}
	asIs := func(*chain.Consortium) {}
	by := func(members ...string) func(*chain.Consortium) []chain.Endorsement {
		return func(next *chain.Consortium) (out []chain.Endorsement) {
			for _, m := range members {
				e, err := chain.Endorse(next, m, ledgertest.Key(m))
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, e)
			}
			return out
		}
	}
	all := by("east", "north", "south")
	if err := try(asIs, all); err != nil {
		t.Fatalf("the change without a fault: %v", err)
	}
	if err := try(asIs, by("east", "north", "south", "west")); err != nil {
		t.Errorf("by all: %v", err)
	}
	for name, change := range map[string]func(*chain.Consortium){
		"the same epoch":     func(k *chain.Consortium) { k.Epoch, k.Founding = 0, chain.Hash{} },
		"a later epoch":      func(k *chain.Consortium) { k.Epoch = 2 },
		"another chain":      func(k *chain.Consortium) { k.Chain = "other.example" },
		"another founding":   func(k *chain.Consortium) { k.Founding[0] ^= 1 },
		"another creation":   func(k *chain.Consortium) { k.Created = k.Created.Add(1e9) },
		"keys exchanged":     func(k *chain.Consortium) { k.ExtractionKey, k.CheckpointKey = k.CheckpointKey, k.ExtractionKey },
		"keys dropped":       func(k *chain.Consortium) { k.ExtractionKey, k.CheckpointKey = nil, nil },
		"another extraction": func(k *chain.Consortium) { k.ExtractionKey = k.CheckpointKey },
	} {
		if try(change, all) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	wrong := func(next *chain.Consortium) []chain.Endorsement {
		out := all(next)
		out[1].Signature[0] ^= 1
		return out
	}
	otherFile := func(next *chain.Consortium) []chain.Endorsement {
		other := *next
		other.KeyThreshold = 2
		return all(&other)
	}
	for name, endorse := range map[string]func(*chain.Consortium) []chain.Endorsement{
		"two members":      by("east", "north"),
		"nobody":           by(),
		"one member twice": by("east", "east", "north"),
		"not sorted":       by("north", "east", "south"),
		"a stranger":       by("east", "mallory", "north"),
		"the new key": func(next *chain.Consortium) []chain.Endorsement {
			return append(by("east", "north")(next), ledgertest.Endorsement(t, next, "west", "west-2"))
		},
		"a wrong signature": wrong,
		"another file":      otherFile,
		"another's name": func(next *chain.Consortium) []chain.Endorsement {
			return append(by("east", "north")(next), ledgertest.Endorsement(t, next, "south", "north"))
		},
	} {
		if try(asIs, endorse) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Group keys may be added once, when the members have generated them.
func TestGroupKeysMayBeAddedOnce(t *testing.T) {
	with := ledgertest.Consortium(t, 4)
	k := *with
	k.ExtractionKey, k.CheckpointKey = nil, nil
	founding, err := k.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next := *with
	next.Epoch, next.Founding = 1, founding
	var es []chain.Endorsement
	for _, m := range []string{"east", "north", "south"} {
		es = append(es, ledgertest.Endorsement(t, &next, m, m))
	}
	args, err := chain.NextConsortium(&next, es)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Next(args); err != nil || len(got.CheckpointKey) != 48 {
		t.Fatalf("%v", err)
	}
}
