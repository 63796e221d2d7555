package query

import (
	"errors"

	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
)

// KeyRequests asks for what guardians asked of an owner's keys. The answer is
// []keys.KeyRequest.
type KeyRequests struct {
	_     struct{} `cbor:",toarray"`
	Owner identity.Name
	After uint64
	Limit int
}

// Kind implements Question.
func (KeyRequests) Kind() string { return "key-requests" }

func (q KeyRequests) check() error {
	return errors.Join(checkName(q.Owner), checkPage(q.After, q.Limit))
}

func (q KeyRequests) run(s state) (any, error) {
	p := newPage[keys.KeyRequest](q.Limit)
	err := keys.EachRequest(s.of(keys.Contract), q.Owner, q.After, p.add)
	return p.list(err)
}
