package main

import (
	"github.com/ward-health/ward/bench/suite"
	"github.com/ward-health/ward/bench/suites/dkg"
)

// suites returns all suites, in the order in which they run and are reported.
func suites() []*suite.Suite {
	return []*suite.Suite{
		dkg.Suite(),
	}
}
