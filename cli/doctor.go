package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/node"
	"github.com/ward-health/ward/node/admin"
	"github.com/ward-health/ward/node/vault"
)

func (s *session) doctor() *urfave.Command {
	return &urfave.Command{
		Name: "doctor", Usage: s.tr("find what is wrong with a node or its consortium, and say what helps"),
		Description: s.tr(`With --dir it looks at the node of this machine: permissions, disk, keys, process.
It asks every hospital's node whether it is reachable, ready, and what time it is
there, and says how many more may fail. It changes nothing, except that it writes a
small payload to a store given with --store, and erases it.

Exits 0 if nothing is wrong, warnings included, and 1 otherwise.

Examples:
  ward doctor --dir /var/lib/ward
  ward doctor --consortium consortium.json
  ward doctor --dir /var/lib/ward --store s3:https://s3.example.org/bucket/prefix`),
		Flags: []urfave.Flag{
			s.dirFlag(),
			s.consortiumFlag(),
			&urfave.StringFlag{Name: "store", EnvVars: []string{"WARD_STORE"}, Usage: s.tr("also write to this store, read and erase")},
		},
		Action: s.act(0, doctorAction),
	}
}

// A severity is what a check comes to.
type severity string

const (
	healthy      severity = "ok"
	warning      severity = "warning"
	problemFound severity = "problem"
)

// A finding is one line of the doctor.
type finding struct {
	Check    string   `json:"check"`
	Severity severity `json:"verdict"`
	Text     string   `json:"text"`
	Fix      string   `json:"fix,omitempty"`
}

type doctorData struct {
	Findings []finding `json:"findings"`
	Warnings int       `json:"warnings"`
	Problems int       `json:"problems"`
}

// An examination gathers findings.
type examination struct {
	s          *session
	dir        string
	consortium *chain.Consortium
	card       *node.Card    // nil without a directory
	status     *admin.Status // nil unless the node runs
	found      []finding
}

func (e *examination) ok(check string, text message) {
	e.found = append(e.found, finding{check, healthy, text.in(e.s.lang), ""})
}

func (e *examination) bad(check string, v severity, text, fix message) {
	e.found = append(e.found, finding{check, v, text.in(e.s.lang), fix.in(e.s.lang)})
}

func doctorAction(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	e := &examination{s: s, dir: c.String("dir")}
	if e.dir == "" && c.String("consortium") == "" {
		return nil, usagef("which node?").withHint("--dir, WARD_DIR or dir in the configuration file names its directory")
	}
	if path := c.String("consortium"); path != "" {
		var err error
		if e.consortium, err = readConsortium(path); err != nil {
			return nil, err
		}
	}
	if e.dir != "" {
		e.directory()
		e.disk()
		e.process(ctx)
		e.keys()
	}
	if e.consortium != nil {
		e.members(ctx)
	} else {
		e.bad("members", problemFound, message{format: "no consortium file: the other hospitals are not known"}, message{format: "--consortium names it"})
	}
	if url := c.String("store"); url != "" {
		e.store(ctx, url)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return e.report()
}

// report prints what was found.
func (e *examination) report() (any, error) {
	data := doctorData{Findings: e.found}
	names := map[severity]string{healthy: e.s.tr("ok"), warning: e.s.tr("warning"), problemFound: e.s.tr("problem")}
	width, checks := 0, 0
	for _, f := range e.found {
		width, checks = max(width, textWidth(names[f.Severity])), max(checks, textWidth(f.Check))
	}
	for _, f := range e.found {
		switch f.Severity {
		case warning:
			data.Warnings++
		case problemFound:
			data.Problems++
		}
		e.s.print(fmt.Sprintf("  %s  %s  %s\n", pad(names[f.Severity], width), pad(f.Check, checks), printable(f.Text)))
		if f.Fix != "" {
			e.s.print(fmt.Sprintf("  %s  %s  → %s\n", pad("", width), pad("", checks), printable(f.Fix)))
		}
	}
	if data.Problems > 0 {
		return data, failf("unhealthy", exitFailure, "problems: %d, warnings: %d", data.Problems, data.Warnings)
	}
	e.s.tell("problems: %d, warnings: %d", data.Problems, data.Warnings)
	return data, nil
}

// directory checks that what is secret is this user's alone.
func (e *examination) directory() {
	const check = "permissions"
	if !vault.Exists(filepath.Join(e.dir, "vault")) {
		e.bad(check, problemFound, message{"there is no node in %s", []any{e.dir}}, message{format: "`ward node init` makes one"})
		return
	}
	if runtime.GOOS == "windows" {
		return
	}
	exposed := ""
	look := func(path string) error {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // erased meanwhile
		}
		if err == nil && info.Mode().Perm()&0o077 != 0 && exposed == "" {
			exposed = path
		}
		return err
	}
	err := look(e.dir)
	for _, below := range []string{"vault", "approved"} {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(e.dir, below), func(path string, _ fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return errors.Join(err, look(path))
		}))
	}
	switch {
	case err != nil:
		e.bad(check, problemFound, message{"%s", []any{err.Error()}}, message{format: "run this as the user of the node"})
	case exposed != "":
		e.bad(check, problemFound, message{"others may open %s", []any{exposed}}, message{"chmod -R go-rwx %s", []any{e.dir}})
	default:
		e.ok(check, message{format: "what is secret is yours alone"})
	}
}

const (
	tightSpace = 2 << 30   // below it, somebody should make room
	fullSpace  = 256 << 20 // below it, a node is read-only
)

// disk checks that there is room.
func (e *examination) disk() {
	free, err := freeSpace(e.dir)
	text := message{"%d MB free", []any{free >> 20}}
	switch {
	case err != nil: // not known here
	case free < fullSpace:
		e.bad("disk", problemFound, text, message{format: "make room: the node writes nothing below 256 MB"})
	case free < tightSpace:
		e.bad("disk", warning, text, message{format: "make room: below 256 MB the node is read-only"})
	default:
		e.ok("disk", text)
	}
}

// process asks the node itself.
func (e *examination) process(ctx context.Context) {
	const check = "node"
	var err error
	if !vault.Exists(filepath.Join(e.dir, "vault")) {
		return // said already
	}
	if e.card, err = ownCard(e.dir); err != nil {
		e.bad("card", problemFound, explain(err).words, message{format: "`ward node init` makes one"})
	}
	client := admin.NewClient(e.dir)
	if e.status, err = client.Status(ctx); err != nil {
		e.bad(check, problemFound, message{"no node runs in %s", []any{e.dir}}, message{"`ward node run --dir %s` starts it", []any{e.dir}})
		if k, err := readConsortium(filepath.Join(e.dir, currentFile)); err == nil && e.consortium == nil {
			e.consortium = k
		}
		return
	}
	if k, err := client.Consortium(ctx); err == nil {
		e.consortium = k // the newest
	}
	if e.status.State == admin.Ready {
		e.ok(check, message{format: "ready"})
		return
	}
	p := explain(notReached(e.status, e.dir))
	e.bad(check, problemFound, p.words, p.hint)
}

// keys checks that this member is who the consortium file says, and that enough
// shares of the keys were confirmed.
func (e *examination) keys() {
	if e.card == nil || e.consortium == nil {
		return
	}
	const check = "keys"
	m := e.consortium.Member(e.card.Name)
	switch {
	case m == nil:
		e.bad(check, problemFound, message{"the consortium file does not list %s", []any{e.card.Name}}, message{format: "the other hospitals take it in with `ward consortium join`"})
		return
	case m.NodeKey != e.card.NodeKey:
		e.bad(check, problemFound, message{"the consortium file lists another key for %s", []any{e.card.Name}}, message{format: "this directory is not that of the member: restore the right one"})
		return
	}
	st := e.status
	if st == nil || st.Generation == 0 {
		return
	}
	n := len(e.consortium.Members)
	f := (n - 1) / 3
	text := message{"%d of %d hospitals hold shares of the keys; %d are needed", []any{len(st.Holders), n, st.Threshold}}
	switch {
	case len(st.Holders) < st.Threshold+f:
		e.bad(check, warning, text, message{format: "`ward consortium refresh` gives everybody a share"})
	case !slices.Contains(st.Holders, e.card.Name):
		e.bad(check, warning, message{format: "this node has no share of the keys"}, message{format: "`ward consortium refresh` gives everybody a share"})
	default:
		e.ok(check, text)
	}
}
