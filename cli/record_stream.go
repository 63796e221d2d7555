package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/cli/sniff"
	"github.com/ward-health/ward/internal/durable"
)

// A payload is what a record is made of, read once from a stream, or as often as
// it takes from a file.
type payload struct {
	file     *os.File  // nil for a stream
	stream   io.Reader // nil for a file
	head     []byte    // of a stream, read already
	size     int64     // −1 if it cannot be told
	n        int64     // read so far
	progress *bar
	close    func()
}

// openPayload opens a file, or stdin for "-". Reading stdin ends with ctx, even
// while nothing comes.
func (s *session) openPayload(ctx context.Context, path string) (*payload, error) {
	f := os.Stdin
	closing := func() error { return nil }
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
		closing = f.Close
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, closing())
	}
	if info.IsDir() {
		return nil, errors.Join(usagef("%s is a folder", path).withHint("put its files one by one, or a tar of it: tar c %s | ward record put - …", path), closing())
	}
	if path != "-" && info.Mode().IsRegular() {
		return &payload{file: f, size: info.Size(), close: func() { _ = closing() }}, nil
	}
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, f)
		w.CloseWithError(err) // nil ends the stream
	}()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	return &payload{stream: r, size: -1, close: func() { stop(); r.Close(); _ = closing() }}, nil
}

// sniff looks at the beginning, and leaves it to be read.
func (p *payload) sniff(name string) (sniff.Record, error) {
	var err error
	if p.file != nil {
		p.head, err = io.ReadAll(io.LimitReader(p.file, sniff.Head))
		if err == nil {
			_, err = p.file.Seek(0, io.SeekStart)
		}
	} else {
		p.head, err = io.ReadAll(io.LimitReader(p.stream, sniff.Head))
	}
	found := sniff.Of(filepath.Base(name), p.head)
	if p.file != nil {
		p.head = nil
	}
	return found, err
}

// reader returns what Put reads: with a Seek if it is a file.
func (p *payload) reader() io.Reader {
	if p.file != nil {
		return seekingPayload{p}
	}
	p.stream = io.MultiReader(bytes.NewReader(p.head), p.stream)
	p.head = nil
	return p
}

// Read implements io.Reader.
func (p *payload) Read(b []byte) (int, error) {
	from := p.stream
	if p.file != nil {
		from = p.file
	}
	n, err := from.Read(b)
	p.n += int64(n)
	if p.progress != nil {
		p.progress.add(int64(n))
	}
	return n, err
}

// A seekingPayload can be read again, if a hospital fails half-way.
type seekingPayload struct{ *payload }

// Seek implements io.Seeker.
func (p seekingPayload) Seek(offset int64, whence int) (int64, error) {
	at, err := p.file.Seek(offset, whence)
	if err == nil {
		if p.progress != nil {
			p.progress.add(at - p.n)
		}
		p.n = at
	}
	return at, err
}

// copyPayload writes the content of a record, with progress. Nothing but the true
// content is written; if it fails half-way the error says so.
func (s *session) copyPayload(ctx context.Context, o *ward.Opened, w io.Writer) error {
	if o.Size == 0 {
		return nil // a title alone, or an empty file
	}
	in, err := o.Open(ctx)
	if err != nil {
		return err
	}
	bar := s.bar("reading and decrypting", o.Size)
	defer bar.done()
	_, err = io.Copy(io.MultiWriter(w, bar), in)
	return errors.Join(err, in.Close())
}

// saveFile writes a file whole or not at all.
func (s *session) saveFile(path string, force bool, fill func(io.Writer) error) error {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeType != 0 { // a device, a pipe: it is not replaced
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			return errors.Join(fill(f), f.Close())
		}
		if !force {
			return exists(path)
		}
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.Write(path, 0o600, fill)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// guarded returns stdout for the content of a record: a terminal gets no binary,
// which it would obey, unless the person asked for just that.
func (s *session) guarded(asked bool) io.Writer {
	if asked || !isTerminal(s.stdout) {
		return s.stdout
	}
	return &guard{w: s.stdout}
}

func binaryOnTerminal() error {
	return failf("binary", exitUsage, "this is binary, and stdout a terminal").withHint("--output FILE saves it; -o - shows it all the same")
}

// A guard lets text through, and refuses at the first byte that is none.
type guard struct {
	w    io.Writer
	tail []byte // the beginning of a character
}

func (g *guard) Write(p []byte) (int, error) {
	b := append(g.tail, p...)
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			if !utf8.FullRune(b[i:]) {
				g.tail = bytes.Clone(b[i:])
				b = b[:i]
				break
			}
			return 0, binaryOnTerminal()
		}
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return 0, binaryOnTerminal()
		}
		if i += n; i == len(b) {
			g.tail = nil
		}
	}
	if _, err := g.w.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}
