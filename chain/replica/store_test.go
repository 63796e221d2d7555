package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/ward-health/ward/chain"
)

func mustOpenKV(t *testing.T, dir string, o kvOptions) *kv {
	t.Helper()
	s, err := openKV(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contentOf returns everything in the database.
func contentOf(t *testing.T, s *kv) map[string]string {
	t.Helper()
	txn := s.view()
	defer txn.Discard()
	all := map[string]string{}
	err := txn.scan(nil, nil, func(k, v []byte) (bool, error) { all[string(k)] = string(v); return true, nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// someBatch returns a batch of n writes, every fifth of which deletes, and what there
// is after it if before was there.
func someBatch(before map[string]string, round, n int) (*batch, map[string]string) {
	b, after := &batch{}, maps.Clone(before)
	for i := range n {
		k := stateKey(fmt.Appendf(nil, "k%d", (i+round*7)%(n+50)))
		v := bytes.Repeat([]byte{byte(round + 1), byte(i)}, 3000)
		if i%5 == 4 {
			v = nil
		}
		b.set(k, v)
		if delete(after, string(k)); v != nil {
			after[string(k)] = string(v)
		}
	}
	return b, after
}

// What was committed is there after the power has failed, also a batch that is larger
// than a memtable: the disk forgets all that was not flushed.
func TestCommittedIsThereAfterPowerLoss(t *testing.T) {
	disk := vfs.NewCrashableMem()
	want := map[string]string{}
	s := mustOpenKV(t, "state", kvOptions{medium: medium{fs: disk}})
	for round, n := range []int{1, 40, memTable/6000 + 50, 3, 300} {
		var b *batch
		b, want = someBatch(want, round, n)
		if err := s.commit(b); err != nil {
			t.Fatal(err)
		}
		crashed := disk.CrashClone(vfs.CrashCloneCfg{})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		disk = crashed
		s = mustOpenKV(t, "state", kvOptions{medium: medium{fs: disk}})
		if got := contentOf(t, s); !maps.Equal(got, want) {
			t.Fatalf("after a batch of %d writes: %d keys, want %d", n, len(got), len(want))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A batch is there as a whole or not at all, wherever the disk stops to take it, and
// whether or not the rest of what was written survives.
func TestBatchIsAtomicOnAFullDisk(t *testing.T) {
	before, after := 0, 0
	r := rand.New(rand.NewPCG(1, 2))
	for left := range 12 {
		disk := vfs.NewCrashableMem()
		counting, full := false, left
		fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if counting && strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
				if full--; full < 0 {
					return syscall.ENOSPC
				}
			}
			return nil
		}))
		s := mustOpenKV(t, "state", kvOptions{medium: medium{fs: fs}})
		old, had := someBatch(map[string]string{}, 0, 10)
		if err := s.commit(old); err != nil {
			t.Fatal(err)
		}
		next, has := someBatch(had, 1, 15)
		counting = true
		err := s.commit(next)
		if err != nil && !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
			t.Fatal(err)
		}
		crashed := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: r})
		counting = false
		_ = s.Close() // the disk was full
		s = mustOpenKV(t, "state", kvOptions{medium: medium{fs: crashed}})
		switch got := contentOf(t, s); {
		case maps.Equal(got, has):
			after++
		case maps.Equal(got, had) && err != nil:
			before++
		default:
			t.Fatalf("full after %d operations (%v): %d keys, before %d, after %d", left, err, len(got), len(had), len(has))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if before == 0 || after == 0 {
		t.Errorf("%d times nothing, %d times everything", before, after)
	}
}

// A value that is not what was written is reported, not returned.
func TestWrongValueInStateIsReported(t *testing.T) {
	s := mustOpenKV(t, t.TempDir(), kvOptions{medium: medium{simulated: true}})
	defer s.Close()
	key := numKey(keyLeaves, 7)
	for name, raw := range map[string][]byte{
		"other bytes":       binary.BigEndian.AppendUint32([]byte("w"), checksum(key, []byte("v"))),
		"other key's":       binary.BigEndian.AppendUint32([]byte("v"), checksum(numKey(keyLeaves, 6), []byte("v"))),
		"cut":               {1, 2, 3},
		"nothing but a sum": binary.BigEndian.AppendUint32(nil, checksum(key, nil)),
		"empty":             {},
	} {
		if err := s.db.Set(key, raw, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		v := s.view()
		if got, err := v.get(key); !isDamage(err) {
			t.Errorf("%s: get %q, %v", name, got, err)
		}
		if err := v.scan(key, nil, func(k, v []byte) (bool, error) { return true, nil }); !isDamage(err) {
			t.Errorf("%s: scan: %v", name, err)
		}
		if _, _, _, err := v.floor(keyLeaves, 7); !isDamage(err) {
			t.Errorf("%s: floor: %v", name, err)
		}
		v.Discard()
	}
}

// Damage in a table is reported by whoever reads it, and by a compaction that nobody
// waits for.
func TestDamagedTableIsReported(t *testing.T) {
	dir := t.TempDir()
	m := medium{simulated: true}
	s := mustOpenKV(t, dir, kvOptions{medium: m})
	b, _ := someBatch(map[string]string{}, 0, 100)
	if err := errors.Join(s.commit(b), s.db.Flush(), s.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("%v, %v", tables, err)
	}
	raw, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/3] ^= 1
	if err := os.WriteFile(tables[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	told, opened := make(chan error, 1), make(chan struct{})
	s = mustOpenKV(t, dir, kvOptions{medium: m, onDamage: func(err error) {
		<-opened
		s.view().Discard() // Pebble does not hold its lock meanwhile
		told <- err
	}})
	close(opened)
	txn := s.view()
	if err := txn.scan(nil, nil, func(k, v []byte) (bool, error) { return true, nil }); !isDamage(err) {
		t.Errorf("scan: %v", err)
	}
	found := 0
	for i := range 100 {
		if _, err := txn.get(stateKey(fmt.Appendf(nil, "k%d", i))); isDamage(err) {
			found++
		} else if err != nil {
			t.Error(err)
		}
	}
	if found == 0 {
		t.Error("get: no damage")
	}
	txn.Discard()
	b, _ = someBatch(map[string]string{}, 1, 100)
	if err := errors.Join(s.commit(b), s.db.Flush()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	compacted := make(chan error, 1)
	go func() { compacted <- s.db.Compact(ctx, []byte{0}, []byte{0xff}, false) }() // it tries again and again
	if err := <-told; !isDamage(err) {
		t.Errorf("told %v", err)
	}
	cancel()
	<-compacted
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A store of which a file is missing is damaged, or has what its other files say.
func TestMissingFileOfTheState(t *testing.T) {
	for pattern, want := range map[string]bool{"*.sst": true, "MANIFEST-*": true, "marker.format-version.*": true, "OPTIONS-*": false} {
		dir := t.TempDir()
		m := medium{simulated: true}
		s := mustOpenKV(t, dir, kvOptions{medium: m})
		b, after := someBatch(map[string]string{}, 0, 20)
		if err := errors.Join(s.commit(b), s.db.Flush(), s.Close()); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range files {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		s, err = openKV(dir, kvOptions{medium: m})
		if repairable(err) != want {
			t.Errorf("%s: %v", pattern, err)
		}
		if err == nil {
			if got := contentOf(t, s); !maps.Equal(got, after) {
				t.Errorf("%s: %d keys, want %d", pattern, len(got), len(after))
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAfterPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"": "", "a": "b", "ab": "ac", "a\xff": "b", "\xff\xff": "", "\x00": "\x01"} {
		if got := after([]byte(prefix)); string(got) != want || (got == nil) != (want == "") {
			t.Errorf("after %q: %q", prefix, got)
		}
	}
}

// The greatest key that is not above a number, of its own kind.
func TestFloor(t *testing.T) {
	s := mustOpenKV(t, t.TempDir(), kvOptions{medium: medium{simulated: true}})
	defer s.Close()
	var b batch
	for _, n := range []uint64{3, 9, 1 << 40} {
		b.set(numKey(keyLeaves, n), binary.BigEndian.AppendUint64(nil, n))
	}
	b.set(numKey(keyLeaves-1, 5), []byte("another kind"))
	b.set(numKey(keyLeaves+1, 1), []byte("another kind"))
	if err := s.commit(&b); err != nil {
		t.Fatal(err)
	}
	txn := s.view()
	defer txn.Discard()
	for n, want := range map[uint64]uint64{2: 0, 3: 3, 8: 3, 9: 9, 10: 9, 1<<40 - 1: 9, 1 << 40: 1 << 40, ^uint64(0): 1 << 40} {
		got, v, ok, err := txn.floor(keyLeaves, n)
		if err != nil || ok != (want != 0) || got != want || ok && binary.BigEndian.Uint64(v) != want {
			t.Errorf("floor of %d: %d, %v, %v", n, got, ok, err)
		}
	}
}

// A block may write more than a memtable holds.
func TestBlockLargerThanAMemtable(t *testing.T) {
	const size, n = 8000, 400 // beside simulated memtables of 1 MiB
	c := newCluster(t, 1, nil)
	r := c.start("h0")
	var txs []*chain.Tx
	for i := range n {
		txs = append(txs, put(t, "alice", fmt.Sprint("k", i), bytes.Repeat([]byte{byte(i)}, size), nil))
	}
	r.opt.MaxBlockBytes = 2 << 20
	out, err := r.SubmitAll(within(t, time.Minute), txs, nil)
	if err != nil {
		t.Fatal(err)
	}
	heights := map[uint64]int{}
	for _, o := range out {
		if o.Err != nil || o.Receipt.Result.Code != "" {
			t.Fatalf("%v %+v", o.Err, o.Receipt)
		}
		heights[o.Receipt.Result.Height]++
	}
	c.stop("h0")
	r = c.start("h0")
	if err := r.Scrub(); err != nil {
		t.Fatal(err)
	}
	largest := 0
	for _, n := range heights {
		largest = max(largest, n)
	}
	if largest*size <= 1<<20 {
		t.Errorf("largest block has %d transactions", largest)
	}
	c.stopAll()
}
