package replica

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
)

// A batch that takes many transactions is written as a whole or not at all,
// wherever it is cut off.
func TestLargeBatchIsAtomic(t *testing.T) {
	dir := t.TempDir()
	allowed := 1 << 30
	m := medium{simulated: true, commit: func() error {
		if allowed--; allowed < 0 {
			return errPowerOff
		}
		return nil
	}}
	open := func() *kv {
		t.Helper()
		s, err := openKV(filepath.Join(dir, "state"), m)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	content := func(s *kv) map[string]string {
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
	value := func(round, i int) []byte { return bytes.Repeat([]byte{byte(round + 1), byte(i)}, 3000) }
	s := open()
	before := content(s)
	undone, done := 0, 0
	for round, last := 0, false; !last; round++ {
		var b batch
		want := maps.Clone(before)
		for i := range 120 {
			k := stateKey(fmt.Appendf(nil, "k%d", (i+round*7)%200))
			v := value(round, i)
			if i%5 == 4 {
				v = nil // deletes
			}
			b.set(k, v)
			if delete(want, string(k)); v != nil {
				want[string(k)] = string(v)
			}
		}
		b.set(metaKey('h'), []byte{byte(round)})
		want[string(metaKey('h'))] = string([]byte{byte(round)})
		if maxBytes, _ := s.room(); b.bytes <= maxBytes {
			t.Fatal("the batch is not large")
		}
		allowed = round
		err := s.commit(&b)
		last = err == nil
		if err != nil && !errors.Is(err, errPowerOff) {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		allowed = round % 4 // it fails while it is put back, too
		s = open()
		for s.putBack() != nil {
			allowed = round
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
		}
		allowed = 1 << 30
		if err := s.putBack(); err != nil {
			t.Fatal(err)
		}
		switch got := content(s); {
		case maps.Equal(got, before):
			undone++
		case maps.Equal(got, want):
			done++
		default:
			t.Fatalf("cut off after %d transactions: %d keys, before %d, after %d", round, len(got), len(before), len(want))
		}
		before = content(s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if undone < 5 || done < 2 {
		t.Errorf("%d times nothing, %d times everything", undone, done)
	}
}

// A block may write more than Badger takes at once.
func TestBlockLargerThanATransaction(t *testing.T) {
	c := newCluster(t, 1, nil)
	r := c.start("h0")
	maxBytes, _ := r.book.db.room()
	var txs []*chain.Tx
	for i := range maxBytes/8000 + 1 {
		txs = append(txs, put(t, "alice", fmt.Sprint("k", i), bytes.Repeat([]byte{byte(i)}, 8000), nil))
	}
	r.opt.MaxBlockBytes = 1 << 20
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
	if largest*8000 <= maxBytes {
		t.Errorf("largest block has %d transactions", largest)
	}
	c.stopAll()
}
