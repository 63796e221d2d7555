package chain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/chain"
)

// The load of a minute: the largest of the shapes.
const (
	longClients = 4
	longBatch   = 1000
	longWarmUp  = 40_000
)

// secondsVariable names how long the sustained load lasts, instead of a minute.
const secondsVariable = "WARD_BENCH_SECONDS"

// longFree is how much of the disk a minute may take.
const longFree = 16 << 30

// sustained loads Ward and etcd for a minute each, each round from the beginning:
// short loads end before memory is full and the disk has to be tidied up.
func sustained(ctx context.Context, r *suite.Run, dir string) error {
	length, err := sustainedFor()
	if err != nil {
		return err
	}
	what, goal := fmt.Sprintf("%d s", int(length.Seconds())), 0.0
	if length == time.Minute {
		what, goal = "a minute", 1 // the bar is of a minute
	}
	bars := longRatios(what, goal)
	skip := func(why error) error {
		r.Skip("a load of "+what, why)
		r.Unmeasured(bars[:]...)
		return nil
	}
	if r.Quick {
		return skip(errors.New("only in full runs"))
	}
	if free, err := measure.FreeDisk(os.TempDir()); err == nil && free < longFree {
		return skip(fmt.Errorf("%s has only %s free", os.TempDir(), report.FormatValue(free, "B")))
	}
	s := r.Section(report.Section{
		Name: "sustained", Title: "Batches of 1,000, for " + what, Param: "entries in a request", Base: nameWard,
		Text: "4 clients send batches of 1,000 for " + what + ", each as soon as its last is done, to nodes that begin empty in each round and had 40,000 entries to warm up. " +
			"Ward's entries were signed before; reading them from a file and parsing them counts. \"lasted\" is the time from the first request to the last answer.",
	})
	loads := map[string][]peer.Load{}
	long := func(name string, load func(dir string) (peer.Load, error)) suite.Case {
		return suite.Case{Operation: commit, System: name, At: longBatch, Once: true, Run: func(int) (_ measure.Spent, err error) {
			r.Progress("sustained: %s, %s", name, what)
			own := filepath.Join(dir, name)
			if err := os.MkdirAll(own, 0o700); err != nil {
				return measure.Spent{}, err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(own)) }()
			l, err := load(own)
			if err == nil {
				loads[name] = append(loads[name], l)
			}
			return l.Spent, err
		}}
	}
	cases := []suite.Case{long(nameWard, func(dir string) (peer.Load, error) { return sustainWard(ctx, dir, length) })}
	if _, err := peer.Program(r.Root, etcdProgram); err != nil {
		r.Skip(nameEtcd, err)
	} else {
		cases = append(cases, long(nameEtcd, func(string) (peer.Load, error) { return sustainEtcd(ctx, r.Root, length) }))
	}
	if err := s.MeasureFor(ctx, measure.Options{Rounds: 2}, cases...); err != nil {
		return err
	}
	for _, c := range cases {
		addLoads(s, c.System, longBatch, loads[c.System])
		lasted := report.Row{Operation: commit, System: c.System, At: longBatch, Quantity: "lasted", Unit: "s"}
		for _, l := range loads[c.System] {
			lasted.Samples = append(lasted.Samples, l.Wall.Seconds())
		}
		s.Add(lasted)
	}
	for i, quantity := range longQuantities {
		if err := s.Ratio(quantity, at(nameWard, longBatch), at(nameEtcd, longBatch), bars[i]); err != nil && !errors.Is(err, suite.ErrNoRow) {
			return err
		}
	}
	return nil
}

// longQuantities are what longRatios are of.
var longQuantities = [3]string{"rate", "p99", "cpu"}

// longRatios set Ward beside etcd, for a load of so long.
func longRatios(what string, bar float64) [3]report.Ratio {
	return [3]report.Ratio{
		{Name: "for " + what + ": Ward / etcd, entries a second", Text: "more is better", Higher: true, Bar: bar},
		{Name: "for " + what + ": Ward / etcd, wait of the slowest of a hundred", Text: "less is better", Bar: bar},
		{Name: "for " + what + ": Ward / etcd, cpu", Text: "processor time for an entry; less is better"},
	}
}

// sustainedFor returns how long the load lasts.
func sustainedFor() (time.Duration, error) {
	text := os.Getenv(secondsVariable)
	if text == "" {
		return time.Minute, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 200 {
		return 0, fmt.Errorf("%s is %q: want 1 to 200", secondsVariable, text)
	}
	return time.Duration(n) * time.Second, nil
}

func sustainWard(ctx context.Context, dir string, length time.Duration) (_ peer.Load, err error) {
	w, err := startWard(ctx, filepath.Join(dir, "nodes"))
	if err != nil {
		return peer.Load{}, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	l, err := w.load(longWarmUp, longClients, longBatch)
	if err != nil {
		return peer.Load{}, err
	}
	// A short load is faster than a long one: these are enough for it.
	n := int(math.Ceil(1.5*float64(l.Work)/l.Wall.Seconds()*length.Seconds()/longBatch)) * longBatch
	entries, err := w.signer.stock(filepath.Join(dir, "entries"), n)
	if err != nil {
		return peer.Load{}, err
	}
	defer func() { err = errors.Join(err, entries.close()) }()
	return driveFor(length, n, longClients, longBatch, func(from, to int) error {
		txs, err := entries.take(from, to)
		if err != nil {
			return err
		}
		return submitAll(ctx, w.leader, txs)
	})
}

func sustainEtcd(ctx context.Context, root string, length time.Duration) (_ peer.Load, err error) {
	e, err := peer.StartProgram(ctx, root, etcdProgram)
	if err != nil {
		return peer.Load{}, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if _, err := e.Load("load", longWarmUp, peer.Params{Clients: longClients, Batch: longBatch}); err != nil {
		return peer.Load{}, err
	}
	return e.Load("load", 1, peer.Params{Clients: longClients, Batch: longBatch, Seconds: int(length.Seconds())})
}

// stock are signed entries in a file, so that they are neither made nor kept in
// memory while the time runs.
type stock struct{ file *os.File }

const entrySize = 512

// stock makes n entries, in a file.
func (s *signer) stock(path string, n int) (_ *stock, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	err = s.each(n, func(i int, tx *chain.Tx) error {
		b := tx.Bytes()
		if len(b) != entrySize {
			return fmt.Errorf("an entry has %d bytes", len(b))
		}
		_, err := f.WriteAt(b, int64(i)*entrySize)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &stock{f}, nil
}

// take returns the entries with numbers from ≤ i < to.
func (s *stock) take(from, to int) ([]*chain.Tx, error) {
	b := make([]byte, (to-from)*entrySize)
	if _, err := s.file.ReadAt(b, int64(from)*entrySize); err != nil {
		return nil, err
	}
	txs := make([]*chain.Tx, to-from)
	for i := range txs {
		tx, err := chain.ParseTx(b[i*entrySize : (i+1)*entrySize])
		if err != nil {
			return nil, err
		}
		txs[i] = tx
	}
	return txs, nil
}

func (s *stock) close() error { return s.file.Close() }
