package consent

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/contract/record"
)

// What the bytes begin with that are hashed and signed. Part of the format.
const (
	recordsTag  = "ward/v1/records\n"
	approvalTag = "WARD-V1-APPROVAL"
)

// RecordsHash returns the hash over the encodings of records without what
// superseded them: that may change between the access and its answers, and is
// nothing to the reader.
func RecordsHash(records []*record.Record) ([32]byte, error) {
	h := sha256.New()
	h.Write([]byte(recordsTag))
	for _, r := range records {
		fixed := *r
		fixed.Replaced = ""
		b, err := chain.Marshal(&fixed)
		if err != nil {
			return [32]byte{}, err
		}
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		h.Write(b)
	}
	return [32]byte(h.Sum(nil)), nil
}

// ApprovalStatement returns what a co-signer signs: the access or emergency
// that reader is about to request on the chain, without its approvals. args is
// an AccessArgs or an EmergencyArgs.
func ApprovalStatement(chainID string, reader identity.Name, method string, args any) ([]byte, error) {
	switch a := args.(type) {
	case AccessArgs:
		a.Approvals = nil
		args = a
	case EmergencyArgs:
		a.Approvals = nil
		args = a
	case *AccessArgs:
		return ApprovalStatement(chainID, reader, method, *a)
	case *EmergencyArgs:
		return ApprovalStatement(chainID, reader, method, *a)
	default:
		return nil, errors.New("approval is neither of an access nor of an emergency")
	}
	body, err := chain.Marshal(args)
	if err != nil {
		return nil, err
	}
	b := []byte(approvalTag)
	for _, s := range []string{chainID, string(reader), method} {
		if len(s) > 255 {
			return nil, errors.New("approval: name is too long")
		}
		b = append(append(b, byte(len(s))), s...)
	}
	return append(b, body...), nil
}

func access(call *ledger.Call, raw []byte, holds Holds) ([]byte, error) {
	var args AccessArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	if !args.Purpose.Valid() || !wellFormed(args.Records, args.Transport, args.Approvals) {
		return nil, ErrMalformed
	}
	reader, err := person(call, MethodAccess)
	if err != nil {
		return nil, err
	}
	g, err := lean(call.State, args.Grant)
	if err != nil {
		return nil, err
	}
	c := &Case{
		Grant: g, Consortium: call.Consortium, Time: call.Time, Reader: reader,
		Purpose: args.Purpose, Obligations: args.Obligations, Reason: call.Sidecar.Size != 0,
	}
	if c.Status, err = g.standing(call.Of(keys.Contract), call.Time, false); err != nil {
		return nil, err
	}
	if err := c.ask(call.Of, holds); err != nil {
		return nil, err
	}
	if err := c.first(ofReader); err != nil {
		return nil, err
	}
	if err := c.first(ofRequest); err != nil {
		return nil, err
	}
	if c.Records, err = lookupRecords(call.Of(record.Contract), args.Records); err != nil {
		return nil, err
	}
	if err := c.first(ofRecords); err != nil {
		return nil, err
	}
	if c.CoSigners, err = approved(call, reader, MethodAccess, args, args.Approvals); err != nil {
		return nil, err
	}
	if err := c.first(ofSigners); err != nil {
		return nil, err
	}
	g.Uses++
	g.Used = call.Time
	if err := saveGrant(call.State, g); err != nil {
		return nil, err
	}
	return log(call, reader, &Access{
		Owner: g.Owner, Grant: g.ID, Records: args.Records, Purpose: args.Purpose, Transport: args.Transport, Emergency: g.Conditions.Emergency,
	}, c.CoSigners, c.Records)
}

// another is the rule for emergencies: the signature of another clinician.
var another = CoSigners{Count: 1, Attribute: identity.Emergency}

func emergency(call *ledger.Call, raw []byte) ([]byte, error) {
	var args EmergencyArgs
	if err := parse(raw, &args); err != nil {
		return nil, err
	}
	if !wellFormed(args.Records, args.Transport, args.Approvals) {
		return nil, ErrMalformed
	}
	reader, err := person(call, MethodEmergency)
	if err != nil {
		return nil, err
	}
	owner, err := lookup(call, args.Owner, ErrUnknown)
	if err != nil {
		return nil, err
	}
	if owner.Version != 0 {
		return nil, ErrCustody
	}
	if _, _, err := authority(call); err != nil {
		return nil, err
	}
	records, err := lookupRecords(call.Of(record.Contract), args.Records)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(records, func(r *record.Record) bool { return r.Owner != owner.Name }) {
		return nil, ErrOwner
	}
	if slices.ContainsFunc(records, func(r *record.Record) bool { return r.Version != 0 }) {
		return nil, ErrCustody // written while she was in self-custody: members cannot open it
	}
	if err := unerased(records); err != nil {
		return nil, err
	}
	signers, err := approved(call, reader, MethodEmergency, args, args.Approvals)
	if err != nil {
		return nil, err
	}
	c := Case{Consortium: call.Consortium, Time: call.Time, Reader: reader, CoSigners: signers}
	if !c.signed(another) {
		return nil, ErrApproval
	}
	if call.Sidecar.Size == 0 {
		return nil, ErrTerms // no reason was given
	}
	return log(call, reader, &Access{
		Owner: owner.Name, Records: args.Records, Purpose: BreakGlass, Transport: args.Transport, Emergency: true,
	}, signers, records)
}

// wellFormed checks what can be checked of the arguments alone.
func wellFormed(records []record.ID, transport []byte, approvals []Approval) bool {
	if len(records) < 1 || len(records) > MaxRecords || len(approvals) > MaxApprovals || !keys.ValidTransport(transport) {
		return false
	}
	for i := range records[1:] {
		if records[i] >= records[i+1] {
			return false
		}
	}
	for i := range approvals {
		if i > 0 && approvals[i-1].Name >= approvals[i].Name {
			return false
		}
	}
	return true
}

// lookupRecords returns the records, or ErrRecord if one is not there. r reads
// the namespace of package record.
func lookupRecords(r ledger.Reader, ids []record.ID) ([]*record.Record, error) {
	list := make([]*record.Record, len(ids))
	for i, id := range ids {
		var err error
		list[i], err = record.Lookup(r, id)
		if errors.Is(err, record.ErrUnknown) {
			return nil, ErrRecord
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// unerased returns ErrErased if one of the records was erased.
func unerased(records []*record.Record) error {
	if slices.ContainsFunc(records, func(r *record.Record) bool { return r.Erased != 0 }) {
		return ErrErased
	}
	return nil
}

// approved returns who signed besides the reader, if all their signatures hold.
func approved(call *ledger.Call, reader *identity.Identity, method string, args any, approvals []Approval) ([]*identity.Identity, error) {
	if len(approvals) == 0 {
		return nil, nil
	}
	statement, err := ApprovalStatement(call.Chain, reader.Name, method, args)
	if err != nil {
		return nil, ErrMalformed
	}
	list := make([]*identity.Identity, len(approvals))
	for i, a := range approvals {
		if list[i], err = lookup(call, a.Name, ErrApproval); err != nil {
			return nil, err
		}
		if a.Name == reader.Name || !list[i].Key.Verify(statement, a.Signature) {
			return nil, ErrApproval
		}
	}
	return list, nil
}

// log stores an access and returns its result.
func log(call *ledger.Call, reader *identity.Identity, a *Access, signers []*identity.Identity, records []*record.Record) ([]byte, error) {
	// Approvals are good for one access: it is the transport key in them that
	// makes each unique.
	once := append([]byte(keyTransport+string(reader.Name)+"\x00"), a.Transport...)
	if used, err := call.State.Get(once); err != nil {
		return nil, err
	} else if used != nil {
		return nil, ErrTaken
	}
	a.Index, a.ID, a.Time, a.Reader, a.Key = call.Index, call.ID, call.Time, reader.Name, reader.Key
	for _, s := range signers {
		a.CoSigners = append(a.CoSigners, s.Name)
	}
	marks := [][]byte{once, indexed(keyOfOwner, string(a.Owner), a.Index), indexed(keyOfReader, string(a.Reader), a.Index)}
	for _, id := range a.Records {
		marks = append(marks, indexed(keyOfRecord, string(id), a.Index))
	}
	kind := EventAccess
	if a.Emergency {
		a.Review, kind = Open, EventEmergency
		marks = append(marks, accessKey(keyOpen, a.Index))
	}
	for _, k := range marks {
		if err := call.State.Set(k, set); err != nil {
			return nil, err
		}
	}
	if err := saveAccess(call, kind, a); err != nil {
		return nil, err
	}
	hash, err := RecordsHash(records)
	if err != nil {
		return nil, err
	}
	return chain.Marshal(AccessResult{Records: hash})
}

// saveAccess stores an access and tells subscribers.
func saveAccess(call *ledger.Call, kind string, a *Access) error {
	if err := store(call.State, accessKey(keyAccess, a.Index), a); err != nil {
		return err
	}
	short := *a
	short.Records = nil
	return emit(call, kind, &short)
}

// Outcomes of a review.
const (
	OutcomeJustified = "justified"
	OutcomeAbuse     = "abuse" // members stop answering
)

func review(call *ledger.Call, raw []byte) error {
	var args ReviewArgs
	if err := parse(raw, &args); err != nil {
		return err
	}
	if args.Outcome != OutcomeJustified && args.Outcome != OutcomeAbuse {
		return ErrMalformed
	}
	reviewer, err := person(call, MethodReview)
	if err != nil {
		return err
	}
	a, err := LookupAccess(call.State, args.Access)
	switch {
	case err != nil:
		return err
	case a.Review != Open:
		return ErrReviewed
	case reviewer.Name == a.Reader || slices.Contains(a.CoSigners, reviewer.Name):
		return ErrDenied
	case reviewer.Name.Org() != a.Owner.Org() && call.Consortium.Member(a.Owner.Org()) != nil:
		return ErrDenied // a hospital neither absolves its own of what they did to others' patients, nor stops others' emergencies
	}
	a.Review, a.Reviewer, a.Reviewed, a.Outcome = Closed, reviewer.Name, call.Time, args.Outcome
	if err := call.State.Delete(accessKey(keyOpen, a.Index)); err != nil {
		return err
	}
	return saveAccess(call, EventReview, a)
}
