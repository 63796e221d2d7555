package ledger

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// mapReader is the plainest Reader there is.
type mapReader map[string][]byte

func (m mapReader) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

func (m mapReader) Scan(prefix, start []byte, fn func(key, value []byte) bool) error {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(k, string(prefix)) && k >= string(start) && !fn([]byte(k), m[k]) {
			return nil
		}
	}
	return nil
}

// Two overlays above a map behave like one map.
func TestOverlayBehavesLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[ab]{1,3}`)
		base := mapReader(rapid.MapOf(key, rapid.SliceOfN(rapid.Byte(), 1, 2)).Draw(t, "base"))
		model := mapReader(maps.Clone(base))
		lower := newOverlay(base, 0)
		upper := newOverlay(lower, 0)
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			o := rapid.SampledFrom([]*overlay{lower, upper}).Draw(t, "overlay")
			if o == lower && len(upper.keys) > 0 {
				continue // the lower one rests while a transaction runs
			}
			k := key.Draw(t, "key")
			v := rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "value")
			if len(v) == 0 {
				o.set(k, nil)
				delete(model, k)
			} else {
				o.set(k, v)
				model[k] = v
			}
		}
		k := key.Draw(t, "get")
		got, err := upper.Get([]byte(k))
		if err != nil || !bytes.Equal(got, model[k]) {
			t.Fatalf("Get(%q) = %x, %v, want %x", k, got, err, model[k])
		}
		prefix := rapid.SampledFrom([]string{"", "a", "b", "ab", "bb"}).Draw(t, "prefix")
		start := rapid.SampledFrom([]string{"", "a", "aab", "b", "ba", "c"}).Draw(t, "start")
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		scan := func(r Reader) (out []string) {
			if err := r.Scan([]byte(prefix), []byte(start), func(k, v []byte) bool {
				out = append(out, fmt.Sprintf("%s=%x", k, v))
				return len(out) < limit
			}); err != nil {
				t.Fatal(err)
			}
			return out
		}
		if got, want := scan(upper), scan(model); !slices.Equal(got, want) {
			t.Fatalf("Scan(%q, %q) = %v, want %v", prefix, start, got, want)
		}
	})
}

func TestReplayRecordsAreStrict(t *testing.T) {
	good := replayRecord{height: 7, first: 3, until: 9, ids: make([]byte, 2*idSize)}
	key := append([]byte(keyReplay), 0, 0, 0, 0, 0, 0, 0, 7)
	got, err := parseReplayRecord(key, good.bytes())
	if err != nil || got.height != 7 || got.first != 3 || got.until != 9 || got.count() != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, bad := range map[string][2][]byte{
		"short key":     {key[:9], good.bytes()},
		"short value":   {key, good.bytes()[:15]},
		"half an id":    {key, good.bytes()[:20]},
		"negative time": {key, append(make([]byte, 8), 0xff, 0, 0, 0, 0, 0, 0, 0)},
	} {
		if _, err := parseReplayRecord(bad[0], bad[1]); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A window that is full refuses, and takes up again when ids expire.
func TestFullWindowIsBusy(t *testing.T) {
	x, err := NewExecutor(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &blockRun{x: x, live: MaxWindow - 1, budget: maxBlockWrites}
	if b.full() {
		t.Error("full with one place left")
	}
	b.record.ids = make([]byte, idSize)
	if !b.full() {
		t.Error("not full at the limit")
	}
	b.record.ids, b.budget = nil, maxTxWrites-1
	if !b.full() {
		t.Error("not full without room for what one transaction may write")
	}
}
