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

// Transactions above the state of a block, one after the other in one overlay, do
// to it what they would do to a map: all they wrote if they succeed, and nothing
// otherwise.
func TestOverlaysBehaveLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[ab]{1,3}`)
		base := mapReader(rapid.MapOf(key, rapid.SliceOfN(rapid.Byte(), 1, 2)).Draw(t, "base"))
		model := maps.Clone(base)
		state := newBlockState(base, 0)
		tx := newOverlay(state, 0)
		for range rapid.IntRange(0, 4).Draw(t, "transactions") {
			tx.reset()
			inside := maps.Clone(model)
			for range rapid.IntRange(0, 12).Draw(t, "steps") {
				k := key.Draw(t, "key")
				v := rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "value")
				switch rapid.SampledFrom([]string{"set", "set", "delete", "compare"}).Draw(t, "step") {
				case "delete":
					tx.set(k, nil)
					delete(inside, k)
				case "set":
					v = append(v, 1)
					tx.set(k, v)
					inside[k] = v
				case "compare":
					compare(t, "transaction", tx, inside)
				}
			}
			compare(t, "transaction", tx, inside)
			compare(t, "block beside it", state, model)
			if rapid.Bool().Draw(t, "succeeds") {
				state.commit(tx)
				model = inside
			}
			compare(t, "block", state, model)
		}
		changed := maps.Clone(base)
		var last string
		for _, c := range state.sorted() {
			if c.key <= last {
				t.Fatalf("%q is listed after %q", c.key, last)
			}
			last = c.key
			if old, err := state.remember(c, []byte(c.key)); err != nil || !bytes.Equal(old, base[c.key]) {
				t.Fatalf("%q was %x (%v), want %x", c.key, old, err, base[c.key])
			}
			if changed[c.key] = c.value; c.value == nil {
				delete(changed, c.key)
			}
		}
		if !maps.EqualFunc(changed, model, bytes.Equal) {
			t.Fatalf("the block leaves %v, want %v", changed, model)
		}
	})
}

// compare compares one key and one scan.
func compare(t *rapid.T, what string, r Reader, model mapReader) {
	k := rapid.StringMatching(`[ab]{1,3}`).Draw(t, "get")
	if got, err := r.Get([]byte(k)); err != nil || !bytes.Equal(got, model[k]) {
		t.Fatalf("%s: Get(%q) = %x, %v, want %x", what, k, got, err, model[k])
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
	if got, want := scan(r), scan(model); !slices.Equal(got, want) {
		t.Fatalf("%s: Scan(%q, %q) = %v, want %v", what, prefix, start, got, want)
	}
}
