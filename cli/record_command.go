package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

func (s *session) recordCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "record",
		Usage: s.tr("medical records"),
		Subcommands: []*urfave.Command{
			{
				Name: "put", Usage: s.tr("write a record for a patient"), ArgsUsage: s.tr("FILE"),
				Description: s.tr(`Encrypts FILE, or stdin for "-", stores it with enough hospitals, and puts a record
of it on the chain. Title, file name and media type are sealed with it; the chain
shows owner, author, type, day and size.

Examples:
  ward record put report.pdf --owner p-7f3a@north --type clinical/exam/lab --title "Blood count"
  pg_dump charts | ward record put - --owner p-7f3a@north --type clinical/archive`),
				Flags: s.userFlags(
					&urfave.StringFlag{Name: "owner", EnvVars: []string{"WARD_OWNER"}, Usage: s.tr("whose record it is; else yours")},
					&urfave.StringFlag{Name: "type", Aliases: []string{"t"}, EnvVars: []string{"WARD_TYPE"}, Usage: s.tr("its type, such as clinical/exam/lab")},
					&urfave.StringFlag{Name: "title", EnvVars: []string{"WARD_TITLE"}, Usage: s.tr("its title, sealed; else the name of the file")},
					&urfave.StringFlag{Name: "media-type", EnvVars: []string{"WARD_MEDIA_TYPE"}, Usage: s.tr("such as application/pdf, sealed; else found out from the content")},
					&urfave.StringFlag{Name: "filename", EnvVars: []string{"WARD_FILENAME"}, Usage: s.tr("the name that readers may save it under, sealed; else that of the file")},
					&urfave.StringFlag{Name: "dated", EnvVars: []string{"WARD_DATED"}, Usage: s.tr("the day that it tells of, such as 2026-03-14; else today")},
					&urfave.StringFlag{Name: "replaces", EnvVars: []string{"WARD_REPLACES"}, Usage: s.tr("the id of a record that this one supersedes")}),
				Action: s.act(1, recordPut),
			},
			{
				Name: "get", Usage: s.tr("read records: your own, or under a grant"), ArgsUsage: s.tr("ID..."),
				Description: s.tr(`Reading another's record is put on the chain first, with the purpose; the owner can
read the reason. A file appears whole or not at all. Several records go to a folder
and are one access. If co-signers are needed: --draft writes what they sign, they
run ward access approve, and --from with --approval goes on. What a grant obliges its
reader to is shown and asked at a terminal; elsewhere --accept takes it on.

Examples:
  ward record get r-… -o report.pdf --purpose TREAT --reason "follow-up"
  ward record get r-… -o - | less
  ward record get r-… --accept DELAU,NORDSCLCD -o report.pdf
  ward record get r-… --emergency --draft night.draft --reason "unconscious"
  ward record get --from night.draft --approval okafor.approval -o charts/ --reason "unconscious"`),
				Flags: s.ownerFlags(s.outputFlag(""), s.forceFlag(),
					&urfave.StringSliceFlag{Name: "accept", EnvVars: []string{"WARD_ACCEPT"}, Usage: s.tr("what you take on: all codes of the grant's obligations, with commas between them")},
					&urfave.StringFlag{Name: "purpose", EnvVars: []string{"WARD_PURPOSE"}, Value: string(consent.Treatment), Usage: s.tr("why: a code of HL7 v3 PurposeOfUse")},
					&urfave.StringFlag{Name: "reason", EnvVars: []string{"WARD_REASON"}, Usage: s.tr("why, in words that only the owner reads; other users of the machine see them while it runs")},
					&urfave.StringFlag{Name: "reason-file", EnvVars: []string{"WARD_REASON_FILE"}, Usage: s.tr("read why from this file, - for stdin")},
					&urfave.StringFlag{Name: "grant", EnvVars: []string{"WARD_GRANT"}, Usage: s.tr("under which grant; else the first that covers the records")},
					&urfave.BoolFlag{Name: "emergency", EnvVars: []string{"WARD_EMERGENCY"}, Usage: s.tr("break the glass: without a grant, with another clinician's approval, and reviewed afterwards")},
					&urfave.StringFlag{Name: "draft", EnvVars: []string{"WARD_DRAFT"}, Usage: s.tr("read nothing yet: write what co-signers sign to FILE.public, and what you go on with to FILE")},
					&urfave.StringFlag{Name: "from", EnvVars: []string{"WARD_FROM"}, Usage: s.tr("go on with the access in this file, which --draft wrote")},
					&urfave.StringSliceFlag{Name: "approval", EnvVars: []string{"WARD_APPROVAL"}, Usage: s.tr("a co-signer's approval, in a file; may be given several times")}),
				Action: s.act(consent.MaxRecords, recordGet),
			},
			{
				Name: "list", Usage: s.tr("list what the chain shows of a patient's records"),
				Description: s.tr(`Oldest first. Titles are sealed; --titles opens those of your own.

Examples:
  ward record list --titles
  ward record list --owner p-7f3a@north --type clinical/exam --since 90d --ndjson`),
				Flags: s.ownerFlags(s.listFlag(),
					&urfave.StringFlag{Name: "owner", EnvVars: []string{"WARD_OWNER"}, Usage: s.tr("whose records; else yours")},
					&urfave.StringFlag{Name: "type", Aliases: []string{"t"}, EnvVars: []string{"WARD_TYPE"}, Usage: s.tr("only this type and what is below it")},
					&urfave.StringFlag{Name: "author", EnvVars: []string{"WARD_AUTHOR"}, Usage: s.tr("only what this name wrote")},
					&urfave.StringFlag{Name: "since", EnvVars: []string{"WARD_SINCE"}, Usage: s.tr("only what is dated on this day or later")},
					&urfave.StringFlag{Name: "through", EnvVars: []string{"WARD_THROUGH"}, Usage: s.tr("only what is dated on this day or earlier")},
					&urfave.BoolFlag{Name: "all", EnvVars: []string{"WARD_ALL"}, Usage: s.tr("superseded and erased ones, too")},
					&urfave.BoolFlag{Name: "titles", EnvVars: []string{"WARD_TITLES"}, Usage: s.tr("open the titles; of your own records only")}),
				Action: s.act(0, recordList),
			},
			{
				Name: "show", Usage: s.tr("show a record, without its content"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Of your own it opens the title, too. Of another's it shows what the chain shows:
opening it is an access, which ward record get logs.

Examples:
  ward record show r-…`),
				Flags:  s.ownerFlags(),
				Action: s.act(1, recordShow),
			},
			{
				Name: "erase", Usage: s.tr("erase a record of yours, for everybody and for ever"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Every hospital deletes the sealed description and the content. The chain keeps that
there was a record. What others have read already they keep.

Examples:
  ward record erase r-… --yes`),
				Flags:  s.userFlags(s.yesFlag()),
				Action: s.act(1, recordErase),
			},
		},
	}
}

// A recordData is what programs get of a record. What is sealed is there only if
// it was opened.
type recordData struct {
	ID       record.ID     `json:"id"`
	Owner    identity.Name `json:"owner"`
	Author   identity.Name `json:"author"`
	Type     pre.Type      `json:"type"`
	Dated    string        `json:"dated"`
	Put      time.Time     `json:"put"`
	Replaces record.ID     `json:"replaces,omitempty"`
	Replaced record.ID     `json:"replaced_by,omitempty"`
	Erased   bool          `json:"erased,omitempty"`
	Opened   bool          `json:"opened"`
	Title    string        `json:"title,omitempty"`
	Media    string        `json:"media_type,omitempty"`
	Filename string        `json:"filename,omitempty"`
	Size     int64         `json:"size,omitempty"`
	SHA256   string        `json:"sha256,omitempty"`
	Path     string        `json:"path,omitempty"` // where the content was written
}

func recordOf(e *ward.Entry, opened bool) recordData {
	d := recordData{
		ID: e.ID, Owner: e.Owner, Author: e.Author, Type: e.Type, Dated: e.Dated.UTC().Format(time.DateOnly), Put: e.Put.UTC(),
		Replaces: e.Replaces, Replaced: e.Replaced, Erased: e.Erased, Opened: opened,
	}
	if opened {
		d.Title, d.Media, d.Filename, d.Size, d.SHA256 = e.Title, e.MediaType, e.Filename, e.Size, hex.EncodeToString(e.Hash[:])
	}
	return d
}

func recordPut(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which file?").withHint("give a file, or - for stdin")
	}
	if c.String("type") == "" {
		return nil, usagef("flag %s needs a value", "--type").withHint("types look like clinical/exam/lab")
	}
	r := ward.Record{Title: c.String("title"), MediaType: c.String("media-type"), Filename: c.String("filename")}
	var err error
	if r.Type, err = parseType("type", c.String("type")); err != nil {
		return nil, err
	}
	if r.Dated, err = onDay("dated", c.String("dated"), time.Now()); err != nil {
		return nil, err
	}
	if id := c.String("replaces"); id != "" {
		if r.Replaces, err = recordID(id); err != nil {
			return nil, err
		}
	}
	if owner := c.String("owner"); owner != "" {
		if r.Owner, err = parseName(owner); err != nil {
			return nil, err
		}
	}
	path := c.Args().First()
	in, err := s.openPayload(ctx, path)
	if err != nil {
		return nil, err
	}
	defer in.close()
	found, err := in.sniff(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if path != "-" {
		r.Filename = or(r.Filename, filepath.Base(path))
		r.Title = or(r.Title, r.Filename)
	}
	r.MediaType = or(r.MediaType, found.MediaType)
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if r.Owner == "" {
		r.Owner = u.Name()
	}
	if err := hasHospital(u.Consortium(), r.Owner); err != nil {
		return nil, err
	}
	bar := s.bar("encrypting and storing", in.size)
	in.progress = bar
	id, err := u.Put(ctx, r, in.reader())
	bar.done()
	if err != nil {
		if id != "" {
			return map[string]any{"id": id}, err
		}
		return nil, err
	}
	if s.quiet {
		s.say("%s", string(id))
	} else {
		s.say("record %s of %s, %s", id, r.Owner, sizeText(in.n))
	}
	if r.Owner == u.Name() {
		s.next(s.tr("let somebody read it: `ward grant create --to NAME --type %s --until 30d`", r.Type))
	}
	return map[string]any{"id": id, "owner": r.Owner, "type": r.Type, "size": in.n}, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func recordShow(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which record?").withHint("ids look like r-abc…; `ward record list` shows them")
	}
	id, err := recordID(c.Args().First())
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	e, err := u.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	opened := (e.Owner == u.Name() || e.Owner == u.Owner()) && !e.Erased
	if opened {
		o, err := u.Open(ctx, id, ward.Purpose{})
		if err != nil {
			return nil, err
		}
		o.Replaced = e.Replaced
		e = &o.Entry
	}
	rows := [][]string{
		{s.tr("record"), string(e.ID)}, {s.tr("owner"), string(e.Owner)}, {s.tr("author"), string(e.Author)}, {s.tr("type"), string(e.Type)},
		{s.tr("dated"), e.Dated.UTC().Format(time.DateOnly)}, {s.tr("put"), clockTime(e.Put)},
	}
	add := func(what, value string) {
		if value != "" {
			rows = append(rows, []string{what, value})
		}
	}
	add(s.tr("supersedes"), string(e.Replaces))
	add(s.tr("superseded by"), string(e.Replaced))
	switch {
	case e.Erased:
		add(s.tr("content"), s.tr("erased"))
	case opened:
		add(s.tr("title"), e.Title)
		add(s.tr("media type"), e.MediaType)
		add(s.tr("file name"), e.Filename)
		add(s.tr("size"), sizeText(e.Size))
		add("SHA-256", hex.EncodeToString(e.Hash[:]))
	default:
		add(s.tr("title"), s.tr("sealed"))
	}
	s.grid([]string{"WHAT", "VALUE"}, rows)
	return recordOf(e, opened), nil
}

func recordErase(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which record?").withHint("ids look like r-abc…; `ward record list` shows them")
	}
	id, err := recordID(c.Args().First())
	if err != nil {
		return nil, err
	}
	if err := s.confirm(ctx, "Erase %s for everybody and for ever?", id); err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if err := u.Erase(ctx, id); err != nil {
		return nil, err
	}
	s.say("record %s is erased", id)
	return map[string]any{"id": id}, nil
}

// sizeText is how people see a number of bytes.
func sizeText(n int64) string {
	units := []string{"kB", "MB", "GB", "TB"}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1000, 0
	for v >= 999.95 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
