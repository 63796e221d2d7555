package devnet

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node"
)

// Dir returns where everything is.
func (d *Devnet) Dir() string { return d.dir }

// Founding returns the founding consortium file.
func (d *Devnet) Founding() *chain.Consortium { return d.founding }

// Consortium returns the newest consortium file that a running node knows.
func (d *Devnet) Consortium() *chain.Consortium {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.members {
		if m.node != nil {
			if k := m.node.Members(); k.Epoch > d.known.Epoch {
				d.known = k
			}
		}
	}
	return d.known
}

// Len returns how many members there are, running or not.
func (d *Devnet) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.members)
}

// Name returns the name of a member.
func (d *Devnet) Name(i int) string { return d.at(i).name }

// Node returns a member's node, nil while it is stopped.
func (d *Devnet) Node(i int) *node.Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.members[i].node
}

// Nodes returns the running nodes as a client takes them, beginning with that of
// member i.
func (d *Devnet) Nodes(i int) []ward.Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []ward.Node
	for k := range d.members {
		if n := d.members[(i+k)%len(d.members)].node; n != nil {
			list = append(list, n)
		}
	}
	return list
}

func (d *Devnet) at(i int) *member {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.members[i]
}

// Key returns the node key of a running member, with which it registers
// identities.
func (d *Devnet) Key(i int) (crypto.Signer, error) {
	n := d.Node(i)
	if n == nil {
		return nil, fmt.Errorf("%s is stopped: %w", d.Name(i), ward.ErrUnavailable)
	}
	return n.Key()
}

// Register registers an identity on the word of a member, which holds its key if
// custodial is set.
func (d *Devnet) Register(ctx context.Context, i int, name identity.Name, key crypto.Signer, custodial bool, attributes ...identity.Attribute) error {
	public, err := node.PublicKey(key)
	if err != nil {
		return err
	}
	possession, err := key.Sign(nil, identity.PossessionStatement(d.founding.Chain, identity.MethodRegister, name, public), crypto.Hash(0))
	if err != nil {
		return err
	}
	by, err := d.Key(i)
	if err != nil {
		return err
	}
	args, err := chain.Marshal(identity.RegisterArgs{
		Name: name, Key: public, Possession: possession, Controller: custodial, Attributes: attributes,
	})
	if err != nil {
		return err
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: d.founding.Chain, Contract: identity.Contract, Method: identity.MethodRegister, Args: args,
		NotAfter: time.Now().Add(10 * time.Minute).UnixMilli(),
	}, by)
	if err != nil {
		return err
	}
	r, err := d.Node(i).Submit(ctx, tx, nil)
	if err != nil {
		return err
	}
	return r.Result.Err()
}
