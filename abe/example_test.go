package abe_test

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/abe"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

const staff = `
	role        one of (nurse, pharmacist, physician)
	dept        any of (er, icu)
	contractor  flag
	grade       number 0 to 7
`

// North certifies attributes of its staff. Whatever is sealed to a policy opens
// for whoever satisfies it.
func Example() {
	catalogue, err := abe.ParseCatalogue(staff)
	check(err)
	master, err := abe.GenerateMasterKey("north")
	check(err)
	north, err := master.Authority(1, catalogue)
	check(err)

	policy, err := abe.ParsePolicy("role = physician and dept in (icu, er) and not contractor")
	check(err)
	to, err := abe.NewRecipient(policy, north) // what pre's PrivateKey.Grant takes
	check(err)
	half, context := make([]byte, 96), [32]byte{1}
	sealed, err := to.SealHalf(half, context)
	check(err)

	attributes, err := abe.ParseAttributes("role = physician, dept = er")
	check(err)
	lee, err := master.Issue(north, "dr.lee@north", attributes)
	check(err)
	opened, err := lee.OpenHalf(to.Description(), sealed, context) // what pre's Grant.Accept takes
	check(err)
	fmt.Println(lee, "opens", len(opened), "bytes")

	attributes, err = abe.ParseAttributes("role = physician, dept = er, contractor")
	check(err)
	temp, err := master.Issue(north, "temp@north", attributes)
	check(err)
	_, err = temp.OpenHalf(to.Description(), sealed, context)
	fmt.Println(err)
	// Output:
	// attribute key of dr.lee@north at north, epoch 1 opens 96 bytes
	// attributes do not satisfy the policy
}

func ExampleParsePolicy() {
	policy, err := abe.ParsePolicy("2 of (role=physician, (dept in(icu)), not not grade>=3)")
	check(err)
	fmt.Println(policy)

	_, err = abe.ParsePolicy("role = physician and grade != 3")
	fmt.Println(err)
	// Output:
	// 2 of (role = physician, dept = icu, grade >= 3)
	// policy, column 28: unexpected "!"; write not x = y
}

func ExamplePolicy_Explain() {
	policy, err := abe.ParsePolicy("role = physician and dept in (icu, er) and not contractor")
	check(err)
	attributes, err := abe.ParseAttributes("role = nurse, dept = er, contractor")
	check(err)
	fmt.Println(policy.Explain(attributes))
	// Output:
	// not satisfied
	//   role = physician does not hold (column 1): has nurse
	//   contractor holds (column 48)
}

func ExamplePolicy_Evaluate() {
	policy, err := abe.ParsePolicy("north:role = physician or south:role = physician")
	check(err)
	attributes, err := abe.ParseAttributes("role = physician")
	check(err)
	attributes, err = attributes.In("south")
	check(err)
	fmt.Println(policy.Evaluate(attributes))
	// Output: true
}

func ExampleNewRecipient() {
	catalogue, err := abe.ParseCatalogue(staff)
	check(err)
	var authorities []*abe.Authority
	for _, name := range []string{"north", "south"} {
		master, err := abe.GenerateMasterKey(name)
		check(err)
		a, err := master.Authority(1, catalogue)
		check(err)
		authorities = append(authorities, a)
	}
	for _, text := range []string{
		"north:role = physician or south:role = physician and south:grade >= 3",
		"north:role = physician and south:dept = icu",
		"north:role = phycisian or south:contractor",
	} {
		policy, err := abe.ParsePolicy(text)
		check(err)
		_, err = abe.NewRecipient(policy, authorities...)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// policy, column 28: "and" joins attributes of north and south: two people could put theirs together; only "or" may
	// policy, column 14: role has no value "phycisian"; it may be nurse, pharmacist, physician
}

func ExampleParseAudience() {
	catalogue, err := abe.ParseCatalogue(staff)
	check(err)
	master, err := abe.GenerateMasterKey("north")
	check(err)
	north, err := master.Authority(3, catalogue)
	check(err)
	policy, err := abe.ParsePolicy("contractor")
	check(err)
	to, err := abe.NewRecipient(policy, north)
	check(err)

	audience, err := abe.ParseAudience(to.Description())
	check(err)
	fmt.Println(audience.Policy(), "of epoch", audience.Authorities()[0].Epoch)
	// Output: north:contractor of epoch 3
}

// A new epoch takes access from whoever is not issued a new key.
func ExampleMasterKey_Authority() {
	catalogue, err := abe.ParseCatalogue(staff)
	check(err)
	master, err := abe.GenerateMasterKey("north")
	check(err)
	before, err := master.Authority(1, catalogue)
	check(err)
	physician, err := abe.ParseAttributes("role = physician")
	check(err)
	leaver, err := master.Issue(before, "eve@north", physician)
	check(err)

	after, err := master.Authority(2, catalogue)
	check(err)
	policy, err := abe.ParsePolicy("role = physician")
	check(err)
	to, err := abe.NewRecipient(policy, after)
	check(err)
	sealed, err := to.SealHalf(make([]byte, 96), [32]byte{})
	check(err)
	_, err = leaver.OpenHalf(to.Description(), sealed, [32]byte{})
	var epoch *abe.EpochError
	fmt.Println(errors.As(err, &epoch), err)
	// Output: true key is of epoch 1 of north, sealed was to epoch 2
}

func ExampleParseCatalogue() {
	catalogue, err := abe.ParseCatalogue(staff)
	check(err)
	fmt.Print(catalogue)
	attributes, err := abe.ParseAttributes("role = physician, grade = 9")
	check(err)
	fmt.Println(catalogue.Check(attributes))
	// Output:
	// contractor flag
	// dept any of (er, icu)
	// grade number 0 to 7
	// role one of (nurse, pharmacist, physician)
	// attributes, column 1: grade goes from 0 to 7
}

func ExampleGenerateMasterKey() {
	master, err := abe.GenerateMasterKey("north")
	check(err)
	defer master.Erase()
	again, err := abe.ParseMasterKey(master.Bytes())
	check(err)
	fmt.Println(again)
	// Output: attribute master key of north
}

func ExampleParseKey() {
	catalogue, err := abe.ParseCatalogue(staff)
	check(err)
	master, err := abe.GenerateMasterKey("north")
	check(err)
	north, err := master.Authority(1, catalogue)
	check(err)
	nurse, err := abe.ParseAttributes("role = nurse")
	check(err)
	issued, err := master.Issue(north, "bob@north", nurse)
	check(err)

	key, err := abe.ParseKey(issued.Bytes())
	check(err)
	fmt.Println(key.Check(), key.Holder(), key.Attributes())
	// Output: <nil> bob@north role = nurse
}
