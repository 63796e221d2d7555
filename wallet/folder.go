package wallet

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/internal/wire"
)

// Part of the format.
const (
	nameFolder = "ward/wallet-folder/v1"
	nameInside = "ward/wallet-inside/v1"
	nameHeld   = "ward/custodial-wallet/v1"
	folderFile = "folder"
	heldSuffix = ".wallet"
	maxChainID = 255
)

// A Folder holds the wallets of many identities for the organisation that
// registered them, such as patients who have no wallet of their own yet. One
// passphrase opens it; opening one of its wallets takes no passphrase. It is
// safe for concurrent use, by several processes too.
type Folder struct{ f *folder }

type folder struct {
	dir    string
	chain  string
	master [chacha20poly1305.KeySize]byte
}

// CreateFolder makes a folder for wallets of a chain in a directory, which is
// created. A folder that is there already is left alone, and is an error
// matching fs.ErrExist.
func CreateFolder(dir, chainID string, passphrase []byte) (*Folder, error) {
	return Options{}.CreateFolder(dir, chainID, passphrase)
}

// CreateFolder is [CreateFolder] with options.
func (o Options) CreateFolder(dir, chainID string, passphrase []byte) (*Folder, error) {
	f, err := createFolder(dir, chainID, passphrase, o.work())
	if err != nil {
		return nil, fmt.Errorf("create wallet folder: %w", err)
	}
	return f, nil
}

func createFolder(dir, chainID string, passphrase []byte, work int) (*Folder, error) {
	if chainID == "" || len(chainID) > maxChainID {
		return nil, errors.New("chain id is malformed")
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, folderFile)
	unlock, err := lockPath(path + lockSuffix)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Lstat(path); err == nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f := &folder{dir: dir, chain: chainID}
	rand.Read(f.master[:]) // never fails
	inside := wire.NewWriter(nameInside)
	inside.String(chainID)
	inside.Raw(f.master[:])
	sealed, err := sealBytes(inside.Sum(), passphrase, work)
	if err != nil {
		return nil, err
	}
	w := wire.NewWriter(nameFolder)
	w.Bytes(sealed)
	if err := durable.WriteSecret(path, w.Sum()); err != nil {
		return nil, err
	}
	return &Folder{f}, nil
}

// OpenFolder opens a folder. The errors are those of Open.
func OpenFolder(dir string, passphrase []byte) (*Folder, error) {
	f, err := openFolder(dir, passphrase)
	if err != nil {
		return nil, fmt.Errorf("open wallet folder: %w", err)
	}
	return &Folder{f}, nil
}

// Chain returns the id of the chain.
func (f *Folder) Chain() string { return f.f.chain }

// Format prints the chain and nothing secret.
func (f Folder) Format(s fmt.State, _ rune) { fmt.Fprint(s, "wallet folder") }

func openFolder(dir string, passphrase []byte) (*folder, error) {
	raw, err := durable.ReadSecret(filepath.Join(dir, folderFile))
	if err != nil {
		return nil, err
	}
	sealed, err := parseFolder(raw)
	if err != nil {
		return nil, err
	}
	plain, err := openBytes(sealed, passphrase, maxSealedKey)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	f := &folder{dir: dir}
	r := wire.NewReader(nameInside, plain)
	f.chain = r.String(maxChainID)
	copy(f.master[:], r.Raw(len(f.master)))
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return f, nil
}

func parseFolder(raw []byte) (sealed []byte, err error) {
	r := wire.NewReader(nameFolder, raw)
	sealed = r.Bytes(maxSealedKey)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return sealed, nil
}

// file returns the file for a name: in one of 256 directories, under a key of
// the folder's, bound to chain and name so that no file can stand in for
// another.
func (f *folder) file(name identity.Name) (*file, error) {
	if _, err := identity.ParseName(string(name)); err != nil {
		return nil, err
	}
	h := wire.NewWriter(nameHeld)
	h.String(f.chain)
	h.String(string(name))
	dir := filepath.Join(f.dir, shard(name))
	return &file{
		path: filepath.Join(dir, string(name)+heldSuffix), guard: filepath.Join(dir, lockSuffix),
		header: h.Sum(), master: f.master,
	}, nil
}

func shard(name identity.Name) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%02x", sum[0])
}

// Create makes a wallet with a fresh signing key for a name. One that is there
// already is left alone, and is an error matching fs.ErrExist.
func (f *Folder) Create(name identity.Name) (*Wallet, error) {
	w, err := f.f.create(name)
	if err != nil {
		return nil, fmt.Errorf("create wallet: %w", err)
	}
	return w, nil
}

func (f *folder) create(name identity.Name) (*Wallet, error) {
	w, err := Generate(f.chain, name)
	if err != nil {
		return nil, err
	}
	held, err := f.file(name)
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(filepath.Dir(held.path), 0o700); err != nil {
		return nil, err
	}
	if err := w.store(held); err != nil {
		return nil, err
	}
	return w, nil
}

// Open opens the wallet of a name. If there is none the error matches
// fs.ErrNotExist.
func (f *Folder) Open(name identity.Name) (*Wallet, error) {
	w, err := f.f.open(name)
	if err != nil {
		return nil, fmt.Errorf("open wallet: %w", err)
	}
	return w, nil
}

func (f *folder) open(name identity.Name) (*Wallet, error) {
	held, err := f.file(name)
	if err != nil {
		return nil, err
	}
	raw, err := durable.ReadSecretUpTo(held.path, maxFile)
	if err != nil {
		return nil, err
	}
	b, err := held.open(raw)
	if err != nil {
		return nil, err
	}
	if b.Identity != name || b.Chain != f.chain {
		return nil, fmt.Errorf("%w: it is another's", ErrCorrupt)
	}
	return &Wallet{&shared{body: b, file: held}}, nil
}

// List yields the names of the wallets, in no particular order, and ends after
// the first error.
func (f *Folder) List() iter.Seq2[identity.Name, error] {
	return func(yield func(identity.Name, error) bool) {
		shards, err := os.ReadDir(f.f.dir)
		if err != nil {
			yield("", fmt.Errorf("list wallets: %w", err))
			return
		}
		for _, s := range shards {
			if !s.IsDir() {
				continue
			}
			entries, err := os.ReadDir(filepath.Join(f.f.dir, s.Name()))
			if err != nil {
				yield("", fmt.Errorf("list wallets: %w", err))
				return
			}
			for _, e := range entries {
				base, ok := strings.CutSuffix(e.Name(), heldSuffix)
				name, err := identity.ParseName(base)
				if !ok || err != nil || shard(name) != s.Name() {
					continue
				}
				if !yield(name, nil) {
					return
				}
			}
		}
	}
}

// Export writes the wallet of a name for its person, as Wallet.Backup does. The
// person restores it, and takes the name over with a key of her own.
func (f *Folder) Export(name identity.Name, out io.Writer, passphrase []byte) error {
	w, err := f.Open(name)
	if err != nil {
		return err
	}
	return w.Backup(out, passphrase)
}

// Release deletes the wallet of a name that its person has taken over: now is
// what the chain says of it, which the caller verified. It returns ErrHeld, and
// deletes nothing, while the organisation controls the name or a key in the
// wallet signs for it.
func (f *Folder) Release(now *identity.Identity) error {
	if err := f.f.release(now); err != nil {
		return fmt.Errorf("release wallet: %w", err)
	}
	return nil
}

func (f *folder) release(now *identity.Identity) error {
	held, err := f.file(now.Name)
	if err != nil {
		return err
	}
	unlock, err := held.lock()
	if err != nil {
		return err
	}
	defer unlock()
	w, err := f.open(now.Name)
	if err != nil {
		return err
	}
	pending, _ := w.Pending()
	if now.Controller != "" || now.Key == w.Public() || now.Key == pending {
		return ErrHeld
	}
	return durable.Remove(held.path)
}
