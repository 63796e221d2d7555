package chain_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

func TestConsortiumFileIsStrict(t *testing.T) {
	good := string(encoded(t, ledgertest.Consortium(t, 4)))
	for name, change := range map[string][2]string{
		"unknown field":         {`"epoch": 0,`, `"epoch": 0, "more": 1,`},
		"field twice":           {`"epoch": 0,`, `"epoch": 0, "epoch": 0,`},
		"field in other case":   {`"epoch"`, `"Epoch"`},
		"other indentation":     {"\n  ", "\n    "},
		"upper-case digits":     {ledgertest.Public("east").String(), strings.ToUpper(ledgertest.Public("east").String())},
		"number as 0.0":         {`"epoch": 0`, `"epoch": 0.0`},
		"escaped letter":        {`"east"`, `"\u0065ast"`},
		"byte order mark":       {"{", "\ufeff{"},
		"founding missing":      {`"epoch": 0`, `"epoch": 1`},
		"time zone":             {"04:05Z", "04:05+00:00"},
		"fraction":              {"04:05Z", "04:05.5Z"},
		"plain http":            {`"https://east`, `"http://east`},
		"url with slash":        {`.example",`, `.example/",`},
		"url with empty query":  {`.example",`, `.example?",`},
		"url with a space":      {`https://east`, `https://ea st`},
		"peer without port":     {`east.example:7700`, `east.example`},
		"peer without host":     {`east.example:7700`, `:7700`},
		"peer with port 0":      {`:7700`, `:0`},
		"peer with port 65536":  {`:7700`, `:65536`},
		"peer with padded port": {`:7700`, `:07700`},
		"peer with named port":  {`:7700`, `:https`},
		"peer with a space":     {`east.example:7700`, `east example:7700`},
		"peer in other letters": {`east.example:7700`, `éast.example:7700`},
		"url with a user":       {`https://east`, `https://me@east`},
		"key of zeros":          {ledgertest.Public("east").String(), strings.Repeat("0", 64)},
		"low t_c":               {`"checkpoint_threshold": 3`, `"checkpoint_threshold": 2`},
		"high t_c":              {`"checkpoint_threshold": 3`, `"checkpoint_threshold": 5`},
		"t of f":                {`"key_threshold": 3`, `"key_threshold": 1`},
		"t of all":              {`"key_threshold": 3`, `"key_threshold": 4`},
		"no t":                  {`"key_threshold": 3`, `"key_threshold": 0`},
		"two of one name":       {`"north"`, `"east"`},
		"not sorted":            {`"name": "east"`, `"name": "zeast"`},
		"two of one key":        {ledgertest.Public("north").String(), ledgertest.Public("east").String()},
		"slash in name":         {`"name": "north"`, `"name": "nor/th"`},
		"trailing newline":      {"}\n", "}\n\n"},
		"other format":          {"ward/v1/consortium", "ward/v2/consortium"},
		"chain in capitals":     {"records.example", "Records.example"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing changed in\n%s", name, good)
		}
		if _, err := chain.ParseConsortium([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// Two sets of t_c members share an honest one; t members are more than the
// dishonest ones, and the honest ones are at least t.
func TestThresholdsAreSafeAtEverySize(t *testing.T) {
	for n := 1; n <= 7; n++ {
		f := (n - 1) / 3
		for tc := range n + 2 {
			for tk := range n + 2 {
				k := ledgertest.Consortium(t, n)
				k.CheckpointThreshold, k.KeyThreshold = tc, tk
				safe := 2*tc-n > f && tc <= n && tk > f && tk <= n-f
				if _, err := k.Bytes(); (err == nil) != safe {
					t.Errorf("%d members, t_c = %d, t = %d: %v", n, tc, tk, err)
				}
			}
		}
	}
}

func TestGroupKeysMustBePoints(t *testing.T) {
	for name, key := range map[string][]byte{
		"too short":        make([]byte, 47),
		"no point":         bytes.Repeat([]byte{0xff}, 48),
		"the identity":     append([]byte{0xc0}, make([]byte, 47)...),
		"wrong subgroup":   append(append([]byte{0x80}, make([]byte, 46)...), 0x04),
		"uncompressed":     make([]byte, 96),
		"one but no other": nil,
	} {
		k := ledgertest.Consortium(t, 4)
		k.CheckpointKey = key
		if _, err := k.Bytes(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	k := ledgertest.Consortium(t, 4)
	k.CheckpointKey, k.ExtractionKey = nil, nil
	if again, err := chain.ParseConsortium(encoded(t, k)); err != nil || len(again.CheckpointKey) != 0 {
		t.Errorf("a file from before the keys exist: %v", err)
	}
}

func TestConsortiumLookups(t *testing.T) {
	k := ledgertest.Consortium(t, 4)
	if m := k.Member("north"); m == nil || k.MemberByKey(m.NodeKey) != m {
		t.Error("member is not found")
	}
	if k.Member("nobody") != nil || k.MemberByKey(chain.PublicKey{1}) != nil {
		t.Error("nobody is found")
	}
	if _, err := k.Genesis(chain.Hash{}); err != nil {
		t.Error(err)
	}
	next := *k
	founding, err := k.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next.Epoch, next.Founding = 1, founding
	if got, err := next.FoundingHash(); err != nil || got != founding {
		t.Error("founding hash changes with the epoch")
	}
	if _, err := next.Genesis(chain.Hash{}); err == nil {
		t.Error("a later file makes a genesis")
	}
	local := *k
	local.Created = local.Created.In(time.FixedZone("x", 3600))
	if _, err := local.Bytes(); err == nil {
		t.Error("a time outside UTC is written")
	}
}
