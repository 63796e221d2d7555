// Package sharing tells the story in one picture: what it costs in each system
// that an author writes one record, its owner lets one reader in, and he reads.
package sharing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/bench/system"
)

// Suite returns the suite "sharing".
func Suite() *suite.Suite {
	return &suite.Suite{
		Name: "sharing", Title: "What sharing one record costs", Serial: true, Run: run,
		Quick: 5 * time.Second, Full: 10 * time.Second,
		Text: "An author writes one record, its owner lets one reader in, members answer his access, and he opens it: the work of everybody together, cryptography alone, without network, disk or log. " +
			"Four members, of whom three answer with proofs that the reader checks only if he must. Keys exist. " +
			"In Ward all four members check the record and their share of the grant, and a grant serves for all records of its type, so the second bar of Ward is what the next record costs. " +
			"What one gets for it differs. " +
			"Ward: the owner decides, by type of record; each access is on the log before it is answered; a grant can be revoked; whoever answers wrongly is named. Three members together can open what they like, unless the owner keeps a key of her own; fewer learn nothing, not even with a reader. " +
			"Umbral: the owner decides, for all her records at once; it brings no log. recrypt: likewise, with one proxy that proves nothing. " +
			"Calypso: a policy on the log decides, and three members together can open what they like. " +
			"tkn20 only: who has a fitting key opens, unasked and unlogged, and so does the authority; nothing is revoked. " +
			"Hybrid: the owner is at hand for each record and each reader; nothing is revoked.",
	}
}

// Who does the work.
const (
	author  = "author writes"
	owner   = "owner (or authority) lets the reader in"
	members = "members check and answer"
	reader  = "reader opens"
)

// job is some number of steps of one party.
type job struct {
	op    system.Operation
	times int
}

// stories say for each system who does what. The numbers are for four members
// of whom three answer.
func stories() map[string]map[string][]job {
	return map[string]map[string][]job{
		system.NameWard: {
			author: {{system.EncryptCold, 1}}, owner: {{system.Grant, 1}},
			members: {{system.Check, 4}, {system.AcceptShare, 4}, {system.Reencrypt, 3}},
			reader:  {{system.AcceptGrant, 1}, {system.Open, 1}},
		},
		system.NameUmbral: {
			author: {{system.Encrypt, 1}}, owner: {{system.Grant, 1}},
			members: {{system.AcceptShare, 4}, {system.Reencrypt, 3}}, reader: {{system.Open, 1}},
		},
		system.NameRecrypt: {
			author: {{system.Encrypt, 1}}, owner: {{system.Grant, 1}}, members: {{system.ReencryptRaw, 1}}, reader: {{system.Open, 1}},
		},
		system.NameCalypso: {
			author: {{system.Encrypt, 1}}, members: {{system.Check, 4}, {system.Reencrypt, 3}}, reader: {{system.Open, 1}},
		},
		system.NameTKN20:  {author: {{system.Encrypt, 1}}, owner: {{system.Grant, 1}}, reader: {{system.Open, 1}}},
		system.NameHybrid: {author: {{system.Encrypt, 1}}, owner: {{system.Grant, 1}}, reader: {{system.Open, 1}}},
	}
}

const nextRecord = "Ward, the next record"

func run(ctx context.Context, r *suite.Run) (err error) {
	systems, stop, err := system.Start(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	s := r.Section(report.Section{
		Name: "one-record", Title: "One record, one reader", Chart: report.Chart{Kind: "stack", Quantity: "cpu"},
		Text: "Read the table by system; the bars add up its lines. \"Umbral\" and \"recrypt\" run as WebAssembly.",
	})
	var cases []suite.Case
	add := func(name string, sys system.System, story map[string][]job) error {
		for _, who := range []string{author, owner, members, reader} {
			if len(story[who]) == 0 {
				continue
			}
			run, err := together(sys, story[who])
			if err != nil {
				return err
			}
			cases = append(cases, suite.Case{Operation: who, System: name, Run: run})
		}
		return nil
	}
	for _, sys := range systems {
		if err := add(sys.Name(), sys, stories()[sys.Name()]); err != nil {
			return err
		}
		if sys.Name() != system.NameWard {
			continue
		}
		err := add(nextRecord, sys, map[string][]job{
			author: {{system.Encrypt, 1}}, members: {{system.Check, 4}, {system.Reencrypt, 3}}, reader: {{system.Open, 1}},
		})
		if err != nil {
			return err
		}
	}
	if err := s.Measure(ctx, cases...); err != nil {
		return err
	}
	return totals(r, s)
}

// together returns a run of all jobs as one operation.
func together(sys system.System, jobs []job) (func(int) (measure.Spent, error), error) {
	var steps []system.Step
	for _, j := range jobs {
		step, err := sys.Step(j.op, system.Params{Members: 4, Threshold: 3})
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return func(n int) (measure.Spent, error) {
		var sum measure.Spent
		for i, step := range steps {
			spent, err := step.Run(n * jobs[i].times)
			if err != nil {
				return measure.Spent{}, err
			}
			sum.CPU += spent.CPU
			sum.Wall += spent.Wall
		}
		sum.Work = n
		return sum, nil
	}, nil
}

// totals adds up each system's parts round by round and sets Ward beside the
// others.
func totals(r *suite.Run, parts *suite.Section) error {
	s := r.Section(report.Section{
		Name: "total", Title: "All parties together", Base: system.NameWard, Chart: report.Chart{Kind: "dots", Quantity: "cpu"},
	})
	const all = "share one record"
	for _, name := range parts.Systems() {
		var sum []float64
		for _, row := range parts.Rows {
			if row.System != name || row.Quantity != "cpu" {
				continue
			}
			if sum == nil {
				sum = slices.Clone(row.Samples)
				continue
			}
			for i, v := range row.Samples {
				sum[i] += v
			}
		}
		s.Add(report.Row{Operation: all, System: name, Quantity: "cpu", Unit: "s", Samples: sum})
	}
	for _, name := range s.Systems() {
		if name == system.NameWard || name == nextRecord {
			continue
		}
		err := s.Ratio("cpu", suite.Ref{Operation: all, System: system.NameWard}, suite.Ref{Operation: all, System: name}, report.Ratio{
			Name: fmt.Sprintf("share one record: Ward / %s", name), Text: "work of all parties; less is better",
		})
		if err != nil {
			return err
		}
	}
	return nil
}
