package ward

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/pre"
)

// Part of the format.
const (
	nameAttributeKey = "ward/v1/attribute-key"
	maxAttributeKey  = 2 << 20 // bytes
)

// ErrNoMasterKey says that the caller's wallet runs no attribute authority.
var ErrNoMasterKey = errors.New("wallet holds no master key of an attribute authority")

// AttributeAuthority returns what a member published for grants to the
// attributes of its staff, in an epoch, 0 meaning the current one. The error is
// identity.ErrNoAuthority if there is none.
func (c *Client) AttributeAuthority(ctx context.Context, member string, epoch uint64) (*abe.Authority, error) {
	a, err := c.attributeAuthority(ctx, member, epoch)
	if err != nil {
		return nil, fmt.Errorf("attribute authority %s: %w", member, err)
	}
	return a, nil
}

func (c *Client) attributeAuthority(ctx context.Context, member string, epoch uint64) (*abe.Authority, error) {
	known, _, err := ask[identity.Authority](ctx, c, query.AttributeAuthority{Name: member, Epoch: epoch})
	if err != nil {
		return nil, err
	}
	if known.Name != member || epoch != 0 && known.Epoch != epoch {
		return nil, fmt.Errorf("%w: members vouch for another", ErrIntegrity)
	}
	raw := known.Raw
	if len(raw) == 0 { // of an epoch of the past the chain has the transaction
		if raw, err = c.published(ctx, known); err != nil {
			return nil, err
		}
	}
	a, err := abe.ParseAuthority(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIntegrity, err)
	}
	if a.Ref() != known.Ref() {
		return nil, fmt.Errorf("%w: its id is another's", ErrIntegrity)
	}
	return a, nil
}

// published returns the authority in the transaction that published it.
func (c *Client) published(ctx context.Context, a *identity.Authority) ([]byte, error) {
	_, tx, err := c.Receipt(ctx, a.Index)
	if err != nil {
		return nil, err
	}
	var args identity.AuthorityArgs
	if tx == nil || tx.Contract != identity.Contract || tx.Method != identity.MethodAuthority || chain.Unmarshal(tx.Args, &args) != nil {
		return nil, fmt.Errorf("%w: receipt of another transaction", ErrIntegrity)
	}
	return args.Authority, nil
}

// NextAuthority prepares the next epoch of the attribute authority of the
// caller's organisation, with this catalogue. The first time it makes the master
// key, which stays in the caller's wallet. The epoch begins when the member, whose
// node key signs, has put identity.AuthorityArgs with it on the chain; see
// PublishAuthority.
func (c *Client) NextAuthority(ctx context.Context, catalogue abe.Catalogue) (*abe.Authority, error) {
	a, err := c.nextAuthority(ctx, catalogue)
	if err != nil {
		return nil, fmt.Errorf("next epoch of the attribute authority: %w", err)
	}
	return a, nil
}

func (c *Client) nextAuthority(ctx context.Context, catalogue abe.Catalogue) (*abe.Authority, error) {
	epoch := uint64(1)
	known, _, err := ask[identity.Authority](ctx, c, query.AttributeAuthority{Name: c.Name().Org()})
	switch {
	case err == nil:
		epoch = known.Epoch + 1
	case !errors.Is(err, identity.ErrNoAuthority):
		return nil, err
	}
	master, err := c.wallet.AddMasterKey()
	if err != nil {
		return nil, err
	}
	defer master.Erase()
	return master.Authority(epoch, catalogue)
}

// PublishAuthority begins an epoch that NextAuthority prepared, on the word of
// the member. From then on grants are sealed to it: everybody who is to read
// under them needs a key of it, from IssueAttributeKey.
func (c *Client) PublishAuthority(ctx context.Context, by crypto.Signer, a *abe.Authority) error {
	_, err := c.submit(ctx, identity.Contract, identity.MethodAuthority, identity.AuthorityArgs{Authority: a.Bytes()}, nil, by)
	if err != nil {
		return fmt.Errorf("publish attribute authority: %w", err)
	}
	return nil
}

// A sealedAttributeKey carries an attribute key to its holder, written like a
// record of hers.
type sealedAttributeKey struct {
	_         struct{} `cbor:",toarray"`
	Name      string   // "ward/v1/attribute-key"
	Authority string
	Epoch     uint64
	Issuer    identity.Name
	Holder    []byte // pre.Identity that it is sealed to
	Envelope  []byte
	Index     []byte // seals the abe.Key
}

func (s *sealedAttributeKey) header(holder pre.Identity) pre.Header {
	return pre.Header{
		Record: "attribute-key-" + s.Authority + "-" + strconv.FormatUint(s.Epoch, 10),
		Owner:  holder, Type: keys.AttributeKeys, Author: string(s.Issuer),
	}
}

// IssueAttributeKey makes the key of one of the staff for an epoch of the
// caller's authority, 0 meaning the current one, with the attributes that the
// chain attests of her now, as far as the catalogue of that epoch declares
// them. It returns the key sealed, for her AcceptAttributeKey alone to open:
// how it gets to her does not matter. A key of an earlier epoch lets her read
// under the grants of then.
func (c *Client) IssueAttributeKey(ctx context.Context, holder identity.Name, epoch uint64) ([]byte, error) {
	b, err := c.issueAttributeKey(ctx, holder, epoch)
	if err != nil {
		return nil, fmt.Errorf("issue attribute key to %s: %w", holder, err)
	}
	return b, nil
}

func (c *Client) issueAttributeKey(ctx context.Context, holder identity.Name, epoch uint64) ([]byte, error) {
	org := c.Name().Org()
	if holder.Org() != org {
		return nil, fmt.Errorf("%w: of another organisation", identity.ErrDenied)
	}
	master := c.wallet.MasterKey()
	if master == nil {
		return nil, ErrNoMasterKey
	}
	defer master.Erase()
	a, err := c.attributeAuthority(ctx, org, epoch)
	if err != nil {
		return nil, err
	}
	id, err := c.Identity(ctx, holder)
	if err != nil {
		return nil, err
	}
	attributes, err := declared(id, a.Catalogue(), c.clock().UnixMilli())
	if err != nil {
		return nil, err
	}
	key, err := master.Issue(a, string(holder), attributes)
	if err != nil {
		return nil, err
	}
	defer key.Erase()
	return c.sealAttributeKey(ctx, key)
}

// sealAttributeKey seals a key to its holder.
func (c *Client) sealAttributeKey(ctx context.Context, key *abe.Key) ([]byte, error) {
	to, err := c.recipient(ctx, identity.Name(key.Holder()), false)
	if err != nil {
		return nil, err
	}
	ref := key.Authority().Ref()
	raw := key.Bytes()
	defer clear(raw)
	s := sealedAttributeKey{Name: nameAttributeKey, Authority: ref.Name, Epoch: ref.Epoch, Issuer: c.Name(), Holder: to.Description()}
	envelope, sealed, err := c.writer.Encapsulate(s.header(to), raw)
	if err != nil {
		return nil, err
	}
	s.Envelope, s.Index = envelope.Bytes(), sealed
	return chain.Marshal(s)
}

// declared returns the attributes of an identity that hold at a time and that a
// catalogue declares.
func declared(id *identity.Identity, catalogue abe.Catalogue, time int64) (abe.Attributes, error) {
	var texts []string
	for _, a := range id.Attributes {
		if a.Until != 0 && time > a.Until {
			continue
		}
		text := a.Name
		if a.Value != "" {
			text += " = " + a.Value
		}
		if one, err := abe.ParseAttributes(text); err == nil && catalogue.Check(one) == nil {
			texts = append(texts, text)
		}
	}
	all, err := abe.ParseAttributes(strings.Join(texts, ", "))
	if err != nil {
		return abe.Attributes{}, err
	}
	return all, catalogue.Check(all)
}

// AcceptAttributeKey opens what IssueAttributeKey made for the caller, checks
// that it is a working key of the authority that the chain knows, and stores it
// in the wallet.
func (c *Client) AcceptAttributeKey(ctx context.Context, sealed []byte) (abe.Ref, error) {
	ref, err := c.acceptAttributeKey(ctx, sealed)
	if err != nil {
		return abe.Ref{}, fmt.Errorf("accept attribute key: %w", err)
	}
	return ref, nil
}

func (c *Client) acceptAttributeKey(ctx context.Context, sealed []byte) (abe.Ref, error) {
	s, err := parseAttributeKey(sealed)
	if err != nil {
		return abe.Ref{}, err
	}
	key, err := c.openAttributeKey(ctx, s)
	if err != nil {
		return abe.Ref{}, err
	}
	defer key.Erase()
	ref := key.Authority().Ref()
	if ref.Name != s.Authority || ref.Epoch != s.Epoch {
		return abe.Ref{}, fmt.Errorf("%w: key of another authority or epoch", ErrIntegrity)
	}
	known, err := c.attributeAuthority(ctx, ref.Name, ref.Epoch)
	if err != nil {
		return abe.Ref{}, err
	}
	if known.Ref() != ref {
		return abe.Ref{}, fmt.Errorf("%w: key of an authority that is not the one on the chain", ErrIntegrity)
	}
	if err := key.Check(); err != nil {
		return abe.Ref{}, fmt.Errorf("%w: %w", ErrIntegrity, err)
	}
	return ref, c.wallet.AddAttributeKey(key)
}

func parseAttributeKey(b []byte) (*sealedAttributeKey, error) {
	if len(b) > maxAttributeKey {
		return nil, fmt.Errorf("%d bytes, limit %d", len(b), maxAttributeKey)
	}
	s := new(sealedAttributeKey)
	if err := chain.Unmarshal(b, s); err != nil {
		return nil, err
	}
	if s.Name != nameAttributeKey {
		return nil, errors.New("it is of another version")
	}
	return s, nil
}

// openAttributeKey opens the key, which parses each of its points.
func (c *Client) openAttributeKey(ctx context.Context, s *sealedAttributeKey) (*abe.Key, error) {
	raw, err := c.openSealed(ctx, c.Name(), s.Holder, s.Envelope, s.Index, s.header)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	key, err := abe.ParseKey(raw)
	if err != nil {
		return nil, err
	}
	if key.Holder() != string(c.wallet.Name()) {
		return nil, fmt.Errorf("%w: key of %s", ErrIntegrity, key.Holder())
	}
	return key, nil
}

// Identities yields the identities of an organisation in the order of their
// names; an empty org means all. It ends after the first error.
func (c *Client) Identities(ctx context.Context, org string) iter.Seq2[*identity.Identity, error] {
	return pages(ctx, c, func(last *identity.Identity) query.Question {
		q := query.Identities{Org: org}
		if last != nil {
			q.After = last.Name
		}
		return q
	})
}
