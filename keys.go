package ward

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/wallet"
)

// An authority is the consortium's identity key as it is shared now.
type authority struct {
	*query.AuthorityState
	sharing *pre.Sharing
}

// authority asks who holds the consortium's key now. That the sharing is of the
// key in the consortium file needs nobody's word.
func (c *Client) authority(ctx context.Context) (*authority, error) {
	s, _, err := ask[query.AuthorityState](ctx, c, query.Authority{})
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if !s.Ready {
		return nil, fmt.Errorf("%w: the consortium has no keys yet", ErrNotReady)
	}
	p, err := c.extraction(ctx)
	if err != nil {
		return nil, err
	}
	sharing, err := pre.ParseSharing(s.Identity)
	if err != nil {
		return nil, fmt.Errorf("authority: %w: %w", ErrIntegrity, err)
	}
	if !sharing.Key().Equal(p) || sharing.Members() != len(s.Members) || len(s.Transport) != len(s.Members) {
		return nil, fmt.Errorf("authority: %w: it is not that of the consortium file", ErrIntegrity)
	}
	return &authority{s, sharing}, nil
}

// self returns the identity of the owner as it is now.
func (c *Client) self(ctx context.Context) (pre.Identity, error) {
	return c.recipient(ctx, c.owner, false)
}

// remembered returns the wallet's key of the caller or of a ward, or nil.
func (c *Client) remembered(id pre.Identity, t pre.Type) *pre.PrivateKey {
	if id.Name == string(c.wallet.Name()) {
		return c.wallet.Key(id, t)
	}
	return c.wallet.WardKey(id, t)
}

// keyOf returns a key of the owner's that opens records of a type, in the
// version and epoch of id: a remembered one, or else the widest there is, which
// opens what she has of every type that it reaches.
func (c *Client) keyOf(ctx context.Context, id pre.Identity, t pre.Type) (*pre.PrivateKey, error) {
	if k := c.remembered(id, t); k != nil {
		return k, nil
	}
	levels := t.Levels()
	return c.requestKey(ctx, id, levels[len(levels)-1], false)
}

// exactKey returns the owner's key for just this type, to grant with.
func (c *Client) exactKey(ctx context.Context, id pre.Identity, t pre.Type) (*pre.PrivateKey, error) {
	if k := c.remembered(id, t); k != nil && k.Type() == t {
		return k, nil
	}
	return c.requestKey(ctx, id, t, false)
}

// inboxKey returns the key with which the caller opens grants sealed to id.
func (c *Client) inboxKey(ctx context.Context, id pre.Identity) (*pre.PrivateKey, error) {
	if k := c.wallet.Inbox(id); k != nil {
		return k, nil
	}
	return c.requestKey(ctx, id, "", true)
}

// requestKey has the members extract a key of the caller's or of a ward,
// completes it if id is in self-custody, and remembers it.
func (c *Client) requestKey(ctx context.Context, id pre.Identity, t pre.Type, inbox bool) (*pre.PrivateKey, error) {
	k, err := c.extract(ctx, id, t, inbox)
	if err != nil {
		return nil, fmt.Errorf("request own key: %w", err)
	}
	if id.Name != string(c.wallet.Name()) {
		if id.SelfCustody() {
			return nil, fmt.Errorf("request key of a ward: %w", ErrNoCustody)
		}
		if err := c.wallet.RememberWard(k); err != nil && !errors.Is(err, wallet.ErrFull) {
			return nil, fmt.Errorf("request key of a ward: %w", err)
		}
		return k, nil
	}
	if id.SelfCustody() {
		x := c.wallet.Custody(id.Version)
		if x == nil {
			return nil, fmt.Errorf("request own key: %w", ErrNoCustody)
		}
		defer x.Erase()
		if k, err = x.Complete(k, id); err != nil {
			return nil, fmt.Errorf("request own key: %w", err)
		}
	}
	if err := c.wallet.Remember(k); err != nil {
		return nil, fmt.Errorf("request own key: %w", err)
	}
	return k, nil
}

// ErrNoCustody says that the caller's wallet lacks the custody key that a
// record or grant takes.
var ErrNoCustody = errors.New("custody key is not in the wallet")

func (c *Client) extract(ctx context.Context, id pre.Identity, t pre.Type, inbox bool) (*pre.PrivateKey, error) {
	transport, err := pre.GenerateTransportKey()
	if err != nil {
		return nil, err
	}
	defer transport.Erase()
	args := keys.RequestArgs{Inbox: inbox, Type: t, Epoch: id.Epoch, Transport: transport.Public()}
	if id.Name != string(c.wallet.Name()) {
		args.Owner = identity.Name(id.Name)
	}
	out, err := c.submit(ctx, keys.Contract, keys.MethodRequest, args, nil, c.wallet.Signer())
	if err != nil {
		return nil, err
	}
	var result keys.RequestResult
	if err := chain.Unmarshal(out.value, &result); err != nil {
		return nil, fmt.Errorf("%w: result: %w", ErrIntegrity, err)
	}
	granted, err := pre.ParseIdentity(result.Identity)
	if err != nil || granted.Chain != id.Chain || granted.Name != id.Name || granted.Epoch != id.Epoch {
		return nil, fmt.Errorf("%w: result is for another identity", ErrIntegrity)
	}
	a, err := c.authority(ctx)
	if err != nil {
		return nil, err
	}
	d := &demand{tx: out.id, members: a.Members, generation: a.Generation, threshold: a.sharing.Threshold()}
	var key *pre.PrivateKey
	err = collect(ctx, c, d,
		func(n Node, without []string) ([]Part, error) { return n.PartialKeys(ctx, out.index, without) },
		func(p *Part) (*pre.PartialKey, error) {
			return transport.OpenPartialKey(p.Sealed, out.id, p.Index, p.Generation)
		},
		func(parts []*pre.PartialKey) (err error) {
			if inbox {
				key, err = a.sharing.CombineInboxKey(granted, parts)
			} else {
				key, err = a.sharing.CombineKey(granted, t, parts)
			}
			return err
		})
	return key, err
}

// TakeCustody takes the caller into self-custody, or replaces the custody key:
// from then on t members together cannot open what is written for the caller.
// It returns the version of the custody key in force. The wallet keeps the keys
// of earlier versions, for the records of before.
func (c *Client) TakeCustody(ctx context.Context) (uint32, error) {
	if err := c.herself(); err != nil {
		return 0, fmt.Errorf("take custody: %w", err)
	}
	now, err := c.Identity(ctx, c.wallet.Name())
	if err != nil {
		return 0, fmt.Errorf("take custody: %w", err)
	}
	version := now.Custodies + 1
	x, err := c.wallet.AddCustody(version)
	if err != nil {
		return 0, fmt.Errorf("take custody: %w", err)
	}
	defer x.Erase()
	proof, err := x.Prove(c.wallet.Chain(), string(now.Name), version)
	if err != nil {
		return 0, fmt.Errorf("take custody: %w", err)
	}
	_, err = c.submit(ctx, identity.Contract, identity.MethodCustody, identity.CustodyArgs{Proof: proof}, nil, c.wallet.Signer())
	c.forget(now.Name)
	if err != nil {
		return 0, fmt.Errorf("take custody: %w", err)
	}
	return version, nil
}

// RaiseEpoch raises the caller's epoch, so that later records are out of the
// reach of every key and grant made so far. Records of before stay readable to
// the caller, and under the grants of before.
func (c *Client) RaiseEpoch(ctx context.Context) error {
	if err := c.herself(); err != nil {
		return fmt.Errorf("raise epoch: %w", err)
	}
	now, err := c.Identity(ctx, c.wallet.Name())
	if err != nil {
		return fmt.Errorf("raise epoch: %w", err)
	}
	_, err = c.submit(ctx, identity.Contract, identity.MethodEpoch, identity.EpochArgs{From: now.Epoch}, nil, c.wallet.Signer())
	c.forget(now.Name)
	if err != nil {
		return fmt.Errorf("raise epoch: %w", err)
	}
	return nil
}

// RotateKey replaces the key that signs for the caller.
func (c *Client) RotateKey(ctx context.Context) error {
	if err := c.replaceKey(ctx, identity.MethodRotate); err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	return nil
}

// Claim makes a name that its organisation held the caller's own: with the
// wallet that the organisation exported it puts a fresh key on the chain, which
// only this wallet has. The organisation then deletes its own copy.
func (c *Client) Claim(ctx context.Context) error {
	if err := c.replaceKey(ctx, identity.MethodHandOver); err != nil {
		return fmt.Errorf("claim name: %w", err)
	}
	return nil
}

// replaceKey puts the wallet's next key on the chain and makes it the one in
// force. What an earlier attempt left undone is settled first.
func (c *Client) replaceKey(ctx context.Context, method string) error {
	if err := c.herself(); err != nil {
		return err
	}
	now, err := c.Identity(ctx, c.wallet.Name())
	if err != nil {
		return err
	}
	if pending, ok := c.wallet.Pending(); ok && now.Key == pending {
		return c.wallet.Commit(pending) // only the wallet did not know yet
	}
	key, possession, err := c.wallet.Replace(method)
	if err != nil {
		return err
	}
	var args any = identity.RotateArgs{Key: key, Possession: possession}
	if method == identity.MethodHandOver {
		args = identity.HandOverArgs{Key: key, Possession: possession}
	}
	_, err = c.submit(ctx, identity.Contract, method, args, nil, c.wallet.Signer())
	c.forget(now.Name)
	if err != nil {
		return err
	}
	return c.wallet.Commit(key)
}

// HandOver gives a name that the caller's organisation holds to its person, who
// made a key and its proof of possession with wallet.Wallet.Possession for
// identity.MethodHandOver. The caller's own wallet of the name is worth nothing
// afterwards but for what it remembers.
func (c *Client) HandOver(ctx context.Context, key chain.PublicKey, possession []byte) error {
	if err := c.herself(); err != nil {
		return fmt.Errorf("hand over name: %w", err)
	}
	args := identity.HandOverArgs{Key: key, Possession: bytes.Clone(possession)}
	_, err := c.submit(ctx, identity.Contract, identity.MethodHandOver, args, nil, c.wallet.Signer())
	c.forget(c.wallet.Name())
	if err != nil {
		return fmt.Errorf("hand over name: %w", err)
	}
	return nil
}
