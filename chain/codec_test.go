package chain

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

func TestCodecModesAreValid(t *testing.T) {
	if errEncMode != nil || errDecMode != nil {
		t.Fatal(errEncMode, errDecMode)
	}
}

// The names that formats begin with and the strings that are hashed or signed
// must not be prefixes of one another.
func TestDomainStringsAreSeparate(t *testing.T) {
	all := []string{
		nameTx, nameResult, nameLeaf, nameProposal, nameEntry, nameHeader, nameBlock, nameReceipt, nameEvidence,
		nameConsortium,
		"ward/v1/export", "ward/v1/ledger-head", "WARD-V1-SIDECAR", "WARD-V1-CHECKPOINT\n", "WARD-V1-CONSORTIUM\n", "WARD-V1-STATE-SUM", "WARD-V1-STATE-ELEMENT", "WARD-V1-PREPARE", "WARD-V1-ANCHOR\n",
		"cosignature/v1\n",
	}
	for _, tag := range pairing.Tags() {
		all = append(all, string(tag))
	}
	for i, a := range all {
		for j, b := range all {
			if i != j && strings.HasPrefix(b, a) {
				t.Errorf("%q is a prefix of %q", a, b)
			}
		}
	}
}

func TestUnmarshalAcceptsOneEncoding(t *testing.T) {
	type pair struct {
		_ struct{} `cbor:",toarray"`
		N uint64
		B []byte
	}
	type record struct {
		A uint64 `cbor:"a"`
		B string `cbor:"b"`
	}
	for _, c := range []struct {
		name, data string
		into       any
		ok         bool
	}{
		{"pair", "820141ff", new(pair), true},
		{"integer longer than needed", "82180141ff", new(pair), false},
		{"length longer than needed", "82015801ff", new(pair), false},
		{"indefinite array", "9f0141ffff", new(pair), false},
		{"indefinite string", "82015f41ffff", new(pair), false},
		{"tag", "82c10141ff", new(pair), false},
		{"null for empty", "8201f6", new(pair), false},
		{"undefined for empty", "8201f7", new(pair), false},
		{"text for bytes", "820161ff", new(pair), false},
		{"array for bytes", "82018101", new(pair), false},
		{"too few", "8101", new(pair), false},
		{"too many", "830141ff00", new(pair), false},
		{"trailing byte", "820141ff00", new(pair), false},
		{"float for integer", "82f93c0041ff", new(pair), false},
		{"negative for unsigned", "822041ff", new(pair), false},
		{"empty", "", new(pair), false},
		{"map", "a26161016162616a", new(record), true},
		{"map out of order", "a26162616a616101", new(record), false},
		{"duplicate key", "a3616101616101616260", new(record), false},
		{"unknown key", "a3616101616260616300", new(record), false},
		{"missing key", "a1616101", new(record), false},
		{"key in other case", "a26141016162616a", new(record), false},
		{"invalid UTF-8", "a261610161626180", new(record), false},
		{"deep nesting", strings.Repeat("81", 100) + "00", new(any), false},
		{"huge array", "9affffffff00", new([]uint64), false},
		{"huge string", "5affffffff00", new([]byte), false},
	} {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		if err := Unmarshal(data, c.into); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestNames(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "consent.grant": true, "store/taken": true, "a-1": true, strings.Repeat("a", 48): true,
		"": false, "A": false, "1a": false, "a b": false, "ä": false, strings.Repeat("a", 49): false, "a\x00": false,
	} {
		if ValidName(s) != want {
			t.Errorf("ValidName(%q) = %v", s, !want)
		}
	}
	for s, want := range map[string]bool{
		"a": true, "records.example": true, "1-a": true, strings.Repeat("a", 63): true,
		"": false, ".a": false, "a.": false, "-": false, "A": false, "a/b": false, strings.Repeat("a", 64): false,
	} {
		if validChainID(s) != want {
			t.Errorf("validChainID(%q) = %v", s, !want)
		}
	}
}
