package pre

import (
	"fmt"
	"sync"
	"testing"
)

// TestConcurrentUse does everything that works with values one keeps, several
// times at once with the same values: keys, shares, grants, records and the
// encapsulator with its tables. The race detector looks on, the libraries of
// curves included; gnark's functions with fixed arguments overwrite them.
func TestConcurrentUse(t *testing.T) {
	c := newConsortium(t, 4, 3)
	owner, reader := c.identity("p-1@north"), c.identity("dr.lee@south")
	r, sealed := c.put(owner, "lab", "glucose 5.4")
	key := c.extract(owner, "lab")
	inboxKey := c.extract(reader, inbox)
	d, shares := c.grant(owner, "lab", reader)
	access, _ := c.access(r)

	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			h := Header{Record: fmt.Sprint("rec-", i), Owner: owner, Type: "lab", Author: "lab@south"}
			e, _, err := c.writer.Encapsulate(h, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := e.Verify(h); err != nil {
				t.Error(err)
			}
			if _, errs := VerifyBatch([]byte("block"), []*Envelope{e, e}, []Header{h, h}); errs[0] != nil || errs[1] != nil {
				t.Error(errs)
			}
			terms := c.terms(fmt.Sprint("grant-", i))
			g, _, err := key.Grant(terms, reader)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := g.Open(inboxKey); err != nil {
				t.Error(err)
			}
			var got []*Answer
			for _, s := range shares[:3] {
				a, err := s.Reencrypt(d.Grant(), d.Grant().Sharing(), access)
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, a)
			}
			keys, err := d.Open(d.Grant().Sharing(), access, got)
			if err != nil {
				t.Error(err)
				return
			}
			if index, err := keys[0].OpenIndex(sealed); err != nil || string(index) != "glucose 5.4" {
				t.Errorf("index %q, %v", index, err)
			}
		})
	}
	group.Wait()
}
