package identity

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/pre"
)

// New returns the contract.
func New() ledger.Contract { return contract{} }

type contract struct{}

// Apply implements ledger.Contract. Results are empty.
func (contract) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	switch method {
	case MethodRegister:
		return run(call, method, args, register)
	case MethodAttest:
		return run(call, method, args, attest)
	case MethodHandOver:
		return run(call, method, args, handOver)
	case MethodRotate:
		return run(call, method, args, rotate)
	case MethodEpoch:
		return run(call, method, args, raiseEpoch)
	case MethodCustody:
		return run(call, method, args, takeCustody)
	case MethodCustodyOff:
		return run(call, method, args, leaveCustody)
	case MethodGuardian:
		return run(call, method, args, nameGuardian)
	case MethodEndGuardian:
		return run(call, method, args, endGuardian)
	case MethodApproveGuardian:
		return run(call, method, args, approveGuardian)
	case MethodFinishGuardian:
		return run(call, method, args, finishGuardian)
	case MethodRecover:
		return run(call, method, args, openRecovery)
	case MethodApprove:
		return run(call, method, args, approve)
	case MethodFinish:
		return run(call, method, args, finish)
	case MethodVeto:
		return run(call, method, args, veto)
	case MethodAuthority:
		return nil, publish(call, args)
	}
	return nil, ErrDenied
}

// arguments are a pointer to the arguments of a method.
type arguments[A any] interface {
	*A
	check() error // what can be said of them alone
}

// run parses the arguments of a method, authorizes the signer, and stores the
// identity that fn returns.
func run[A any, P arguments[A]](call *ledger.Call, method string, args []byte, fn func(*ledger.Call, Caller, P) (*Identity, error)) ([]byte, error) {
	a := P(new(A))
	if chain.Unmarshal(args, a) != nil || a.check() != nil {
		return nil, ErrMalformed
	}
	by, err := Authorize(call, Contract, method)
	if err != nil {
		return nil, err
	}
	id, err := fn(call, by, a)
	if err != nil {
		return nil, err
	}
	id.Changed = call.Index
	value, err := chain.Marshal(id)
	if err != nil {
		return nil, err
	}
	if err := call.State.Set(nameKey(id.Name), value); err != nil {
		return nil, err
	}
	call.Emit(EventChanged, value)
	return nil, nil
}

func register(call *ledger.Call, by Caller, a *RegisterArgs) (*Identity, error) {
	if by.org() != a.Name.Org() || by.Member == nil && len(reserved(a.Attributes)) > 0 {
		return nil, ErrDenied
	}
	switch _, err := Lookup(call.State, a.Name); {
	case err == nil:
		return nil, ErrTaken
	case !errors.Is(err, ErrUnknown):
		return nil, err
	}
	id := &Identity{Name: a.Name, Key: a.Key, Registered: call.Index, Attributes: a.Attributes}
	if a.Controller {
		id.Controller = a.Name.Org()
	}
	return id, claim(call, MethodRegister, a.Name, a.Key, a.Possession)
}

func attest(call *ledger.Call, by Caller, a *AttestArgs) (*Identity, error) {
	if by.org() != a.Name.Org() {
		return nil, ErrDenied
	}
	id, err := Lookup(call.State, a.Name)
	if err != nil {
		return nil, err
	}
	if by.Member == nil && !slices.Equal(reserved(a.Attributes), reserved(id.Attributes)) {
		return nil, ErrDenied
	}
	id.Attributes = a.Attributes
	return id, nil
}

func handOver(call *ledger.Call, by Caller, a *HandOverArgs) (*Identity, error) {
	id := by.Identity
	if id.Controller == "" {
		return nil, ErrController
	}
	id.Key, id.Controller, id.Recoveries = a.Key, "", nil
	id.Guardians, id.Proposals = nil, nil // of one hospital's naming; now they take a quorum, or her word
	return id, claim(call, MethodHandOver, id.Name, a.Key, a.Possession)
}

func rotate(call *ledger.Call, by Caller, a *RotateArgs) (*Identity, error) {
	id := by.Identity
	id.Key, id.Recoveries = a.Key, nil
	return id, claim(call, MethodRotate, id.Name, a.Key, a.Possession)
}

func raiseEpoch(_ *ledger.Call, by Caller, a *EpochArgs) (*Identity, error) {
	id := by.Identity
	if a.From != id.Epoch {
		return nil, ErrEpoch
	}
	id.Epoch++
	return id, nil
}

func takeCustody(call *ledger.Call, by Caller, a *CustodyArgs) (*Identity, error) {
	id := by.Identity
	if id.Controller != "" {
		return nil, ErrController // custody by a hospital would keep nothing from hospitals
	}
	if len(call.Consortium.ExtractionKey) == 0 {
		return nil, ErrNoKey
	}
	authority, err := pre.ParsePublicKey(call.Consortium.ExtractionKey)
	if err != nil {
		return nil, ErrNoKey
	}
	key, err := authority.SelfCustody(call.Chain, string(id.Name), id.Custodies+1, a.Proof)
	if err != nil {
		return nil, ErrPossession
	}
	id.Custodies++
	id.Version, id.Custody = id.Custodies, key.Bytes()
	return id, nil
}

func leaveCustody(_ *ledger.Call, by Caller, a *CustodyOffArgs) (*Identity, error) {
	id := by.Identity
	if id.Version == 0 || a.From != id.Version {
		return nil, ErrCustody
	}
	id.Version, id.Custody = 0, nil
	// Without it her keys and grants of before she took custody would open what
	// is written from now on: a typed key depends on the epoch, not the version.
	id.Epoch++
	return id, nil
}

// claim makes key the name's for ever, whatever becomes of it: a key that was
// proposed for one name never signs for another, nor twice for the same.
func claim(call *ledger.Call, use string, name Name, key chain.PublicKey, possession []byte) error {
	if call.Consortium.MemberByKey(key) != nil {
		return ErrTaken
	}
	owner, err := call.State.Get(keyKey(key))
	if err != nil {
		return err
	}
	if owner != nil {
		return ErrTaken
	}
	statement := PossessionStatement(call.Chain, use, name, key)
	if anyone(key, statement) || !key.Verify(statement, possession) {
		return ErrPossession
	}
	return call.State.Set(keyKey(key), []byte(name))
}

// anyone reports whether everybody can sign with the key, as with one of small
// order: under the rules of ZIP 215 the signature R = 1, s = 0 holds for such
// keys, and for others with probability 2^-252.
func anyone(key chain.PublicKey, message []byte) bool {
	forged := make([]byte, 64)
	forged[0] = 1
	return key.Verify(message, forged)
}

// org returns the organisation that the caller speaks for.
func (c Caller) org() string {
	if c.Member != nil {
		return c.Member.Name
	}
	return c.Identity.Name.Org()
}

// reserved returns the entries that only the member itself makes and changes:
// those with which one sees or opens what no owner granted. A registrar's wallet
// is on somebody's desk.
func reserved(attributes []Attribute) []Attribute {
	return slices.DeleteFunc(slices.Clone(attributes), func(a Attribute) bool {
		return a.Name != Registrar && a.Name != Emergency && a.Name != Reviewer && a.Name != Auditor
	})
}

func (a *RegisterArgs) check() error {
	return errors.Join(checkName(a.Name), checkAttributes(a.Attributes))
}
func (a *AttestArgs) check() error {
	return errors.Join(checkName(a.Name), checkAttributes(a.Attributes))
}
func (a *HandOverArgs) check() error   { return nil }
func (a *RotateArgs) check() error     { return nil }
func (a *EpochArgs) check() error      { return nil }
func (a *CustodyArgs) check() error    { return nil }
func (a *CustodyOffArgs) check() error { return nil }
func (a *VetoArgs) check() error       { return nil }
func (a *NameArgs) check() error       { return checkName(a.Name) }

func (a *RecoverArgs) check() error {
	if a.Wait < MinRecoveryWait || a.Wait > MaxRecoveryWait {
		return ErrMalformed
	}
	return checkName(a.Name)
}

func checkName(n Name) error {
	_, err := ParseName(string(n))
	return err
}

func checkAttributes(attributes []Attribute) error {
	if len(attributes) > MaxAttributes {
		return ErrMalformed
	}
	for i, a := range attributes {
		if len(a.Name) == 0 || len(a.Name) > maxLocal || a.Name[0] < 'a' || a.Name[0] > 'z' || !validAttribute(a.Name, "") ||
			!validAttribute(a.Value, ".") || len(a.Value) > maxLocal || a.Until < 0 {
			return ErrMalformed
		}
		if i > 0 && compare(attributes[i-1], a) >= 0 {
			return ErrMalformed
		}
	}
	return nil
}

// Sorted returns attributes in the order in which transactions carry them. It
// leaves the list as it was.
func Sorted(attributes []Attribute) []Attribute {
	return slices.SortedFunc(slices.Values(attributes), compare)
}

func compare(a, b Attribute) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
}

// validAttribute reports whether s consists of a–z, 0–9, '_', '-' and more.
func validAttribute(s, more string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && !strings.ContainsRune(more, c)
	})
}
