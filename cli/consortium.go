package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/node"
)

func (s *session) consortium() *urfave.Command {
	wait := &urfave.DurationFlag{Name: "wait", EnvVars: []string{"WARD_CEREMONY_WAIT"}, Usage: s.tr("wait this long until the ceremony is done"), DefaultText: "0s"}
	threshold := &urfave.IntFlag{Name: "threshold", EnvVars: []string{"WARD_THRESHOLD"}, Usage: s.tr("how many hospitals open something together; more than half if not given"), DefaultText: "0"}
	dry := &urfave.BoolFlag{Name: "dry-run", EnvVars: []string{"WARD_DRY_RUN"}, Usage: s.tr("show it and do nothing")}
	out := func(usual string) urfave.Flag {
		return &urfave.StringFlag{Name: "out", Aliases: []string{"o"}, EnvVars: []string{"WARD_OUT"}, Value: usual, Usage: s.tr("write the file here; nothing is overwritten")}
	}
	return &urfave.Command{
		Name:  "consortium",
		Usage: s.tr("the hospitals that run the chain together"),
		Subcommands: []*urfave.Command{
			{
				Name: "create", Usage: s.tr("make the founding consortium file from the hospitals' cards"), ArgsUsage: s.tr("CARD..."),
				Description: s.tr(`Before you send the file to all of them, let each read his fingerprint to you over
the telephone, and compare it with what is shown here.

Examples:
  ward consortium create --chain care.example north.json east.json south.json west.json`),
				Flags: []urfave.Flag{
					&urfave.StringFlag{Name: "chain", EnvVars: []string{"WARD_CHAIN"}, Usage: s.tr("name of the chain, like a domain; never used for another one")},
					out(currentFile),
					threshold,
				},
				Action: s.act(255, consortiumCreate),
			},
			{
				Name: "show", Usage: s.tr("show a consortium file, or what is in force and what is proposed at your node"), ArgsUsage: s.tr("[FILE]"),
				Description: s.tr(`Every hospital must see the same hash: compare it over the telephone.

Examples:
  ward consortium show consortium.json
  ward consortium show --dir /var/lib/ward
  ward consortium show --dir /var/lib/ward --out newest.json`),
				Flags:  []urfave.Flag{s.dirFlag(), out("")},
				Action: s.act(1, consortiumShow),
			},
			{
				Name: "join", Usage: s.tr("agree that another hospital comes in"), ArgsUsage: s.tr("CARD"),
				Description: s.tr(`Every hospital's operator runs this with the same card, after he compared the
fingerprint with the new hospital over the telephone. It takes effect when enough
of them have. Then the new one starts its node, and a key ceremony gives it shares:
ward consortium refresh.

Examples:
  ward consortium join --dir /var/lib/ward center.json`),
				Flags:  []urfave.Flag{s.dirFlag(), threshold, dry, s.yesFlag()},
				Action: s.act(1, consortiumJoin),
			},
			{
				Name: "remove", Usage: s.tr("agree that a hospital leaves"), ArgsUsage: s.tr("NAME"),
				Description: s.tr(`Takes effect when the operators of enough hospitals ran it. Until the next key
ceremony the one that left still holds shares, which are of no use afterwards:
ward consortium refresh.

Examples:
  ward consortium remove --dir /var/lib/ward west`),
				Flags:  []urfave.Flag{s.dirFlag(), threshold, dry, s.yesFlag()},
				Action: s.act(1, consortiumRemove),
			},
			{
				Name: "refresh", Usage: s.tr("propose a key ceremony: the first makes the keys, later ones renew all shares"),
				Description: s.tr(`The first ceremony needs every hospital. A later one moves keys and grants to the
hospitals that there are, with fresh shares, and makes old ones worthless. Each
operator accepts it for his node with ward consortium accept; you have with this.

Examples:
  ward consortium refresh --dir /var/lib/ward
  ward consortium refresh --dir /var/lib/ward --within 24h --wait 24h`),
				Flags: []urfave.Flag{
					s.dirFlag(),
					&urfave.DurationFlag{Name: "within", EnvVars: []string{"WARD_CEREMONY_WITHIN"}, Value: time.Hour, Usage: s.tr("how long the others may take to accept, and each node for its part")},
					&urfave.DurationFlag{Name: "complaints", EnvVars: []string{"WARD_CEREMONY_COMPLAINTS"}, Value: 10 * time.Minute, Usage: s.tr("how long nodes may complain of bad shares; always waited for")},
					wait, s.yesFlag(),
				},
				Action: s.act(0, consortiumRefresh),
			},
			{
				Name: "accept", Usage: s.tr("look at the proposed key ceremony, and let your node take part"), ArgsUsage: s.tr("[HASH]"),
				Description: s.tr(`With a HASH, or its first eight digits, it accepts that ceremony and no other.

Examples:
  ward consortium accept --dir /var/lib/ward
  ward consortium accept --dir /var/lib/ward 5d0b8c1e --yes`),
				Flags:  []urfave.Flag{s.dirFlag(), wait, dry, s.yesFlag()},
				Action: s.act(1, consortiumAccept),
			},
		},
	}
}

type consortiumData struct {
	File                string       `json:"file,omitempty"`
	Hash                chain.Hash   `json:"hash"`
	Chain               string       `json:"chain"`
	Epoch               uint64       `json:"epoch"`
	Created             time.Time    `json:"created"`
	KeyThreshold        int          `json:"key_threshold"`
	CheckpointThreshold int          `json:"checkpoint_threshold"`
	Keys                bool         `json:"keys"` // the hospitals have made them
	Members             []memberData `json:"members"`
}

type memberData struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	Peer        string `json:"peer"`
	NodeKey     string `json:"node_key"`
	Fingerprint string `json:"fingerprint"`
}

// describeConsortium returns what there is to say of a consortium file.
func describeConsortium(k *chain.Consortium) (*consortiumData, error) {
	b, err := k.Bytes()
	if err != nil {
		return nil, err
	}
	d := &consortiumData{
		Hash: sha256.Sum256(b), Chain: k.Chain, Epoch: k.Epoch, Created: k.Created,
		KeyThreshold: k.KeyThreshold, CheckpointThreshold: k.CheckpointThreshold, Keys: len(k.ExtractionKey) > 0,
	}
	for _, m := range k.Members {
		d.Members = append(d.Members, memberData{m.Name, m.URL, m.Peer, m.NodeKey.String(), (&node.Card{Member: m}).Fingerprint()})
	}
	return d, nil
}

// showConsortium prints a consortium file for people.
func (s *session) showConsortium(d *consortiumData) {
	rows := [][]string{}
	for _, m := range d.Members {
		rows = append(rows, []string{m.Name, m.URL, m.Fingerprint})
	}
	s.grid([]string{"NAME", "ADDRESS", "FINGERPRINT"}, rows)
	s.say("chain %s, file %d: any %d of %d open something together, %d sign what is final", d.Chain, d.Epoch, d.KeyThreshold, len(d.Members), d.CheckpointThreshold)
	if d.Epoch > 0 && !d.Keys || d.Epoch == 0 {
		s.tell("the hospitals have no key yet")
	}
	s.say("hash: %s", d.Hash)
}

func consortiumCreate(_ context.Context, s *session, c *urfave.Context) (any, error) {
	if c.String("chain") == "" {
		return nil, usagef("flag %s needs a value", "--chain").withHint("`ward %s` lists the flags", "consortium create --help")
	}
	if c.NArg() == 0 {
		return nil, usagef("which cards?").withHint("`ward node init` makes a hospital's card")
	}
	out := c.String("out")
	if err := absent(out); err != nil {
		return nil, err
	}
	var cards []*node.Card
	for _, path := range c.Args().Slice() {
		card, err := readCard(path)
		if err != nil {
			return nil, err
		}
		cards = append(cards, card)
	}
	k, err := node.NewConsortium(c.String("chain"), time.Now(), c.Int("threshold"), cards)
	if err != nil {
		return nil, failf("consortium", exitUsage, "these make no consortium: %s", err.Error())
	}
	d, err := describeConsortium(k)
	if err != nil {
		return nil, err
	}
	if err := keepFile(out, k); err != nil {
		return nil, err
	}
	d.File = out
	s.showConsortium(d)
	s.tell("%s is for all of them: each starts its node with it.", out)
	return d, nil
}

// absent returns an error for a file that is there.
func absent(path string) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return failf("exists", exitFailure, "%s exists", path).withHint("--out names another file")
}

// A consortiumState is what `ward consortium show` says of a running node.
type consortiumState struct {
	*consortiumData
	Ceremony any `json:"ceremony,omitempty"`
}

func consortiumShow(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if path := c.Args().First(); path != "" {
		k, err := readConsortium(path)
		if err != nil {
			return nil, err
		}
		d, err := describeConsortium(k)
		if err == nil {
			d.File = path
			s.showConsortium(d)
		}
		return d, err
	}
	client, dir, err := operate(c)
	if err != nil {
		return nil, err
	}
	k, err := client.Consortium(ctx)
	if err != nil {
		return nil, notRunning(err, dir)
	}
	d, err := describeConsortium(k)
	if err != nil {
		return nil, err
	}
	if path := c.String("out"); path != "" {
		if err := absent(path); err != nil {
			return nil, err
		}
		if err := keepFile(path, k); err != nil {
			return nil, err
		}
		d.File = path
	}
	s.showConsortium(d)
	out := consortiumState{consortiumData: d}
	if cer, err := client.Ceremony(ctx); err == nil {
		out.Ceremony = cer
		s.showCeremony(cer)
	}
	return out, nil
}

// nextThresholds sets what is usual for as many members as there are.
func nextThresholds(k *chain.Consortium, threshold int) {
	n := len(k.Members)
	k.KeyThreshold, k.CheckpointThreshold = threshold, (n+(n-1)/3)/2+1
	if threshold == 0 {
		k.KeyThreshold = n/2 + 1
	}
}

func consortiumJoin(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() != 1 {
		return nil, usagef("which card?").withHint("`ward node init` makes a hospital's card")
	}
	card, err := readCard(c.Args().First())
	if err != nil {
		return nil, err
	}
	return s.changeMembers(ctx, c, func(k *chain.Consortium) (bool, error) {
		if m := k.Member(card.Name); m != nil {
			if *m == card.Member {
				return false, nil
			}
			return false, failf("exists", exitFailure, "%s is a member with another card", card.Name)
		}
		k.Members = append(k.Members, card.Member)
		slices.SortFunc(k.Members, func(a, b chain.Member) int { return strings.Compare(a.Name, b.Name) })
		s.say("%s comes in, at %s", card.Name, card.URL)
		s.say("fingerprint: %s", card.Fingerprint())
		return true, nil
	})
}

func consortiumRemove(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	name := c.Args().First()
	if name == "" {
		return nil, usagef("which hospital?").withHint("`ward consortium show` lists them")
	}
	return s.changeMembers(ctx, c, func(k *chain.Consortium) (bool, error) {
		if k.Member(name) == nil {
			var all []string
			for _, m := range k.Members {
				all = append(all, m.Name)
			}
			if near := nearest(name, all); near != "" {
				return false, usagef("there is no hospital %q in the consortium", name).withHint("did you mean %s?", near)
			}
			return false, nil // it may have been taken out already
		}
		k.Members = slices.DeleteFunc(k.Members, func(m chain.Member) bool { return m.Name == name })
		s.say("%s leaves", name)
		return true, nil
	})
}

type changeData struct {
	*consortiumData
	InForce bool   `json:"in_force"`
	Why     string `json:"why,omitempty"` // not yet
}

// changeMembers approves, for this node's member, what change makes of the
// consortium file in force.
func (s *session) changeMembers(ctx context.Context, c *urfave.Context, change func(*chain.Consortium) (bool, error)) (any, error) {
	client, dir, err := operate(c)
	if err != nil {
		return nil, err
	}
	k, err := client.Consortium(ctx)
	if err != nil {
		return nil, notRunning(err, dir)
	}
	next, err := node.NextFile(k)
	if err != nil {
		return nil, err
	}
	changed, err := change(next)
	if err != nil {
		return nil, err
	}
	if !changed {
		d, err := describeConsortium(k)
		s.say("it is so already")
		return changeData{consortiumData: d, InForce: true}, err
	}
	nextThresholds(next, c.Int("threshold"))
	d, err := describeConsortium(next)
	if err != nil {
		return nil, failf("consortium", exitUsage, "these make no consortium: %s", err.Error())
	}
	s.showConsortium(d)
	if c.Bool("dry-run") {
		return changeData{consortiumData: d}, nil
	}
	if err := s.confirm(ctx, "Do you agree in the name of your hospital?"); err != nil {
		return nil, err
	}
	done, err := client.Propose(ctx, next)
	if err != nil {
		return nil, notRunning(err, dir)
	}
	if done.InForce {
		s.say("it is in force; `ward consortium refresh` moves the keys")
	} else {
		s.say("agreed here; it takes effect when %d hospitals have agreed to file %s", k.CheckpointThreshold, done.Hash)
		s.debug("%s", done.Why)
	}
	return changeData{d, done.InForce, done.Why}, nil
}
