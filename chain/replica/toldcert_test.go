package replica

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/ward-health/ward/chain"
)

// A certificate that comes while a replica opens is told, too: who opened it has seen no
// more than the one on disk.
func TestCertificateThatComesWhileOpeningIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan uint64, 1)
		r := &Replica{ctx: ctx, savedCert: 19, certs: newCertifier("h0", &chain.Checkpoint{TreeHead: chain.TreeHead{Height: 20}}, nil)}
		r.opt.OnCertified = func(cp *chain.Checkpoint) { told <- cp.Height }
		go r.certifyLoop()
		if got := <-told; got != 20 {
			t.Errorf("told of block %d", got)
		}
		cancel()
	})
}
