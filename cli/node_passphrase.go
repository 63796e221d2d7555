package cli

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node/vault"
)

func (s *session) nodePassphrase() *urfave.Command {
	return &urfave.Command{
		Name: "passphrase", Usage: s.tr("change the passphrase of a node that does not run"),
		Description: s.tr(`Seals what is secret in the directory under another passphrase. Whoever has an old
copy of the directory and the old passphrase can still open the copy: if somebody may
have both, hold a key ceremony afterwards, ward consortium refresh.

Examples:
  ward node stop --dir /var/lib/ward && ward node passphrase --dir /var/lib/ward
  ward node passphrase --dir ./north --passphrase-file old.pass --new-passphrase-file new.pass`),
		Flags: slices.Concat([]urfave.Flag{s.dirFlag(),
			&urfave.StringFlag{Name: "new-passphrase-file", EnvVars: []string{"WARD_NEW_PASSPHRASE_FILE"}, Usage: s.tr("read the new passphrase from the first line of this file; else it is asked for")},
		}, s.passphraseFlags()),
		Action: s.act(0, nodePassphrase),
	}
}

func nodePassphrase(ctx context.Context, s *session, c *urfave.Context) (_ any, err error) {
	dir, err := nodeDir(c)
	if err != nil {
		return nil, err
	}
	if !vault.Exists(filepath.Join(dir, "vault")) {
		return nil, noNode(dir)
	}
	lock, err := durable.LockDir(dir)
	if errors.Is(err, durable.ErrLocked) {
		return nil, failf("in-use", exitFailure, "the node is running").withHint("`ward node stop --dir %s` ends it", dir)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	old, err := s.passphrase(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(old)
	v, err := vault.Open(filepath.Join(dir, "vault"), old)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	next, err := s.otherPassphrase(ctx, c.String("new-passphrase-file"))
	if err != nil {
		return nil, err
	}
	defer clear(next)
	if err := v.Rekey(next, vault.Options{WorkFactor: s.work}); err != nil {
		return nil, err
	}
	s.say("the node in %s has another passphrase now", dir)
	return map[string]any{"dir": dir}, nil
}
