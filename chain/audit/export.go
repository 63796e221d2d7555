package audit

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ward-health/ward/chain"
)

// An exported chain is a sequence of frames: kind, 1 byte; length, 4 bytes
// big-endian; payload. Part of the format.
const (
	frameName       = 'W' // nameExport
	frameFounding   = 'f' // founding consortium file
	frameGenesis    = 'g' // genesis header
	frameBlock      = 'b' // block
	frameSidecar    = 's' // leaf index, 8 bytes big-endian; sidecar
	frameCheckpoint = 'c' // signed note for the block before
	frameEnd        = 'z' // empty
)

const nameExport = "ward/v1/export"

// ErrTruncated reports an exported chain without its end frame.
var ErrTruncated = errors.New("exported chain is truncated")

// An Exporter writes a chain to a stream, in the order block, its sidecars,
// its checkpoint if there is one, next block. It checks nothing: that is the
// reader's part. It is not safe for concurrent use.
type Exporter struct{ w *bufio.Writer }

// NewExporter begins an export with the founding file and the genesis header.
func NewExporter(w io.Writer, founding *chain.Consortium, genesis *chain.Header) (*Exporter, error) {
	file, err := founding.Bytes()
	if err != nil {
		return nil, err
	}
	header, err := genesis.Bytes()
	if err != nil {
		return nil, err
	}
	e := &Exporter{bufio.NewWriterSize(w, 1<<16)}
	return e, errors.Join(e.frame(frameName, []byte(nameExport)), e.frame(frameFounding, file), e.frame(frameGenesis, header))
}

// Block writes the next block.
func (e *Exporter) Block(b *chain.Block) error {
	data, err := b.Bytes()
	if err != nil {
		return err
	}
	return e.frame(frameBlock, data)
}

// Sidecar writes a sidecar of the block just written, by leaf index. Purged
// ones are left out.
func (e *Exporter) Sidecar(index uint64, data []byte) error {
	return e.frame(frameSidecar, append(binary.BigEndian.AppendUint64(nil, index), data...))
}

// Checkpoint writes a checkpoint of the block just written.
func (e *Exporter) Checkpoint(c *chain.Checkpoint) error {
	data, err := c.Bytes()
	if err != nil {
		return err
	}
	return e.frame(frameCheckpoint, data)
}

// Close ends the export and flushes it. Without it the stream counts as
// truncated.
func (e *Exporter) Close() error {
	if err := e.frame(frameEnd, nil); err != nil {
		return err
	}
	return e.w.Flush()
}

func (e *Exporter) frame(kind byte, payload []byte) error {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	_, err1 := e.w.Write(head)
	_, err2 := e.w.Write(payload)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("export chain: %w", err)
	}
	return nil
}

// A Visitor is told what Verify has checked. Nil functions are skipped;
// an error ends the walk and is returned.
type Visitor struct {
	Genesis    func(founding *chain.Consortium, genesis *chain.Header) error
	Block      func(*chain.Block) error
	Sidecar    func(index uint64, data []byte) error
	Checkpoint func(*chain.Checkpoint) error
}

// Verify reads an exported chain, checks all of it against the trusted
// consortium file and returns the auditor at its end. The first error names
// the first broken link as a *BrokenError, or is ErrTruncated or that of r.
// Blocks reach the visitor before a checkpoint vouches for them: what it makes
// of them counts only if Verify returns nil.
func Verify(r io.Reader, trusted *chain.Consortium, v Visitor) (*Auditor, error) {
	x := &exportReader{r: bufio.NewReaderSize(r, 1<<16), trusted: trusted, visit: v}
	for {
		kind, payload, err := x.frame()
		if err != nil {
			return x.auditor, fmt.Errorf("read exported chain: %w", err)
		}
		if kind == frameEnd {
			return x.auditor, x.end(payload)
		}
		if err := x.handle(kind, payload); err != nil {
			return x.auditor, err
		}
	}
}

type exportReader struct {
	r        *bufio.Reader
	trusted  *chain.Consortium
	visit    Visitor
	named    bool
	founding *chain.Consortium
	auditor  *Auditor // nil before genesis
	sidecar  uint64   // least leaf index the next sidecar may have
	open     bool     // after a block, before its checkpoint
}

// Limits on payloads in bytes. The parser of each kind knows its own; these
// keep a lying length from being read.
const (
	maxSmall = 64 << 10
	maxBlock = chain.MaxEntry + chain.MaxEntryTxs*chain.MaxResult + 1<<10
)

// frameLimit returns the largest payload of a kind of frame, -1 if there is
// none.
func frameLimit(kind byte) int {
	switch kind {
	case frameName, frameFounding, frameGenesis, frameCheckpoint:
		return maxSmall
	case frameBlock:
		return maxBlock
	case frameSidecar:
		return 8 + chain.MaxSidecar
	case frameEnd:
		return 0
	}
	return -1
}

func (x *exportReader) frame() (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(x.r, head[:]); err != nil {
		return 0, nil, truncated(err)
	}
	if !x.named && head[0] != frameName {
		return 0, nil, x.broken("not " + nameExport)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if limit := frameLimit(head[0]); limit < 0 || n > uint32(limit) {
		return 0, nil, x.broken(fmt.Sprintf("frame of kind %q with %d bytes", head[0], n))
	}
	// Grow as bytes arrive: a lying length must not cost memory.
	payload, err = io.ReadAll(io.LimitReader(x.r, int64(n)))
	if err == nil && len(payload) < int(n) {
		err = ErrTruncated
	}
	return head[0], payload, err
}

func (x *exportReader) handle(kind byte, payload []byte) error {
	switch {
	case !x.named:
		if kind != frameName || string(payload) != nameExport {
			return fmt.Errorf("read exported chain: not %s", nameExport)
		}
		x.named = true
		return nil
	case x.founding == nil && kind == frameFounding:
		k, err := chain.ParseConsortium(payload)
		x.founding = k
		return err
	case x.founding != nil && x.auditor == nil && kind == frameGenesis:
		return x.genesis(payload)
	case x.auditor == nil:
		return x.broken(fmt.Sprintf("frame of kind %q out of order", kind))
	}
	switch {
	case kind == frameBlock:
		return x.block(payload)
	case kind == frameSidecar && x.open:
		return x.sidecarFrame(payload)
	case kind == frameCheckpoint && x.open:
		return x.checkpoint(payload)
	}
	return x.broken(fmt.Sprintf("frame of kind %q out of order", kind))
}

func (x *exportReader) genesis(payload []byte) error {
	h, err := chain.ParseHeader(payload)
	if err != nil {
		return x.broken(err.Error())
	}
	if x.auditor, err = New(x.trusted, x.founding, h); err != nil {
		return err
	}
	if x.visit.Genesis != nil {
		return x.visit.Genesis(x.founding, h)
	}
	return nil
}

func (x *exportReader) block(payload []byte) error {
	b, err := chain.ParseBlock(payload)
	if err != nil {
		return x.broken(err.Error())
	}
	x.sidecar, x.open = x.auditor.head.Size, true
	if err := x.auditor.Block(b); err != nil {
		return err
	}
	if x.visit.Block != nil {
		return x.visit.Block(b)
	}
	return nil
}

func (x *exportReader) sidecarFrame(payload []byte) error {
	if len(payload) < 8 {
		return x.broken("sidecar frame")
	}
	index := binary.BigEndian.Uint64(payload)
	if index < x.sidecar {
		return x.broken("sidecar out of order")
	}
	x.sidecar = index + 1
	if err := x.auditor.Sidecar(index, payload[8:]); err != nil {
		return err
	}
	if x.visit.Sidecar != nil {
		return x.visit.Sidecar(index, payload[8:])
	}
	return nil
}

func (x *exportReader) checkpoint(payload []byte) error {
	x.open = false
	c, err := chain.ParseCheckpoint(payload)
	if err != nil {
		return x.broken(err.Error())
	}
	if err := x.auditor.Checkpoint(c); err != nil {
		return err
	}
	if x.visit.Checkpoint != nil {
		return x.visit.Checkpoint(c)
	}
	return nil
}

func (x *exportReader) end(payload []byte) error {
	if x.auditor == nil {
		return fmt.Errorf("read exported chain: %w", ErrTruncated)
	}
	if _, err := x.r.ReadByte(); !errors.Is(err, io.EOF) {
		return x.broken("bytes after the end")
	}
	return x.auditor.Finish()
}

// broken places a fault behind the last good block.
func (x *exportReader) broken(link string) error {
	e := &chain.BrokenError{Link: link}
	if x.auditor != nil {
		e.Height = x.auditor.head.Height + 1
	}
	return e
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}
