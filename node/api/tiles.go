package api

import (
	"math"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/tile"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/protocol"
)

type atTile struct {
	Level string `path:"level" maxLength:"16" doc:"0 to 63 for hashes, entries for the transactions themselves"`
	Tile  string `path:"tile" maxLength:"64" doc:"Its number, such as x001/234, and the width of one that is not full, such as x001/234.p/5"`
}

// tileRoutes adds what tools for transparency logs read: C2SP tlog-tiles. The
// hashes tell nothing, since every transaction has a random nonce, and are for
// everybody. The entries are the chain.
func (s *Server) tileRoutes() {
	add(s, route{
		method: http.MethodGet, path: protocol.PathCheckpoint, id: "checkpoint", access: public,
		summary: "Get the newest certified checkpoint", gives: protocol.TypeNote,
		givesWhat: "Signed note, as C2SP tlog-checkpoint lays down",
	}, func(c *call, _ *none) error {
		cp, err := c.certified()
		if err != nil {
			return err
		}
		b, err := cp.Bytes()
		if err != nil {
			return err
		}
		return c.bytes(protocol.TypeNote, b)
	})
	hashes, ok := s.b.(tlog.HashReader)
	if !ok {
		return
	}
	add(s, route{
		method: http.MethodGet, path: protocol.PathTiles + "{level}/{tile...}", id: "tile", access: public,
		summary: "Get a tile of the tree, as C2SP tlog-tiles lays down. Entries are for members, and identities with the attribute auditor",
		gives:   protocol.TypeBytes, givesWhat: "Hashes of 32 bytes each, or entries, each behind its length in 2 bytes",
	}, func(c *call, in *atTile) error { return s.tile(c, hashes, "tile/"+in.Level+"/"+in.Tile) })
}

// certified returns the newest certified checkpoint.
func (c *call) certified() (*chain.Checkpoint, error) {
	cp, err := c.s.b.Checkpoint(c.ctx)
	if err == nil && cp == nil {
		err = ward.ErrNotReady
	}
	return cp, err
}

func (s *Server) tile(c *call, hashes tlog.HashReader, path string) error {
	t, err := tile.ParsePath(path)
	if err != nil {
		return ward.ErrNotFound
	}
	cp, err := c.certified()
	if err != nil {
		return err
	}
	if end := lastLeaf(t); end == 0 || end > cp.Size {
		return ward.ErrNotFound // it is not certified yet
	}
	if t.L >= 0 {
		b, err := tlog.ReadTileData(t, hashes)
		if err != nil {
			return err
		}
		return c.tileBytes(b)
	}
	// The route is for everybody, so that here is where it is found out.
	if c.who, err = s.authenticate(caller, c.r); err != nil {
		return err
	}
	if c.who.Member == nil && !c.has(identity.Auditor) {
		return protocol.ErrDenied
	}
	var bundle []byte
	for i := range uint64(t.W) {
		r, err := s.b.Receipt(c.ctx, uint64(t.N)<<tile.Height+i)
		if err != nil {
			return err
		}
		result, err := r.Result.Bytes()
		if err != nil {
			return err
		}
		leaf, err := chain.Leaf(r.Tx, result)
		if err != nil {
			return err
		}
		if bundle, err = tile.AppendEntry(bundle, leaf); err != nil {
			return err
		}
	}
	return c.tileBytes(bundle)
}

// tileBytes answers with a tile, which never changes.
func (c *call) tileBytes(b []byte) error {
	if !strings.Contains(c.r.URL.Path, "/entries/") {
		c.w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	return c.bytes(protocol.TypeBytes, b)
}

// lastLeaf returns how many leaves a tree has at least that has the tile; 0 for
// a tile that no tree has.
func lastLeaf(t tlog.Tile) uint64 {
	level := max(t.L, 0)
	if level*tile.Height > 56 {
		return 0
	}
	n, over := uint64(t.N)<<tile.Height+uint64(t.W), uint64(math.MaxInt64)>>(level*tile.Height)
	if t.N > math.MaxInt64>>tile.Height || n > over {
		return 0
	}
	return n << (level * tile.Height)
}
