package replica

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// notAhead checks that no certificate on the disk of a member is for a block that
// is not there.
func notAhead(t testing.TB, member string, b *book) (certified uint64) {
	t.Helper()
	cp, err := b.checkpoint()
	if err != nil {
		t.Errorf("%s: checkpoint on disk: %v", member, err)
	}
	if cp == nil {
		return 0
	}
	if height := headOnDisk(t, b); cp.Height > height {
		t.Errorf("%s: the disk says that block %d is certified, and has %d", member, cp.Height, height)
	}
	return cp.Height
}

// headOnDisk returns the height of the head that the disk has.
func headOnDisk(t testing.TB, b *book) uint64 {
	t.Helper()
	txn := b.db.view()
	defer txn.Discard()
	raw, err := txn.get(metaKey('h'))
	if err != nil {
		t.Fatal(err)
	}
	var w headWire
	if err := chain.Unmarshal(raw, &w); err != nil {
		t.Fatal(err)
	}
	head, err := ledger.ParseHead(w.Head)
	if err != nil {
		t.Fatal(err)
	}
	return head.Header.Height
}

// A disk is slow: blocks are executed and certified long before they are on it.
// Whoever looks at it, because the member was killed, say, finds no certificate
// for what is not there; it comes after the blocks.
func TestCertificateIsStoredAfterItsBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{}, 1) // full while h1 writes no blocks
		c := newCluster(t, 3, func(o *Options) {
			if o.Member == "h1" {
				o.medium.sync = func(f *os.File) error {
					if strings.Contains(f.Name(), "/blocks/") {
						slow <- struct{}{}
						<-slow
					}
					return nil
				}
			}
		})
		c.startAll()
		c.load(3)
		c.sameHead()
		r := c.nodes["h1"]
		if err := r.book.drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * certInterval)
		before := headOnDisk(t, r.book)
		if got := notAhead(t, "h1", r.book); got != before {
			t.Fatalf("checkpoint at %d is on disk, blocks to %d", got, before)
		}
		slow <- struct{}{}
		c.load(4)
		head := c.sameHead().Height
		if _, err := r.WaitCertified(within(t, time.Minute), head); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(2 * certInterval)
			if got := headOnDisk(t, r.book); got != before {
				t.Errorf("block %d is on disk", got)
			}
			notAhead(t, "h1", r.book)
		}
		<-slow
		if err := r.book.drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * certInterval)
		if got := notAhead(t, "h1", r.book); got != head {
			t.Errorf("checkpoint at %d is on disk, certified is %d", got, head)
		}
		c.stopAll()
	})
}
