// Package tile names the resources under which the tree of a chain is served,
// as c2sp.org/tlog-tiles lays down, and builds entry bundles. The hashes in a
// tile are [tlog.ReadTileData]; the checkpoint beside them is a signed note of
// package chain.
package tile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Height is the height of tiles in C2SP tlog-tiles: 256 hashes wide.
const Height = 8

// Path returns the path, below the log's prefix, at which C2SP tlog-tiles
// serves a tile of height Height: "tile/0/x001/234" for hashes, which
// [tlog.ReadTileData] reads, and "tile/entries/x001/234" for the entry bundle
// that has level -1.
func Path(t tlog.Tile) string {
	rest := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", t.H))
	if after, ok := strings.CutPrefix(rest, "data/"); ok {
		rest = "entries/" + after
	}
	return "tile/" + rest
}

// ParsePath is the inverse of Path. It accepts one path per tile.
func ParsePath(path string) (tlog.Tile, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if after, isEntries := strings.CutPrefix(rest, "entries/"); isEntries {
		rest = "data/" + after
	}
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", Height, rest))
	if err != nil || !ok || Path(t) != path {
		return tlog.Tile{}, fmt.Errorf("malformed tile path %q", path)
	}
	return t, nil
}

// AppendEntry appends a leaf to an entry bundle: its length, 2 bytes
// big-endian, and its bytes.
func AppendEntry(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) >= 1<<16 {
		return nil, errors.New("leaf does not fit an entry bundle")
	}
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...), nil
}
