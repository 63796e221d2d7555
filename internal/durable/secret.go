package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxSecret is the size in bytes of the largest file ReadSecret reads. Keys,
// passphrases and shares are far smaller.
const MaxSecret = 1 << 20

// ErrExposed is matched by the error of ReadSecret and CheckSecret for a file
// that someone other than its owner may read or replace.
var ErrExposed = errors.New("secret file is exposed")

// WriteSecret is WriteFile with mode 0600.
func WriteSecret(path string, data []byte) error {
	return WriteFile(path, data, 0o600)
}

// ReadSecret returns the content of the file at path after CheckSecret has
// passed on the opened file. A symbolic link at path is refused: whoever can
// replace the link chooses the secret.
func ReadSecret(path string) ([]byte, error) { return ReadSecretUpTo(path, MaxSecret) }

// ReadSecretUpTo is ReadSecret for a file of at most limit bytes.
func ReadSecretUpTo(path string, limit int64) ([]byte, error) {
	f, err := openNoFollow(path)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	if err := CheckSecret(f); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if int64(len(data)) > limit {
		clear(data)
		return nil, fmt.Errorf("read secret %s: more than %d bytes", path, limit)
	}
	return data, nil
}

// CheckSecret reports whether f is a regular file that only its owner, who
// must be the user of this process, may access. Where the operating system
// has no such modes (Windows), only the kind of the file is checked.
func CheckSecret(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrExposed, f.Name())
	}
	return checkOwner(f.Name(), info)
}
