package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/wallet"
)

func (s *session) walletCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "wallet",
		Usage: s.tr("the keys of a person or an organisation"),
		Subcommands: []*urfave.Command{
			{
				Name: "new", Usage: s.tr("make a wallet"), ArgsUsage: s.tr("NAME"),
				Description: s.tr(`Makes the keys of NAME, sealed under a passphrase. The name counts once a hospital
has registered it: give it the card.

Examples:
  ward wallet new dr.lee@east --card lee.card
  ward wallet new p-7f3a@north --custodial`),
				Flags: append(s.withoutAs(s.cardFlag(), s.forceFlag(),
					&urfave.BoolFlag{Name: "custodial", EnvVars: []string{"WARD_CUSTODIAL"}, Usage: s.tr("keep it for somebody who has no wallet yet, with all such under one passphrase")}), s.consortiumFlag()),
				Action: s.act(1, walletNew),
			},
			{
				Name: "show", Usage: s.tr("list the wallets, or show one"), ArgsUsage: s.tr("[NAME]"),
				Description: s.tr(`Without NAME it lists whose wallets are here and asks for no passphrase.

Examples:
  ward wallet show
  ward wallet show dr.lee@east --card lee.card`),
				Flags:  s.withoutAs(s.cardFlag(), s.forceFlag()),
				Action: s.act(1, walletShow),
			},
			{
				Name: "backup", Usage: s.tr("write a copy of a wallet under a passphrase of its own"), ArgsUsage: s.tr("[NAME]"),
				Description: s.tr(`The copy is an age file. It is also how a hospital gives a wallet that it holds to
its person, who restores it and claims the name.

Examples:
  ward wallet backup dr.lee@east -o lee.backup
  ward wallet backup -o - --backup-passphrase-file secret | ssh safe 'cat > lee.backup'`),
				Flags:  s.withoutAs(s.outputFlag(""), s.forceFlag(), s.backupPassphraseFlag()),
				Action: s.act(1, walletBackup),
			},
			{
				Name: "restore", Usage: s.tr("make a wallet from a copy"), ArgsUsage: s.tr("FILE"),
				Description: s.tr(`Reads what backup wrote, from stdin if FILE is "-".

Examples:
  ward wallet restore lee.backup`),
				Flags:  s.withoutAs(s.backupPassphraseFlag()),
				Action: s.act(1, walletRestore),
			},
			{
				Name: "release", Usage: s.tr("delete a wallet that was held for somebody who has claimed the name"), ArgsUsage: s.tr("NAME"),
				Description: s.tr(`Deletes nothing as long as the chain lets a key in the wallet sign for the name.

Examples:
  ward wallet release p-7f3a@north --as registrar@north`),
				Flags:  s.userFlags(),
				Action: s.act(1, walletRelease),
			},
		},
	}
}

// withoutAs are the flags of commands that take the name as an argument.
func (s *session) withoutAs(own ...urfave.Flag) []urfave.Flag {
	return append(append(own, s.walletsFlag()), s.passphraseFlags()...)
}

func (s *session) cardFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "card", EnvVars: []string{"WARD_CARD"}, Usage: s.tr("write the card that the hospital needs to register the name to this file, - for stdout")}
}

func (s *session) outputFlag(usual string) urfave.Flag {
	return &urfave.StringFlag{Name: "output", Aliases: []string{"o"}, EnvVars: []string{"WARD_OUTPUT"}, Value: usual, Usage: s.tr("where to write it, - for stdout")}
}

func (s *session) backupPassphraseFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "backup-passphrase-file", EnvVars: []string{"WARD_BACKUP_PASSPHRASE_FILE"}, Usage: s.tr("read the passphrase of the copy from the first line of this file; else it is asked for")}
}

// A walletData is what programs get of a wallet.
type walletData struct {
	Name      identity.Name `json:"name"`
	Chain     string        `json:"chain,omitempty"`
	Key       string        `json:"key,omitempty"`
	Pending   string        `json:"pending_key,omitempty"` // made and not on the chain yet
	Custodial bool          `json:"custodial"`
	Path      string        `json:"path"`
	Card      string        `json:"card,omitempty"`
}

func describeWallet(w *wallet.Wallet, dir string) walletData {
	d := walletData{Name: w.Name(), Chain: w.Chain(), Key: w.Public().String(), Path: filepath.Join(dir, string(w.Name())+walletSuffix)}
	if _, err := os.Stat(d.Path); err != nil {
		d.Custodial, d.Path = true, filepath.Join(dir, custodialDir)
	}
	if p, ok := w.Pending(); ok {
		d.Pending = p.String()
	}
	return d
}

func walletNew(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("for whom?").withHint("`ward wallet new NAME`, such as dr.lee@east")
	}
	name, err := parseName(c.Args().First())
	if err != nil {
		return nil, err
	}
	k, err := readConsortium(c.String("consortium"))
	if err != nil {
		return nil, err
	}
	if err := hasHospital(k, name); err != nil {
		return nil, err
	}
	dir, err := walletsDir(c)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, string(name)+walletSuffix)
	if _, err := os.Lstat(path); err == nil {
		return nil, failf("exists", exitUsage, "there is a wallet of %s already", name).withHint("`ward wallet show %s`", name)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var w *wallet.Wallet
	if c.Bool("custodial") {
		w, err = s.newHeld(ctx, filepath.Join(dir, custodialDir), k.Chain, name)
	} else {
		w, err = s.newWallet(ctx, path, k.Chain, name)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil, failf("exists", exitUsage, "there is a wallet of %s already", name).withHint("`ward wallet show %s`", name)
	}
	if err != nil {
		return nil, err
	}
	data := describeWallet(w, dir)
	if err := s.giveCard(c, w, &data); err != nil {
		return data, err
	}
	if data.Card != "-" {
		s.say("wallet of %s: %s", name, data.Path)
	}
	switch {
	case data.Custodial:
		s.next(s.tr("register the name: `ward identity add %s --custodial`", name))
	case data.Card == "":
		s.next(s.tr("the hospital registers the name with a card: `ward wallet show %s --card FILE`", name))
	default:
		s.next(s.tr("give the card to the hospital: `ward identity add CARD --dir NODE`"))
	}
	return data, nil
}

func (s *session) newWallet(ctx context.Context, path, chainID string, name identity.Name) (*wallet.Wallet, error) {
	w, err := wallet.Generate(chainID, name)
	if err != nil {
		return nil, err
	}
	pass, err := s.newPassphrase(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	return w, s.sealing().Create(path, w, pass)
}

// sealing says how new wallets and copies are sealed.
func (s *session) sealing() wallet.Options { return wallet.Options{WorkFactor: s.work} }

// newHeld makes a wallet that the hospital holds, and the folder of such if it is
// the first.
func (s *session) newHeld(ctx context.Context, dir, chainID string, name identity.Name) (*wallet.Wallet, error) {
	if _, err := os.Stat(dir); err == nil {
		folder, err := s.openFolder(ctx, dir)
		if err != nil {
			return nil, err
		}
		if folder.Chain() != chainID {
			return nil, failf("chain", exitUsage, "the wallet is for the chain %s, the consortium file for %s", folder.Chain(), chainID).withHint("choose another consortium file, or --context")
		}
		return folder.Create(name)
	}
	pass, err := s.newPassphrase(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	folder, err := s.sealing().CreateFolder(dir, chainID, pass)
	if err != nil {
		return nil, err
	}
	return folder.Create(name)
}

// giveCard writes the card if the command line asks for it.
func (s *session) giveCard(c *urfave.Context, w *wallet.Wallet, data *walletData) error {
	path := c.String("card")
	if path == "" {
		return nil
	}
	b, err := cardOf(w).bytes()
	if err != nil {
		return err
	}
	data.Card = path
	return s.writeNew(path, b, 0o644, c.Bool("force"))
}

func walletShow(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	dir, err := walletsDir(c)
	if err != nil {
		return nil, err
	}
	if c.NArg() == 0 && c.String("card") == "" {
		return s.listWallets(dir)
	}
	name, err := actorNamed(c, dir)
	if err != nil {
		return nil, err
	}
	w, err := s.walletOf(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	data := describeWallet(w, dir)
	if err := s.giveCard(c, w, &data); err != nil {
		return nil, err
	}
	if data.Card != "-" {
		rows := [][]string{{s.tr("name"), string(data.Name)}, {s.tr("chain"), data.Chain}, {s.tr("key"), data.Key}, {s.tr("file"), data.Path}}
		if data.Pending != "" {
			rows = append(rows, []string{s.tr("next key"), data.Pending})
		}
		s.grid([]string{"WHAT", "VALUE"}, rows)
	}
	return data, nil
}

// actorNamed is actor for a name that is the argument.
func actorNamed(c *urfave.Context, dir string) (identity.Name, error) {
	if c.NArg() > 0 {
		return parseName(c.Args().First())
	}
	return actor(c, dir)
}

func (s *session) listWallets(dir string) (any, error) {
	all, err := walletNames(dir)
	if err != nil {
		return nil, err
	}
	data, rows := []walletData{}, [][]string{}
	for _, name := range all {
		data = append(data, walletData{Name: name, Path: filepath.Join(dir, string(name)+walletSuffix)})
		rows = append(rows, []string{string(name), ""})
	}
	held := filepath.Join(dir, custodialDir)
	if _, err := os.Stat(held); err == nil {
		names, err := heldNames(held)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			data = append(data, walletData{Name: name, Custodial: true, Path: held})
			rows = append(rows, []string{string(name), s.tr("held for its person")})
		}
	}
	if len(data) == 0 {
		return map[string]any{"wallets": data}, failf("no-wallet", exitNotReady, "there is no wallet in %s", dir).withHint("`ward wallet new NAME` makes one")
	}
	s.grid([]string{"NAME", "WHO HOLDS IT"}, rows)
	return map[string]any{"wallets": data}, nil
}

// heldNames returns whose wallets a folder of a hospital holds.
func heldNames(dir string) ([]identity.Name, error) {
	shards, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []identity.Name
	for _, shard := range shards {
		if !shard.IsDir() {
			continue
		}
		names, err := walletNames(filepath.Join(dir, shard.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return all, nil
}
