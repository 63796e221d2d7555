package ward_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre/insecuretrusteddealer"
)

// TestColludingMembersCannotForgeASharing has f+1 members vouch for sharings of
// a key that is theirs: what rests on the consortium file and on the grant does
// not rest on their word.
func TestColludingMembersCannotForgeASharing(t *testing.T) {
	p := meet(t)
	id := p.put("a", []byte("payload"))
	grant := p.grant()
	forged, _, err := insecuretrusteddealer.Deal(4, 3)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		kind string
		edit func([]byte) (any, error)
	}{
		{"of the grant", query.Grant{}.Kind(), func(b []byte) (any, error) {
			var g query.GrantState
			err := chain.Unmarshal(b, &g)
			g.Sharing = forged.Bytes()
			return &g, err
		}},
		{"of the authority", query.Authority{}.Kind(), func(b []byte) (any, error) {
			var a query.AuthorityState
			err := chain.Unmarshal(b, &a)
			a.Identity = forged.Bytes()
			return &a, err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := &liar{Node: p.Node("north")}
			l.forge = func(question []byte, a *query.Answer) error {
				q, err := query.Parse(question)
				if err != nil || q.Kind() != tt.kind {
					return err
				}
				v, err := tt.edit(a.Value)
				if err != nil {
					return err
				}
				if a.Value, err = chain.Marshal(v); err != nil {
					return err
				}
				return p.Vouch(question, a)
			}
			_, err := p.as(readerName, l).Access(p.ctx, grant, []record.ID{id}, treat)
			p.wants(err, ward.ErrIntegrity)
		})
	}
}

// TestPartOfAnotherGenerationIsNobodysFault has a member that is late with a
// ceremony answer for the generation before.
func TestPartOfAnotherGenerationIsNobodysFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		id := p.put("a", []byte("payload"))
		p.grant()
		l := &liar{Node: p.Node("north")}
		l.answers = func(parts *[]ward.Part) error {
			r, err := p.Node("north").Receipt(p.ctx, p.lastAccess())
			if err != nil {
				return err
			}
			tx, err := chain.ParseTx(r.Tx)
			if err != nil {
				return err
			}
			late := &(*parts)[1]
			late.Generation--
			return late.Sign(p.Founding().Chain, tx.ID(), p.Key(late.Member))
		}
		_, err := p.as(readerName, l).Get(p.ctx, id, treat, io.Discard)
		p.wants(err, ward.ErrShares)
		if strings.Contains(p.log.String(), "member=") {
			t.Errorf("a member is blamed: %s", p.log)
		}
	})
}

// TestMemberCannotFrameAnother has a member sign a wrong part with another
// member's number.
func TestMemberCannotFrameAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		id := p.put("a", []byte("payload"))
		p.grant()
		l := &liar{Node: p.Node("north")}
		l.answers = func(parts *[]ward.Part) error {
			forged := (*parts)[0]
			forged.Member, forged.Index, forged.Sealed = "south", 1, []byte("nonsense") // 1 is east
			r, err := p.Node("north").Receipt(p.ctx, p.lastAccess())
			if err != nil {
				return err
			}
			tx, err := chain.ParseTx(r.Tx)
			if err != nil {
				return err
			}
			*parts = append([]ward.Part{forged}, *parts...)
			return (*parts)[0].Sign(p.Founding().Chain, tx.ID(), p.Key("south"))
		}
		if _, err := p.as(readerName, l).Get(p.ctx, id, treat, io.Discard); err != nil {
			t.Error(err)
		}
		if strings.Contains(p.log.String(), "member=") {
			t.Errorf("a member is blamed for what another did: %s", p.log)
		}
	})
}
