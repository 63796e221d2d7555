package replicated_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/replicated"
)

func ExampleNew() {
	north, south, west := mem.New(), mem.New(), mem.New()
	s, err := replicated.New(replicated.Options{Quorum: 2},
		replicated.Replica{Name: "north", Store: north},
		replicated.Replica{Name: "south", Store: south},
		replicated.Replica{Name: "west", Store: west},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	ctx := context.Background()
	ref, err := s.Put(ctx, strings.NewReader("ciphertext"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("north loses it:", north.Delete(ctx, ref))
	fmt.Println("still readable:", store.Verify(ctx, s, ref))

	inUse := func(context.Context, store.Ref) (bool, error) { return true, nil }
	reports, err := s.Scrub(ctx, replicated.ScrubOptions{Live: inUse})
	fmt.Println("repaired in north:", reports["north"].Findings[0].Repaired, err)
	fmt.Println("north has it:", store.Verify(ctx, north, ref))
	// Output:
	// north loses it: <nil>
	// still readable: <nil>
	// repaired in north: true <nil>
	// north has it: <nil>
}
