// Package abe measures encryption to attributes: Ward beside the bare scheme
// that it is made of.
package abe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

const (
	nameWard  = "Ward"
	nameTKN20 = "bare tkn20"

	issue   = "issue a key"
	seal    = "seal"
	open    = "open"
	explain = "evaluate in the open"
)

// Suite returns the suite "abe".
func Suite() *suite.Suite {
	return &suite.Suite{
		Name: "abe", Title: "Attribute-based encryption", Serial: true, Run: run,
		Quick: 5 * time.Second, Full: 30 * time.Second,
		Text: "Ward's attribute grants beside CIRCL's tkn20, of which they are made, for policies that ask for all of n attributes. " +
			"Ward seals the 96 bytes of a reader's half and bare tkn20 32 bytes, with the shortest labels. What Ward adds is the language with thresholds and comparisons, \"not\" that holds for who lacks an attribute, " +
			"epochs, strict encodings, binding to a context, and the recover around a parser that has panicked.",
	}
}

func run(ctx context.Context, r *suite.Run) error {
	r.Version(report.Version{Name: nameTKN20, Version: measure.ModuleVersion("github.com/cloudflare/circl"), Licence: "BSD-3-Clause", Note: "abe/cpabe/tkn20 of CIRCL, linked into the benchmark"})
	s := r.Section(report.Section{
		Name: "attributes", Title: "Keys and policies of n attributes", Param: "attributes", Base: nameTKN20,
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogY: true},
	})
	sizes := suite.Pick(r, []int{5}, []int{5, 10, 20, 40})
	var cases []suite.Case
	var bytes []report.Row
	for _, n := range sizes {
		p, err := newPair(n)
		if err != nil {
			return err
		}
		for _, op := range []struct {
			operation, system string
			f                 func() error
			size              func() int
		}{
			{issue, nameWard, p.issue, func() int { return len(p.key.Bytes()) }}, {issue, nameTKN20, p.bareIssue, p.bareKeySize},
			{seal, nameWard, p.seal, func() int { return len(p.sealed) }}, {seal, nameTKN20, p.bareSeal, func() int { return len(p.ciphertext) }},
			{open, nameWard, p.open, nil}, {open, nameTKN20, p.bareOpen, nil},
			{explain, nameWard, p.evaluate, nil},
		} {
			if err := op.f(); err != nil {
				return fmt.Errorf("%s %s: %w", op.system, op.operation, err)
			}
			cases = append(cases, suite.Case{Operation: op.operation, System: op.system, At: float64(n), Run: measure.Timed(op.f)})
			if op.size != nil {
				bytes = append(bytes, report.Row{Operation: op.operation, System: op.system, At: float64(n), Quantity: "size", Unit: "B", Samples: []float64{float64(op.size())}})
			}
		}
	}
	if err := s.MeasureFor(ctx, measure.Options{Rounds: 7, Target: 20 * time.Millisecond}, cases...); err != nil {
		return err
	}
	s.Rows = append(s.Rows, bytes...)
	for _, n := range sizes {
		for _, op := range []string{issue, seal, open} {
			err := s.Ratio("cpu", suite.Ref{Operation: op, System: nameWard, At: float64(n)}, suite.Ref{Operation: op, System: nameTKN20, At: float64(n)}, report.Ratio{
				Name: fmt.Sprintf("%s, %d attributes: Ward / bare tkn20", op, n), Text: "cost; less is better", Bar: 1.15, Margin: 0.2,
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// pair is the same hospital with package abe and with bare tkn20.
type pair struct {
	master     *abe.MasterKey
	authority  *abe.Authority
	attributes abe.Attributes
	policy     *abe.Policy
	recipient  *abe.Recipient
	key        *abe.Key
	half       []byte
	sealed     []byte

	public     tkn20.PublicKey
	secret     tkn20.SystemSecretKey
	barePolicy tkn20.Policy
	bareLabels map[string]string
	bareKey    tkn20.AttributeKey
	ciphertext []byte
}

func newPair(n int) (*pair, error) {
	p := &pair{bareLabels: map[string]string{}, half: bytes.Repeat([]byte{7}, 96)}
	var declared, held, bare []string
	for i := range n {
		name := fmt.Sprintf("a%d", i)
		declared = append(declared, name+" text")
		held = append(held, name+" = x")
		bare = append(bare, name+":x")
		p.bareLabels[name] = "x"
	}
	catalogue, err := abe.ParseCatalogue(strings.Join(declared, "\n"))
	if err != nil {
		return nil, err
	}
	if p.master, err = abe.GenerateMasterKey("north"); err != nil {
		return nil, err
	}
	if p.authority, err = p.master.Authority(1, catalogue); err != nil {
		return nil, err
	}
	if p.attributes, err = abe.ParseAttributes(strings.Join(held, ", ")); err != nil {
		return nil, err
	}
	if p.policy, err = abe.ParsePolicy(strings.Join(held, " and ")); err != nil {
		return nil, err
	}
	if p.recipient, err = abe.NewRecipient(p.policy, p.authority); err != nil {
		return nil, err
	}
	if p.public, p.secret, err = tkn20.Setup(rand.Reader); err != nil {
		return nil, err
	}
	return p, p.barePolicy.FromString(strings.Join(bare, " and "))
}

func (p *pair) issue() (err error) {
	p.key, err = p.master.Issue(p.authority, "dr.lee@south", p.attributes)
	return err
}

func (p *pair) bareIssue() (err error) {
	var a tkn20.Attributes
	a.FromMap(p.bareLabels)
	p.bareKey, err = p.secret.KeyGen(rand.Reader, a)
	return err
}

func (p *pair) bareKeySize() int {
	b, err := p.bareKey.MarshalBinary()
	if err != nil {
		return 0
	}
	return len(b)
}

func (p *pair) seal() (err error) {
	p.sealed, err = p.recipient.SealHalf(p.half, [32]byte{})
	return err
}

func (p *pair) bareSeal() (err error) {
	p.ciphertext, err = p.public.Encrypt(rand.Reader, p.barePolicy, p.half[:32])
	return err
}

var errOther = errors.New("opened to something else than was sealed")

func (p *pair) open() error {
	half, err := p.key.OpenHalf(p.recipient.Description(), p.sealed, [32]byte{})
	if err == nil && !bytes.Equal(half, p.half) {
		err = errOther
	}
	return err
}

func (p *pair) bareOpen() error {
	got, err := p.bareKey.Decrypt(p.ciphertext)
	if err == nil && !bytes.Equal(got, p.half[:32]) {
		err = errOther
	}
	return err
}

func (p *pair) evaluate() error {
	if !p.policy.Evaluate(p.attributes) {
		return errOther
	}
	return nil
}
