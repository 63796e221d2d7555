package seal

import (
	"io"
	"runtime"
	"sync"
)

// A span is what one goroutine decrypts at a time; age allocates a chunk for
// each. A batch is what they decrypt before any of it is handed out.
const (
	spanChunks = 4
	batchSpans = 8
	spanSize   = spanChunks * chunkSize
	batchSize  = batchSpans * spanSize
	sealedSpan = spanChunks * (chunkSize + tagSize)

	maxWorkers = 4
)

// A spans reads a plaintext from its first byte to its last, on several
// processors. No goroutine outlives the call that started it, so that there is
// nothing to close. It is not safe for concurrent use.
type spans struct {
	at    io.ReaderAt // the plaintext, called concurrently
	stage *stage      // what at reads, if that comes as a stream
	size  int64       // of the plaintext
	off   int64       // of the next batch, until err is set a multiple of batchSize
	err   error       // what ended the last batch

	buf  []byte // of Read; nil before the first call
	rest []byte // of buf, not yet handed out
}

// Read implements io.Reader.
func (s *spans) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(s.rest) == 0 {
		if s.buf == nil {
			s.buf = s.newBuffer()
		}
		if s.rest = s.fill(s.buf); len(s.rest) == 0 {
			return 0, s.err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// each calls use with all that is left, batch by batch, and decrypts one while
// use has the one before. It returns the first error of use, or of the plaintext.
func (s *spans) each(use func([]byte) error) error {
	cur, next, spare := s.rest, s.newBuffer(), s.newBuffer()
	s.buf, s.rest = nil, nil
	for {
		ended := s.err
		var filled []byte
		var filling sync.WaitGroup
		filling.Go(func() { filled = s.fill(next) })
		err := use(cur)
		filling.Wait()
		if err != nil {
			return err
		}
		if ended == io.EOF {
			return nil
		}
		if ended != nil {
			return explain(ended)
		}
		cur, next, spare = filled, spare, next
	}
}

// newBuffer returns a buffer for fill.
func (s *spans) newBuffer() []byte { return make([]byte, min(batchSize, s.size)) }

// fill decrypts the next batch into buf and returns what is right of it, up to
// the first byte that is not. Once that is less than a batch, err says why.
func (s *spans) fill(buf []byte) []byte {
	buf = buf[:min(int64(len(buf)), s.size-s.off)]
	if s.err != nil || len(buf) == 0 {
		if s.err == nil {
			s.err = io.EOF
		}
		return nil
	}
	var (
		count = (len(buf) + spanSize - 1) / spanSize
		read  [batchSpans]int // bytes of each span, written by the worker that has it
		errs  [batchSpans]error

		turn sync.Mutex // whoever has it takes the next span
		next int        // guarded by turn
		stop bool       // guarded by turn; a span failed, and those behind it are of no use
	)
	work := func() {
		for {
			turn.Lock()
			if stop || next == count {
				turn.Unlock()
				return
			}
			i := next
			next++
			off := s.off + int64(i)*spanSize
			p := buf[i*spanSize : min(len(buf), (i+1)*spanSize)]
			if s.stage != nil {
				s.stage.load(off, len(p))
			}
			turn.Unlock()
			if read[i], errs[i] = s.at.ReadAt(p, off); read[i] == len(p) {
				errs[i] = nil // io.EOF comes with the last byte
				continue
			}
			if errs[i] == nil {
				errs[i] = io.ErrUnexpectedEOF
			}
			turn.Lock()
			stop = true
			turn.Unlock()
		}
	}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxWorkers, count) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()

	// The spans were taken in order: those before one that failed are all there.
	n := 0
	for i := range next {
		n += read[i]
		if errs[i] != nil {
			s.err = errs[i]
			break
		}
	}
	s.off += int64(n)
	return buf[:n]
}

// A stage is a sealed payload of which the chunks come as a stream. Before a
// span is read, load must have been called for it, in order; the spans of a
// batch may then be read concurrently. The header and the last chunk can be
// read at any time before the first load.
type stage struct {
	stream io.Reader   // stands at the chunk after those loaded
	whole  io.ReaderAt // the sealed payload
	slots  [batchSpans]slot
}

// A slot holds one sealed span. Only the worker that has the span reads it.
type slot struct {
	off  int64 // in the sealed payload; 0 is none
	data []byte
	err  error // why data ends early
	buf  []byte
}

const payloadStart = headerSize + nonceSize

// load reads the sealed chunks of n bytes of plaintext from off. If it gets only
// some, whoever reads the rest is told why.
func (s *stage) load(off int64, n int) {
	index := off / spanSize
	l := &s.slots[index%batchSpans]
	if l.buf == nil {
		l.buf = make([]byte, sealedSpan)
	}
	want := n + (n+chunkSize-1)/chunkSize*tagSize
	got, err := io.ReadFull(s.stream, l.buf[:want])
	l.off, l.data, l.err = payloadStart+index*sealedSpan, l.buf[:got], err
}

// ReadAt implements io.ReaderAt.
func (s *stage) ReadAt(p []byte, off int64) (int, error) {
	if off >= payloadStart {
		l := &s.slots[(off-payloadStart)/sealedSpan%batchSpans]
		if at := off - l.off; l.off > 0 && at >= 0 && at < sealedSpan {
			n := copy(p, l.data[min(at, int64(len(l.data))):])
			if n < len(p) {
				return n, l.err // set, or data would go on to the end of the chunk
			}
			return n, nil
		}
	}
	return s.whole.ReadAt(p, off)
}
