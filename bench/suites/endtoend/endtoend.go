// Package endtoend measures what people wait for: records put, granted, read and
// revoked at a consortium of nodes.
package endtoend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/contract/record"
)

// Suite returns the suite "endtoend".
func Suite() *suite.Suite {
	return &suite.Suite{
		Name: "endtoend", Title: "End to end", Run: run,
		Quick: 25 * time.Second, Full: 250 * time.Second,
		Text: "A consortium of four nodes, unless the table says otherwise, in one process with its clients: TLS over loopback, every node durable on this machine's disk, all checks on. " +
			"So all nodes share these processors: on machines of their own, the wait has their network in it and less work, and the rates are higher. " +
			"\"wall\" is what a client waits; \"cpu\" is the processor time of all nodes and clients together. No peer does the same job, so there are no ratios to others here; see the suites of the parts.",
	}
}

type runner = func(n int) (measure.Spent, error)

// The operations.
const (
	opPut    = "put a record of 2 KiB"
	opGrant  = "grant"
	opRevoke = "revoke, until no member answers"
	opAccess = "access"

	opAccess10 = "access to 10 records"
)

func run(ctx context.Context, r *suite.Run) (err error) {
	dir, err := os.MkdirTemp("", "ward-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := newClinic(ctx, filepath.Join(dir, "main"), 4, 16)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return r.Parts(ctx,
		func() error { return steps(ctx, r, c) },
		func() error { return imports(ctx, r, c) },
		func() error { return payloads(ctx, r, c, dir) },
		func() error { return readers(ctx, r, c) },
		func() error { return nodes(ctx, r, c, dir) },
	)
}

// steps measures the steps of sharing and accesses to many records.
func steps(ctx context.Context, r *suite.Run, c *clinic) error {
	s := r.Section(report.Section{
		Name: "steps", Title: "The steps, by the number of records", Param: "records",
		Text:  "An access is logged and certified, then answered by three of four members with proofs, and all indexes are opened. A revocation is certified by a majority; the next access is then tried, and must be refused.",
		Chart: report.Chart{Kind: "lines", Quantity: "wall", LogX: true, LogY: true},
	})
	counts := suite.Pick(r, []int{1, 10, 100}, []int{1, 10, 100, 500})
	ids, err := c.put(ctx, counts[len(counts)-1], 8, 2<<10)
	if err != nil {
		return err
	}
	grant, err := c.grant(ctx, c.doctor.Name())
	if err != nil {
		return err
	}
	cases := []suite.Case{
		one(opPut, 1, measure.Timed(func() error { _, err := c.put(ctx, 1, 1, 2<<10); return err })),
		one(opGrant, 1, measure.Timed(func() error { _, err := c.grant(ctx, c.authors[0].Name()); return err })),
		one(opRevoke, 1, revoking(ctx, c, ids[0])),
	}
	for _, n := range counts {
		cases = append(cases, one(opAccess, float64(n), measure.Timed(func() error { return c.access(ctx, grant, ids[:n]) })))
	}
	if err := s.MeasureFor(ctx, measure.Options{Rounds: suite.Pick(r, 5, 15)}, cases...); err != nil {
		return err
	}
	most := float64(counts[len(counts)-1])
	access := func(at float64) suite.Ref { return suite.Ref{Operation: opAccess, System: "Ward", At: at} }
	return s.Ratio("cpu", access(most), access(1), report.Ratio{
		Name: fmt.Sprintf("access to %.0f records / to one", most), Text: fmt.Sprintf("processor time; %.0f accesses to one record would be %.0f", most, most),
	})
}

// revoking revokes a fresh grant, and checks, untimed, that nobody answers for it.
func revoking(ctx context.Context, c *clinic, id record.ID) runner {
	return func(int) (measure.Spent, error) {
		grant, err := c.grant(ctx, c.doctor.Name())
		if err != nil {
			return measure.Spent{}, err
		}
		begun := measure.Now()
		if err := c.patient.Revoke(ctx, grant, ward.RevokeOptions{}); err != nil {
			return measure.Spent{}, err
		}
		spent := begun.Spent(1)
		if c.access(ctx, grant, []record.ID{id}) == nil {
			return measure.Spent{}, errors.New("an access under a revoked grant was answered")
		}
		return spent, nil
	}
}

func imports(ctx context.Context, r *suite.Run, c *clinic) error {
	s := r.Section(report.Section{
		Name: "import", Title: "Many records, by callers at once", Param: "callers",
		Text:  "Records of 2 KiB of 16 authors, because a node serves one identity only so fast; each certified on the chain with its payload durable on two members; figures are for one record.",
		Chart: report.Chart{Kind: "lines", Quantity: "rate", LogX: true},
	})
	const name = "put"
	var cases []suite.Case
	records := suite.Pick(r, 32, 200)
	for _, callers := range []int{1, 8, 32} {
		n := records
		if callers == 1 {
			n = records / 4
		}
		cases = append(cases, one(name, float64(callers), func(int) (measure.Spent, error) {
			begun := measure.Now()
			_, err := c.put(ctx, n, callers, 2<<10)
			return begun.Spent(n), err
		}))
	}
	if err := s.MeasureFor(ctx, measure.Options{Rounds: suite.Pick(r, 3, 7)}, cases...); err != nil {
		return err
	}
	for _, c := range cases {
		row := report.Row{Operation: name, System: "Ward", At: c.At, Quantity: "rate", Unit: "1/s"}
		for _, seconds := range s.Find(name, "Ward", c.At, "wall").Samples {
			row.Samples = append(row.Samples, 1/seconds)
		}
		s.Add(row)
	}
	return nil
}

// nodes measures consortia of several sizes, and one of which a node is down.
func nodes(ctx context.Context, r *suite.Run, four *clinic, dir string) (err error) {
	s := r.Section(report.Section{
		Name: "nodes", Title: "The number of nodes, and one that is down", Param: "nodes",
		Text:  "All nodes share this machine's processors, so that more nodes cost more time here; on machines of their own they work side by side. \"one is down\" is a consortium one of whose members was switched off.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu"},
	})
	const whole, broken = "Ward", "Ward, one is down"
	type consortium struct {
		name string
		n    int
		c    *clinic
	}
	all := []consortium{{whole, 4, four}}
	defer func() {
		for _, k := range all[1:] {
			err = errors.Join(err, k.c.close())
		}
	}()
	for _, n := range suite.Pick(r, []int{3}, []int{3, 5, 6, 7}) {
		r.Progress("nodes: starting %d", n)
		c, err := newClinic(ctx, filepath.Join(dir, fmt.Sprint("nodes", n)), n, 1)
		if err != nil {
			return err
		}
		all = append(all, consortium{whole, n, c})
	}
	c, err := newClinic(ctx, filepath.Join(dir, "broken"), 4, 1)
	if err != nil {
		return err
	}
	all = append(all, consortium{broken, 4, c})
	var cases []suite.Case
	for _, k := range all {
		ids, err := k.c.put(ctx, 10, 4, 2<<10)
		if err != nil {
			return err
		}
		grant, err := k.c.grant(ctx, k.c.doctor.Name())
		if err != nil {
			return err
		}
		if k.name == broken {
			if err := k.c.net.Stop(3); err != nil {
				return err
			}
			if err := k.c.access(ctx, grant, ids); err != nil { // finds out
				return err
			}
		}
		put := one(opPut, float64(k.n), measure.Timed(func() error { _, err := k.c.put(ctx, 1, 1, 2<<10); return err }))
		access := one(opAccess10, float64(k.n), measure.Timed(func() error { return k.c.access(ctx, grant, ids) }))
		put.System, access.System = k.name, k.name
		cases = append(cases, put, access)
	}
	if err := s.MeasureFor(ctx, measure.Options{Rounds: suite.Pick(r, 3, 11)}, cases...); err != nil {
		return err
	}
	for _, op := range []string{opPut, opAccess10} {
		err := s.Ratio("wall", suite.Ref{Operation: op, System: broken, At: 4}, suite.Ref{Operation: op, System: whole, At: 4}, report.Ratio{
			Name: fmt.Sprintf("%s, one of four nodes down / all up", op), Text: "what a client waits",
		})
		if err != nil {
			return err
		}
	}
	return nil
}
