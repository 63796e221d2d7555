package ward

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// An Entry is a record as it was found or opened.
type Entry struct {
	ID       record.ID
	Owner    identity.Name
	Author   identity.Name
	Type     pre.Type
	Dated    time.Time
	Put      time.Time // block time
	Replaces record.ID
	Replaced record.ID // what superseded it; not said of a record that an access opened
	Erased   bool
	Version  uint32 // of the owner's custody key that it was written to
	Epoch    uint64 // of the owner that it was written in

	// The rest is sealed: zero in what Find returns.
	Title     string
	MediaType string
	Filename  string
	Size      int64
	Hash      [32]byte // SHA-256 of the payload
}

func entryOf(r *record.Record) Entry {
	return Entry{
		ID: r.ID, Owner: r.Owner, Author: r.Author, Type: r.Type,
		Dated: time.UnixMilli(r.Dated).UTC(), Put: time.UnixMilli(r.Time).UTC(),
		Replaces: r.Replaces, Replaced: r.Replaced, Erased: r.Erased != 0, Version: r.Version, Epoch: r.Epoch,
	}
}

// A Query selects records of one owner.
type Query struct {
	Owner        identity.Name
	Type         pre.Type // it and everything below; "" for all
	Since, Until time.Time
	Author       identity.Name
	All          bool // superseded and erased ones too
	// Grant, if there is one, leaves only what this grant of the owner covers.
	// Nodes show that to whom it is to; a whole type they show only if a grant
	// covers everything in it, sealed types below it included.
	Grant consent.GrantID
}

// Find yields what the chain shows of an owner's records, oldest first. It ends
// after the first error.
func (c *Client) Find(ctx context.Context, q Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		for r, err := range c.records(ctx, q) {
			if err != nil {
				yield(nil, fmt.Errorf("find records: %w", err))
				return
			}
			e := entryOf(r)
			if !yield(&e, nil) {
				return
			}
		}
	}
}

func (c *Client) records(ctx context.Context, q Query) iter.Seq2[*record.Record, error] {
	return pages(ctx, c, func(last *record.Record) query.Question {
		part := query.Records{Owner: q.Owner, Type: q.Type, Since: millis(q.Since), Until: millis(q.Until), Author: q.Author, Erased: q.All, Grant: q.Grant}
		if last != nil {
			part.After = last.Index
		}
		return part
	})
}

// Show returns what the chain shows of one record.
func (c *Client) Show(ctx context.Context, id record.ID) (*Entry, error) {
	r, err := c.record(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", id, err)
	}
	e := entryOf(r)
	return &e, nil
}

func (c *Client) record(ctx context.Context, id record.ID) (*record.Record, error) {
	r, _, err := ask[record.Record](ctx, c, query.Record{ID: id})
	if err != nil {
		return nil, err
	}
	if r.ID != id {
		return nil, fmt.Errorf("%w: members vouch for another record", ErrIntegrity)
	}
	return r, nil
}

// Grants yields the grants of an owner or those to a recipient, oldest first;
// one of the two names is empty. It ends after the first error.
func (c *Client) Grants(ctx context.Context, owner, recipient identity.Name) iter.Seq2[*query.GrantState, error] {
	return c.grants(ctx, query.Grants{Owner: owner, Recipient: recipient})
}

// grants yields the answers to a question, part by part.
func (c *Client) grants(ctx context.Context, q query.Grants) iter.Seq2[*query.GrantState, error] {
	return pages(ctx, c, func(last *query.GrantState) query.Question {
		part := q
		if last != nil {
			part.After = last.Grant.Index
		}
		return part
	})
}

// ShowGrant returns one grant.
func (c *Client) ShowGrant(ctx context.Context, id consent.GrantID) (*query.GrantState, error) {
	g, _, err := ask[query.GrantState](ctx, c, query.Grant{ID: id})
	if err != nil {
		return nil, fmt.Errorf("grant %s: %w", id, err)
	}
	if g.Grant.ID != id {
		return nil, fmt.Errorf("grant %s: %w: members vouch for another", id, ErrIntegrity)
	}
	return g, nil
}

// Requests yields the requests to an owner or from an asker, oldest first; one
// of the two names is empty. It ends after the first error.
func (c *Client) Requests(ctx context.Context, owner, from identity.Name) iter.Seq2[*consent.Request, error] {
	return pages(ctx, c, func(last *consent.Request) query.Question {
		q := query.Requests{Owner: owner, From: from}
		if last != nil {
			q.After = last.Index
		}
		return q
	})
}

// Accesses yields the log of accesses, oldest first: those selected by one name
// or record, or all. It ends after the first error.
func (c *Client) Accesses(ctx context.Context, sel consent.Accesses) iter.Seq2[*consent.Access, error] {
	return pages(ctx, c, func(last *consent.Access) query.Question {
		q := query.Accesses{Owner: sel.Owner, Reader: sel.Reader, Record: sel.Record, Open: sel.Open}
		if last != nil {
			q.After = last.Index
		}
		return q
	})
}

// millis returns a time as the contracts count it, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
