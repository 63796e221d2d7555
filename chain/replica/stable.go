package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/ward-health/ward/chain"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends a CRC-32C to b.
func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unseal checks and removes the checksum that seal appended.
func unseal(b []byte) ([]byte, error) {
	n := len(b) - 4
	if n < 0 {
		return nil, errors.New("cut short")
	}
	if crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]) {
		return nil, errors.New("checksum")
	}
	return b[:n:n], nil
}

// The keys that hashicorp/raft stores.
const (
	keyCurrentTerm  = "CurrentTerm"
	keyLastVoteTerm = "LastVoteTerm"
	keyLastVoteCand = "LastVoteCand"
)

const stableName = "ward/v1/raft-vote"

type stableWire struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Values map[string][]byte
}

// stableStore keeps Raft's term and vote in one small file, written whole.
type stableStore struct {
	path   string
	medium medium
	// failed is called when Raft's term or vote cannot be written. hashicorp/raft
	// panics when it is told so: failed does not return. nil before Raft runs.
	failed func(error)

	mu     sync.Mutex
	values map[string][]byte // guarded by mu
}

// openStable reads the file at path. A missing file is an empty store. existed
// tells the two apart.
func openStable(path string, m medium) (s *stableStore, existed bool, err error) {
	s = &stableStore{path: path, medium: m, values: map[string][]byte{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	body, err := unseal(b)
	if err != nil {
		return s, true, &DamageError{Path: path, Reason: err.Error()}
	}
	var w stableWire
	if err := chain.Unmarshal(body, &w); err != nil || w.Name != stableName {
		return s, true, &DamageError{Path: path, Reason: "not a vote file"}
	}
	s.values = w.Values
	return s, true, nil
}

func (s *stableStore) Set(key, val []byte) error {
	s.mu.Lock()
	err := s.update(map[string][]byte{string(key): bytes.Clone(val)})
	s.mu.Unlock()
	if err != nil && s.failed != nil {
		s.failed(err)
	}
	return err
}

// update writes the values together. The caller holds mu.
func (s *stableStore) update(values map[string][]byte) error {
	next := make(map[string][]byte, len(s.values)+len(values))
	for k, v := range s.values {
		next[k] = v
	}
	for k, v := range values {
		next[k] = v
	}
	b, err := chain.Marshal(stableWire{Name: stableName, Values: next})
	if err != nil {
		return err
	}
	if err := s.medium.writeFile(s.path, seal(b)); err != nil {
		return &writeError{fmt.Errorf("store vote: %w", err)}
	}
	s.values = next
	return nil
}

// forfeit moves to term and gives away the vote in it, after this replica may
// have forgotten how it voted.
func (s *stableStore) forfeit(term uint64, member string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.update(map[string][]byte{
		keyCurrentTerm:  binary.BigEndian.AppendUint64(nil, term),
		keyLastVoteTerm: binary.BigEndian.AppendUint64(nil, term),
		keyLastVoteCand: []byte(member),
	})
}

func (s *stableStore) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[string(key)], nil
}

func (s *stableStore) SetUint64(key []byte, val uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, val))
}

func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	b, err := s.Get(key)
	if err != nil || len(b) == 0 {
		return 0, err
	}
	if len(b) != 8 {
		return 0, &DamageError{Path: s.path, Reason: "malformed number"}
	}
	return binary.BigEndian.Uint64(b), nil
}

const signedName = "ward/v1/signed"

// signedHead is the newest tree head this replica has put its name to.
type signedHead struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Height uint64
	Hash   chain.Hash // of the body of the tree head
	Raft   uint64     // index of the last entry applied when it was signed
}

// signFile remembers the newest signed tree head. It holds two copies in
// different sectors, written and flushed together: a write that is cut off or a
// sector that rots leaves the other.
type signFile struct {
	file   *os.File
	medium medium
	last   signedHead // owned by the signer after open
}

const signSlot = 4096

// openSignFile opens the file in dir. existed is false if there was none, which
// for a replica that has blocks means it was removed.
func openSignFile(dir string, m medium) (s *signFile, existed bool, err error) {
	path := filepath.Join(dir, "signed")
	_, err = os.Stat(path)
	existed = err == nil
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, existed, err
	}
	s = &signFile{file: f, medium: m}
	if !existed {
		return s, false, m.flushDir(dir)
	}
	buf := make([]byte, 2*signSlot)
	if n, _ := f.ReadAt(buf, 0); n == 0 {
		return s, true, nil // created, never written
	}
	found := false
	for i := range 2 {
		if h, err := parseSlot(buf[i*signSlot : (i+1)*signSlot]); err == nil {
			found = true
			if h.Height >= s.last.Height {
				s.last = h
			}
		}
	}
	if !found {
		return s, true, &DamageError{Path: path, Reason: "both copies are damaged"}
	}
	return s, true, nil
}

func parseSlot(b []byte) (signedHead, error) {
	var h signedHead
	n := int(binary.BigEndian.Uint16(b))
	if n < 4 || n > len(b)-2 {
		return h, errors.New("length")
	}
	body, err := unseal(b[2 : 2+n])
	if err != nil {
		return h, err
	}
	if err := chain.Unmarshal(body, &h); err != nil {
		return h, err
	}
	if h.Name != signedName {
		return h, errors.New("name")
	}
	return h, nil
}

// record makes h durable. Only then may the signature leave.
func (s *signFile) record(h signedHead) error {
	h.Name = signedName
	body, err := chain.Marshal(h)
	if err != nil {
		return err
	}
	body = seal(body)
	buf := make([]byte, 2*signSlot)
	for i := range 2 {
		binary.BigEndian.PutUint16(buf[i*signSlot:], uint16(len(body)))
		copy(buf[i*signSlot+2:], body)
	}
	_, err = s.file.WriteAt(buf, 0)
	if err == nil {
		err = s.medium.flush(s.file)
	}
	if err != nil {
		return &writeError{fmt.Errorf("record signature: %w", err)}
	}
	s.last = h
	return nil
}

func (s *signFile) Close() error { return s.file.Close() }
