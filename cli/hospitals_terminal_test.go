package cli

import "testing"

func testTerminal(t *testing.T, h *hospitals) {}
func testStreams(t *testing.T, h *hospitals)  {}
