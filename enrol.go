package ward

import (
	"context"
	"fmt"

	"github.com/ward-health/ward/contract/identity"
)

// Enrol registers somebody else's name on the word of the caller, who is a
// registrar of its organisation. The arguments carry the new key's proof of
// possession, as Wallet.Possession gives it.
func (c *Client) Enrol(ctx context.Context, args identity.RegisterArgs) error {
	args.Attributes = identity.Sorted(args.Attributes)
	if _, err := c.submit(ctx, identity.Contract, identity.MethodRegister, args, nil, c.wallet.Signer()); err != nil {
		return fmt.Errorf("register %s: %w", args.Name, err)
	}
	c.forget(args.Name)
	return nil
}

// Attest replaces all that their organisation says of a name, on the word of the
// caller, who is a registrar of it.
func (c *Client) Attest(ctx context.Context, name identity.Name, attributes ...identity.Attribute) error {
	args := identity.AttestArgs{Name: name, Attributes: identity.Sorted(attributes)}
	if _, err := c.submit(ctx, identity.Contract, identity.MethodAttest, args, nil, c.wallet.Signer()); err != nil {
		return fmt.Errorf("attest %s: %w", name, err)
	}
	c.forget(name)
	return nil
}

// Veto ends every recovery of the caller's name that is under way, and every
// proposal of a guardian: the key is not lost, and its holder objects.
func (c *Client) Veto(ctx context.Context) error {
	if err := c.herself(); err != nil {
		return fmt.Errorf("veto: %w", err)
	}
	if _, err := c.submit(ctx, identity.Contract, identity.MethodVeto, identity.VetoArgs{}, nil, c.wallet.Signer()); err != nil {
		return fmt.Errorf("veto: %w", err)
	}
	c.forget(c.wallet.Name())
	return nil
}
