package replica

import (
	"slices"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
)

// Who is asked first is who gave much, and soon; after a poor answer the others come
// before, in the order of the time that they took for what they gave.
func TestTurns(t *testing.T) {
	members := []chain.Member{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	who := turns{first: 1}
	expect := func(want ...string) {
		t.Helper()
		if got := who.order(members); !slices.Equal(got, want) {
			t.Errorf("asked in the order %v, want %v", got, want)
		}
	}
	second := time.Second
	expect("b", "c", "a")
	who.note("b", second, 100, true, second)
	expect("b", "c", "a")
	who.note("b", slowAnswer*second, 100, true, second)
	expect("b", "c", "a")
	who.note("b", slowAnswer*second+1, 100, true, second) // slow
	expect("c", "a", "b")
	who.note("c", second, 99, false, second) // not all
	expect("a", "c", "b")
	who.note("a", 20*second, 0, false, second)
	expect("c", "b", "a")
	who.note("c", 20*second, 1, false, second)
	expect("b", "c", "a")
	who.note("a", second, 3000, true, second)
	expect("a", "b", "c")
	members = append(members[1:], chain.Member{Name: "d"}) // the consortium changes
	expect("d", "b", "c")
}
