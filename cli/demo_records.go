package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/cli/sniff"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// An item is a file that is put as a record, read back and compared.
type item struct {
	from fs.FS
	path string
	size int64
	sniff.Record
	id record.ID
}

// items returns the regular files of a folder in ascending order, with what they
// are. skipped are the names of what is neither file nor folder.
func items(from fs.FS) (all []*item, skipped []string, err error) {
	err = fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case !d.Type().IsRegular():
			skipped = append(skipped, path)
			return nil
		}
		it := &item{from: from, path: path}
		if err := it.look(); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		all = append(all, it)
		return nil
	})
	return all, skipped, err
}

// look tells from its content what the item is.
func (it *item) look() error {
	f, err := it.from.Open(it.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	head, err := io.ReadAll(io.LimitReader(f, sniff.Head))
	if err != nil {
		return err
	}
	it.size, it.Record = info.Size(), sniff.Of(it.path, head)
	return nil
}

// put puts the item as a record of the owner.
func (it *item) put(ctx context.Context, author *ward.Client, owner identity.Name) error {
	f, err := it.from.Open(it.path)
	if err != nil {
		return err
	}
	defer f.Close()
	it.id, err = author.Put(ctx, ward.Record{
		Owner: owner, Type: it.Type, Dated: onChain(it.Dated),
		Title: it.Title, MediaType: it.MediaType, Filename: path.Base(it.path),
	}, f)
	if err != nil {
		return fmt.Errorf("put %s: %w", it.path, err)
	}
	return nil
}

// onChain returns a day that the chain takes: none before 1970, and none to come.
func onChain(day time.Time) time.Time {
	switch {
	case day.IsZero() || day.After(time.Now()):
		return time.Time{}
	case day.Unix() < 0:
		return time.Unix(0, 0).UTC()
	}
	return day
}

// compare reports whether what copy writes is what the file holds.
func (it *item) compare(copy func(io.Writer) error) (same bool, err error) {
	f, err := it.from.Open(it.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	c := &comparer{want: f}
	if err := copy(c); err != nil {
		return false, fmt.Errorf("read %s back: %w", it.path, err)
	}
	return c.same()
}

// A comparer compares what is written to it with what a reader yields.
type comparer struct {
	want    io.Reader
	buffer  []byte
	differs bool
}

func (c *comparer) Write(p []byte) (int, error) {
	if cap(c.buffer) < len(p) {
		c.buffer = make([]byte, len(p))
	}
	n, err := io.ReadFull(c.want, c.buffer[:len(p)])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, err
	}
	c.differs = c.differs || !bytes.Equal(c.buffer[:n], p)
	return len(p), nil
}

// same reports whether all that was written is all that there is to read.
func (c *comparer) same() (bool, error) {
	n, err := io.ReadFull(c.want, make([]byte, 1))
	if n > 0 || c.differs {
		return false, nil
	}
	if err != io.EOF {
		return false, err
	}
	return true, nil
}

// each calls fn with every item, several at a time, until one fails or ctx is
// done.
func each(ctx context.Context, all []*item, workers int, fn func(context.Context, *item) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *item)
	var wait sync.WaitGroup
	for range min(workers, len(all)) {
		wait.Go(func() {
			for it := range next {
				if err := fn(ctx, it); err != nil {
					cancel(err)
				}
			}
		})
	}
send:
	for _, it := range all {
		select {
		case next <- it:
		case <-ctx.Done():
			break send
		}
	}
	close(next)
	wait.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return ctx.Err()
}
