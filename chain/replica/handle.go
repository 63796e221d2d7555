package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// handle answers one request of a member.
func (r *Replica) handle(ctx context.Context, from string, kind byte, body []byte) (any, error) {
	if err := r.Err(); err != nil {
		return nil, err
	}
	if r.Consortium().Member(from) == nil && !r.certs.answers(from, kind) {
		return nil, errors.New("not a member")
	}
	switch kind {
	case rpcSubmit:
		var req submitRequest
		if err := chain.Unmarshal(body, &req); err != nil {
			return nil, err
		}
		return r.serveSubmit(ctx, req)
	case rpcCosign:
		var req cosignRequest
		if err := chain.Unmarshal(body, &req); err != nil {
			return nil, err
		}
		return struct{}{}, r.serveCosign(from, req)
	case rpcBarrier:
		return r.serveBarrier(ctx)
	case rpcStatus:
		return r.serveStatus(from)
	case rpcBlocks:
		var req blocksRequest
		if err := chain.Unmarshal(body, &req); err != nil {
			return nil, err
		}
		return r.serveBlocks(req)
	case rpcHeaders:
		var req blocksRequest
		if err := chain.Unmarshal(body, &req); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, r.opt.Heartbeat)
		defer cancel()
		return r.serveHeaders(ctx, req)
	case rpcCheckpoint:
		cp := r.certs.checkpoint()
		if cp == nil {
			return nil, errors.New("no certified checkpoint yet")
		}
		return cp.Bytes()
	case rpcChanges:
		var req changesRequest
		if err := chain.Unmarshal(body, &req); err != nil {
			return nil, err
		}
		return r.serveChanges(req)
	case rpcHeads:
		return r.serveHeads()
	case rpcSigned:
		return r.serveSigned(from)
	case rpcAttest:
		var req attestRequest
		if err := chain.Unmarshal(body, &req); err != nil {
			return nil, err
		}
		return r.serveAttest(req)
	}
	return nil, fmt.Errorf("unknown request %d", kind)
}

// guard refuses Raft messages that no honest member sends. Some of them would
// make hashicorp/raft panic, others overwrite what it must not.
func (r *Replica) guard(from string, command any) error {
	err := r.vetCommand(command)
	if err != nil && !errors.As(err, new(*answeredError)) {
		r.refusedMessage(from, err)
	}
	return err
}

func (r *Replica) vetCommand(command any) error {
	if err := r.haltErr(); err != nil {
		return err
	}
	own, err := r.stable.GetUint64([]byte(keyCurrentTerm))
	if err != nil {
		return err
	}
	switch c := command.(type) {
	case *raft.AppendEntriesRequest:
		if c.Term > own+maxTermJump {
			return fmt.Errorf("term %d after %d", c.Term, own)
		}
		if err := r.vetEntries(c); err != nil {
			return err
		}
		r.told.note(c)
		r.joinSnapshot(c)
	case *raft.RequestVoteRequest:
		if c.Term > own+maxTermJump {
			return fmt.Errorf("term %d after %d", c.Term, own)
		}
		r.vetVote(c)
	case *raft.RequestPreVoteRequest:
		return r.vetPreVote(c, own)
	case *raft.TimeoutNowRequest:
	case *raft.InstallSnapshotRequest:
		if c.Term > own+maxTermJump {
			return fmt.Errorf("term %d after %d", c.Term, own)
		}
		if c.SnapshotVersion != raft.SnapshotVersionMax || c.Size < 0 || c.Size > maxAttested {
			return errors.New("malformed snapshot request")
		}
		r.raftLog.conflicts(0)
		_, err := soundConfig(c.Configuration)
		return err
	default:
		return fmt.Errorf("unknown message %T", command)
	}
	return nil
}

// maxEntries is how many entries are in one message of Raft. Part of the protocol.
const maxEntries = 64

func (r *Replica) vetEntries(c *raft.AppendEntriesRequest) error {
	if len(c.Entries) > maxEntries {
		return fmt.Errorf("%d entries in a message", len(c.Entries))
	}
	before := max(c.PrevLogTerm, 1) // raftLog.term says 0 of an entry that is not there
	for i, e := range c.Entries {
		if e == nil || e.Index != c.PrevLogEntry+1+uint64(i) || e.Term > c.Term || e.Term < before {
			return errors.New("entries out of order")
		}
		before = e.Term
		switch e.Type {
		case raft.LogCommand, raft.LogNoop, raft.LogBarrier:
		case raft.LogConfiguration:
			if _, err := soundConfig(e.Data); err != nil {
				return err
			}
		default:
			return fmt.Errorf("entry of type %d", e.Type)
		}
	}
	r.skipCovered(c)
	if err := r.vetReplacing(c); err != nil {
		return err
	}
	return r.vetConfigs(c)
}

// vetConfigs checks the configurations in c. Each is judged by what may be in force after
// the entries before it, of which none is read twice.
func (r *Replica) vetConfigs(c *raft.AppendEntriesRequest) error {
	var epochs []*chain.Consortium // from the file in force on, as far as the entries lead; nil until one is needed
	followed := 0                  // of the entries in c
	for i, e := range c.Entries {
		// What was applied was judged when it came, perhaps under another file. Raft
		// passes over it, and raftLog does not let it be replaced.
		if e.Type != raft.LogConfiguration || r.raftLog.settled(e) {
			continue
		}
		config, err := soundConfig(e.Data)
		if err == nil && epochs == nil {
			epochs, err = r.epochsBefore(c)
		}
		if err == nil {
			for ; followed < i; followed++ {
				epochs = followChanges(epochs, c.Entries[followed])
			}
			err = r.vetMembers(config, epochs)
		}
		if err != nil {
			return r.unlessBehind(c, err)
		}
	}
	return nil
}

// vetReplacing checks the entries of c that would take the place of others as the log
// does before it stores them. Raft removes those others first, and forgets that it did
// if then the new ones are refused: no leader could send it anything any more.
func (r *Replica) vetReplacing(c *raft.AppendEntriesRequest) error {
	last := r.raftLog.log.Last()
	at := slices.IndexFunc(c.Entries, func(e *raft.Log) bool { return e.Index > last || r.raftLog.term(e.Index) != e.Term })
	if at < 0 || c.Entries[at].Index > last {
		if len(c.Entries) > 0 { // heartbeats are not judged in turn
			r.raftLog.conflicts(0)
		}
		return nil
	}
	r.raftLog.conflicts(c.Entries[at].Index)
	if err := r.writable(); err != nil {
		return err
	}
	for _, e := range c.Entries[at:] {
		if e.Type != raft.LogCommand {
			continue
		}
		if _, _, err := r.entries.parse(e); err != nil {
			return err
		}
	}
	return nil
}

// skipCovered takes out of c the entries that the snapshot here stands for, once it is
// executed. They are not in the log, and so Raft would not see that c joins it: a leader
// that has gone back so far would go on to the end of its own log, and then send a
// snapshot that may be older, and is refused.
func (r *Replica) skipCovered(c *raft.AppendEntriesRequest) {
	s := r.snaps.newest()
	if s == nil || len(c.Entries) == 0 || c.PrevLogEntry >= s.Anchor.Pos.Index || r.raftLog.term(c.PrevLogEntry) != 0 {
		return
	}
	end := s.Anchor.Pos
	if r.book.Applied().Index < end.Index {
		return
	}
	n := min(end.Index-c.PrevLogEntry, uint64(len(c.Entries)))
	if last := c.Entries[n-1]; last.Index == end.Index && last.Term != end.Term {
		return // another history
	}
	c.PrevLogEntry, c.PrevLogTerm, c.Entries = end.Index, end.Term, c.Entries[n:]
}

// joinSnapshot tells Raft of a message that comes behind the snapshot that it joins. Raft
// does not look: it goes by the last entry that it stored, which may be of another history
// and stood where the snapshot ends. That the entry before is the snapshot's, is judged
// here.
func (r *Replica) joinSnapshot(c *raft.AppendEntriesRequest) {
	s := r.snaps.newest()
	if s == nil || r.node() == nil || r.raftLog.log.Last() != 0 {
		return
	}
	if end := s.Anchor.Pos; c.PrevLogEntry == end.Index && c.PrevLogTerm == end.Term && r.node().AppliedIndex() >= end.Index {
		c.PrevLogEntry, c.PrevLogTerm = 0, 0 // the beginning, before which Raft asks for nothing
	}
}

// answeredError is the answer to a message that Raft is not given: none was refused.
type answeredError struct{ answer any }

func (e *answeredError) Error() string { return "answered in Raft's place" }

// unlessBehind returns err, or an answer if c does not join the log, as Raft gives it:
// the leader goes back to where it does. What the entries between say is not known, so
// that those after them cannot be judged.
func (r *Replica) unlessBehind(c *raft.AppendEntriesRequest, err error) error {
	node := r.node()
	if node == nil || c.PrevLogEntry == 0 || r.raftLog.term(c.PrevLogEntry) == c.PrevLogTerm {
		return err
	}
	term, terr := r.stable.GetUint64([]byte(keyCurrentTerm))
	if terr != nil {
		return terr
	}
	return &answeredError{&raft.AppendEntriesResponse{
		RPCHeader: r.raftHeader(),
		// Not where the log ends: it is empty after a snapshot, and a leader goes back to
		// its first entry then, or sends a snapshot that may be older and is refused.
		Term: term, LastLog: node.LastIndex(), NoRetryBackoff: true,
	}}
}

// soundConfig decodes a Raft configuration whose form is good.
func soundConfig(b []byte) (raft.Configuration, error) {
	config, err := decodeConfig(b)
	if err == nil {
		err = vetConfig(config)
	}
	return config, err
}

// vetConfig checks the form of a Raft configuration. Who belongs into it is for
// the consortium file to say, which the leader's configuration follows.
func vetConfig(c raft.Configuration) error {
	voters := 0
	for _, s := range c.Servers {
		if string(s.ID) != string(s.Address) || !chain.ValidName(string(s.ID)) {
			return fmt.Errorf("configuration names server %.80q at %.80q", s.ID, s.Address)
		}
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	if voters == 0 {
		return errors.New("configuration without voters")
	}
	return nil
}

// epochsBefore returns the consortium file in force here, and those that the entries
// between it and the first of c put in force.
//
// The consortium may change by blocks that are in the log, or in c, but not
// executed yet. Changes carry their endorsements, so they can be judged here.
func (r *Replica) epochsBefore(c *raft.AppendEntriesRequest) ([]*chain.Consortium, error) {
	applied := r.book.Applied().Index
	now, err := r.inForce() // not Options.Known, which may be of after these entries
	if err != nil {
		return nil, err
	}
	epochs := []*chain.Consortium{now}
	for index := applied + 1; index <= min(c.PrevLogEntry, r.raftLog.log.Last()); index++ {
		var log raft.Log
		if err := r.raftLog.GetLog(index, &log); err != nil {
			continue // behind the snapshot: entries that made no block
		}
		epochs = followChanges(epochs, &log)
	}
	return epochs, nil
}

// vetMembers checks a configuration against the consortium files that may be in force
// then: it may name members only, and take the vote from none who is still one.
func (r *Replica) vetMembers(config raft.Configuration, epochs []*chain.Consortium) error {
	votes := map[string]bool{}
	for _, s := range config.Servers {
		if !slices.ContainsFunc(epochs, func(k *chain.Consortium) bool { return k.Member(string(s.ID)) != nil }) && !r.inConfiguration(s.ID) {
			return fmt.Errorf("configuration names %.80q, who is no member", s.ID)
		}
		votes[string(s.ID)] = s.Suffrage == raft.Voter
	}
	if r.node() == nil {
		return nil
	}
	for _, s := range r.node().GetConfiguration().Configuration().Servers {
		member := !slices.ContainsFunc(epochs, func(k *chain.Consortium) bool { return k.Member(string(s.ID)) == nil })
		if s.Suffrage == raft.Voter && member && !votes[string(s.ID)] {
			return fmt.Errorf("configuration takes the vote from member %s", s.ID)
		}
	}
	return nil
}

func (r *Replica) inConfiguration(id raft.ServerID) bool {
	return r.node() != nil && slices.ContainsFunc(r.node().GetConfiguration().Configuration().Servers, func(s raft.Server) bool { return s.ID == id })
}

// followChanges adds the consortium files that the transactions of an entry put
// in force.
func followChanges(epochs []*chain.Consortium, log *raft.Log) []*chain.Consortium {
	if log.Type != raft.LogCommand {
		return epochs
	}
	e, err := chain.ParseEntry(log.Data)
	if err != nil {
		return epochs
	}
	for _, tx := range e.Parsed() {
		if tx == nil || tx.Contract != chain.SystemContract || tx.Method != chain.ConsortiumMethod {
			continue
		}
		if next, err := epochs[len(epochs)-1].Next(tx.Args); err == nil {
			epochs = append(epochs, next)
		}
	}
	return epochs
}
