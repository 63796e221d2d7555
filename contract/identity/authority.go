package identity

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

// MethodAuthority publishes the attribute authority of the member that signs.
const MethodAuthority = "authority" // AuthorityArgs, by a member

// EventAuthority tells subscribers of an authority that was published; its data
// is the Authority without Raw.
const EventAuthority = "identity/authority"

// ErrNoAuthority says that a member has published no such authority.
const ErrNoAuthority chain.Code = "identity/no-authority"

// AuthorityArgs publish an attribute authority for its next epoch.
type AuthorityArgs struct {
	_         struct{} `cbor:",toarray"`
	Authority []byte   // abe.Authority by the name of the member, of the epoch after the last one, 1 for the first
}

// An Authority is what a member publishes for grants to the attributes of its
// staff. That the chain has it, in its order, is what makes one the current.
type Authority struct {
	_     struct{} `cbor:",toarray"`
	Name  string   // of the member
	Epoch uint64
	ID    [32]byte // of abe.Ref
	Index uint64   // leaf index of its publication
	Time  int64    // block time, Unix milliseconds
	Raw   []byte   // abe.Authority; empty where only the reference is meant, and for an epoch of the past
}

// Ref returns the reference that grants carry.
func (a *Authority) Ref() abe.Ref { return abe.Ref{Name: a.Name, Epoch: a.Epoch, ID: a.ID} }

// What the keys of authorities begin with. Part of the format.
const (
	prefixAuthority = "a/" // member: Authority of the current epoch, without Raw
	prefixPublished = "b/" // member: abe.Authority of the current epoch
	prefixEpoch     = "e/" // member, zero byte, epoch [8]: Authority, without Raw
)

func authorityKey(prefix, name string) []byte { return append([]byte(prefix), name...) }

func epochKey(name string, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefixEpoch+name+"\x00"), epoch)
}

// CurrentAuthority returns the authority of a member in its current epoch,
// without Raw, or ErrNoAuthority. r reads the contract's namespace, here and
// below.
func CurrentAuthority(r ledger.Reader, member string) (*Authority, error) {
	return loadAuthority(r, authorityKey(prefixAuthority, member))
}

// LookupAuthority returns the authority of a member in an epoch, 0 meaning the
// current one, or ErrNoAuthority. Of epochs of the past Raw is empty.
func LookupAuthority(r ledger.Reader, member string, epoch uint64) (*Authority, error) {
	now, err := CurrentAuthority(r, member)
	if err != nil {
		return nil, err
	}
	if epoch != 0 && epoch != now.Epoch {
		return loadAuthority(r, epochKey(member, epoch))
	}
	if now.Raw, err = r.Get(authorityKey(prefixPublished, member)); err != nil {
		return nil, err
	}
	return now, nil
}

func loadAuthority(r ledger.Reader, key []byte) (*Authority, error) {
	value, err := r.Get(key)
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, ErrNoAuthority
	}
	a := new(Authority)
	return a, chain.Unmarshal(value, a)
}

// publish is the method authority.
func publish(call *ledger.Call, args []byte) error {
	var a AuthorityArgs
	if chain.Unmarshal(args, &a) != nil {
		return ErrMalformed
	}
	parsed, err := abe.ParseAuthority(a.Authority)
	if err != nil {
		return ErrMalformed
	}
	by, err := Authorize(call, Contract, MethodAuthority)
	if err != nil {
		return err
	}
	ref := parsed.Ref()
	if by.Member == nil || ref.Name != by.Member.Name {
		return ErrDenied
	}
	last, err := CurrentAuthority(call.State, ref.Name)
	switch {
	case err == ErrNoAuthority:
		last = new(Authority)
	case err != nil:
		return err
	}
	if ref.Epoch != last.Epoch+1 {
		return ErrEpoch
	}
	value, err := chain.Marshal(&Authority{Name: ref.Name, Epoch: ref.Epoch, ID: ref.ID, Index: call.Index, Time: call.Time})
	if err != nil {
		return err
	}
	for _, e := range []struct{ key, value []byte }{
		{authorityKey(prefixAuthority, ref.Name), value},
		{authorityKey(prefixPublished, ref.Name), a.Authority},
		{epochKey(ref.Name, ref.Epoch), value},
	} {
		if err := call.State.Set(e.key, e.value); err != nil {
			return err
		}
	}
	call.Emit(EventAuthority, value)
	return nil
}

// Certified returns the attributes that hold at a block time, as policies speak
// of them: "role = physician" of an identity of north is "north:role =
// physician", an attribute with no value is a flag. What policies have no
// spelling for is left out: no clause can be about it.
//
// It fails if an attribute is there both as a flag and with a value, or if the
// attributes are too long for a policy's: then they satisfy nothing, because
// what is left out would satisfy a "not". That the organisation is still a
// member is for the caller to see.
func (i *Identity) Certified(time int64) (abe.Attributes, error) {
	org := i.Name.Org()
	var texts []string
	for _, a := range i.Attributes {
		if a.Until != 0 && time > a.Until {
			continue
		}
		text := org + ":" + a.Name
		if a.Value != "" {
			text += " = " + a.Value
		}
		texts = append(texts, text)
	}
	all, err := abe.ParseAttributes(strings.Join(texts, ", "))
	if err == nil {
		return all, nil
	}
	texts = slices.DeleteFunc(texts, func(text string) bool {
		_, err := abe.ParseAttributes(text)
		return err != nil
	})
	return abe.ParseAttributes(strings.Join(texts, ", "))
}

// Satisfies reports whether the identity satisfies a policy at a block time:
// its organisation is a member of k and an authority of the policy, and the
// attributes that it attests satisfy that authority's part, as a key with these
// attributes would.
func (i *Identity) Satisfies(k *chain.Consortium, p *abe.Policy, time int64) bool {
	if k.Member(i.Name.Org()) == nil {
		return false
	}
	part, err := p.Part(i.Name.Org())
	if err != nil || part == nil {
		return false
	}
	attributes, err := i.Certified(time)
	return err == nil && part.Evaluate(attributes)
}
