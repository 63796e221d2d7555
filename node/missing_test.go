package node_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/pre"
)

// withoutSidecars returns an export without its sidecars.
func (w *world) withoutSidecars(export []byte) []byte {
	w.t.Helper()
	var out bytes.Buffer
	var e *audit.Exporter
	_, err := audit.Verify(bytes.NewReader(export), w.Consortium(), audit.Visitor{
		Genesis: func(founding *chain.Consortium, genesis *chain.Header) (err error) {
			e, err = audit.NewExporter(&out, founding, genesis)
			return err
		},
		Block:      func(b *chain.Block) error { return e.Block(b) },
		Sidecar:    func(uint64, []byte) error { return nil },
		Checkpoint: func(cp *chain.Checkpoint) error { return e.Checkpoint(cp) },
	})
	if err := errors.Join(err, e.Close()); err != nil {
		w.t.Fatal(err)
	}
	return out.Bytes()
}

// TestMissingShareHoldsUpNoOther: a consortium was restored from an export without
// sidecars, and one member had not taken its share of a grant yet. That nobody has it
// keeps that member neither from taking its shares of new grants nor from erasing them
// when they end.
func TestMissingShareHoldsUpNoOther(t *testing.T) {
	inWorld(t, 3, nil, func(w *world) {
		owner, reader := w.person("p-1@"+w.Name(0)), w.person("dr.lee@"+w.Name(1))
		const late = 2
		w.stop(late)
		for _, typ := range []pre.Type{"clinical", "imaging", "lab"} { // most likely one of them is looked at before the new one
			w.grant(owner, reader.Name(), typ)
		}
		w.quiet()
		var export bytes.Buffer
		if err := w.Node(0).Export(w.ctx, &export); err != nil {
			t.Fatal(err)
		}
		restored := w.withoutSidecars(export.Bytes())
		for i := range w.Len() {
			w.stop(i)
			dir := filepath.Join(w.Dir(), w.Name(i))
			if err := os.RemoveAll(filepath.Join(dir, "chain")); err != nil {
				t.Fatal(err)
			}
			if _, err := node.ImportChain(dir, bytes.NewReader(restored), w.Consortium()); err != nil {
				t.Fatal(err)
			}
		}
		var starting sync.WaitGroup
		for i := range w.Len() { // each waits for the others
			starting.Go(func() {
				if err := w.Restart(w.ctx, i); err != nil {
					t.Error(err)
				}
			})
		}
		starting.Wait()
		w.settle()
		g := w.grant(w.now(owner, 0), reader.Name(), "notes")
		w.until("the share of the new grant is there", func() bool { return w.Node(late).Status().Shares == 1 })
		if err := w.now(owner, 0).Revoke(w.ctx, g, ward.RevokeOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until("it is erased", func() bool { return w.Node(late).Status().Shares == 0 })
	})
}
