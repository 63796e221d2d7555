package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/wallet"
)

const (
	cardSchema = "ward/v1/identity-card"
	maxCard    = 16 << 10 // bytes
)

// A card is what somebody gives to the hospital that registers them: the public
// key, and proofs that its holder wants the name. It holds nothing secret.
type card struct {
	Schema string            `json:"schema"`
	Chain  string            `json:"chain"`
	Name   identity.Name     `json:"name"`
	Key    chain.PublicKey   `json:"key"`
	Proofs map[string]string `json:"proofs"` // by method of the identity contract, in hexadecimal
}

// cardOf returns the card of a wallet.
func cardOf(w *wallet.Wallet) *card {
	c := &card{Schema: cardSchema, Chain: w.Chain(), Name: w.Name(), Key: w.Public(), Proofs: map[string]string{}}
	for _, use := range []string{identity.MethodRegister, identity.MethodRecover, identity.MethodHandOver} {
		c.Proofs[use] = hex.EncodeToString(w.Possession(use))
	}
	return c
}

func (c *card) bytes() ([]byte, error) {
	b, err := json.MarshalIndent(c, "", "  ")
	return append(b, '\n'), err
}

// parseCard reads a card. The proofs are for the chain to check.
func parseCard(b []byte) (*card, error) {
	c := new(card)
	if len(b) > maxCard || json.Unmarshal(b, c) != nil || c.Schema != cardSchema {
		return nil, failf("card", exitUsage, "this is no identity card")
	}
	if _, err := identity.ParseName(string(c.Name)); err != nil {
		return nil, failf("card", exitUsage, "this is no identity card")
	}
	for _, p := range c.Proofs {
		if b, err := hex.DecodeString(p); err != nil || len(b) != 64 {
			return nil, failf("card", exitUsage, "this is no identity card")
		}
	}
	return c, nil
}

// proof returns the proof of possession for a method.
func (c *card) proof(use string) []byte {
	b, _ := hex.DecodeString(c.Proofs[use]) // was checked
	return b
}

// cardFor returns the card that an argument means: a file, stdin for "-", or the
// wallet of a name that is here.
func (s *session) cardFor(ctx context.Context, c *urfave.Context, arg string) (*card, error) {
	if name, err := identity.ParseName(arg); err == nil {
		if _, err := os.Stat(arg); err != nil {
			dir, err := walletsDir(c)
			if err != nil {
				return nil, err
			}
			w, err := s.walletOf(ctx, dir, name)
			if err != nil {
				return nil, err
			}
			return cardOf(w), nil
		}
	}
	in, _, err := input(ctx, arg)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxCard+1))
	if err != nil {
		return nil, err
	}
	parsed, err := parseCard(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	return parsed, nil
}

// writeNew writes a small file whole or not at all, or to stdout for "-". A file
// that exists is replaced only if the command line says so.
func (s *session) writeNew(path string, b []byte, mode os.FileMode, force bool) error {
	if path == "-" {
		if s.json {
			return usagef("stdout cannot hold a file and JSON both").withHint("name a file with --output, or leave out --json")
		}
		_, err := s.stdout.Write(b)
		return err
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return exists(path)
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, b, mode)
}

func exists(path string) error {
	return failf("exists", exitUsage, "%s is there already", path).withHint("--force replaces it")
}

func (s *session) forceFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "force", EnvVars: []string{"WARD_FORCE"}, Usage: s.tr("replace a file that is there")}
}
