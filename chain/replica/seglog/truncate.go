package seglog

import (
	"errors"
	"fmt"
	"os"
)

// TruncateBack removes the records from index on.
func (l *Log) TruncateBack(index uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	return l.truncateBack(index)
}

func (l *Log) truncateBack(index uint64) error {
	for n := len(l.segs); n > 0 && l.segs[n-1].first >= index; n-- {
		if err := l.dropSegment(n - 1); err != nil {
			return err
		}
	}
	if len(l.segs) == 0 {
		return nil
	}
	seg := l.segs[len(l.segs)-1]
	if index > seg.last() {
		return nil
	}
	keep := index - seg.first
	end := int64(seg.offsets[keep])
	if err := seg.file.Truncate(end); err != nil {
		return fmt.Errorf("truncate log: %w", err)
	}
	seg.offsets, seg.end, seg.sealed = seg.offsets[:keep], end, false
	if err := l.sync(seg.file); err != nil {
		l.failed = err
		return fmt.Errorf("truncate log: %w", err)
	}
	return nil
}

// TruncateFront removes the records up to and including index. Their bytes are
// gone from the files of the log when it returns.
func (l *Log) TruncateFront(index uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if last := l.lastLocked(); last == 0 || index > last {
		index = last
	}
	for len(l.segs) > 0 && (len(l.segs[0].offsets) == 0 || l.segs[0].last() <= index) {
		if err := l.dropSegment(0); err != nil {
			return err
		}
	}
	if len(l.segs) == 0 || l.segs[0].first > index {
		return nil
	}
	return l.rewriteFirst(index + 1)
}

// rewriteFirst replaces the first segment by one that begins at index.
//
// The old file is removed after the new one and its name are on stable storage. A
// crash in between leaves both; Open recognises the overlap and removes the old one.
func (l *Log) rewriteFirst(index uint64) error {
	old := l.segs[0]
	buf := headerOf(index)
	seg := &segment{path: l.path(index), first: index}
	for i := index; i <= old.last(); i++ {
		seg.offsets = append(seg.offsets, uint32(len(buf)))
		p, err := old.read(i)
		switch {
		case errors.Is(err, ErrErased):
			h := header{index: i, flags: flagErased}
			buf = appendHeader(buf, h)
		case err != nil:
			return fmt.Errorf("compact log: %w", err)
		default:
			buf = appendRecord(buf, i, 0, p)
		}
	}
	seg.end = int64(len(buf))
	if old.sealed || len(l.segs) > 1 {
		buf = append(buf, seg.footer()...)
		seg.sealed = true
	}
	tmp := seg.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("compact log: %w", err)
	}
	seg.file = f
	err = l.install(seg, buf, tmp)
	if err == nil {
		err = l.retire(old)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("compact log: %w", err)
	}
	l.segs[0] = seg
	return nil
}

func (l *Log) install(seg *segment, buf []byte, tmp string) error {
	if _, err := seg.file.WriteAt(buf, 0); err != nil {
		return err
	}
	if err := l.sync(seg.file); err != nil {
		return err
	}
	if err := os.Rename(tmp, seg.path); err != nil {
		return err
	}
	// From here on Open prefers the new file: the old one takes nothing more.
	if err := l.syncDir(); err != nil {
		l.failed = err
		return err
	}
	return nil
}

func (l *Log) retire(old *segment) error {
	if err := errors.Join(old.file.Close(), os.Remove(old.path)); err != nil {
		l.failed = err
		return err
	}
	return l.syncDir()
}

// dropSegment removes segment i and its file.
func (l *Log) dropSegment(i int) error {
	seg := l.segs[i]
	if err := errors.Join(seg.file.Close(), os.Remove(seg.path)); err != nil {
		l.failed = err
		return fmt.Errorf("remove log segment: %w", err)
	}
	l.segs = append(l.segs[:i:i], l.segs[i+1:]...)
	return l.syncDir()
}

// Erase overwrites the payload of the record at index with zeros and marks it.
// It may be repeated, and must be if it was interrupted.
//
// The mark is on stable storage before the first zero is written, so that a payload
// with zeros in it is never taken for a record that was not written as a whole.
func (l *Log) Erase(index uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	seg := l.find(index)
	if seg == nil {
		return fmt.Errorf("%w: %d", ErrNotFound, index)
	}
	// The header may be torn: the length is where the next record begins.
	off, next := int64(seg.offsets[index-seg.first]), seg.next(index)
	if next < off+recordHeader {
		return seg.corrupt(index, off, "offsets out of order")
	}
	zeros := make([]byte, next-off-recordHeader)
	head := appendHeader(nil, header{length: uint32(len(zeros)), index: index, flags: flagErased})
	for _, w := range []struct {
		b  []byte
		at int64
	}{{head, off}, {zeros, off + recordHeader}} {
		_, err := seg.file.WriteAt(w.b, w.at)
		if err == nil {
			err = l.sync(seg.file)
		}
		if err != nil {
			l.failed = err
			return fmt.Errorf("erase log record: %w", err)
		}
	}
	return nil
}

// Verify reads every record of the log and returns the first damage it finds.
func (l *Log) Verify() error {
	first, last := l.First(), l.Last()
	if last == 0 {
		return nil
	}
	for i := first; i <= last; i++ {
		if _, err := l.Read(i); err != nil && !errors.Is(err, ErrErased) {
			return err
		}
	}
	return nil
}
