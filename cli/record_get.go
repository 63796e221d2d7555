package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/internal/durable"
)

const (
	publicSuffix = ".public"
	maxDraftFile = 128 << 10 // bytes
)

// A reading is what a command line of record get asks for.
type reading struct {
	ids       []record.ID
	grant     consent.GrantID
	purpose   ward.Purpose
	emergency bool
	out       string
	force     bool
}

func recordGet(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	r, err := s.reading(c)
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if path := c.String("draft"); path != "" {
		return s.draftAccess(ctx, u, r, path)
	}
	opened, err := s.openRecords(ctx, u, r)
	if len(opened) == 0 {
		return nil, err
	}
	taken := s.tookOn(r.purpose.Obligations)
	data := []recordData{}
	v := &saver{s: s, out: r.out, force: r.force, used: map[string]bool{}}
	for _, o := range opened {
		if o == nil {
			continue // err says why
		}
		d := recordOf(&o.Entry, true)
		path, failed := v.save(ctx, o)
		if failed != nil {
			if ctx.Err() == nil && len(data) > 0 {
				failed = &problem{code: "partial", exit: exitPartial, words: message{"%d of %d records were saved, then", []any{len(data), len(r.ids)}}, cause: failed}
			}
			return readData{data, taken}, failed
		}
		d.Path = path
		data = append(data, d)
		if path != "-" {
			s.say("%s: %s, %s", path, or(printable(o.Title), string(o.ID)), sizeText(o.Size))
		}
	}
	if err != nil && len(data) > 0 {
		err = &problem{code: "partial", exit: exitPartial, words: message{"%d of %d records were saved, then", []any{len(data), len(r.ids)}}, cause: err}
	}
	return readData{data, taken}, err
}

// reading checks a command line before anything is opened or logged.
func (s *session) reading(c *urfave.Context) (*reading, error) {
	r := &reading{out: c.String("output"), force: c.Bool("force"), emergency: c.Bool("emergency")}
	var err error
	for _, arg := range c.Args().Slice() {
		id, err := recordID(arg)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(r.ids, id) {
			r.ids = append(r.ids, id)
		}
	}
	if g := c.String("grant"); g != "" {
		if r.grant, err = grantID(g); err != nil {
			return nil, err
		}
	}
	if r.purpose.Code, err = parsePurpose("purpose", c.String("purpose")); err != nil {
		return nil, err
	}
	if r.purpose.Reason, err = reason(c); err != nil {
		return nil, err
	}
	if r.purpose.Obligations, err = parseObligations("accept", c.StringSlice("accept")); err != nil {
		return nil, err
	}
	if from := c.String("from"); from != "" {
		if err := r.goOn(from); err != nil {
			return nil, err
		}
	}
	for _, path := range c.StringSlice("approval") {
		a, err := readApproval(c.Context, path)
		if err != nil {
			return nil, err
		}
		r.purpose.Approvals = append(r.purpose.Approvals, a)
	}
	drafting := c.String("draft") != ""
	switch {
	case len(r.ids) == 0:
		return nil, usagef("which record?").withHint("ids look like r-abc…; `ward record list` shows them")
	case drafting:
		return r, nil
	case r.emergency && r.purpose.Draft == nil:
		return nil, usagef("an emergency takes another clinician's approval").withHint("write what they sign with --draft FILE first")
	case r.emergency && r.purpose.Reason == "":
		return nil, usagef("an emergency takes a reason").withHint("--reason or --reason-file says it; only the owner reads it")
	case s.json && (r.out == "" || r.out == "-"):
		return nil, usagef("stdout cannot hold a file and JSON both").withHint("name a file with --output, or leave out --json")
	case len(r.ids) > 1 && !isFolder(r.out):
		return nil, usagef("several records go to a folder").withHint("--output FOLDER/")
	}
	return r, r.free()
}

const maxReason = 4 << 10 // bytes, as package ward has it

// reason returns why somebody reads: the words on the command line, or those in a
// file.
func reason(c *urfave.Context) (string, error) {
	words, path := c.String("reason"), c.String("reason-file")
	if path == "" {
		return words, nil
	}
	if words != "" {
		return "", usagef("flags %s and %s do not go together", "--reason", "--reason-file")
	}
	in, _, err := input(c.Context, path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxReason+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	words = strings.TrimSpace(string(b))
	if words == "" || len(b) > maxReason || !utf8.ValidString(words) {
		return "", usagef("%s holds no reason: some words, %d bytes at most", path, maxReason)
	}
	return words, nil
}

// free returns an error if what is to be written is there already, or cannot be
// written: better before the access, which counts and stays on the chain, than
// after it.
func (r *reading) free() error {
	if r.out == "" || r.out == "-" {
		return nil
	}
	dir := r.out
	if !isFolder(r.out) {
		if dir = filepath.Dir(r.out); !r.force && taken(r.out) {
			return exists(r.out)
		}
	}
	if info, err := os.Lstat(r.out); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a device, a pipe or a link: what it leads to is known when it is opened
	}
	for up := filepath.Dir(dir); ; dir, up = up, filepath.Dir(up) { // to the first that is there
		if _, err := os.Stat(dir); err == nil || up == dir {
			break
		}
	}
	f, err := durable.Create(dir, 0o600)
	if err != nil {
		return failf("output", exitFailure, "nothing can be written to %s: %s", dir, rootCause(err).Error())
	}
	return f.Discard()
}

func isFolder(path string) bool {
	if path == "" || path == "-" {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir() || os.IsPathSeparator(path[len(path)-1])
}

// goOn takes over the access that draftAccess wrote.
func (r *reading) goOn(path string) error {
	b, err := durable.ReadSecretUpTo(path, maxDraftFile)
	if err != nil {
		return err
	}
	d, err := ward.ParseDraftSecret(b)
	if err != nil {
		return failf("draft", exitUsage, "%s is not what --draft wrote", path)
	}
	if len(r.ids) > 0 && !slices.Equal(slices.Sorted(slices.Values(r.ids)), d.Records) {
		return usagef("%s is for other records", path).withHint("leave out the ids: the file has them")
	}
	r.purpose.Draft, r.purpose.Code = d, d.Purpose
	r.ids, r.grant, r.emergency = d.Records, d.Grant, d.Grant == ""
	return nil
}

// open opens the records, as their owner or under a grant or in an emergency.
func (r *reading) open(ctx context.Context, u *user) ([]*ward.Opened, error) {
	all, err := r.access(ctx, u)
	if errors.Is(err, consent.ErrTaken) { // its key opens the answers to one access
		return all, failf(string(consent.ErrTaken), exitFailure, "this access was made already: a draft serves once").withHint("`ward record get … --draft FILE` begins another")
	}
	return all, err
}

func (r *reading) access(ctx context.Context, u *user) ([]*ward.Opened, error) {
	if r.emergency {
		return u.Emergency(ctx, r.purpose.Draft.Owner, r.ids, r.purpose)
	}
	if r.purpose.Draft == nil && r.grant == "" {
		e, err := u.Show(ctx, r.ids[0])
		if err != nil {
			return nil, err
		}
		if e.Owner == u.Name() || e.Owner == u.Owner() {
			r.purpose.Obligations = nil // of grants only
			var all []*ward.Opened
			for _, id := range r.ids {
				o, err := u.Open(ctx, id, r.purpose)
				if err != nil {
					return all, err
				}
				all = append(all, o)
			}
			return all, nil
		}
	}
	return u.Access(ctx, r.grant, r.ids, r.purpose)
}

// draftAccess writes what co-signers sign, and what the reader goes on with.
func (s *session) draftAccess(ctx context.Context, u *user, r *reading, path string) (any, error) {
	for _, p := range []string{path, path + publicSuffix} {
		if _, err := os.Lstat(p); err == nil && !r.force {
			return nil, exists(p)
		}
	}
	var d *ward.Draft
	var err error
	if r.emergency {
		e, failed := u.Show(ctx, r.ids[0])
		if failed != nil {
			return nil, failed
		}
		d, err = u.DraftEmergency(e.Owner, r.ids)
	} else {
		d, err = u.Draft(ctx, r.grant, r.ids, r.purpose.Code)
	}
	if err != nil {
		return nil, err
	}
	secret, err := d.Secret()
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	public, err := d.Bytes()
	if err != nil {
		return nil, err
	}
	if err := durable.WriteSecret(path, secret); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(path+publicSuffix, public, 0o644); err != nil {
		return nil, err
	}
	s.say("to be signed: %s; keep %s for yourself", path+publicSuffix, path)
	s.showObligations(s.tr("the reader takes on:"), d.Obligations)
	s.next(s.tr("a co-signer approves it: `ward access approve %s -o FILE`", path+publicSuffix))
	return map[string]any{"draft": path, "public": path + publicSuffix}, nil
}
