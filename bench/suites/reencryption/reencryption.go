// Package reencryption measures the operations of sharing records: Ward beside
// other proxy re-encryption, threshold decryption, attributes alone, and
// encryption to each reader.
package reencryption

import (
	"context"
	"errors"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/bench/system"
	"github.com/ward-health/ward/internal/pairing"
)

// Suite returns the suite "reencryption".
func Suite() *suite.Suite {
	return &suite.Suite{
		Name: "reencryption", Title: "Re-encryption", Serial: true, Run: run,
		Quick: 15 * time.Second, Full: 110 * time.Second,
		Text: "Operations of sharing the 32-byte key of a record, of which three of four members answer unless something else is said. The systems do not give the same, so read the ratios with this: " +
			"Umbral (secp256k1, no pairings) and recrypt (a pairing-friendly curve of 256 bits) run here as WebAssembly, which is several times slower than their native code. " +
			"Umbral's grants know no types of records and its owner must hold a key pair; recrypt has one proxy, which proves nothing and which with a reader can open everything of the owner's. " +
			"Calypso has no grants: a policy on its chain decides, and its members can open everything; it hides the key in a point, which is found by trial, so the time of its encryption spreads. " +
			"With tkn20 alone whoever holds a fitting key opens, unasked and unlogged, and the authority opens everything; its grant is a key with three attributes. " +
			"Hybrid encryption is HPKE to the owner, and by the owner to each reader again for each record; what was given cannot be taken back. " +
			"Ward's envelope is publicly verified, opens at each level of its type, and carries its index of 200 bytes sealed beside it (not counted in the size); its grant includes the shares sealed to the members.",
	}
}

func run(ctx context.Context, r *suite.Run) (err error) {
	systems, stop, err := system.Start(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, part := range []func(context.Context, *suite.Run, []system.System) error{
		operations, thresholds, records, oneMoreReader, nextRecord, depth, members,
	} {
		if err := part(ctx, r, systems); err != nil {
			return err
		}
	}
	return nil
}

const pairingName = "one pairing"

// pairingCase is the yardstick of the guard: what it measures changes only with
// the library.
func pairingCase() suite.Case {
	p, q := pairing.HashToG1(pairing.DSTCapsuleBase, nil), pairing.HashToG2(pairing.DSTIdentity, nil)
	return suite.Case{Operation: pairingName, System: system.NameWard, Run: measure.Timed(func() error { pairing.Pair(p, q); return nil })}
}

func operations(ctx context.Context, r *suite.Run, systems []system.System) error {
	s := r.Section(report.Section{
		Name: "operations", Title: "Each operation, three of four members", Base: system.NameWard,
		Text:  "\"Re-encrypt, without proof\" is a scheme's formula alone; Ward's and Calypso's members always prove. \"Open\" trusts that the record's own tag tells whether the answers were right, as Ward does.",
		Chart: report.Chart{Kind: "dots", Quantity: "cpu"},
	})
	cases, err := system.Cases(s, systems, system.Operations(), system.Params{Members: 4, Threshold: 3}, 0)
	if err != nil {
		return err
	}
	guarded := measure.Options{Rounds: 15, Target: suite.Pick[time.Duration](r, 5, 20) * time.Millisecond}
	if err := s.MeasureFor(ctx, guarded, append(cases, pairingCase())...); err != nil {
		return err
	}
	sizesLast(s)
	for _, op := range system.Operations() {
		if op == system.ReencryptRaw {
			continue
		}
		err := s.Ratio("cpu", suite.Ref{Operation: string(op), System: system.NameWard}, suite.Ref{Operation: pairingName, System: system.NameWard}, report.Ratio{
			Name: string(op) + ": Ward / one pairing", Text: "cost, in pairings of gnark-crypto", Margin: 0.4,
		})
		if err != nil {
			return err
		}
	}
	return besidePeers(s, []comparison{
		{system.Encrypt, system.Encrypt, system.NameUmbral, 1}, {system.Encrypt, system.Encrypt, system.NameRecrypt, 1},
		{system.Encrypt, system.Encrypt, system.NameCalypso, 0}, {system.Encrypt, system.Encrypt, system.NameTKN20, 1}, {system.Encrypt, system.Encrypt, system.NameHybrid, 0},
		{system.Grant, system.Grant, system.NameUmbral, 0}, {system.Grant, system.Grant, system.NameRecrypt, 1}, {system.Grant, system.Grant, system.NameTKN20, 1},
		{system.Reencrypt, system.Reencrypt, system.NameUmbral, 1}, {system.Reencrypt, system.ReencryptRaw, system.NameRecrypt, 1}, {system.Reencrypt, system.Reencrypt, system.NameCalypso, 0},
		{system.Verify, system.Verify, system.NameUmbral, 1}, {system.Verify, system.Verify, system.NameCalypso, 0},
		{system.Open, system.Open, system.NameUmbral, 1}, {system.Open, system.Open, system.NameRecrypt, 1}, {system.Open, system.Open, system.NameCalypso, 0}, {system.Open, system.Open, system.NameTKN20, 1},
		{system.OpenVerified, system.OpenVerified, system.NameUmbral, 1},
	})
}

// comparison is a ratio of Ward to a peer, with a bar unless it is 0.
type comparison struct {
	ours, theirs system.Operation
	peer         string
	bar          float64
}

// besidePeers adds ratios. They are not under the guard: the peers are not
// everywhere, and Ward's own cost is guarded already.
func besidePeers(s *suite.Section, list []comparison) error {
	for _, c := range list {
		err := s.Ratio("cpu", suite.Ref{Operation: string(c.ours), System: system.NameWard}, suite.Ref{Operation: string(c.theirs), System: c.peer},
			report.Ratio{Name: string(c.ours) + ": Ward / " + c.peer, Text: "cost; less is better", Bar: c.bar})
		if err != nil && !errors.Is(err, suite.ErrNoRow) {
			return err
		}
	}
	return nil
}

// sizesLast puts the rows of sizes behind those of times, so that tables begin
// with what they compare.
func sizesLast(s *suite.Section) {
	var times, sizes []report.Row
	for _, row := range s.Rows {
		if row.Quantity == "size" {
			sizes = append(sizes, row)
		} else {
			times = append(times, row)
		}
	}
	s.Rows = append(times, sizes...)
}

// measureAll measures the operations over values of a parameter, all in the same
// rounds.
func measureAll(ctx context.Context, s *suite.Section, systems []system.System, ops []system.Operation, values []int, params func(int) system.Params) error {
	var all []suite.Case
	for _, v := range values {
		cases, err := system.Cases(s, systems, ops, params(v), float64(v))
		if err != nil {
			return err
		}
		all = append(all, cases...)
	}
	err := s.Measure(ctx, all...)
	sizesLast(s)
	return err
}

func thresholds(ctx context.Context, r *suite.Run, systems []system.System) error {
	s := r.Section(report.Section{
		Name: "threshold", Title: "Opening a record from t answers", Param: "t", Base: system.NameWard,
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogY: true},
	})
	values := suite.Pick(r, []int{2, 4, 16}, []int{2, 3, 4, 6, 8, 12, 16})
	return measureAll(ctx, s, system.Named(systems, system.NameWard, system.NameUmbral, system.NameCalypso), []system.Operation{system.Open, system.OpenVerified}, values,
		func(t int) system.Params { return system.Params{Members: max(4, t), Threshold: t} })
}

func records(ctx context.Context, r *suite.Run, systems []system.System) error {
	s := r.Section(report.Section{
		Name: "records", Title: "Records of one access, cost of each", Param: "records", Base: system.NameWard,
		Text:  "One proof of Ward's covers all records of an access. The others treat each record by itself, at the same cost; they stand at 1.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogX: true, LogY: true},
	})
	ops := []system.Operation{system.Reencrypt, system.Verify, system.Open}
	three := func(records int) system.Params { return system.Params{Members: 4, Threshold: 3, Records: records} }
	var cases []suite.Case
	values := suite.Pick(r, []int{1, 10, 100}, []int{1, 3, 10, 30, 100, 300, 1000})
	for _, v := range values {
		ours, err := system.Cases(s, systems[:1], ops, three(v), float64(v))
		if err != nil {
			return err
		}
		cases = append(cases, ours...)
	}
	others, err := system.Cases(s, system.Named(systems, system.NameUmbral, system.NameCalypso), ops, three(1), 1)
	if err != nil {
		return err
	}
	if err := s.Measure(ctx, append(cases, others...)...); err != nil {
		return err
	}
	sizesLast(s)
	for _, op := range []system.Operation{system.Reencrypt, system.Verify} {
		err := s.Ratio("cpu", suite.Ref{Operation: string(op), System: system.NameWard, At: 100}, suite.Ref{Operation: string(op), System: system.NameWard, At: 1}, report.Ratio{
			Name: string(op) + ": each of 100 / one alone", Text: "what batching leaves of the cost", Margin: 0.3,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// times repeats a step for each of several items, as one operation.
func times(step system.Step, items int) func(int) (measure.Spent, error) {
	return func(n int) (measure.Spent, error) {
		spent, err := step.Run(n * items)
		spent.Work = n
		return spent, err
	}
}

func oneMoreReader(ctx context.Context, r *suite.Run, systems []system.System) error {
	s := r.Section(report.Section{
		Name: "one-more-reader", Title: "One more reader, for the records there are", Param: "records", Base: system.NameWard,
		Text:  "What the owner (with tkn20, the authority) does so that another reader can open so many records of a type. A grant covers them all, and those to come.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogX: true, LogY: true},
	})
	var cases []suite.Case
	for _, records := range suite.Pick(r, []int{1, 100}, []int{1, 10, 100, 1000}) {
		for _, sys := range system.Named(systems, system.NameWard, system.NameUmbral, system.NameRecrypt, system.NameTKN20, system.NameHybrid) {
			step, err := sys.Step(system.Grant, system.Params{Members: 4, Threshold: 3})
			if err != nil {
				return err
			}
			c := suite.Case{Operation: "let one more reader in", System: sys.Name(), At: float64(records), Run: step.Run}
			if sys.Name() == system.NameHybrid {
				c.Run = times(step, records)
			}
			cases = append(cases, c)
		}
	}
	return s.Measure(ctx, cases...)
}

func nextRecord(ctx context.Context, r *suite.Run, systems []system.System) error {
	s := r.Section(report.Section{
		Name: "next-record", Title: "The next record, for the readers there are", Param: "readers", Base: system.NameWard,
		Text:  "What is done when another record of the same type comes, so that so many readers, who have grants, can open it. Hybrid encryption counts the owner's work for each reader.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogX: true, LogY: true},
	})
	var cases []suite.Case
	for _, readers := range suite.Pick(r, []int{1, 100}, []int{1, 10, 100, 1000}) {
		for _, sys := range systems {
			op, items := system.Encrypt, 1
			if sys.Name() == system.NameHybrid {
				op, items = system.Grant, readers
			}
			step, err := sys.Step(op, system.Params{Members: 4, Threshold: 3})
			if err != nil {
				return err
			}
			cases = append(cases, suite.Case{Operation: "share the next record", System: sys.Name(), At: float64(readers), Run: times(step, items)})
		}
	}
	return s.Measure(ctx, cases...)
}

func depth(ctx context.Context, r *suite.Run, systems []system.System) error {
	s := r.Section(report.Section{
		Name: "depth", Title: "Depth of a record's type", Param: "components",
		Text:  "A record is encrypted to its type and to all ancestors of it, so that a grant on \"lab\" opens \"lab/hematology/cbc\".",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu"},
	})
	values := suite.Pick(r, []int{1, 8}, []int{1, 2, 3, 4, 6, 8})
	return measureAll(ctx, s, systems[:1], []system.Operation{system.EncryptCold, system.Encrypt, system.Check, system.Open}, values,
		func(d int) system.Params { return system.Params{Members: 4, Threshold: 3, Depth: d} })
}

func members(ctx context.Context, r *suite.Run, systems []system.System) error {
	s := r.Section(report.Section{
		Name: "members", Title: "Members of a consortium", Param: "members", Base: system.NameWard,
		Text:  "A grant deals a share to each member; more than half of them answer an access.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogX: true, LogY: true},
	})
	values := suite.Pick(r, []int{4, 31}, []int{4, 7, 13, 31, 61})
	return measureAll(ctx, s, system.Named(systems, system.NameWard, system.NameUmbral), []system.Operation{system.KeyGen, system.Grant, system.Open}, values,
		func(n int) system.Params { return system.Params{Members: n, Threshold: n/2 + 1} })
}
