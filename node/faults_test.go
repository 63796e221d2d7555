package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/node/devnet"
)

// TestOneNodeDownChangesNothing stops each node in turn.
func TestOneNodeDownChangesNothing(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		before := w.put(author, owner.Name(), "lab", "before")
		g := w.grant(owner, reader.Name(), "lab")
		for i := range w.Len() {
			w.stop(i)
			first := (i + 1) % w.Len()
			author, owner, reader := w.now(author, first), w.now(owner, first), w.now(reader, first)
			w.mustRead(reader, before, "before")
			during := w.put(author, owner.Name(), "lab", "while a node is down")
			w.mustRead(reader, during, "while a node is down")
			w.mustRead(owner, during, "while a node is down")
			other := w.grant(owner, author.Name(), "lab")
			w.mustRead(author, during, "while a node is down")
			if err := owner.Revoke(w.ctx, other, ward.RevokeOptions{}); err != nil {
				t.Fatalf("without %s: %v", w.Name(i), err)
			}
			w.restart(i)
			w.settle()
		}
		// Everybody is back, and holds a share again.
		w.until("everybody accepted the grant", func() bool {
			s, err := w.now(owner, 0).ShowGrant(w.ctx, g)
			return err == nil && len(s.Grant.Accepted) == w.Len()
		})
	})
}

// TestTooFewMembers takes away more members than may be missing: what needs
// them fails with an error that says so, and nothing is lost.
func TestTooFewMembers(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		w.grant(owner, reader.Name(), "lab")
		index := w.access(reader, w.grant(owner, reader.Name(), "lab"), id)

		// Two members do not answer; their replicas go on.
		w.Silence(0, true)
		w.Silence(3, true)
		for i := range w.Len() {
			ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
			if parts, err := w.Node(i).Answers(ctx, index, nil); !errors.Is(err, ward.ErrShares) {
				t.Errorf("%s with two members silent: %d parts, %v, want ErrShares", w.Name(i), len(parts), err)
			}
			cancel()
		}
		w.Silence(0, false)
		if parts, err := w.Node(1).Answers(w.ctx, index, nil); err != nil || len(parts) != 3 {
			t.Errorf("with one member silent: %d parts, %v", len(parts), err)
		}
		// The client found one of them wrong: with it out, too few are left.
		if _, err := w.Node(1).Answers(w.ctx, index, []string{w.Name(2)}); !errors.Is(err, ward.ErrShares) {
			t.Errorf("without a third: %v, want ErrShares", err)
		}
		w.Silence(3, false)

		// Two members are switched off: nothing is certified any more.
		w.stop(0)
		w.stop(3)
		reader, author, owner = w.now(reader, 1), w.now(author, 1), w.now(owner, 1)
		began := time.Now()
		var out bytes.Buffer
		if _, err := reader.Get(w.ctx, id, treatment, &out); !errors.Is(err, ward.ErrNoQuorum) || out.Len() > 0 {
			t.Errorf("get with two nodes down: %v, want ErrNoQuorum", err)
		}
		if err := owner.RaiseEpoch(w.ctx); !isTooFew(err) {
			t.Errorf("a change with two nodes down: %v", err)
		}
		// Nobody who waits at a screen is kept for minutes.
		if waited := time.Since(began); waited > 2*time.Minute {
			t.Errorf("it took %v to be told", waited)
		}
		if _, err := w.Node(1).AnswerAccess(w.ctx, index); err == nil {
			t.Error("a member answered without a quorum")
		}
		w.restart(0)
		w.restart(3)
		w.settle()
		reader, author, owner = w.now(reader, 0), w.now(author, 0), w.now(owner, 0)
		w.mustRead(reader, id, "glucose 5.4")
		w.mustRead(owner, id, "glucose 5.4")
		w.mustRead(reader, w.put(author, owner.Name(), "lab", "and on"), "and on")
	})
}

func isTooFew(err error) bool {
	return errors.Is(err, ward.ErrNoQuorum) || errors.Is(err, ward.ErrShares) || errors.Is(err, ward.ErrUnknown)
}

// copyDir copies a member's directory as it is on disk.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRestartedNodeServesNothingUntilItIsFresh gives a member back the disk it
// had before a revocation, and starts it cut off from the others. In its world
// the grant lives, it has the share, and the access was certified.
func TestRestartedNodeServesNothingUntilItIsFresh(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		g := w.grant(owner, reader.Name(), "lab")
		index := w.access(reader, g, id)
		const old = 3
		if _, err := w.Node(old).AnswerAccess(w.ctx, index); err != nil {
			t.Fatalf("before: %v", err)
		}
		w.quiet()
		dir := filepath.Join(w.Dir(), w.Name(old))
		backup := filepath.Join(tempDir(t), "backup")
		w.stop(old)
		copyDir(t, dir, backup)
		w.restart(old)
		w.settle()

		if err := w.now(owner, 1).Revoke(w.ctx, g, ward.RevokeOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until("the share is erased", func() bool { return w.Node(old).Status().Shares == 0 })
		w.stop(old)
		copyDir(t, backup, dir)
		w.Isolate(old, true)
		w.restart(old)
		if s := w.Node(old).Status(); s.Shares != 1 {
			t.Fatalf("the old disk has %d shares", s.Shares)
		}
		n := w.Node(old)
		for range 5 {
			ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
			_, err := n.AnswerAccess(ctx, index)
			cancel()
			if !errors.Is(err, ward.ErrNotReady) || n.Status().Fresh || n.Ready() == nil {
				t.Fatalf("cut off with an old disk: %v", err)
			}
		}
		// The others tell it how far they are, but it gets no blocks.
		w.MuteLane(replica.LaneRaft, true)
		w.MuteLane(replica.LanePeer, true)
		w.Isolate(old, false)
		<-time.After(10 * time.Second)
		if n.Status().Fresh {
			t.Error("it serves though it is behind what the others vouch for")
		}
		w.MuteLane(replica.LaneRaft, false)
		w.MuteLane(replica.LanePeer, false)
		w.settle()
		if _, err := n.AnswerAccess(w.ctx, index); !errors.Is(err, consent.ErrRevoked) {
			t.Errorf("caught up: %v, want ErrRevoked", err)
		}
		w.until("the share that came back is erased", func() bool { return n.Status().Shares == 0 })
	})
}

// TestErasedShareThatComesBack puts the file of an erased share back into the
// vault of a node that is up to date.
func TestErasedShareThatComesBack(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		g := w.grant(owner, reader.Name(), "lab")
		index := w.access(reader, g, id)
		grants := filepath.Join(w.Dir(), w.Name(2), "vault", "grant")
		backup := filepath.Join(tempDir(t), "backup")
		copyDir(t, grants, backup)
		if err := owner.Revoke(w.ctx, g, ward.RevokeOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until("the share is erased", func() bool { return w.Node(2).Status().Shares == 0 })
		w.stop(2)
		copyDir(t, backup, grants)
		w.restart(2)
		w.settle()
		if _, err := w.Node(2).AnswerAccess(w.ctx, index); !errors.Is(err, consent.ErrRevoked) {
			t.Errorf("got %v, want ErrRevoked", err)
		}
		w.until("the share is erased again", func() bool { return w.Node(2).Status().Shares == 0 })
	})
}

// TestLeaverCannotServe keeps the node of a member that left running, with its
// old shares and an access that was certified while it was a member.
func TestLeaverCannotServe(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		g := w.grant(owner, reader.Name(), "lab")
		index := w.access(reader, g, id)
		const leaver = 3
		if err := w.Leave(w.ctx, leaver); err != nil {
			t.Fatal(err)
		}
		for name, ask := range map[string]func(context.Context) error{
			"fragment":  func(ctx context.Context) error { _, err := w.Node(leaver).AnswerAccess(ctx, index); return err },
			"fragments": func(ctx context.Context) error { _, err := w.Node(leaver).Answers(ctx, index, nil); return err },
			"an answer": func(ctx context.Context) error { _, err := w.Node(leaver).Ask(ctx, nil); return err },
			"a transaction": func(ctx context.Context) error {
				return w.submitIn(ctx, leaver, owner.tx(t, consent.Contract, consent.MethodRevoke, consent.RevokeArgs{Grant: g}))
			},
		} {
			ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
			if err := ask(ctx); err == nil {
				t.Errorf("the member that left gives %s", name)
			}
			cancel()
		}
		// The others go on without it, with shares that its own do not fit.
		reader = w.now(reader, 0)
		w.mustRead(reader, id, "glucose 5.4")
		again := w.access(reader, g, id)
		parts, err := w.Node(0).Answers(w.ctx, again, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if p.Member == w.Name(leaver) || p.Generation != 2 {
				t.Errorf("part of %s of generation %d", p.Member, p.Generation)
			}
		}
		for i := range 3 {
			if s := w.Node(i).Status(); s.Generation != 2 || s.Shares != 1 {
				t.Errorf("%s: %+v", w.Name(i), s)
			}
		}
	})
}

// TestRefreshWithoutOneMember moves the keys while a member is down: the others
// serve with the new shares and keep the old ones, for too few have new ones to
// be safe without. The next ceremony includes it, and then nobody holds an old
// share.
func TestRefreshWithoutOneMember(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		w.grant(owner, reader.Name(), "lab")
		w.quiet()
		const down = 2
		w.stop(down)
		windows := [4]keys.Window{{Milliseconds: 500}, {Milliseconds: 500}, {Milliseconds: 500}, {Milliseconds: 5000}}
		if _, err := w.Node(0).OpenCeremony(w.ctx, windows); err != nil {
			t.Fatal(err)
		}
		w.until("the ceremony is over for those who are there", func() bool { return w.Node(0).Status().Generation == 2 })
		reader = w.now(reader, 0)
		w.mustRead(reader, id, "glucose 5.4")
		w.restart(down)
		w.settle()
		<-time.After(time.Second) // it has followed the chain
		for _, i := range []int{0, down} {
			if old, err := filepath.Glob(filepath.Join(w.Dir(), w.Name(i), "vault", "identity", "*", "1")); err != nil || len(old) != 1 {
				t.Errorf("shares of the first generation at %s: %q, %v", w.Name(i), old, err)
			}
		}
		if _, err := w.Node(0).OpenCeremony(w.ctx, windows); !errors.Is(err, keys.ErrRunning) {
			t.Errorf("a ceremony while late members have their time: %v", err)
		}
		<-time.After(6 * time.Second)
		if err := w.Refresh(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.until("old shares are erased", func() bool {
			for i := range w.Len() {
				for _, old := range []string{"identity/*/1", "identity/*/2", "checkpoint/*/[12]", "grant/*/*.[12]", "ceremony/*/*"} {
					left, err := filepath.Glob(filepath.Join(w.Dir(), w.Name(i), "vault", old))
					if err != nil || len(left) > 0 {
						return false
					}
				}
				if w.Node(i).Status().Shares != 1 {
					return false
				}
			}
			return true
		})
		w.mustRead(w.now(reader, down), id, "glucose 5.4")
	})
}

// TestNodeThatCrashesInACeremony stops a node in every phase of the first
// ceremony. What it said before, it stands by.
func TestNodeThatCrashesInACeremony(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, 600 * time.Millisecond, 1200 * time.Millisecond} {
		t.Run(fmt.Sprint(wait), func(t *testing.T) {
			slow := func(o *devnet.Options) {
				o.WithoutKeys = true
				o.Latency = func() time.Duration { return 20 * time.Millisecond }
			}
			inWorld(t, 4, slow, func(w *world) {
				windows := [4]keys.Window{{Milliseconds: 600_000}, {Milliseconds: 600_000}, {Milliseconds: 500}, {Milliseconds: 600_000}}
				if _, err := w.Node(0).OpenCeremony(w.ctx, windows); err != nil {
					t.Fatal(err)
				}
				<-time.After(wait)
				w.stop(1)
				<-time.After(time.Second)
				w.restart(1)
				w.settle()
				w.until("everybody has a share", func() bool {
					for i := range w.Len() {
						if s := w.Node(i).Status(); s.Ceremony != "completed" || s.Generation != 1 {
							return false
						}
					}
					return true
				})
				for i := range w.Len() {
					left, err := filepath.Glob(filepath.Join(w.Dir(), w.Name(i), "vault", "ceremony", "*", "*"))
					if err != nil || len(left) > 0 {
						t.Errorf("%s keeps the state of a ceremony that is over: %q", w.Name(i), left)
					}
				}
			})
		})
	}
}
