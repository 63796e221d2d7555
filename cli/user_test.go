package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/wallet"
)

func TestMoments(t *testing.T) {
	now := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	midnight := time.Date(2026, 12, 31, 0, 0, 0, 0, time.Local)
	for s, want := range map[string]time.Time{
		"": {}, "2026-12-31": midnight, "12h": now.Add(12 * time.Hour), "30d": now.Add(720 * time.Hour), "6w": now.Add(6 * 168 * time.Hour),
		"1y": now.Add(365 * 24 * time.Hour), "2026-12-31T18:00:00+08:00": time.Date(2026, 12, 31, 10, 0, 0, 0, time.UTC),
	} {
		if got, err := moment("until", s, now, false); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v", s, got, err)
		}
	}
	if got, err := moment("until", "2026-12-31", now, true); err != nil || !got.Equal(midnight.AddDate(0, 0, 1).Add(-time.Millisecond)) {
		t.Errorf("a grant until a day ends at %v, %v", got, err)
	}
	for _, s := range []string{"tomorrow", "d", "0d", "-1d", "1.5d", "30", "30 d", "99999d", "4000d", "200y", "2026-13-01", "2026-1-1", "１d"} {
		if got, err := moment("until", s, now, false); err == nil {
			t.Errorf("%q is %v", s, got)
		}
		if got, err := onDay("since", s, now); err == nil {
			t.Errorf("%q is the day %v", s, got)
		}
	}
	if got, err := onDay("since", "90d", now); err != nil || got.Format(time.DateOnly) != "2025-12-14" || got.Hour() != 0 {
		t.Errorf("90 days ago was %v, %v", got, err)
	}
	if got, err := onDay("since", "1969-12-31", now); err == nil {
		t.Errorf("the chain has no day %v", got)
	}
}

func TestTerminalsGetTextOnly(t *testing.T) {
	for name, text := range map[string]string{
		"an escape": "a\x1b[2J", "a zero": "a\x00", "no UTF-8": "a\xff", "the other kind of escape": "a\u009b2J", "text that runs backwards": "a\u202etxt.exe",
		"half a character": "a\xe8\xa1", "a bell": "a\x07",
	} {
		for at := range len(text) + 1 { // however it is cut
			var out bytes.Buffer
			g := &guard{w: &out}
			_, err := g.Write([]byte(text[:at]))
			if err == nil {
				_, err = g.Write([]byte(text[at:]))
			}
			if err == nil {
				err = g.Close()
			}
			if err == nil || out.Len() > 1 {
				t.Errorf("%s: %v, a terminal gets %q", name, err, out.String())
			}
		}
	}
	const fine = "血红蛋白\t13.2 g/dL\r\né🙂"
	for at := range len(fine) + 1 {
		var out bytes.Buffer
		g := &guard{w: &out}
		for _, part := range []string{fine[:at], fine[at:]} {
			if n, err := g.Write([]byte(part)); err != nil || n != len(part) {
				t.Fatalf("cut at %d: %d, %v", at, n, err)
			}
		}
		if err := g.Close(); err != nil || out.String() != fine {
			t.Errorf("cut at %d a terminal gets %q, %v", at, out.String(), err)
		}
	}
}

func TestFilesAppearWholeOrNotAtAll(t *testing.T) {
	s := &session{ui: newUI(io.Discard, io.Discard)}
	dir := t.TempDir()
	path := filepath.Join(dir, "new", "file")
	broken := errors.New("broken")
	err := s.saveFile(path, false, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("it left %s", left[0].Name())
	}
	write := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	if err := s.saveFile(path, false, write("whole")); err != nil {
		t.Fatal(err)
	}
	if err := s.saveFile(path, false, write("other")); explain(err).code != "exists" {
		t.Errorf("a file that is there: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "whole" {
		t.Errorf("the file holds %q", b)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err == nil {
		if err := s.saveFile(link, false, write("other")); explain(err).code != "exists" {
			t.Errorf("a link to a file that is there: %v", err)
		}
	}
	if err := s.saveFile(os.DevNull, false, write("gone")); err != nil {
		t.Error(err)
	}
	if err := s.saveFile(path, true, write("other")); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "other" {
		t.Errorf("the file holds %q", b)
	}
}

// TestAuthorsChooseNoHarmfulNames: the name that a record is saved under comes
// from its author.
func TestAuthorsChooseNoHarmfulNames(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf": "report.pdf", "血常规 2026.pdf": "血常规 2026.pdf", "": "", ".bashrc": "_bashrc", "..": "_.", "-rf": "_rf", "~root": "_root",
		"../../etc/passwd": "_._.._etc_passwd", `c:\x`: "c__x", "a\u202etxt.exe": "a_txt.exe", "a\nb": "a_b", "\x1b[2J": "_[2J",
	} {
		if got := safeName(name); got != want {
			t.Errorf("%q is saved as %q, want %q", name, got, want)
		}
	}
	if got := safeName(strings.Repeat("名", 300)); len(got) > 200 || !strings.HasPrefix(got, "名名") {
		t.Errorf("a long name is saved as %d bytes", len(got))
	}
	dir := t.TempDir()
	v := &saver{out: dir, used: map[string]bool{}}
	first := v.place("report.txt", "r-one")
	v.used[first] = true
	v.force = true
	if second := v.place("report.txt", "r-two"); first != filepath.Join(dir, "report.txt") || second != filepath.Join(dir, "r-two-report.txt") {
		t.Errorf("two records of one name are %s and %s", first, second)
	}
}

// TestDraftsCannotSpeakToTheTerminal: a co-signer is shown what a reader wrote.
func TestDraftsCannotSpeakToTheTerminal(t *testing.T) {
	good := ward.Draft{Reader: "dr.lee@east", Grant: "g-aaaaaaaaaaaaaaaaaaaaaaaaaa", Records: []record.ID{"r-aaaaaaaaaaaaaaaaaaaaaaaaaa"}, Purpose: consent.Treatment}
	if !plausible(&good) {
		t.Fatal("a draft is refused")
	}
	for name, spoil := range map[string]func(*ward.Draft){
		"reader":  func(d *ward.Draft) { d.Reader = "dr.lee@east\x1b[2K" },
		"owner":   func(d *ward.Draft) { d.Owner, d.Grant = "p\r", "" },
		"grant":   func(d *ward.Draft) { d.Grant = "g-\x1b" },
		"record":  func(d *ward.Draft) { d.Records = []record.ID{"r-\n"} },
		"purpose": func(d *ward.Draft) { d.Purpose = "TREAT\x1b" },
	} {
		d := good
		spoil(&d)
		if plausible(&d) {
			t.Errorf("a draft with a false %s is shown", name)
		}
	}
}

// TestPayloadIsReadAgain: if a hospital fails half-way, another gets a file from
// its start, and the sniffing takes nothing away.
func TestPayloadIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(path, []byte("Dear colleague"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &session{ui: newUI(io.Discard, io.Discard)}
	p, err := s.openPayload(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if _, err := p.sniff(path); err != nil {
		t.Fatal(err)
	}
	r := p.reader()
	if _, err := io.CopyN(io.Discard, r, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := r.(io.Seeker).Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || string(b) != "Dear colleague" || p.n != int64(len(b)) {
		t.Errorf("read again it is %q (%d), %v", b, p.n, err)
	}
}

func TestAddresses(t *testing.T) {
	k := &chain.Consortium{Members: []chain.Member{{Name: "east", URL: "https://east"}, {Name: "north", URL: "https://north"}, {Name: "south"}}}
	for _, c := range []struct {
		own   string
		given []string
		want  []address
	}{
		{"north", nil, []address{{"north", ""}, {"east", ""}}},
		{"south", nil, []address{{"south", ""}, {"east", ""}, {"north", ""}}},
		{"north", []string{"east", "south=https://10.0.0.1:7100"}, []address{{"east", ""}, {"south", "https://10.0.0.1:7100"}}},
		{"north", []string{"west"}, nil},
		{"north", []string{""}, nil},
	} {
		got, err := addresses(k, c.own, c.given)
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s asks %v: %v, %v", c.own, c.given, got, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 25_165_824: "25.2 MB", 999_960: "1.0 MB", 10 << 30: "10.7 GB", 1 << 60: "1152921.5 TB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// FuzzCard: what is read is written the same, and nothing breaks the reader.
func FuzzCard(f *testing.F) {
	w, err := wallet.Generate("test.ward", "dr.lee@east")
	if err != nil {
		f.Fatal(err)
	}
	b, err := cardOf(w).bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schema":"ward/v1/identity-card","name":"a@b","key":"00","proofs":{"register":"00"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCard(b)
		if err != nil {
			return
		}
		again, err := c.bytes()
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseCard(again)
		if err != nil || !reflect.DeepEqual(c, d) {
			t.Fatalf("%+v was written and is %+v, %v", c, d, err)
		}
		for use := range c.Proofs {
			if len(c.proof(use)) != 64 {
				t.Fatalf("a proof of %d bytes", len(c.proof(use)))
			}
		}
	})
}

// FuzzApproval does the same for a co-signer's approval.
func FuzzApproval(f *testing.F) {
	write := func(a consent.Approval) []byte {
		b, err := json.Marshal(approvalFile{approvalSchema, a.Name, hex.EncodeToString(a.Signature)})
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(write(consent.Approval{Name: "dr.lee@east", Signature: make([]byte, 64)}))
	f.Add([]byte(`{"schema":"ward/v1/approval"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseApproval(b)
		if err != nil {
			return
		}
		again, err := parseApproval(write(a))
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Fatalf("%+v was written and is %+v, %v", a, again, err)
		}
	})
}

// TestCardsAreNoSecrets: what a card says is public.
func TestCardsAreNoSecrets(t *testing.T) {
	w, err := wallet.Generate("test.ward", "dr.lee@east")
	if err != nil {
		t.Fatal(err)
	}
	b, err := cardOf(w).bytes()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	for field := range fields {
		if !strings.Contains("schema chain name key proofs", field) {
			t.Errorf("a card has a field %s", field)
		}
	}
}
