package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/replicated"
)

func Example() {
	ctx := context.Background()
	s := mem.New()
	ref, err := s.Put(ctx, strings.NewReader("ciphertext"))
	fmt.Println(ref, err)

	blob, err := s.Open(ctx, ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer blob.Close()
	r := blob.NewReader(ctx)
	defer r.Close()
	data, err := io.ReadAll(r)
	fmt.Println(string(data), err)

	err = s.Delete(ctx, ref)
	_, gone := s.Open(ctx, ref)
	fmt.Println(err, errors.Is(gone, store.ErrNotFound))
	// Output:
	// bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe <nil>
	// ciphertext <nil>
	// <nil> true
}

func ExampleDigest() {
	var copied bytes.Buffer
	ob, err := store.Digest(context.Background(), &copied, strings.NewReader("ciphertext"))
	fmt.Println(ob.Ref(), ob.Size(), copied.String(), err)
	// Output: bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe 10 ciphertext <nil>
}

func ExampleParseRef() {
	ref, err := store.ParseRef("bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe")
	fmt.Println(ref, err)
	_, err = store.ParseRef("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")
	fmt.Println(err)
	// Output:
	// bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe <nil>
	// malformed content reference: not a base32 CID of version 1 with SHA-256
}

func ExampleScrub() {
	ctx := context.Background()
	here, there := mem.New(), mem.New()
	ref, err := there.Put(ctx, strings.NewReader("ciphertext"))
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := store.Scrub(ctx, here, store.ScrubOptions{
		Repair: there,
		Expect: func(yield func(store.Ref) bool) { yield(ref) },
	})
	for _, f := range report.Findings {
		fmt.Println(f.Repaired, errors.Is(f.Err, store.ErrNotFound))
	}
	fmt.Println(report.Unrepaired(), err)
	// Output:
	// true true
	// 0 <nil>
}

func ExampleCollect() {
	ctx := context.Background()
	s := mem.New()
	if _, err := s.Put(ctx, strings.NewReader("of an erased record")); err != nil {
		fmt.Println(err)
		return
	}
	report, err := store.Collect(ctx, s, store.CollectOptions{
		MinAge: -1,
		Live:   func(context.Context, store.Ref) (bool, error) { return false, nil },
	})
	fmt.Println(len(report.Deleted), report.Bytes, err)
	// Output: 1 19 <nil>
}

func Example_replicated() {
	ctx := context.Background()
	s, err := replicated.New(replicated.Options{Quorum: 2},
		replicated.Replica{Name: "north", Store: mem.New()},
		replicated.Replica{Name: "south", Store: mem.New()},
		replicated.Replica{Name: "west", Store: mem.New()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ref, err := s.Put(ctx, strings.NewReader("ciphertext"))
	fmt.Println(ref, err)
	fmt.Println(store.Verify(ctx, s, ref))
	// Output:
	// bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe <nil>
	// <nil>
}
