package admin

import (
	"testing"

	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/dkg"
	"github.com/ward-health/ward/node"
)

// TestCeremonyOfAHandOverSaysHowFarItIs, while a part runs and between two.
func TestCeremonyOfAHandOverSaysHowFarItIs(t *testing.T) {
	grants := []dkg.Secret{{Use: dkg.UseGrant, Label: "g", Threshold: 3}}
	withKeys := append([]dkg.Secret{{Use: dkg.UseCheckpoint, Threshold: 3}, {Use: dkg.UseIdentity, Threshold: 3}}, grants...)
	pending := &keys.Handover{Generation: 2, Keys: 3, Certify: 3, Parts: 4, Moved: 400}
	for name, c := range map[string]struct {
		state   keys.State
		secrets []dkg.Secret
		pending *keys.Handover
		want    string
		part    uint32
	}{
		"a part runs":              {keys.Handing, grants, pending, "handing over", 5},
		"without new grants":       {keys.Running, grants, pending, "handing over", 5},
		"between two parts":        {keys.Completed, grants, pending, "handing over", 4},
		"while it may be late":     {keys.Active, grants, pending, "handing over", 4},
		"it is to be tried again":  {keys.Aborted, grants, pending, "handing over", 5},
		"the last part runs":       {keys.Running, withKeys, pending, "running", 5},
		"the last part is done":    {keys.Completed, withKeys, nil, "completed", 0},
		"a part of the past":       {keys.Completed, grants, &keys.Handover{Generation: 9}, "handing over", 0},
		"a ceremony by itself":     {keys.Running, withKeys, nil, "running", 0},
		"that was given up":        {keys.Aborted, withKeys, nil, "aborted", 0},
		"the last part is to come": {keys.Preparing, nil, pending, "preparing", 0},
	} {
		p := &node.Proposal{Ceremony: &keys.Ceremony{Number: 7, State: c.state, Grants: 100}, Handover: c.pending}
		if c.secrets != nil {
			p.About = &dkg.Ceremony{Generation: 2, Secrets: c.secrets}
		}
		got := ceremonyOf(p)
		if got.State != c.want || got.Part != c.part || c.part > 0 && (got.Moved != 400 || got.KeyThreshold != 3 || got.CheckpointThreshold != 3) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
