package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStory tells the whole story, with documents of two countries.
func TestStory(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"england.json", "germany.xml"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "fhir", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "invoice.json"), []byte(`{"resourceType":"Invoice"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tell(t.Context(), &out, folder); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"kim@east approves it, of another hospital: refused, workflow/holder\n",
		"dr.lee@north approves it himself: refused, workflow/party\n",
		"li@north reads it again: refused, consent/holder\n",
		"blue@west claims it: refused, workflow/rule/wrong-pharmacy\n",
		"green@south reads it: refused, consent/holder\n",
		"blue@west dispenses it again: refused, workflow/state\n",
		"signed for how it stood before: refused, workflow/stale\n",
		"blue@west dispenses 20: refused, workflow/limit\n",
		"  north: 1 delivered\n",
		"  11 deliver by rider@south\n",
		"  2 documents with 3 items issued, reviewed, read unchanged, dispensed and received, but for 1 that the rules here refuse; 1 others prescribe nothing\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story never says %q:\n%s", want, out.String())
		}
	}
}
