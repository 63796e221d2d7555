// Package faulthttp makes HTTP connections fail on purpose, for tests.
package faulthttp

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// ErrCut is how a connection breaks.
var ErrCut = errors.New("connection was cut")

// A Transport passes requests on and breaks some. The zero values of its
// fields break nothing.
type Transport struct {
	// Base makes the requests.
	Base http.RoundTripper
	// Read reports whether a request reads the content of a blob.
	Read func(r *http.Request) bool
	// Write reports whether a request writes the content of a blob.
	Write func(r *http.Request) bool

	mu       sync.Mutex
	cutAfter int64 // guarded by mu
	cuts     int   // guarded by mu: reads still to cut
	room     int64 // guarded by mu: bytes that writes may still carry
	full     bool  // guarded by mu: writes are limited to room
}

// CutReads cuts the next times reads after n bytes.
func (t *Transport) CutReads(n int64, times int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cutAfter, t.cuts = n, times
}

// FailWrites lets writes carry n more bytes in all; a negative n, as many as
// they like.
func (t *Transport) FailWrites(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.room, t.full = n, n >= 0
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.Write != nil && t.Write(r) && r.Body != nil {
		t.mu.Lock()
		full := t.full
		t.mu.Unlock()
		if full {
			r = r.Clone(r.Context())
			r.Body = &limitedBody{t: t, ReadCloser: r.Body}
		}
	}
	resp, err := t.Base.RoundTrip(r)
	if err != nil || t.Read == nil || !t.Read(r) {
		return resp, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cuts > 0 {
		t.cuts--
		resp.Body = &cutBody{ReadCloser: resp.Body, left: t.cutAfter}
	}
	return resp, nil
}

type limitedBody struct {
	t *Transport
	io.ReadCloser
}

func (b *limitedBody) Read(p []byte) (int, error) {
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	if b.t.room == 0 && b.t.full {
		return 0, ErrCut
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.t.room)])
	b.t.room -= int64(n)
	return n, err
}

type cutBody struct {
	io.ReadCloser
	left int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, ErrCut
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
