package replica

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Four of six members certify the block in which one of the four leaves. The two others
// have executed it, one of them is started again, and the signature of the one who left
// is nowhere but in the certificate: it counts under the file in force for that block.
func TestCertificateOfAChangeCountsUnderTheFileBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var apart atomic.Bool // no cosignature or certificate passes between h3, h4 and the others
		other := func(name string) bool { return name == "h3" || name == "h4" }
		c := newCluster(t, 6, func(o *Options) {
			self := o.Member
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					if (kind == rpcCosign || kind == rpcCheckpoint) && apart.Load() && other(from) != other(self) {
						return nil, errors.New("lost")
					}
					return honest(ctx, from, kind, body)
				}
			}
		})
		c.startAll()
		c.load(2)
		c.sameHead()
		apart.Store(true)
		_, leave := nextConsortium(t, c.consortium, c.consortium.Members[:5])
		ctx := within(t, 10*time.Minute)
		rc, err := c.nodes["h0"].Submit(ctx, leave, nil)
		if err != nil {
			t.Fatal(err)
		}
		height := rc.Checkpoint.Height
		time.Sleep(10 * time.Second) // the others take h5 out
		c.stop("h5")
		c.stop("h4")
		if cp := c.start("h4").Checkpoint(); cp != nil && cp.Height >= height {
			t.Fatal("h4 has the certificate already")
		}
		apart.Store(false)
		for name, r := range c.nodes {
			if err := r.Read(within(t, time.Minute), func(*View) error { return nil }); err != nil {
				t.Errorf("%s: read: %v", name, err)
			}
			if cp := r.Checkpoint(); cp == nil || cp.Height != height || r.book.Head().Header.Height != height {
				t.Errorf("%s: at block %d, certified is %v", name, r.book.Head().Header.Height, cp)
			}
		}
		c.stopAll()
	})
}
