package endtoend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

// large is the size from which payloads have a consortium of their own, whose
// disks are emptied after it.
const large = 128 << 20

func filedPayloads() report.Section {
	return report.Section{
		Name: "payload", Title: "One record, by its size", Param: "bytes",
		Text: "Put: sealed, sent to two members, durable there, certified. Get: the doctor's access, the payload fetched, checked and opened. Sizes from 128 MiB on were measured in two rounds. " +
			"A payload whose taker is not among the two members that keep it, which is every other one here, is copied once more afterwards, from member to member: " +
			"from 128 MiB on each measurement waits until that is over, and it is not counted. " +
			"A virtual machine pays for the first use of a page of its memory ten times what it pays to use it again, as system time of whoever writes: large payloads, of which the system keeps copies, show that.",
		Chart: report.Chart{Kind: "lines", Quantity: "wall", LogX: true, LogY: true},
	}
}

// payloads measures records of several sizes.
func payloads(ctx context.Context, r *suite.Run, c *clinic, dir string) error {
	s := r.Section(filedPayloads())
	for _, size := range suite.Pick(r, []int64{1 << 10, 1 << 20, 16 << 20}, []int64{1 << 10, 64 << 10, 1 << 20, 16 << 20}) {
		if err := putAndGet(ctx, s, c, size, suite.Pick(r, 3, 7), func() error { return nil }); err != nil {
			return err
		}
	}
	for _, size := range suite.Pick(r, nil, []int64{large, 1 << 30}) {
		// Three payloads at two members each, and what the client keeps meanwhile.
		if free, err := measure.FreeDisk(os.TempDir()); err == nil && free < 8*float64(size) {
			r.Skip("payloads of "+report.FormatValue(float64(size), "B"), fmt.Errorf("%s has only %s free", os.TempDir(), report.FormatValue(free, "B")))
			continue
		}
		r.Progress("payload: %s", report.FormatValue(float64(size), "B"))
		if err := largePayload(ctx, s, filepath.Join(dir, "large"), size); err != nil {
			return err
		}
	}
	return nil
}

func largePayload(ctx context.Context, s *suite.Section, dir string, size int64) (err error) {
	c, err := newClinic(ctx, dir, 4, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(), os.RemoveAll(dir)) }()
	return putAndGet(ctx, s, c, size, 2, func() error { return quiet(ctx, dir) })
}

// quiet waits until no member takes a blob any more, and none begins to for a
// second. Whose turn a blob is hears of it with the block, which is within
// milliseconds.
func quiet(ctx context.Context, dir string) error {
	const look, looks = 100 * time.Millisecond, 10
	for idle := 0; idle < looks; idle++ {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
		incoming, err := filepath.Glob(filepath.Join(dir, "*", "blobs", "incoming", "*"))
		if err != nil {
			return err
		}
		if len(incoming) > 0 {
			idle = -1
		}
	}
	return nil
}

// putAndGet measures records of a size. Before each measurement it calls ready.
func putAndGet(ctx context.Context, s *suite.Section, c *clinic, size int64, rounds int, ready func() error) error {
	if _, err := c.grant(ctx, c.doctor.Name()); err != nil {
		return err
	}
	ids, err := c.put(ctx, 1, 1, size)
	if err != nil {
		return err
	}
	return s.MeasureFor(ctx, measure.Options{Rounds: rounds},
		one("put", float64(size), after(ready, func() error { _, err := c.put(ctx, 1, 1, size); return err })),
		one("get", float64(size), after(ready, func() error {
			var got sum
			if _, err := c.doctor.Get(ctx, ids[0], treatment, &got); err != nil {
				return err
			}
			if int64(got) != size {
				return fmt.Errorf("got %d bytes of %d", got, size)
			}
			return nil
		})))
}

// after is measure.Timed for an operation before which something is to be waited
// for, untimed.
func after(ready, f func() error) runner {
	return measure.TimedWith(func(int) (func(int) error, error) {
		return func(int) error { return f() }, ready()
	})
}
