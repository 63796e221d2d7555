package replica

import (
	"cmp"
	"slices"
	"time"

	"github.com/ward-health/ward/chain"
)

// turns says which members are asked, in order, for what comes next on a way of many
// requests: first the one that was asked last, as long as its answers hold as much as
// they can and do not take long, then those that made this replica wait the least for what
// they gave. So a member that sends little at a time, as slowly as it may, adds no more to
// the way than the others need for what it gave, and one answer.
type turns struct {
	first int    // number of the member that is asked first if nothing is known of any
	keep  string // the one asked last, if it is asked again
	paces map[string]pace
}

// pace is how long this replica waited for a member's answers, and how many headers or
// blocks they gave.
type pace struct {
	waited time.Duration
	got    uint64
}

// slowAnswer is after how many heartbeats an answer has taken long.
const slowAnswer = 2

func (t *turns) order(members []chain.Member) []string {
	names := make([]string, len(members))
	for i := range members {
		names[i] = members[(t.first+i)%len(members)].Name
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(t.cost(a), t.cost(b)) })
	return names
}

// cost is the time that one header or block of a member takes, 0 of one that was not asked.
func (t *turns) cost(member string) float64 {
	if member == t.keep {
		return -1
	}
	p := t.paces[member]
	return p.waited.Seconds() / float64(p.got+1)
}

// note says how long an answer took, what it gave, and whether that was as much as it
// could hold.
func (t *turns) note(member string, took time.Duration, got uint64, full bool, heartbeat time.Duration) {
	if t.paces == nil {
		t.paces = map[string]pace{}
	}
	p := t.paces[member]
	t.paces[member] = pace{p.waited + took, p.got + got}
	t.keep = ""
	if full && took <= slowAnswer*heartbeat {
		t.keep = member
	}
}
