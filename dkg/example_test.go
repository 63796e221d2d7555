package dkg

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// Example makes the two keys of a consortium of four, in one process.
func Example() {
	var keys []*node
	for i := range 4 {
		keys = append(keys, newNode(fmt.Sprint("hospital ", i)))
	}
	ceremony := &Ceremony{
		Chain: "north-consortium", ID: [32]byte{1}, Generation: 1,
		Join: window, Deal: window, Complain: window, Confirm: window,
		Members: roster(keys),
		Secrets: []Secret{{Use: UseCheckpoint, Threshold: 3}, {Use: UseIdentity, Threshold: 3}},
	}
	var members []*Machine
	for _, k := range keys {
		m, err := New(ceremony, k.public(), nil, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		members = append(members, m)
	}
	var at Point
	for members[0].Phase() < PhaseActive {
		// The chain orders what members owe, and shows it to all of them.
		silent := true
		for i, m := range members {
			for _, msg := range m.Pending() {
				silent = false
				at.Position++
				raw := msg.Sign(keys[i].key)
				for _, reader := range members {
					if err := reader.Step(at, raw); err != nil {
						fmt.Println(err)
						return
					}
				}
			}
		}
		// When nobody has more to say, the phase's time passes.
		if silent {
			at.Position += 1000
		}
		for _, m := range members {
			if err := m.Tick(at); err != nil {
				fmt.Println(err)
				return
			}
		}
	}
	result, err := members[2].Result()
	if err != nil {
		fmt.Println(err)
		return
	}
	v := result.Sharings[0].Key()
	fmt.Println(members[2].Phase(), result.Index, len(v.Bytes()), v.Verify(result.Statement(), result.Certificate))
	// Output: complete 3 48 <nil>
}

// An auditor checks evidence with nothing but the ceremony's description.
func ExampleVerifyEvidence() {
	f, err := os.Open("testdata/vectors/ceremony/refused-bad-share.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	fields := map[string][]byte{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		fields[name], _ = hex.DecodeString(value) // the fields of interest are hexadecimal
	}
	ceremony, err := ParseCeremony(fields["ceremony"])
	if err != nil {
		fmt.Println(err)
		return
	}
	fault, err := VerifyEvidence(ceremony, fields["evidence"])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("participant %d: %v\n", fault.Participant, fault.Err)
	// Output: participant 2: dealt share does not match the commitments
}

// A node writes its machine to the vault before it sends anything, and goes on
// from there after a crash.
func ExampleParseMachine() {
	members := newNodes(1, 4)
	m, err := New(freshCeremony(members), members[0].public(), nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	vault := m.Bytes()
	restored, err := ParseMachine(vault)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, msg := range restored.Pending() {
		fmt.Println("still owes its", msg.Phase(), "message")
	}
	// Output: still owes its join message
}
