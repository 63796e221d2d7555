package chain

import "fmt"

// A BrokenError names the first link at which a chain does not hold together.
type BrokenError struct {
	Height uint64 // of the block that does not fit
	Link   string // what is broken: "previous hash", "tree root", …
	Want   Hash   // zero where the link is not a hash
	Got    Hash
}

// Error says which link is broken and where.
func (e *BrokenError) Error() string {
	if e.Want == e.Got {
		return fmt.Sprintf("chain is broken at height %d: %s", e.Height, e.Link)
	}
	return fmt.Sprintf("chain is broken at height %d: %s is %v, want %v", e.Height, e.Link, e.Got, e.Want)
}
