package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/wallet"
)

// demoChain is the chain of the demo.
const demoChain = "demo.ward"

// open starts the hospitals and waits until they have their key.
func (d *demo) open(ctx context.Context) (err error) {
	end := d.begin("start", "Four hospitals start, and make a key that none of them holds")
	d.net, err = devnet.New(ctx, devnet.Options{Dir: d.dir, Chain: demoChain, HTTP: true, Log: d.logger()})
	if err != nil {
		return err
	}
	k := d.net.Consortium()
	d.report.Chain, d.report.Threshold = k.Chain, k.KeyThreshold
	list := ""
	for i, m := range k.Members {
		d.report.Hospitals = append(d.report.Hospitals, m.Name)
		if i > 0 {
			list += ", "
		}
		list += m.Name
	}
	d.note("%s: each a node of its own with its own disk and its share of the key", list)
	d.note("any %d of %d open something together, %d sign what is final; one alone can do neither", k.KeyThreshold, len(k.Members), k.CheckpointThreshold)
	end()
	return nil
}

// join gives a person a wallet and a client that speaks to the own hospital
// first, over HTTPS as from a workstation, and registers the name there.
func (d *demo) join(ctx context.Context, p *person) error {
	w, err := wallet.Generate(demoChain, p.name)
	if err != nil {
		return err
	}
	k := d.net.Consortium()
	for _, m := range k.Members {
		n, err := remote.New(m.URL, remote.Options{Consortium: k, Member: m.Name, Signer: w.Signer()})
		if err != nil {
			return err
		}
		if m.Name == p.name.Org() {
			p.nodes = slices.Insert(p.nodes, 0, ward.Node(n))
		} else {
			p.nodes = append(p.nodes, n)
		}
		p.close = append(p.close, n.Close)
	}
	if p.Client, err = ward.New(ward.Options{Consortium: k, Wallet: w, Nodes: p.nodes, Log: d.logger()}); err != nil {
		return err
	}
	for i := range d.net.Len() {
		if d.net.Name(i) == p.name.Org() {
			hospital, err := d.net.Key(i)
			if err != nil {
				return err
			}
			return p.Register(ctx, hospital, p.custodial, p.attributes...)
		}
	}
	return fmt.Errorf("no hospital %q", p.name.Org())
}
