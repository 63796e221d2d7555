package fs_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
)

func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "blobs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	s, err := fs.Open(dir, fs.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ref, err := s.Put(ctx, strings.NewReader("ciphertext"))
	fmt.Println(ref, err)
	fmt.Println(store.Verify(ctx, s, ref))
	// Output:
	// bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe <nil>
	// <nil>
}
