// Package store measures the sealing of payloads and their opening, on a disk,
// beside programs that copy and encrypt files.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

// Suite returns the suite "store".
func Suite() *suite.Suite {
	return &suite.Suite{
		Name: "store", Title: "Payloads on a disk", Run: run,
		Quick: 15 * time.Second, Full: 170 * time.Second,
		Text: "A payload is sealed into a directory, durable when the operation ends, and opened from there, through the system's page cache, into nothing. " +
			"Ward pads it, encrypts it in the format of age, computes its address (SHA-256 of a tree of chunks) on the way, and when it opens it checks the address of every chunk before a byte leaves. " +
			"The library of age encrypts to one X25519 recipient, the program likewise with a process for each file; neither has an address to check, nor do they pad. " +
			"rclone crypt encrypts by XSalsa20-Poly1305, with a process for each file; it does not sync. cp copies, without encryption or sync, and its cost is mostly that of a process for small files. " +
			"\"copy and sync\" is what a disk asks of everybody. " +
			"ChaCha20-Poly1305 alone is the cipher of Ward and age over the bytes in memory, in chunks of 64 KiB, on one processor. " +
			"Ward uses several processors where there are: wall time shows that, processor time does not.",
	}
}

const (
	nameWard   = "Ward"
	nameCipher = "ChaCha20-Poly1305 alone"
	nameCopy   = "copy and sync"
	nameCP     = "cp"
	nameAge    = "age (library)"
	nameAgeBin = "age (program)"
	nameRclone = "rclone crypt"
)

// The operations.
const (
	sealDisk   = "seal to disk"
	openDisk   = "open from disk"
	sealMemory = "seal in memory"
)

// file is a plaintext on the disk and where systems put what they make of it.
type file struct {
	plain string
	size  int64
	dir   string // for the systems
}

// system makes the operations for a file. ops may leave something in its
// directory that later calls need.
type system struct {
	name string
	ops  func(ctx context.Context, f file) (map[string]func(n int) (measure.Spent, error), error)
}

func run(ctx context.Context, r *suite.Run) (err error) {
	dir, err := os.MkdirTemp("", "ward-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	systems := []system{{nameWard, wardOps}, {nameCipher, cipherOps}, {nameCopy, copyOps}, {nameAge, ageOps}}
	r.Version(report.Version{Name: nameAge, Version: measure.ModuleVersion("filippo.io/age"), Licence: "BSD-3-Clause", Note: "linked into the benchmark"})
	systems = append(systems, programs(ctx, r)...)
	s := r.Section(report.Section{
		Name: "payload", Title: "A payload, by its size", Param: "bytes", Base: nameWard,
		Text:  "\"rate\" is bytes of plaintext in the time that passed. Files of 256 MiB were measured in five rounds, those of 1 GiB in two.",
		Chart: report.Chart{Kind: "lines", Quantity: "cpu", LogX: true, LogY: true},
	})
	sizes := suite.Pick(r, []int64{1 << 10, 1 << 20, 16 << 20}, []int64{1 << 10, 64 << 10, 1 << 20, 64 << 20, 256 << 20, 1 << 30})
	for i, size := range sizes {
		// Each of seven systems has up to two copies beside the plaintext.
		if free, err := measure.FreeDisk(os.TempDir()); err == nil && free < 16*float64(size) {
			r.Skip("payloads of "+report.FormatValue(float64(size), "B"), fmt.Errorf("%s has only %s free", os.TempDir(), report.FormatValue(free, "B")))
			continue
		}
		if err := measureSize(ctx, r, s, systems, filepath.Join(dir, fmt.Sprint(i)), size); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprint(i))); err != nil {
			return err
		}
	}
	rates(s)
	return ratios(s, suite.Pick(r, 16.0*(1<<20), 256.0*(1<<20)), systems)
}

func measureSize(ctx context.Context, r *suite.Run, s *suite.Section, systems []system, dir string, size int64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	plain := filepath.Join(dir, "plain")
	if err := makeFile(plain, size); err != nil {
		return err
	}
	var cases []suite.Case
	for i, sys := range systems {
		own := filepath.Join(dir, fmt.Sprint("system", i))
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		ops, err := sys.ops(ctx, file{plain, size, own})
		if err != nil {
			return fmt.Errorf("%s: %w", sys.name, err)
		}
		for _, name := range []string{sealMemory, sealDisk, openDisk} {
			if op := ops[name]; op != nil {
				cases = append(cases, suite.Case{Operation: name, System: sys.name, At: float64(size), Run: op, Once: size >= 16<<20})
			}
		}
	}
	o := measure.Options{Rounds: suite.Pick(r, 5, 9), Target: suite.Pick(r, 3*time.Millisecond, 20*time.Millisecond)}
	switch {
	case size >= 1<<30:
		o.Rounds = 2
	case size >= 256<<20:
		o.Rounds = 5
	}
	return s.MeasureFor(ctx, o, cases...)
}

// makeFile writes a file that does not compress.
func makeFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{2}), size)
	return errors.Join(err, f.Close())
}

func rates(s *suite.Section) {
	for _, row := range append([]report.Row(nil), s.Rows...) {
		if row.Quantity != "wall" {
			continue
		}
		rate := row
		rate.Quantity, rate.Unit, rate.Samples = "rate", "B/s", nil
		for _, seconds := range row.Samples {
			rate.Samples = append(rate.Samples, row.At/max(seconds, 1e-9))
		}
		s.Add(rate)
	}
}

func ratios(s *suite.Section, largest float64, systems []system) error {
	ref := func(op, name string) suite.Ref { return suite.Ref{Operation: op, System: name, At: largest} }
	size := report.FormatValue(largest, "B")
	err := s.Ratio("cpu", ref(sealMemory, nameWard), ref(sealMemory, nameCipher), report.Ratio{
		Name: "seal and address in memory: Ward / ChaCha20-Poly1305 alone", Text: "processor time for " + size + "; the rest is SHA-256 and the reading; less is better", Margin: 0.5,
	})
	if err != nil {
		return err
	}
	for _, sys := range systems {
		if sys.name == nameWard || sys.name == nameCipher {
			continue
		}
		for _, op := range []string{sealDisk, openDisk} {
			for _, quantity := range []string{"cpu", "wall"} {
				margin := 0.0
				if sys.name == nameAge && op == sealDisk && quantity == "cpu" { // always there, and steady
					margin = 0.4
				}
				err := s.Ratio(quantity, ref(op, nameWard), ref(op, sys.name), report.Ratio{
					Name: fmt.Sprintf("%s: Ward / %s, %s", op, sys.name, quantity), Text: "time for " + size + "; less is better", Margin: margin,
				})
				if err != nil && !errors.Is(err, suite.ErrNoRow) {
					return err
				}
			}
		}
	}
	return nil
}
