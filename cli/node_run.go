package cli

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/admin"
	"github.com/ward-health/ward/node/api"
)

func (s *session) nodeRun() *urfave.Command {
	return &urfave.Command{
		Name: "run", Usage: s.tr("run the node until it is told to stop"),
		Description: s.tr(`The first time it needs the founding consortium file, and keeps a copy. A hospital
that joins later needs the founding file and the newest one. It logs on stderr,
without the name of a person or a word of a record. Without a passphrase, and with
nobody at a terminal, it starts sealed and waits for ward node unlock.

Ctrl-C or SIGTERM ends it in order: requests under way are answered, leadership is
handed over, and the exit code is 0.

Examples:
  ward node run --dir /var/lib/ward --consortium consortium.json
  ward node run --dir /var/lib/ward --passphrase-command 'cat /run/credentials/ward/passphrase'
  ward node run --dir ./west --founding founding.json --consortium consortium.json`),
		Flags: slices.Concat([]urfave.Flag{
			s.dirFlag(),
			s.consortiumFlag(),
			s.foundingFlag(),
			&urfave.StringFlag{Name: "listen", EnvVars: []string{"WARD_LISTEN"}, Usage: s.tr("host:port to serve clients at; as on the card if not given")},
			&urfave.StringFlag{Name: "listen-peer", EnvVars: []string{"WARD_LISTEN_PEER"}, Usage: s.tr("host:port to serve the other nodes at; as on the card if not given")},
			&urfave.StringFlag{Name: "store", EnvVars: []string{"WARD_STORE"}, Usage: s.tr("where payloads are kept, as fs:DIR, s3:URL or ipfs:URL; blobs in the node's directory if not given")},
			&urfave.BoolFlag{Name: "sealed", EnvVars: []string{"WARD_SEALED"}, Usage: s.tr("wait for ward node unlock, whatever else is set")},
			&urfave.StringSliceFlag{Name: "metrics-from", EnvVars: []string{"WARD_METRICS_FROM"}, Usage: s.tr("network that may read /metrics, such as 10.0.0.0/8; this machine only if not given")},
			&urfave.StringFlag{Name: memoryFlag, EnvVars: []string{"WARD_MEMORY_LIMIT"}, Value: memoryDefault, Usage: s.tr("memory to keep to, as 448MiB or 1GiB; softly; off for any; GOMEMLIMIT counts if only that is set")},
			&urfave.StringFlag{Name: "log-level", EnvVars: []string{"WARD_LOG_LEVEL"}, Value: "info", Usage: s.tr("debug, info, warn or error")},
			&urfave.StringFlag{Name: "log-format", EnvVars: []string{"WARD_LOG_FORMAT"}, Value: "text", Usage: s.tr("text or json")},
		}, s.passphraseFlags()),
		Action: s.act(0, nodeRun),
	}
}

// A daemon is a node as a process.
type daemon struct {
	dir   string
	card  *node.Card
	log   *slog.Logger
	level *slog.LevelVar
}

func nodeRun(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	dir, err := nodeDir(c)
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, level: new(slog.LevelVar)}
	if d.card, err = ownCard(dir); err != nil {
		return nil, err
	}
	if d.log, err = s.nodeLogger(c, d.level); err != nil {
		return nil, err
	}
	cfg, err := d.config(c)
	if err != nil {
		return nil, err
	}
	undo, err := limitMemory(c)
	if err != nil {
		return nil, err
	}
	defer undo()
	pass, err := s.startPassphrase(ctx, c)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	return nil, d.run(ctx, cfg, c.String("listen"), pass)
}

// nodeLogger returns where a node logs to.
func (s *session) nodeLogger(c *urfave.Context, level *slog.LevelVar) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, usagef("%s does not take %q", "log-level", c.String("log-level")).withHint("choose debug, info, warn or error")
	}
	level.Set(l)
	opt := &slog.HandlerOptions{Level: level}
	switch c.String("log-format") {
	case "text":
		return slog.New(slog.NewTextHandler(s.stderr, opt)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(s.stderr, opt)), nil
	}
	return nil, usagef("%s does not take %q", "log-format", c.String("log-format")).withHint("choose text or json")
}

// startPassphrase returns the passphrase of a node that starts, or nil for one
// that starts sealed.
func (s *session) startPassphrase(ctx context.Context, c *urfave.Context) ([]byte, error) {
	from, err := s.passphraseSource()
	if err != nil {
		return nil, err
	}
	if c.Bool("sealed") || from.flag == "" && !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil, nil
	}
	return s.passphrase(ctx)
}

// config gathers what the node is opened with.
func (d *daemon) config(c *urfave.Context) (node.Config, error) {
	cfg := node.Config{
		Dir: d.dir, Member: d.card.Name, Listen: c.String("listen-peer"), Store: c.String("store"),
		AskCeremony: true, Log: d.log, Version: currentVersion().Version,
	}
	if cfg.Listen == "" {
		cfg.Listen = d.card.Peer
	}
	var err error
	if cfg.Server, err = serverOptions(c.StringSlice("metrics-from")); err != nil {
		return cfg, err
	}
	cfg.Founding, cfg.Known, err = consortiumFiles(d.dir, c.String("founding"), c.String("consortium"))
	return cfg, err
}

func serverOptions(metricsFrom []string) (opt api.Options, err error) {
	for _, from := range metricsFrom {
		p, err := netip.ParsePrefix(from)
		if err != nil {
			return opt, usagef("%s does not take %q", "metrics-from", from)
		}
		opt.MetricsFrom = append(opt.MetricsFrom, p)
	}
	return opt, nil
}

// consortiumFiles is findConsortium for a node that starts. It keeps the founding file
// the first time.
func consortiumFiles(dir, founding, newest string) (*chain.Consortium, *chain.Consortium, error) {
	first, last, err := findConsortium(dir, founding, newest)
	if err != nil {
		return nil, nil, err
	}
	return first, last, keepFile(filepath.Join(dir, foundingFile), first)
}

// findConsortium returns the founding file and the newest one: from what the operator
// gave and from what the node kept, which must be of one consortium.
func findConsortium(dir, founding, newest string) (*chain.Consortium, *chain.Consortium, error) {
	var all []*chain.Consortium
	for _, path := range []string{filepath.Join(dir, foundingFile), filepath.Join(dir, currentFile), founding, newest} {
		if path == "" {
			continue
		}
		k, err := readConsortium(path)
		if errors.Is(err, fs.ErrNotExist) && path != founding && path != newest {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		all = append(all, k)
	}
	var first, last *chain.Consortium
	for _, k := range all {
		if k.Epoch == 0 && first == nil {
			first = k
		}
		if last == nil || k.Epoch > last.Epoch {
			last = k
		}
	}
	if first == nil {
		return nil, nil, failf("not-initialised", exitNotReady, "the founding consortium file is missing").withHint("--consortium or --founding names it; `ward consortium create` makes it")
	}
	want, err := first.FoundingHash()
	if err != nil {
		return nil, nil, err
	}
	for _, k := range all {
		have, err := k.FoundingHash()
		if err != nil {
			return nil, nil, err
		}
		if have != want {
			return nil, nil, failf("consortium", exitIntegrity, "the consortium files are not of one consortium").withHint("this node was founded with %s", filepath.Join(dir, foundingFile))
		}
	}
	return first, last, nil
}

// keepFile writes a consortium file unless it is there.
func keepFile(path string, k *chain.Consortium) error {
	b, err := k.Bytes()
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, b) {
		return nil
	}
	return durable.WriteFile(path, b, 0o644)
}

// listenAPI listens for clients.
func (d *daemon) listenAPI(addr string) (net.Listener, error) {
	if addr == "" {
		u, err := url.Parse(d.card.URL)
		if err != nil {
			return nil, err
		}
		if addr = u.Host; u.Port() == "" {
			addr = u.Host + ":443"
		}
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, failf("listen", exitFailure, "cannot listen at %s: %s", addr, rootCause(err).Error()).withHint("--listen names another address of this machine")
	}
	return l, nil
}

// rootCause returns the innermost error: what the kernel said.
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// run runs the node, and its operator's socket, until ctx is done.
func (d *daemon) run(ctx context.Context, cfg node.Config, listen string, pass []byte) (err error) {
	if cfg.Known.Member(d.card.Name) == nil {
		return failf("no-member", exitNotReady, "the consortium file does not list %s", d.card.Name).withHint("the other hospitals take it in with `ward consortium join`")
	}
	// A second node in the directory would find its ports taken: that it is the
	// second is the better thing to say.
	lock, err := durable.LockDir(d.dir)
	if err == nil {
		err = lock.Unlock()
	}
	if err != nil {
		return err
	}
	if cfg.API, err = d.listenAPI(listen); err != nil {
		return err
	}
	n, err := node.Open(ctx, cfg) // sealed: what can take long comes later
	if err != nil {
		return errors.Join(err, cfg.API.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var tasks sync.WaitGroup
	ended := make(chan error, 3)
	begin := func(task func(context.Context) error) { tasks.Go(func() { ended <- task(ctx) }) }
	defer func() {
		d.notify("STOPPING=1")
		stop()
		tasks.Wait()
		err = errors.Join(err, n.Close())
		d.log.Info("node stopped")
	}()
	socket, err := admin.Listen(d.dir)
	if err != nil {
		return errors.Join(err, cfg.API.Close())
	}
	begin(n.Run)
	operator := admin.New(admin.Options{Node: n, Level: d.level, Stop: stop, Log: d.log})
	begin(func(ctx context.Context) error { return operator.Serve(ctx, socket) })
	begin(func(ctx context.Context) error { return d.follow(ctx, n) })
	d.log.Info("node runs", "member", d.card.Name, "api", cfg.API.Addr().String(), "peer", cfg.Listen, "sealed", pass == nil)
	if pass != nil {
		if err := n.Unlock(ctx, pass); err != nil {
			return err
		}
	}
	d.notify("READY=1")
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// follow keeps the newest consortium file in the node's directory: for clients,
// and for the node when it starts again.
func (d *daemon) follow(ctx context.Context, n *node.Node) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for epoch := int64(-1); ; {
		if k := n.Members(); int64(k.Epoch) != epoch {
			if err := keepFile(filepath.Join(d.dir, currentFile), k); err != nil {
				d.log.Warn("consortium file not kept", "error", err)
			} else {
				epoch = int64(k.Epoch)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// notify tells systemd how far the node is, where systemd asked for it.
func (d *daemon) notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unixgram", path)
	if err == nil {
		_, err = conn.Write([]byte(state))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		d.log.Warn("systemd not told", "error", err)
	}
}
