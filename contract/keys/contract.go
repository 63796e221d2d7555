package keys

import (
	"crypto/ecdh"
	"errors"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

type contract struct {
	live   Live
	writes int // writesPerTx, unless a test says otherwise
	replay replayer
}

// New returns the contract. It is safe for concurrent use by several executors.
func New(live Live) ledger.Contract { return &contract{live: live, writes: writesPerTx} }

// Apply implements ledger.Contract.
func (c *contract) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	caller, err := identity.Authorize(call, Contract, method)
	if errors.Is(err, identity.ErrDenied) {
		return nil, ErrDenied
	}
	if err != nil {
		return nil, err
	}
	switch method {
	case MethodPost:
		return c.post(call, args)
	case MethodRequest:
		return request(call, caller.Identity, args)
	case MethodAnnounce:
		return announce(call, caller.Member, args)
	case MethodOpen:
		return c.open(call, args)
	case MethodClose:
		return c.closePhase(call, caller.Member, args)
	}
	return nil, ErrDenied
}

func parse(args []byte, v any) error {
	if decode(args, v) != nil {
		return ErrMalformed
	}
	return nil
}

func decode(b []byte, v any) error { return chain.Unmarshal(b, v) }

func announce(call *ledger.Call, member *chain.Member, raw []byte) ([]byte, error) {
	var args AnnounceArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	if !ValidTransport(args.Transport) {
		return nil, ErrMalformed
	}
	return nil, call.State.Set([]byte(keyTransport+member.Name), args.Transport)
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

func request(call *ledger.Call, who *identity.Identity, raw []byte) ([]byte, error) {
	var args RequestArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	if _, err := pre.ParseType(string(args.Type)); err != nil || args.Inbox && args.Type != "" || !ValidTransport(args.Transport) {
		return nil, ErrMalformed
	}
	p, _, err := InForce(call.State, call.Consortium)
	if err != nil {
		return nil, err
	}
	id, err := who.Recipient(call.Chain, p)
	if err != nil {
		return nil, err
	}
	if args.Epoch > id.Epoch {
		return nil, ErrEpoch
	}
	id.Epoch = args.Epoch
	return chain.Marshal(RequestResult{Identity: id.Description()})
}

// InForce returns the consortium's extraction key and the authority that holds
// its shares, or ErrNoKey unless there are both and they are of one key.
func InForce(r ledger.Reader, k *chain.Consortium) (pre.PublicKey, *Authority, error) {
	a, err := Current(r)
	if err != nil {
		return pre.PublicKey{}, nil, err
	}
	if a == nil || len(k.ExtractionKey) == 0 {
		return pre.PublicKey{}, nil, ErrNoKey
	}
	p, err := pre.ParsePublicKey(k.ExtractionKey)
	if err != nil {
		return pre.PublicKey{}, nil, err
	}
	s, err := a.Sharing()
	if err != nil {
		return pre.PublicKey{}, nil, err
	}
	if !s.Key().Equal(p) {
		return pre.PublicKey{}, nil, ErrNoKey
	}
	return p, a, nil
}
