// Package ipfs keeps blobs on an IPFS node, through the HTTP RPC interface of
// Kubo.
//
// A blob is added with the parameters that give it the CID computed here, and
// pinned recursively under the name ward-v1/<unix seconds>. The pin is what
// makes it part of the store: List lists those pins, and Delete removes the pin
// and then the blocks, so that an erased blob does not wait for the node's own
// garbage collection.
//
// The node is not trusted with the content: every byte read is checked. It
// answers from its own blocks only, unless Options.Network allows it to ask its
// peers. Whoever can reach a node of a public swarm can fetch any blob whose
// CID he knows; docs/how-to/stores.md says how to run a private swarm.
package ipfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ward-health/ward/store"
)

// pinPrefix begins the name of every pin of a store. Part of the format.
const pinPrefix = "ward-v1/"

// Options change what Open does. The zero value means the defaults.
type Options struct {
	// Network lets the node fetch blocks it does not have from its peers.
	// Without it, reads see only what the node itself holds.
	Network bool
	// Authorization, if not empty, is sent as the header of that name, for
	// nodes with API.Authorizations ("Bearer …" or "Basic …").
	Authorization string
	// Transport makes the HTTP requests; by default one is made for the store
	// and closed with it.
	Transport http.RoundTripper
	// Retry applies to every request, to reads leaf by leaf, and to writes of
	// blobs of at most store.WholeSize bytes. A larger blob is streamed once.
	Retry store.Retry
	// Stall is how long the node may take over one leaf of a read; default one
	// minute.
	Stall time.Duration
}

// A Store keeps blobs on an IPFS node. It implements store.Store.
type Store struct {
	rpc  rpc
	opts Options
}

// Open returns the store on the node whose RPC interface is at the given URL,
// such as http://127.0.0.1:5001, after the node has answered.
func Open(ctx context.Context, endpoint string, opts Options) (*Store, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("open IPFS store: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("open IPFS store: %q is not the URL of an RPC interface", u.Redacted())
	}
	s := &Store{opts: opts, rpc: rpc{base: u.Scheme + "://" + u.Host + "/api/v0/", authorization: opts.Authorization}}
	if opts.Transport != nil {
		s.rpc.client.Transport = opts.Transport
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		s.rpc.client.Transport, s.rpc.close = t, t.CloseIdleConnections
	}
	err = s.do(ctx, func() error {
		_, err := call[struct{ Version string }](ctx, &s.rpc, "version", nil)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open IPFS store: %w", err), s.Close())
	}
	return s, nil
}

func (s *Store) do(ctx context.Context, op func() error) error {
	return s.opts.Retry.Do(ctx, op)
}

// local returns the parameters of a read.
func (s *Store) local(args ...string) url.Values {
	q := url.Values{"offline": {strconv.FormatBool(!s.opts.Network)}}
	for i := 0; i < len(args); i += 2 {
		q.Add(args[i], args[i+1])
	}
	return q
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, r io.Reader) (store.Ref, error) {
	u := &upload{ctx: ctx, s: s}
	ob, err := store.Digest(ctx, u, r)
	got, err := u.finish(err)
	if err != nil {
		return store.Ref{}, err
	}
	if got != ob.Ref().String() {
		return store.Ref{}, errors.Join(
			fmt.Errorf("add blob: the node names it %s instead of %s", got, ob.Ref()), s.unpin(ctx, got))
	}
	return ob.Ref(), nil
}

// A pin is one line of pin/ls.
type pin struct {
	Cid, Name, Type string
}

// time returns when a pin of ours was made.
func (p pin) time() (time.Time, bool) {
	text, ok := strings.CutPrefix(p.Name, pinPrefix)
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0), ok && err == nil
}

// pin returns the pin of a blob, or an error matching store.ErrNotFound.
func (s *Store) pin(ctx context.Context, ref store.Ref) (pin, error) {
	var found pin
	err := s.do(ctx, func() error {
		q := url.Values{"arg": {ref.String()}, "type": {"recursive"}, "names": {"true"}, "stream": {"true"}}
		p, err := call[pin](ctx, &s.rpc, "pin/ls", q)
		if err == nil {
			found = p
			return nil
		}
		var refused *RPCError
		if !errors.As(err, &refused) {
			return err
		}
		// The node says the same for a pin that is not there and for one that
		// it cannot look up. The list of all pins tells them apart.
		for p, listErr := range s.pins(ctx) {
			if listErr != nil {
				return listErr
			}
			if p.Cid == ref.String() {
				return err
			}
		}
		return store.NotFound(ref)
	})
	if err != nil {
		return pin{}, err
	}
	if _, ours := found.time(); !ours {
		return pin{}, store.NotFound(ref)
	}
	return found, nil
}

// pins yields the pins of the store.
func (s *Store) pins(ctx context.Context) iter.Seq2[pin, error] {
	q := url.Values{"type": {"recursive"}, "names": {"true"}, "stream": {"true"}, "name": {pinPrefix}}
	return stream[pin](ctx, &s.rpc, "pin/ls", q)
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	info, err := s.Stat(ctx, ref)
	if err != nil {
		return nil, err
	}
	ob, err := s.outboard(ctx, ref, info.Size)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return store.NewBlob(ob, store.BlobOptions{Retry: s.opts.Retry, Stall: s.opts.Stall}, source{s, ref}), nil
}

// maxNode is more than the size in bytes of any node of a tree.
const maxNode = 64 << 10

func (s *Store) outboard(ctx context.Context, ref store.Ref, size int64) (*store.Outboard, error) {
	return store.FetchOutboard(ctx, ref, size, func(ctx context.Context, node store.Ref) (block []byte, err error) {
		err = s.do(ctx, func() error {
			resp, err := s.rpc.post(ctx, "block/get", s.local("arg", node.String()), "", nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			block, err = io.ReadAll(io.LimitReader(resp.Body, maxNode))
			return err
		})
		return block, err
	})
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, ref store.Ref) (store.Info, error) {
	p, err := s.pin(ctx, ref)
	if err != nil {
		return store.Info{}, err
	}
	return s.stat(ctx, ref, p)
}

func (s *Store) stat(ctx context.Context, ref store.Ref, p pin) (store.Info, error) {
	info := store.Info{Ref: ref}
	info.Time, _ = p.time()
	err := s.do(ctx, func() error {
		st, err := call[struct{ Size int64 }](ctx, &s.rpc, "files/stat", s.local("arg", "/ipfs/"+ref.String()))
		info.Size = st.Size
		return err
	})
	if err != nil {
		return store.Info{}, fmt.Errorf("stat blob %s: %w", ref, err)
	}
	return info, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, ref store.Ref) error {
	if _, err := s.pin(ctx, ref); errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	// The tree says which blocks there are. If it is damaged, what it still
	// says is lost to us and left to the node's garbage collection.
	blocks := []string{ref.String()}
	if info, err := s.Stat(ctx, ref); err == nil {
		if ob, err := s.outboard(ctx, ref, info.Size); err == nil {
			blocks = blocks[:0]
			for b := range ob.Blocks() {
				blocks = append(blocks, b.String())
			}
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.unpin(ctx, ref.String()); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	if err := s.removeBlocks(ctx, blocks); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

func (s *Store) unpin(ctx context.Context, cid string) error {
	return s.do(ctx, func() error {
		_, err := call[struct{}](ctx, &s.rpc, "pin/rm", url.Values{"arg": {cid}})
		var refused *RPCError
		if !errors.As(err, &refused) {
			return err
		}
		for p, listErr := range s.pins(ctx) {
			if listErr != nil {
				return listErr
			}
			if p.Cid == cid {
				return err
			}
		}
		return nil // someone else removed it
	})
}

func (s *Store) removeBlocks(ctx context.Context, blocks []string) error {
	const perRequest = 100 // each is 64 bytes of the request line
	for some := range slices.Chunk(blocks, perRequest) {
		err := s.do(ctx, func() error {
			q := url.Values{"force": {"true"}, "arg": some}
			for line, err := range stream[struct{ Hash, Error string }](ctx, &s.rpc, "block/rm", q) {
				if err != nil {
					return err
				}
				if line.Error != "" {
					return fmt.Errorf("remove block %s: %s", line.Hash, line.Error)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// List implements store.Store. Pins that are not the store's are passed over.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for p, err := range s.pins(ctx) {
			if err != nil {
				yield(store.Info{}, fmt.Errorf("list blobs: %w", err))
				return
			}
			ref, err := store.ParseRef(p.Cid)
			if _, ours := p.time(); err != nil || !ours {
				continue
			}
			info, err := s.stat(ctx, ref, p)
			if err != nil {
				// A pin whose root block cannot be read is still listed, so
				// that Scrub finds it.
				if stop := context.Cause(ctx); stop != nil {
					yield(store.Info{}, stop)
					return
				}
				info.Ref = ref
				info.Time, _ = p.time()
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Close implements store.Store.
func (s *Store) Close() error {
	if s.rpc.close != nil {
		s.rpc.close()
	}
	return nil
}

// source serves a blob from the node.
type source struct {
	s   *Store
	ref store.Ref
}

func (o source) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return http.NoBody, nil
	}
	resp, err := o.s.rpc.post(ctx, "cat", o.s.local("arg", o.ref.String(),
		"offset", strconv.FormatInt(off, 10), "length", strconv.FormatInt(n, 10)), "", nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (o source) Close() error { return nil }
