package keys

import (
	"bytes"
	"crypto/ecdh"
	"errors"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

type contract struct {
	live   Live
	limits Limits
	replay replayer
}

// New returns the contract. It is safe for concurrent use by several executors.
func New(live Live) ledger.Contract { return NewWithTestingLimits(live, rules) }

// NewWithTestingLimits is New with other limits, so that a test needs few grants
// for many parts. A chain that anybody relies on has those of New.
func NewWithTestingLimits(live Live, limits Limits) ledger.Contract {
	return &contract{live: live, limits: limits}
}

// Apply implements ledger.Contract.
func (c *contract) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	switch method {
	case MethodPost:
		return c.post(call, args)
	case MethodRequest:
		return request(call, args)
	case MethodAnnounce:
		return announce(call, args)
	case MethodOpen:
		return c.open(call, args)
	case MethodClose:
		return c.closePhase(call, args)
	}
	return nil, ErrDenied
}

// authorize returns who signed, or ErrDenied.
func authorize(call *ledger.Call, method string) (identity.Caller, error) {
	caller, err := identity.Authorize(call, Contract, method)
	if errors.Is(err, identity.ErrDenied) {
		return caller, ErrDenied
	}
	return caller, err
}

// member is authorize for methods that only members call.
func member(call *ledger.Call, method string) (*chain.Member, error) {
	caller, err := authorize(call, method)
	if err == nil && caller.Member == nil {
		err = ErrDenied
	}
	return caller.Member, err
}

func parse(args []byte, v any) error {
	if decode(args, v) != nil {
		return ErrMalformed
	}
	return nil
}

func decode(b []byte, v any) error { return chain.Unmarshal(b, v) }

func announce(call *ledger.Call, raw []byte) ([]byte, error) {
	var args AnnounceArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	if !ValidTransport(args.Transport) {
		return nil, ErrMalformed
	}
	m, err := member(call, MethodAnnounce)
	if err != nil {
		return nil, err
	}
	return nil, call.State.Set([]byte(keyTransport+m.Name), args.Transport)
}

// ValidTransport reports whether a public transport key is the canonical
// encoding of a point to which sealing keeps a secret: one of small order gives
// everybody the same key.
func ValidTransport(public []byte) bool {
	if len(public) != 32 || public[31] > 0x7f || public[31] == 0x7f && public[0] >= 0xed && allOnes(public[1:31]) {
		return false
	}
	k, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return false
	}
	// A clamped scalar is a multiple of the cofactor: a point of small order
	// gives zero, which ECDH refuses.
	any := [32]byte{0: 8, 31: 64}
	secret, err := ecdh.X25519().NewPrivateKey(any[:])
	if err != nil {
		return false
	}
	_, err = secret.ECDH(k)
	return err == nil
}

func allOnes(b []byte) bool {
	for _, x := range b {
		if x != 0xff {
			return false
		}
	}
	return true
}

// InForce returns the authority in force and its sharing of the identity key,
// or ErrNoKey unless its key is the extraction key of the consortium file.
func InForce(r ledger.Reader, k *chain.Consortium) (*Authority, *pre.Sharing, error) {
	a, err := Current(r)
	if err != nil {
		return nil, nil, err
	}
	if a == nil || len(k.ExtractionKey) == 0 {
		return nil, nil, ErrNoKey
	}
	s, err := a.Sharing()
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(s.Key().Bytes(), k.ExtractionKey) {
		return nil, nil, ErrNoKey
	}
	return a, s, nil
}
