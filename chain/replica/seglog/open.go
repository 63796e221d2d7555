package seglog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

const (
	suffix = ".seg"
	sector = 512
)

// Open opens the log in dir and creates the directory if it is missing.
//
// A write that was cut off by a crash leaves a last record that is short or has
// a hole of zeros; it was never acknowledged and is removed. Any other damage is
// a *CorruptError, unless Options.DropDamaged is set.
func Open(dir string, opt Options) (*Log, error) {
	if opt.SegmentBytes <= 0 {
		opt.SegmentBytes = defaultSegmentBytes
	}
	if opt.SegmentBytes > 1<<31 {
		return nil, fmt.Errorf("open log: segments of %d bytes: limit is 2 GiB", opt.SegmentBytes)
	}
	opt.ReadOnly = opt.ReadOnly || opt.Salvage
	if !opt.ReadOnly {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open log: %w", err)
		}
	}
	l := &Log{dir: dir, opt: opt}
	names, err := l.list()
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	for i, name := range names {
		if err := l.load(name, i == len(names)-1); err != nil {
			l.Close()
			return nil, fmt.Errorf("open log: %w", err)
		}
		if l.damaged != nil && !opt.Salvage {
			if err := l.discard(names[i+1:]); err != nil {
				l.Close()
				return nil, fmt.Errorf("open log: %w", err)
			}
			break
		}
	}
	return l, nil
}

// list returns the segment files in order and removes left-over temporary ones.
func (l *Log) list() ([]string, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name(), ".tmp") && !l.opt.ReadOnly:
			if err := os.Remove(filepath.Join(l.dir, e.Name())); err != nil {
				return nil, err
			}
		case strings.HasSuffix(e.Name(), suffix):
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

func (l *Log) path(first uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%016x%s", first, suffix))
}

func (l *Log) load(name string, isLast bool) error {
	var first uint64
	if _, err := fmt.Sscanf(name, "%016x"+suffix, &first); err != nil || name != filepath.Base(l.path(first)) {
		return fmt.Errorf("not a segment name: %q", name)
	}
	mode := os.O_RDWR
	if l.opt.ReadOnly {
		mode = os.O_RDONLY
	}
	f, err := os.OpenFile(filepath.Join(l.dir, name), mode, 0)
	if err != nil {
		return err
	}
	seg := &segment{file: f, path: f.Name(), first: first}
	l.segs = append(l.segs, seg)
	bad := l.loadSegment(seg, isLast)
	if n := len(l.segs); bad == nil && n == 2 && l.segs[0].last() >= first && len(l.segs[0].offsets) > 0 {
		// TruncateFront had put the shortened first segment in place but not
		// yet removed the old one.
		if l.opt.ReadOnly {
			err := l.segs[0].file.Close()
			l.segs = l.segs[1:]
			return err
		}
		return l.dropSegment(0)
	}
	if bad == nil && len(l.segs) > 1 {
		prev := l.segs[len(l.segs)-2]
		if len(prev.offsets) == 0 || prev.last()+1 != first {
			if !l.opt.Salvage {
				seg.offsets, seg.end = nil, 0
			}
			bad = seg.corrupt(prev.first+uint64(len(prev.offsets)), 0, "records missing before this segment")
		}
	}
	if bad == nil {
		return nil
	}
	var corrupt *CorruptError
	if !errors.As(bad, &corrupt) {
		return bad
	}
	if !l.opt.DropDamaged && !l.opt.Salvage {
		return corrupt
	}
	if l.damaged == nil {
		l.damaged = corrupt
	}
	return nil
}

// loadSegment fills seg from its file and removes a write that was cut off.
// After a *CorruptError seg holds the records before the damage.
func (l *Log) loadSegment(seg *segment, isLast bool) error {
	size, err := seg.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var bad error
	head := make([]byte, min(size, segmentHeader))
	if _, err := seg.file.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(head, headerOf(seg.first)) {
		if isLast && (size < segmentHeader || isZero(head) && !l.opt.Salvage) {
			seg.end = segmentHeader
			if l.opt.ReadOnly {
				return nil
			}
			if err := seg.file.Truncate(0); err != nil {
				return err
			}
			_, err := seg.file.WriteAt(headerOf(seg.first), 0)
			return err
		}
		bad = seg.corrupt(seg.first, 0, "segment header")
		if !l.opt.Salvage {
			return bad
		}
	}
	seg.end = segmentHeader
	if !isLast && !l.opt.ScanAll && seg.loadFooter(size) {
		return bad
	}
	return errors.Join(bad, seg.scan(size, isLast, l.opt))
}

// scan reads every record and stops at the first that is not whole, to salvage the
// first of which it is unknown where the next begins.
func (s *segment) scan(size int64, isLast bool, opt Options) error {
	buf, err := readAll(s.file, size)
	if err != nil {
		return err
	}
	var bad error
	for s.end < size {
		index := s.first + uint64(len(s.offsets))
		rest := buf[s.end:]
		h, herr := parseHeader(rest)
		whole := herr == nil && int64(h.length) <= int64(len(rest))-recordHeader
		if whole && h.flags&flagErased == 0 {
			whole = crc32.Checksum(rest[recordHeader:recordHeader+int(h.length)], castagnoli) == h.sum
		}
		if length, ok := halfMarked(rest, s.end, index); herr != nil && ok {
			h, whole = header{length: length, index: index, flags: flagErased}, true
		}
		if !whole {
			corrupt := s.corrupt(index, s.end, "checksum")
			switch {
			case opt.Salvage && herr == nil && h.index == index && followedBy(rest, h.length, index+1):
				if bad == nil {
					bad = corrupt
				}
			case isLast && torn(rest, s.end, h, herr):
				if opt.ReadOnly {
					return bad
				}
				return s.file.Truncate(s.end)
			default:
				return cmp.Or[error](bad, corrupt)
			}
		}
		if h.flags&flagFooter != 0 {
			s.sealed = true
			if s.end+recordHeader+int64(h.length) != size {
				return s.corrupt(index, s.end, "bytes after the footer")
			}
			return bad
		}
		if h.index != index {
			return s.corrupt(index, s.end, fmt.Sprintf("found record %d", h.index))
		}
		s.offsets = append(s.offsets, uint32(s.end))
		s.end += recordHeader + int64(h.length)
	}
	if !isLast {
		return s.corrupt(s.first+uint64(len(s.offsets)), s.end, "segment ends without a footer")
	}
	return bad
}

// followedBy reports whether the record at the beginning of rest, whose payload has
// this length, ends where the log does or where the record at index begins.
func followedBy(rest []byte, length uint32, index uint64) bool {
	end := recordHeader + int64(length)
	if end >= int64(len(rest)) {
		return end == int64(len(rest))
	}
	h, err := parseHeader(rest[end:])
	return err == nil && h.index == index
}

// torn tells a write that a crash cut off from one that rotted later. Unwritten
// parts of a file are missing or read as zeros in whole 512-byte sectors; a
// record that is all there but does not match its checksum was damaged after it
// was acknowledged. off is the offset of rest in the file.
func torn(rest []byte, off int64, h header, herr error) bool {
	need := int64(len(rest))
	if herr == nil {
		need = recordHeader + int64(h.length)
	}
	if int64(len(rest)) < need || len(rest) < recordHeader {
		return true
	}
	rest = rest[:need]
	// The header may begin at the end of a sector that holds older records, too
	// short for the rule below. No header begins with length and checksum zero but
	// that of an empty record.
	if n := sector - off%sector; herr != nil && n >= 8 && n < recordHeader && isZero(rest[:n]) {
		return true
	}
	for len(rest) > 0 {
		n := min(int64(len(rest)), sector-off%sector)
		if n >= recordHeader && isZero(rest[:n]) {
			return true
		}
		rest, off = rest[n:], off+n
	}
	return false
}

// halfMarked tells a header of which Erase had written one sector and not the
// other, and returns the length of the record. Its payload is still whole, so both
// headers are known. Such a record reads as damaged until Erase is repeated.
func halfMarked(rest []byte, off int64, index uint64) (length uint32, ok bool) {
	n := sector - off%sector
	if n >= recordHeader || len(rest) < recordHeader {
		return 0, false
	}
	length = binary.LittleEndian.Uint32(rest)
	if int64(length) > int64(len(rest))-recordHeader {
		return 0, false
	}
	sum := crc32.Checksum(rest[recordHeader:recordHeader+int(length)], castagnoli)
	old := appendHeader(nil, header{length: length, sum: sum, index: index})
	erased := appendHeader(nil, header{length: length, index: index, flags: flagErased})
	for _, h := range [][2][]byte{{old, erased}, {erased, old}} {
		if bytes.Equal(rest[:n], h[0][:n]) && bytes.Equal(rest[n:recordHeader], h[1][n:]) {
			return length, true
		}
	}
	return 0, false
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func readAll(f *os.File, size int64) ([]byte, error) {
	buf := make([]byte, size)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return buf[:n], nil
}

// discard cuts the log after the last good record: the rest of the damaged
// segment and all segments after it.
func (l *Log) discard(later []string) error {
	for i := len(later) - 1; i >= 0; i-- {
		if err := os.Remove(filepath.Join(l.dir, later[i])); err != nil {
			return err
		}
	}
	n := len(l.segs) - 1
	seg := l.segs[n]
	if len(seg.offsets) == 0 {
		return l.dropSegment(n)
	}
	seg.sealed = false
	if err := seg.file.Truncate(seg.end); err != nil {
		return err
	}
	if err := l.sync(seg.file); err != nil {
		return err
	}
	return l.syncDir()
}

func headerOf(first uint64) []byte {
	b := append(make([]byte, 0, segmentHeader), magic...)
	b = binary.LittleEndian.AppendUint64(b, first)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// create begins a new segment whose first record has the given index.
func (l *Log) create(first uint64) (*segment, error) {
	f, err := os.OpenFile(l.path(first), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin log segment: %w", err)
	}
	seg := &segment{file: f, path: f.Name(), first: first, end: segmentHeader}
	if _, err = f.WriteAt(headerOf(first), 0); err == nil {
		if err = l.sync(f); err == nil {
			err = l.syncDir()
		}
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(fmt.Errorf("begin log segment: %w", err), os.Remove(seg.path))
	}
	l.segs = append(l.segs, seg)
	return seg, nil
}

// seal writes the footer of a full segment.
func (l *Log) seal(seg *segment) error {
	if seg.sealed {
		return nil
	}
	if err := l.write(seg, seg.footer(), seg.end); err != nil {
		return err
	}
	seg.sealed = true
	return nil
}

func (s *segment) footer() []byte {
	payload := make([]byte, 0, 4*len(s.offsets)+8)
	for _, o := range s.offsets {
		payload = binary.LittleEndian.AppendUint32(payload, o)
	}
	payload = binary.LittleEndian.AppendUint32(payload, uint32(len(s.offsets)))
	payload = binary.LittleEndian.AppendUint32(payload, crc32.Checksum(payload, castagnoli))
	return appendRecord(nil, s.first+uint64(len(s.offsets)), flagFooter, payload)
}

// loadFooter reads the offsets from the footer and reports whether it is whole.
func (s *segment) loadFooter(size int64) bool {
	var tail [8]byte
	if size < segmentHeader+recordHeader+8 {
		return false
	}
	if _, err := s.file.ReadAt(tail[:], size-8); err != nil {
		return false
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	length := 4*n + 8
	start := size - length - recordHeader
	if start < segmentHeader {
		return false
	}
	buf := make([]byte, recordHeader+length)
	if _, err := s.file.ReadAt(buf, start); err != nil {
		return false
	}
	h, err := parseHeader(buf)
	payload := buf[recordHeader:]
	if err != nil || h.flags != flagFooter || int64(h.length) != length || h.index != s.first+uint64(n) ||
		crc32.Checksum(payload, castagnoli) != h.sum {
		return false
	}
	prev := int64(segmentHeader) - 1
	for i := range n {
		o := binary.LittleEndian.Uint32(payload[4*i:])
		if int64(o) <= prev || int64(o) >= start {
			s.offsets = nil
			return false
		}
		s.offsets = append(s.offsets, o)
		prev = int64(o)
	}
	s.end, s.sealed = start, true
	return true
}

func (l *Log) sync(f *os.File) error {
	switch {
	case l.opt.InsecureSync != nil:
		return l.opt.InsecureSync(f)
	case l.opt.InsecureNoSync:
		return nil
	}
	return Datasync(f)
}

func (l *Log) syncDir() error {
	switch {
	case l.opt.InsecureSyncDir != nil:
		return l.opt.InsecureSyncDir(l.dir)
	case l.opt.InsecureNoSync:
		return nil
	}
	d, err := os.Open(l.dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
