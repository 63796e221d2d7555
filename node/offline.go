package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node/vault"
)

// ImportChain makes the chain of the node in dir, which must not run and have no
// chain, from an exported one: see replica.Import, whose errors it returns. trusted is
// a consortium file of the chain from a trusted place. The error matches
// vault.ErrNoVault if there is no node in dir, and durable.ErrLocked while one runs.
//
// What the node noted about the chain it had is forgotten before the new one is there:
// it goes through the blocks again.
func ImportChain(dir string, in io.Reader, trusted *chain.Consortium) (head *chain.Header, err error) {
	lock, err := lockStopped(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	forgetting := &beforeRead{Reader: in, do: func() error {
		if err := durable.Remove(filepath.Join(dir, "cursor")); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}}
	return replica.Import(forgetting, replica.ImportOptions{
		Dir: filepath.Join(dir, "chain"), Trusted: trusted, Contracts: contract.All(),
	})
}

// VerifyChain checks the whole chain of the node in dir, which must not run, and
// repairs nothing: see replica.Verify, whose errors it returns. founding is the
// founding consortium file, and trusted one of any epoch from a trusted place;
// progress may be nil, and is replica.VerifyOptions.Progress. The error matches
// vault.ErrNoVault if there is no node in dir, and durable.ErrLocked while one runs.
func VerifyChain(ctx context.Context, dir string, founding, trusted *chain.Consortium, progress func(checked, all int64)) (rep *replica.Report, err error) {
	lock, err := lockStopped(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return replica.Verify(ctx, replica.VerifyOptions{
		Dir: filepath.Join(dir, "chain"), Founding: founding, Trusted: trusted, Progress: progress,
	})
}

// lockStopped takes the lock of a node that does not run.
func lockStopped(dir string) (*durable.Lock, error) {
	if !vault.Exists(filepath.Join(dir, "vault")) {
		return nil, fmt.Errorf("%w: %s", vault.ErrNoVault, dir)
	}
	return durable.LockDir(dir)
}

// A beforeRead does something before it is read for the first time: Import reads
// when it has seen that it may write.
type beforeRead struct {
	io.Reader
	do func() error // nil when it is done
}

func (r *beforeRead) Read(p []byte) (int, error) {
	if r.do != nil {
		if err := r.do(); err != nil {
			return 0, err
		}
		r.do = nil
	}
	return r.Reader.Read(p)
}
