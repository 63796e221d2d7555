package ward

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/pre"
)

// Part of the format.
const (
	nameReason = "ward/v1/reason"
	maxReason  = 4 << 10 // bytes of a reason
	maxSidecar = 64 << 10

	// typeReason is what reasons are sealed under: a sealed component, which no
	// grant on an ancestor reaches. No record on the chain need be of it.
	typeReason pre.Type = "sealed:reason"
)

// A sealedReason is the sidecar of an access: the reason in words, written like
// a record of the owner's.
type sealedReason struct {
	_        struct{} `cbor:",toarray"`
	Name     string   // "ward/v1/reason"
	Owner    []byte   // pre.Identity that it is sealed to
	Envelope []byte
	Index    []byte
}

// sealReason seals a reason to the owner, bound to the access by the reader's
// ephemeral key, which no other access has.
func (c *Client) sealReason(owner pre.Identity, transport []byte, reason string) ([]byte, error) {
	if err := checkReason(reason); err != nil {
		return nil, err
	}
	envelope, sealed, err := c.writer.Encapsulate(reasonHeader(owner, string(c.wallet.Name()), transport), []byte(reason))
	if err != nil {
		return nil, fmt.Errorf("seal reason: %w", err)
	}
	return chain.Marshal(sealedReason{Name: nameReason, Owner: owner.Description(), Envelope: envelope.Bytes(), Index: sealed})
}

// checkReason refuses what is no text: an owner may have it printed on a
// terminal. Lines and tabs are text.
func checkReason(s string) error {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	if len(s) > maxReason || !utf8.ValidString(s) || strings.ContainsFunc(s, control) {
		return fmt.Errorf("reason is longer than %d bytes or no text", maxReason)
	}
	return nil
}

func reasonHeader(owner pre.Identity, reader string, transport []byte) pre.Header {
	return pre.Header{Record: "reason-" + hex.EncodeToString(transport), Owner: owner, Type: typeReason, Author: reader}
}

func parseReason(b []byte) (*sealedReason, error) {
	if len(b) > maxSidecar {
		return nil, fmt.Errorf("reason: %d bytes, limit %d", len(b), maxSidecar)
	}
	s := new(sealedReason)
	if err := chain.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("reason: %w", err)
	}
	if s.Name != nameReason {
		return nil, errors.New("reason: it is of another version")
	}
	return s, nil
}

// Reason returns why someone accessed the owner's records, in the reader's
// words: "" if no reason was given. The access is named by its leaf index.
func (c *Client) Reason(ctx context.Context, access uint64) (string, error) {
	s, err := c.reason(ctx, access)
	if err != nil {
		return "", fmt.Errorf("reason of access %d: %w", access, err)
	}
	return s, nil
}

func (c *Client) reason(ctx context.Context, index uint64) (string, error) {
	if index == 0 {
		return "", ErrNotFound
	}
	list, _, err := ask[[]consent.Access](ctx, c, query.Accesses{Owner: c.owner, After: index - 1, Limit: 1})
	if err != nil {
		return "", err
	}
	if len(*list) != 1 || (*list)[0].Index != index {
		return "", ErrNotFound
	}
	a := &(*list)[0]
	_, tx, err := c.Receipt(ctx, index)
	if err != nil {
		return "", err
	}
	if tx == nil || tx.ID() != chain.Hash(a.ID) {
		return "", fmt.Errorf("%w: receipt of another access", ErrIntegrity)
	}
	if tx.Sidecar.Size == 0 {
		return "", nil
	}
	var raw []byte
	err = c.try(ctx, func(n Node) error {
		b, err := n.Sidecar(ctx, index)
		if err == nil && !tx.Sidecar.Matches(b) {
			err = fmt.Errorf("%w: sidecar of another transaction", ErrIntegrity)
		}
		raw = b
		return err
	})
	if err != nil {
		return "", err
	}
	return c.openReason(ctx, raw, a)
}

// openReason opens a reason. What its reader sealed wrongly is an error that
// matches pre.ErrDecrypt or pre.ErrProof.
func (c *Client) openReason(ctx context.Context, raw []byte, a *consent.Access) (string, error) {
	s, err := parseReason(raw)
	if err != nil {
		return "", err
	}
	plain, err := c.openSealed(ctx, c.owner, s.Owner, s.Envelope, s.Index, func(owner pre.Identity) pre.Header {
		return reasonHeader(owner, string(a.Reader), a.Transport)
	})
	if err != nil {
		return "", err
	}
	reason := string(plain)
	if err := checkReason(reason); err != nil {
		return "", err
	}
	return reason, nil
}

// openSealed opens what was written like a record, with a header of its own, for
// somebody whose keys the client uses. What is sealed wrongly, or to another, is an
// error that matches pre.ErrDecrypt or pre.ErrProof.
func (c *Client) openSealed(ctx context.Context, whose identity.Name, to, envelope, index []byte, header func(pre.Identity) pre.Header) ([]byte, error) {
	owner, err := pre.ParseIdentity(to)
	if err != nil {
		return nil, err
	}
	if owner.Name != string(whose) || owner.Chain != c.wallet.Chain() {
		return nil, fmt.Errorf("%w: it is sealed to another", pre.ErrDecrypt)
	}
	e, err := pre.ParseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	h := header(owner)
	verified, err := e.Verify(h)
	if err != nil {
		return nil, err
	}
	if whose == c.owner {
		if err := c.mayOpen(ctx); err != nil {
			return nil, err
		}
	}
	key, err := c.keyOf(ctx, owner, h.Type)
	if err != nil {
		return nil, err
	}
	defer key.Erase()
	rk, err := key.OpenRecord(verified)
	if err != nil {
		return nil, err
	}
	defer rk.Erase()
	return rk.OpenIndex(index)
}

// Review closes the review of an emergency access, named by its leaf index: the
// outcome is consent.OutcomeJustified or consent.OutcomeAbuse.
func (c *Client) Review(ctx context.Context, access uint64, outcome string) error {
	args := consent.ReviewArgs{Access: access, Outcome: outcome}
	if _, err := c.submit(ctx, consent.Contract, consent.MethodReview, args, nil, c.wallet.Signer()); err != nil {
		return fmt.Errorf("review access %d: %w", access, err)
	}
	return nil
}
