package abe

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"
)

// BenchmarkBesideTKN20 issues, seals and opens for 5, 10 and 20 attributes that
// all must hold, in turn with bare tkn20 doing the same with the shortest labels
// and 32 bytes of plaintext, so that both see the same machine. Times are of the
// processor; "ratio" is ours by bare, of medians; 1.15 is the bar.
func BenchmarkBesideTKN20(b *testing.B) {
	for _, n := range []int{5, 10, 20} {
		p := newPair(b, n)
		for _, op := range []struct {
			name       string
			ours, bare func(testing.TB)
		}{{"issue", p.issue, p.bareIssue}, {"seal", p.seal, p.bareSeal}, {"open", p.open, p.bareOpen}} {
			b.Run(fmt.Sprintf("%s/%d", op.name, n), func(b *testing.B) {
				var ours, bare []time.Duration
				for b.Loop() {
					ours = append(ours, timed(b, op.ours))
					bare = append(bare, timed(b, op.bare))
				}
				x, y := median(ours), median(bare)
				b.ReportMetric(float64(x)/1e6, "cpu-ms-ours")
				b.ReportMetric(float64(y)/1e6, "cpu-ms-bare")
				b.ReportMetric(float64(x)/float64(y), "ratio")
				b.ReportMetric(0, "ns/op") // of both together
			})
		}
	}
}

func timed(b testing.TB, f func(testing.TB)) time.Duration {
	start := cpu()
	f(b)
	return cpu() - start
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// pair is the same hospital with this package and with bare tkn20.
type pair struct {
	authority  *Authority
	attributes Attributes
	recipient  *Recipient
	key        *Key
	sealed     []byte
	master     *MasterKey

	policy     tkn20.Policy
	bareLabels map[string]string
	bareKey    tkn20.AttributeKey
	ciphertext []byte
}

func newPair(t testing.TB, n int) *pair {
	t.Helper()
	p := &pair{master: sharedWorld().north, bareLabels: map[string]string{}}
	var declared, held, policy, bare []string
	for i := range n {
		name := "a" + string(rune('a'+i))
		declared = append(declared, name+" text")
		held = append(held, name+" = x")
		bare = append(bare, name+":x")
		p.bareLabels[name] = "x"
	}
	policy = held
	var err error
	p.authority, err = p.master.Authority(1, catalogueOf(t, strings.Join(declared, "\n")))
	must(t, err)
	p.attributes = attributesOf(t, strings.Join(held, ", "))
	p.recipient, err = NewRecipient(policyOf(t, strings.Join(policy, " and ")), p.authority)
	must(t, err)
	must(t, p.policy.FromString(strings.Join(bare, " and ")))
	p.issue(t)
	p.bareIssue(t)
	p.seal(t)
	p.bareSeal(t)
	return p
}

func (p *pair) issue(t testing.TB) {
	var err error
	p.key, err = p.master.Issue(p.authority, "x", p.attributes)
	must(t, err)
}

func (p *pair) bareIssue(t testing.TB) {
	var a tkn20.Attributes
	a.FromMap(p.bareLabels)
	var err error
	p.bareKey, err = p.master.secret.KeyGen(rand.Reader, a)
	must(t, err)
}

func (p *pair) seal(t testing.TB) {
	var err error
	p.sealed, err = p.recipient.SealHalf(make([]byte, halfSize), [32]byte{})
	must(t, err)
}

func (p *pair) bareSeal(t testing.TB) {
	var err error
	p.ciphertext, err = p.master.public.Encrypt(rand.Reader, p.policy, make([]byte, kemSize))
	must(t, err)
}

func (p *pair) open(t testing.TB) {
	_, err := p.key.OpenHalf(p.recipient.Description(), p.sealed, [32]byte{})
	must(t, err)
}

func (p *pair) bareOpen(t testing.TB) {
	_, err := p.bareKey.Decrypt(p.ciphertext)
	must(t, err)
}

// BenchmarkNewRecipient is the work on a policy before the first seal.
func BenchmarkNewRecipient(b *testing.B) {
	a := sharedWorld().northA
	p := policyOf(b, "role = physician and dept in (icu, er) and not contractor and grade >= 3")
	for b.Loop() {
		if _, err := NewRecipient(p, a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvaluate is what a node does for an access.
func BenchmarkEvaluate(b *testing.B) {
	p := policyOf(b, "role = physician and dept in (icu, er) and not contractor and grade >= 3")
	a := attributesOf(b, "role = physician, dept = er, grade = 5")
	for b.Loop() {
		if !p.Evaluate(a) {
			b.Fatal("refused")
		}
	}
}

// BenchmarkParseKey is what a wallet does once.
func BenchmarkParseKey(b *testing.B) {
	k := sharedWorld().key(b, "x", "role = physician").Bytes()
	for b.Loop() {
		if _, err := ParseKey(k); err != nil {
			b.Fatal(err)
		}
	}
}
