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
		return r.Member == by.Member.Name || r.lapsed(call.Time)
	})
	id.withdraw(by.Member.Name)
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
	id.withdraw(by.Member.Name)
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
	if r.backed(call.Consortium) < call.Consortium.KeyThreshold {
		return nil, ErrApprovals
	}
	if call.Consortium.MemberByKey(r.Key) != nil {
		return nil, ErrTaken
	}
	// What the lost key could open is not for whoever finds it.
	id.Key, id.Controller, id.Recoveries = r.Key, "", nil
	id.Epoch++
	return id, nil
}

func veto(_ *ledger.Call, by Caller, _ *VetoArgs) (*Identity, error) {
	id := by.Identity
	if len(id.Recoveries) == 0 {
		return nil, ErrRecovery
	}
	id.Recoveries = nil
	return id, nil
}

// recovery returns the one for a key, or nil.
func (i *Identity) recovery(key chain.PublicKey, time int64) *Recovery {
	for j := range i.Recoveries {
		if r := &i.Recoveries[j]; r.Key == key && !r.lapsed(time) {
			return r
		}
	}
	return nil
}

// withdraw takes a member's word back from every recovery, and drops those that
// nobody stands by any more.
func (i *Identity) withdraw(member string) {
	for j := range i.Recoveries {
		r := &i.Recoveries[j]
		r.Approvals = slices.DeleteFunc(r.Approvals, func(m string) bool { return m == member })
	}
	i.Recoveries = slices.DeleteFunc(i.Recoveries, func(r Recovery) bool { return len(r.Approvals) == 0 })
}

func (r *Recovery) lapsed(time int64) bool { return time > r.Ready+RecoveryWindow }

// backed returns how many members in force approve.
func (r *Recovery) backed(k *chain.Consortium) int {
	n := 0
	for _, m := range r.Approvals {
		if k.Member(m) != nil {
			n++
		}
	}
	return n
}
