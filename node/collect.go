package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/pre"
)

// A gathering asks members for their parts. It asks as many as are needed, this
// one among them, and the rest when one of those fails or is slow.
type gathering struct {
	tx         [32]byte
	authority  *keys.Authority
	generation uint32 // in force
	threshold  int
	without    []string
	work       time.Duration // that an answer takes honest members besides
	ask        func(ctx context.Context, p Peer) (ward.Part, error)
}

type reply[T any] struct {
	from  string
	value T
	err   error
}

// order returns the members to ask: this one first.
func (c *core) order(members, without []string) []string {
	var list []string
	for _, m := range members {
		if slices.Contains(without, m) {
			continue
		}
		if m == c.cfg.Member {
			list = slices.Insert(list, 0, m)
		} else {
			list = append(list, m)
		}
	}
	return list
}

// askPatience bounds what one question to a member may take, whatever the
// caller's patience is.
const askPatience = 30 * time.Second

// workPerRecord is how much longer members may take over an access for each of
// its records before others are asked too: several times what it takes them on
// a processor of their own.
const workPerRecord = 4 * time.Millisecond

// hedge asks members in order, at first as many as are needed, and one more
// whenever one fails; all of them, when the configured patience has passed
// besides the time that the work takes. It calls take with every reply until
// take returns true, all have replied, or ctx is done.
func hedge[T any](ctx context.Context, c *core, members []string, first int, work time.Duration, ask func(ctx context.Context, p Peer) (T, error), take func(reply[T]) bool) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	replies := make(chan reply[T], len(members))
	asked := 0
	more := func() {
		if asked == len(members) {
			return
		}
		name := members[asked]
		asked++
		go func() {
			r := reply[T]{from: name}
			p, err := c.peer(name)
			if err == nil {
				r.value, err = ask(ctx, p)
			}
			r.err = err
			replies <- r
		}()
	}
	for range min(first, len(members)) {
		more()
	}
	slow := time.NewTicker(c.cfg.Patience + work)
	defer slow.Stop()
	for done := 0; done < len(members); {
		select {
		case r := <-replies:
			done++
			if take(r) {
				return
			}
			if r.err != nil {
				more()
			}
			if done == asked {
				more() // those asked first were not enough
			}
		case <-slow.C:
			for asked < len(members) {
				more()
			}
		case <-ctx.Done():
			return
		}
	}
}

// gather returns parts of threshold members, all of one generation.
func (c *core) gather(ctx context.Context, g gathering) ([]ward.Part, error) {
	k := c.replica.Consortium()
	parts := map[uint32][]ward.Part{}
	codes := map[chain.Code]int{}
	var code chain.Code
	var errs []error
	enough := func() bool { return len(parts[g.generation]) >= g.threshold }
	hedge(ctx, c, c.order(g.authority.Members, g.without), g.threshold, g.work, g.ask, func(r reply[ward.Part]) bool {
		err := r.err
		if err == nil {
			err = g.check(k, r.from, &r.value)
		}
		if err == nil {
			parts[r.value.Generation] = append(parts[r.value.Generation], r.value)
			return enough()
		}
		errs = append(errs, fmt.Errorf("%s: %w", r.from, err))
		var said chain.Code
		if errors.As(err, &said) {
			if codes[said]++; codes[said] >= query.Needed(k) {
				code = said
			}
		}
		// f+1 members, one of them honest, say why not: the others would say
		// the same.
		return code != "" && len(parts[g.generation]) == 0
	})
	if enough() {
		return parts[g.generation], nil
	}
	for _, list := range parts {
		if len(list) >= g.threshold {
			return list, nil
		}
	}
	if code != "" {
		return nil, code
	}
	return nil, fmt.Errorf("%d of %d members answered: %w: %w", len(parts[g.generation]), g.threshold, ward.ErrShares, errors.Join(errs...))
}

// check looks at what can be seen of a part without opening it.
func (g *gathering) check(k *chain.Consortium, from string, p *ward.Part) error {
	switch {
	case p.Member != from || p.Index == 0 || p.Index != g.authority.Index(from):
		return errors.New("part in another member's name")
	case !p.Verify(k, g.tx):
		return errors.New("part is not signed")
	}
	return nil
}

// PartialKeys implements ward.Node.
func (n *Node) PartialKeys(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	q, err := c.keyRequest(ctx, index)
	if err != nil {
		return nil, fmt.Errorf("collect partial keys for %d: %w", index, err)
	}
	g := gathering{tx: q.tx.ID(), without: without, ask: func(ctx context.Context, p Peer) (ward.Part, error) {
		return p.PartialKey(ctx, index)
	}}
	err = c.replica.Read(ctx, func(v *replica.View) (err error) {
		_, err = g.from(v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("collect partial keys for %d: %w", index, c.translate(err))
	}
	parts, err := c.gather(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("collect partial keys for %d: %w", index, err)
	}
	return parts, nil
}

// from sets roster, generation and threshold from the authority in force.
func (g *gathering) from(v *replica.View) (*pre.Sharing, error) {
	a, err := keys.Current(v.Of(keys.Contract))
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, keys.ErrNoKey
	}
	s, err := a.Sharing()
	if err != nil {
		return nil, err
	}
	g.authority, g.generation, g.threshold = a, s.Generation(), s.Threshold()
	return s, nil
}

// Answers implements ward.Node.
func (n *Node) Answers(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	g := gathering{without: without, ask: func(ctx context.Context, p Peer) (ward.Part, error) {
		return p.AnswerAccess(ctx, index)
	}}
	err = c.replica.Read(ctx, func(v *replica.View) error {
		a, err := consent.LookupAccess(v.Of(consent.Contract), index)
		if err != nil {
			return err
		}
		g.tx, g.work = a.ID, time.Duration(len(a.Records))*workPerRecord
		if _, err := g.from(v); err != nil || a.Grant == "" {
			return err
		}
		grant, err := consent.Lookup(v.Of(consent.Contract), a.Grant)
		if err != nil {
			return err
		}
		s, _, err := grant.InForce(v.Of(keys.Contract))
		if err != nil {
			return err
		}
		g.generation, g.threshold = s.Generation(), s.Threshold()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("collect answers to %d: %w", index, c.translate(err))
	}
	parts, err := c.gather(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("collect answers to %d: %w", index, err)
	}
	return parts, nil
}

// Attest implements api.Backend. It needs no key but the node's: what it says is
// read from a state that a quorum confirmed.
func (n *Node) Attest(ctx context.Context, question []byte) (value []byte, code chain.Code, a query.Attestation, err error) {
	c, err := n.core()
	if err != nil {
		return nil, "", a, err
	}
	q, err := query.Parse(question)
	if err != nil {
		return nil, "", a, err
	}
	var block chain.Header
	err = c.state(ctx, func(v *replica.View) error {
		block = v.Header()
		value, err = query.Run(v.Of, c.cfg.Founding.Chain, block.Time, q)
		code = ""
		if errors.As(err, &code) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, "", a, err
	}
	if code != "" {
		value = nil
	}
	err = c.work(ctx, func() (err error) {
		a, err = query.Attest(c.replica.Consortium(), c.cfg.Member, block, question, value, code, c.cfg.Clock(), c.key)
		return err
	})
	return value, code, a, err
}

// word is one member's answer to a question.
type word struct {
	value []byte
	code  chain.Code
	att   query.Attestation
}

// Ask implements ward.Node: it gathers f+1 members that say the same.
func (n *Node) Ask(ctx context.Context, question []byte) (*query.Answer, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	if _, err := query.Parse(question); err != nil {
		return nil, err
	}
	k := c.replica.Consortium()
	var members []string
	for i := range k.Members {
		members = append(members, k.Members[i].Name)
	}
	type said struct {
		value string
		code  chain.Code
	}
	votes := map[said][]query.Attestation{}
	var winner *said
	var errs []error
	hedge(ctx, c, c.order(members, nil), query.Needed(k), 0, func(ctx context.Context, p Peer) (w word, err error) {
		w.value, w.code, w.att, err = p.Attest(ctx, question)
		return w, err
	}, func(r reply[word]) bool {
		w := r.value
		if r.err == nil && (w.att.Member != r.from || !w.att.Verify(k, question, w.value, w.code)) {
			r.err = errors.New("attestation does not hold")
		}
		if r.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.from, r.err))
			return false
		}
		s := said{string(w.value), w.code}
		votes[s] = append(votes[s], w.att)
		if len(votes[s]) >= query.Needed(k) {
			winner = &s
		}
		return winner != nil
	})
	if winner == nil {
		return nil, fmt.Errorf("members do not agree on an answer, or too few answer: %w: %w", ward.ErrNoQuorum, errors.Join(errs...))
	}
	a := &query.Answer{Value: []byte(winner.value), Code: winner.code, Attestations: votes[*winner]}
	height := uint64(0)
	for _, t := range a.Attestations {
		height = max(height, t.Height)
	}
	cp, err := c.covering(ctx, height)
	if err != nil {
		return nil, c.translate(err)
	}
	a.Checkpoint, err = cp.Bytes()
	return a, err
}

// covering returns a certified checkpoint at a height or above.
func (c *core) covering(ctx context.Context, height uint64) (*chain.Checkpoint, error) {
	if cp := c.replica.Checkpoint(); cp != nil && cp.Height >= height {
		return cp, nil
	}
	return c.replica.WaitCertified(ctx, max(height, 1))
}
