package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/pre"
)

// inParts lets a ceremony of four members move two grants, so that five take
// three ceremonies.
func inParts(o *devnet.Options) {
	before := o.Node
	o.Node = func(c *node.Config) {
		if before != nil {
			before(c)
		}
		tune := c.Replica
		c.Replica = func(r *replica.Options) {
			tune(r)
			r.Contracts[keys.Contract] = keys.NewWithTestingLimits(consent.Live, keys.Limits{Writes: 16 << 10, Looks: 100, Room: 2 * 272, Rounds: 8})
		}
	}
}

// sharedWorld has an owner with records of five types, each granted to a reader.
type sharedWorld struct {
	*world
	author, owner, reader *person
	records               []record.ID
	grants                []consent.GrantID
}

func share(w *world) *sharedWorld {
	s := &sharedWorld{world: w, author: w.person("dr.chen@east", "author"), owner: w.person("p-1@north"), reader: w.person("dr.lee@south")}
	for i := range 5 {
		s.add(i)
	}
	w.quiet()
	return s
}

func (s *sharedWorld) add(i int) {
	typ := pre.Type(fmt.Sprintf("type%d", i))
	s.records = append(s.records, s.put(s.author, s.owner.Name(), typ, string(typ)))
	s.grants = append(s.grants, s.grant(s.owner, s.reader.Name(), typ))
}

// readAll reads every record but those of grants that were revoked.
func (s *sharedWorld) readAll(by *person, revoked ...int) {
	s.t.Helper()
	for i, id := range s.records {
		_, err := s.read(by, id)
		gone := false
		for _, r := range revoked {
			gone = gone || r == i
		}
		if gone != (err != nil) {
			s.t.Errorf("record %d: %v", i, err)
		}
	}
}

// left returns the vault files of members that match a pattern.
func (s *sharedWorld) left(pattern string, members ...int) (list []string) {
	s.t.Helper()
	for _, i := range members {
		found, err := filepath.Glob(filepath.Join(s.Dir(), s.Name(i), "vault", pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

func (s *sharedWorld) authority() *keys.Authority {
	s.t.Helper()
	a, err := s.Node(0).Authority(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// TestMoreGrantsThanOneCeremonyMoves are handed over in parts, while people
// read, grant and revoke; and every share of the time before is gone after it.
func TestMoreGrantsThanOneCeremonyMoves(t *testing.T) {
	inWorld(t, 4, inParts, func(w *world) {
		s := share(w)
		if _, err := w.Node(0).OpenCeremony(w.ctx, devnet.Windows); err != nil {
			t.Fatal(err)
		}
		w.until("the first part is under way", func() bool {
			p, err := w.Node(1).Proposal(w.ctx)
			return err == nil && p.Handover.Has(p.About) && w.Node(1).Status().Ceremony == "handing over"
		})
		s.add(5) // nothing stands still meanwhile
		if err := s.owner.Revoke(w.ctx, s.grants[1], ward.RevokeOptions{}); err != nil {
			t.Fatal(err)
		}
		s.readAll(s.reader, 1)
		w.until("everything has moved", func() bool {
			for i := range w.Len() {
				if st := w.Node(i).Status(); st.Generation != 2 || st.Ceremony != "completed" {
					return false
				}
			}
			return true
		})
		if a := s.authority(); !a.Complete || a.Ceremony < 4 {
			t.Errorf("authority is %+v", a)
		}
		s.readAll(s.now(s.reader, 0), 1)
		w.until("older shares are erased", func() bool {
			return len(s.left("grant/*/*.1", 0, 1, 2, 3))+len(s.left("*/*/1", 0, 1, 2, 3))+len(s.left("ceremony/*/*", 0, 1, 2, 3)) == 0
		})
		if err := s.now(s.owner, 0).Revoke(w.ctx, s.grants[0], ward.RevokeOptions{}); err != nil {
			t.Fatal(err)
		}
		s.readAll(s.now(s.reader, 1), 0, 1)
	})
}

// TestNodeThatMissesTheEndOfAPart has confirmed that it holds the shares of it,
// and keeps them, though the next part began while it was away: others count on
// it.
func TestNodeThatMissesTheEndOfAPart(t *testing.T) {
	const away = 3
	inWorld(t, 4, inParts, func(w *world) {
		s := share(w)
		windows := [4]keys.Window{{Milliseconds: 60_000}, {Milliseconds: 60_000}, {Milliseconds: 2000}, {Milliseconds: 60_000}}
		if _, err := w.Node(0).OpenCeremony(w.ctx, windows); err != nil {
			t.Fatal(err)
		}
		var path string
		var state []byte
		w.until("the second part has begun", func() bool {
			for _, path = range s.left("ceremony/*/2", away) {
				if b, err := os.ReadFile(path); err == nil {
					state = b
				}
			}
			p, err := w.Node(away).Proposal(w.ctx)
			return err == nil && p.Ceremony.Number == 3 && len(s.left("grant/*/*.2", away)) == 2
		})
		// Its disk as it was before the result came.
		w.stop(away)
		for _, file := range s.left("grant/*/*.2", away) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, state, 0o600); err != nil {
			t.Fatal(err)
		}
		w.restart(away)
		w.settle()
		w.until("everything has moved", func() bool {
			for i := range w.Len() {
				if w.Node(i).Status().Generation != 2 {
					return false
				}
			}
			return len(s.left("grant/*/*.2", away)) == len(s.grants)
		})
		s.readAll(s.now(s.reader, away))
	})
}

// TestOneWordAcceptsAHandOver: an operator is asked once, not for every part;
// and is asked again for the next hand-over.
func TestOneWordAcceptsAHandOver(t *testing.T) {
	asking := func(o *devnet.Options) {
		o.WithoutKeys = true
		o.Node = func(c *node.Config) { c.AskCeremony = true }
		inParts(o)
	}
	inWorld(t, 4, asking, func(w *world) {
		accept := func() {
			c, err := w.Node(0).OpenCeremony(w.ctx, devnet.Windows)
			if err != nil {
				t.Fatal(err)
			}
			for i := range w.Len() {
				var p *node.Proposal
				w.until("the proposal is here", func() bool {
					p, err = w.Node(i).Proposal(w.ctx)
					return err == nil && p.Ceremony.Number == c.Number
				})
				if p.Accepted {
					t.Errorf("%s takes part unasked in ceremony %d", w.Name(i), c.Number)
				}
				if err := w.Node(i).AcceptCeremony(w.ctx, p.Hash); err != nil {
					t.Fatal(err)
				}
			}
		}
		accept()
		w.settle()
		s := share(w)
		accept()
		w.until("everything has moved", func() bool {
			st := w.Node(0).Status()
			return st.Generation == 2 && st.Ceremony == "completed"
		})
		s.readAll(s.now(s.reader, 0))
		accept()
		w.until("everything has moved again", func() bool { return w.Node(0).Status().Generation == 5 })
	})
}

// TestNobodyGoesOnWithAHandOverUnasked: one operator has accepted, and his node
// is gone when the next part is due.
func TestNobodyGoesOnWithAHandOverUnasked(t *testing.T) {
	const willing = 3 // the last whose turn it is
	var asking atomic.Bool
	tune := func(o *devnet.Options) {
		o.Node = func(c *node.Config) { c.AskCeremony = asking.Load() }
		inParts(o)
	}
	inWorld(t, 4, tune, func(w *world) {
		share(w)
		// From now on the others ask.
		for i := range willing {
			w.stop(i)
		}
		asking.Store(true)
		for i := range willing {
			w.restart(i)
		}
		w.settle()
		windows := [4]keys.Window{{Milliseconds: 500}, {Milliseconds: 500}, {Milliseconds: 500}, {Milliseconds: 5000}}
		if _, err := w.Node(willing).OpenCeremony(w.ctx, windows); err != nil {
			t.Fatal(err)
		}
		newest := func(i int) *keys.Ceremony {
			p, err := w.Node(i).Proposal(w.ctx)
			if err != nil {
				t.Fatal(err)
			}
			return p.Ceremony
		}
		w.until("the first part is given up", func() bool { return newest(willing).State == keys.Aborted })
		w.stop(willing)
		w.settle()
		<-time.After(5 * time.Minute) // virtual
		if c := newest(0); c.Number != 2 || c.State != keys.Aborted {
			t.Errorf("a node opens a part that its operator was not asked about: %+v", c)
		}
	})
}

// TestAMemberThatIsDownDelaysAHandOverOnly: its parts wait for late members and
// go on, and older shares stay as long as they are needed.
func TestAMemberThatIsDownDelaysAHandOverOnly(t *testing.T) {
	const down = 2
	inWorld(t, 4, inParts, func(w *world) {
		s := share(w)
		w.stop(down)
		windows := [4]keys.Window{{Milliseconds: 500}, {Milliseconds: 500}, {Milliseconds: 500}, {Milliseconds: 5000}}
		if _, err := w.Node(0).OpenCeremony(w.ctx, windows); err != nil {
			t.Fatal(err)
		}
		// A grant that is revoked between two parts leaves no share of either time.
		var shares []string
		w.until("the first part is done", func() bool { shares = s.left("grant/*/*.2", 0); return len(shares) == 2 })
		id := strings.TrimSuffix(filepath.Base(shares[0]), ".2")
		if err := s.now(s.owner, 0).Revoke(w.ctx, consent.GrantID(id), ward.RevokeOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until("its shares are erased", func() bool { return len(s.left("grant/*/"+id+".*", 0, 1, 3)) == 0 })
		if a := s.authority(); a.Generation != 1 {
			t.Fatalf("authority is %+v", a)
		}
		revoked := slices.Index(s.grants, consent.GrantID(id))
		w.until("everything has moved", func() bool { return w.Node(0).Status().Generation == 2 })
		s.readAll(s.now(s.reader, 0), revoked)
		if a := s.authority(); a.Complete {
			t.Errorf("authority is %+v", a)
		}
		if n := len(s.left("grant/*/*.1", 0)); n != len(s.grants)-1 {
			t.Errorf("%d older shares are left, want all", n)
		}
		w.restart(down)
		w.settle()
		s.readAll(s.now(s.reader, 0), revoked)
	})
}
