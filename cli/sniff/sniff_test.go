package sniff_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ward-health/ward/cli/sniff"
	"github.com/ward-health/ward/examples/records"
	"github.com/ward-health/ward/pre"
)

func ExampleOf() {
	r := sniff.Of("result.json", []byte(`{"resourceType":"Observation","category":[{"coding":[{"code":"laboratory"}]}],
		"code":{"text":"Hemoglobin"},"effectiveDateTime":"2026-03-02T08:10:00+01:00"}`))
	fmt.Println(r.Type, r.MediaType, r.Title, r.Dated.Format("2006-01-02"))
	// Output: clinical/exam/lab application/fhir+json Hemoglobin 2026-03-02
}

func TestOurRecords(t *testing.T) {
	want := map[string][4]string{
		"admission.hl7":                    {"clinical/admission", "x-application/hl7-v2+er7", "HL7 v2 ADT A01", "2026-05-18"},
		"allergy-penicillin.fhir.json":     {"clinical/allergy", "application/fhir+json", "Penicillin", "2019-11-05"},
		"claim-pharmacy.fhir.json":         {"admin/claim", "application/fhir+json", "Claim", "2026-04-19"},
		"discharge-letter.pdf":             {"clinical/document", "application/pdf", "discharge-letter.pdf", "0001-01-01"},
		"discharge-zh.cda.xml":             {"clinical/discharge", "text/xml", "出院小结", "2026-05-25"},
		"imaging-ct.dcm":                   {"clinical/exam/imaging", "application/dicom", "CT chest, made-up sphere", "2026-05-06"},
		"imaging-report-zh.fhir.json":      {"clinical/exam/imaging", "application/fhir+json", "胸部CT平扫", "2026-05-06"},
		"immunization-influenza.fhir.json": {"clinical/immunization", "application/fhir+json", "Influenza 2025/26", "2025-10-14"},
		"lab-blood-count.fhir.json":        {"clinical/exam/lab", "application/fhir+json", "Complete blood count", "2026-03-02"},
		"lab-hba1c-zh.fhir.json":           {"clinical/exam/lab", "application/fhir+json", "糖化血红蛋白", "2026-04-17"},
		"mental-health-note.fhir.json":     {"clinical/sensitive/sealed:mental", "application/fhir+json", "Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]", "2026-02-11"},
		"prescription-metformin.fhir.json": {"clinical/medication/prescription/western", "application/fhir+json", "Metformin 500 mg tablets", "2026-04-18"},
		"prescription-tcm-zh.fhir.json":    {"clinical/medication/prescription/tcm", "application/fhir+json", "六味地黄汤加减：熟地黄24g，山茱萸12g，山药12g，泽泻9g，牡丹皮9g，茯苓9g", "2026-04-20"},
		"referral-bundle.fhir.json":        {"clinical/referral", "application/fhir+json", "Referral to cardiology", "2026-05-08"},
		"summary-ccd.xml":                  {"clinical/summary", "text/xml", "Continuity of care document of a fictitious patient", "2026-03-12"},
	}
	each(t, func(name string, b []byte) {
		r := sniff.Of(name, b)
		if got := [4]string{string(r.Type), r.MediaType, r.Title, r.Dated.Format("2006-01-02")}; got != want[name] {
			t.Errorf("%s is %q, want %q", name, got, want[name])
		}
		delete(want, name)
	})
	for name := range want {
		t.Errorf("there is no %s", name)
	}
}

func TestOtherContent(t *testing.T) {
	for _, c := range []struct {
		what, name, content string
		want                pre.Type
		media               string
	}{
		{"nothing", "empty", "", "unsorted", "text/plain; charset=utf-8"},
		{"text", "note.txt", "Dear colleague", "unsorted", "text/plain; charset=utf-8"},
		{"JSON that is not FHIR", "x.json", `{"a":[1,{"resourceType":"Patient"}]}`, "unsorted", "application/json"},
		{"XML that is not medical", "x.xml", `<?xml version="1.0"?><a/>`, "unsorted", "text/xml; charset=utf-8"},
		{"a picture", "x", "\x89PNG\r\n\x1a\n", "clinical/document", "image/png"},
		{"FHIR with its type last", "x", `{"status":"final","resourceType":"Procedure"}`, "clinical/procedure", "application/fhir+json"},
		{"FHIR behind a byte order mark", "x", "\xef\xbb\xbf{\"resourceType\":\"Goal\"}", "clinical/careplan", "application/fhir+json"},
		{"FHIR cut off", "x", `{"resourceType":"Immunization","note":[{"text":"abc`, "clinical/immunization", "application/fhir+json"},
		{"FHIR of an unknown type", "x", `{"resourceType":"Nonsense"}`, "unsorted", "application/fhir+json"},
		{"a resource within another", "x", `{"resourceType":"Procedure","contained":[{"resourceType":"Claim","meta":{"security":[{"code":"HIV"}]}}]}`, "clinical/procedure", "application/fhir+json"},
		{"FHIR XML", "x", `<Observation xmlns="http://hl7.org/fhir"><category><coding><code value="vital-signs"/></coding></category></Observation>`, "clinical/exam/vitals", "application/fhir+xml"},
		{"an emergency", "x", `{"resourceType":"Encounter","class":{"code":"EMER"}}`, "clinical/encounter/emergency", "application/fhir+json"},
		{"a batch of HL7 v2", "x", "FHS|^~\\&|\rBHS|^~\\&|\rMSH|^~\\&|A|B|C|D|20260101||ORU^R01|1|P|2.5", "clinical/exam/lab", "x-application/hl7-v2+er7"},
		{"HL7 v2 cut off", "x", "MSH|^~", "unsorted", "x-application/hl7-v2+er7"},
		{"old DICOM", "x.DCM", "\x08\x00\x60\x00\x04\x00\x00\x00ECG ", "clinical/exam/imaging", "application/dicom"},
		{"a chart", "x", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"}},{"resource":{"resourceType":"Condition"}},{"resource":{"resourceType":"Claim"}}]}`, "clinical/summary", "application/fhir+json"},
		{"results with their patient", "x", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}},{"resource":{"resourceType":"DiagnosticReport"}},{"resource":{"resourceType":"Specimen"}}]}`, "clinical/exam/lab", "application/fhir+json"},
		{"a prescription and its dispensing", "x", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"MedicationRequest"}},{"resource":{"resourceType":"MedicationDispense"}}]}`, "clinical/medication", "application/fhir+json"},
		{"a chart with a sensitive part", "x", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Condition","meta":{"security":[{"code":"HIV"}]}}}]}`, "clinical/sensitive/sealed:hiv", "application/fhir+json"},
	} {
		if r := sniff.Of(c.name, []byte(c.content)); r.Type != c.want || r.MediaType != c.media {
			t.Errorf("%s is %q, %q; want %q, %q", c.what, r.Type, r.MediaType, c.want, c.media)
		}
	}
}

// TestChineseCDAInItsOwnEncoding reads a document that declares GB 18030.
func TestChineseCDAInItsOwnEncoding(t *testing.T) {
	doc := `<?xml version="1.0" encoding="GB18030"?><ClinicalDocument xmlns="urn:hl7-org:v3"><code code="C0005"/><title>` + "\xb4\xa6\xb7\xbd" + `</title></ClinicalDocument>`
	if r := sniff.Of("x.xml", []byte(doc)); r.Type != "clinical/medication/prescription/tcm" || !utf8.ValidString(r.Title) {
		t.Errorf("%+v", r)
	}
}

// TestDeepDocumentsDoNotExhaustTheStack: brackets are cheap to send.
func TestDeepDocumentsDoNotExhaustTheStack(t *testing.T) {
	for _, s := range []string{`{"a":`, `[`, `<a xmlns="http://hl7.org/fhir">`} {
		sniff.Of("x", []byte(strings.Repeat(s, sniff.Head/len(s))))
		sniff.Of("x", []byte(`{"resourceType":"Goal","x":`+strings.Repeat(s, 1000)))
	}
}

// TestRealRecords goes through a folder of real records, if there is one.
func TestRealRecords(t *testing.T) {
	dir := os.Getenv("WARD_DATA")
	if dir == "" {
		t.Skip("WARD_DATA names no folder of records")
	}
	counts := map[pre.Type]int{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r := sniff.Of(path, b)
		counts[r.Type]++
		t.Logf("%-44s %-28s %s  %s  %s", r.Type, r.MediaType, r.Dated.Format("2006-01-02"), filepath.Base(path), r.Title)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(counts)
}

func FuzzOf(f *testing.F) {
	var seeds int
	each(f, func(name string, b []byte) { f.Add(name, b); seeds++ })
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		before := bytes.Clone(b)
		r := sniff.Of(name, b)
		if _, err := pre.ParseType(string(r.Type)); err != nil || r.Type == "" {
			t.Errorf("type %q: %v", r.Type, err)
		}
		if !utf8.ValidString(r.Title) || utf8.RuneCountInString(r.Title) > 120 || r.MediaType == "" {
			t.Errorf("%+v", r)
		}
		if !bytes.Equal(before, b) {
			t.Error("the record was changed")
		}
	})
}

// each calls fn with our own records.
func each(t testing.TB, fn func(name string, content []byte)) {
	t.Helper()
	entries, err := fs.ReadDir(records.Files(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := fs.ReadFile(records.Files(), e.Name())
		if err != nil {
			t.Fatal(err)
		}
		fn(e.Name(), b)
	}
}
