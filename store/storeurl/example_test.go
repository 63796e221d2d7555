package storeurl_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/ward-health/ward/store/storeurl"
)

func ExampleOpen() {
	ctx := context.Background()
	s, err := storeurl.Open(ctx, storeurl.Options{}, "mem:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	ref, err := s.Put(ctx, strings.NewReader("ciphertext"))
	fmt.Println(ref, err)
	// Output: bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe <nil>
}

func ExampleParse() {
	_, err := storeurl.Parse("s3:https://key:password@s3.example.org/bucket")
	fmt.Println(err)
	// Output: store URL: secrets do not belong in a store URL
}
