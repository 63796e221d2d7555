package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// snapStore keeps the newest Raft snapshot, an attested anchor, in one file. A
// snapshot that is not certified is refused when it is closed, before Raft acts
// on it.
type snapStore struct {
	path       string
	medium     medium
	consortium func() *chain.Consortium
	onStored   func(pos position)
	writable   func() error                       // nil, or why nothing is to be stored
	renew      func(*attested) (*attested, error) // of one that members in force did not sign; nil refuses it
	onRefused  func(error)                        // nil, or told of one that was sent and is not good

	mu   sync.Mutex
	last *storedSnap // guarded by mu
}

// storedSnap is the snapshot with what Raft wants to know about it.
type storedSnap struct {
	attested *attested
	raw      []byte
}

const snapID = "ward"

// openSnaps reads the snapshot in dir. A damaged one is removed and reported.
func openSnaps(dir string, m medium, consortium func() *chain.Consortium) (s *snapStore, damage error, err error) {
	s = &snapStore{path: filepath.Join(dir, "snapshot"), medium: m, consortium: consortium}
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	raw, err := unseal(b)
	if err == nil {
		var a *attested
		if a, err = parseAttested(raw); err == nil {
			s.last = &storedSnap{attested: a, raw: raw}
			return s, nil, nil
		}
	}
	damage = &DamageError{Path: s.path, Reason: err.Error()}
	return s, damage, errors.Join(os.Remove(s.path), m.flushDir(dir))
}

// newest returns the newest snapshot, or nil.
func (s *snapStore) newest() *attested {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	return s.last.attested
}

func (s *storedSnap) meta() (*raft.SnapshotMeta, error) {
	a := &s.attested.Anchor
	config, err := decodeConfig(a.Config)
	if err != nil {
		return nil, err
	}
	return &raft.SnapshotMeta{
		Version:            raft.SnapshotVersionMax,
		ID:                 snapID,
		Index:              a.Pos.Index,
		Term:               a.Pos.Term,
		Configuration:      config,
		ConfigurationIndex: a.ConfigIndex,
		Size:               int64(len(s.raw)),
	}, nil
}

func (s *snapStore) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil, nil
	}
	meta, err := s.last.meta()
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{meta}, nil
}

func (s *snapStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || id != snapID {
		return nil, nil, fmt.Errorf("no snapshot %q", id)
	}
	meta, err := s.last.meta()
	if err != nil {
		return nil, nil, err
	}
	return meta, io.NopCloser(bytes.NewReader(s.last.raw)), nil
}

func (s *snapStore) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("snapshot version %d", version)
	}
	return &snapSink{store: s, pos: position{Index: index, Term: term}, config: configuration, configIndex: configurationIndex}, nil
}

// snapSink receives one snapshot.
type snapSink struct {
	store       *snapStore
	pos         position
	config      raft.Configuration
	configIndex uint64
	buf         bytes.Buffer
	done        bool
}

func (s *snapSink) ID() string    { return snapID }
func (s *snapSink) Cancel() error { s.done = true; return nil }

func (s *snapSink) Write(p []byte) (int, error) {
	if s.buf.Len()+len(p) > maxAttested {
		return 0, errors.New("snapshot is too large")
	}
	return s.buf.Write(p)
}

// Close verifies the snapshot and stores it. On a nearly full disk it refuses: the
// blocks that a snapshot of another member stands for would be written next.
func (s *snapSink) Close() error {
	if s.done {
		return nil
	}
	s.done = true
	if s.store.writable != nil {
		if err := s.store.writable(); err != nil {
			return err
		}
	}
	a, raw, err := s.judge(bytes.Clone(s.buf.Bytes()))
	if err != nil {
		if s.store.onRefused != nil {
			s.store.onRefused(err)
		}
		return err
	}
	return s.store.put(a, raw)
}

// judge returns the snapshot in raw, and its bytes, if it may be stored.
func (s *snapSink) judge(raw []byte) (*attested, []byte, error) {
	a, err := parseAttested(raw)
	if err != nil {
		return nil, nil, err
	}
	if _, err = a.verify(s.store.consortium()); err != nil && s.store.renew != nil {
		if a, err = s.store.renew(a); err == nil {
			raw, err = chain.Marshal(a)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if a.Anchor.Pos != s.pos || a.Anchor.ConfigIndex != s.configIndex || !sameConfig(a.Anchor.Config, s.config) {
		return nil, nil, errors.New("snapshot is for another place in the log or another configuration than it is sent with")
	}
	return a, raw, nil
}

func (s *snapStore) put(a *attested, raw []byte) error {
	s.mu.Lock()
	if s.last != nil && s.last.attested.Anchor.Pos.Index > a.Anchor.Pos.Index {
		s.mu.Unlock()
		return errors.New("snapshot is older than the one held")
	}
	if err := s.medium.writeFile(s.path, seal(bytes.Clone(raw))); err != nil {
		s.mu.Unlock()
		return fmt.Errorf("store snapshot: %w", err)
	}
	s.last = &storedSnap{attested: a, raw: raw}
	s.mu.Unlock()
	if s.onStored != nil {
		s.onStored(a.Anchor.Pos)
	}
	return nil
}

// decodeConfig decodes a Raft configuration from a peer. The library's decoder
// panics on bytes that are none.
func decodeConfig(b []byte) (c raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("raft configuration: %v", p)
		}
	}()
	return raft.DecodeConfiguration(b), nil
}
