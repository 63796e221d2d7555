package replica

import (
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
)

// A message that would do is refused for each single thing that is wrong with it.
func TestEveryFieldOfARaftMessageIsVetted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(2)
		c.sameHead()
		r := c.nodes["h0"]
		term, last := r.node().CurrentTerm(), r.raftLog.log.Last()
		three := []raft.Server{{ID: "h0", Address: "h0"}, {ID: "h1", Address: "h1"}, {ID: "h2", Address: "h2"}}
		config := func(change func(s []raft.Server) []raft.Server) []byte {
			return raft.EncodeConfiguration(raft.Configuration{Servers: change(append([]raft.Server(nil), three...))})
		}
		whole := config(func(s []raft.Server) []raft.Server { return s })
		noop := []*raft.Log{{Index: 1, Type: raft.LogNoop}}
		// What is wrong with a configuration, in a snapshot or in an entry.
		configs := map[string][]byte{
			"garbage":            []byte("x"),
			"nothing":            nil,
			"another address":    config(func(s []raft.Server) []raft.Server { s[1].Address = "h2"; return s }),
			"no name":            config(func(s []raft.Server) []raft.Server { s[1] = raft.Server{}; return s }),
			"no name of members": config(func(s []raft.Server) []raft.Server { s[1] = raft.Server{ID: "H 1", Address: "H 1"}; return s }),
			"nobody":             config(func(s []raft.Server) []raft.Server { return nil }),
			"no voter": config(func(s []raft.Server) []raft.Server {
				for i := range s {
					s[i].Suffrage = raft.Nonvoter
				}
				return s
			}),
		}
		snapshot := func(change func(*raft.InstallSnapshotRequest)) any {
			req := &raft.InstallSnapshotRequest{
				SnapshotVersion: raft.SnapshotVersionMax, Term: term + maxTermJump,
				LastLogIndex: last, LastLogTerm: term, Configuration: whole, ConfigurationIndex: 1, Size: maxAttested,
			}
			change(req)
			return req
		}
		entries := func(change func(*raft.AppendEntriesRequest)) any {
			req := &raft.AppendEntriesRequest{
				Term: term + maxTermJump, PrevLogEntry: last, PrevLogTerm: r.raftLog.term(last),
				Entries: []*raft.Log{
					{Index: last + 1, Term: term, Type: raft.LogNoop},
					{Index: last + 2, Term: term, Type: raft.LogConfiguration, Data: whole},
				},
			}
			change(req)
			return req
		}
		for name, good := range map[string]any{
			"snapshot":  snapshot(func(*raft.InstallSnapshotRequest) {}),
			"empty one": snapshot(func(s *raft.InstallSnapshotRequest) { s.Size = 0 }),
			"entries":   entries(func(*raft.AppendEntriesRequest) {}),
			"vote":      &raft.RequestVoteRequest{Term: term + maxTermJump},
			"pre-vote":  &raft.RequestPreVoteRequest{Term: term},
		} {
			if err := r.vetCommand(good); err != nil {
				t.Errorf("good %s: %v", name, err)
			}
		}
		bad := map[string]any{
			"snapshot of a term to come": snapshot(func(s *raft.InstallSnapshotRequest) { s.Term++ }),
			"snapshot of version 0":      snapshot(func(s *raft.InstallSnapshotRequest) { s.SnapshotVersion = 0 }),
			"snapshot of version 2":      snapshot(func(s *raft.InstallSnapshotRequest) { s.SnapshotVersion++ }),
			"snapshot too large":         snapshot(func(s *raft.InstallSnapshotRequest) { s.Size++ }),
			"snapshot of negative size":  snapshot(func(s *raft.InstallSnapshotRequest) { s.Size = -1 }),
			"entries of a term to come":  entries(func(e *raft.AppendEntriesRequest) { e.Term++ }),
			"entry of a term to come":    entries(func(e *raft.AppendEntriesRequest) { e.Entries[0].Term = e.Term + 1 }),
			"entry twice":                entries(func(e *raft.AppendEntriesRequest) { e.Entries[1].Index-- }),
			"entry of another place":     entries(func(e *raft.AppendEntriesRequest) { e.Entries[0].Index = last; e.Entries[1].Index = last + 1 }),
			"no entry":                   entries(func(e *raft.AppendEntriesRequest) { e.Entries[0] = nil }),
			"first entry of no term":     entries(func(e *raft.AppendEntriesRequest) { e.PrevLogEntry, e.PrevLogTerm, e.Entries = 0, 0, noop }),
			"entry of an old type":       entries(func(e *raft.AppendEntriesRequest) { e.Entries[0].Type = raft.LogAddPeerDeprecated }),
			"entry of no type":           entries(func(e *raft.AppendEntriesRequest) { e.Entries[0].Type = 77 }),
			"vote of a term to come":     &raft.RequestVoteRequest{Term: term + maxTermJump + 1},
			"no message of Raft's":       &raft.AppendEntriesResponse{},
		}
		for name, b := range configs {
			bad["snapshot with configuration: "+name] = snapshot(func(s *raft.InstallSnapshotRequest) { s.Configuration = b })
			bad["entry with configuration: "+name] = entries(func(e *raft.AppendEntriesRequest) { e.Entries[1].Data = b })
		}
		for name, msg := range bad {
			before := r.Status().Refused
			if err := r.guard("h1", msg); err == nil {
				t.Errorf("accepted: %s", name)
			}
			if r.Status().Refused != before+1 {
				t.Errorf("not counted: %s", name)
			}
		}
		c.stopAll()
	})
}
