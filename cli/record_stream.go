package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// openWithin opens a file for reading. It ends with ctx, even while nobody opens the
// other end of a named pipe.
func openWithin(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.Open(path)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done(): // the command ends, and the file with it
		return nil, context.Cause(ctx)
	}
}

// within reads from in until ctx ends, even while nothing comes. Close ends it
// earlier, and leaves in open.
func within(ctx context.Context, in io.Reader) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, in)
		w.CloseWithError(err) // nil ends the stream
	}()
	return &bounded{r, context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })}
}

type bounded struct {
	*io.PipeReader
	stop func() bool
}

// Close implements io.Closer.
func (b *bounded) Close() error {
	b.stop()
	return b.PipeReader.Close()
}

// openPayload opens a file, or stdin for "-". Both end with ctx, even while nothing
// comes.
func (s *session) openPayload(ctx context.Context, path string) (*payload, error) {
	f := os.Stdin
	closing := func() error { return nil }
	if path != "-" {
		var err error
		if f, err = openWithin(ctx, path); err != nil {
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
	in := within(ctx, f)
	return &payload{stream: in, size: -1, close: func() { _ = errors.Join(in.Close(), closing()) }}, nil
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

// A saver writes the contents of the records of one command line.
type saver struct {
	s     *session
	out   string // a file, a folder, or - for stdout
	force bool
	used  map[string]bool // paths that this command line has written
}

// save writes the content of a record, and returns where.
func (v *saver) save(ctx context.Context, o *ward.Opened) (path string, err error) {
	if v.out == "-" || v.out == "" {
		return "-", v.s.guarded(v.out == "-", func(w io.Writer) error { return v.s.copyPayload(ctx, o, w) })
	}
	path = v.out
	if isFolder(v.out) {
		path = v.place(safeName(o.Filename), string(o.ID))
	}
	v.used[path] = true
	return path, v.s.saveFile(path, v.force, func(w io.Writer) error { return v.s.copyPayload(ctx, o, w) })
}

// place returns the path of a record in a folder: under its own name, or under its
// id, too, if that is taken.
func (v *saver) place(name, id string) string {
	if name == "" {
		return filepath.Join(v.out, id)
	}
	path := filepath.Join(v.out, name)
	if v.used[path] || taken(path) && !v.force {
		return filepath.Join(v.out, id+"-"+name)
	}
	return path
}

// safeName returns a file name that the author of a record chose as one that does
// no harm in any folder: no directory, nothing hidden, nothing that a shell or a
// terminal takes for something else.
func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' || !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '_'
		}
		return r
	}, name)
	if len(name) > 0 && strings.ContainsRune(".-~ ", rune(name[0])) {
		name = "_" + name[1:]
	}
	for len(name) > 200 { // file systems take 255 bytes, an id is before it perhaps
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name
}

// saveFile writes a file whole or not at all.
func (s *session) saveFile(path string, force bool, fill func(io.Writer) error) error {
	if isDevice(path) { // it is not replaced
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(fill(f), f.Close())
	}
	if taken(path) && !force {
		return exists(path)
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.Write(path, 0o600, fill)
}

// isDevice reports whether a path is a device or a pipe.
func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&(os.ModeDevice|os.ModeCharDevice|os.ModeNamedPipe) != 0
}

// taken reports whether there is something at a path that a new file would
// replace. A link is, whatever it points to.
func taken(path string) bool {
	_, err := os.Lstat(path)
	return err == nil && !isDevice(path)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// guarded writes the content of a record to stdout: a terminal gets no binary,
// which it would obey, unless the person asked for just that.
func (s *session) guarded(asked bool, fill func(io.Writer) error) error {
	if asked || !isTerminal(s.stdout) {
		return fill(s.stdout)
	}
	g := &guard{w: s.stdout}
	if err := fill(g); err != nil {
		return err
	}
	return g.Close()
}

func binaryOnTerminal() error {
	return failf("binary", exitUsage, "this is binary, and stdout a terminal").withHint("--output FILE saves it; -o - shows it all the same")
}

// A guard lets text through, and refuses at the first byte that is none. Close
// says that this is all.
type guard struct {
	w    io.Writer
	tail []byte // the beginning of a character
}

// Close refuses half a character.
func (g *guard) Close() error {
	if len(g.tail) > 0 {
		return binaryOnTerminal()
	}
	return nil
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
