package node_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/node/vault"
	"github.com/ward-health/ward/pre"
)

// ask returns the answer to a question, decoded.
func ask[T any](w *world, q query.Question) *T {
	w.t.Helper()
	b, err := query.Encode(q)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.Nodes(0)[0].Ask(w.ctx, b)
	if err != nil {
		w.t.Fatal(err)
	}
	v := new(T)
	if err := chain.Unmarshal(a.Value, v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

// recipient returns somebody as package pre needs him.
func (w *world) recipient(name identity.Name) pre.Identity {
	w.t.Helper()
	authority, err := pre.ParsePublicKey(w.Consortium().ExtractionKey)
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := ask[identity.Identity](w, query.Identity{Name: name}).Recipient(w.Founding().Chain, authority)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// deal makes a grant by hand: spoil may change the sealed shares, by position.
func (w *world) deal(owner *person, to identity.Name, typ pre.Type, spoil func(g *pre.Grant, sealed [][]byte, shares []*pre.Share, transport [][]byte)) consent.GrantID {
	w.t.Helper()
	key := owner.wallet.Key(w.recipient(owner.Name()), typ)
	if key == nil {
		w.t.Fatal("the wallet has no key: grant something first")
	}
	var conditions consent.Conditions
	hash, err := conditions.Hash()
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := consent.GenerateID()
	if err != nil {
		w.t.Fatal(err)
	}
	a := ask[query.AuthorityState](w, query.Authority{})
	s, err := pre.ParseSharing(a.Identity)
	if err != nil {
		w.t.Fatal(err)
	}
	g, shares, err := key.Grant(pre.Terms{
		ID: string(id), Conditions: hash, Generation: a.Generation, Members: uint8(s.Members()), Threshold: uint8(s.Threshold()),
	}, w.recipient(to))
	if err != nil {
		w.t.Fatal(err)
	}
	sealed := make([][]byte, len(shares))
	for i := range shares {
		if sealed[i], err = shares[i].Seal(a.Transport[i], g); err != nil {
			w.t.Fatal(err)
		}
	}
	spoil(g, sealed, shares, a.Transport)
	sidecar, err := chain.Marshal(sealed)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mustSubmit(owner, consent.Contract, consent.MethodGrant, consent.GrantArgs{Grant: g.Bytes(), Recipient: to, Conditions: conditions}, sidecar)
	return id
}

// mustSubmit puts a transaction with a sidecar on the chain.
func (w *world) mustSubmit(p *person, contract, method string, args any, sidecar []byte) {
	w.t.Helper()
	b, err := chain.Marshal(args)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.Nodes(0)[0].Submit(w.ctx, p.txWith(w.t, contract, method, b, sidecar), sidecar)
	if err == nil {
		err = r.Result.Err()
	}
	if err != nil {
		w.t.Fatalf("%s: %v", method, err)
	}
}

// TestBadShareIsRefused deals shares of which one is wrong, one is another
// member's, and one is missing: these members say so, and hold nothing.
func TestBadShareIsRefused(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		w.grant(owner, author.Name(), "lab")
		shares := w.Node(3).Status().Shares
		g := w.deal(owner, reader.Name(), "lab", func(_ *pre.Grant, sealed [][]byte, _ []*pre.Share, _ [][]byte) {
			sealed[3][len(sealed[3])-1] ^= 1
		})
		w.until("everybody said so", func() bool {
			s := ask[query.GrantState](w, query.Grant{ID: g}).Grant
			return len(s.Accepted)+len(s.Refused) == 4
		})
		if s := ask[query.GrantState](w, query.Grant{ID: g}); !slices.Equal(s.Grant.Refused, []uint8{4}) || s.Status != consent.StatusActive {
			t.Errorf("refused %v, status %s", s.Grant.Refused, s.Status)
		}
		if got := w.Node(3).Status().Shares; got != shares {
			t.Errorf("the member that refused holds %d shares, had %d", got, shares)
		}
		w.mustRead(reader, id, "glucose 5.4")

		worst := w.deal(owner, reader.Name(), "lab", func(g *pre.Grant, sealed [][]byte, shares []*pre.Share, transport [][]byte) {
			var err error
			if sealed[1], err = shares[0].Seal(transport[1], g); err != nil { // another member's share
				t.Fatal(err)
			}
			sealed[2] = nil
		})
		w.until("everybody said so", func() bool {
			s := ask[query.GrantState](w, query.Grant{ID: worst}).Grant
			return len(s.Accepted)+len(s.Refused) == 4
		})
		if s := ask[query.GrantState](w, query.Grant{ID: worst}); !slices.Equal(s.Grant.Refused, []uint8{2, 3}) || s.Status != consent.StatusPending {
			t.Errorf("refused %v, status %s", s.Grant.Refused, s.Status)
		}
	})
}

// TestForeignShareIsNotUsed puts shares into a vault that are not the node's: a
// node never frames itself, nor answers with what it cannot check.
func TestForeignShareIsNotUsed(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		index := w.access(reader, w.grant(owner, reader.Name(), "lab"), id)
		w.quiet()
		dir := func(i int) string { return filepath.Join(w.Dir(), w.Name(i), "vault") }
		open := func(i int) *vault.Vault {
			v, err := vault.Open(dir(i), []byte("devnet"))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		take := func(i int) (name string, secret []byte) {
			v := open(i)
			defer v.Close()
			name = v.Names(vault.Grant)[0]
			secret, err := v.Get(vault.Grant, name)
			if err != nil {
				t.Fatal(err)
			}
			return name, secret
		}
		w.stop(1)
		_, others := take(1)
		w.restart(1)
		w.settle()
		w.stop(0)
		name, own := take(0)
		wrong := bytes.Clone(own)
		wrong[len(wrong)-1] ^= 1
		for what, secret := range map[string][]byte{"another member's": others, "no share of the grant": wrong, "nothing": nil} {
			v := open(0)
			err := errors.Join(v.Delete(vault.Grant, name), v.Put(vault.Grant, name, secret), v.Close())
			if err != nil {
				t.Fatal(err)
			}
			w.restart(0)
			w.settle()
			if _, err := w.Node(0).AnswerAccess(w.ctx, index); !errors.Is(err, ward.ErrShares) {
				t.Errorf("%s: %v, want ErrShares", what, err)
			}
			w.mustRead(w.now(reader, 0), id, "glucose 5.4")
			w.quiet()
			w.stop(0)
		}
	})
}

// TestSharedPayloadStaysUntilTheLastRecord erases one of two records that refer
// to one payload.
func TestSharedPayloadStaysUntilTheLastRecord(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner := w.person("dr.chen@east", "author"), w.person("p-1@north")
		first := w.put(author, owner.Name(), "lab", "glucose 5.4")
		r := w.record(first)
		second, err := record.GenerateID()
		if err != nil {
			t.Fatal(err)
		}
		header := pre.Header{Record: string(second), Owner: w.recipient(owner.Name()), Type: "lab", Author: string(author.Name())}
		e, index, err := new(pre.Encapsulator).Encapsulate(header, []byte("index"))
		if err != nil {
			t.Fatal(err)
		}
		w.mustSubmit(author, record.Contract, record.MethodPut, record.PutArgs{
			ID: second, Owner: owner.Name(), Type: "lab", Version: r.Version, Epoch: r.Epoch, Envelope: e.Bytes(), Payload: r.Payload, Size: r.Size, Dated: r.Dated,
		}, index)
		ref := w.payload(first)
		before := w.holders(ref)
		if err := owner.Erase(w.ctx, first); err != nil {
			t.Fatal(err)
		}
		w.put(author, owner.Name(), "lab", "something else, so that everybody has seen the erasure")
		w.quiet()
		if got := w.holders(ref); !slices.Equal(got, before) {
			t.Errorf("payload of a live record is on %q, was on %q", got, before)
		}
		if err := owner.Erase(w.ctx, second); err != nil {
			t.Fatal(err)
		}
		w.until("nobody has the payload", func() bool { return len(w.holders(ref)) == 0 })
	})
}

// TestEmergency opens a record without a grant on the word of two clinicians.
func TestEmergency(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner := w.person("dr.chen@east", "author"), w.person("p-1@north")
		first, second := w.person("dr.lee@south", identity.Emergency), w.person("dr.diaz@west", identity.Emergency)
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		draft, err := first.DraftEmergency(owner.Name(), []record.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		approval, err := second.Approve(draft)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := first.Emergency(w.ctx, owner.Name(), []record.ID{id}, ward.Purpose{
			Code: consent.BreakGlass, Reason: "unconscious", Draft: draft, Approvals: []consent.Approval{approval},
		})
		if err != nil || len(opened) != 1 || opened[0].Title != "a title" {
			t.Fatalf("%d opened, %v", len(opened), err)
		}
	})
}
