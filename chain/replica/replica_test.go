package replica

import (
	"bytes"
	"context"
	"flag"
	"os"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// TestMain looks for goroutines that nobody waits for. It collects garbage less often
// than usual, except where memory or speed is measured: a simulated cluster has
// little that stays, and makes much that does not.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(childEnv) == "" && flag.Lookup("test.bench").Value.String() == "" {
		debug.SetGCPercent(400)
	}
	goleak.VerifyTestMain(m)
}

func TestOneMember(t *testing.T) {
	c := newCluster(t, 1, nil)
	r := c.start("h0")
	rc := mustSubmit(t, r, put(t, "alice", "k", []byte("v"), nil), nil)
	if rc.Result.Code != "" {
		t.Fatalf("result %q", rc.Result.Code)
	}
	var got []byte
	err := r.Read(within(t, time.Minute), func(v *View) (err error) {
		got, err = v.Of("kv").Get([]byte("k"))
		return err
	})
	if err != nil || !bytes.Equal(got, []byte("v")) {
		t.Fatalf("read %q, %v", got, err)
	}
	c.stopAll()
}

func TestThreeMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		for i := range 20 {
			name := memberName(i % 3)
			mustSubmit(t, c.nodes[name], put(t, "alice", "k", []byte{byte(i + 1)}, nil), nil)
			for _, r := range c.nodes {
				err := r.Read(context.Background(), func(v *View) error {
					got, err := v.Of("kv").Get([]byte("k"))
					if !bytes.Equal(got, []byte{byte(i + 1)}) {
						t.Errorf("after %d: read %v", i, got)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		c.stopAll()
	})
}
