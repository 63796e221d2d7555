package identity

import (
	"slices"
	"strings"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
)

func openRecovery(call *ledger.Call, by Caller, a *RecoverArgs) (*Identity, error) {
	id, err := Lookup(call.State, a.Name)
	if err != nil {
		return nil, err
	}
	id.Recoveries = slices.DeleteFunc(id.Recoveries, func(r Recovery) bool {
		return r.Member == by.Member.Name || lapsed(r.Ready, call.Time)
	})
	id.Recoveries = withdraw(id.Recoveries, by.Member.Name)
	id.Recoveries = append(id.Recoveries, Recovery{
		Member: by.Member.Name, Key: a.Key, Opened: call.Time, Ready: call.Time + a.Wait, Approvals: []string{by.Member.Name},
	})
	slices.SortFunc(id.Recoveries, func(a, b Recovery) int { return strings.Compare(a.Member, b.Member) })
	return id, claim(call, MethodRecover, a.Name, a.Key, a.Possession)
}

func approve(call *ledger.Call, by Caller, a *NameArgs) (*Identity, error) {
	id, err := Lookup(call.State, a.Name)
	if err != nil {
		return nil, err
	}
	r := id.recovery(a.Key, call.Time)
	switch {
	case r == nil:
		return nil, ErrRecovery
	case slices.Contains(r.Approvals, by.Member.Name):
		return id, nil
	}
	id.Recoveries = withdraw(id.Recoveries, by.Member.Name)
	r = id.recovery(a.Key, call.Time)
	r.Approvals = append(r.Approvals, by.Member.Name)
	slices.Sort(r.Approvals)
	return id, nil
}

func finish(call *ledger.Call, _ Caller, a *NameArgs) (*Identity, error) {
	id, err := Lookup(call.State, a.Name)
	if err != nil {
		return nil, err
	}
	r := id.recovery(a.Key, call.Time)
	if r == nil {
		return nil, ErrRecovery
	}
	if call.Time < r.Ready {
		return nil, ErrEarly
	}
	if backed(r.Approvals, call.Consortium) < call.Consortium.KeyThreshold {
		return nil, ErrApprovals
	}
	if call.Consortium.MemberByKey(r.Key) != nil {
		return nil, ErrTaken
	}
	// What the lost key could open is not for whoever finds it.
	id.Key, id.Controller, id.Recoveries = r.Key, "", nil
	id.Guardians, id.Proposals = nil, nil // perhaps the finder named some
	id.Epoch++
	return id, nil
}

func veto(_ *ledger.Call, by Caller, _ *VetoArgs) (*Identity, error) {
	id := by.Identity
	if len(id.Recoveries) == 0 && len(id.Proposals) == 0 {
		return nil, ErrRecovery
	}
	id.Recoveries, id.Proposals = nil, nil
	return id, nil
}

// recovery returns the one for a key, or nil.
func (i *Identity) recovery(key chain.PublicKey, time int64) *Recovery {
	for j := range i.Recoveries {
		if r := &i.Recoveries[j]; r.Key == key && !lapsed(r.Ready, time) {
			return r
		}
	}
	return nil
}

// A ballot is what members put their word to: a Recovery or a Proposal.
type ballot[T any] interface {
	*T
	words() *[]string
}

func (r *Recovery) words() *[]string { return &r.Approvals }
func (p *Proposal) words() *[]string { return &p.Approvals }

// withdraw takes a member's word back from every ballot, and drops those that
// nobody stands by any more.
func withdraw[T any, B ballot[T]](list []T, member string) []T {
	for j := range list {
		w := B(&list[j]).words()
		*w = slices.DeleteFunc(*w, func(m string) bool { return m == member })
	}
	return slices.DeleteFunc(list, func(b T) bool { return len(*B(&b).words()) == 0 })
}

// lapsed reports whether what was ready at a time was not finished in its window.
func lapsed(ready, time int64) bool { return time > ready+RecoveryWindow }

// backed returns how many members in force approve.
func backed(approvals []string, k *chain.Consortium) int {
	n := 0
	for _, m := range approvals {
		if k.Member(m) != nil {
			n++
		}
	}
	return n
}
