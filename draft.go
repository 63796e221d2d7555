package ward

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// Part of the format.
const (
	nameDraft  = "ward/v1/draft"
	nameSecret = "ward/v1/draft-secret"
	maxDraft   = 48 << 10 // bytes
)

// A Draft is an access that its reader is about to ask for, for co-signers to
// read and to approve. The fields say what it is; changing them has no effect
// on what is signed but makes it fail.
type Draft struct {
	Reader  identity.Name
	Owner   identity.Name   // of an emergency; "" under a grant
	Grant   consent.GrantID // "" in an emergency
	Records []record.ID
	Purpose consent.Purpose
	// Obligations are what the reader takes on: those of the grant.
	Obligations []consent.Obligation

	public    []byte            // the reader's ephemeral key
	transport *pre.TransportKey // nil with a co-signer
}

// draftBytes is what Bytes encodes.
type draftBytes struct {
	_       struct{} `cbor:",toarray"`
	Name    string   // "ward/v1/draft"
	Reader  identity.Name
	Owner   identity.Name
	Grant   consent.GrantID
	Records []record.ID
	Purpose consent.Purpose
	Public  []byte

	Obligations []consent.Obligation // ascending
}

// draftSecret is what Secret encodes.
type draftSecret struct {
	_         struct{} `cbor:",toarray"`
	Name      string   // "ward/v1/draft-secret"
	Draft     []byte
	Transport []byte // pre.TransportKey
}

// Draft prepares an access under a grant that asks for co-signers. Give its
// Bytes to them, and the draft and their approvals to Access in the Purpose.
func (c *Client) Draft(ctx context.Context, grant consent.GrantID, ids []record.ID, p consent.Purpose) (*Draft, error) {
	g, err := c.choose(ctx, grant, ids, p)
	if err != nil {
		return nil, fmt.Errorf("draft access: %w", err)
	}
	return c.drafted(nil, draftOf(c.Name(), &g.Grant, ids, p))
}

// draftOf returns the access under a grant that a reader wants.
func draftOf(reader identity.Name, g *consent.Grant, ids []record.ID, p consent.Purpose) Draft {
	return Draft{Reader: reader, Grant: g.ID, Records: sorted(ids), Purpose: p, Obligations: g.Conditions.Obligations}
}

// DraftEmergency prepares an emergency access. Give its Bytes to another
// clinician, and the draft and the approval to Emergency in the Purpose.
func (c *Client) DraftEmergency(owner identity.Name, ids []record.ID) (*Draft, error) {
	return c.drafted(nil, Draft{Reader: c.wallet.Name(), Owner: owner, Records: sorted(ids), Purpose: consent.BreakGlass})
}

// drafted returns the draft that was given, if it is for what is wanted, or a
// new one with a fresh transport key.
func (c *Client) drafted(given *Draft, want Draft) (*Draft, error) {
	if given != nil {
		if given.Reader != want.Reader || given.Owner != want.Owner || given.Grant != want.Grant ||
			given.Purpose != want.Purpose || !slices.Equal(given.Records, want.Records) || !slices.Equal(given.Obligations, want.Obligations) || given.transport == nil {
			return nil, errors.New("draft is for another access")
		}
		return given, nil
	}
	key, err := pre.GenerateTransportKey()
	if err != nil {
		return nil, err
	}
	want.transport, want.public = key, key.Public()
	return &want, nil
}

// Bytes returns the draft as ParseDraft reads it, for co-signers. It holds
// nothing secret.
func (d *Draft) Bytes() ([]byte, error) {
	return chain.Marshal(draftBytes{
		Name: nameDraft, Reader: d.Reader, Owner: d.Owner, Grant: d.Grant, Records: d.Records, Purpose: d.Purpose, Public: d.public,
		Obligations: d.Obligations,
	})
}

// ParseDraft reads what Bytes wrote, to be looked at and approved.
func ParseDraft(b []byte) (*Draft, error) {
	if len(b) > maxDraft {
		return nil, fmt.Errorf("draft: %d bytes, limit %d", len(b), maxDraft)
	}
	var e draftBytes
	if err := chain.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	if e.Name != nameDraft {
		return nil, errors.New("draft: it is of another version")
	}
	if (e.Owner == "") == (e.Grant == "") || len(e.Public) != 32 || len(e.Records) == 0 || len(e.Records) > consent.MaxRecords {
		return nil, errors.New("draft: a field is malformed")
	}
	return &Draft{Reader: e.Reader, Owner: e.Owner, Grant: e.Grant, Records: e.Records, Purpose: e.Purpose, Obligations: e.Obligations, public: e.Public}, nil
}

// Secret returns the draft with the key that opens the members' answers, so that
// the reader can go on in another process. Keep it like a key.
func (d *Draft) Secret() ([]byte, error) {
	if d.transport == nil {
		return nil, errors.New("draft is another reader's")
	}
	b, err := d.Bytes()
	if err != nil {
		return nil, err
	}
	return chain.Marshal(draftSecret{Name: nameSecret, Draft: b, Transport: d.transport.Bytes()})
}

// ParseDraftSecret reads what Secret wrote.
func ParseDraftSecret(b []byte) (*Draft, error) {
	var s draftSecret
	if len(b) > 2*maxDraft {
		return nil, fmt.Errorf("draft: %d bytes, limit %d", len(b), 2*maxDraft)
	}
	if err := chain.Unmarshal(b, &s); err != nil || s.Name != nameSecret {
		return nil, errors.New("draft: it is none with its secret")
	}
	d, err := ParseDraft(s.Draft)
	if err != nil {
		return nil, err
	}
	if d.transport, err = pre.ParseTransportKey(s.Transport); err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	if string(d.transport.Public()) != string(d.public) {
		return nil, errors.New("draft: its key is another's")
	}
	return d, nil
}

// Format prints who wants to read how much, and no key.
func (d Draft) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "draft access of %s to %d records", d.Reader, len(d.Records))
}

func (d *Draft) method() string {
	if d.Grant == "" {
		return consent.MethodEmergency
	}
	return consent.MethodAccess
}

// args returns the arguments of the transaction.
func (d *Draft) args(approvals []consent.Approval) any {
	approvals = slices.SortedFunc(slices.Values(approvals), func(a, b consent.Approval) int {
		return compareNames(a.Name, b.Name)
	})
	if d.Grant == "" {
		return consent.EmergencyArgs{Owner: d.Owner, Records: d.Records, Transport: d.public, Approvals: approvals}
	}
	return consent.AccessArgs{Grant: d.Grant, Records: d.Records, Purpose: d.Purpose, Transport: d.public, Approvals: approvals, Obligations: d.Obligations}
}

func compareNames(a, b identity.Name) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Approve co-signs the access that a draft describes. Look at the draft first.
func (c *Client) Approve(d *Draft) (consent.Approval, error) {
	statement, err := consent.ApprovalStatement(c.wallet.Chain(), d.Reader, d.method(), d.args(nil))
	if err != nil {
		return consent.Approval{}, fmt.Errorf("approve: %w", err)
	}
	sig, err := c.wallet.Signer().Sign(rand.Reader, statement, crypto.Hash(0))
	if err != nil {
		return consent.Approval{}, fmt.Errorf("approve: %w", err)
	}
	return consent.Approval{Name: c.wallet.Name(), Signature: sig}, nil
}
