package replica

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica/seglog"
)

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
