package cli

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/wallet"
)

// backupPassphrase returns the passphrase of a copy.
func (s *session) backupPassphrase(ctx context.Context, c *urfave.Context, question string, twice bool) ([]byte, error) {
	if file := c.String("backup-passphrase-file"); file != "" {
		return passphraseSource{"backup-passphrase-file", file}.read(ctx, s.stderr)
	}
	p, err := s.askSecret(ctx, question)
	if err != nil || !twice {
		return p, err
	}
	again, err := s.askSecret(ctx, "Once more: ")
	defer clear(again)
	if err == nil && !bytes.Equal(p, again) {
		err = failf("passphrase", exitUsage, "the two passphrases differ")
	}
	return p, err
}

func walletBackup(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	out := c.String("output")
	if out == "" {
		return nil, usagef("where to?").withHint("--output FILE, or - for stdout")
	}
	if out == "-" && isTerminal(s.stdout) {
		return nil, binaryOnTerminal()
	}
	dir, err := walletsDir(c)
	if err != nil {
		return nil, err
	}
	name, err := actorNamed(c, dir)
	if err != nil {
		return nil, err
	}
	w, err := s.walletOf(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	pass, err := s.backupPassphrase(ctx, c, "Passphrase of the copy: ", true)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	var copied bytes.Buffer
	if err := s.sealing().Backup(w, &copied, pass); err != nil {
		return nil, err
	}
	if err := s.writeNew(out, copied.Bytes(), 0o600, c.Bool("force")); err != nil {
		return nil, err
	}
	if out != "-" {
		s.say("copy of the wallet of %s: %s", name, out)
		s.next(s.tr("try it once: `ward wallet restore %s --wallets NEW_FOLDER`", out))
	}
	return map[string]any{"name": name, "path": out, "bytes": copied.Len()}, nil
}

func walletRestore(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which file?").withHint("give a copy that `ward wallet backup` wrote, or - for stdin")
	}
	in, _, err := input(ctx, c.Args().First())
	if err != nil {
		return nil, err
	}
	defer in.Close()
	dir, err := walletsDir(c)
	if err != nil {
		return nil, err
	}
	pass, err := s.backupPassphrase(ctx, c, "Passphrase of the copy: ", false)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	w, err := wallet.Restore(in, pass)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, string(w.Name())+walletSuffix)
	taken := failf("exists", exitUsage, "there is a wallet of %s already", w.Name()).withHint("`ward wallet show %s`", w.Name())
	if _, err := os.Lstat(path); err == nil {
		return nil, taken
	}
	own, err := s.newPassphrase(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(own)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.sealing().Create(path, w, own); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, taken
		}
		return nil, err
	}
	s.say("wallet of %s: %s", w.Name(), path)
	s.next(s.tr("if the hospital held it until now, make it yours: `ward identity claim --as %s`", w.Name()))
	return describeWallet(w, dir), nil
}

func walletRelease(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("whose?").withHint("`ward wallet release NAME`")
	}
	name, err := parseName(c.Args().First())
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	dir, err := walletsDir(c)
	if err != nil {
		return nil, err
	}
	now, err := u.Identity(ctx, name)
	if err != nil {
		return nil, err
	}
	folder, err := s.openFolder(ctx, filepath.Join(dir, custodialDir))
	if err != nil {
		return nil, err
	}
	if err := folder.Release(now); err != nil {
		return nil, err
	}
	s.say("the hospital holds no key of %s any more", name)
	return map[string]any{"name": name}, nil
}
