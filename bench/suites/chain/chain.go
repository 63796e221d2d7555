// Package chain measures Ward's chain beside what it is made of, a bare Raft and
// the checking of signatures, and beside other replicated logs.
package chain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

// Suite returns the suite "chain".
func Suite() *suite.Suite {
	return &suite.Suite{
		Name: "chain", Title: "The chain", Run: run,
		Quick: 45 * time.Second, Full: 850 * time.Second,
		Text: "Entries of 512 bytes at three nodes on this machine, connected over loopback; one counts when it is durable on a majority, in Ward also executed and certified by a majority. " +
			"\"cpu\" is the processor time of all nodes and of the clients, for one entry; \"wall\" is time passed, for one entry. " +
			"Ward: members in one process, mutual TLS, every signature verified by every member, every write synced, all settings at their defaults. " +
			"Nothing kept: the same members with a contract that writes nothing, so without state, its hash, and most of what goes into the database. " +
			"Bare Raft: hashicorp/raft in the same way with Ward's log store, without TLS, a state machine that does nothing, and one Raft entry for a batch. " +
			"Signatures alone: each entry verified three times in batches of 1,000, on all processors; no chain of three members that verifies can cost less. " +
			"etcd: its three nodes and its client in one process, no TLS, a batch is one transaction; it verifies no signatures and keeps no proof. " +
			"rqlite: three processes over HTTP, without signatures; it syncs the Raft log and not its database. " +
			"CometBFT: four validators, the fewest of which one may lie, with its example application, which verifies no signatures of clients; of a batch, the last entry is waited for. " +
			"immudb: three processes over its HTTP gateway, so that values travel as base64 in JSON; a batch is one transaction, which the primary and one replica must have on their disks; it keeps proofs, and verifies no signatures of clients. " +
			"Its client is not linked, for its licence (BUSL-1.1).",
	}
}

// The systems, as reports name them.
const (
	nameWard  = "Ward"
	nameChain = "Ward, nothing kept"
	nameRaft  = "bare Raft"
	nameBound = "signatures alone"
	nameEtcd  = "etcd"

	etcdProgram = "etcd-peer"
)

const commit = "commit"

// running is a system that can take load.
type running struct {
	name   string
	target target
	// part is how much of the load it is given: slow ones get less.
	part float64
	only int // the only size of batches it is given; 0 for all
}

// takes reports whether the system is given batches of this size.
func (sys running) takes(batch int) bool { return sys.only == 0 || sys.only == batch }

func run(ctx context.Context, r *suite.Run) (err error) {
	dir, err := os.MkdirTemp("", "ward-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return r.Parts(ctx,
		func() error { return speed(ctx, r, filepath.Join(dir, "speed")) },
		func() error { return sustained(ctx, r, filepath.Join(dir, "sustained")) },
		func() error { return growth(ctx, r, filepath.Join(dir, "growth")) },
	)
}

// startAll starts what there is. stop ends it all.
func startAll(ctx context.Context, r *suite.Run, dir string) (all []running, stop func() error, err error) {
	var stops []func() error
	stop = func() (err error) {
		for _, f := range stops {
			err = errors.Join(err, f())
		}
		return err
	}
	w, err := startWard(ctx, filepath.Join(dir, "ward"))
	if err != nil {
		return nil, nil, err
	}
	stops = append(stops, w.close)
	b, err := startBareRaft(ctx, filepath.Join(dir, "raft"))
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	stops = append(stops, b.close)
	r.Version(report.Version{Name: "hashicorp/raft", Version: measure.ModuleVersion("github.com/hashicorp/raft"), Licence: "MPL-2.0", Note: "linked into Ward, and bare into the benchmark"})
	all = []running{
		{name: nameWard, target: w, part: 1}, {name: nameRaft, target: b, part: 1},
		{name: nameChain, target: w.stateless(), part: 1, only: 1000},
		{name: nameBound, target: bound{newSigner()}, part: 1, only: 1000},
	}
	e, err := peer.StartProgram(ctx, r.Root, etcdProgram)
	if err != nil {
		r.Skip(nameEtcd, err)
	} else {
		stops = append(stops, e.Close)
		r.Version(report.Version{Name: nameEtcd, Version: e.Version, Licence: "Apache-2.0", Note: "three nodes and the client in a process of their own"})
		all = append(all, running{name: nameEtcd, target: program{e}, part: 1})
	}
	for _, p := range services() {
		if r.Quick { // they take long to start
			r.Skip(p.name, errors.New("only in full runs"))
			continue
		}
		r.Progress("starting %s", p.name)
		c, err := p.run(ctx, r.Root, filepath.Join(dir, p.name))
		if err != nil {
			r.Skip(p.name, err)
			continue
		}
		stops = append(stops, c.close)
		r.Version(report.Version{Name: p.name, Version: p.version, Licence: p.licence, Note: p.note})
		all = append(all, running{name: p.name, target: c, part: 0.25})
	}
	return all, stop, nil
}

// program is a peer that makes its own load.
type program struct{ *peer.Peer }

func (p program) load(n, clients, batch int) (peer.Load, error) {
	return p.Load("load", n, peer.Params{Clients: clients, Batch: batch})
}

func speed(ctx context.Context, r *suite.Run, dir string) (err error) {
	all, stop, err := startAll(ctx, r, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(), os.RemoveAll(dir)) }()
	s := r.Section(report.Section{
		Name: "speed", Title: "One entry, by how many come together", Param: "entries in a request", Base: nameWard,
		Text:  "64 clients send single entries, 8 send batches of 100, 4 send batches of 1,000, each as soon as its last is done. The nodes keep what earlier rounds left. \"p50\" and \"p99\" are how long a client waits for a request.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogX: true, LogY: true},
	})
	rounds := suite.Pick(r, 5, 11)
	var cases []suite.Case
	loads := map[string][]peer.Load{}
	failed := failures{}
	key := func(name string, batch int) string { return fmt.Sprint(name, " ", batch) }
	for _, sh := range shapes {
		for _, sys := range all {
			if !sys.takes(sh.batch) {
				continue
			}
			n := max(int(float64(suite.Pick(r, sh.entries/4, sh.entries))*sys.part), sh.clients*sh.batch)
			if failed[sys.name] != nil {
				continue
			}
			if _, err := sys.target.load(sh.clients*sh.batch, sh.clients, sh.batch); err != nil { // warms up
				if err := failed.note(sys.name, err); err != nil {
					return fmt.Errorf("%s: %w", sys.name, err)
				}
				continue
			}
			cases = append(cases, suite.Case{Operation: commit, System: sys.name, At: float64(sh.batch), Once: true, Run: func(int) (measure.Spent, error) {
				if failed[sys.name] != nil {
					return none, nil
				}
				l, err := sys.target.load(n, sh.clients, sh.batch)
				if err != nil {
					return none, failed.note(sys.name, err)
				}
				if sys.name == nameBound {
					l.Work /= members // an entry is verified by each of them
				}
				loads[key(sys.name, sh.batch)] = append(loads[key(sys.name, sh.batch)], l)
				return l.Spent, nil
			}})
		}
	}
	if err := s.MeasureFor(ctx, measure.Options{Rounds: rounds}, cases...); err != nil {
		return err
	}
	failed.leaveOut(r, s)
	for _, sh := range shapes {
		for _, sys := range all {
			if sys.name != nameBound && failed[sys.name] == nil {
				addLoads(s, sys.name, sh.batch, loads[key(sys.name, sh.batch)])
			}
		}
	}
	return ratios(s)
}

// failures are the peers that ceased to take load, and why. They are left out: the
// others were measured nevertheless.
type failures map[string]error

// none stands for what a peer that failed took, until it is left out.
var none = measure.Spent{Work: 1}

// note notes that a system failed. If that is no peer, it returns the error.
func (f failures) note(system string, err error) error {
	if system == nameWard || system == nameChain || system == nameBound {
		return err
	}
	f[system] = err
	return nil
}

// leaveOut removes the rows of those that failed.
func (f failures) leaveOut(r *suite.Run, s *suite.Section) {
	s.Rows = slices.DeleteFunc(s.Rows, func(row report.Row) bool { return f[row.System] != nil })
	for _, name := range slices.Sorted(maps.Keys(f)) {
		r.Skip(name, fmt.Errorf("it ceased to take load: %w", f[name]))
	}
}

// addLoads adds what clients had of a system.
func addLoads(s *suite.Section, system string, batch int, loads []peer.Load) {
	if len(loads) == 0 {
		return
	}
	p50 := report.Row{Operation: commit, System: system, At: float64(batch), Quantity: "p50", Unit: "s"}
	p99, rate := p50, p50
	p99.Quantity, rate.Quantity, rate.Unit = "p99", "rate", "1/s"
	for _, l := range loads {
		p50.Samples, p99.Samples = append(p50.Samples, l.P50), append(p99.Samples, l.P99)
		rate.Samples = append(rate.Samples, float64(l.Work)/l.Wall.Seconds())
	}
	s.Add(p50)
	s.Add(p99)
	s.Add(rate)
}

func at(name string, batch int) suite.Ref {
	return suite.Ref{Operation: commit, System: name, At: float64(batch)}
}

// ratios sets Ward beside the others. The bars are those that the design set.
func ratios(s *suite.Section) error {
	err := s.Ratio("cpu", at(nameBound, 1000), at(nameWard, 1000), report.Ratio{
		Name: "batches of 1000: signatures alone / Ward", Text: "part of the processor time that is the signatures, which nothing avoids; more is better", Higher: true, Bar: 0.55, Margin: 0.35,
	})
	if err != nil {
		return err
	}
	err = s.Ratio("cpu", at(nameBound, 1000), at(nameChain, 1000), report.Ratio{
		Name: "batches of 1000: signatures alone / Ward, nothing kept", Text: "the same without state; more is better", Higher: true,
	})
	if err != nil {
		return err
	}
	bars := map[string]map[int]float64{
		nameEtcd: {1: 1, 100: 0.7, 1000: 0.75}, nameRqlite: {100: 2.5}, nameComet: {100: 4},
	}
	for _, sh := range shapes {
		err := s.Ratio("cpu", at(nameWard, sh.batch), at(nameRaft, sh.batch), report.Ratio{
			Name: fmt.Sprintf("batches of %d: Ward / bare Raft, cpu", sh.batch), Text: "what signatures, rules, state and certificates add; less is better",
		})
		if err != nil && !errors.Is(err, suite.ErrNoRow) {
			return err
		}
		for _, peer := range peerNames() {
			for _, q := range []struct {
				quantity, name, text string
				of, by               string
				higher               bool
				bar                  float64
			}{
				{"rate", "Ward / %s, entries a second", "more is better", nameWard, peer, true, bars[peer][sh.batch]},
				{"cpu", "Ward / %s, cpu", "processor time for an entry; less is better", nameWard, peer, false, 0},
				{"p50", "Ward / %s, median wait", "less is better", nameWard, peer, false, latencyBar(peer, sh.batch, 1)},
				{"p99", "Ward / %s, wait of the slowest of a hundred", "less is better", nameWard, peer, false, latencyBar(peer, sh.batch, 1.5)},
			} {
				err := s.Ratio(q.quantity, at(q.of, sh.batch), at(q.by, sh.batch), report.Ratio{
					Name: fmt.Sprintf("batches of %d: "+q.name, sh.batch, peer), Text: q.text, Higher: q.higher, Bar: q.bar,
				})
				if err != nil && !errors.Is(err, suite.ErrNoRow) {
					return err
				}
			}
		}
	}
	return nil
}

// peerNames returns the peers, those that are not there included: for their bars
// it is said then that they were not measured.
func peerNames() []string {
	names := []string{nameEtcd}
	for _, p := range services() {
		names = append(names, p.name)
	}
	return names
}

// latencyBar is the goal for 64 clients beside etcd.
func latencyBar(system string, batch int, bar float64) float64 {
	if system == nameEtcd && batch == 1 {
		return bar
	}
	return 0
}
