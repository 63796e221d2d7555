package wallet

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/internal/wire"
)

// Part of the format.
const (
	nameFile = "ward/wallet/v1"

	maxSealedKey = 4 << 10          // bytes of a master key under a passphrase
	maxFile      = maxBody + 16<<10 // bytes of a file

	lockSuffix = ".lock"
)

// workFactor is the base-two logarithm of the cost of scrypt: about a second
// for every guess at a passphrase. Files say theirs; up to maxWorkFactor they
// are opened.
const (
	workFactor    = 18
	maxWorkFactor = 20
)

// patience is how long a change waits for another process to make its own.
const patience = 10 * time.Second

// A file is an encrypted wallet on disk. The master key stays the same for the
// life of the file, so that a change does not take the passphrase.
type file struct {
	path   string
	guard  string // path of the file whose lock keeps other processes from changing this one
	header []byte // what stands before the nonce, and is authenticated with the body
	master [chacha20poly1305.KeySize]byte
}

// Create stores a wallet in a new file, encrypted under a passphrase. A file
// that exists is left alone, and is an error matching fs.ErrExist. From then on
// every change of the wallet is made in the file first.
func Create(path string, w *Wallet, passphrase []byte) error {
	return Options{}.Create(path, w, passphrase)
}

// Options say how wallets are sealed under a passphrase.
type Options struct {
	// WorkFactor is the base-two logarithm of scrypt's N: how dear each guess of
	// a passphrase is. 0 means 18, about a second; tests set less, and 20 is the
	// most that is opened again.
	WorkFactor int
}

func (o Options) work() int {
	if o.WorkFactor == 0 {
		return workFactor
	}
	return o.WorkFactor
}

// Create is [Create] with options.
func (o Options) Create(path string, w *Wallet, passphrase []byte) error {
	if err := create(path, w, passphrase, o.work()); err != nil {
		return fmt.Errorf("create wallet: %w", err)
	}
	return nil
}

func create(path string, w *Wallet, passphrase []byte, work int) error {
	f := &file{path: path, guard: path + lockSuffix}
	rand.Read(f.master[:]) // never fails
	sealed, err := sealBytes(f.master[:], passphrase, work)
	if err != nil {
		return err
	}
	h := wire.NewWriter(nameFile)
	h.Bytes(sealed)
	f.header = h.Sum()
	return w.store(f)
}

// store moves a wallet that is in memory to a new file.
func (w Wallet) store(f *file) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.s.file != nil {
		return errors.New("wallet has a file already")
	}
	if err := f.create(w.s.body); err != nil {
		return err
	}
	w.s.file = f
	return nil
}

// Open opens a stored wallet. ErrPassphrase says that the passphrase is wrong;
// a file that others may read is an error of package durable, one that was
// altered is ErrCorrupt.
func Open(path string, passphrase []byte) (*Wallet, error) {
	w, err := open(path, passphrase)
	if err != nil {
		return nil, fmt.Errorf("open wallet: %w", err)
	}
	return w, nil
}

func open(path string, passphrase []byte) (*Wallet, error) {
	raw, err := durable.ReadSecretUpTo(path, maxFile)
	if err != nil {
		return nil, err
	}
	sealed, header, err := parseFile(raw)
	if err != nil {
		return nil, err
	}
	master, err := openBytes(sealed, passphrase, chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, guard: path + lockSuffix, header: header}
	if copy(f.master[:], master) != len(f.master) {
		return nil, ErrCorrupt
	}
	b, err := f.open(raw)
	if err != nil {
		return nil, err
	}
	return &Wallet{&shared{body: b, file: f}}, nil
}

// parseFile returns the sealed master key and the header of a wallet's file.
func parseFile(raw []byte) (sealed, header []byte, err error) {
	r := wire.NewReader(nameFile, raw)
	sealed = r.Bytes(maxSealedKey)
	if err := r.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	h := wire.NewWriter(nameFile)
	h.Bytes(sealed)
	return sealed, h.Sum(), nil
}

// seal returns the content of the file for a body.
func (f *file) seal(b *body) ([]byte, error) {
	plain, err := b.bytes()
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	aead, err := chacha20poly1305.NewX(f.master[:])
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce) // never fails
	var w wire.Writer
	w.Raw(f.header)
	w.Raw(nonce)
	w.Raw(aead.Seal(nil, nonce, plain, f.header))
	return w.Sum(), nil
}

// open returns the body in the content of the file.
func (f *file) open(raw []byte) (*body, error) {
	rest, ok := bytes.CutPrefix(raw, f.header)
	if !ok || len(rest) < chacha20poly1305.NonceSizeX {
		return nil, ErrCorrupt
	}
	nonce, sealed := rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:]
	aead, err := chacha20poly1305.NewX(f.master[:])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, sealed, f.header)
	if err != nil {
		return nil, ErrCorrupt
	}
	defer clear(plain)
	b, err := parseBody(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return b, nil
}

// create writes the first content of the file, which must not exist.
func (f *file) create(b *body) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(f.path); err == nil {
		return &fs.PathError{Op: "create", Path: f.path, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	raw, err := f.seal(b)
	if err != nil {
		return err
	}
	return durable.WriteSecret(f.path, raw)
}

// update changes what is in the file now and returns it.
func (f *file) update(fn func(*body) error) (*body, error) {
	unlock, err := f.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	raw, err := durable.ReadSecretUpTo(f.path, maxFile)
	if err != nil {
		return nil, err
	}
	b, err := f.open(raw)
	if err != nil {
		return nil, err
	}
	before, err := b.bytes()
	if err != nil {
		return nil, err
	}
	defer clear(before)
	if err := fn(b); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	after, err := b.bytes()
	if err != nil {
		return nil, err
	}
	defer clear(after)
	if bytes.Equal(before, after) {
		return b, nil
	}
	if raw, err = f.seal(b); err != nil {
		return nil, err
	}
	if err := durable.WriteSecret(f.path, raw); err != nil {
		return nil, err
	}
	return b, nil
}

// lock keeps other processes from changing the file. The lock's file stays.
func (f *file) lock() (unlock func() error, err error) { return lockPath(f.guard) }

func lockPath(path string) (unlock func() error, err error) {
	deadline := time.Now().Add(patience)
	for {
		l, err := durable.LockPath(path)
		if err == nil {
			return l.Unlock, nil
		}
		if !errors.Is(err, durable.ErrLocked) || time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// sealBytes encrypts a little under a passphrase, as an age file.
func sealBytes(plain, passphrase []byte, work int) ([]byte, error) {
	var out bytes.Buffer
	if err := encrypt(&out, plain, passphrase, work); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func encrypt(out io.Writer, plain, passphrase []byte, work int) error {
	if len(passphrase) == 0 {
		return ErrPassphrase
	}
	if work < 1 || work > maxWorkFactor {
		return fmt.Errorf("work factor %d, want 1 to %d", work, maxWorkFactor)
	}
	r, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return err
	}
	r.SetWorkFactor(work)
	w, err := age.Encrypt(out, r)
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	return w.Close()
}

// openBytes decrypts an age file of at most limit bytes under a passphrase.
func openBytes(sealed, passphrase []byte, limit int) ([]byte, error) {
	return decrypt(bytes.NewReader(sealed), passphrase, limit)
}

func decrypt(in io.Reader, passphrase []byte, limit int) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, ErrPassphrase
	}
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, err
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	src := &source{r: in}
	r, err := age.Decrypt(src, id)
	switch {
	case src.err != nil:
		return nil, src.err
	case errors.Is(err, age.ErrIncorrectIdentity):
		return nil, ErrPassphrase
	case err != nil:
		return nil, fmt.Errorf("%w: it does not decrypt", ErrCorrupt)
	}
	plain, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case src.err != nil:
		return nil, src.err
	case err != nil || len(plain) > limit:
		clear(plain)
		return nil, fmt.Errorf("%w: it does not decrypt", ErrCorrupt)
	}
	return plain, nil
}

// A source remembers why reading failed.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func backup(b *body, out io.Writer, passphrase []byte, work int) error {
	plain, err := b.bytes()
	if err != nil {
		return err
	}
	defer clear(plain)
	return encrypt(out, plain, passphrase, work)
}

func restore(in io.Reader, passphrase []byte) (*body, error) {
	plain, err := decrypt(in, passphrase, maxBody)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	b, err := parseBody(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return b, nil
}
