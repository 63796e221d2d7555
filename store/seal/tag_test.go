package seal

import (
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

func TestTagStandsInTheOneList(t *testing.T) {
	if identityInfo != pairing.DSTAgeIdentity {
		t.Errorf("the tag here is %q, in the list %q", identityInfo, pairing.DSTAgeIdentity)
	}
}
