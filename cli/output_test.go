package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
)

func TestTablesAlignChinese(t *testing.T) {
	var out bytes.Buffer
	newUI(&out, io.Discard).table([]string{"NAME", "WHO"}, [][]string{{"李秀英", "patient"}, {"dr.lee@east", "医生"}, {"e\u0301", "x"}})
	want := "" +
		"  NAME         WHO\n" +
		"  李秀英       patient\n" +
		"  dr.lee@east  医生\n" +
		"  e\u0301            x\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestTitlesDoNotDriveTheTerminal: a title is other people's text.
func TestTitlesDoNotDriveTheTerminal(t *testing.T) {
	var out bytes.Buffer
	newUI(&out, io.Discard).table([]string{"TITLE"}, [][]string{{"a\x1b[2Jb\rc\nd\u202ee"}})
	if got := out.String(); strings.ContainsAny(got, "\x1b\r\u202e") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		exit int
		code string
	}{
		{errors.New("anything"), 1, "failure"},
		{usagef("x"), 2, "usage"},
		{consent.ErrUnknown, 4, "consent/unknown"},
		{fmt.Errorf("get: %w", ward.ErrNotFound), 4, "not-found"},
		{record.ErrErased, 4, "record/erased"},
		{consent.ErrType, 5, "consent/type"},
		{identity.ErrDenied, 5, "identity/denied"},
		{fmt.Errorf("access: %w", ward.ErrNoGrant), 5, "no-grant"},
		{ward.ErrUnauthorized, 5, "unauthorized"},
		{fmt.Errorf("access: %w", consent.ErrRevoked), 6, "consent/revoked"},
		{consent.ErrExpired, 6, "consent/expired"},
		{consent.ErrUsedUp, 6, "consent/used-up"},
		{ward.ErrShares, 7, "shares"},
		{consent.ErrPending, 7, "consent/pending"},
		{ward.ErrIntegrity, 8, "integrity"},
		{fmt.Errorf("verify: %w", &chain.BrokenError{Height: 7, Link: "tree root"}), 8, "integrity"},
		{chain.ErrUncertified, 8, "integrity"},
		{ward.ErrNoQuorum, 9, "no-quorum"},
		{ward.ErrUnavailable, 9, "unavailable"},
		{consent.ErrNoKey, 10, "consent/no-key"},
		{ward.ErrNotReady, 10, "not-ready"},
		{errInterrupted, 130, "interrupted"},
		{context.DeadlineExceeded, 1, "timeout"},
		{chain.Code("other/thing"), 1, "other/thing"},
		{errors.Join(ward.ErrShares, io.EOF), 7, "shares"},
	} {
		p := explain(c.err)
		if p.exit != c.exit || p.code != c.code || p.words.in(english) == "" {
			t.Errorf("%v: exit %d, code %q; want %d, %q", c.err, p.exit, p.code, c.exit, c.code)
		}
		known := false
		for _, e := range ExitCodes() {
			known = known || e.Code == p.exit
		}
		if !known {
			t.Errorf("exit code %d is not in the table", p.exit)
		}
	}
}

// failingWriter fails after n bytes.
type failingWriter struct{ n int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

// TestOutputThatCannotBeWrittenIsAFailure, text or envelope, at any byte.
func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"--help"}} {
		for n := range 5 {
			var stderr bytes.Buffer
			if exit := Run(t.Context(), args, &failingWriter{n}, &stderr); exit != exitFailure || stderr.String() != "ward: disk full\n" {
				t.Errorf("%q, %d bytes: exit %d, stderr %q", args, n, exit, stderr.String())
			}
		}
	}
}
