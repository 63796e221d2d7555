package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/wallet"
)

// clinic is a consortium in this process that speaks TLS over loopback, with
// authors, a patient and a doctor.
type clinic struct {
	net             *devnet.Devnet
	authors         []*ward.Client // take turns: a node serves each only so fast
	patient, doctor *ward.Client
	remotes         []io.Closer
}

// kind is the type of all records here, and wide what grants cover.
const (
	kind pre.Type = "clinical/exam/lab"
	wide pre.Type = "clinical/exam"
)

func newClinic(ctx context.Context, dir string, members, authors int) (_ *clinic, err error) {
	net, err := devnet.New(ctx, devnet.Options{Dir: dir, Members: members, HTTP: true})
	if err != nil {
		return nil, err
	}
	c := &clinic{net: net}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	for i := range authors {
		a, err := c.enrol(ctx, i%members, fmt.Sprint("archive-", i), identity.Attribute{Name: identity.Author})
		if err != nil {
			return nil, err
		}
		c.authors = append(c.authors, a)
	}
	if c.patient, err = c.enrol(ctx, 0, "p-7f3a"); err != nil {
		return nil, err
	}
	c.doctor, err = c.enrol(ctx, 1, "dr.lee")
	return c, err
}

func (c *clinic) close() (err error) {
	for _, r := range c.remotes {
		err = errors.Join(err, r.Close())
	}
	return errors.Join(err, c.net.Close())
}

// enrol registers somebody and returns his client.
func (c *clinic) enrol(ctx context.Context, member int, handle string, attributes ...identity.Attribute) (*ward.Client, error) {
	k := c.net.Consortium()
	name := identity.Name(handle + "@" + c.net.Name(member))
	w, err := wallet.Generate(k.Chain, name)
	if err != nil {
		return nil, err
	}
	var nodes []ward.Node
	for i := range c.net.Len() {
		m := k.Member(c.net.Name((member + i) % c.net.Len()))
		n, err := remote.New(m.URL, remote.Options{Consortium: k, Member: m.Name, Signer: w.Signer()})
		if err != nil {
			return nil, err
		}
		c.remotes = append(c.remotes, n)
		nodes = append(nodes, n)
	}
	client, err := ward.New(ward.Options{Consortium: k, Wallet: w, Nodes: nodes})
	if err != nil {
		return nil, err
	}
	key, err := c.net.Key(member)
	if err != nil {
		return nil, err
	}
	return client, client.Register(ctx, key, false, attributes...)
}

// names registers people at a member, without clients: those with the numbers
// from ≤ i < to of a kind.
func (c *clinic) names(ctx context.Context, member int, kind string, from, to int, attributes ...identity.Attribute) error {
	return atOnce(to-from, 32, func(i int) error {
		name := c.name(member, kind, from+i)
		w, err := wallet.Generate(c.net.Consortium().Chain, name)
		if err != nil {
			return err
		}
		return c.net.Register(ctx, member, name, w.Signer(), false, attributes...)
	})
}

func (c *clinic) name(member int, kind string, i int) identity.Name {
	return identity.Name(fmt.Sprintf("%s-%04d@%s", kind, i, c.net.Name(member)))
}

// put puts n records of size bytes of the patient with a number of callers at
// once.
func (c *clinic) put(ctx context.Context, n, callers int, size int64) ([]record.ID, error) {
	return c.putOf(ctx, c.patient.Name(), n, callers, size)
}

func (c *clinic) putOf(ctx context.Context, owner identity.Name, n, callers int, size int64) ([]record.ID, error) {
	ids := make([]record.ID, n)
	err := atOnce(n, callers, func(i int) (err error) {
		ids[i], err = c.authors[i%len(c.authors)].Put(ctx, ward.Record{Owner: owner, Type: kind, Title: "result"}, &payload{left: size})
		return err
	})
	return ids, err
}

// grant lets somebody read.
func (c *clinic) grant(ctx context.Context, to identity.Name) (consent.GrantID, error) {
	return c.patient.Grant(ctx, ward.Terms{To: to, Type: wide})
}

// patiently does something that is not measured again while a node says that
// this caller asks for too much at a time.
func patiently(ctx context.Context, f func() error) error {
	for {
		err := f()
		if !errors.Is(err, ward.ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *clinic) access(ctx context.Context, grant consent.GrantID, ids []record.ID) error {
	return accessBy(ctx, c.doctor, grant, ids)
}

func accessBy(ctx context.Context, reader *ward.Client, grant consent.GrantID, ids []record.ID) error {
	opened, err := reader.Access(ctx, grant, ids, treatment)
	if err == nil && len(opened) != len(ids) {
		err = fmt.Errorf("%d records opened of %d", len(opened), len(ids))
	}
	return err
}

var treatment = ward.Purpose{Code: consent.Treatment}

// payload reads as bytes that are all different lines.
type payload struct {
	left int64
	line int
	rest []byte
}

func (p *payload) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	if len(p.rest) == 0 {
		p.rest = bytes.Repeat(fmt.Appendf(nil, "result %d\n", p.line), 4096)
		p.line++
	}
	n := copy(b[:min(int64(len(b)), p.left)], p.rest)
	p.rest, p.left = p.rest[n:], p.left-int64(n)
	return n, nil
}

// atOnce calls f with 0 to n-1, callers at a time.
func atOnce(n, callers int, f func(i int) error) error {
	errs := make([]error, callers)
	var next atomic.Int64
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[c] == nil; i = int(next.Add(1)) - 1 {
				errs[c] = f(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// sum drops what is written to it and counts.
type sum int64

func (s *sum) Write(b []byte) (int, error) {
	*s += sum(len(b))
	return len(b), nil
}

// one is a case of the suite that is run once in each round.
func one(operation string, at float64, run runner) suite.Case {
	return suite.Case{Operation: operation, System: "Ward", At: at, Run: run, Once: true}
}
