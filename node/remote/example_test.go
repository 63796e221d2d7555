package remote_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/remote"
)

// The consortium file is all that a client must trust: it has the key that the
// node must prove, and those that a checkpoint must be signed by.
func ExampleNew() {
	var t example
	defer t.end()
	east := apitest.New(&t, "east", time.Now)
	url, _ := apitest.Serve(&t, east, api.Options{}) // elsewhere
	k := apitest.Founding(&t)                        // chain.ParseConsortium of a file

	node, err := remote.New(url, remote.Options{Consortium: k, Member: "east"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	cp, err := node.Checkpoint(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cp.Size, k.Verify(cp))
	// Output: 1 <nil>
}

// example stands in for a test.
type example struct {
	testing.TB
	ends []func()
}

func (*example) Helper()             {}
func (e *example) Cleanup(fn func()) { e.ends = append(e.ends, fn) }
func (*example) Fatal(args ...any)   { panic(fmt.Sprint(args...)) }
func (e *example) end() {
	for _, fn := range e.ends {
		fn()
	}
}
