package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// treeHash changes one stored tree hash.
func treeHash(index int64) func(b *book) error {
	return func(b *book) error {
		if index >= b.tailBase {
			b.tail[index-b.tailBase][0] ^= 1
		}
		var forged batch
		n := index / chunkHashes
		return errors.Join(b.batchHashes(&forged, n*chunkHashes, n*chunkHashes+int64(len(b.tail))), b.db.commit(&forged))
	}
}

// Verify finds what someone changed who knows how to make checksums, wherever it is:
// one forged store for each thing it compares.
func TestVerifyNamesEveryForgedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loaded(t)
		c.stopAll()
		for name, forgery := range map[string]struct {
			forge func(b *book) error
			link  string // in the error
		}{
			"head": {func(b *book) error {
				h := *b.Head()
				h.Header.Time++
				var forged batch
				return errors.Join(b.setHead(&forged, &h, b.Applied(), b.nextSidecar), b.db.commit(&forged))
			}, "last block is not the head's"},
			"state": {func(b *book) error {
				var forged batch
				forged.set(stateKey([]byte("kv\x00a")), []byte("other"))
				return b.db.commit(&forged)
			}, "state"},
			"block of the checkpoint": {func(b *book) error {
				cp, err := b.checkpoint()
				if err != nil {
					return err
				}
				forged := *cp
				forged.Block = chain.Hash{1}
				return b.storeCheckpoint(&forged)
			}, "certified checkpoint"},
			"height of the checkpoint": {func(b *book) error {
				cp, err := b.checkpoint()
				if err != nil {
					return err
				}
				forged := *cp
				forged.Height += 1000
				return b.storeCheckpoint(&forged)
			}, "certified checkpoint"},
			"certificate": {func(b *book) error {
				cp, err := b.checkpoint()
				if err != nil {
					return err
				}
				forged := *cp
				forged.Signatures = forged.Signatures[:1]
				return b.storeCheckpoint(&forged)
			}, chain.ErrUncertified.Error()},
			"sidecar": {func(b *book) error {
				return errors.Join(b.sidecars.TruncateBack(1), b.sidecars.Append(1, []byte("another index"), []byte("one that was purged")))
			}, "sidecar of transaction 0"},
			"hash of the first transaction": {treeHash(0), "height 1: stored tree hash 0 "},
			"hash inside the tree":          {treeHash(tlog.StoredHashIndex(2, 1)), "height 8: stored tree hash "},
			"place of a transaction": {func(b *book) error {
				var forged batch
				forged.set(numKey(keyLeaves, 3), binary.BigEndian.AppendUint64(nil, 3))
				return b.db.commit(&forged)
			}, "height 4: index of the transactions"},
			"place of no transaction": {func(b *book) error {
				var forged batch
				forged.set(numKey(keyLeaves, 1<<40), binary.BigEndian.AppendUint64(nil, 3))
				return b.db.commit(&forged)
			}, "index of the transactions has"},
			"change of the consortium that there never was": {func(b *book) error {
				var forged batch
				forged.set(numKey(keyChange, 3), []byte("change"))
				return b.db.commit(&forged)
			}, "stored changes of the consortium has"},
		} {
			dir := filepath.Join(c.dir, "forged "+name)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(c.dir, "h0"))); err != nil {
				t.Fatal(err)
			}
			b, err := openBook(dir, c.consortium, bookOptions{medium: medium{simulated: true}}, discardLog())
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(forgery.forge(b), b.Close()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_, err = c.verify("forged " + name)
			if err == nil || !strings.Contains(err.Error(), forgery.link) || errors.As(err, new(*seglog.CorruptError)) {
				t.Errorf("%s: %v, want one about %q", name, err, forgery.link)
			}
		}
	})
}

// The head of a chain without a block is compared with genesis: no block names it.
func TestVerifyNamesAForgedBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		b, err := openBook(filepath.Join(c.dir, "h0"), c.consortium, bookOptions{medium: medium{simulated: true}}, discardLog())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.verify("h0"); err != nil {
			t.Fatalf("a chain without a block: %v", err)
		}
		if b, err = openBook(filepath.Join(c.dir, "h0"), c.consortium, bookOptions{medium: medium{simulated: true}}, discardLog()); err != nil {
			t.Fatal(err)
		}
		var forged batch
		h := *b.Head()
		key, value := []byte("kv\x00root"), []byte("mallory")
		var state ledgertest.State
		v := b.view()
		err = v.Scan(nil, nil, func(k, v []byte) bool {
			state.Apply([]ledger.Write{{Key: bytes.Clone(k), Value: bytes.Clone(v)}})
			return true
		})
		v.txn.Discard()
		state.Apply([]ledger.Write{{Key: key, Value: value}})
		h.Digest = state.Digest()
		h.Header.State = h.Digest.Sum()
		forged.set(stateKey(key), value)
		if err := errors.Join(err, b.setHead(&forged, &h, position{}, 1), b.db.commit(&forged), b.Close()); err != nil {
			t.Fatal(err)
		}
		var broken *chain.BrokenError
		if _, err := c.verify("h0"); !errors.As(err, &broken) || broken.Height != 0 || broken.Link != "head against the block" {
			t.Errorf("%v, want a broken head at height 0", err)
		}
	})
}

// A change of the consortium that is served from its index is the one on the chain.
func TestVerifyNamesAForgedChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loaded(t)
		_, tx := nextConsortium(t, c.consortium, c.consortium.Members[1:])
		submitChange(t, c.nodes["h1"], c.consortium, tx)
		index := c.nodes["h1"].book.Head().Header.Size - 1
		c.stopAll()
		if _, err := c.verify("h1"); err != nil {
			t.Fatal(err)
		}
		b, err := openBook(filepath.Join(c.dir, "h1"), c.consortium, bookOptions{medium: medium{simulated: true}}, discardLog())
		if err != nil {
			t.Fatal(err)
		}
		var forged batch
		forged.set(numKey(keyChange, index), []byte("another"))
		if err := errors.Join(b.db.commit(&forged), b.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(context.Background(), VerifyOptions{Dir: filepath.Join(c.dir, "h1"), Founding: c.consortium}); err == nil || !strings.Contains(err.Error(), "stored change of the consortium") {
			t.Errorf("%v, want one about the change", err)
		}
	})
}
