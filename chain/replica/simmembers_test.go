package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ward-health/ward/chain"
)

// simPatience is how long something may take that must happen in the end.
const simPatience = 5 * time.Minute

func (s *simulation) disk(name string) *simDisk {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disks[name] == nil {
		s.disks[name] = newSimDisk()
		s.disks[name].many = func() {
			s.t.Errorf("%s has made %d files", name, simFilesMax)
			s.describe()
		}
	}
	return s.disks[name]
}

// verify checks a receipt under one of the consortium files there were.
func (s *simulation) verify(rc *chain.Receipt) (*chain.Tx, error) {
	s.mu.Lock()
	files := slices.Clone(s.announced)
	s.mu.Unlock()
	var errs []error
	for _, k := range slices.Backward(files) {
		tx, err := rc.Verify(k)
		if err == nil {
			return tx, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// changeMembers lets a member join and another leave, while everything else goes
// wrong. It returns when both are done: after the schedule at the latest.
func (s *simulation) changeMembers(r *rand.Rand) {
	time.Sleep(time.Duration(1+r.IntN(6000)) * time.Millisecond)
	s.mu.Lock()
	first := s.files[0]
	s.mu.Unlock()
	name := memberName(len(first.Members))
	next := s.change(r, first, append(slices.Clone(first.Members), testMember(name)))
	s.mu.Lock()
	s.joined[name] = next
	s.files = append(s.files, next)
	s.mu.Unlock()
	s.startMissing(true)
	for begin := time.Now(); !s.votes(name); time.Sleep(200 * time.Millisecond) {
		// An operator goes on when the one who joined is there: its file does
		// not tell it who certifies after the next change.
		if time.Since(begin) > simPatience {
			s.t.Errorf("%s does not get a vote", name)
			s.describe()
			return
		}
	}
	time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
	leaves := r.IntN(len(next.Members))
	last := s.change(r, next, slices.Delete(slices.Clone(next.Members), leaves, leaves+1))
	s.mu.Lock()
	s.files = append(s.files, last)
	s.mu.Unlock()
	// Nor does he switch off who leaves before the others have taken it out.
	for begin := time.Now(); !s.outvoted(next.Members[leaves].Name, last); time.Sleep(200 * time.Millisecond) {
		if time.Since(begin) > simPatience {
			s.t.Errorf("%s keeps its vote", next.Members[leaves].Name)
			s.describe()
			return
		}
	}
	time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
	s.mu.Lock()
	gone := s.nodes[next.Members[leaves].Name]
	delete(s.nodes, next.Members[leaves].Name)
	s.mu.Unlock()
	if gone != nil {
		gone.Close() // it may have halted
	}
}

// votes reports whether a member has a vote in Raft, as some other sees it.
func (s *simulation) votes(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, node := range s.nodes {
		if node.opt.Member != name && slices.Contains(voters(node), name) {
			return true
		}
	}
	return false
}

// leaves reports whether the newest consortium file is without a member.
func (s *simulation) leaves(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.announced[len(s.announced)-1].Member(name) == nil
}

// outvoted reports whether a majority of the members of a file gives a vote to
// those only, and so not to the one who left.
func (s *simulation) outvoted(name string, k *chain.Consortium) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, m := range k.Members {
		if node := s.nodes[m.Name]; node != nil && !slices.Contains(voters(node), name) {
			n++
		}
	}
	return 2*n > len(k.Members)
}

// describe logs where every member stands.
func (s *simulation) describe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.nodes {
		leader, _ := r.leader()
		s.t.Logf("%s: height %d of epoch %d, raft %v %d/%d leader %q, voters %v, may vote %v, stopped by %v; %v; log %d to %d, refused %d, newest lines:\n%s", name, r.book.Head().Header.Height, r.Consortium().Epoch,
			r.node().State(), r.node().AppliedIndex(), r.node().LastIndex(), leader, voters(r), r.mayVote(), r.Err(), r.certs,
			r.raftLog.log.First(), r.raftLog.log.Last(), r.Status().Refused, strings.Join(s.words(name).newest(), "\n"))
	}
}

// String says how far certificates are, and who signed what has none.
func (c *certifier) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := fmt.Sprintf("certified to %d of %d, signed to %d", c.newestHeight(), c.top, c.signedTo)
	for _, height := range slices.Sorted(maps.Keys(c.heads)) {
		h := c.heads[height]
		epoch := -1
		if h.consortium != nil {
			epoch = int(h.consortium.Epoch)
		}
		s += fmt.Sprintf("; %d of epoch %d by %v", height, epoch, slices.Sorted(maps.Keys(h.sigs)))
	}
	return s
}

// change puts a consortium file in force.
func (s *simulation) change(r *rand.Rand, before *chain.Consortium, members []chain.Member) *chain.Consortium {
	next, tx := nextConsortium(s.t, before, members)
	s.mu.Lock()
	s.announced = append(s.announced, next)
	s.mu.Unlock()
	for begin := time.Now(); ; {
		if time.Since(begin) > simPatience {
			s.t.Errorf("the consortium does not change to epoch %d", next.Epoch)
			s.describe()
			return next
		}
		node := s.member(r)
		if node == nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		rc, err := node.Submit(ctx, tx, nil)
		cancel()
		if err == nil {
			if rc.Result.Code != "" {
				s.t.Errorf("change of the consortium: %q", rc.Result.Code)
			}
			return next
		}
		time.Sleep(100 * time.Millisecond)
	}
}
