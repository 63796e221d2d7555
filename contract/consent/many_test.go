package consent_test

import (
	"testing"
	"time"

	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
)

// TestOneOwnerCannotFillACeremony: every ceremony moves all live grants, so an
// owner has only so many, until one is revoked, renewed, used up or expires.
func TestOneOwnerCannotFillACeremony(t *testing.T) {
	w := newWorld(t)
	soon := w.now() + time.Hour.Milliseconds()
	w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{NotAfter: soon}})
	w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{NotAfter: soon}})
	once := w.grant(patient, reader, "clinical", terms{Conditions: consent.Conditions{MaxUses: 1}})
	for range consent.MaxLive - 4 {
		w.must(w.offer(patient, reader, "clinical", terms{}).send())
	}
	more := func() *offer { return w.offer(patient, reader, "clinical", terms{}) }
	last := more()
	w.must(last.send())
	full := func(when string) {
		t.Helper()
		if got := more().send().Code; got != consent.ErrTooMany {
			t.Fatalf("%s: another grant: %q", when, got)
		}
	}
	full("at the limit")
	w.must(w.offer(other, reader, "clinical", terms{}).send())

	renewal := more()
	renewal.args.Renews = last.id
	w.must(renewal.send())
	full("after a renewal")
	w.revoke(renewal.id)
	w.must(more().send())
	full("after one was revoked and another made")

	w.must(w.access(w.ask(once, w.put(patient, "clinical", 1))))
	full("while the used-up grant is answered")
	w.wait(consent.AnswerWindow + time.Minute) // and the first two expire
	for range 3 {
		w.must(more().send())
	}
	full("after two expired and one was used up")

	live, ended := 0, 0
	err := consent.Live(w.of(consent.Contract), w.now(), "", func(g keys.LiveGrant) bool {
		if g.Ended {
			ended++
		} else {
			live++
		}
		return true
	})
	if err != nil || live != consent.MaxLive+1 || ended != 3 {
		t.Errorf("%d grants live, %d ended, %v", live, ended, err)
	}
}
