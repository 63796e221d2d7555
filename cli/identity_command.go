package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/admin"
)

func (s *session) identityCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "identity",
		Usage: s.tr("who is who on the chain"),
		Subcommands: append([]*urfave.Command{
			{
				Name: "add", Usage: s.tr("register a name of the hospital"), ArgsUsage: s.tr("CARD|NAME"),
				Description: s.tr(`CARD is the file that ward wallet wrote, - for stdin; NAME is one whose wallet is
here. The hospital signs: by its node, which runs in the directory --dir, or one of
its registrars does (--as). Attributes that count everywhere: author, emergency,
reviewer, auditor, registrar. All but author take the hospital's own key, which its
node has: a registrar cannot give them.

Examples:
  ward identity add lee.card --attribute author --attribute emergency --dir /var/lib/ward
  ward identity add p-7f3a@north --custodial --as registrar@north`),
				Flags: s.userFlags(s.hospitalFlag(), s.attributeFlag(), s.attributeUntilFlag(),
					&urfave.BoolFlag{Name: "custodial", EnvVars: []string{"WARD_CUSTODIAL"}, Usage: s.tr("the hospital holds the wallet until its person claims the name")}),
				Action: s.act(1, identityAdd),
			},
			{
				Name: "attest", Usage: s.tr("replace what the hospital says of a name"), ArgsUsage: s.tr("NAME"),
				Description: s.tr(`The attributes given replace all that there were; without any, none is left. A
registrar (--as) can give author, and what counts for co-signers; emergency, reviewer,
auditor and registrar take the hospital's own key, by its node (--dir).

Examples:
  ward identity attest dr.lee@east --attribute author --attribute ward=icu`),
				Flags:  s.userFlags(s.hospitalFlag(), s.attributeFlag(), s.attributeUntilFlag()),
				Action: s.act(1, identityAttest),
			},
			{
				Name: "show", Usage: s.tr("show what the chain says of a name"), ArgsUsage: s.tr("[NAME]"),
				Description: s.tr(`Without NAME it is your own.

Examples:
  ward identity show
  ward identity show dr.lee@east --json`),
				Flags:  s.userFlags(),
				Action: s.act(1, identityShow),
			},
			{
				Name: "claim", Usage: s.tr("make a name yours that the hospital held"),
				Description: s.tr(`Puts a key on the chain that only your wallet has. Restore the copy that the
hospital gave you first.

Examples:
  ward identity claim --as p-7f3a@north`),
				Flags:  s.userFlags(),
				Action: s.act(0, identityClaim),
			},
			{
				Name: "rotate", Usage: s.tr("replace your keys"),
				Description: s.tr(`Replaces the key that signs. With --epoch it leaves that, and puts later records out
of the reach of all keys and grants made so far. With --custody it makes a key that
hospitals need besides theirs, so that they cannot open later records together. With
--custody-off that ends: enough hospitals together, and emergencies, open what is
written from then on; what was written before opens with your wallet only, and is
lost with it; grants are to be made again.

Examples:
  ward identity rotate
  ward identity rotate --epoch
  ward identity rotate --custody-off --yes`),
				Flags: s.userFlags(s.yesFlag(),
					&urfave.BoolFlag{Name: "custody-off", EnvVars: []string{"WARD_CUSTODY_OFF"}, Usage: s.tr("leave the key to the hospitals again; asks first")},
					&urfave.BoolFlag{Name: "epoch", EnvVars: []string{"WARD_EPOCH"}, Usage: s.tr("begin a new epoch instead")},
					&urfave.BoolFlag{Name: "custody", EnvVars: []string{"WARD_CUSTODY"}, Usage: s.tr("take the key into your own custody instead, or replace it")}),
				Action: s.act(0, identityRotate),
			},
			{
				Name: "recover", Usage: s.tr("give a name whose key is lost a new one"), ArgsUsage: s.tr("CARD"),
				Description: s.tr(`One hospital opens the recovery with the card of the new wallet, enough others
approve, and after the wait any of them finishes it. Whoever holds the old key can
object the whole time, with --veto, and needs no CARD.

Examples:
  ward identity recover new.card --dir /var/lib/ward
  ward identity recover new.card --approve --dir /var/lib/ward
  ward identity recover new.card --finish --dir /var/lib/ward
  ward identity recover --veto --as p-7f3a@north`),
				Flags: s.userFlags(s.hospitalFlag(),
					&urfave.StringFlag{Name: "wait", EnvVars: []string{"WARD_WAIT"}, Value: "72h", Usage: s.tr("how long the holder of the old key may object")},
					&urfave.BoolFlag{Name: "approve", Usage: s.tr("approve a recovery that another hospital opened"), EnvVars: []string{"WARD_APPROVE"}},
					&urfave.BoolFlag{Name: "finish", Usage: s.tr("put the new key in force"), EnvVars: []string{"WARD_FINISH"}},
					&urfave.BoolFlag{Name: "veto", Usage: s.tr("object: the key is not lost"), EnvVars: []string{"WARD_VETO"}}),
				Action: s.act(1, identityRecover),
			},
		}, s.guardianCommands()...),
	}
}

func (s *session) hospitalFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "dir", EnvVars: []string{"WARD_DIR"}, Usage: s.tr("the directory of the hospital's node on this machine, which signs")}
}

func (s *session) attributeFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "attribute", EnvVars: []string{"WARD_ATTRIBUTE"}, Usage: s.tr("what the hospital says of the name, NAME or NAME=VALUE; may be given several times")}
}

func (s *session) attributeUntilFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "until", EnvVars: []string{"WARD_UNTIL"}, Usage: s.tr("how long that holds: a day such as 2026-12-31, or 30d")}
}

// hospital returns the node that signs for the hospital, or nil if a registrar
// does: what stands on the command line counts before what does not.
func (s *session) hospital(c *urfave.Context) *admin.Client {
	dir := c.String("dir")
	if dir == "" || !s.onLine("dir") && (s.onLine("as") || c.String("as") != "") {
		return nil
	}
	return admin.NewClient(dir)
}

// onLine reports whether the command line itself has a flag of the command.
func (s *session) onLine(name string) bool {
	for _, g := range s.line.flags[len(s.line.path)] {
		if g.name == name && !g.filled {
			return true
		}
	}
	return false
}

// submit has the hospital's node put a transaction on the chain.
func submitAs(ctx context.Context, node *admin.Client, method string, args any) error {
	b, err := chain.Marshal(args)
	if err != nil {
		return err
	}
	_, err = node.Submit(ctx, method, b)
	return err
}

// attributes reads the attributes on the command line.
func attributes(c *urfave.Context) ([]identity.Attribute, error) {
	until, err := moment("until", c.String("until"), time.Now(), true)
	if err != nil {
		return nil, err
	}
	var all []identity.Attribute
	for _, a := range c.StringSlice("attribute") {
		name, value, _ := strings.Cut(a, "=")
		one := identity.Attribute{Name: name, Value: value}
		if !until.IsZero() {
			one.Until = until.UnixMilli()
		}
		all = append(all, one)
	}
	return identity.Sorted(all), nil
}

func identityAdd(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("whom?").withHint("give a card, or the name of a wallet that is here")
	}
	has, err := attributes(c)
	if err != nil {
		return nil, err
	}
	new, err := s.cardFor(ctx, c, c.Args().First())
	if err != nil {
		return nil, err
	}
	args := identity.RegisterArgs{Name: new.Name, Key: new.Key, Possession: new.proof(identity.MethodRegister), Controller: c.Bool("custodial"), Attributes: has}
	if node := s.hospital(c); node != nil {
		if err := submitAs(ctx, node, identity.MethodRegister, args); err != nil {
			return nil, fmt.Errorf("register %s: %w", new.Name, err)
		}
	} else {
		u, err := s.openRegistrar(ctx, c)
		if err != nil {
			return nil, err
		}
		defer u.close()
		if err := u.Enrol(ctx, args); err != nil {
			return nil, byRegistrar(err)
		}
	}
	s.doubt(has)
	s.say("%s is registered", new.Name)
	return map[string]any{"name": new.Name, "key": new.Key, "custodial": args.Controller, "attributes": attributeTexts(has)}, nil
}

func identityAttest(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("whom?").withHint("`ward identity attest NAME`")
	}
	name, err := parseName(c.Args().First())
	if err != nil {
		return nil, err
	}
	has, err := attributes(c)
	if err != nil {
		return nil, err
	}
	if node := s.hospital(c); node != nil {
		if err := submitAs(ctx, node, identity.MethodAttest, identity.AttestArgs{Name: name, Attributes: has}); err != nil {
			return nil, fmt.Errorf("attest %s: %w", name, err)
		}
	} else {
		u, err := s.openRegistrar(ctx, c)
		if err != nil {
			return nil, err
		}
		defer u.close()
		if err := u.Attest(ctx, name, has...); err != nil {
			return nil, byRegistrar(err)
		}
	}
	s.doubt(has)
	s.say("%s has these attributes now: %s", name, strings.Join(attributeTexts(has), ", "))
	return map[string]any{"name": name, "attributes": attributeTexts(has)}, nil
}

// An identityData is what programs get of an identity.
type identityData struct {
	Name       identity.Name  `json:"name"`
	Key        string         `json:"key"`
	Controller string         `json:"controller,omitempty"`
	Attributes []string       `json:"attributes"`
	Custody    uint32         `json:"custody_version"` // 0: hospitals together open the records
	Epoch      uint64         `json:"epoch"`
	Registered uint64         `json:"registered"` // number of the transaction
	Changed    uint64         `json:"changed"`
	Recoveries []recoveryData `json:"recoveries,omitempty"`
}

type recoveryData struct {
	Member    string    `json:"member"`
	Key       string    `json:"key"`
	Ready     time.Time `json:"ready"`
	Approvals []string  `json:"approvals"`
}

func identityShow(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	name := u.Name()
	if c.NArg() > 0 {
		if name, err = parseName(c.Args().First()); err != nil {
			return nil, err
		}
	}
	id, err := u.Identity(ctx, name)
	if err != nil {
		return nil, err
	}
	data := identityData{Name: id.Name, Key: id.Key.String(), Controller: id.Controller, Attributes: attributeTexts(id.Attributes), Custody: id.Version, Epoch: id.Epoch, Registered: id.Registered, Changed: id.Changed}
	holder := s.tr("its person")
	if id.Controller != "" {
		holder = s.tr("the hospital %s, until its person claims it", id.Controller)
	}
	opens := s.tr("enough hospitals together")
	if id.Version > 0 {
		opens = s.tr("the holder only (key %d)", id.Version)
	}
	rows := [][]string{
		{s.tr("name"), string(id.Name)}, {s.tr("key"), data.Key}, {s.tr("held by"), holder},
		{s.tr("attributes"), strings.Join(data.Attributes, ", ")}, {s.tr("who opens records"), opens}, {s.tr("epoch"), fmt.Sprint(id.Epoch)},
	}
	for _, r := range id.Recoveries {
		data.Recoveries = append(data.Recoveries, recoveryData{r.Member, r.Key.String(), atMillis(r.Ready), r.Approvals})
		rows = append(rows, []string{s.tr("recovery"), s.tr("by %s, to key %s, from %s, approved by %s", r.Member, r.Key, clockTime(atMillis(r.Ready)), strings.Join(r.Approvals, ", "))})
	}
	s.grid([]string{"WHAT", "VALUE"}, rows)
	return data, nil
}

func identityClaim(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if err := u.Claim(ctx); err != nil {
		return nil, err
	}
	s.say("%s is yours: only your wallet signs for it", u.Name())
	s.next(s.tr("make a new copy: `ward wallet backup %s -o FILE`", u.Name()))
	return map[string]any{"name": u.Name(), "key": u.wallet.Public()}, nil
}

func identityRecover(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.Bool("veto") {
		u, err := s.open(ctx, c)
		if err != nil {
			return nil, err
		}
		defer u.close()
		if err := u.Veto(ctx); err != nil {
			return nil, err
		}
		s.say("every recovery of %s is over", u.Name())
		return map[string]any{"name": u.Name()}, nil
	}
	node := s.hospital(c)
	switch {
	case c.NArg() == 0:
		return nil, usagef("which card?").withHint("`ward wallet new NAME --card FILE` makes one, in another folder of wallets")
	case node == nil:
		return nil, usagef("only a hospital recovers names").withHint("--dir names the directory of its node")
	case c.Bool("approve") && c.Bool("finish"):
		return nil, usagef("flags %s and %s do not go together", "--approve", "--finish")
	}
	wait, ok := span(c.String("wait"))
	switch opening := !c.Bool("approve") && !c.Bool("finish"); {
	case !ok:
		return nil, usagef("flag %s: %q is no length of time", "--wait", c.String("wait")).withHint("write 72h or 5d")
	case opening && (wait.Milliseconds() < identity.MinRecoveryWait || wait.Milliseconds() > identity.MaxRecoveryWait):
		return nil, usagef("a recovery waits 72 hours at least, and 90 days at most").withHint("write 72h or 5d")
	}
	new, err := s.cardFor(ctx, c, c.Args().First())
	if err != nil {
		return nil, err
	}
	method, args, said := identity.MethodRecover, any(identity.RecoverArgs{Name: new.Name, Key: new.Key, Possession: new.proof(identity.MethodRecover), Wait: wait.Milliseconds()}), s.tr("the recovery of %s is open", new.Name)
	switch named := (identity.NameArgs{Name: new.Name, Key: new.Key}); {
	case c.Bool("approve"):
		method, args, said = identity.MethodApprove, named, s.tr("the recovery of %s is approved", new.Name)
	case c.Bool("finish"):
		method, args, said = identity.MethodFinish, named, s.tr("%s has its new key", new.Name)
	}
	if err := submitAs(ctx, node, method, args); err != nil {
		return nil, fmt.Errorf("recover %s: %w", new.Name, err)
	}
	s.print(said + "\n")
	return map[string]any{"name": new.Name, "key": new.Key}, nil
}
