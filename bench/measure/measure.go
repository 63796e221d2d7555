// Package measure takes times that can be compared.
//
// Everything to be compared is measured in one run, in rounds: each round runs
// every case once, so what disturbs the machine for a while disturbs all of
// them. A round is preceded by a warm-up, in which each case also finds out how
// often it must be repeated for its time to be much longer than the clock's
// step. Beside the time on the wall stands the time of the processor, which
// other programs on the machine disturb far less.
package measure

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

// Spent is what some repetitions of a case took together.
type Spent struct {
	Wall time.Duration
	CPU  time.Duration // of all threads of the processes that did the work
	Work int           // how many operations that was
}

// A Case is one thing to be measured.
type Case struct {
	Name string // for progress and errors
	// Run does the operation n times, or as near to it as it can, and says what
	// that took. What it prepares first does not count.
	Run func(n int) (Spent, error)
	// Once is set for a case that is long enough and too long to repeat:
	// each round runs it with n = 1, and the warm-up is left out.
	Once bool
}

// Timed returns a Run that times calls of f in this process.
func Timed(f func() error) func(int) (Spent, error) {
	return TimedWith(func(int) (func(int) error, error) { return func(int) error { return f() }, nil })
}

// TimedWith is Timed for an operation that consumes something: prepare makes
// what n operations need, untimed, and the function it returns is then called
// with 0 to n-1.
func TimedWith(prepare func(n int) (func(i int) error, error)) func(int) (Spent, error) {
	return func(n int) (Spent, error) {
		f, err := prepare(n)
		if err != nil {
			return Spent{}, err
		}
		start := Now()
		for i := range n {
			if err := f(i); err != nil {
				return Spent{}, err
			}
		}
		return start.Spent(n), nil
	}
}

// Moment is a reading of both clocks.
type Moment struct {
	wall time.Time
	cpu  time.Duration
}

// Now reads both clocks.
func Now() Moment { return Moment{time.Now(), CPU()} }

// Spent returns what has passed since, for work operations.
func (m Moment) Spent(work int) Spent {
	cpu := CPU() - m.cpu
	return Spent{Wall: time.Since(m.wall), CPU: cpu, Work: work}
}

// Samples are what the rounds gave for a case, in seconds for one operation.
// The i-th samples of all cases are of the same round.
type Samples struct{ CPU, Wall []float64 }

// Options say how long to measure.
type Options struct {
	Rounds int           // 0 means 7
	Target time.Duration // how long one sample takes at least; 0 means 20 ms
	Seed   uint64        // of the order of the cases within each round
	// Progress, if not nil, is told before each case of each round.
	Progress func(round, rounds int, name string)
}

const (
	defaultRounds = 7
	defaultTarget = 20 * time.Millisecond
	maxRepeats    = 1 << 20
)

// Rounds measures the cases in turn and returns the samples of each. It stops
// at the first error, or when ctx ends.
func Rounds(ctx context.Context, cases []Case, o Options) ([]Samples, error) {
	if o.Rounds == 0 {
		o.Rounds = defaultRounds
	}
	if o.Target == 0 {
		o.Target = defaultTarget
	}
	progress := o.Progress
	if progress == nil {
		progress = func(int, int, string) {}
	}
	repeats := make([]int, len(cases))
	for i, c := range cases {
		progress(0, o.Rounds, c.Name)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := warmUp(c, o.Target)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		repeats[i] = n
	}
	samples := make([]Samples, len(cases))
	order := rand.New(rand.NewPCG(o.Seed, 1))
	for round := range o.Rounds {
		for _, i := range order.Perm(len(cases)) {
			progress(round+1, o.Rounds, cases[i].Name)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			// The garbage of one case is not collected in another's time.
			runtime.GC()
			spent, err := cases[i].Run(repeats[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", cases[i].Name, err)
			}
			if spent.Work <= 0 {
				return nil, fmt.Errorf("%s: did no work", cases[i].Name)
			}
			samples[i].CPU = append(samples[i].CPU, spent.CPU.Seconds()/float64(spent.Work))
			samples[i].Wall = append(samples[i].Wall, spent.Wall.Seconds()/float64(spent.Work))
		}
	}
	return samples, nil
}

// warmUp runs a case until one sample of it takes the target, and returns how
// many repetitions that is.
func warmUp(c Case, target time.Duration) (int, error) {
	if c.Once {
		return 1, nil
	}
	n := 1
	for {
		spent, err := c.Run(n)
		if err != nil {
			return 0, err
		}
		if spent.Wall >= target*3/4 || n >= maxRepeats {
			return n, nil
		}
		each := max(spent.Wall/time.Duration(n), 1)
		// Not more than tenfold at once: the first call may be the slow one.
		n = min(max(n+1, int(target/each)), 10*n, maxRepeats)
	}
}
