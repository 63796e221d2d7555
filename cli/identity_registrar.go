package cli

import (
	"context"
	"errors"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/contract/identity"
)

// openRegistrar is open for a command that a hospital signs: by somebody whose
// wallet is here, where no node does.
func (s *session) openRegistrar(ctx context.Context, c *urfave.Context) (*user, error) {
	dir, err := walletsDir(c)
	if err != nil {
		return nil, err
	}
	if all, err := walletNames(dir); err == nil && c.String("as") == "" && len(all) != 1 {
		return nil, usagef("who signs for the hospital?").withHint("--dir names the directory of its node, --as one of its registrars")
	}
	return s.open(ctx, c)
}

// byRegistrar says what a registrar could not do where he was refused.
func byRegistrar(err error) error {
	if !errors.Is(err, identity.ErrDenied) {
		return err
	}
	p := explain(err)
	return p.withHint("a registrar registers names of his own hospital, and gives author only: the rest takes its node, --dir")
}

// authorities are the attributes that count everywhere.
var authorities = []string{identity.Author, identity.Emergency, identity.Reviewer, identity.Auditor, identity.Registrar}

// doubt says where an attribute looks like one that counts everywhere, mistyped:
// hospitals may give any others, so it is no error.
func (s *session) doubt(has []identity.Attribute) {
	for _, a := range has {
		if near := nearest(a.Name, authorities); near != "" && near != a.Name {
			s.next(s.tr("%s is an attribute of your own making: did you mean %s?", a.Name, near))
		}
	}
}
