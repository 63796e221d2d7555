package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/wallet"
)

// Where wallets are, below the folder that --wallets names.
const (
	walletSuffix = ".wallet"
	custodialDir = "custodial" // a wallet.Folder
)

// walletFlags are those of every command that opens a wallet.
func (s *session) walletFlags(own ...urfave.Flag) []urfave.Flag {
	return slices.Concat(own, []urfave.Flag{
		&urfave.StringFlag{Name: "as", EnvVars: []string{"WARD_AS"}, Usage: s.tr("for whom you act: whose wallet is opened; not needed if there is one wallet only")},
		s.walletsFlag(),
	}, s.passphraseFlags())
}

func (s *session) walletsFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "wallets", EnvVars: []string{"WARD_WALLETS"}, Usage: s.tr("the folder of wallets, if not the usual one")}
}

// userFlags are those of every command that speaks to the consortium for
// somebody.
func (s *session) userFlags(own ...urfave.Flag) []urfave.Flag {
	return append(s.walletFlags(own...), s.consortiumFlag(),
		&urfave.StringSliceFlag{Name: "node", EnvVars: []string{"WARD_NODE"}, Usage: s.tr("a hospital whose node is asked, as NAME or NAME=URL; else your own hospital's, then the others'")})
}

// ownerFlags are those of every command about the records and grants of an owner,
// whom a guardian can act for.
func (s *session) ownerFlags(own ...urfave.Flag) []urfave.Flag {
	return append(s.userFlags(own...), &urfave.StringFlag{Name: "for", EnvVars: []string{"WARD_FOR"}, Usage: s.tr("the patient whose guardian you are, and for whom you act")})
}

// walletsDir returns the folder of wallets.
func walletsDir(c *urfave.Context) (string, error) {
	if dir := c.String("wallets"); dir != "" {
		return dir, nil
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", failf("config", exitFailure, "there is no place for wallets").withHint("--wallets names one")
		}
	}
	return filepath.Join(dir, "ward", "wallets"), nil
}

// walletNames returns whose wallets are in a folder, those that a hospital holds
// for others left out.
func walletNames(dir string) ([]identity.Name, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []identity.Name
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), walletSuffix)
		if name, err := identity.ParseName(base); ok && err == nil && e.Type().IsRegular() {
			all = append(all, name)
		}
	}
	return all, nil
}

// actor returns for whom the command acts: as --as says, or the only one who has
// a wallet here.
func actor(c *urfave.Context, dir string) (identity.Name, error) {
	if as := c.String("as"); as != "" {
		return parseName(as)
	}
	all, err := walletNames(dir)
	switch {
	case err != nil:
		return "", err
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return "", failf("no-wallet", exitNotReady, "there is no wallet in %s", dir).withHint("`ward wallet new NAME` makes one")
	}
	return "", usagef("for whom? there are %d wallets in %s", len(all), dir).withHint("--as NAME chooses one; `ward wallet show` lists them")
}

// parseName reads a name from the command line.
func parseName(s string) (identity.Name, error) {
	name, err := identity.ParseName(s)
	if err != nil {
		return "", usagef("%q is no name", s).withHint("names look like dr.lee@east: lower case, then @ and the hospital")
	}
	return name, nil
}

// openWallet opens the wallet of the one for whom the command acts.
func (s *session) openWallet(ctx context.Context, c *urfave.Context) (*wallet.Wallet, error) {
	dir, err := walletsDir(c)
	if err != nil {
		return nil, err
	}
	name, err := actor(c, dir)
	if err != nil {
		return nil, err
	}
	return s.walletOf(ctx, dir, name)
}

// walletOf opens the wallet of a name: its own file, or one that the hospital
// holds.
func (s *session) walletOf(ctx context.Context, dir string, name identity.Name) (*wallet.Wallet, error) {
	path := filepath.Join(dir, string(name)+walletSuffix)
	_, err := os.Stat(path)
	if err == nil {
		pass, err := s.passphrase(ctx)
		if err != nil {
			return nil, err
		}
		defer clear(pass)
		return wallet.Open(path, pass)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	missing := failf("no-wallet", exitNotReady, "there is no wallet of %s in %s", name, dir).withHint("`ward wallet new %s` makes one", name)
	held := filepath.Join(dir, custodialDir)
	if _, err := os.Stat(held); err != nil {
		return nil, missing
	}
	folder, err := s.openFolder(ctx, held)
	if err != nil {
		return nil, err
	}
	w, err := folder.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	return w, err
}

func (s *session) openFolder(ctx context.Context, dir string) (*wallet.Folder, error) {
	pass, err := s.passphrase(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	return wallet.OpenFolder(dir, pass)
}

// A user is somebody with a wallet who speaks to the consortium.
type user struct {
	*ward.Client
	wallet *wallet.Wallet
	nodes  []*remote.Node

	keep func(chain.TreeHead) // remembers what was seen, for the next run; nil before there is a client
}

// close closes the connections, and remembers the newest checkpoint.
func (u *user) close() {
	for _, n := range u.nodes {
		_ = n.Close()
	}
	if u.keep != nil {
		u.keep(u.Seen())
	}
}

// open opens the wallet and makes a client. The caller closes it.
func (s *session) open(ctx context.Context, c *urfave.Context) (*user, error) {
	k, err := readConsortium(c.String("consortium"))
	if err != nil {
		return nil, err
	}
	w, err := s.openWallet(ctx, c)
	if err != nil {
		return nil, err
	}
	return s.openAs(c, k, w)
}

func (s *session) openAs(c *urfave.Context, k *chain.Consortium, w *wallet.Wallet) (*user, error) {
	if w.Chain() != k.Chain {
		return nil, failf("chain", exitUsage, "the wallet is for the chain %s, the consortium file for %s", w.Chain(), k.Chain).withHint("choose another consortium file, or --context")
	}
	var owner identity.Name
	if v := c.String("for"); v != "" {
		var err error
		if owner, err = parseName(v); err != nil {
			return nil, err
		}
	}
	addresses, err := addresses(k, w.Name().Org(), c.StringSlice("node"))
	if err != nil {
		return nil, err
	}
	dir, err := walletsDir(c)
	if err != nil {
		return nil, err
	}
	memory := seenFile(dir, k.Chain)
	seen, err := memory.read()
	if err != nil {
		return nil, err
	}
	u := &user{wallet: w}
	var nodes []ward.Node
	for _, a := range addresses {
		n, err := remote.New(a.url, remote.Options{Consortium: k, Member: a.member, Signer: w.Signer()})
		if err != nil {
			u.close()
			return nil, err
		}
		u.nodes, nodes = append(u.nodes, n), append(nodes, n)
	}
	if u.Client, err = ward.New(ward.Options{Consortium: k, Wallet: w, For: owner, Nodes: nodes, Seen: seen, Log: s.logger()}); err != nil {
		u.close()
		return nil, err
	}
	u.keep = func(head chain.TreeHead) {
		if err := memory.keep(head); err != nil {
			fmt.Fprintf(s.stderr, s.tr("ward: warning: the next run will not know what this one saw: %s")+"\n", err)
		}
	}
	return u, nil
}

// An address is where a member's node is; "" stands for what the consortium file
// says.
type address struct{ member, url string }

// addresses returns which nodes are asked, in order: those given, or else that of
// the own hospital first.
func addresses(k *chain.Consortium, own string, given []string) ([]address, error) {
	var out []address
	for _, g := range given {
		member, url, _ := strings.Cut(g, "=")
		if k.Member(member) == nil {
			var all []string
			for _, m := range k.Members {
				all = append(all, m.Name)
			}
			p := usagef("there is no hospital %q in the consortium", member)
			if near := nearest(member, all); near != "" {
				return nil, p.withHint("did you mean %s?", near)
			}
			return nil, p.withHint("its hospitals are %s", strings.Join(all, ", "))
		}
		if u, err := neturl.Parse(url); url != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
			return nil, usagef("%s does not take %q", "node", g).withHint("write NAME, or NAME=https://ward.north.example:7100")
		}
		out = append(out, address{member, url})
	}
	if len(given) > 0 {
		return out, nil
	}
	for _, m := range k.Members {
		switch {
		case m.Name == own:
			out = slices.Insert(out, 0, address{member: m.Name})
		case m.URL != "":
			out = append(out, address{member: m.Name})
		}
	}
	return out, nil
}

// hasHospital returns an error for a name of a hospital that the consortium does
// not have.
func hasHospital(k *chain.Consortium, name identity.Name) error {
	return isHospital(k, name.Org())
}

func isHospital(k *chain.Consortium, member string) error {
	_, err := addresses(k, "", []string{member})
	return err
}

// next says on stderr what a person could do now. It is no result.
func (s *session) next(translated string) {
	if !s.json && !s.quiet {
		fmt.Fprintf(s.stderr, s.tr("ward: hint: %s")+"\n", translated)
	}
}
