package main

import (
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/bench/suites/abe"
	"github.com/ward-health/ward/bench/suites/chain"
	"github.com/ward-health/ward/bench/suites/dkg"
	"github.com/ward-health/ward/bench/suites/endtoend"
	"github.com/ward-health/ward/bench/suites/reencryption"
	"github.com/ward-health/ward/bench/suites/sharing"
	"github.com/ward-health/ward/bench/suites/store"
)

// suites returns all suites, in the order in which they run and are reported.
func suites() []*suite.Suite {
	return []*suite.Suite{
		sharing.Suite(),
		reencryption.Suite(),
		dkg.Suite(),
		abe.Suite(),
		chain.Suite(),
		store.Suite(),
		endtoend.Suite(),
		endtoend.Scale(),
	}
}
