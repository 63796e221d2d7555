package replica

import (
	"slices"
	"testing"
	"testing/synctest"
)

// The operator has a file of the epoch in force that never came into force. What the
// chain says goes first, as soon as the replica is opened.
func TestTheChainGoesBeforeTheFileOfTheOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, nil)
		c.startAll()
		c.load(2)
		idle, _ := nextConsortium(t, c.consortium, c.consortium.Members[1:])
		inForce, tx := nextConsortium(t, c.consortium, append(slices.Clone(c.consortium.Members), testMember("h4")))
		submitChange(t, c.nodes["h0"], c.consortium, tx)
		c.sameHead()
		c.stop("h0")
		c.tune = func(o *Options) { o.Known = idle }
		r := c.start("h0")
		if got := r.Consortium(); got.Epoch != 1 || len(got.Members) != len(inForce.Members) {
			t.Errorf("goes by %+v", got)
		}
		newer, _ := nextConsortium(t, inForce, inForce.Members[1:])
		c.stop("h0")
		c.tune = func(o *Options) { o.Known = newer }
		if got := c.start("h0").Consortium(); got.Epoch != 2 {
			t.Errorf("of a newer file: goes by %+v", got)
		}
		c.stopAll()
	})
}
