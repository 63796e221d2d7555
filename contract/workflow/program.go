package workflow

// A program is a definition's compiled expressions.
type program struct{}
