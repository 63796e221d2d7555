// Package vault keeps a node's secrets on its disk, encrypted: the node key, its
// shares of the consortium's keys and of grants, and the state of a key
// ceremony that is under way.
//
// A random master key, which is on disk only under a passphrase, encrypts every
// secret into a file of its own, so that erasing a secret is deleting a file.
// A file opens only in the vault it was written to and under the name it was
// written with. Except for the state of ceremonies a secret never changes under
// its name: what cannot be told apart, an old file put back, is then a secret
// that was erased, and no reason to serve anything. SPEC.md gives the bytes.
//
// Warning: Go copies memory as it likes. Erasing keys in memory is a best
// effort, and deleting a file does not overwrite it: keep the directory on an
// encrypted disk as well.
package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ward-health/ward/internal/durable"
)

// Errors that callers branch on.
var (
	ErrPassphrase = errors.New("wrong passphrase")
	ErrNotFound   = errors.New("no such secret")
	ErrExists     = errors.New("secret exists with another content")
	ErrNoVault    = errors.New("directory holds no vault")
	ErrClosed     = errors.New("vault is closed")
)

// A DamageError says that a file does not hold what was written to it, or was
// put there from elsewhere.
type DamageError struct {
	Path   string
	Reason string
}

// Error names the file.
func (e *DamageError) Error() string { return fmt.Sprintf("vault file %s: %s", e.Path, e.Reason) }

// A Kind says what a secret is. It is part of what its file is bound to.
type Kind string

// The kinds. Part of the format: only add at the end.
const (
	NodeKey    Kind = "node"       // Ed25519 seed, by public key
	Transport  Kind = "transport"  // key to which shares of grants are sealed, by public key
	Ceremony   Kind = "ceremony"   // state of a ceremony's machine, by number; the one kind that changes
	Identity   Kind = "identity"   // share of the identity key, by generation
	Checkpoint Kind = "checkpoint" // share of the checkpoint key, by generation
	Grant      Kind = "grant"      // share of a grant, by its id and generation
)

var kinds = []Kind{NodeKey, Transport, Ceremony, Identity, Checkpoint, Grant}

// Limits. Part of the format.
const (
	maxName   = 100
	maxSecret = 64 << 20 // the state of a ceremony that moves many grants
)

// A Vault is an open vault. It is safe for concurrent use; one process at a
// time has it open.
type Vault struct {
	dir  string
	lock *durable.Lock

	mu     sync.RWMutex
	id     [16]byte                     // guarded by mu, like all below
	key    [32]byte                     // the master key
	closed bool                         //
	names  map[Kind]map[string]struct{} // what is there
	erased int                          // secrets deleted since Open
}

// Options of Create. Zero fields mean the default.
type Options struct {
	// WorkFactor is the base-2 logarithm of scrypt's N: how dear each guess of
	// the passphrase is. 0 means 18, about a second. Less is for tests.
	WorkFactor int
}

// Create makes an empty vault in dir, which it creates, and opens it. It fails
// if there is one.
func Create(dir string, passphrase []byte, opt Options) (*Vault, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create vault: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, keyFile)); err == nil {
		return nil, fmt.Errorf("create vault in %s: %w", dir, fs.ErrExist)
	}
	lock, err := durable.LockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("create vault: %w", err)
	}
	v := &Vault{dir: dir, lock: lock, names: map[Kind]map[string]struct{}{}}
	rand.Read(v.id[:])
	rand.Read(v.key[:])
	if err := v.seal(passphrase, opt); err != nil {
		return nil, errors.Join(fmt.Errorf("create vault: %w", err), v.Close())
	}
	return v, nil
}

// Open opens the vault in dir. The error matches ErrPassphrase, ErrNoVault, or
// durable.ErrLocked, or is a *DamageError. It reads the names of all secrets,
// and no secret.
func Open(dir string, passphrase []byte) (*Vault, error) {
	if _, err := os.Lstat(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open vault %s: %w", dir, ErrNoVault)
	}
	lock, err := durable.LockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	v := &Vault{dir: dir, lock: lock, names: map[Kind]map[string]struct{}{}}
	if err := v.unseal(passphrase); err != nil {
		return nil, errors.Join(fmt.Errorf("open vault: %w", err), v.Close())
	}
	if err := v.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open vault: %w", err), v.Close())
	}
	return v, nil
}

// Exists reports whether dir holds a vault.
func Exists(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, keyFile))
	return err == nil
}

// Rekey seals the master key with another passphrase. Who has a copy of the
// vault and the old passphrase can still open the copy.
func (v *Vault) Rekey(passphrase []byte, opt Options) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	if err := v.seal(passphrase, opt); err != nil {
		return fmt.Errorf("change passphrase: %w", err)
	}
	return nil
}

// Put stores a secret. When it returns nil, the secret is durable. Storing the
// same again is no error; storing another under its name is ErrExists, except
// for the state of a ceremony, which it replaces.
func (v *Vault) Put(kind Kind, name string, secret []byte) error {
	if err := check(kind, name); err != nil {
		return err
	}
	if len(secret) > maxSecret {
		return fmt.Errorf("store secret: %d bytes, limit %d", len(secret), maxSecret)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	if _, ok := v.names[kind][name]; ok && kind != Ceremony {
		old, err := v.read(kind, name)
		if err == nil {
			same := subtle.ConstantTimeCompare(old, secret) == 1
			clear(old)
			if same {
				return nil
			}
			return fmt.Errorf("store %s secret: %w", kind, ErrExists)
		}
		// What is there is damaged, and this is it again.
	}
	path := v.path(kind, name)
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store secret: %w", err)
	}
	if err := durable.WriteSecret(path, sealFile(&v.key, v.id, kind, name, secret)); err != nil {
		return fmt.Errorf("store secret: %w", err)
	}
	v.note(kind, name)
	return nil
}

// Get returns a secret, which the caller clears. The error is ErrNotFound or a
// *DamageError, or the disk's.
func (v *Vault) Get(kind Kind, name string) ([]byte, error) {
	if err := check(kind, name); err != nil {
		return nil, err
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.closed {
		return nil, ErrClosed
	}
	return v.read(kind, name)
}

// read returns a secret. The caller holds mu.
func (v *Vault) read(kind Kind, name string) ([]byte, error) {
	path := v.path(kind, name)
	data, err := durable.ReadSecretUpTo(path, maxSecret+overhead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read %s secret: %w", kind, err)
	}
	secret, err := openFile(&v.key, v.id, kind, name, data)
	if err != nil {
		return nil, &DamageError{Path: path, Reason: err.Error()}
	}
	return secret, nil
}

// Delete erases a secret: when it returns nil, the file is gone for good.
// Deleting what is not there is no error.
func (v *Vault) Delete(kind Kind, name string) error {
	if err := check(kind, name); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	switch err := durable.Remove(v.path(kind, name)); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("erase %s secret: %w", kind, err)
	default:
		v.erased++
	}
	delete(v.names[kind], name)
	return nil
}

// Has reports whether a secret is there, without opening it.
func (v *Vault) Has(kind Kind, name string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	_, ok := v.names[kind][name]
	return ok
}

// Names returns the names of the secrets of a kind, ascending.
func (v *Vault) Names(kind Kind) []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	names := make([]string, 0, len(v.names[kind]))
	for name := range v.names[kind] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Count returns how many secrets of a kind there are.
func (v *Vault) Count(kind Kind) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.names[kind])
}

// Erased returns how many secrets were deleted since the vault was opened.
func (v *Vault) Erased() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.erased
}

// Close forgets the master key. It does nothing the second time.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	clear(v.key[:])
	return v.lock.Unlock()
}

func (v *Vault) note(kind Kind, name string) {
	if v.names[kind] == nil {
		v.names[kind] = map[string]struct{}{}
	}
	v.names[kind][name] = struct{}{}
}

func (v *Vault) path(kind Kind, name string) string {
	return filepath.Join(v.dir, string(kind), fan(name), name)
}

// load reads the names and removes what crashed writers left.
func (v *Vault) load() error {
	for _, kind := range kinds {
		fans, err := os.ReadDir(filepath.Join(v.dir, string(kind)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, d := range fans {
			if err := v.loadDir(kind, d.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *Vault) loadDir(kind Kind, name string) error {
	dir := filepath.Join(v.dir, string(kind), name)
	if _, err := durable.Sweep(dir); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if check(kind, f.Name()) != nil || fan(f.Name()) != name {
			return &DamageError{Path: filepath.Join(dir, f.Name()), Reason: "not a file of the vault"}
		}
		v.note(kind, f.Name())
	}
	return nil
}

// check refuses names that are no file names everywhere.
func check(kind Kind, name string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}
	if !slices.Contains(kinds, kind) || name == "" || len(name) > maxName || name[0] == '.' || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("malformed name of a secret: %q %q", string(kind), name)
	}
	return nil
}

var newline = []byte("\n")

// cutPrefix removes a format's name and its newline.
func cutName(data []byte, name string) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(data, []byte(name))
	if !ok {
		return nil, false
	}
	return bytes.CutPrefix(rest, newline)
}
