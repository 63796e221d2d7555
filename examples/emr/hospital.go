package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/examples/records"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/wallet"
)

// people are those for whom this program acts. A workstation acts for one; a
// hospital's server, for all patients whose wallets it keeps.
type people struct {
	nodes map[*ward.Client][]*remote.Node
}

// connect returns a client that acts for whoever's wallet it is. It speaks to the
// own hospital, and to another one while that is down.
func (p *people) connect(k *chain.Consortium, w *wallet.Wallet) (*ward.Client, error) {
	var nodes []*remote.Node
	var order []ward.Node
	for _, m := range k.Members {
		n, err := remote.New(m.URL, remote.Options{Consortium: k, Member: m.Name, Signer: w.Signer()})
		if err != nil {
			return nil, err
		}
		if m.Name == w.Name().Org() {
			nodes, order = append([]*remote.Node{n}, nodes...), append([]ward.Node{n}, order...)
		} else {
			nodes, order = append(nodes, n), append(order, n)
		}
	}
	c, err := ward.New(ward.Options{Consortium: k, Wallet: w, Nodes: order})
	if err != nil {
		return nil, err
	}
	if p.nodes == nil {
		p.nodes = make(map[*ward.Client][]*remote.Node)
	}
	p.nodes[c] = nodes
	return c, nil
}

// node returns the node of a client's own hospital.
func (p *people) node(c *ward.Client) ward.Node { return p.nodes[c][0] }

// disconnect closes all connections.
func (p *people) disconnect() (err error) {
	for _, nodes := range p.nodes {
		for _, n := range nodes {
			err = errors.Join(err, n.Close())
		}
	}
	return err
}

// enrol registers a name on the word of its hospital, which attests the
// attributes, and connects. wallet.Create would store the wallet, encrypted; the
// hospital's key would be that of a registrar.
func (p *people) enrol(ctx context.Context, net *devnet.Devnet, name identity.Name, attributes ...string) (*ward.Client, error) {
	w, err := wallet.Generate(net.Consortium().Chain, name)
	if err != nil {
		return nil, err
	}
	c, err := p.connect(net.Consortium(), w)
	if err != nil {
		return nil, err
	}
	var attested []identity.Attribute
	for _, a := range attributes {
		attested = append(attested, identity.Attribute{Name: a})
	}
	for i := range net.Len() {
		if net.Name(i) == name.Org() {
			hospital, err := net.Key(i)
			if err != nil {
				return nil, err
			}
			return c, c.Register(ctx, hospital, false, attested...)
		}
	}
	return nil, fmt.Errorf("no hospital %q", name.Org())
}

// file puts a document for a patient. Its content, title and names are encrypted
// before they leave this process; the chain shows the type and the day.
func file(ctx context.Context, author *ward.Client, patient identity.Name, name string, t pre.Type) (record.ID, error) {
	f, err := records.Files().Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return author.Put(ctx, ward.Record{
		Owner: patient, Type: t, Title: name, MediaType: "application/fhir+json", Filename: name,
	}, f)
}

// everything opens all records of a patient of a type and below, in one access.
func everything(ctx context.Context, reader *ward.Client, patient identity.Name, t pre.Type, p ward.Purpose) ([]*ward.Opened, error) {
	var found []record.ID
	for e, err := range reader.Find(ctx, ward.Query{Owner: patient, Type: t}) {
		if err != nil {
			return nil, err
		}
		found = append(found, e.ID)
	}
	return reader.Access(ctx, "", found, p) // "" is the first grant that covers them
}

// breakGlass opens a record without a grant. The second clinician gets the draft,
// looks at it on a machine of her own, and sends back her approval.
func breakGlass(ctx context.Context, reader, second *ward.Client, patient identity.Name, id record.ID, reason string) ([]*ward.Opened, error) {
	draft, err := reader.DraftEmergency(patient, []record.ID{id})
	if err != nil {
		return nil, err
	}
	message, err := draft.Bytes()
	if err != nil {
		return nil, err
	}
	approval, err := approve(second, message)
	if err != nil {
		return nil, err
	}
	return reader.Emergency(ctx, patient, draft.Records, ward.Purpose{
		Code: consent.BreakGlass, Reason: reason, Draft: draft, Approvals: []consent.Approval{approval},
	})
}

func approve(c *ward.Client, message []byte) (consent.Approval, error) {
	draft, err := ward.ParseDraft(message)
	if err != nil {
		return consent.Approval{}, err
	}
	// Here a person sees who asks for what: draft.Reader, draft.Owner, draft.Records.
	return c.Approve(draft)
}

// closeReviews closes every review that is open. A person would look first.
func closeReviews(ctx context.Context, officer *ward.Client) error {
	for a, err := range officer.Accesses(ctx, consent.Accesses{Open: true}) {
		if err != nil {
			return err
		}
		if err := officer.Review(ctx, a.Index, consent.OutcomeJustified); err != nil {
			return err
		}
	}
	return nil
}

// why says why a request was refused, for programs that act on it. Every reason
// has its own value; see package consent.
func why(err error) string {
	switch {
	case err == nil:
		return "allowed"
	case errors.Is(err, consent.ErrRevoked):
		return "refused, the grant was revoked"
	case errors.Is(err, consent.ErrDenied):
		return "refused, the grant is for somebody else"
	case errors.Is(err, ward.ErrNoGrant):
		return "refused, no grant covers it"
	}
	return err.Error()
}

func ids(opened []*ward.Opened) (ids []record.ID) {
	for _, o := range opened {
		ids = append(ids, o.ID)
	}
	return ids
}

func mustRead(name string) []byte {
	b, err := fs.ReadFile(records.Files(), name)
	if err != nil {
		panic(err) // it is part of this program
	}
	return bytes.Clone(b)
}
