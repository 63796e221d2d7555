package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/abe"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/chain/replica/seglog"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/node/vault"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/wallet"

	urfave "github.com/urfave/cli/v2"
)

// Exit codes. Part of the interface.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitPartial     = 3
	exitNotFound    = 4
	exitDenied      = 5
	exitEnded       = 6
	exitShares      = 7
	exitIntegrity   = 8
	exitNoQuorum    = 9
	exitNotReady    = 10
	exitPassphrase  = 12
	exitInterrupted = 130
)

// An ExitCode is one line of the table of exit codes.
type ExitCode struct {
	Code    int    `json:"code"`
	Meaning string `json:"meaning"`
}

var exitCodes = []ExitCode{
	{exitOK, "ok"},
	{exitFailure, "failure"},
	{exitUsage, "the command line is wrong"},
	{exitPartial, "some of it was done"},
	{exitNotFound, "not found"},
	{exitDenied, "denied by policy"},
	{exitEnded, "grant expired or revoked"},
	{exitShares, "not enough shares"},
	{exitIntegrity, "integrity failure"},
	{exitNoQuorum, "no quorum"},
	{exitNotReady, "not initialised"},
	{exitPassphrase, "wrong passphrase"},
	{exitInterrupted, "interrupted"},
}

// A problem is an error as the command line reports it: a stable code, an exit
// code, and words in the person's language.
type problem struct {
	code  string
	exit  int
	words message
	hint  message
	cause error // nil if the words say it all
}

// A message is a text that is translated when it is printed.
type message struct {
	format string
	args   []any
}

func (m message) in(l language) string { return l.tr(m.format, m.args...) }

// Error returns the problem in English.
func (p *problem) Error() string {
	if p.cause != nil {
		return p.words.in(english) + ": " + p.cause.Error()
	}
	return p.words.in(english)
}

func (p *problem) Unwrap() error { return p.cause }

// withHint adds what the person could do next.
func (p *problem) withHint(format string, args ...any) *problem {
	p.hint = message{format, args}
	return p
}

// usagef is an error of the command line.
func usagef(format string, args ...any) *problem {
	return &problem{code: "usage", exit: exitUsage, words: message{format, args}}
}

// failf is any other problem.
func failf(code string, exit int, format string, args ...any) *problem {
	return &problem{code: code, exit: exit, words: message{format, args}}
}

var errInterrupted = &problem{code: "interrupted", exit: exitInterrupted, words: message{format: "interrupted"}}

// badValue is what urfave/cli says of the value of a flag. It has no type of its
// own; its text is the one thing that is taken from it.
func badValue(_ *urfave.Context, err error, _ bool) error {
	return usagef("%s", strings.TrimSuffix(err.Error(), ": parse error"))
}

// known says how errors of other packages are reported. The first that matches
// counts, so the special ones come first. Text is what people read; without one
// they read the error itself.
var known = []struct {
	err  error
	code string
	exit int
	text string
	hint string
}{
	{consent.ErrRevoked, "", exitEnded, "the grant was revoked", "ask the patient for a new one"},
	{consent.ErrExpired, "", exitEnded, "the grant has expired", "ask the patient to renew it"},
	{consent.ErrUsedUp, "", exitEnded, "the grant was used as often as it allows", "ask the patient to renew it"},
	{consent.ErrPending, "", exitShares, "too few hospitals hold their shares of the grant yet", "try again in a moment"},
	{consent.ErrLost, "", exitShares, "the shares of the grant were lost in a key ceremony", "ask the patient for a new grant"},
	{consent.ErrMoving, "", exitFailure, "the hospitals are moving their keys", "try again when the ceremony is done"},
	{consent.ErrUnknown, "", exitNotFound, "there is no such grant, request or access", ""},
	{consent.ErrRecord, "", exitNotFound, "there is no such record", ""},
	{consent.ErrErased, "", exitNotFound, "the record was erased", ""},
	{consent.ErrType, "", exitDenied, "the grant does not cover records of this type", "ask the patient for a grant on the type"},
	{consent.ErrPurpose, "", exitDenied, "the grant does not allow this purpose", ""},
	{consent.ErrHolder, "", exitDenied, "the grant is for whoever holds the workflow, and somebody else does", "`ward flow show` says who does"},
	{consent.ErrOwner, "", exitDenied, "the grant is another patient's", ""},
	{consent.ErrEpoch, "", exitDenied, "the grant is not for records of this time", "ask the patient for a new one"},
	{consent.ErrDated, "", exitDenied, "the grant does not cover records of this date", ""},
	{consent.ErrEarly, "", exitDenied, "the grant does not hold yet", ""},
	{consent.ErrApproval, "", exitDenied, "a co-signer is missing, or one does not count", ""},
	{consent.ErrPolicy, "", exitDenied, "your attributes do not satisfy the policy of the grant", "`ward policy explain` says which of its clauses decides"},
	{consent.ErrObligation, "", exitDenied, "the access does not take on what the grant obliges to", "--accept takes it on"},
	{consent.ErrTooMany, "", exitFailure, "the patient has as many grants as there can be", "revoke one, or renew one instead"},
	{consent.ErrCustody, "", exitDenied, "the patient holds the key: only a grant opens these records", ""},
	{consent.ErrDenied, "", exitDenied, "you may not do this", ""},
	{consent.ErrReviewed, "", exitFailure, "the access was reviewed already, or needs no review", ""},
	{consent.ErrNoKey, "", exitNotReady, "the hospitals have no key yet", "run the key ceremony first"},

	{record.ErrUnknown, "", exitNotFound, "there is no such record", ""},
	{record.ErrErased, "", exitNotFound, "the record was erased", ""},
	{record.ErrOwner, "", exitNotFound, "there is no such patient", ""},
	{record.ErrDenied, "", exitDenied, "you may not do this", "to write for another takes the attribute author, to read another's a grant: `ward grant list --received --all` shows yours"},
	{record.ErrNoKey, "", exitNotReady, "the hospitals have no key yet", "run the key ceremony first"},

	{identity.ErrUnknown, "", exitNotFound, "nobody is registered under this name", ""},
	{identity.ErrDenied, "", exitDenied, "you may not do this", ""},
	{identity.ErrTaken, "", exitFailure, "the name or the key is in use", "`ward identity attest NAME` changes what the hospital says of a name"},
	{identity.ErrNoKey, "", exitNotReady, "the hospitals have no key yet", "run the key ceremony first"},

	{identity.ErrNoAuthority, "", exitNotFound, "the hospital has published no attribute authority", "it does by `ward policy publish`"},
	{identity.ErrGuardian, "", exitNotFound, "there is no such guardian, and none is proposed", "`ward identity guardians` lists them"},
	{identity.ErrFull, "", exitFailure, "there are as many guardians as there can be", "end one of them: `ward identity guardian NAME --end`"},
	{identity.ErrUntil, "", exitUsage, "the guardian's time would be up already", ""},
	{identity.ErrCustody, "", exitDenied, "the name does not hold such a key itself", "`ward identity show` says who opens its records"},
	{keys.ErrDenied, "", exitDenied, "you may not do this", ""},
	{keys.ErrCustody, "", exitDenied, "the patient holds the key: only a grant opens these records", ""},
	{pre.ErrExposed, "expose", exitFailure, "you hold the key of your records, and hospitals could open what you grant to this reader", "--expose accepts that for a grant to a name; to a policy there is none"},
	{ward.ErrGuardian, "guardian", exitDenied, "only the patient herself can do this", ""},
	{ward.ErrNoMasterKey, "no-master-key", exitNotReady, "this wallet runs no attribute authority", "`ward policy publish` makes its master key"},

	{consent.ErrTaken, "", exitFailure, "there is such a request already", "`ward request list` shows it"},
	{consent.ErrRecipient, "", exitNotFound, "nobody is registered under the name of the reader", ""},
	{identity.ErrController, "", exitDenied, "the name is not held as this needs", "`ward identity show` says who holds it; for who holds it himself, --wait proposes a guardian"},
	{identity.ErrPossession, "", exitDenied, "the card's proof does not hold", "make the card again: `ward wallet show --card FILE`"},
	{identity.ErrRecovery, "", exitNotFound, "there is no such recovery", ""},
	{identity.ErrEarly, "", exitDenied, "the recovery still waits", ""},
	{identity.ErrApprovals, "", exitDenied, "too few hospitals have approved the recovery", ""},

	{workflow.ErrUnknown, "", exitNotFound, "there is no such workflow, definition or proposal", ""},
	{workflow.ErrOwner, "", exitNotFound, "there is no such patient", ""},
	{workflow.ErrExpired, "", exitEnded, "its time has run out", "`ward flow step ID tick` puts it on record"},
	{workflow.ErrState, "", exitDenied, "the workflow is not at this step: it was done already, or is not to be done yet", "`ward flow show` says where it stands"},
	{workflow.ErrStale, "", exitDenied, "the workflow has moved on", "look at it again: `ward flow show`"},
	{workflow.ErrParty, "", exitDenied, "this step is for others", "`ward flow graph` says for whom"},
	{workflow.ErrHolder, "", exitDenied, "only whoever holds it now may do this", "`ward flow show` says who does"},
	{workflow.ErrLimit, "", exitDenied, "it would exceed the limit of all hospitals together", "`ward flow counters` says how much is counted"},
	{workflow.ErrClaimed, "", exitDenied, "it was claimed before, and can be once only", ""},
	{workflow.ErrGrant, "", exitDenied, "no grant opens the document to whom this step needs", "the patient lets him: `ward rx allow`"},
	{workflow.ErrDenied, "", exitDenied, "you may not do this", ""},
	{workflow.ErrDocument, "", exitDenied, "a document is missing, or not one that this step takes", ""},
	{workflow.ErrField, "", exitDenied, "a field is missing, unknown or out of its bounds", "`ward flow show NAME` shows the definition"},
	{workflow.ErrTransition, "", exitNotFound, "the workflow has no such step", "`ward flow graph` shows them"},
	{workflow.ErrEarly, "", exitDenied, "no timer is due", ""},
	{workflow.ErrClosed, "", exitDenied, "the definition starts no workflows any more", ""},
	{workflow.ErrVersion, "", exitFailure, "it is not the next version, or not the one in force", "`ward flow list --definitions` shows them"},

	{wallet.ErrPassphrase, "passphrase", exitPassphrase, "wrong passphrase", ""},
	{wallet.ErrCorrupt, "integrity", exitIntegrity, "", "restore the wallet from its copy: `ward wallet restore`"},
	{wallet.ErrHeld, "held", exitDenied, "the chain still lets the hospital sign for the name", "its person claims it first: `ward identity claim`"},
	{ward.ErrNoCustody, "no-custody", exitNotReady, "this wallet lacks the person's own key", "restore the newest copy of the wallet"},
	{durable.ErrExposed, "exposed", exitFailure, "", "chmod 600, and the folder chmod 700"},

	{vault.ErrPassphrase, "passphrase", exitPassphrase, "wrong passphrase", ""},
	{vault.ErrNoVault, "not-initialised", exitNotReady, "there is no node in this directory", "`ward node init` makes one"},
	{durable.ErrLocked, "in-use", exitFailure, "another process has the directory open", "is the node running already? `ward node status` asks it"},

	{replica.ErrImporting, "importing", exitNotReady, "", "begin it again: `ward chain import FILE --dir NODE`"},
	{ward.ErrIntegrity, "integrity", exitIntegrity, "", "do not use what came back; tell the consortium"},
	{audit.ErrTruncated, "integrity", exitIntegrity, "", "the file is incomplete: export it again"},
	{chain.ErrUncertified, "integrity", exitIntegrity, "", ""},
	{ward.ErrQuota, "quota", exitFailure, "the hospitals keep too many payloads of yours that no record refers to", "what no record refers to is deleted in a day or two: try again then"},
	{ward.ErrShares, "shares", exitShares, "too few hospitals answered", "it works again when one more of them is reachable; nothing is lost"},
	{ward.ErrNoQuorum, "no-quorum", exitNoQuorum, "too few hospitals are reachable", "it works again when enough of them are; nothing is lost"},
	{ward.ErrUnavailable, "unavailable", exitNoQuorum, "", "check the address of the node and the network"},
	{ward.ErrReadOnly, "read-only", exitNoQuorum, "", "look at the node's log: its disk may be full"},
	{ward.ErrNotCommitted, "not-committed", exitNoQuorum, "", "nothing was changed; try again"},
	{ward.ErrUnknown, "unknown-outcome", exitFailure, "", "look whether it happened before you repeat it"},
	{ward.ErrNotFound, "not-found", exitNotFound, "", ""},
	{ward.ErrNoGrant, "no-grant", exitDenied, "no grant covers these records", "ask the patient for one"},
	{ward.ErrErased, "erased", exitNotFound, "the record was erased", ""},
	{ward.ErrUnauthorized, "unauthorized", exitDenied, "", "is this identity registered, and its key the one in force?"},
	{ward.ErrNotReady, "not-ready", exitNotReady, "", ""},
	{ward.ErrStale, "stale", exitFailure, "", "the node is catching up, or was set back: try again in a moment, then another one with --node"},
	{ward.ErrBusy, "busy", exitFailure, "", "try again in a moment"},
	{fs.ErrNotExist, "not-found", exitNotFound, "", ""},
	{context.DeadlineExceeded, "timeout", exitFailure, "it took too long", ""},
}

// explain turns any error into a problem.
func explain(err error) *problem {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p
	}
	if errors.Is(err, audit.ErrConsortium) {
		return failf("integrity", exitIntegrity, "the chain is of another consortium").withHint("give the consortium file of this chain")
	}
	if broken := (*chain.BrokenError)(nil); errors.As(err, &broken) {
		return &problem{code: "integrity", exit: exitIntegrity, words: plain(err)}
	}
	if p := speaking(err); p != nil {
		return p
	}
	code := chain.Code("")
	errors.As(err, &code)
	if rule, ok := strings.CutPrefix(string(code), string(workflow.ErrRule)+"/"); ok {
		return failf(string(code), exitDenied, "the rule %s of the workflow forbids it", rule).withHint("`ward flow show NAME` shows the definition")
	}
	for _, k := range known {
		if !errors.Is(err, k.err) {
			continue
		}
		p := &problem{code: k.code, exit: k.exit, words: plain(err), hint: message{format: k.hint}}
		if p.code == "" {
			p.code = string(code)
		}
		if k.text != "" {
			p.words = message{format: k.text}
		}
		return p
	}
	if code != "" {
		return &problem{code: string(code), exit: exitFailure, words: plain(err)}
	}
	return &problem{code: "failure", exit: exitFailure, words: plain(err)}
}

// speaking turns errors that carry what a person should know into problems; nil
// for others.
func speaking(err error) *problem {
	if missing := (*ward.ObligationsError)(nil); errors.As(err, &missing) {
		return notTakenOn(missing)
	}
	if missing := (*ward.AttributeKeyError)(nil); errors.As(err, &missing) {
		return missingKey(missing)
	}
	if damage := (*replica.DamageError)(nil); errors.As(err, &damage) {
		return damaged(err)
	}
	if damage := (*seglog.CorruptError)(nil); errors.As(err, &damage) {
		return damaged(err)
	}
	if wrong := (*abe.SyntaxError)(nil); errors.As(err, &wrong) {
		return usagef("%s, column %d: %s", wrong.What, wrong.Column, wrong.Problem)
	}
	return nil
}

// damaged reports that a node's directory does not hold what was written there.
func damaged(err error) *problem {
	p := &problem{code: "integrity", exit: exitIntegrity, words: plain(err)}
	return p.withHint("a node repairs what it can from the others when it starts; docs/how-to/run-a-consortium.md says what else there is")
}

// plain is an error's own text, which is not translated.
func plain(err error) message { return message{"%s", []any{fmt.Sprint(err)}} }
