// Package admin is how the operator of a node speaks to it: JSON over HTTP on a
// Unix socket in the node's directory, which nobody but the user of the node's
// process, and root, can use. What the operator decides is decided here:
// unlocking the vault, taking part in a key ceremony, endorsing another
// consortium file, speaking in the member's name.
package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/node/vault"
)

// Socket returns where a node whose directory is dir listens for its operator.
func Socket(dir string) string { return filepath.Join(dir, "admin.sock") }

// State says in one word how far a node is. It is for programs, too.
type State string

// The states, from the start of a node to its work.
const (
	Sealed   State = "sealed"    // waits for the passphrase
	Starting State = "starting"  // catches up with the other members
	NoQuorum State = "no-quorum" // sees too few other members
	NoKeys   State = "no-keys"   // the members have not made their keys
	Ready    State = "ready"     // serves
	ReadOnly State = "read-only" // its disk is nearly full
	Failed   State = "failed"    // what it holds does not fit together
)

// Joined reports whether a node in this state agrees with the others on blocks.
func (s State) Joined() bool { return s == NoKeys || s == Ready }

// Status is how a node is doing, for its operator.
type Status struct {
	api.Status
	State      State     `json:"state"`
	Why        string    `json:"why,omitempty"` // it is not ready
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	LogLevel   string    `json:"log_level"`
	Epoch      uint64    `json:"epoch"` // of the consortium file in force
	Members    int       `json:"members"`
	Threshold  int       `json:"key_threshold"`
	Certifiers int       `json:"checkpoint_threshold"`
	// Holders are the members that confirmed their shares of the keys.
	Holders []string `json:"holders,omitempty"`
	// Asks is a key ceremony that waits for this operator's word.
	Asks *Ceremony `json:"asks,omitempty"`
}

// A Ceremony is a key ceremony as an operator judges it.
type Ceremony struct {
	Number     uint64     `json:"number"`
	State      string     `json:"state"` // see node.StateOf
	Hash       chain.Hash `json:"hash"`  // what is accepted; the same at every member
	Generation uint32     `json:"generation"`
	Roster     []string   `json:"roster"` // who will hold shares
	// Thresholds of the identity key and the checkpoint key.
	KeyThreshold        int    `json:"key_threshold"`
	CheckpointThreshold int    `json:"checkpoint_threshold"`
	Refresh             bool   `json:"refresh"` // moves keys that there are; else makes the first
	Grants              uint32 `json:"grants"`  // that move with them
	// Part is not 0 while there are too many grants to move at once: the
	// ceremony is that part of a hand-over, and Moved grants have moved before.
	// Who accepts one part accepts all of them.
	Part  uint32 `json:"part,omitempty"`
	Moved uint64 `json:"moved,omitempty"`
	// Milliseconds that the phases may take: join, deal, complain, confirm.
	Windows  [4]uint64 `json:"windows"`
	Posts    uint64    `json:"posts"` // messages so far
	Involved bool      `json:"involved"`
	Accepted bool      `json:"accepted"` // by this operator
}

// Endorsed says what came of a consortium file that an operator approved.
type Endorsed struct {
	Hash    chain.Hash `json:"hash"`     // of the file; the same at every member
	InForce bool       `json:"in_force"` // enough members endorse it, and the chain has it
	Why     string     `json:"why,omitempty"`
}

// Requests. Answers are the types above.
type (
	unlockRequest struct {
		Passphrase []byte `json:"passphrase"`
	}
	acceptRequest struct {
		Hash chain.Hash `json:"hash"`
	}
	openRequest struct {
		Windows [4]uint64 `json:"windows"`
	}
	proposeRequest struct {
		File []byte `json:"file"` // the next consortium file
	}
	levelRequest struct {
		Level string `json:"level"`
	}
	submitRequest struct {
		Contract string `json:"contract"` // one of signable
		Method   string `json:"method"`
		Args     []byte `json:"args"`
	}
	submitted struct {
		Receipt []byte `json:"receipt"`
	}
)

// A trouble is the body of an answer that is an error.
type trouble struct {
	Code string `json:"code"` // one of package protocol, a contract's, or one of ours
	Text string `json:"text"`
}

const (
	codePassphrase = "admin/passphrase"
	codeConsortium = "admin/consortium"
)

// An Error is one that the node reported. It is to errors.Is what it was to the
// node: one of package ward, the code of a contract, vault.ErrPassphrase or
// chain.ErrConsortium.
type Error struct {
	Text string
	err  error
}

// Error returns what the node said.
func (e *Error) Error() string { return e.Text }

// Unwrap returns what it is.
func (e *Error) Unwrap() error { return e.err }

func troubleOf(err error) trouble {
	t := trouble{Text: err.Error()}
	switch {
	case errors.Is(err, vault.ErrPassphrase):
		t.Code = codePassphrase
	case errors.Is(err, chain.ErrConsortium):
		t.Code = codeConsortium
	default:
		t.Code = protocol.ProblemOf(err).Code
	}
	return t
}

func (t trouble) err(status int) error {
	e := &Error{Text: t.Text}
	switch t.Code {
	case "":
		return fmt.Errorf("%w: the node's admin socket answers with status %d", ward.ErrUnavailable, status)
	case codePassphrase:
		e.err = vault.ErrPassphrase
	case codeConsortium:
		e.err = chain.ErrConsortium
	case protocol.CodeInternal:
		return e
	default:
		e.err = (&protocol.Problem{Code: t.Code, Status: status}).Err()
	}
	return e
}

// maxBody bounds what either end reads: a consortium file in JSON.
const maxBody = 4 << 20

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types always have an encoding
	}
	return b
}
