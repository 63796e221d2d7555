package replica

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/ward-health/ward/chain/ledger"
)

// Layers, merged or not, read as what their blocks wrote in order, and a view that
// was made earlier does not change. A layer is dropped when all of it is on disk.
func TestMergedLayersReadAsTheirBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b, err := openBook(t.TempDir(), testConsortium(t, 3, 0), bookOptions{medium: medium{simulated: true}}, discardLog())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	txn := b.reader()
	defer txn.Discard()
	var layers []*layer
	want := map[string]string{} // the newest value of each key, "" for a deleted one
	type seen struct {
		view *View
		want map[string]string
	}
	var views []seen
	for height := uint64(1); height <= 60; height++ {
		var writes []ledger.Write
		for i := range 20 {
			if rng.IntN(4) > 0 {
				continue
			}
			w := ledger.Write{Key: fmt.Appendf(nil, "k%02d", i)}
			if rng.IntN(3) > 0 {
				w.Value = fmt.Appendf(nil, "%d of %d", i, height)
			}
			want[string(w.Key)] = string(w.Value)
			writes = append(writes, w)
		}
		layers = addLayer(layers, newLayer(height, writes))
		views = append(views, seen{&View{layers: layers[:len(layers):len(layers)], txn: txn}, maps.Clone(want)})
	}
	if len(layers) != 60/mergeBlocks+60%mergeBlocks {
		t.Errorf("%d layers for 60 blocks", len(layers))
	}
	for _, s := range views {
		found := 0
		for key, value := range s.want {
			got, err := s.view.Get([]byte(key))
			if err != nil || string(got) != value || (got == nil) != (value == "") {
				t.Errorf("%s is %q, want %q: %v", key, got, value, err)
			}
			if value != "" {
				found++
			}
		}
		last := ""
		err := s.view.Scan([]byte("k"), nil, func(key, value []byte) bool {
			if string(key) <= last || s.want[string(key)] != string(value) {
				t.Errorf("%s after %s is %q, want %q", key, last, value, s.want[string(key)])
			}
			last = string(key)
			found--
			return true
		})
		if err != nil || found != 0 {
			t.Errorf("%d keys too few in the scan: %v", found, err)
		}
	}
	for disk := uint64(0); disk <= 60; disk++ {
		rest := dropLayers(layers, disk)
		blocks := 0
		for _, l := range rest {
			blocks += l.blocks
		}
		if missing := 60 - int(disk) - blocks; missing > 0 || missing <= -mergeBlocks {
			t.Errorf("the disk has %d of 60 blocks, layers %d", disk, blocks)
		}
	}
}

// Large blocks are not copied.
func TestLargeLayersAreNotMerged(t *testing.T) {
	writes := make([]ledger.Write, mergeWrites/mergeBlocks+1)
	for i := range writes {
		writes[i] = ledger.Write{Key: fmt.Appendf(nil, "%05d", i), Value: []byte("x")}
	}
	var layers []*layer
	for height := range uint64(20) {
		layers = addLayer(layers, newLayer(height+1, writes))
	}
	if len(layers) != 20 {
		t.Errorf("%d layers for 20 large blocks", len(layers))
	}
}
