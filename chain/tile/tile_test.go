package tile_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain/tile"
)

func TestTilePathsRoundTrip(t *testing.T) {
	for _, level := range []int{-1, 0, 1, 7} {
		for _, n := range []int64{0, 1, 999, 1000, 1234067} {
			for _, w := range []int{1, 255, 256} {
				want := tlog.Tile{H: tile.Height, L: level, N: n, W: w}
				path := tile.Path(want)
				name := fmt.Sprint(level)
				if level < 0 {
					name = "entries"
				}
				if words := tilePath(name, uint64(n), uint8(w%256)); path != words {
					t.Errorf("path %q, want %q", path, words)
				}
				if got, err := tile.ParsePath(path); err != nil || got != want {
					t.Errorf("%q parses to %v, %v", path, got, err)
				}
			}
		}
	}
	for _, bad := range []string{"", "tile/", "tile/0/1", "tile/0/000.p/256", "tile/0/000.p/0", "tile/8/0/000", "tile/data/000", "tile/00/000", "tile/0/x000/000", "checkpoint"} {
		if got, err := tile.ParsePath(bad); err == nil {
			t.Errorf("%q parses to %v", bad, got)
		}
	}
}

// tilePath writes the path as the specification words it, not with our code.
func tilePath(level string, index uint64, partial uint8) string {
	path := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		path = fmt.Sprintf("x%03d/%s", index%1000, path)
	}
	if partial > 0 {
		path += fmt.Sprintf(".p/%d", partial)
	}
	return "tile/" + level + "/" + path
}

func FuzzParsePath(f *testing.F) {
	for _, path := range []string{"tile/0/000", "tile/entries/x001/234.p/5", "tile/7/x001/x234/067", "tile/8/0/000", "tile/-1/000"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := tile.ParsePath(path)
		if err == nil && (tile.Path(got) != path || strings.Contains(path, "..")) {
			t.Fatalf("%q is accepted as %v", path, got)
		}
	})
}
