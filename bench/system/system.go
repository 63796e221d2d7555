// Package system gives the systems that are compared one form: each does the
// operations of sharing a record, as far as it has them.
package system

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/bench/measure"
)

// Operation is a step of sharing a record. Not every system has all of them.
type Operation string

// The operations. A record's key has 32 bytes, or 29 where no more fits.
const (
	KeyGen       Operation = "make a reader's key"
	EncryptCold  Operation = "encrypt, first for this owner"
	Encrypt      Operation = "encrypt, again for this owner"
	Check        Operation = "check what was encrypted"
	Grant        Operation = "grant"
	AcceptShare  Operation = "member checks its share of a grant"
	AcceptGrant  Operation = "reader opens and checks a grant"
	Reencrypt    Operation = "re-encrypt, with proof"
	ReencryptRaw Operation = "re-encrypt, without proof"
	Verify       Operation = "verify an answer"
	Open         Operation = "open"
	OpenVerified Operation = "open, every answer verified"
	OpenOwn      Operation = "owner opens"
)

// Operations returns all of them, in the order of a record's life.
func Operations() []Operation {
	return []Operation{
		KeyGen, EncryptCold, Encrypt, Check, Grant, AcceptShare, AcceptGrant,
		Reencrypt, ReencryptRaw, Verify, Open, OpenVerified, OpenOwn,
	}
}

// Params are what the cost of an operation may depend on. Systems that know
// nothing of a parameter ignore it.
type Params struct {
	Members   int // that hold shares
	Threshold int // how many of them answer
	Records   int // opened by one access; 0 means 1. Times are for one of them.
	Depth     int // components of the record's type; 0 means 1
}

// Step is an operation ready to be measured.
type Step struct {
	Run  func(n int) (measure.Spent, error)
	Size int // of what it makes, in bytes; 0 if it makes nothing to send or keep
}

// ErrNone says that a system has no such operation.
var ErrNone = errors.New("system has no such operation")

// System does operations.
type System interface {
	Name() string
	// Step prepares an operation, or returns ErrNone.
	Step(Operation, Params) (Step, error)
}

// local makes a step of a function in this process that returns what it makes.
// It calls it once, so that what does not work fails before it is timed.
func local(f func() ([]byte, error)) (Step, error) { return localFor(1, f) }

// localFor is local for a function that does several operations at once.
func localFor(work int, f func() ([]byte, error)) (Step, error) {
	made, err := f()
	if err != nil {
		return Step{}, err
	}
	timed := measure.Timed(func() error { _, err := f(); return err })
	return Step{Size: len(made), Run: func(n int) (measure.Spent, error) {
		spent, err := timed(n)
		spent.Work *= work
		return spent, err
	}}, nil
}

var errOther = errors.New("opened to something else than was sealed")

func none(s System, op Operation) error { return fmt.Errorf("%s: %s: %w", s.Name(), op, ErrNone) }
