package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a source whose reads do one after the other what its steps say, and
// then succeed.
type script struct {
	data  []byte
	steps []func(ctx context.Context, off, n int64) (io.ReadCloser, error)
	reads atomic.Int32
	bytes atomic.Int64 // handed out
}

func (s *script) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	i := int(s.reads.Add(1)) - 1
	if i < len(s.steps) {
		return s.steps[i](ctx, off, n)
	}
	s.bytes.Add(n)
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(s.data), off, n)), nil
}

func (s *script) Close() error { return nil }

var errDown = errors.New("server is down")

func down(context.Context, int64, int64) (io.ReadCloser, error) { return nil, errDown }

// hang blocks until its context is done, as a server that accepts and is
// silent.
func hang(ctx context.Context, _, _ int64) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// hangAfter sends n bytes and is silent then.
func (s *script) hangAfter(n int64) func(context.Context, int64, int64) (io.ReadCloser, error) {
	return func(ctx context.Context, off, _ int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(s.data[off:off+n]), ctxReader{ctx})), nil
	}
}

type ctxReader struct{ ctx context.Context }

func (r ctxReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}

// readAll opens and reads a blob of n bytes from the scripts.
func readAll(t *testing.T, ctx context.Context, data []byte, opts BlobOptions, sources ...Source) ([]byte, error) {
	t.Helper()
	b := NewBlob(digest(t, data), opts, sources...)
	r := b.NewReader(ctx)
	got, err := io.ReadAll(r)
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	return got, err
}

func TestReadResumesWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := pattern(1, WholeSize+7*LeafSize)
		s := &script{data: data}
		s.steps = append(s.steps, down, s.hangAfter(3*LeafSize+17), down, down, hang, s.hangAfter(0))
		begin := time.Now()
		got, err := readAll(t, t.Context(), data, BlobOptions{Retry: Retry{Attempts: 6}}, s)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		if n := s.bytes.Load(); n != int64(len(data))-3*LeafSize {
			t.Fatalf("the last read was of %d bytes, want what was missing", n)
		}
		// Three times a minute of silence, and the pauses between.
		if d := time.Since(begin); d < 3*time.Minute || d > 4*time.Minute {
			t.Fatalf("it took %v", d)
		}
	})
}

func TestReadGivesUpWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := pattern(1, 2*LeafSize)
		s := &script{data: data, steps: []func(context.Context, int64, int64) (io.ReadCloser, error){down, down, down, down, down}}
		got, err := readAll(t, t.Context(), data, BlobOptions{}, s)
		if len(got) > 0 || !errors.Is(err, errDown) || s.reads.Load() != 5 {
			t.Fatalf("%d bytes and %v after %d reads", len(got), err, s.reads.Load())
		}
		s = &script{data: data, steps: []func(context.Context, int64, int64) (io.ReadCloser, error){hang, hang}}
		got, err = readAll(t, t.Context(), data, BlobOptions{Retry: Retry{Attempts: 2}}, s)
		if len(got) > 0 || !errors.Is(err, errStalled) {
			t.Fatalf("silence: %d bytes and %v", len(got), err)
		}
	})
}

func TestDamageIsNotRetriedOnOneMedium(t *testing.T) {
	data := pattern(1, 3*LeafSize)
	s := &script{data: bytes.Clone(data)}
	s.data[LeafSize] ^= 1
	got, err := readAll(t, t.Context(), data, BlobOptions{}, s)
	var corrupt *CorruptError
	if len(got) > 0 || !errors.As(err, &corrupt) || corrupt.Offset != LeafSize || s.reads.Load() != 1 {
		t.Fatalf("%d bytes and %v after %d reads", len(got), err, s.reads.Load())
	}
}

func TestDamageOnOneMediumWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := pattern(1, 3*LeafSize)
		bad := &script{data: pattern(2, 3*LeafSize)}
		good := &script{data: data, steps: []func(context.Context, int64, int64) (io.ReadCloser, error){down, down}}
		got, err := readAll(t, t.Context(), data, BlobOptions{}, bad, good)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

func TestCancelEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := pattern(1, WholeSize+2*LeafSize)
		for _, step := range []func(context.Context, int64, int64) (io.ReadCloser, error){down, hang} {
			s := &script{data: data, steps: []func(context.Context, int64, int64) (io.ReadCloser, error){step, step, step}}
			why := errors.New("user went home")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(30*time.Millisecond, func() { cancel(why) })
			begin := time.Now()
			_, err := readAll(t, ctx, data, BlobOptions{Retry: Retry{Base: time.Hour, Max: time.Hour}}, s)
			if !errors.Is(err, why) || time.Since(begin) != 30*time.Millisecond {
				t.Fatalf("%v after %v", err, time.Since(begin))
			}
		}
	})
}

// TestReaderThatIsNotReadToTheEnd leaves no goroutine, says goleak.
func TestReaderThatIsNotReadToTheEnd(t *testing.T) {
	data := pattern(1, WholeSize+9*LeafSize)
	b := NewBlob(digest(t, data), BlobOptions{}, &script{data: data})
	r := b.NewReader(t.Context())
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Read(make([]byte, 10)); !errors.Is(err, errReaderClosed) {
		t.Fatalf("Read after Close: %v", err)
	}
}

// TestReaderDoesNotTakeAStopForTheEnd has the goroutine end without a word.
func TestReaderDoesNotTakeAStopForTheEnd(t *testing.T) {
	r := &Reader{read: make(chan leafResult), left: 1}
	close(r.read)
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("Read: %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestReaderReadsLikeAReader(t *testing.T) {
	for _, n := range []int{0, 1, 100, LeafSize + 1} {
		data := pattern(1, n)
		b := NewBlob(digest(t, data), BlobOptions{}, &script{data: data})
		r := b.NewReader(t.Context())
		if err := iotest.TestReader(struct{ io.Reader }{r}, data); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRangeReadFetchesOnlyItsLeaves(t *testing.T) {
	data := pattern(1, 40*LeafSize)
	s := &script{data: data}
	b := NewBlob(digest(t, data), BlobOptions{}, s)
	r := b.NewReaderAt(t.Context())
	p := make([]byte, 1000)
	for range 3 {
		if _, err := r.ReadAt(p, 17*LeafSize+5); err != nil || !bytes.Equal(p, data[17*LeafSize+5:][:1000]) {
			t.Fatalf("ReadAt: %v", err)
		}
	}
	if s.reads.Load() != 1 || s.bytes.Load() != LeafSize {
		t.Fatalf("%d reads of %d bytes", s.reads.Load(), s.bytes.Load())
	}
	if err := r.Preload(20*LeafSize+10, 3*LeafSize); err != nil {
		t.Fatal(err)
	}
	p = make([]byte, 3*LeafSize)
	if _, err := r.ReadAt(p, 20*LeafSize+10); err != nil || !bytes.Equal(p, data[20*LeafSize+10:][:len(p)]) {
		t.Fatalf("ReadAt: %v", err)
	}
	if s.reads.Load() != 2 || s.bytes.Load() != 5*LeafSize {
		t.Fatalf("%d reads of %d bytes", s.reads.Load(), s.bytes.Load())
	}
}

func TestRetryPausesDoubleAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, begin := 0, time.Now()
		err := Retry{Attempts: 4, Base: time.Second, Max: 3 * time.Second}.Do(t.Context(), func() error {
			n++
			return errDown
		})
		// Pauses of up to 1, 2 and 3 seconds, at least half of each.
		if d := time.Since(begin); !errors.Is(err, errDown) || n != 4 || d < 3*time.Second || d > 6*time.Second {
			t.Fatalf("%v after %d attempts in %v", err, n, d)
		}
		for _, permanent := range []error{
			Permanent(errDown), NotFound(Ref{}), &CorruptError{}, ErrFull, &readerError{errDown}, context.Canceled,
		} {
			n = 0
			if err := (Retry{}).Do(t.Context(), func() error { n++; return permanent }); n != 1 || !errors.Is(err, permanent) {
				t.Errorf("%v: %d attempts", permanent, n)
			}
		}
		if Permanent(nil) != nil || isPermanent(errDown) || isPermanent(nil) {
			t.Error("what is permanent is wrong")
		}
		// No overflow of the pause, however many attempts.
		begin = time.Now()
		if err := (Retry{Attempts: 100, Base: time.Hour, Max: time.Hour}).Do(t.Context(), func() error { return errDown }); err == nil {
			t.Error("no error")
		}
		if d := time.Since(begin); d > 99*time.Hour || d < 49*time.Hour {
			t.Errorf("99 pauses took %v", d)
		}
	})
}

func TestOpenBlobRebuildsALostTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := pattern(1, 5*LeafSize+1)
		ob := digest(t, data)
		s := &script{data: data, steps: []func(context.Context, int64, int64) (io.ReadCloser, error){
			down,
			func(context.Context, int64, int64) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(data[:LeafSize]), iotest.ErrReader(errDown))), nil
			},
		}}
		b, err := OpenBlob(t.Context(), ob.Ref(), ob.Size(), []byte("garbage"), s, BlobOptions{})
		if err != nil || !bytes.Equal(b.Outboard().Bytes(), ob.Bytes()) {
			t.Fatalf("OpenBlob: %v", err)
		}
		var corrupt *CorruptError
		for size, data := range map[int64][]byte{
			int64(len(data)):     pattern(2, len(data)),
			int64(len(data)) - 1: data,
			0:                    nil,
		} {
			if _, err := OpenBlob(t.Context(), ob.Ref(), size, nil, &script{data: data}, BlobOptions{}); !errors.As(err, &corrupt) {
				t.Errorf("medium has %d other bytes: %v, want a CorruptError", size, err)
			}
		}
		if _, err := OpenBlob(t.Context(), ob.Ref(), ob.Size()+1, ob.Bytes(), &script{data: data}, BlobOptions{}); !errors.As(err, &corrupt) {
			t.Errorf("medium says a byte more: %v, want a CorruptError", err)
		}
	})
}

func TestProgressReaderReports(t *testing.T) {
	var calls []int64
	r := ProgressReader(strings.NewReader("12345"), func(done int64) { calls = append(calls, done) })
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 3 || calls[2] != 5 {
		t.Fatalf("reported %v", calls)
	}
}
