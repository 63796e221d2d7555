// Package seglog is an append-only log of numbered, checksummed records in
// segment files.
//
// Records have consecutive indices. Append returns when the records are on
// stable storage. Every read checks a CRC-32C over the record and its index,
// so a damaged or misplaced record is reported and never returned. Records can
// be removed from either end, and the bytes of a single record can be erased in
// place, after which it reads as ErrErased.
//
// A segment is a 24-byte header (magic, first index, CRC-32C) followed by
// records of a 28-byte header (payload length, payload CRC, index, flags, spare
// and header CRC, little endian) and the payload. A segment that is full ends
// with a footer record that lists the offset of every record before it, so that
// reopening a long log does not read it all.
//
// The system keeps the end of the log in its page cache, and is told to forget the
// rest: what is written next then takes the same pages again. Where it has to find
// new ones, writing costs several times as much.
package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
)

const (
	magic         = "WARDSEG1"
	segmentHeader = 24
	recordHeader  = 28

	flagErased = 1 << 0
	flagFooter = 1 << 1

	// MaxRecord is the largest payload of one record, in bytes.
	MaxRecord = 64 << 20

	defaultSegmentBytes = 16 << 20
	maxBuffer           = 8 << 20 // memory kept between two calls of Append
	cacheBytes          = 4 << 20 // of the end of the log that stay in the system's page cache, at least
)

var (
	// ErrNotFound means the index is outside the log.
	ErrNotFound = errors.New("log record not found")
	// ErrErased means the bytes of the record were erased on request.
	ErrErased = errors.New("log record was erased")
	// ErrFailed means an earlier write to the log failed in a way that leaves
	// what is on disk unknown. The log accepts no more writes until reopened.
	ErrFailed = errors.New("log stopped after a failed write")
	// ErrGap means the index to append at does not follow the last record.
	ErrGap = errors.New("log index does not follow the last record")
)

// CorruptError says which bytes of a log do not match their checksum.
type CorruptError struct {
	Path   string
	Offset int64
	Index  uint64 // the record that should be there
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("log record %d is damaged: %s at offset %d: %s", e.Index, e.Path, e.Offset, e.Reason)
}

// Options sets up a log. The zero value is a durable log with segments of 16 MiB.
type Options struct {
	// SegmentBytes is the size after which a new segment is begun. 0 means 16 MiB.
	SegmentBytes int64
	// ScanAll checks every record when the log is opened, not only those of the
	// last segment and of segments without a footer.
	ScanAll bool
	// DropDamaged removes the first damaged record and all that follow it
	// instead of failing to open. Damaged then says what was found.
	DropDamaged bool
	// Salvage opens what is left of a damaged log, and implies ReadOnly. A damaged
	// record keeps its place if it is known where the next begins, and Read reports
	// it; what is missing is ErrNotFound, also between First and Last.
	Salvage bool
	// ReadOnly changes nothing on disk: a write that was cut off is passed over,
	// and every method that writes fails.
	ReadOnly bool
	// InsecureNoSync leaves out every flush to stable storage. For simulations.
	InsecureNoSync bool
	// InsecureSync and InsecureSyncDir take the place of flushing a file and a
	// directory; nil leaves it. For simulations of a disk that forgets.
	InsecureSync    func(*os.File) error
	InsecureSyncDir func(dir string) error
}

// Log is an append-only log. Its methods may be called concurrently.
type Log struct {
	dir string
	opt Options

	mu      sync.RWMutex
	segs    []*segment // guarded by mu; in order of index, the last one is open for writing
	damaged *CorruptError
	failed  error
	closed  bool
	buf     []byte // guarded by mu; room for what is written next
}

// segment is one file. Its fields are guarded by Log.mu.
type segment struct {
	file    *os.File
	path    string
	first   uint64
	offsets []uint32 // offset of each record's header
	end     int64    // where the next record goes
	sealed  bool
}

func (s *segment) last() uint64 { return s.first + uint64(len(s.offsets)) - 1 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// First returns the index of the first record, 0 if the log is empty.
func (l *Log) First() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.firstLocked()
}

// Last returns the index of the last record, 0 if the log is empty.
func (l *Log) Last() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lastLocked()
}

// Damaged returns what DropDamaged found when the log was opened, or nil.
func (l *Log) Damaged() *CorruptError {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.damaged
}

// Size returns the bytes of all segments.
func (l *Log) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var n int64
	for _, s := range l.segs {
		n += s.end
	}
	return n
}

func (l *Log) firstLocked() uint64 {
	for _, s := range l.segs {
		if len(s.offsets) > 0 {
			return s.first
		}
	}
	return 0
}

func (l *Log) lastLocked() uint64 {
	for i := len(l.segs) - 1; i >= 0; i-- {
		if len(l.segs[i].offsets) > 0 {
			return l.segs[i].last()
		}
	}
	return 0
}

// Append stores records under the indices first, first+1, … and returns when
// they are on stable storage. An empty log may begin at any index above 0. If
// Append fails, none of the records is in the log, or the error is ErrFailed and
// only reopening the log tells.
func (l *Log) Append(first uint64, records ...[]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if last := l.lastLocked(); first == 0 || last != 0 && first != last+1 {
		return fmt.Errorf("%w: %d after %d", ErrGap, first, last)
	}
	for next := first; len(records) > 0; {
		n, err := l.appendSome(next, records)
		if err != nil {
			if next > first && l.failed == nil {
				err = errors.Join(err, l.truncateBack(first))
			}
			return err
		}
		next, records = next+uint64(n), records[n:]
	}
	return nil
}

// appendSome stores the first records, as many as one segment takes.
func (l *Log) appendSome(first uint64, records [][]byte) (int, error) {
	seg, err := l.tail(first)
	if err != nil {
		return 0, err
	}
	return l.appendTo(seg, first, records)
}

func (l *Log) writable() error {
	if l.closed {
		return os.ErrClosed
	}
	if l.opt.ReadOnly {
		return os.ErrPermission
	}
	if l.failed != nil {
		return fmt.Errorf("%w: %w", ErrFailed, l.failed)
	}
	return nil
}

// tail returns the segment that takes the record at index, a new one if the
// last is full or missing.
func (l *Log) tail(index uint64) (*segment, error) {
	if n := len(l.segs); n > 0 {
		seg := l.segs[n-1]
		if len(seg.offsets) == 0 && seg.first != index {
			if err := l.dropSegment(n - 1); err != nil {
				return nil, err
			}
			return l.create(index)
		}
		if !seg.sealed && seg.end < l.opt.SegmentBytes {
			return seg, nil
		}
		if err := l.seal(seg); err != nil {
			return nil, err
		}
		uncache(seg.file, 0)
	}
	return l.create(index)
}

// appendTo writes as many records as belong into seg and flushes them.
func (l *Log) appendTo(seg *segment, first uint64, records [][]byte) (int, error) {
	buf := l.buf[:0]
	var offsets []uint32
	end := seg.end
	n := 0
	for _, p := range records {
		if len(p) > MaxRecord {
			return 0, fmt.Errorf("log record of %d bytes: limit is %d", len(p), MaxRecord)
		}
		if n > 0 && end >= l.opt.SegmentBytes {
			break
		}
		offsets = append(offsets, uint32(end))
		buf = appendRecord(buf, first+uint64(n), 0, p)
		end += int64(recordHeader + len(p))
		n++
	}
	if l.buf = buf; cap(buf) > maxBuffer {
		l.buf = nil
	}
	if err := l.write(seg, buf, seg.end); err != nil {
		return 0, err
	}
	if cold := end - cacheBytes; cold/cacheBytes > (seg.end-cacheBytes)/cacheBytes {
		uncache(seg.file, cold)
	}
	seg.offsets = append(seg.offsets, offsets...)
	seg.end = end
	return n, nil
}

// Err returns an error that wraps ErrFailed if the log takes nothing more until it
// is opened again, nil otherwise.
func (l *Log) Err() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.failed != nil {
		return fmt.Errorf("%w: %w", ErrFailed, l.failed)
	}
	return nil
}

// write puts buf at off and flushes it. A short write is taken back; a failed
// flush stops the log, because the kernel may have dropped the pages.
func (l *Log) write(seg *segment, buf []byte, off int64) error {
	if _, err := seg.file.WriteAt(buf, off); err != nil {
		if terr := seg.file.Truncate(seg.end); terr != nil {
			l.failed = terr
		}
		return fmt.Errorf("append to log: %w", err)
	}
	if err := l.sync(seg.file); err != nil {
		l.failed = err
		return fmt.Errorf("append to log: %w", err)
	}
	return nil
}

// Read returns the payload of the record at index.
func (l *Log) Read(index uint64) ([]byte, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	seg := l.find(index)
	if seg == nil {
		return nil, fmt.Errorf("%w: %d", ErrNotFound, index)
	}
	return seg.read(index)
}

func (l *Log) find(index uint64) *segment {
	lo, hi := 0, len(l.segs)
	for lo < hi {
		mid := (lo + hi) / 2
		if l.segs[mid].first <= index {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return nil
	}
	if s := l.segs[lo-1]; index-s.first < uint64(len(s.offsets)) {
		return s
	}
	return nil
}

// next returns where the record after the one at index begins.
func (s *segment) next(index uint64) int64 {
	if i := index - s.first + 1; i < uint64(len(s.offsets)) {
		return int64(s.offsets[i])
	}
	return s.end
}

func (s *segment) read(index uint64) ([]byte, error) {
	off := int64(s.offsets[index-s.first])
	next := s.next(index)
	if next < off+recordHeader {
		return nil, s.corrupt(index, off, "offsets out of order")
	}
	buf := make([]byte, next-off)
	if _, err := s.file.ReadAt(buf, off); err != nil {
		return nil, s.corrupt(index, off, err.Error())
	}
	h, err := parseHeader(buf)
	if err != nil {
		return nil, s.corrupt(index, off, err.Error())
	}
	if h.index != index || int64(h.length) > next-off-recordHeader {
		return nil, s.corrupt(index, off, "another record's header")
	}
	if h.flags&flagErased != 0 {
		return nil, fmt.Errorf("%w: %d", ErrErased, index)
	}
	payload := buf[recordHeader : recordHeader+int(h.length) : recordHeader+int(h.length)]
	if crc32.Checksum(payload, castagnoli) != h.sum {
		return nil, s.corrupt(index, off, "payload checksum")
	}
	return payload, nil
}

func (s *segment) corrupt(index uint64, off int64, reason string) *CorruptError {
	return &CorruptError{Path: s.path, Offset: off, Index: index, Reason: reason}
}

// Close releases the files. It does not write anything.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var errs []error
	for _, s := range l.segs {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

type header struct {
	length uint32
	sum    uint32
	index  uint64
	flags  uint32
}

func appendRecord(b []byte, index uint64, flags uint32, payload []byte) []byte {
	b = appendHeader(b, header{
		length: uint32(len(payload)),
		sum:    crc32.Checksum(payload, castagnoli),
		index:  index,
		flags:  flags,
	})
	return append(b, payload...)
}

func appendHeader(b []byte, h header) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, h.length)
	b = binary.LittleEndian.AppendUint32(b, h.sum)
	b = binary.LittleEndian.AppendUint64(b, h.index)
	b = binary.LittleEndian.AppendUint32(b, h.flags)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func parseHeader(b []byte) (header, error) {
	if len(b) < recordHeader {
		return header{}, errors.New("record header cut short")
	}
	if crc32.Checksum(b[:recordHeader-4], castagnoli) != binary.LittleEndian.Uint32(b[recordHeader-4:]) {
		return header{}, errors.New("header checksum")
	}
	return header{
		length: binary.LittleEndian.Uint32(b),
		sum:    binary.LittleEndian.Uint32(b[4:]),
		index:  binary.LittleEndian.Uint64(b[8:]),
		flags:  binary.LittleEndian.Uint32(b[16:]),
	}, nil
}
