package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/internal/wire"
)

// Names of the formats. Part of the format.
const (
	nameKey  = "ward/v1/vault-key"
	nameFile = "ward/v1/vault-file"
)

const (
	keyFile       = "key.age"
	maxKeyFile    = 4 << 10
	defaultFactor = 18
	maxFactor     = 22 // a minute; more would be a way to stall a node
)

// overhead is what a file is longer than its secret.
const overhead = int64(len(nameFile) + 1 + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead)

// seal writes the master key under a passphrase. The caller holds mu, or is
// alone.
func (v *Vault) seal(passphrase []byte, opt Options) error {
	if len(passphrase) == 0 {
		return errors.New("empty passphrase")
	}
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return err
	}
	if opt.WorkFactor == 0 {
		opt.WorkFactor = defaultFactor
	}
	if opt.WorkFactor < 1 || opt.WorkFactor > maxFactor {
		return fmt.Errorf("work factor %d, at most %d", opt.WorkFactor, maxFactor)
	}
	to.SetWorkFactor(opt.WorkFactor)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return err
	}
	plain := wire.NewWriter(nameKey)
	plain.Raw(v.id[:])
	plain.Raw(v.key[:])
	defer clear(plain.Sum())
	if _, err := w.Write(plain.Sum()); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return durable.WriteSecret(filepath.Join(v.dir, keyFile), out.Bytes())
}

// unseal reads the master key.
func (v *Vault) unseal(passphrase []byte) error {
	path := filepath.Join(v.dir, keyFile)
	data, err := durable.ReadSecretUpTo(path, maxKeyFile)
	if err != nil {
		return err
	}
	id, key, err := openKey(data, passphrase)
	if errors.Is(err, ErrPassphrase) {
		return err
	}
	if err != nil {
		return &DamageError{Path: path, Reason: err.Error()}
	}
	v.id, v.key = id, key
	clear(key[:])
	return nil
}

// openKey opens the bytes of the key file.
func openKey(data, passphrase []byte) (id [16]byte, key [32]byte, err error) {
	if len(passphrase) == 0 {
		return id, key, ErrPassphrase // age refuses it with an error of its own
	}
	as, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return id, key, err
	}
	as.SetMaxWorkFactor(maxFactor)
	r, err := age.Decrypt(bytes.NewReader(data), as)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return id, key, ErrPassphrase
	}
	if err != nil {
		return id, key, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxKeyFile))
	if err != nil {
		return id, key, err
	}
	defer clear(plain)
	rest, ok := cutName(plain, nameKey)
	if !ok || len(rest) != len(id)+len(key) {
		return id, key, errors.New("not the key of a vault")
	}
	copy(id[:], rest)
	copy(key[:], rest[len(id):])
	return id, key, nil
}

// binding is the associated data of a file: the vault and the name it belongs to.
func binding(id [16]byte, kind Kind, name string) []byte {
	w := wire.NewWriter(nameFile)
	w.Raw(id[:])
	w.String(string(kind))
	w.String(name)
	return w.Sum()
}

func sealFile(key *[32]byte, id [16]byte, kind Kind, name string, secret []byte) []byte {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		panic("vault: " + err.Error()) // only for a key of another length
	}
	w := wire.NewWriter(nameFile)
	var nonce [chacha20poly1305.NonceSizeX]byte
	rand.Read(nonce[:])
	w.Raw(nonce[:])
	return aead.Seal(w.Sum(), nonce[:], secret, binding(id, kind, name))
}

// openFile opens the bytes of a file. It does not say why they do not open.
func openFile(key *[32]byte, id [16]byte, kind Kind, name string, data []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, err
	}
	rest, ok := cutName(data, nameFile)
	if !ok || len(rest) < aead.NonceSize() {
		return nil, errors.New("not a vault file")
	}
	secret, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], binding(id, kind, name))
	if err != nil {
		return nil, errors.New("does not open")
	}
	return secret, nil
}

// fan spreads files over 256 directories.
func fan(name string) string {
	h := sha256.Sum256([]byte(name))
	return hex.EncodeToString(h[:1])
}
