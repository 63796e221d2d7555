package cli

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/admin"
	"github.com/ward-health/ward/node/vault"
)

// Files in a node's directory, besides those of package node.
const (
	cardFile     = "card.json"       // what the member tells the others
	foundingFile = "founding.json"   // the founding consortium file
	currentFile  = "consortium.json" // the newest one that the node knows
)

const defaultPeerPort = "7200"

func (s *session) node() *urfave.Command {
	return &urfave.Command{
		Name:  "node",
		Usage: s.tr("your hospital's node"),
		Subcommands: []*urfave.Command{
			{
				Name: "init", Usage: s.tr("make the directory of a new node, with its keys and its card"),
				Description: s.tr(`The card says who you are and where your node is; send it to whoever gathers the
cards, and read its fingerprint to him over the telephone. The keys are encrypted
with the passphrase, without which the node cannot start: keep a copy in a safe.

Examples:
  ward node init --dir /var/lib/ward --name north --url https://ward.north.example:7100
  ward node init --dir ./north --name north --url https://127.0.0.1:7101 --peer 127.0.0.1:7201`),
				Flags: slices.Concat([]urfave.Flag{
					s.dirFlag(),
					&urfave.StringFlag{Name: "name", EnvVars: []string{"WARD_NODE_NAME"}, Usage: s.tr("the hospital's name in the consortium: lower case, short")},
					&urfave.StringFlag{Name: "url", EnvVars: []string{"WARD_NODE_URL"}, Usage: s.tr("https address at which clients will reach the node")},
					&urfave.StringFlag{Name: "peer", EnvVars: []string{"WARD_NODE_PEER"}, Usage: s.tr("host:port at which the other nodes will reach it; port 7200 of the same host if not given")},
				}, s.passphraseFlags()),
				Action: s.act(0, nodeInit),
			},
			s.nodeRun(),
			{
				Name: "status", Usage: s.tr("say how the node of this machine is doing"),
				Description: s.tr(`Exits 0 if the node is as far as --for says, and 10 if it is not.

Examples:
  ward node status --dir /var/lib/ward
  ward node status --dir /var/lib/ward --wait 1m --for joined`),
				Flags: []urfave.Flag{
					s.dirFlag(),
					&urfave.DurationFlag{Name: "wait", EnvVars: []string{"WARD_STATUS_WAIT"}, Usage: s.tr("wait this long for it"), DefaultText: "0s"},
					&urfave.StringFlag{Name: "for", EnvVars: []string{"WARD_STATUS_FOR"}, Value: "ready", Usage: s.tr("running, joined (agrees with the others), or ready (has its keys, and serves)")},
				},
				Action: s.act(0, nodeStatus),
			},
			{
				Name: "unlock", Usage: s.tr("give the passphrase to a node that started sealed"),
				Description: s.tr(`Examples:
  ward node unlock --dir /var/lib/ward`),
				Flags:  slices.Concat([]urfave.Flag{s.dirFlag()}, s.passphraseFlags()),
				Action: s.act(0, nodeUnlock),
			},
			s.nodePassphrase(),
			{
				Name: "stop", Usage: s.tr("end the node in order: requests under way are answered, leadership is handed over"),
				Flags:  []urfave.Flag{s.dirFlag()},
				Action: s.act(0, nodeStop),
			},
			{
				Name: "log", Usage: s.tr("change what the running node logs: debug, info, warn or error"), ArgsUsage: s.tr("LEVEL"),
				Flags:  []urfave.Flag{s.dirFlag()},
				Action: s.act(1, nodeLog),
			},
		},
	}
}

func (s *session) dirFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "dir", EnvVars: []string{"WARD_DIR"}, Usage: s.tr("the node's directory")}
}

// nodeDir returns the directory of the node that a command is about.
func nodeDir(c *urfave.Context) (string, error) {
	if dir := c.String("dir"); dir != "" {
		return dir, nil
	}
	return "", usagef("which node?").withHint("--dir, WARD_DIR or dir in the configuration file names its directory")
}

// operate returns how to speak to the running node that a command is about.
func operate(c *urfave.Context) (*admin.Client, string, error) {
	dir, err := nodeDir(c)
	if err != nil {
		return nil, "", err
	}
	if !vault.Exists(filepath.Join(dir, "vault")) {
		return nil, "", noNode(dir)
	}
	return admin.NewClient(dir), dir, nil
}

func noNode(dir string) error {
	return failf("not-initialised", exitNotReady, "there is no node in %s", dir).withHint("`ward node init` makes one")
}

// notRunning says so where a node does not run.
func notRunning(err error, dir string) error {
	if told := (*admin.Error)(nil); errors.Is(err, ward.ErrUnavailable) && !errors.As(err, &told) {
		return failf("not-running", exitNotReady, "no node runs in %s", dir).withHint("`ward node run --dir %s` starts it", dir)
	}
	return err
}

type initData struct {
	Dir         string `json:"dir"`
	Card        string `json:"card"`
	Name        string `json:"name"`
	URL         string `json:"url"`
	Peer        string `json:"peer"`
	NodeKey     string `json:"node_key"`
	Fingerprint string `json:"fingerprint"`
}

func nodeInit(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	dir, err := nodeDir(c)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"name", "url"} {
		if c.String(name) == "" {
			return nil, usagef("flag %s needs a value", dashed(name)).withHint("`ward %s` lists the flags", "node init --help")
		}
	}
	if vault.Exists(filepath.Join(dir, "vault")) {
		return nil, failf("exists", exitFailure, "there is a node in %s already", dir).withHint("its card is %s", filepath.Join(dir, cardFile))
	}
	peer := c.String("peer")
	if peer == "" {
		u, err := url.Parse(c.String("url"))
		if err != nil || u.Hostname() == "" {
			return nil, usagef("%s does not take %q", "url", c.String("url")).withHint("write it like https://ward.north.example:7100")
		}
		peer = u.Hostname() + ":" + defaultPeerPort
		if strings.Contains(u.Hostname(), ":") {
			peer = "[" + u.Hostname() + "]:" + defaultPeerPort
		}
	}
	opt := node.InitOptions{Dir: dir, Member: c.String("name"), URL: c.String("url"), Peer: peer, Vault: vault.Options{WorkFactor: s.work}}
	if err := node.CheckCard(opt.Member, opt.URL, opt.Peer); err != nil {
		return nil, failf("usage", exitUsage, "this is no card: %s", err.Error()).withHint("a name is lower case and short, a url like https://ward.north.example:7100, a peer like ward.north.example:7200")
	}
	if opt.Passphrase, err = s.newPassphrase(ctx); err != nil {
		return nil, err
	}
	defer clear(opt.Passphrase)
	card, err := node.Init(opt)
	if err != nil {
		return nil, err
	}
	b, err := card.Bytes()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, cardFile)
	if err := durable.WriteFile(path, b, 0o644); err != nil {
		return nil, err
	}
	s.say("card: %s", path)
	s.say("fingerprint: %s", card.Fingerprint())
	s.tell("Send the card to whoever makes the consortium file, and read him the fingerprint.")
	return initData{dir, path, card.Name, card.URL, card.Peer, card.NodeKey.String(), card.Fingerprint()}, nil
}

// readCard reads a member's card.
func readCard(path string) (*node.Card, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	card, err := node.ParseCard(b)
	if err != nil {
		return nil, failf("card", exitFailure, "%s: %s", path, err.Error())
	}
	return card, nil
}

// ownCard reads the card of the node in a directory.
func ownCard(dir string) (*node.Card, error) {
	card, err := readCard(filepath.Join(dir, cardFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noNode(dir)
	}
	return card, err
}

func nodeUnlock(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	client, dir, err := operate(c)
	if err != nil {
		return nil, err
	}
	st, err := client.Status(ctx)
	if err != nil {
		return nil, notRunning(err, dir)
	}
	if !st.Sealed {
		s.say("the node is open already")
		return st, nil
	}
	p, err := s.passphrase(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(p)
	if err := client.Unlock(ctx, p); err != nil {
		return nil, err
	}
	s.say("the node is open")
	if st, err = client.Status(ctx); err != nil {
		return nil, notRunning(err, dir)
	}
	return st, nil
}

func nodeStop(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	client, dir, err := operate(c)
	if err != nil {
		return nil, err
	}
	if err := client.Stop(ctx); err != nil {
		return nil, notRunning(err, dir)
	}
	// It has stopped when nobody holds its directory any more.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lock, err := durable.LockDir(dir)
		if err == nil {
			s.say("the node has stopped")
			return nil, lock.Unlock()
		}
		if !errors.Is(err, durable.ErrLocked) {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func nodeLog(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	level := c.Args().First()
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
		return nil, usagef("which level?").withHint("choose debug, info, warn or error")
	}
	client, dir, err := operate(c)
	if err != nil {
		return nil, err
	}
	if err := client.SetLogLevel(ctx, level); err != nil {
		return nil, notRunning(err, dir)
	}
	s.tell("the node logs from %s on", level)
	return map[string]string{"level": level}, nil
}
