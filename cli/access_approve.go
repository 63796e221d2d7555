package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

// approvalSchema is the version of an approvalFile.
const approvalSchema = "ward/v1/approval"

// An approvalFile is a co-signer's approval. It holds nothing secret.
type approvalFile struct {
	Schema    string        `json:"schema"`
	Name      identity.Name `json:"name"`
	Signature string        `json:"signature"` // in hexadecimal
}

func readApproval(ctx context.Context, path string) (consent.Approval, error) {
	in, _, err := input(ctx, path)
	if err != nil {
		return consent.Approval{}, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxDraftFile))
	if err != nil {
		return consent.Approval{}, err
	}
	a, err := parseApproval(b)
	if err != nil {
		return consent.Approval{}, failf("approval", exitUsage, "%s is no approval", path).withHint("`ward access approve` writes one")
	}
	return a, nil
}

func parseApproval(b []byte) (consent.Approval, error) {
	var f approvalFile
	if err := json.Unmarshal(b, &f); err != nil {
		return consent.Approval{}, err
	}
	sig, err := hex.DecodeString(f.Signature)
	if _, bad := identity.ParseName(string(f.Name)); bad != nil || err != nil || len(sig) != 64 || f.Schema != approvalSchema {
		return consent.Approval{}, errors.New("malformed")
	}
	return consent.Approval{Name: f.Name, Signature: sig}, nil
}

// plausible reports whether all that a co-signer is shown of a draft is what the
// chain could take, and no text that a terminal would obey.
func plausible(d *ward.Draft) bool {
	_, bad := identity.ParseName(string(d.Reader))
	if d.Owner != "" {
		_, err := identity.ParseName(string(d.Owner))
		bad = errors.Join(bad, err)
	}
	if d.Grant != "" {
		_, err := consent.ParseID(string(d.Grant))
		bad = errors.Join(bad, err)
	}
	for _, id := range d.Records {
		_, err := record.ParseID(string(id))
		bad = errors.Join(bad, err)
	}
	for _, o := range d.Obligations {
		if !o.Valid() {
			return false
		}
	}
	return bad == nil && d.Purpose.Valid()
}

// accessApprove shows a co-signer what an access is, and signs it.
func accessApprove(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() == 0 {
		return nil, usagef("which file?").withHint("the reader wrote it with `ward record get --draft`")
	}
	path, out := c.Args().First(), c.String("output")
	if out == "" {
		return nil, usagef("where to?").withHint("--output FILE, or - for stdout")
	}
	in, _, err := input(ctx, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxDraftFile))
	if err != nil {
		return nil, err
	}
	d, err := ward.ParseDraft(b)
	if err != nil || !plausible(d) {
		return nil, failf("draft", exitUsage, "%s is not what --draft wrote", path).withHint("take FILE.public")
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	of := s.tr("without a grant, of %s", d.Owner)
	if d.Grant != "" {
		of = s.tr("under grant %s", d.Grant)
	}
	fmt.Fprintln(s.stderr, s.tr("%s wants to read %d records %s, for %s:", d.Reader, len(d.Records), of, d.Purpose))
	for _, id := range d.Records {
		fmt.Fprintf(s.stderr, "  %s\n", id)
	}
	s.showObligations(s.tr("the reader takes on:"), d.Obligations)
	if err := s.confirm(ctx, "Sign it as %s?", u.Name()); err != nil {
		return nil, err
	}
	a, err := u.Approve(d)
	if err != nil {
		return nil, err
	}
	encoded, err := json.MarshalIndent(approvalFile{approvalSchema, a.Name, hex.EncodeToString(a.Signature)}, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := s.writeNew(out, append(encoded, '\n'), 0o644, c.Bool("force")); err != nil {
		return nil, err
	}
	if out != "-" {
		s.say("approval of %s: %s", a.Name, out)
		s.next(s.tr("the reader goes on: `ward record get --from %s --approval %s -o FILE`", "DRAFT", filepath.Base(out)))
	}
	return map[string]any{"name": a.Name, "reader": d.Reader, "records": d.Records, "path": out}, nil
}
