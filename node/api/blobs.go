package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/store"
)

type atBlob struct {
	Ref string `path:"ref" maxLength:"64" doc:"CID of the blob; see store/SPEC.md"`
}

type partOfBlob struct {
	Ref   string `path:"ref" maxLength:"64" doc:"CID of the blob; see store/SPEC.md"`
	Range string `header:"Range" maxLength:"64" doc:"bytes=first-last, both given"`
}

// blobRoutes adds the two stores of sealed payloads.
//
// Whoever is registered may put a blob, and get one whose reference it knows:
// that is the hash of a ciphertext, which the chain shows only to those who may
// see the record. Listing and deleting are for the operator of the node.
func (s *Server) blobRoutes() {
	s.storeRoutes(protocol.PathBlobs, "blob", caller, s.b.Blobs)
	s.storeRoutes(protocol.PathLocalBlobs, "local-blob", member, s.b.LocalBlobs)
}

func (s *Server) storeRoutes(path, id string, a access, of func() store.Store) {
	add(s, route{
		method: http.MethodPost, path: path, id: "put-" + id, access: a, stream: true,
		summary: "Store a blob",
		takes:   protocol.TypeBytes, takesWhat: "The blob",
		gives: protocol.TypeNote, givesWhat: "Its reference", status: http.StatusCreated,
	}, func(c *call, _ *none) error { return s.putBlob(c, of()) })
	add(s, route{
		method: http.MethodGet, path: path + protocol.PathBlob, id: "get-" + id, access: a, stream: true,
		summary: "Get a blob, or a range of it",
		gives:   protocol.TypeBytes, givesWhat: "The bytes. A connection that breaks before the end of the body means that they are not whole",
		also: []int{http.StatusPartialContent},
	}, func(c *call, in *partOfBlob) error { return s.getBlob(c, of(), in) })
	add(s, route{
		method: http.MethodGet, path: path + protocol.PathBlobInfo, id: "stat-" + id, access: a,
		summary: "Say what the store knows about a blob",
		gives:   protocol.TypeJSON, givesWhat: "Its size in bytes and when it was last put, in Unix milliseconds",
	}, func(c *call, in *atBlob) error {
		ref, err := store.ParseRef(in.Ref)
		if err != nil {
			return errors.Join(protocol.ErrMalformed, err)
		}
		info, err := of().Stat(c.ctx, ref)
		if err != nil {
			return err
		}
		return c.json(protocol.BlobInfo{Size: info.Size, Time: info.Time.UnixMilli()})
	})
	add(s, route{
		method: http.MethodGet, path: path + protocol.PathBlobTree, id: "tree-of-" + id, access: a,
		summary: "Get the hash tree of a blob, by which its parts are checked",
		gives:   protocol.TypeBytes, givesWhat: "Outboard; see store/SPEC.md",
	}, func(c *call, in *atBlob) error {
		ref, err := store.ParseRef(in.Ref)
		if err != nil {
			return errors.Join(protocol.ErrMalformed, err)
		}
		b, err := of().Open(c.ctx, ref)
		if err != nil {
			return err
		}
		tree := b.Outboard().Bytes()
		if err := b.Close(); err != nil {
			return err
		}
		return c.bytes(protocol.TypeBytes, tree)
	})
	add(s, route{
		method: http.MethodGet, path: path, id: "list-" + id + "s", access: operator, stream: true,
		summary: "List the blobs. For the operator of the node",
		gives:   protocol.TypeBytes, givesWhat: "52 bytes for each: reference, 36 bytes; size and Unix milliseconds, 8 bytes each, big-endian",
	}, func(c *call, _ *none) error { return s.listBlobs(c, of()) })
	add(s, route{
		method: http.MethodDelete, path: path + protocol.PathBlob, id: "delete-" + id, access: operator,
		summary: "Delete a blob. For the operator of the node",
		gives:   protocol.TypeNote, givesWhat: "Nothing", status: http.StatusNoContent,
	}, func(c *call, in *atBlob) error {
		ref, err := store.ParseRef(in.Ref)
		if err != nil {
			return errors.Join(protocol.ErrMalformed, err)
		}
		if err := of().Delete(c.ctx, ref); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

func (s *Server) putBlob(c *call, to store.Store) error {
	if c.r.ContentLength > s.opt.Limits.Blob {
		return protocol.ErrTooLarge
	}
	body := &counted{r: http.MaxBytesReader(c.w, c.r.Body, s.opt.Limits.Blob)}
	var ref store.Ref
	var err error
	if c.who.Member == nil { // a member copies what others put, and has the disks of its own
		began := max(0, c.r.ContentLength)
		if err := s.begin(c.ctx, c.who.key(), began); err != nil {
			return err
		}
		defer func() { s.settle(c.who.key(), began, ref, body.n) }()
	}
	ref, err = to.Put(c.ctx, &pacedBody{c.pace(), body})
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return protocol.ErrTooLarge
	}
	if err != nil {
		ref = store.Ref{}
		return err
	}
	s.meter.stored.Add(float64(max(0, c.r.ContentLength)))
	c.w.Header().Set("Content-Type", protocol.TypeNote)
	c.w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(c.paced(), ref.String()) // the client has gone: there is nobody to tell
	return nil
}

// preload is how much of a blob is fetched from its medium at once: as much as
// a store.ReaderAt keeps.
const preload = 8 * store.LeafSize

// getBlob answers with the bytes of a blob, checked. What is found damaged
// after the response began breaks the connection.
func (s *Server) getBlob(c *call, from store.Store, in *partOfBlob) error {
	ref, err := store.ParseRef(in.Ref)
	if err != nil {
		return errors.Join(protocol.ErrMalformed, err)
	}
	b, err := from.Open(c.ctx, ref)
	if err != nil {
		return err
	}
	defer b.Close() // it was only read
	off, n, err := parseRange(in.Range, b.Size())
	if err != nil {
		return err
	}
	r := b.NewReaderAt(c.ctx)
	if err := r.Preload(off, min(n, preload)); err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", protocol.TypeBytes)
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	h.Set("Accept-Ranges", "bytes")
	if in.Range != "" {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, b.Size()))
		c.w.WriteHeader(http.StatusPartialContent)
	} else {
		c.w.WriteHeader(http.StatusOK)
	}
	out := c.paced()
	buf := make([]byte, store.LeafSize)
	for end := off + n; off < end; {
		if off%preload == 0 {
			if err := r.Preload(off, min(end-off, preload)); err != nil {
				return err
			}
		}
		p := buf[:min(end-off, store.LeafSize-off%store.LeafSize)]
		if _, err := r.ReadAt(p, off); err != nil {
			return err
		}
		if _, err := out.Write(p); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

// parseRange reads the one form of the header that is taken: bytes=first-last.
func parseRange(s string, size int64) (off, n int64, err error) {
	if s == "" {
		return 0, size, nil
	}
	rest, ok := strings.CutPrefix(s, "bytes=")
	first, last, dash := strings.Cut(rest, "-")
	from, err1 := strconv.ParseUint(first, 10, 62)
	to, err2 := strconv.ParseUint(last, 10, 62)
	if !ok || !dash || err1 != nil || err2 != nil || from > to || to >= uint64(size) {
		return 0, 0, fmt.Errorf("%w: range", protocol.ErrMalformed)
	}
	return int64(from), int64(to-from) + 1, nil
}

func (s *Server) listBlobs(c *call, of store.Store) error {
	c.w.Header().Set("Content-Type", protocol.TypeBytes)
	out := c.paced()
	for info, err := range of.List(c.ctx) {
		if err != nil {
			return err
		}
		line := binary.BigEndian.AppendUint64(info.Ref.Bytes(), uint64(info.Size))
		line = binary.BigEndian.AppendUint64(line, uint64(info.Time.UnixMilli()))
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}
