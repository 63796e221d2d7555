package chain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// TileHeight is the height of tiles in C2SP tlog-tiles: 256 hashes wide.
const TileHeight = 8

// TilePath returns the path, below the log's prefix, at which C2SP tlog-tiles
// serves a tile of height TileHeight: "tile/0/x001/234" for hashes, which
// [tlog.ReadTileData] reads, and "tile/entries/x001/234" for the entry bundle
// that has level -1.
func TilePath(t tlog.Tile) string {
	rest := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", t.H))
	if after, ok := strings.CutPrefix(rest, "data/"); ok {
		rest = "entries/" + after
	}
	return "tile/" + rest
}

// ParseTilePath is the inverse of TilePath. It accepts one path per tile.
func ParseTilePath(path string) (tlog.Tile, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if after, isEntries := strings.CutPrefix(rest, "entries/"); isEntries {
		rest = "data/" + after
	}
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", TileHeight, rest))
	if err != nil || !ok || TilePath(t) != path {
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
