//go:build !linux

package cli

import "testing"

func testTerminal(t *testing.T, _ *hospitals) { t.Skip("no pseudo-terminals here") }

func testStreams(t *testing.T, _ *hospitals) { t.Skip("no measure of memory here") }

func testHospitalDown(t *testing.T, _ *hospitals) { t.Skip("no shell here") }
