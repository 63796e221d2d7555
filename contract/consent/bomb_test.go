package consent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/wire"
	"github.com/ward-health/ward/pre"
)

// audience is a recipient that somebody wrote by hand.
type audience []byte

func (a audience) Description() []byte { return a }
func (a audience) SelfCustody() bool   { return false }
func (a audience) SealHalf([]byte, [32]byte) ([]byte, error) {
	return []byte("nothing that opens"), nil
}

// handwritten describes any text as a policy over current authorities.
func (w *world) handwritten(policy string, authorities ...string) audience {
	w.Helper()
	b := wire.NewWriter("ward/policy/v1")
	b.String(policy)
	b.Uint8(uint8(len(authorities)))
	for _, name := range authorities {
		now, err := identity.CurrentAuthority(w.of(identity.Contract), name)
		if err != nil {
			w.Fatal(err)
		}
		b.String(name)
		b.Uint64(now.Epoch)
		b.Raw(now.ID[:])
	}
	return b.Sum()
}

// TestAPolicyBombIsRefused: policies beyond their limits, and texts that are
// none, do not get on the chain; the largest that do are judged in their time.
func TestAPolicyBombIsRefused(t *testing.T) {
	w := policyWorld(t)
	offer := func(policy string, authorities ...string) *offer {
		return w.offer(patient, "", "clinical", terms{to: w.handwritten(policy, authorities...)})
	}
	deep := func(n int) string { return strings.Repeat("not (north:a and ", n) + "north:b" + strings.Repeat(")", n) }
	wide := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("south:c%02d", i))
		}
		return strings.Join(list, " or ")
	}
	for what, c := range map[string]struct {
		policy      string
		authorities []string
	}{
		"too deep":                 {deep(17), []string{"north"}},
		"too many clauses":         {wide(65), []string{"south"}},
		"too long":                 {"south:" + strings.Repeat("a", 5000), []string{"south"}},
		"no policy":                {"", []string{"south"}},
		"no authority":             {"role", nil},
		"one authority too few":    {"north:role or south:role", []string{"south"}},
		"one too many":             {"south:role", []string{"north", "south"}},
		"two hospitals by and":     {"north:role and south:role", []string{"north", "south"}},
		"two hospitals, 2 of 2":    {"2 of (north:role, south:role, south:dept)", []string{"north", "south"}},
		"not canonical":            {"(south:role)", []string{"south"}},
		"authorities out of order": {"north:role or south:role", []string{"south", "north"}},
	} {
		if got := offer(c.policy, c.authorities...).send().Code; got != consent.ErrMalformed {
			t.Errorf("%s: code is %q", what, got)
		}
	}
	largest := offer(wide(64), "south")
	w.must(largest.send())
	w.accept(largest.id, w.authority().Members...)
	w.refused(w.access(w.ask(largest.id, w.put(patient, "clinical", 1))), consent.ErrPolicy)
}

// full gives an identity as many attributes as there can be, as long as they can
// be, of which the last is the flag c63.
func (w *world) full(name identity.Name) {
	var list []identity.Attribute
	list = append(list, identity.Attribute{Name: "c63"})
	for i := range identity.MaxAttributes - 1 {
		list = append(list, identity.Attribute{Name: fmt.Sprintf("d%02d%s", i, strings.Repeat("x", 20)), Value: strings.Repeat("v", 48)})
	}
	w.must(w.run(name.Org(), identity.Contract, identity.MethodAttest, identity.AttestArgs{Name: name, Attributes: list}, nil))
}

// BenchmarkAccessByPolicy is of the largest policy for who has as many
// attributes as there can be, beside one by name.
func BenchmarkAccessByPolicy(b *testing.B) {
	w := policyWorld(b)
	id := w.put(patient, "clinical", 1)
	var clauses []string
	for i := range 64 {
		clauses = append(clauses, fmt.Sprintf("south:c%02d", i))
	}
	w.full(reader)
	for _, x := range []struct {
		name string
		to   pre.Recipient
	}{{"largest", w.handwritten(strings.Join(clauses, " or "), "south")}, {"short", w.handwritten("south:c63", "south")}, {"named", nil}} {
		o := w.offer(patient, reader, "clinical", terms{to: x.to})
		if x.to != nil {
			o.args.Recipient = ""
		}
		w.must(o.send())
		w.accept(o.id, w.authority().Members...)
		b.Run(x.name, func(b *testing.B) { w.apply(b, string(reader), consent.MethodAccess, w.ask(o.id, id)) })
	}
}

// BenchmarkGrantToAPolicy is of the largest policy, and of one to a name.
func BenchmarkGrantToAPolicy(b *testing.B) {
	w := policyWorld(b)
	var clauses []string
	for i := range 64 {
		clauses = append(clauses, fmt.Sprintf("south:c%02d", i))
	}
	large := w.offer(patient, "", "clinical", terms{to: w.handwritten(strings.Join(clauses, " or "), "south")})
	b.Run("largest", func(b *testing.B) { w.apply(b, string(patient), consent.MethodGrant, large.args) })
	b.Run("named", func(b *testing.B) {
		w.apply(b, string(patient), consent.MethodGrant, w.offer(patient, reader, "clinical", terms{}).args)
	})
}

// BenchmarkSatisfies is what a policy costs an access without the rest.
func BenchmarkSatisfies(b *testing.B) {
	w := policyWorld(b)
	w.full(reader)
	id := w.identity(reader)
	var clauses []string
	for i := range 64 {
		clauses = append(clauses, fmt.Sprintf("south:c%02d", i))
	}
	text := strings.Join(clauses, " or ")
	for b.Loop() {
		p, err := abe.ParsePolicy(text)
		if err != nil || !id.Satisfies(w.c.Consortium, p, w.now()) {
			b.Fatal(err)
		}
	}
}
