package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
)

// lost says which of its promises a replica may have forgotten.
type lost struct {
	log   bool   // entries it acknowledged to a leader
	vote  bool   // whom it voted for
	sign  bool   // which tree heads it signed
	until uint64 // index of the entry up to which it may have forgotten some, once the others have told; 0 if none is missing
}

func (l lost) any() bool { return l.log || l.vote || l.sign }

// recoveringMark is the name of a file that says what this replica may have
// forgotten. It is on stable storage before anything is created, cut or written
// anew that would hide the loss, and removed when all is made good and this replica
// may vote: an Open that is cut off, at any point, leaves it to the next.
const recoveringMark = "recovering"

// String returns the words of the file recoveringMark.
func (l lost) String() string {
	var words []string
	for _, w := range []struct {
		is   bool
		word string
	}{{l.log, "log"}, {l.vote, "vote"}, {l.sign, "signatures"}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	if l.until > 0 {
		words = append(words, "until", strconv.FormatUint(l.until, 10))
	}
	return strings.Join(words, " ")
}

// parseLost reads what String wrote. Anything else means that everything is lost.
func parseLost(s string) lost {
	var l lost
	for word := range strings.FieldsSeq(s) {
		l.log = l.log || word == "log"
		l.vote = l.vote || word == "vote"
		l.sign = l.sign || word == "signatures"
	}
	if _, index, ok := strings.Cut(s, "until "); ok {
		l.until, _ = strconv.ParseUint(index, 10, 64) // 0 if it is none
	}
	if l.String() != s || l == (lost{}) {
		return lost{log: true, vote: true, sign: true}
	}
	return l
}

// recall returns what an Open before this one found lost and did not make good. An
// empty directory may be that of a member whose disk was replaced: it has lost
// everything.
func (r *Replica) recall() (lost, error) {
	raw, err := os.ReadFile(filepath.Join(r.opt.Dir, recoveringMark))
	switch {
	case err == nil:
		r.noted = parseLost(string(raw))
		r.voteAt.Store(r.noted.until)
		return r.noted, nil
	case !errors.Is(err, fs.ErrNotExist):
		return lost{}, err
	case isEmpty(r.opt.Dir):
		l := lost{log: true, vote: true, sign: true}
		return l, r.note(l)
	}
	return lost{}, nil
}

// note makes durable that l is lost.
func (r *Replica) note(l lost) error {
	if l == r.noted {
		return nil
	}
	if err := r.opt.medium.writeFile(filepath.Join(r.opt.Dir, recoveringMark), []byte(l.String())); err != nil {
		return &writeError{fmt.Errorf("note what is lost: %w", err)}
	}
	r.noted = l
	return nil
}

// forgive removes the note: what was lost is made good.
func (r *Replica) forgive() {
	if r.noted == (lost{}) {
		return
	}
	if err := r.opt.medium.remove(filepath.Join(r.opt.Dir, recoveringMark)); err != nil {
		r.log.Error("the next start asks the others again", "error", err)
		return
	}
	r.noted = lost{}
}

// termSlack is how far a single member's word can raise the term.
const termSlack = 1 << 10

// makeGood asks so many members how far they are that every quorum this replica
// may have been part of is among them, and gives up what it cannot remember: the
// vote in the highest term, signatures up to the greatest height it may have
// signed. If entries were lost, it neither votes nor stands for election until it
// has all that was applied: what was certified, and so acknowledged to a client,
// is among that.
//
// (A replica that forgets an acknowledged entry and votes can elect a leader
// without that entry. See Alagappan et al., "Protocol-Aware Recovery for
// Consensus-Based Storage", FAST 2018.)
//
// Up to f of the members may lie, and a number that is large enough would silence
// this replica for good. So no claim counts for more than f+1 members, or a
// signature of this replica, bear out; see claims.
func (r *Replica) makeGood(ctx context.Context, l lost) error {
	k := r.Consortium()
	if isBlank(r) {
		r.log.Info("nothing here yet; asking the other members whether the chain exists")
	} else {
		r.log.Warn("this replica may have forgotten promises; asking the others", "lost", l)
	}
	all := r.askClaims(ctx, k)
	for !all.enough() {
		if !r.pauseFor(ctx, r.opt.Heartbeat/4) {
			return fmt.Errorf("recover: %d of %d members answered: %w", len(all.answers), all.others, ctx.Err())
		}
		all = r.askClaims(ctx, k)
	}
	own, err := r.stable.GetUint64([]byte(keyCurrentTerm))
	if err != nil {
		return err
	}
	if term := all.term(); term >= own {
		if err := r.stable.forfeit(term, "none"); err != nil {
			return err
		}
	}
	if signed := all.signed(); l.sign && signed > r.signed.last.Height {
		if err := r.signed.record(signedHead{Height: signed}); err != nil {
			return err
		}
		r.certs.signs(signed)
	}
	if l.log {
		at := all.applied()
		r.voteAt.Store(at)
		if at > 0 {
			if err := r.adopt(ctx, all.certified()); err != nil {
				r.log.Info("no snapshot to begin from; the leader has to send the log", "error", err)
			}
		}
	}
	return r.noteWait()
}

// noteWait makes durable that nothing is left to ask the others, and which entry
// this replica waits for. Asked again after a restart, they would name a newer one,
// which it never acknowledged, and which a leader may need its vote to send.
func (r *Replica) noteWait() error {
	at := r.voteAt.Load()
	if at == 0 {
		return nil // forgive follows
	}
	return r.note(lost{until: at})
}

// claims are what members other than this one say about themselves.
type claims struct {
	faulty  int // f: how many members may lie or be silent
	others  int // how many were asked
	need    int // how many must answer
	answers []statusAnswer
	proven  uint64 // greatest height with a signature of this replica that a member has shown
}

// enough reports whether every quorum this replica may have been part of has a
// member among those that answered.
func (c claims) enough() bool { return len(c.answers) >= c.need }

// backed returns the greatest value that this many of the answers reach.
func (c claims) backed(by int, value func(statusAnswer) uint64) uint64 {
	values := make([]uint64, 0, len(c.answers))
	for _, a := range c.answers {
		values = append(values, value(a))
	}
	slices.Sort(values)
	if by = max(1, by); by > len(values) {
		return 0
	}
	return values[len(values)-by]
}

// applied returns a log index that covers every certified block there was when
// the members were asked. Of the t_c members, at least f+2, that executed a
// certified block, this replica was perhaps one; the others, but for those that
// did not answer, say so. Who is silent is one of the f that misbehave, or will
// answer when it is asked again; then fewer are left to lie, or the bound comes
// down.
//
// It is 0 if no block was certified: then the chain is being founded, and what the
// members have applied was acknowledged to nobody.
func (c claims) applied() uint64 {
	silent := c.others - len(c.answers)
	if c.backed(c.faulty+1-silent, func(a statusAnswer) uint64 { return a.Height }) == 0 {
		return 0
	}
	return c.backed(c.faulty+1-silent, func(a statusAnswer) uint64 { return a.Applied })
}

// certified returns a height at which there is a certified block: that of an honest
// member, if no more are silent or lie than may.
func (c claims) certified() uint64 {
	silent := c.others - len(c.answers)
	return c.backed(c.faulty+1-silent, func(a statusAnswer) uint64 { return a.Certified })
}

// signed returns a height up to which this replica gives up its signatures: what
// it can be shown to have signed, and what f+1 members have executed.
func (c claims) signed() uint64 {
	height := func(a statusAnswer) uint64 { return a.Height }
	return max(c.proven, c.backed(c.faulty+1, height))
}

// term returns the term in which this replica gives up its vote. A candidate may
// be alone in the newest term, so that its word counts, but not for more than
// costs the others an election.
func (c claims) term() uint64 {
	term := func(a statusAnswer) uint64 { return a.Term }
	return min(c.backed(1, term), c.backed(c.faulty+1, term)+termSlack)
}

// askClaims asks every other member once.
func (r *Replica) askClaims(ctx context.Context, k *chain.Consortium) claims {
	n := len(k.Members)
	c := claims{faulty: (n - 1) / 3, others: n - 1, need: min(n-(n/2+1)+1, n-1)}
	if k.Member(r.opt.Member) == nil {
		c.others++
	}
	ctx, cancel := context.WithTimeout(ctx, 2*r.opt.Heartbeat)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range k.Members {
		if m.Name == r.opt.Member {
			continue
		}
		wg.Go(func() {
			var a statusAnswer
			if err := r.peers.call(ctx, m.Name, rpcStatus, struct{}{}, &a); err != nil {
				return
			}
			proven := r.provenBy(ctx, m.Name, a.Signed)
			mu.Lock()
			defer mu.Unlock()
			c.answers = append(c.answers, a)
			c.proven = max(c.proven, proven)
		})
	}
	wg.Wait()
	return c
}

// provenBy lets a member that claims to have a signature of this replica show it,
// and returns the height it is for: 0 if it does not hold.
func (r *Replica) provenBy(ctx context.Context, member string, claimed uint64) uint64 {
	if claimed == 0 {
		return 0
	}
	var raw []byte
	if err := r.peers.call(ctx, member, rpcSigned, struct{}{}, &raw); err != nil {
		return 0
	}
	cp, err := chain.ParseCheckpoint(raw)
	if err != nil || len(cp.Signatures) != 1 || !r.ownSignature(cp) {
		r.log.Warn("a member claims a signature of this replica that it cannot show", "member", member, "height", claimed)
		return 0
	}
	return cp.Height
}

// ownSignature reports whether the one signature of cp is by this replica.
func (r *Replica) ownSignature(cp *chain.Checkpoint) bool {
	for _, k := range []*chain.Consortium{r.Consortium(), r.opt.Consortium} {
		if who, _, err := k.Cosigner(cp.TreeHead, cp.Signatures[0]); err == nil && who == r.opt.Member {
			return true
		}
	}
	return false
}

// serveSigned shows the newest signature of a member that this replica has.
func (r *Replica) serveSigned(from string) ([]byte, error) {
	s := r.certs.lastOf(from)
	if len(s.Signatures) == 0 {
		return nil, errors.New("no signature yet")
	}
	return s.Bytes()
}

// watchVote asks the members again while this replica may not vote: those that
// were silent may have come back, and what they say bounds what others claim.
func (r *Replica) watchVote() {
	ticker := time.NewTicker(4 * r.opt.Heartbeat)
	defer ticker.Stop()
	for !r.mayVote() {
		select {
		case <-ticker.C:
		case <-r.ctx.Done():
			return
		}
		if r.mayVote() {
			break
		}
		all := r.askClaims(r.ctx, r.Consortium())
		if !all.enough() {
			continue
		}
		if at := all.applied(); at < r.voteAt.Load() {
			r.log.Info("may vote from another entry on", "entry", at)
			r.voteAt.Store(at)
			if err := r.noteWait(); err != nil {
				r.log.Error("the next start waits for a later entry", "error", err)
			}
		}
	}
	r.forgive()
}

// mayVote reports whether this replica has again all that it may have forgotten.
func (r *Replica) mayVote() bool {
	at := r.voteAt.Load()
	if at == 0 || r.raftLog.log.Last() >= at {
		return true
	}
	s := r.snaps.newest()
	return s != nil && s.Anchor.Pos.Index >= at
}
