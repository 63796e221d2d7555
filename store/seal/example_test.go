package seal_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/seal"
)

func ExamplePut() {
	ctx := context.Background()
	s := mem.New()

	p, err := seal.Put(ctx, s, strings.NewReader("penicillin allergy"), seal.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := s.Stat(ctx, p.Ref)
	fmt.Println(p.Size, info.Size, err)

	r, err := seal.Open(ctx, s, p)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	plain, err := io.ReadAll(r)
	fmt.Println(string(plain), err)

	// Any part of a large image is read without the rest.
	part := make([]byte, 7)
	_, err = r.ReadAt(part, 11)
	fmt.Println(string(part), err)
	// Output:
	// 18 1224 <nil>
	// penicillin allergy <nil>
	// allergy <nil>
}

func ExampleKey_Identity() {
	key := seal.Key{0: 0x57, 15: 0x52} // from the sealed index
	identity, err := key.Identity()
	// The file to give to: age --decrypt --identity FILE blob | head -c SIZE
	fmt.Println(identity[:16], len(identity), err)
	// Output: AGE-SECRET-KEY-1 74 <nil>
}
