package replica

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// anchor ties a block to a place in the Raft log. A Raft snapshot consists of
// one: what it stands for is fetched as blocks and executed. Raft's own snapshots
// name an index, a term and a configuration that a follower obeys; here t_c
// members vouch for them.
type anchor struct {
	_           struct{} `cbor:",toarray"`
	Name        string
	Chain       string
	Header      []byte   // of the last block
	Pos         position // of the last entry covered, at or after the block's
	Config      []byte   // Raft configuration in force there
	ConfigIndex uint64
}

// attested is an anchor with the signatures of members over it and a certified
// checkpoint at its block or later.
type attested struct {
	_          struct{} `cbor:",toarray"`
	Name       string
	Anchor     anchor
	Members    []string // who signed, ascending
	Signatures [][]byte // in the same order
	Checkpoint []byte
}

const (
	anchorName   = "ward/v1/anchor"
	attestedName = "ward/v1/raft-snapshot"
	maxAttested  = 256 << 10
)

func (a *anchor) message() ([]byte, error) {
	b, err := chain.Marshal(a)
	return append([]byte("WARD-V1-ANCHOR\n"), b...), err
}

func (a *anchor) header() (*chain.Header, error) {
	h, err := chain.ParseHeader(a.Header)
	if err == nil && (a.Name != anchorName || h.Chain != a.Chain) {
		err = errors.New("anchor: wrong name or chain")
	}
	return h, err
}

func parseAttested(b []byte) (*attested, error) {
	var s attested
	if len(b) > maxAttested {
		return nil, fmt.Errorf("snapshot: %d bytes, limit %d", len(b), maxAttested)
	}
	if err := chain.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if s.Name != attestedName || len(s.Members) != len(s.Signatures) {
		return nil, errors.New("snapshot: malformed")
	}
	return &s, nil
}

// verify checks that t_c members of the consortium signed the anchor and that
// the checkpoint is certified and not older.
func (s *attested) verify(k *chain.Consortium) (*chain.Header, error) { return s.verifyUnder(k, k) }

// verifyUnder is verify with another consortium file for the checkpoint.
func (s *attested) verifyUnder(k, certifiers *chain.Consortium) (*chain.Header, error) {
	h, err := s.Anchor.header()
	if err != nil {
		return nil, err
	}
	cp, err := chain.ParseCheckpoint(s.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if err := certifiers.Verify(cp); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if h.Chain != k.Chain || cp.Height < h.Height || cp.Height == h.Height && cp.TreeHead != h.TreeHead() {
		return nil, errors.New("snapshot: its checkpoint is for something else")
	}
	msg, err := s.Anchor.message()
	if err != nil {
		return nil, err
	}
	for i, name := range s.Members {
		if i > 0 && s.Members[i-1] >= name {
			return nil, errors.New("snapshot: signers are not in order")
		}
		if m := k.Member(name); m == nil || !m.NodeKey.Verify(msg, s.Signatures[i]) {
			return nil, fmt.Errorf("snapshot: signature of %q does not verify", name)
		}
	}
	if len(s.Members) < k.CheckpointThreshold {
		return nil, fmt.Errorf("snapshot: %w: %d signatures, want %d", chain.ErrUncertified, len(s.Members), k.CheckpointThreshold)
	}
	return h, nil
}

// anchorAt returns the anchor for the block at height as this replica knows it.
func (r *Replica) anchorAt(height uint64, pos position) (*anchor, error) {
	blk, at, err := r.book.block(height)
	if err != nil {
		return nil, err
	}
	if pos.Index == 0 {
		pos = at
	}
	header, err := blk.Header.Bytes()
	if err != nil {
		return nil, err
	}
	config, configIndex, err := r.book.configAt(pos.Index)
	if err != nil {
		return nil, err
	}
	return &anchor{Name: anchorName, Chain: blk.Header.Chain, Header: header, Pos: pos, Config: config, ConfigIndex: configIndex}, nil
}

// attest signs an anchor of a peer if it says what this replica knows itself.
func (r *Replica) attest(a *anchor) ([]byte, error) {
	h, err := a.header()
	if err != nil {
		return nil, err
	}
	_, at, err := r.book.block(h.Height)
	if err != nil {
		return nil, err
	}
	mine, err := r.anchorAt(h.Height, a.Pos)
	if err != nil {
		return nil, err
	}
	want, err := mine.message()
	if err != nil {
		return nil, err
	}
	msg, err := a.message()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(want, msg) || a.Pos.Index < at.Index {
		return nil, errors.New("anchor is not what this replica has")
	}
	if a.Pos != at {
		// Entries after the block that made none: a barrier, a new leader.
		_, next, err := r.book.block(h.Height + 1)
		if err == nil && next.Index <= a.Pos.Index {
			return nil, errors.New("anchor skips a block")
		}
		term := r.raftLog.term(a.Pos.Index)
		if term == 0 && err == nil && next.Term == at.Term {
			term = at.Term // no longer in the log, but between two blocks of one term
		}
		if a.Pos.Index > r.appliedIndex() || term == 0 || term != a.Pos.Term {
			return nil, errors.New("anchor is at an entry this replica does not have")
		}
	}
	return r.opt.Key.Sign(rand.Reader, msg, crypto.Hash(0))
}

type attestRequest struct {
	_      struct{} `cbor:",toarray"`
	Anchor []byte   // empty: propose one at the newest certified block
}

type attestAnswer struct {
	_         struct{} `cbor:",toarray"`
	Anchor    []byte
	Signature []byte
}

func (r *Replica) serveAttest(req attestRequest) (*attestAnswer, error) {
	var a anchor
	if len(req.Anchor) > 0 {
		if err := chain.Unmarshal(req.Anchor, &a); err != nil {
			return nil, err
		}
	} else {
		cp := r.Checkpoint()
		if cp == nil {
			return nil, errors.New("no certified checkpoint yet")
		}
		_, at, err := r.book.block(cp.Height)
		if err != nil {
			return nil, err
		}
		// Where a fetched block stands, one member said, and where the snapshot, t_c did.
		if s := r.snaps.newest(); s != nil && at.Index <= s.Anchor.Pos.Index && r.raftLog.term(at.Index) != at.Term {
			at = s.Anchor.Pos
		}
		own, err := r.anchorAt(cp.Height, at)
		if err != nil {
			return nil, err
		}
		a = *own
	}
	sig, err := r.attest(&a)
	if err != nil {
		return nil, err
	}
	b, err := chain.Marshal(&a)
	return &attestAnswer{Anchor: b, Signature: sig}, err
}

// collect asks the members for their signatures on an anchor; t_c must sign. A
// replica that lost its log joins the others unseen: they are one less than t_c,
// and more than can be dishonest.
func (r *Replica) collect(ctx context.Context, a *anchor, cp *chain.Checkpoint, unseen bool) (*attested, error) {
	return r.collectUnder(ctx, a, cp, r.Consortium(), unseen)
}

// collectUnder is collect with a checkpoint certified under another file than the
// one in force.
func (r *Replica) collectUnder(ctx context.Context, a *anchor, cp *chain.Checkpoint, certifiers *chain.Consortium, unseen bool) (*attested, error) {
	raw, err := chain.Marshal(a)
	if err != nil {
		return nil, err
	}
	note, err := cp.Bytes()
	if err != nil {
		return nil, err
	}
	k := r.Consortium()
	signatures := make([][]byte, len(k.Members))
	var wg sync.WaitGroup
	for i := range k.Members {
		name := k.Members[i].Name
		if name == r.opt.Member {
			if signatures[i], err = r.attestOwn(a, unseen); err != nil {
				r.log.Debug("own signature on anchor", "error", err)
			}
			continue
		}
		wg.Go(func() {
			var answer attestAnswer
			if err := r.peers.call(ctx, name, rpcAttest, attestRequest{Anchor: raw}, &answer); err == nil {
				signatures[i] = answer.Signature
			}
		})
	}
	wg.Wait()
	s := &attested{Name: attestedName, Anchor: *a, Checkpoint: note}
	msg, err := a.message()
	if err != nil {
		return nil, err
	}
	for i := range k.Members {
		if len(signatures[i]) > 0 && k.Members[i].NodeKey.Verify(msg, signatures[i]) {
			s.Members = append(s.Members, k.Members[i].Name)
			s.Signatures = append(s.Signatures, signatures[i])
		}
	}
	if _, err := s.verifyUnder(k, certifiers); err != nil {
		return nil, err
	}
	return s, nil
}

// attestAnew returns a if members in force have signed it. If not, and this
// replica needs it, it may have been signed by members of a later consortium: see
// follow. Or members signed it that were in force before, some of whom may have
// left; then those in force now are asked to vouch for the same. The checkpoint may
// stay one from before: if a member is away, nothing new is certified until this
// replica, which has just joined, has caught up.
func (r *Replica) attestAnew(a *attested) (*attested, error) {
	_, bad := a.verify(r.Consortium())
	if bad == nil {
		return a, nil
	}
	for _, before := range r.knownFiles() {
		if _, err := a.verifyUnder(r.Consortium(), before); err == nil {
			return a, nil
		}
	}
	h, err := a.Anchor.header()
	if err != nil {
		return nil, err
	}
	if r.book.Head().Header.Height >= h.Height && r.raftLog.log.Last() >= a.Anchor.Pos.Index {
		return nil, bad // its block is here, and what follows it in the log
	}
	if !r.plausible(a) {
		return nil, bad
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.opt.Heartbeat)
	defer cancel()
	if k, err := r.follow(ctx, a); err == nil {
		r.log.Info("the consortium has changed", "epoch", k.Epoch)
		r.setConsortium(k)
		return a, nil
	}
	before := r.signedBefore(a)
	if before == nil {
		return nil, bad
	}
	cp, certifiers := r.certifiedAhead(ctx, h.Height-1), r.Consortium()
	if cp == nil {
		certifiers = before
		if cp, err = chain.ParseCheckpoint(a.Checkpoint); err != nil {
			return nil, err
		}
	}
	again, err := r.collectUnder(ctx, &a.Anchor, cp, certifiers, true)
	if err != nil {
		return nil, fmt.Errorf("%w; of the members in force: %w", bad, err)
	}
	return again, nil
}

// plausible reports whether a member that this replica knows signed a, and none
// that it knows did not: a forgery is refused without asking anyone.
func (r *Replica) plausible(a *attested) bool {
	msg, err := a.Anchor.message()
	if err != nil {
		return false
	}
	known := 0
	for i, name := range a.Members {
		now, first := r.Consortium().Member(name), r.opt.Consortium.Member(name)
		if now == nil && first == nil {
			continue
		}
		if (now == nil || !now.NodeKey.Verify(msg, a.Signatures[i])) && (first == nil || !first.NodeKey.Verify(msg, a.Signatures[i])) {
			return false
		}
		known++
	}
	return known > 0
}

// knownFiles returns the consortium files that this replica knows from the chain:
// the first, and that after its last block.
func (r *Replica) knownFiles() []*chain.Consortium {
	files := []*chain.Consortium{r.opt.Consortium}
	if now, err := r.inForce(); err == nil {
		files = append(files, now)
	}
	return files
}

// signedBefore returns the consortium file, of those that this replica knows from
// the chain, under which a was good, or nil.
func (r *Replica) signedBefore(a *attested) *chain.Consortium {
	for _, k := range r.knownFiles() {
		if _, err := a.verify(k); err == nil {
			return k
		}
	}
	return nil
}

func (r *Replica) attestOwn(a *anchor, unseen bool) ([]byte, error) {
	if !unseen {
		return r.attest(a)
	}
	msg, err := a.message()
	if err != nil {
		return nil, err
	}
	return r.opt.Key.Sign(rand.Reader, msg, crypto.Hash(0))
}

// sameConfig reports whether encoded is the configuration Raft goes by.
func sameConfig(encoded []byte, want raft.Configuration) bool {
	return bytes.Equal(encoded, raft.EncodeConfiguration(want))
}
