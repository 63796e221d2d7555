package protocol_test

import (
	"testing"

	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/node/protocol"
)

func BenchmarkSignToken(b *testing.B) {
	key := ledgertest.Key("dr.lee@south")
	for b.Loop() {
		if _, err := protocol.SignToken(chainID, "east", noon, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyToken(b *testing.B) {
	text, err := sign(b).Text()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		t, err := protocol.ParseToken(text)
		if err != nil || t.Verify(chainID, "east", noon) != nil {
			b.Fatal(err)
		}
	}
}
