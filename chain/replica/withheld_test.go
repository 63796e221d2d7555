package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger"
)

// without returns an export without the sidecars of some transactions.
func (c *cluster) without(export []byte, leaves ...uint64) []byte {
	c.t.Helper()
	var out bytes.Buffer
	var e *audit.Exporter
	_, err := audit.Verify(bytes.NewReader(export), c.consortium, audit.Visitor{
		Genesis: func(founding *chain.Consortium, genesis *chain.Header) (err error) {
			e, err = audit.NewExporter(&out, founding, genesis)
			return err
		},
		Block: func(b *chain.Block) error { return e.Block(b) },
		Sidecar: func(index uint64, data []byte) error {
			if slices.Contains(leaves, index) {
				return nil
			}
			return e.Sidecar(index, data)
		},
		Checkpoint: func(cp *chain.Checkpoint) error { return e.Checkpoint(cp) },
	})
	if err := errors.Join(err, e.Close()); err != nil {
		c.t.Fatal(err)
	}
	return out.Bytes()
}

// replaced puts an import in the place of a stopped member's directory.
func (c *cluster) replaced(name string, export []byte) {
	c.t.Helper()
	dir := filepath.Join(c.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		c.t.Fatal(err)
	}
	if _, err := Import(bytes.NewReader(export), c.importOptions(dir)); err != nil {
		c.t.Fatal(err)
	}
}

// hasMissing checks how many sidecars are missing in the directory of a stopped member.
func (c *cluster) hasMissing(name string, sidecars, purged, missing uint64) {
	c.t.Helper()
	rep, err := c.verify(name)
	if err != nil || rep.Sidecars != sidecars || rep.Purged != purged || rep.Missing != missing {
		c.t.Errorf("%s: %+v, %v", name, rep, err)
	}
}

// exportedSidecars runs four members with sidecars, and returns an export of one.
func exportedSidecars(t *testing.T, tune func(*Options)) (c *cluster, export []byte, kept map[uint64][]byte, gone uint64) {
	t.Helper()
	c, kept, gone = withSidecars(t, tune)
	var out bytes.Buffer
	if _, err := c.nodes["h1"].Export(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	return c, out.Bytes(), kept, gone
}

// Whoever made an export left out a sidecar that nobody purged. The member that
// imports it notes that it is missing, and has it from the others when it is opened;
// what was purged stays purged. Nor is one that another member forges taken.
func TestAttackExportWithoutASidecar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		c, export, kept, gone := exportedSidecars(t, func(o *Options) {
			if o.Member == "h0" {
				o.wrapHandler = func(honest rpcHandler) rpcHandler {
					return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
						answer, err := honest(ctx, from, kind, body)
						if blocks, ok := answer.([]sentBlock); ok && lying.Load() {
							for i := range blocks {
								for k := range blocks[i].Sidecars {
									blocks[i].Sidecars[k] = []byte("forged")
								}
							}
						}
						return answer, err
					}
				}
			}
		})
		lying.Store(true)
		c.stop("h2")
		c.replaced("h2", c.without(export, 2))
		c.hasMissing("h2", 1, 1, 1)
		r := c.start("h2")
		if got, err := r.Sidecar(2); err != nil || !bytes.Equal(got, kept[2]) {
			t.Errorf("when it is open: %q, %v", got, err)
		}
		c.load(3)
		c.sameHead()
		c.haveSidecars(kept, gone)
		c.stopAll()
		c.hasMissing("h2", 2, 1, 0)
	})
}

// A consortium is restored from an export without two sidecars. They are missing, and
// not purged, over restarts: until a member that has one comes back, and until the
// other is purged.
func TestRestoredConsortiumMissesWhatWasWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, export, kept, gone := exportedSidecars(t, nil)
		c.stopAll()
		withheld := c.without(export, 2, 5)
		for _, name := range []string{"h0", "h1", "h2"} {
			c.replaced(name, withheld)
		}
		c.replaced("h3", c.without(export, 2))
		c.net = newSimNet(time.Millisecond)
		c.startTogether("h0", "h1", "h2")
		c.load(2)
		c.sameHead()
		for range 2 {
			for name, r := range c.nodes {
				for _, leaf := range []uint64{2, 5} {
					if got, err := r.Sidecar(leaf); !errors.Is(err, ErrMissing) || errors.Is(err, ErrPurged) {
						t.Errorf("%s: withheld sidecar %d: %q, %v", name, leaf, got, err)
					}
				}
			}
			c.stopAll()
			c.hasMissing("h1", 0, 1, 2)
			c.startTogether("h0", "h1", "h2")
		}
		var out bytes.Buffer
		if _, err := c.nodes["h1"].Export(context.Background(), &out); err != nil {
			t.Error(err)
		}
		for name, r := range c.nodes {
			if sent, err := r.serveBlocks(blocksRequest{From: 1, To: 7}); err != nil || len(sent) != 7 {
				t.Errorf("%s sends %d blocks, %v", name, len(sent), err)
			}
		}
		c.net.setCut("h0", "h1", true)
		blk, err := c.nodes["h1"].Block(3)
		if err != nil {
			t.Fatal(err)
		}
		late := map[string]int{}
		for again := range 2 { // the second time only those are asked who answered
			begin := time.Now()
			found, err := c.nodes["h1"].askSidecars(within(t, time.Hour), blk, 2, []uint64{2}, late)
			if len(found) != 0 || err != nil || late["h0"] != 2 || late["h3"] != 2 || late["h2"] != 0 {
				t.Errorf("found %d, late were %v: %v", len(found), late, err)
			}
			if again == 1 && time.Since(begin) > 100*time.Millisecond {
				t.Errorf("waits %v for those who are silent", time.Since(begin))
			}
		}
		c.net.setCut("h0", "h1", false)
		c.net.reset("h0", "h1")
		mustSubmit(t, c.nodes["h1"], sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, 2), nil), nil)
		c.start("h3")
		c.sameHead()
		delete(kept, 2)
		c.haveSidecars(kept, gone)
		c.haveSidecars(kept, 2)
		c.stopAll()
		for _, m := range c.consortium.Members {
			c.hasMissing(m.Name, 1, 2, 0)
		}
	})
}

// A sidecar that was missing arrives when a block has purged it: it is not kept. One
// that arrives twice is kept once.
func TestLateSidecarIsKeptOnceAndNotAfterAPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		r := c.start("h0")
		other := []byte("another sidecar")
		gone := mustSubmit(t, r, put(t, "bob", "a", []byte("1"), canary), canary).Index
		kept := mustSubmit(t, r, put(t, "bob", "b", []byte("2"), other), other).Index
		c.sameHead()
		var out bytes.Buffer
		if _, err := r.Export(context.Background(), &out); err != nil {
			t.Fatal(err)
		}
		c.stopAll()
		c.replaced("h0", c.without(out.Bytes(), gone, kept))
		c.net = newSimNet(time.Millisecond)
		r = c.start("h0")
		mustSubmit(t, r, sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, gone), nil), nil)
		for _, drained := range []bool{false, true} {
			late := &step{late: []ledger.KeptSidecar{{Index: gone, Data: canary}, {Index: kept, Data: other}}}
			if err := r.book.append(late); err != nil {
				t.Fatal(err)
			}
			if got, err := r.Sidecar(gone); !errors.Is(err, ErrPurged) {
				t.Errorf("purged, on disk %v: %q, %v", drained, got, err)
			}
			if got, err := r.Sidecar(kept); err != nil || !bytes.Equal(got, other) {
				t.Errorf("late, on disk %v: %q, %v", drained, got, err)
			}
			if err := r.book.drain(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
			if n := r.book.sidecars.Last(); n != 1 {
				t.Errorf("%d sidecars on disk", n)
			}
		}
		c.stopAll()
		c.hasMissing("h0", 1, 1, 0)
		grep(t, filepath.Join(c.dir, "h0", "sidecars"), canary)
	})
}
