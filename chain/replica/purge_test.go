package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A member is killed between the two writes with which it erases a sidecar: Verify
// finds nothing wrong, and the next start erases it and nothing else.
func TestKilledWhileErasingASidecar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half := map[string][]byte{}
		var erasing atomic.Bool
		c := newCluster(t, 1, func(o *Options) {
			o.medium.sync = func(f *os.File) error {
				if !erasing.Load() || half[f.Name()] != nil || !strings.Contains(f.Name(), "/sidecars/") {
					return nil
				}
				b, err := os.ReadFile(f.Name())
				half[f.Name()] = b
				return err
			}
		})
		r := c.start("h0")
		side, other := bytes.Repeat([]byte{1}, 4096), bytes.Repeat([]byte{2}, 4096)
		first := mustSubmit(t, r, put(t, "bob", "a", []byte("1"), side), side)
		second := mustSubmit(t, r, put(t, "bob", "b", []byte("2"), other), other)
		c.sameHead()
		if err := r.book.drain(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		var marked batch
		marked.set(numKey(keyPurge, first.Index), []byte{1})
		if err := r.book.db.commit(&marked); err != nil {
			t.Fatal(err)
		}
		erasing.Store(true)
		if err := r.book.sidecars.Erase(1); err != nil {
			t.Fatal(err)
		}
		c.stopAll()
		if len(half) != 1 {
			t.Fatalf("%d files half written", len(half))
		}
		for path, b := range half {
			if !bytes.Contains(b, side) {
				t.Fatal("zeros were written before the mark")
			}
			clear(b[1024:1536]) // a sector of the zeros
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if rep, err := c.verify("h0"); err != nil || rep.Sidecars != 1 || rep.Purged != 1 {
			t.Errorf("verify: %+v, %v", rep, err)
		}
		c.net = newSimNet(time.Millisecond)
		r = c.start("h0")
		if _, err := r.Sidecar(first.Index); !errors.Is(err, ErrPurged) {
			t.Errorf("half erased: %v", err)
		}
		if got, err := r.Sidecar(second.Index); err != nil || !bytes.Equal(got, other) {
			t.Errorf("sidecar of another transaction: %d bytes, %v", len(got), err)
		}
		c.stopAll()
		c.notThrownAway("h0")
		grep(t, filepath.Join(c.dir, "h0", "sidecars"), side[:64])
	})
}

// Whoever has executed a purge serves the sidecar no more, though it is not erased.
func TestPurgedSidecarIsNotServedBeforeItIsErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		var hold atomic.Bool
		c := newCluster(t, 1, func(o *Options) {
			o.medium.sync = func(f *os.File) error {
				if hold.Load() && strings.Contains(f.Name(), "/blocks/") {
					<-slow
				}
				return nil
			}
		})
		r := c.start("h0")
		side := []byte("sealed")
		early := mustSubmit(t, r, put(t, "bob", "a", []byte("x"), side), side)
		if err := r.book.drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		hold.Store(true)
		late := mustSubmit(t, r, put(t, "bob", "b", []byte("x"), side), side)
		for _, leaf := range []uint64{early.Index, late.Index} {
			if got, err := r.Sidecar(leaf); err != nil || !bytes.Equal(got, side) {
				t.Errorf("before the purge: %q, %v", got, err)
			}
			mustSubmit(t, r, sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, leaf), nil), nil)
			if got, err := r.Sidecar(leaf); !errors.Is(err, ErrPurged) {
				t.Errorf("executed and not written: %q, %v", got, err)
			}
		}
		close(slow)
		c.stopAll()
	})
}
