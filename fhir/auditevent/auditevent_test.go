package auditevent_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/fhir/auditevent"
)

var at = time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.UTC)

// trail has a line of every kind, and one of a kind of later.
func trail() []ward.Event {
	r := []record.ID{"r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}
	const g = consent.GrantID("g-aaaaaaaaaaaaaaaaaaaaaaaaaa")
	return []ward.Event{
		{Index: 7, Time: at, Kind: "put", By: "lab@north", Records: r},
		{Index: 8, Time: at, Kind: "grant", By: "p-7f3a@north", Grant: g},
		{Index: 9, Time: at, Kind: "access", By: "dr.lee@east", Purpose: consent.Treatment, Records: append(r, "r-baaaaaaaaaaaaaaaaaaaaaaaaa"), Grant: g},
		{Index: 10, Time: at, Kind: "emergency", By: "okafor@west", Purpose: consent.BreakGlass, Records: r},
		{Time: at, Kind: "review", By: "privacy@north", Records: r},
		{Index: 12, Time: at, Kind: "revoke", By: "p-7f3a@north", Grant: g},
		{Index: 13, Time: at, Kind: "request", By: "dr.lee@east", Purpose: consent.Treatment},
		{Time: at, Kind: "erase", By: "p-7f3a@north", Records: r},
		{Index: 15, Time: at, Kind: "handover", By: "p-7f3a@north"},
	}
}

func bundle(t *testing.T, events []ward.Event) []byte {
	t.Helper()
	var out bytes.Buffer
	w := auditevent.NewWriter(&out, at)
	for i := range events {
		e, err := auditevent.New("care.example", "p-7f3a@north", &events[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// shape is what R4 says of an AuditEvent (profiles-resources.json of 4.0.1): the
// elements that we write, each with how often it may be there, and those that
// must. "*" stands for a list.
var shape = map[string]string{
	"": "resourceType! id type! subtype* action recorded! outcome purposeOfEvent* agent*! source! entity*", "type": "system code display", "subtype": "system code display",
	"purposeOfEvent": "coding*", "purposeOfEvent.coding": "system code display",
	"agent": "type who requestor! policy* purposeOfUse*", "agent.type": "coding*", "agent.type.coding": "system code display", "agent.who": "type identifier", "agent.who.identifier": "system value",
	"agent.purposeOfUse": "coding*", "agent.purposeOfUse.coding": "system code display",
	"source": "site observer! type*", "source.observer": "type identifier", "source.observer.identifier": "system value", "source.type": "system code display",
	"entity": "what type role securityLabel* detail*", "entity.what": "type identifier", "entity.what.identifier": "system value", "entity.type": "system code display", "entity.role": "system code display",
	"entity.detail": "type! valueString!",
}

func checkShape(t *testing.T, path string, v map[string]any) {
	t.Helper()
	allowed, ok := shape[path]
	if !ok {
		t.Errorf("R4 has no object %s", path)
	}
	elements := map[string]bool{} // whether it is a list
	for _, e := range strings.Fields(allowed) {
		name := strings.TrimRight(e, "*!")
		elements[name] = strings.Contains(e, "*")
		if _, there := v[name]; strings.HasSuffix(e, "!") && !there {
			t.Errorf("%s has no %s", path, name)
		}
	}
	for name, value := range v {
		list, ok := elements[name]
		if !ok {
			t.Errorf("%s may have no %s", path, name)
		}
		all, isList := value.([]any)
		if isList != list || isList && len(all) == 0 {
			t.Errorf("%s.%s is %v", path, name, value)
		}
		if !isList {
			all = []any{value}
		}
		for _, one := range all {
			switch one := one.(type) {
			case map[string]any:
				checkShape(t, strings.TrimPrefix(path+"."+name, "."), one)
			case string:
				if one == "" {
					t.Errorf("%s.%s is empty", path, name)
				}
			}
		}
	}
}

func TestEveryKindHasTheShapeOfR4(t *testing.T) {
	var b struct {
		ResourceType, Type, Timestamp string
		Entry                         []struct {
			FullURL  string
			Resource map[string]any
		}
	}
	if err := json.Unmarshal(bundle(t, trail()), &b); err != nil {
		t.Fatal(err)
	}
	if b.ResourceType != "Bundle" || b.Type != "collection" || b.Timestamp != "2026-03-14T15:09:26.535Z" || len(b.Entry) != len(trail()) {
		t.Errorf("the bundle is %s of type %s with %d entries of %s", b.ResourceType, b.Type, len(b.Entry), b.Timestamp)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for i, e := range b.Entry {
		checkShape(t, "", e.Resource)
		id := fmt.Sprint(e.Resource["id"])
		if !uuid.MatchString(id) || e.FullURL != "urn:uuid:"+id || seen[id] {
			t.Errorf("entry %d has the id %s and the address %s", i, id, e.FullURL)
		}
		seen[id] = true
		if e.Resource["resourceType"] != "AuditEvent" || e.Resource["recorded"] != "2026-03-14T15:09:26.535Z" || e.Resource["outcome"] != "0" {
			t.Errorf("entry %d is %v", i, e.Resource)
		}
	}
}

// TestVectors holds the bytes: other systems keep them.
func TestVectors(t *testing.T) {
	want, err := os.ReadFile("testdata/trail.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := bundle(t, trail()); !bytes.Equal(got, want) {
		t.Errorf("the bundle is\n%s", got)
	}
}

func TestEmptyTrail(t *testing.T) {
	got := bundle(t, nil)
	if !json.Valid(got) || strings.Contains(string(got), "entry") {
		t.Errorf("it is %s", got)
	}
}

func TestEventWithoutATime(t *testing.T) {
	if _, err := auditevent.New("c", "p@north", &ward.Event{Kind: "erase", By: "p@north"}); err == nil {
		t.Error("it is an AuditEvent")
	}
}

type failing struct{ left int }

var errBroken = errors.New("broken")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// TestWriterThatFails: wherever it does, nobody takes the bundle for whole.
func TestWriterThatFails(t *testing.T) {
	whole := bundle(t, trail())
	for n := 0; n < len(whole); n += 97 {
		w := auditevent.NewWriter(&failing{n}, at)
		for _, e := range trail() {
			a, err := auditevent.New("care.example", "p-7f3a@north", &e)
			if err != nil {
				t.Fatal(err)
			}
			_ = w.Write(a) // Close says it again
		}
		if err := w.Close(); !errors.Is(err, errBroken) {
			t.Errorf("at byte %d: %v", n, err)
		}
	}
	w := auditevent.NewWriter(io.Discard, at)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Write(&auditevent.Event{}); err == nil {
		t.Error("it goes on behind its end")
	}
}

func ExampleNew() {
	e, err := auditevent.New("care.example", "p-7f3a@north", &ward.Event{
		Index: 9, Time: at, Kind: "access", By: "dr.lee@east", Purpose: consent.Treatment,
		Records: []record.ID{"r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}, Grant: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Action, e.Subtype[0].Code, e.Recorded, e.Agent[0].Who.Identifier.Value, e.Agent[0].Policy[0])
	// Output:
	// R read 2026-03-14T15:09:26.535Z dr.lee@east urn:ward:care.example:grant:g-aaaaaaaaaaaaaaaaaaaaaaaaaa
}
