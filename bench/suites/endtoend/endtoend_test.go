package endtoend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/ward-health/ward/bench/suite"
)

func TestPayloadHasItsSizeAndDoesNotRepeat(t *testing.T) {
	for _, size := range []int64{0, 1, 100_000} {
		b, err := io.ReadAll(&payload{left: size})
		if err != nil || int64(len(b)) != size {
			t.Errorf("%d bytes of %d, %v", len(b), size, err)
		}
		if len(b) > 90_000 && bytes.Equal(b[:1000], b[90_000:91_000]) {
			t.Error("the beginning comes again")
		}
	}
}

func TestAtOnceFailsWithOne(t *testing.T) {
	want := errors.New("seven")
	if err := atOnce(10, 3, func(i int) error {
		if i == 7 {
			return want
		}
		return nil
	}); !errors.Is(err, want) {
		t.Errorf("error is %v", err)
	}
}

// TestReadersAndPayloadsAreFiled runs two parts of the suite as a quick run does.
func TestReadersAndPayloadsAreFiled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a consortium under load")
	}
	dir := t.TempDir()
	u := &suite.Suite{Name: "endtoend", Run: func(ctx context.Context, r *suite.Run) (err error) {
		c, err := newClinic(ctx, filepath.Join(dir, "main"), 4, 2)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		return r.Parts(ctx, func() error { return readers(ctx, r, c) }, func() error {
			s := r.Section(filedPayloads())
			return largePayload(ctx, s, filepath.Join(dir, "large"), 1<<10)
		})
	}}
	got, err := u.Do(t.Context(), &suite.Run{Quick: true, Log: io.Discard}, false)
	if err != nil {
		t.Fatal(err)
	}
	s := got.Sections[0]
	for _, system := range []string{byName, byPolicy} {
		for _, op := range []string{opOneMore, opAccess} {
			for _, at := range []float64{1, 10, 40} {
				if row := s.Find(op, system, at, "cpu"); row == nil || len(row.Samples) != 3 {
					t.Errorf("%s, %s, %v readers: %+v", system, op, at, row)
				}
			}
		}
	}
	if len(s.Ratios) != 4 || len(got.Sections[1].Rows) != 4 {
		t.Errorf("%d ratios and %d rows of payloads, want four each", len(s.Ratios), len(got.Sections[1].Rows))
	}
	if left, err := filepath.Glob(filepath.Join(dir, "large")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
