package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/node/vault"
	"github.com/ward-health/ward/pre"
)

// place returns where the share of a secret of a generation is in the vault.
func place(s *dkg.Secret, generation uint32) (vault.Kind, string) {
	switch s.Use {
	case dkg.UseCheckpoint:
		return vault.Checkpoint, generationName(generation)
	case dkg.UseIdentity:
		return vault.Identity, generationName(generation)
	}
	return vault.Grant, grantName(consent.GrantID(s.Label), generation)
}

func generationName(generation uint32) string { return strconv.FormatUint(uint64(generation), 10) }

// oldShares returns this member's shares of the secrets that it deals on in a
// reshare, in their order. The caller erases them.
func (c *core) oldShares(about *dkg.Ceremony) (list []*threshold.Share, err error) {
	index := keyIndex(about.Old, c.key.Public().(ed25519.PublicKey))
	if index == 0 {
		return nil, nil
	}
	for k := range about.Secrets {
		s := &about.Secrets[k]
		if len(s.Holders) > 0 && !slices.Contains(s.Holders, index) {
			continue
		}
		kind, name := place(s, s.Old.Generation())
		share, err := c.thresholdShare(kind, name)
		if err != nil {
			for _, o := range list {
				o.Erase()
			}
			return nil, fmt.Errorf("share to deal on, %s: %w", kind, err)
		}
		list = append(list, share)
	}
	return list, nil
}

// thresholdShare reads a share for package dkg. Its bytes are those of package
// pre.
func (c *core) thresholdShare(kind vault.Kind, name string) (*threshold.Share, error) {
	secret, err := c.vault.Get(kind, name)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return threshold.ParseShare(secret)
}

// share reads a share for package pre and checks it against the sharing it is
// to be used with, so that a damaged vault is not taken for a dishonest member.
func (c *core) share(kind vault.Kind, name string, of *pre.Sharing) (*pre.Share, error) {
	secret, err := c.vault.Get(kind, name)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	s, err := pre.ParseShare(secret)
	if err != nil {
		return nil, err
	}
	if err := s.Check(of); err != nil {
		s.Erase()
		return nil, err
	}
	return s, nil
}

// store puts the shares that a ceremony made into the vault.
func (s *ceremonies) store() error {
	if s.at.stored {
		return nil
	}
	if err := s.keepResult(s.at.machine, s.at.about); err != nil {
		return err
	}
	s.at.stored = true
	return nil
}

// keepResult puts a machine's shares into the vault. Those of a part of a
// hand-over are of a generation that is not in force yet, and wait there.
func (c *core) keepResult(m *dkg.Machine, about *dkg.Ceremony) error {
	r, err := m.Result()
	if err != nil {
		return err
	}
	for k, share := range r.Shares {
		if share == nil {
			continue
		}
		kind, name := place(&about.Secrets[k], r.Generation)
		secret := share.Bytes()
		err := c.vault.Put(kind, name, secret)
		clear(secret)
		share.Erase()
		if err != nil {
			return err
		}
	}
	return nil
}

// clean erases what a ceremony that is over leaves behind: machines, and once
// its result is complete every share of an earlier generation.
func (s *ceremonies) clean(l *look) error {
	var errs []error
	for _, name := range s.vault.Names(vault.Ceremony) {
		errs = append(errs, s.vault.Delete(vault.Ceremony, name))
	}
	if l.authority == nil || !l.authority.Complete || l.authority.Ceremony != l.latest.Number {
		return errors.Join(errs...)
	}
	old := func(name string) bool {
		g, err := strconv.ParseUint(name, 10, 32)
		return err == nil && uint32(g) < l.authority.Generation
	}
	for _, kind := range []vault.Kind{vault.Identity, vault.Checkpoint} {
		for _, name := range s.vault.Names(kind) {
			if old(name) {
				errs = append(errs, s.vault.Delete(kind, name))
			}
		}
	}
	for _, name := range s.vault.Names(vault.Grant) {
		if _, g, err := parseGrantName(name); err == nil && g < l.authority.Generation {
			errs = append(errs, s.vault.Delete(vault.Grant, name))
		}
	}
	return errors.Join(errs...)
}
