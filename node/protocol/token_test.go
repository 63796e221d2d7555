package protocol_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/node/protocol"
)

const chainID = "records.example"

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func sign(tb testing.TB) *protocol.Token {
	tb.Helper()
	text, err := protocol.SignToken(chainID, "east", noon, ledgertest.Key("dr.lee@south"))
	if err != nil {
		tb.Fatal(err)
	}
	t, err := protocol.ParseToken(text)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestTokenVerifies(t *testing.T) {
	tok := sign(t)
	if tok.Key != ledgertest.Public("dr.lee@south") {
		t.Fatal("another key")
	}
	for _, d := range []time.Duration{0, protocol.TokenWindow, -protocol.TokenWindow} {
		if err := tok.Verify(chainID, "east", noon.Add(d)); err != nil {
			t.Errorf("%v later: %v", d, err)
		}
	}
}

func TestTokenIsRefused(t *testing.T) {
	for _, c := range []struct {
		what  string
		alter func(*protocol.Token)
		chain string
		audit string
		after time.Duration
		code  string
	}{
		{"for another member", nil, chainID, "west", 0, protocol.CodeTokenAudience},
		{"for another chain", nil, "other.example", "east", 0, protocol.CodeTokenChain},
		{"too old", nil, chainID, "east", protocol.TokenWindow + time.Millisecond, protocol.CodeTokenTime},
		{"of the future", nil, chainID, "east", -protocol.TokenWindow - time.Millisecond, protocol.CodeTokenTime},
		{"made another member's", func(k *protocol.Token) { k.Member = "west" }, chainID, "west", 0, protocol.CodeTokenSignature},
		{"made another chain's", func(k *protocol.Token) { k.Chain = "other.example" }, "other.example", "east", 0, protocol.CodeTokenSignature},
		{"made younger", func(k *protocol.Token) { k.Time += 180_000 }, chainID, "east", 3 * time.Minute, protocol.CodeTokenSignature},
		{"with another nonce", func(k *protocol.Token) { k.Nonce[0]++ }, chainID, "east", 0, protocol.CodeTokenSignature},
		{"of another key", func(k *protocol.Token) { k.Key = ledgertest.Public("p-7f3a@north") }, chainID, "east", 0, protocol.CodeTokenSignature},
		{"with a bent signature", func(k *protocol.Token) { k.Signature[9] ^= 1 }, chainID, "east", 0, protocol.CodeTokenSignature},
		{"of no time", func(k *protocol.Token) { k.Time = -1 << 63 }, chainID, "east", 0, protocol.CodeTokenTime},
	} {
		tok := sign(t)
		if c.alter != nil {
			c.alter(tok)
		}
		err := tok.Verify(c.chain, c.audit, noon.Add(c.after))
		var auth *protocol.AuthError
		if !errors.As(err, &auth) || auth.Code != c.code || !errors.Is(err, ward.ErrUnauthorized) {
			t.Errorf("token %s: %v, want %s", c.what, err, c.code)
		}
	}
}

func TestTokenHasOneForm(t *testing.T) {
	for _, member := range []string{"east", "easte", "easter"} { // every length of the last group
		text, err := protocol.SignToken(chainID, member, noon, ledgertest.Key("dr.lee@south"))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := protocol.ParseToken(text)
		if err != nil {
			t.Fatal(err)
		}
		tok.Name = "ward/v2/token"
		later, err := tok.Text()
		if err != nil {
			t.Fatal(err)
		}
		tok.Name, tok.Signature = "ward/v1/token", tok.Signature[:63]
		short, err := tok.Text()
		if err != nil {
			t.Fatal(err)
		}
		for what, s := range map[string]string{
			"empty": "", "padded": text + "=", "cut": text[:len(text)-1], "longer": text + "A", "with a line break": text[:9] + "\n" + text[9:],
			"with bytes behind it": base64.RawURLEncoding.EncodeToString(append(raw, 0)),
			"too long":             strings.Repeat("A", protocol.MaxToken+1),
			"of another version":   later, "with a short signature": short,
		} {
			if _, err := protocol.ParseToken(s); err == nil {
				t.Errorf("token %s is taken", what)
			}
		}
		// Another last character may be another signature, or bits that nobody
		// uses.
		other := text[:len(text)-1] + string(rune(text[len(text)-1]+1))
		if got, err := protocol.ParseToken(other); err == nil {
			if again, _ := got.Text(); again != other {
				t.Errorf("token with bits that nobody uses is taken")
			}
		}
	}
}

func FuzzParseToken(f *testing.F) {
	text, err := sign(f).Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("")
	f.Add("h20")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := protocol.ParseToken(s)
		if err != nil {
			return
		}
		if again, err := tok.Text(); err != nil || again != s {
			t.Fatalf("%q is read, and written as %q (%v)", s, again, err)
		}
		_ = tok.Verify(chainID, "east", noon)
	})
}
