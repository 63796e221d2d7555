package ipfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"strconv"
	"time"

	"github.com/ward-health/ward/store"
)

// An upload takes the bytes of one blob. A small one is kept and sent at the
// end, as often as needed; a large one is streamed.
type upload struct {
	ctx  context.Context // of the Put that the upload is made for
	s    *Store
	buf  []byte
	pipe *io.PipeWriter // of the stream, once there is one
	done chan struct{}  // closed when the stream's request has ended
	cid  string         // its result
	err  error
}

// Write implements io.Writer.
func (u *upload) Write(p []byte) (int, error) {
	if u.pipe == nil && len(u.buf)+len(p) <= store.WholeSize {
		u.buf = append(u.buf, p...)
		return len(p), nil
	}
	if u.pipe == nil {
		u.start()
	}
	n, err := u.pipe.Write(p)
	if err != nil {
		err = u.explain(err)
	}
	return n, err
}

// start begins the stream with what was kept.
func (u *upload) start() {
	var r *io.PipeReader
	r, u.pipe = io.Pipe()
	u.done = make(chan struct{})
	go func() {
		defer close(u.done)
		u.cid, u.err = u.s.add(u.ctx, io.MultiReader(bytes.NewReader(u.buf), r))
		r.CloseWithError(errAddEnded)
	}()
}

var errAddEnded = errors.New("the node stopped reading")

// explain returns why the node stopped reading.
func (u *upload) explain(err error) error {
	if !errors.Is(err, errAddEnded) {
		return err
	}
	<-u.done
	if u.err != nil {
		return u.err
	}
	return err
}

// finish ends the upload, which failed if err is not nil, and returns the name
// that the node gave the blob.
func (u *upload) finish(err error) (string, error) {
	if u.pipe == nil {
		if err != nil {
			return "", err
		}
		var cid string
		err = u.s.do(u.ctx, func() (err error) {
			cid, err = u.s.add(u.ctx, bytes.NewReader(u.buf))
			return err
		})
		return cid, err
	}
	if err != nil {
		u.pipe.CloseWithError(err) // not the end of a shorter blob
		<-u.done
		return "", err
	}
	if err := u.pipe.Close(); err != nil {
		return "", err
	}
	<-u.done
	return u.cid, u.err
}

// add sends one blob to the node, has it pinned, and returns its CID.
func (s *Store) add(ctx context.Context, blob io.Reader) (string, error) {
	// The body is a form with one file, as the interface wants it. It is put
	// together by hand because the blob is read, not written.
	var frame bytes.Buffer
	form := multipart.NewWriter(&frame)
	if _, err := form.CreateFormFile("file", "blob"); err != nil {
		return "", err
	}
	head := bytes.Clone(frame.Bytes())
	frame.Reset()
	if err := form.Close(); err != nil {
		return "", err
	}
	q := url.Values{
		// The parameters of SPEC.md, said in full because a node may be
		// configured for others.
		"cid-version": {"1"}, "raw-leaves": {"true"}, "hash": {"sha2-256"},
		"chunker": {"size-" + strconv.Itoa(store.LeafSize)}, "max-file-links": {"174"},
		"trickle": {"false"}, "inline": {"false"}, "wrap-with-directory": {"false"},
		"pin": {"true"}, "pin-name": {pinPrefix + strconv.FormatInt(time.Now().Unix(), 10)},
		"quieter": {"true"}, "progress": {"false"},
	}
	body := io.MultiReader(bytes.NewReader(head), blob, bytes.NewReader(frame.Bytes()))
	resp, err := s.rpc.post(ctx, "add", q, form.FormDataContentType(), io.NopCloser(body))
	if err != nil {
		return "", fmt.Errorf("add blob: %w", err)
	}
	defer resp.Body.Close()
	var added struct{ Hash string }
	dec := json.NewDecoder(resp.Body)
	if err := dec.Decode(&added); err != nil {
		return "", fmt.Errorf("add blob: %w", err)
	}
	// The answer is complete only at its end: an error after it is in the
	// trailer.
	if err := dec.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("add blob: more than one answer: %w", err)
	}
	if err := streamError("add", resp); err != nil {
		return "", err
	}
	return added.Hash, nil
}
