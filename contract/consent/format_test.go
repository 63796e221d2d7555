package consent_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// What is on chains, in grants and under signatures stays as it is: these
// values never change. Before the first release they did once: conditions gained
// except, obligations, instance and the co-signers' elsewhere, and an access the
// obligations that it takes on.

func TestConditionsArePinned(t *testing.T) {
	c := consent.Conditions{
		NotBefore: 1, NotAfter: 1_900_000_000_000, Purposes: []consent.Purpose{"COC", "TREAT"}, Since: 86_400_000, MaxUses: 7,
		CoSigners: consent.CoSigners{Count: 2, Attribute: "role", Value: "nurse", Elsewhere: true},
		Except:    []pre.Type{"lab/hiv"}, Obligations: []consent.Obligation{"DELAU", "NORDSCLCD"}, Instance: "w-1",
	}
	want := "8b" + // array of 11
		"01" + "1b000001ba60d33800" + // not before, not after
		"82" + "63434f43" + "655452454154" + // COC, TREAT
		"1a05265c00" + "00" + // since, until
		"07" + // uses
		"84" + "02" + "64726f6c65" + "656e75727365" + "f5" + // 2 with role=nurse, elsewhere
		"81" + "676c61622f686976" + // except lab/hiv
		"82" + "6544454c4155" + "694e4f524453434c4344" + // DELAU, NORDSCLCD
		"63772d31" + // instance w-1
		"f4" // no emergency
	if b, err := c.Bytes(); err != nil || hex.EncodeToString(b) != want {
		t.Errorf("conditions are %x, %v", b, err)
	}
}

func TestApprovalStatementIsPinned(t *testing.T) {
	args := consent.AccessArgs{
		Grant: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa", Records: []record.ID{"r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}, Purpose: "TREAT", Transport: []byte{9},
		Approvals: []consent.Approval{{Name: nurse}}, Obligations: []consent.Obligation{"DELAU"},
	}
	want := "574152442d56312d415050524f56414c" + // WARD-V1-APPROVAL
		"0f" + "7265636f7264732e6578616d706c65" + // records.example
		"0c" + "64722e6c656540736f757468" + // dr.lee@south
		"06" + "616363657373" + // access
		"86" + "781c" + "672d6161616161616161616161616161616161616161616161616161" +
		"81" + "781c" + "722d6161616161616161616161616161616161616161616161616161" +
		"655452454154" + "4109" + "80" + "81" + "6544454c4155" // DELAU
	if b, err := consent.ApprovalStatement("records.example", reader, consent.MethodAccess, args); err != nil || hex.EncodeToString(b) != want {
		t.Errorf("statement is %x, %v", b, err)
	}
}

func TestRecordsHashIsOverTheirEncodings(t *testing.T) {
	list := []*record.Record{{ID: "r-aaaaaaaaaaaaaaaaaaaaaaaaaa", Owner: patient, Dated: 86_400_000}, {ID: "r-baaaaaaaaaaaaaaaaaaaaaaaaa"}}
	want := []byte("ward/v1/records\n")
	for _, r := range list {
		b, err := chain.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		want = append(append(want, 0, 0, 0, byte(len(b))), b...)
	}
	if h, err := consent.RecordsHash(list); err != nil || h != sha256.Sum256(want) {
		t.Errorf("hash is %x, %v", h, err)
	}
}
