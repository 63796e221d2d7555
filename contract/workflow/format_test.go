package workflow_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A code that is not in the specification is one that no second implementation
// would return.
func TestSpecNamesEveryCodeEventAndPrefix(t *testing.T) {
	text, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	for file, pattern := range map[string]string{"workflow.go": `= "(workflow/[a-z-]+)"`, "read.go": `key[A-Z][A-Za-z]+ += "([a-z]/)"`} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(src), -1)
		if len(found) < 15 {
			t.Fatalf("%d in %s", len(found), file)
		}
		for _, m := range found {
			if !strings.Contains(string(text), "`"+m[1]+"`") {
				t.Errorf("SPEC.md says nothing of %q", m[1])
			}
		}
	}
}
