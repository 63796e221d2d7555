package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ward-health/ward/chain/replica/seglog"
)

// simSidecars are the sidecars of a schedule: every other write has one, and half
// of those are purged at once. Guarded by simulation.mu.
type simSidecars struct {
	kept   map[uint64][]byte // by leaf; nobody asked to purge them
	purged map[uint64][]byte // acknowledged as purged
}

// simSidecar returns the sidecar of a write, nil if it has none. It takes nothing
// from the random numbers of the schedule.
func simSidecar(in simInput) []byte {
	if in.write%2 != 0 {
		return nil
	}
	return bytes.Repeat(fmt.Appendf(nil, "sidecar %08x.", in.write), 60)
}

// keep remembers the sidecar of an acknowledged write, or purges it.
func (s *simulation) keep(node *Replica, in simInput, leaf uint64) {
	data := simSidecar(in)
	if data == nil {
		return
	}
	if in.write%4 != 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sidecars.kept[leaf] = data
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	_, err := node.Submit(ctx, sign(s.t, "alice", "purge", binary.BigEndian.AppendUint64(nil, leaf), nil), nil)
	if err != nil {
		return // it may be purged, or not
	}
	if _, err := node.Sidecar(leaf); !errors.Is(err, ErrPurged) && node.Err() == nil {
		s.t.Errorf("sidecar of transaction %d after its purge: %v", leaf, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sidecars.purged[leaf] = data
}

// checkSidecars checks that every running member has the sidecars that were not
// purged, and none of the others.
func (s *simulation) checkSidecars(seed uint64) {
	s.t.Helper()
	for name, node := range s.nodes {
		for leaf, data := range s.sidecars.kept {
			if got, err := node.Sidecar(leaf); err != nil || !bytes.Equal(got, data) {
				s.t.Errorf("seed %d: %s lost the sidecar of transaction %d: %d bytes, %v", seed, name, leaf, len(got), err)
			}
		}
		for leaf := range s.sidecars.purged {
			if got, err := node.Sidecar(leaf); len(got) > 0 || err != nil && !errors.Is(err, ErrPurged) {
				s.t.Errorf("seed %d: %s has the purged sidecar of transaction %d: %d bytes, %v", seed, name, leaf, len(got), err)
			}
		}
	}
}

// compact goes on until no log has an entry of the schedule.
func (s *simulation) compact(seed uint64) {
	s.t.Helper()
	var last uint64
	for _, node := range s.nodes {
		last = max(last, node.raftLog.log.Last())
	}
	s.compacted = last
	for begin := time.Now(); ; time.Sleep(time.Second) {
		behind := ""
		for name, node := range s.nodes {
			if node.raftLog.log.First() <= last {
				behind = name
			}
		}
		if behind == "" {
			return
		}
		if time.Since(begin) > simPatience {
			s.describe()
			s.t.Fatalf("seed %d: %s does not compact its log", seed, behind)
		}
		// What becomes of it does not matter: another follows.
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		_, _ = s.nodes[behind].Submit(ctx, put(s.t, "alice", "compact", nil, nil), nil)
		cancel()
	}
}

// whereInLog says at which indices of a log something is.
func whereInLog(dir string, what []byte) string {
	log, err := seglog.Open(dir, seglog.Options{Salvage: true})
	if err != nil {
		return ""
	}
	defer log.Close()
	var at []uint64
	for i := log.First(); i > 0 && i <= log.Last(); i++ {
		if b, err := log.Read(i); err == nil && bytes.Contains(b, what) {
			at = append(at, i)
		}
	}
	return fmt.Sprintf(", at %d of %d to %d", at, log.First(), log.Last())
}

// checkErased checks that what was purged is in no file of the members with these
// names, which have stopped. (Who left the consortium before hears of no purge.)
func (s *simulation) checkErased(seed uint64, names []string) {
	s.t.Helper()
	purged := map[string]uint64{} // leaf by the beginning of the sidecar
	const begins = len("sidecar 00000000.")
	for leaf, data := range s.sidecars.purged {
		purged[string(data[:begins])] = leaf
	}
	for _, name := range names {
		err := filepath.WalkDir(filepath.Join(s.dir, name), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i := bytes.Index(b, []byte("sidecar ")); i >= 0 && len(b) >= i+begins; {
				if leaf, ok := purged[string(b[i:i+begins])]; ok {
					s.t.Errorf("seed %d: %s still holds the purged sidecar of transaction %d; the schedule ended at entry %d%s", seed, path, leaf, s.compacted, whereInLog(filepath.Dir(path), b[i:i+begins]))
					return nil
				}
				b = b[i+1:]
				i = bytes.Index(b, []byte("sidecar "))
			}
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}
