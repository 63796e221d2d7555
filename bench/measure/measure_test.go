package measure

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    Summary
	}{
		{nil, Summary{}},
		{[]float64{7}, Summary{1, 7, 0, 7, 7, 7, 7}},
		{[]float64{4, 1, 3, 2}, Summary{4, 2.5, 1, 1.75, 3.25, 1, 4}},
		{[]float64{1, 1, 2, 2, 4, 6, 9}, Summary{7, 2, 1, 1.5, 5, 1, 9}}, // the textbook's example of the MAD
		{[]float64{1, 2, 3, 4, 1000}, Summary{5, 3, 1, 2, 4, 1, 1000}},   // one disturbed round moves nothing
	} {
		if got := Summarize(c.samples); got != c.want {
			t.Errorf("Summarize(%v) = %+v, want %+v", c.samples, got, c.want)
		}
	}
}

func TestSummarizeLeavesSamplesInOrder(t *testing.T) {
	s := []float64{3, 1, 2}
	Summarize(s)
	Quantile(s, 0.5)
	if !reflect.DeepEqual(s, []float64{3, 1, 2}) {
		t.Errorf("samples are now %v: rounds no longer match", s)
	}
}

func TestQuantile(t *testing.T) {
	s := []float64{50, 10, 40, 20, 30}
	for q, want := range map[float64]float64{0: 10, 0.25: 20, 0.5: 30, 0.99: 49.6, 1: 50} {
		if got := Quantile(s, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if !math.IsNaN(Quantile(nil, 0.5)) {
		t.Error("there is a quantile of nothing")
	}
}

func TestDivide(t *testing.T) {
	for _, c := range []struct{ a, b, want []float64 }{
		{[]float64{2, 9}, []float64{1, 3}, []float64{2, 3}},
		{[]float64{1, 2}, []float64{1}, nil},
		{[]float64{1}, []float64{0}, nil},
	} {
		if got := Divide(c.a, c.b); !reflect.DeepEqual(got, c.want) {
			t.Errorf("Divide(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// TestRoundsShareDisturbances slows every case of a round alike, as a busy
// machine does: the times spread, and the quotients do not.
func TestRoundsShareDisturbances(t *testing.T) {
	calls, noise := 0, rand.New(rand.NewPCG(1, 2))
	slow := 1.0
	fake := func(cost float64) Case {
		return Case{Name: "fake", Once: true, Run: func(n int) (Spent, error) {
			if calls%2 == 0 {
				slow = 1 + 9*noise.Float64()
			}
			calls++
			d := time.Duration(cost * slow * float64(n) * 1e6)
			return Spent{Wall: d, CPU: d, Work: n}, nil
		}}
	}
	s, err := Rounds(context.Background(), []Case{fake(1), fake(3)}, Options{Rounds: 9})
	if err != nil {
		t.Fatal(err)
	}
	if m := Summarize(s[0].CPU); m.MAD < 0.1*m.Median {
		t.Fatalf("the disturbance is not in the samples: %+v", m)
	}
	q := Summarize(Divide(s[1].CPU, s[0].CPU))
	if math.Abs(q.Median-3) > 1e-6 || q.MAD > 1e-6 {
		t.Errorf("the quotient is %+v, want 3 without spread", q)
	}
}

func TestRoundsRunEveryCaseOnceARound(t *testing.T) {
	var ran []int
	cases := make([]Case, 4)
	for i := range cases {
		cases[i] = Case{Once: true, Run: func(n int) (Spent, error) {
			ran = append(ran, i)
			return Spent{Wall: 1, CPU: 1, Work: n}, nil
		}}
	}
	if _, err := Rounds(context.Background(), cases, Options{Rounds: 50, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	orders := map[[4]int]bool{}
	for len(ran) > 0 {
		round := [4]int(ran[:4])
		orders[round] = true
		sum := 0
		for _, i := range round {
			sum |= 1 << i
		}
		if sum != 15 {
			t.Fatalf("a round ran %v", round)
		}
		ran = ran[4:]
	}
	if len(orders) < 5 {
		t.Errorf("the order within rounds took only %d forms: whoever runs after whom would be fixed", len(orders))
	}
}

func TestWarmUpRepeatsUntilLongEnough(t *testing.T) {
	c := Case{Run: func(n int) (Spent, error) {
		return Spent{Wall: time.Duration(n) * 10 * time.Microsecond, Work: n}, nil
	}}
	n, err := warmUp(c, 5*time.Millisecond)
	if err != nil || n < 375 || n > 1000 {
		t.Errorf("repeats %d times (%v), want about 500", n, err)
	}
	free := Case{Run: func(n int) (Spent, error) { return Spent{Work: n}, nil }}
	if n, err := warmUp(free, time.Second); err != nil || n != maxRepeats {
		t.Errorf("an operation that takes nothing is repeated %d times (%v)", n, err)
	}
}

func TestRoundsStop(t *testing.T) {
	boom := errors.New("boom")
	bad := Case{Name: "bad", Once: true, Run: func(int) (Spent, error) { return Spent{}, boom }}
	if _, err := Rounds(context.Background(), []Case{bad}, Options{}); !errors.Is(err, boom) {
		t.Errorf("error is %v, want the case's", err)
	}
	idle := Case{Name: "idle", Once: true, Run: func(int) (Spent, error) { return Spent{}, nil }}
	if _, err := Rounds(context.Background(), []Case{idle}, Options{}); err == nil {
		t.Error("a case that did nothing was measured")
	}
	ctx, cancel := context.WithCancel(context.Background())
	stop := Case{Once: true, Run: func(n int) (Spent, error) { cancel(); return Spent{Work: n}, nil }}
	if _, err := Rounds(ctx, []Case{stop}, Options{Rounds: 9}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
}

// TestCPUCountsWorkAndNotWaiting works for 20 ms of processor time.
func TestCPUCountsWorkAndNotWaiting(t *testing.T) {
	start := Now()
	x := uint64(1)
	for CPU()-start.cpu < 20*time.Millisecond {
		for range 1000 {
			x = x*6364136223846793005 + 1
		}
	}
	spent := start.Spent(1)
	if spent.CPU < 20*time.Millisecond || spent.Wall <= 0 {
		t.Errorf("spent %+v (%d)", spent, x)
	}
	prepared := 0
	s, err := TimedWith(func(n int) (func(int) error, error) {
		for range 20_000_000 { // some milliseconds that do not count
			x = x*6364136223846793005 + 1
		}
		prepared = n
		return func(int) error { return nil }, nil
	})(3)
	if err != nil || prepared != 3 || s.Work != 3 || s.CPU > 5*time.Millisecond {
		t.Errorf("spent %+v on nothing, prepared %d (%v) (%d)", s, prepared, err, x)
	}
}

func TestPin(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	_, undo, err := Pin()
	if err != nil {
		t.Skip(err)
	}
	if runtime.GOMAXPROCS(0) != 1 {
		t.Error("Go still runs on several threads")
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if runtime.GOMAXPROCS(0) != procs {
		t.Error("not undone")
	}
}

func TestThisMachine(t *testing.T) {
	m := ThisMachine()
	if m.OS != runtime.GOOS || m.CPUs < 1 || m.Go == "" {
		t.Errorf("machine is %+v", m)
	}
	if runtime.GOOS == "linux" && m.MemoryMiB == 0 {
		t.Errorf("memory is missing: %+v", m)
	}
	if kib("12 kB") != 12 || kib("x") != 0 {
		t.Error("sizes are misread")
	}
}

func TestFreeDiskIsOfADirectoryThatIsThere(t *testing.T) {
	free, err := FreeDisk(t.TempDir())
	if err != nil && (runtime.GOOS == "linux" || runtime.GOOS == "darwin") || err == nil && free < 1 {
		t.Errorf("%.0f bytes are free, %v", free, err)
	}
	if _, err := FreeDisk(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a disk was found where no directory is")
	}
}
