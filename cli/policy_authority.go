package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/admin"
	"github.com/ward-health/ward/pre"
)

// authorityCommands are those of an attribute authority: of the office that runs
// it, and of the staff.
func (s *session) authorityCommands() []*urfave.Command {
	epoch := func() urfave.Flag {
		return &urfave.Uint64Flag{Name: "epoch", EnvVars: []string{"WARD_EPOCH"}, Usage: s.tr("of which epoch; else the current one"), DefaultText: "-"}
	}
	return []*urfave.Command{
		{
			Name: "publish", Usage: s.tr("begin an epoch of the hospital's attribute authority"), ArgsUsage: s.tr("CATALOGUE"),
			Description: s.tr(`CATALOGUE is a file that declares the attributes, one a line; - is stdin. The master
key is made the first time, and stays in your wallet; the hospital's node signs.
From then on grants are sealed to the new epoch: give everybody a key of it.

Examples:
  printf 'role one of (nurse, physician)\ndept any of (er, icu)\ncontractor flag\n' > staff.txt
  ward policy publish staff.txt --as office@north --dir /var/lib/ward`),
			Flags:  s.userFlags(s.hospitalFlag()),
			Action: s.act(1, policyPublish),
		},
		{
			Name: "authority", Usage: s.tr("show which attributes a hospital certifies"), ArgsUsage: s.tr("[HOSPITAL]"),
			Description: s.tr(`Without HOSPITAL it is your own.

Examples:
  ward policy authority
  ward policy authority east --epoch 1 --json`),
			Flags:  s.userFlags(epoch()),
			Action: s.act(1, policyAuthority),
		},
		{
			Name: "issue", Usage: s.tr("make the attribute key of one of the staff"), ArgsUsage: s.tr("NAME"),
			Description: s.tr(`The key has the attributes that the hospital attests of her now. Only she can open
the file, with ward policy accept: it may be sent in any way. A key of an earlier
epoch lets her read under the grants of then.

Examples:
  ward policy issue dr.lee@north --as office@north -o lee.key
  ward policy issue dr.lee@north --as office@north -o lee-1.key --epoch 1`),
			Flags:  s.userFlags(s.outputFlag(""), s.forceFlag(), epoch()),
			Action: s.act(1, policyIssue),
		},
		{
			Name: "accept", Usage: s.tr("put an attribute key into your wallet"), ArgsUsage: s.tr("FILE"),
			Description: s.tr(`FILE is what ward policy issue wrote; - is stdin. The key is checked against the
authority on the chain.

Examples:
  ward policy accept lee.key --as dr.lee@north`),
			Flags:  s.userFlags(),
			Action: s.act(1, policyAccept),
		},
		{
			Name: "keys", Usage: s.tr("list the attribute keys in your wallet"),
			Description: s.tr(`Examples:
  ward policy keys --as dr.lee@north`),
			Flags:  s.walletFlags(),
			Action: s.act(0, policyKeys),
		},
	}
}

// An authorityData is what programs get of an attribute authority.
type authorityData struct {
	Name      string   `json:"name"`
	Epoch     uint64   `json:"epoch"`
	ID        string   `json:"id"`
	Catalogue []string `json:"catalogue,omitempty"` // a line for each attribute
}

func authorityOf(a *abe.Authority) authorityData {
	d := refData(a.Ref())
	d.Catalogue = strings.Split(strings.TrimSpace(a.Catalogue().String()), "\n")
	return d
}

func refData(r abe.Ref) authorityData {
	return authorityData{Name: r.Name, Epoch: r.Epoch, ID: fmt.Sprintf("%x", r.ID)}
}

// maxFile bounds what is read from a file that holds little.
const maxFile = 4 << 20

// readSmall reads a file that holds little, - being stdin.
func readSmall(ctx context.Context, path string) ([]byte, error) {
	in, _, err := input(ctx, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, usagef("%s is larger than %d bytes", path, maxFile)
	}
	return b, nil
}

func policyPublish(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which catalogue?").withHint("give a file with a line for each attribute, such as: role one of (nurse, physician)")
	}
	if c.String("dir") == "" {
		return nil, usagef("only a hospital publishes an authority").withHint("--dir names the directory of its node")
	}
	text, err := readSmall(ctx, c.Args().First())
	if err != nil {
		return nil, err
	}
	catalogue, err := abe.ParseCatalogue(string(text))
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	a, err := u.NextAuthority(ctx, catalogue)
	if err != nil {
		return nil, err
	}
	args, err := chain.Marshal(identity.AuthorityArgs{Authority: a.Bytes()})
	if err != nil {
		return nil, err
	}
	if _, err := admin.NewClient(c.String("dir")).Submit(ctx, identity.MethodAuthority, args); err != nil {
		return nil, fmt.Errorf("publish attribute authority: %w", err)
	}
	s.say("epoch %d of the attribute authority of %s has begun", a.Ref().Epoch, a.Ref().Name)
	s.next(s.tr("give everybody a key of it: `ward policy issue NAME -o FILE`"))
	return authorityOf(a), nil
}

func policyAuthority(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	member := u.Name().Org()
	if c.NArg() > 0 {
		member = c.Args().First()
	}
	a, err := u.AttributeAuthority(ctx, member, c.Uint64("epoch"))
	if err != nil {
		return nil, err
	}
	d := authorityOf(a)
	rows := [][]string{{s.tr("hospital"), d.Name}, {s.tr("epoch"), fmt.Sprint(d.Epoch)}}
	for i, line := range d.Catalogue {
		label := ""
		if i == 0 {
			label = s.tr("attributes")
		}
		rows = append(rows, []string{label, line})
	}
	s.grid([]string{"WHAT", "VALUE"}, rows)
	return d, nil
}

func policyIssue(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("whose?").withHint("`ward policy issue NAME`")
	}
	name, err := parseName(c.Args().First())
	if err != nil {
		return nil, err
	}
	out := c.String("output")
	if out == "" {
		return nil, usagef("where to?").withHint("--output FILE, or - for stdout")
	}
	if out == "-" && isTerminal(s.stdout) {
		return nil, binaryOnTerminal()
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	sealed, err := u.IssueAttributeKey(ctx, name, c.Uint64("epoch"))
	if err != nil {
		return nil, err
	}
	if err := s.writeNew(out, sealed, 0o600, c.Bool("force")); err != nil {
		return nil, err
	}
	if out != "-" {
		s.say("attribute key of %s: %s", name, out)
		s.next(s.tr("only %s opens it: `ward policy accept %s`", name, out))
	}
	return map[string]any{"name": name, "path": out, "bytes": len(sealed)}, nil
}

func policyAccept(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which file?").withHint("give a key that `ward policy issue` wrote, or - for stdin")
	}
	sealed, err := readSmall(ctx, c.Args().First())
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	ref, err := u.AcceptAttributeKey(ctx, sealed)
	if errors.Is(err, pre.ErrDecrypt) {
		return nil, failf("not-yours", exitDenied, "the key is sealed to somebody else, or was altered").withHint("the hospital makes one for you: `ward policy issue %s`", u.Name())
	}
	if err != nil {
		return nil, err
	}
	s.say("the wallet of %s holds its attribute key of %s for epoch %d", u.Name(), ref.Name, ref.Epoch)
	return refData(ref), nil
}

func policyKeys(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	w, err := s.openWallet(ctx, c)
	if err != nil {
		return nil, err
	}
	type keyData struct {
		authorityData
		Attributes string `json:"attributes"`
	}
	all := []keyData{}
	rows := [][]string{}
	for _, ref := range w.AttributeKeys() {
		d := keyData{authorityData: refData(ref)}
		if k := w.AttributeKey(ref); k != nil {
			d.Attributes = k.Attributes().String()
			k.Erase()
		}
		all = append(all, d)
		rows = append(rows, []string{d.Name, fmt.Sprint(d.Epoch), d.Attributes})
	}
	if len(rows) > 0 {
		s.grid([]string{"HOSPITAL", "EPOCH", "ATTRIBUTES"}, rows)
	} else {
		s.say("the wallet holds no attribute keys")
	}
	return map[string]any{"entries": all}, nil
}

// missingKey is the error of a reader without the attribute key of a grant's epoch.
func missingKey(e *ward.AttributeKeyError) *problem {
	return failf("attribute-key", exitDenied, "your wallet holds no attribute key of %s for epoch %d", e.Authority.Name, e.Authority.Epoch).
		withHint("ask the hospital for it; `ward policy accept FILE` takes it in")
}
