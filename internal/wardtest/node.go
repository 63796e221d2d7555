package wardtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/store"
)

// A Node is an honest member's node. A test that wants another embeds it and
// overrides a method. It implements ward.Node.
type Node struct {
	w      *World
	member string
}

// Node returns the node of a member.
func (w *World) Node(member string) *Node { return &Node{w, member} }

// Nodes returns the nodes of all members, in their order.
func (w *World) Nodes() []ward.Node {
	var out []ward.Node
	for _, m := range w.Members() {
		out = append(out, w.Node(m))
	}
	return out
}

// enter takes the lock, unless the caller has gone or the member is down.
func (n *Node) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	n.w.mu.Lock()
	if n.w.Down[n.member] {
		n.w.mu.Unlock()
		return nil, ward.ErrUnavailable
	}
	return n.w.mu.Unlock, nil
}

// Submit implements ward.Node.
func (n *Node) Submit(ctx context.Context, tx *chain.Tx, sidecar []byte) (*chain.Receipt, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	index, err := n.w.submit(tx, sidecar)
	if err != nil {
		return nil, err
	}
	return n.w.chain.Receipt(index, n.w.chain.Checkpoint()), nil
}

// Ask implements ward.Node.
func (n *Node) Ask(ctx context.Context, question []byte) (*query.Answer, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	q, err := query.Parse(question)
	if err != nil {
		return nil, err
	}
	w := n.w
	a := new(query.Answer)
	a.Value, err = query.Run(func(name string) ledger.Reader { return w.of(name) }, w.chain.Founding.Chain, w.chain.Head.Header.Time, q)
	if err != nil && !errors.As(err, &a.Code) {
		return nil, err
	}
	if a.Checkpoint, err = w.chain.Checkpoint().Bytes(); err != nil {
		return nil, err
	}
	for _, m := range n.order() {
		if len(a.Attestations) == query.Needed(w.chain.Consortium) {
			break
		}
		t, err := query.Attest(w.chain.Consortium, m, w.chain.Head.Header, question, a.Value, a.Code, w.chain.Now, w.Key(m))
		if err != nil {
			return nil, err
		}
		a.Attestations = append(a.Attestations, t)
	}
	return a, nil
}

// order returns the members that are up, the node's own first.
func (n *Node) order() []string {
	out := []string{n.member}
	for _, m := range n.w.chain.Consortium.Members {
		if m.Name != n.member && !n.w.Down[m.Name] {
			out = append(out, m.Name)
		}
	}
	return out
}

// Receipt implements ward.Node.
func (n *Node) Receipt(ctx context.Context, index uint64) (*chain.Receipt, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if index >= n.w.chain.Head.Header.Size {
		return nil, ward.ErrNotFound
	}
	return n.w.chain.Receipt(index, n.w.chain.Checkpoint()), nil
}

// Sidecar implements ward.Node.
func (n *Node) Sidecar(ctx context.Context, index uint64) ([]byte, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if b, ok := n.w.chain.Sidecars[index]; ok {
		return b, nil
	}
	return nil, ward.ErrErased
}

// Consortium implements ward.Node.
func (n *Node) Consortium(ctx context.Context, epoch uint64) ([][]byte, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var changes [][]byte
	for _, b := range n.w.chain.Blocks {
		for i, raw := range b.Proposal.Txs {
			tx, err := chain.ParseTx(raw)
			if err == nil && tx.Contract == chain.SystemContract && b.Results[i].Code == "" {
				changes = append(changes, tx.Args)
			}
		}
	}
	if epoch > uint64(len(changes)) {
		return nil, ward.ErrNotFound
	}
	return changes[epoch:], nil
}

// Checkpoint implements ward.Node.
func (n *Node) Checkpoint(ctx context.Context) (*chain.Checkpoint, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return n.w.chain.Checkpoint(), nil
}

// Export implements ward.Node.
func (n *Node) Export(ctx context.Context, w io.Writer) error {
	leave, err := n.enter(ctx)
	if err != nil {
		return err
	}
	b := n.w.chain.Export()
	leave()
	_, err = w.Write(b)
	return err
}

// Blobs implements ward.Node.
func (n *Node) Blobs() store.Store { return n.w.Blobs }

// PartialKeys implements ward.Node.
func (n *Node) PartialKeys(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := n.w.chain.Receipt(index, n.w.chain.Checkpoint())
	tx, err := chain.ParseTx(r.Tx)
	if err != nil {
		return nil, err
	}
	var args keys.RequestArgs
	var result keys.RequestResult
	if err := errors.Join(chain.Unmarshal(tx.Args, &args), chain.Unmarshal(r.Result.Value, &result)); err != nil {
		return nil, err
	}
	id, err := pre.ParseIdentity(result.Identity)
	if err != nil {
		return nil, err
	}
	return n.parts(without, tx.ID(), func(member string) ([]byte, uint32, error) {
		share := n.w.members.Identity[member]
		of := id
		if n.w.Dishonest[member] {
			of.Epoch += 7
		}
		extract := func() (*pre.PartialKey, error) { return share.Extract(of, args.Type) }
		if args.Inbox {
			extract = func() (*pre.PartialKey, error) { return share.ExtractInbox(of) }
		}
		k, err := extract()
		if err != nil {
			return nil, 0, err
		}
		sealed, err := k.Seal(args.Transport, tx.ID())
		return sealed, share.Generation(), err
	})
}

// Accessed implements ward.Node.
func (n *Node) Accessed(ctx context.Context, index uint64) ([]ward.Sealed, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	_, records, err := n.w.access(index)
	if err != nil {
		return nil, err
	}
	var out []ward.Sealed
	for _, r := range records {
		out = append(out, ward.Sealed{Record: *r, Index: n.w.chain.Sidecars[r.Index]})
	}
	return out, nil
}

func (w *World) access(index uint64) (*consent.Access, []*record.Record, error) {
	a, err := consent.LookupAccess(w.of(consent.Contract), index)
	if err != nil {
		return nil, nil, err
	}
	var records []*record.Record
	for _, id := range a.Records {
		r, err := record.Lookup(w.of(record.Contract), id)
		if err != nil {
			return nil, nil, err
		}
		records = append(records, r)
	}
	return a, records, nil
}

// Answers implements ward.Node.
func (n *Node) Answers(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	w := n.w
	a, records, err := w.access(index)
	if err != nil {
		return nil, err
	}
	err = contract.Serveable(w.chain.Consortium, w.of, a, w.chain.Now.UnixMilli())
	if err != nil {
		return nil, err
	}
	asked := &pre.Access{ID: a.ID, Requester: a.Transport}
	for _, r := range records {
		v, err := r.Verified(w.chain.Founding.Chain)
		if err != nil {
			return nil, err
		}
		asked.Records = append(asked.Records, v)
	}
	return n.parts(without, a.ID, func(member string) ([]byte, uint32, error) {
		share, ans, err := w.answer(member, a, asked)
		if err != nil {
			return nil, 0, err
		}
		sealed, err := ans.Seal(asked)
		return sealed, share.Generation(), err
	})
}

// answer computes a member's answer. A dishonest one answers for records that
// were not asked for, in another order, which its proof cannot be for.
func (w *World) answer(member string, a *consent.Access, asked *pre.Access) (*pre.Share, *pre.Answer, error) {
	if w.Dishonest[member] {
		other := *asked
		other.ID[0] ^= 1 // a proof for another access
		asked = &other
	}
	if a.Grant == "" {
		share := w.members.Identity[member]
		s, err := w.authority().Sharing()
		if err != nil {
			return nil, nil, err
		}
		ans, err := share.Decapsulate(s, asked)
		return share, w.spoil(member, ans), err
	}
	g, err := consent.Lookup(w.of(consent.Contract), a.Grant)
	if err != nil {
		return nil, nil, err
	}
	share := w.grants[member][a.Grant]
	if share == nil {
		return nil, nil, fmt.Errorf("%s holds no share", member)
	}
	dealt, err := pre.ParseGrant(g.Raw)
	if err != nil {
		return nil, nil, err
	}
	ans, err := share.Reencrypt(dealt, dealt.Sharing(), asked)
	return share, w.spoil(member, ans), err
}

// spoil replaces a dishonest member's point by another one of its own making.
func (w *World) spoil(member string, ans *pre.Answer) *pre.Answer {
	if !w.Dishonest[member] || ans == nil {
		return ans
	}
	b := ans.Bytes()
	for at := len(b) - 64 - 48; at < len(b)-64; at++ { // another compressed point of G1
		for bit := range 8 {
			c := slices.Clone(b)
			c[at] ^= 1 << bit
			if p, err := pre.ParseAnswer(c); err == nil {
				return p
			}
		}
	}
	return ans
}

// parts asks t members for their part.
func (n *Node) parts(without []string, tx chain.Hash, part func(member string) ([]byte, uint32, error)) ([]ward.Part, error) {
	w := n.w
	a := w.authority()
	t := w.chain.Consortium.KeyThreshold
	var out []ward.Part
	for _, m := range n.order() {
		if len(out) == t || slices.Contains(without, m) || a.Index(m) == 0 {
			continue
		}
		sealed, generation, err := part(m)
		if err != nil {
			continue
		}
		p := ward.Part{Member: m, Index: a.Index(m), Generation: generation, Sealed: sealed}
		if err := p.Sign(w.chain.Founding.Chain, tx, w.Key(m)); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	if len(out) < t {
		return out, ward.ErrShares
	}
	return out, nil
}

// Vouch has f+1 members sign what an answer says now, as colluding ones could.
func (w *World) Vouch(question []byte, a *query.Answer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.Attestations = nil
	for _, m := range w.chain.Consortium.Members[:query.Needed(w.chain.Consortium)] {
		t, err := query.Attest(w.chain.Consortium, m.Name, w.chain.Head.Header, question, a.Value, a.Code, w.chain.Now, w.Key(m.Name))
		if err != nil {
			return err
		}
		a.Attestations = append(a.Attestations, t)
	}
	return nil
}
