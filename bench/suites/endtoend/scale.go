package endtoend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/store/seal"
)

// Scale returns the suite "scale".
func Scale() *suite.Suite {
	return &suite.Suite{
		Name: "scale", Title: "Scale on paper", Run: scale,
		Quick: 15 * time.Second, Full: 60 * time.Second,
		Text: "A model of what a country costs, fitted to steps measured in this run at four nodes, and checked on a larger step that the fit has not seen. " +
			"The model: every patient registered, record of 1 KiB put, grant made and access to one record has a cost in processor time, of all nodes and clients together, and one in bytes on the disks of all nodes together, whatever is there already. The costs are those that fit all steps best, by least squares of relative errors; their spread is how they move when one step is left out. " +
			"Assumed: four nodes; a patient makes five grants in her life and each of her records is read twice, in an access of its own, without a proof having to be checked again; costs do not grow with the chain (see the growth of the chain, which is measured as far as its table goes; trees get deeper by a level for twice as many entries); what the disk holds for a young chain, of Raft's log too, it holds for an old one, which is more than it will be; payloads are 100 KiB at two members. " +
			"Not in it: network, images (their size is what they cost), the growth of indexes that a hospital keeps beside Ward. It is an extrapolation by some thousands of times, and to be read for the order of magnitude.",
	}
}

// counts are numbers of patients, records, grants and accesses.
type counts [4]float64

var costNames = [4]string{"register a patient", "put a record", "grant", "access to one record"}

// country is what the model is asked about.
var country = counts{1e6, 1e9, 5e6, 2e9}

// step is a measured point: what a mix of work took.
type step struct {
	counts
	cpu, disk float64
}

func scale(ctx context.Context, r *suite.Run) (err error) {
	dir, err := os.MkdirTemp("", "ward-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := newClinic(ctx, dir, 4, 16)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	p := &population{c: c}
	if err := p.do(ctx, counts{4, 16, 4, 4}); err != nil { // not measured: what is first costs more
		return err
	}
	times := suite.Pick(r, 1.0, 6.0)
	var steps []step
	for i, mix := range []counts{{8, 0, 0, 0}, {0, 48, 0, 0}, {0, 0, 8, 0}, {0, 0, 0, 16}, {4, 24, 4, 8}, {2, 48, 2, 12}, {6, 12, 6, 4}, {14, 160, 12, 40}} {
		for j := range mix {
			mix[j] *= times
		}
		r.Progress("step %d: %v", i+1, mix)
		s, err := p.measure(ctx, mix)
		if err != nil {
			return err
		}
		steps = append(steps, s)
	}
	return predict(r, steps[:len(steps)-1], steps[len(steps)-1])
}

// population is what the steps have made so far.
type population struct {
	c        *clinic
	patients []*ward.Client
	records  [][]record.ID // of each patient
	granted  int           // how many of the patients have granted
	puts     int
	accesses int
}

func (p *population) measure(ctx context.Context, n counts) (step, error) {
	before, err := diskOf(p.c.net.Dir())
	if err != nil {
		return step{}, err
	}
	begun := measure.Now()
	if err := p.do(ctx, n); err != nil {
		return step{}, err
	}
	spent := begun.Spent(1)
	after, err := diskOf(p.c.net.Dir())
	return step{n, spent.CPU.Seconds(), after - before}, err
}

func (p *population) do(ctx context.Context, n counts) error {
	const callers = 4
	first := len(p.patients)
	for i := range int(n[0]) {
		patient, err := p.c.enrol(ctx, i%p.c.net.Len(), fmt.Sprint("patient-", first+i))
		if err != nil {
			return err
		}
		p.patients = append(p.patients, patient)
	}
	p.records = append(p.records, make([][]record.ID, len(p.patients)-first)...)
	ids := make([]record.ID, int(n[1]))
	whose := func(i int) int { return (p.puts + i) % len(p.patients) }
	err := atOnce(len(ids), callers, func(i int) error {
		return patiently(ctx, func() (err error) {
			author := p.c.authors[i%len(p.c.authors)]
			ids[i], err = author.Put(ctx, ward.Record{Owner: p.patients[whose(i)].Name(), Type: kind, Title: "result"}, &payload{left: 1 << 10})
			return err
		})
	})
	if err != nil {
		return err
	}
	for i, id := range ids {
		p.records[whose(i)] = append(p.records[whose(i)], id)
	}
	p.puts += len(ids)
	err = atOnce(int(n[2]), callers, func(i int) error {
		_, err := p.patients[(p.granted+i)%len(p.patients)].Grant(ctx, ward.Terms{To: p.c.doctor.Name(), Type: wide})
		return err
	})
	if err != nil {
		return err
	}
	p.granted += int(n[2])
	var readable []record.ID
	for i := range min(p.granted, len(p.patients)) {
		readable = append(readable, p.records[i]...)
	}
	if n[3] > 0 && len(readable) == 0 {
		return errors.New("no record can be read")
	}
	err = atOnce(int(n[3]), callers, func(i int) error {
		return patiently(ctx, func() error {
			_, err := p.c.doctor.Access(ctx, "", readable[(p.accesses+i)%len(readable):][:1], treatment)
			return err
		})
	})
	p.accesses += int(n[3])
	return err
}

// predict fits the model to steps, checks it on one that is not among them, and
// applies it.
func predict(r *suite.Run, steps []step, larger step) error {
	costs := r.Section(report.Section{
		Name: "costs", Title: "What the fit found", Chart: report.Chart{Kind: "dots", Quantity: "cpu"},
		Text: "\"disk\" is what all four nodes together keep, payload included.",
	})
	check := r.Section(report.Section{Name: "check", Title: "A larger step, which the fit has not seen", Chart: report.Chart{Kind: "dots", Quantity: "cpu"},
		Text: fmt.Sprintf("%.0f patients, %.0f records, %.0f grants and %.0f accesses.", larger.counts[0], larger.counts[1], larger.counts[2], larger.counts[3])})
	total := r.Section(report.Section{Name: "country", Title: "A million patients, a thousand million records", Text: "The prediction, for all of it and for a share of the nodes."})
	for _, q := range []struct {
		name, unit string
		of         func(step) float64
	}{{"cpu", "s", func(s step) float64 { return s.cpu }}, {"disk", "B", func(s step) float64 { return s.disk }}} {
		var fits []counts // the first of all steps, then without one of them each
		for out := -1; out < len(steps); out++ {
			var some []step
			for i, s := range steps {
				if i != out {
					some = append(some, s)
				}
			}
			fit, ok := leastSquares(some, q.of)
			if ok {
				fits = append(fits, fit)
			}
		}
		if len(fits) == 0 {
			return fmt.Errorf("the steps do not tell the costs in %s apart", q.name)
		}
		const made = "measured"
		predicted := apply(fits, larger.counts)
		for i, name := range costNames {
			row := report.Row{Operation: name, System: "Ward", Quantity: q.name, Unit: q.unit}
			for _, f := range fits {
				v := f[i]
				if q.unit == "B" {
					v = math.Round(v)
				}
				row.Samples = append(row.Samples, v)
			}
			costs.Add(row)
		}
		same := make([]float64, len(predicted))
		for i := range same {
			same[i] = q.of(larger)
		}
		check.Add(report.Row{Operation: "the step", System: "predicted", Quantity: q.name, Unit: q.unit, Samples: predicted})
		check.Add(report.Row{Operation: "the step", System: made, Quantity: q.name, Unit: q.unit, Samples: same})
		if err := check.Ratio(q.name, suite.Ref{Operation: "the step", System: "predicted"}, suite.Ref{Operation: "the step", System: made}, report.Ratio{
			Name: "predicted / measured, " + q.name, Text: "1 is right",
		}); err != nil {
			return err
		}
		all := apply(fits, country)
		if q.name == "cpu" {
			total.Add(scaled("all of it, once", "processor-years", "predicted", all, 1/(365.25*86400)))
			total.Add(scaled("each of four nodes, over ten years, processors busy", "processors", "predicted", all, 1/(4*10*365.25*86400)))
		} else {
			total.Add(scaled("chain, state and sealed records, at each of four nodes", "TiB", "predicted", all, 1.0/4/(1<<40)))
			payload := float64(seal.SealedSize(100<<10)) * country[1] / 2 // two of four members keep each
			total.Add(scaled("payloads of 100 KiB, at each of four nodes", "TiB", "predicted", []float64{payload}, 1.0/(1<<40)))
		}
	}
	return nil
}

func scaled(operation, unit, system string, samples []float64, by float64) report.Row {
	row := report.Row{Operation: operation, System: system, Quantity: "prediction", Unit: unit}
	for _, v := range samples {
		row.Samples = append(row.Samples, v*by)
	}
	return row
}

func apply(fits []counts, n counts) (all []float64) {
	for _, f := range fits {
		v := 0.0
		for i := range n {
			v += f[i] * n[i]
		}
		all = append(all, v)
	}
	return all
}

// leastSquares returns the costs for which the sum of the squares of the
// relative errors of the steps is least, and whether the steps determine them.
func leastSquares(steps []step, of func(step) float64) (costs counts, ok bool) {
	const n = len(counts{})
	var m [n][n + 1]float64 // the normal equations
	for _, s := range steps {
		y := of(s)
		if y <= 0 {
			continue // a step that left nothing tells nothing
		}
		for i := range n {
			for j := range n {
				m[i][j] += s.counts[i] * s.counts[j] / (y * y)
			}
			m[i][n] += s.counts[i] / y
		}
	}
	for i := range n { // Gauss, Jordan
		pivot := i
		for k := i + 1; k < n; k++ {
			if math.Abs(m[k][i]) > math.Abs(m[pivot][i]) {
				pivot = k
			}
		}
		m[i], m[pivot] = m[pivot], m[i]
		if math.Abs(m[i][i]) < 1e-12*m[0][0] || m[i][i] == 0 {
			return costs, false
		}
		for k := range n {
			if k == i {
				continue
			}
			f := m[k][i] / m[i][i]
			for j := i; j <= n; j++ {
				m[k][j] -= f * m[i][j]
			}
		}
	}
	for i := range n {
		costs[i] = m[i][n] / m[i][i]
	}
	return costs, true
}

// diskOf returns what the files below dir occupy, holes not counted.
func diskOf(dir string) (bytes float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreGone(err)
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += float64(s.Blocks) * 512
		} else {
			bytes += float64(info.Size())
		}
		return nil
	})
	return bytes, err
}

// ignoreGone drops the error of a file that was removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
