package pre_test

import (
	"errors"
	"fmt"

	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/pre/insecuretrusteddealer"
)

// hospitals is a consortium of four, of which three act together. See package
// dkg for how they come by their shares without a dealer.
type hospitals struct {
	authority *pre.Sharing
	shares    []*pre.Share
}

func newHospitals() *hospitals {
	authority, shares, err := insecuretrusteddealer.Deal(4, 3)
	check(err)
	return &hospitals{authority, shares}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func (h *hospitals) identity(name string) pre.Identity {
	return pre.Identity{Chain: "north-sea", Name: name, Key: h.authority.Key()}
}

// key extracts the key for a type of an identity's records.
func (h *hospitals) key(id pre.Identity, t pre.Type) *pre.PrivateKey {
	var parts []*pre.PartialKey
	for _, s := range h.shares[:3] {
		p, err := s.Extract(id, t)
		check(err)
		parts = append(parts, p)
	}
	k, err := h.authority.CombineKey(id, t, parts)
	check(err)
	return k
}

func (h *hospitals) inbox(id pre.Identity) *pre.PrivateKey {
	var parts []*pre.PartialKey
	for _, s := range h.shares[:3] {
		p, err := s.ExtractInbox(id)
		check(err)
		parts = append(parts, p)
	}
	k, err := h.authority.CombineInboxKey(id, parts)
	check(err)
	return k
}

// write puts a laboratory report of alice's.
func (h *hospitals) write(owner pre.Identity, index string) (*pre.Record, []byte) {
	header := pre.Header{Record: "rec-1", Owner: owner, Type: "lab/hematology", Author: "lab@south"}
	envelope, sealed, err := new(pre.Encapsulator).Encapsulate(header, []byte(index))
	check(err)
	record, err := envelope.Verify(header)
	check(err)
	return record, sealed
}

// The whole story: a laboratory writes for a patient, she grants the type to a
// doctor, three of four hospitals answer his access, he reads.
func Example() {
	h := newHospitals()
	alice, bob := h.identity("p-7f3a@north"), h.identity("dr.lee@south")

	// The laboratory writes. It needs nobody's permission.
	record, sealed := h.write(alice, "hemoglobin 13.2 g/dL")

	// The owner grants everything below "lab".
	terms := pre.Terms{ID: "grant-1", Generation: 1, Members: 4, Threshold: 3}
	grant, shares, err := h.key(alice, "lab").Grant(terms, bob)
	check(err)

	// The reader opens his half and asks.
	delegation, err := grant.Open(h.inbox(bob))
	check(err)
	transport, err := pre.GenerateTransportKey()
	check(err)
	access := &pre.Access{ID: [32]byte{1}, Requester: transport.Public(), Records: []*pre.Record{record}}

	// Three hospitals answer, once the access is on the chain.
	var answers []*pre.Answer
	for _, share := range shares[1:] {
		answer, err := share.Reencrypt(grant, grant.Sharing(), access)
		check(err)
		letter, err := answer.Seal(access)
		check(err)
		opened, err := transport.OpenAnswer(letter, access, share.Index(), share.Generation())
		check(err)
		answers = append(answers, opened)
	}
	keys, err := delegation.Open(grant.Sharing(), access, answers)
	check(err)
	index, err := keys[0].OpenIndex(sealed)
	check(err)
	fmt.Printf("%s\n", index)
	// Output: hemoglobin 13.2 g/dL
}

func ExampleParseType() {
	t, err := pre.ParseType("clinical/sealed:hiv/load")
	check(err)
	fmt.Printf("%q\n", t.Levels())
	_, err = pre.ParseType("Clinical")
	fmt.Println(err)
	// Output:
	// ["clinical/sealed:hiv/load" "clinical/sealed:hiv"]
	// malformed type: field
}

func ExampleType_Covers() {
	fmt.Println(pre.Type("lab").Covers("lab/cbc"), pre.Type("lab").Covers("laboratory"))
	// Output: true false
}

func ExampleEncapsulator_Encapsulate() {
	h := newHospitals()
	var writer pre.Encapsulator // keep it: the next record of this owner needs no pairing
	header := pre.Header{Record: "rec-1", Owner: h.identity("p-7f3a@north"), Type: "lab/hematology", Author: "lab@south"}
	envelope, sealed, err := writer.Encapsulate(header, []byte("where the payload lies"))
	check(err)
	fmt.Println(len(envelope.Bytes()), "bytes for the chain,", len(sealed), "sealed beside it")
	// Output: 418 bytes for the chain, 310 sealed beside it
}

func ExampleEnvelope_Verify() {
	h := newHospitals()
	record, _ := h.write(h.identity("p-7f3a@north"), "x")
	envelope, err := pre.ParseEnvelope(record.Envelope().Bytes())
	check(err)
	header := record.Header()
	_, err = envelope.Verify(header)
	fmt.Println("as written:", err)
	header.Author = "mallory@south"
	_, err = envelope.Verify(header)
	fmt.Println("copied:", err)
	// Output:
	// as written: <nil>
	// copied: capsule: proof does not hold
}

func ExampleVerifyBatch() {
	h := newHospitals()
	record, _ := h.write(h.identity("p-7f3a@north"), "x")
	header := record.Header()
	forged := header
	forged.Record = "rec-2"
	blockHash := []byte("the hash of the block")
	_, errs := pre.VerifyBatch(blockHash, []*pre.Envelope{record.Envelope(), record.Envelope()}, []pre.Header{header, forged})
	fmt.Println(errs)
	// Output: [<nil> capsule: proof does not hold]
}

func ExamplePrivateKey_OpenRecord() {
	h := newHospitals()
	alice := h.identity("p-7f3a@north")
	record, sealed := h.write(alice, "hemoglobin 13.2 g/dL")
	key, err := h.key(alice, "lab").OpenRecord(record)
	check(err)
	index, err := key.OpenIndex(sealed)
	fmt.Printf("%s, %v\n", index, err)
	_, err = h.key(alice, "imaging").OpenRecord(record)
	fmt.Println(errors.Is(err, pre.ErrNotCovered))
	// Output:
	// hemoglobin 13.2 g/dL, <nil>
	// true
}

func ExampleSharing_CombineKey() {
	h := newHospitals()
	alice := h.identity("p-7f3a@north")
	var parts []*pre.PartialKey
	for i, s := range h.shares[:3] {
		asked := alice
		if i == 2 {
			asked.Name = "p-0000@north" // the third hospital sends something else
		}
		p, err := s.Extract(asked, "lab")
		check(err)
		parts = append(parts, p)
	}
	_, err := h.authority.CombineKey(alice, "lab", parts)
	var blame *pre.BlameError
	if errors.As(err, &blame) {
		fmt.Println("hospitals to blame:", blame.Members)
	}
	// Output: hospitals to blame: [3]
}

// A patient takes custody: from now on t hospitals alone cannot read what is
// written for her.
func ExamplePublicKey_SelfCustody() {
	h := newHospitals()
	x, err := pre.GenerateCustodyKey()
	check(err)
	proof, err := x.Prove("north-sea", "p-7f3a@north", 1) // registered on the chain
	check(err)
	key, err := h.authority.Key().SelfCustody("north-sea", "p-7f3a@north", 1, proof)
	check(err)
	alice := pre.Identity{Chain: "north-sea", Name: "p-7f3a@north", Version: 1, Key: key}

	record, sealed := h.write(alice, "hers alone")
	complete, err := x.Complete(h.key(h.identity(alice.Name), "lab"), alice)
	check(err)
	recordKey, err := complete.OpenRecord(record)
	check(err)
	index, err := recordKey.OpenIndex(sealed)
	check(err)
	fmt.Printf("%s\n", index)

	// A grant to somebody whose key the hospitals can extract would undo it.
	_, _, err = complete.Grant(pre.Terms{ID: "grant-1", Generation: 1, Members: 4, Threshold: 3}, h.identity("dr.lee@south"))
	fmt.Println(err)
	// Output:
	// hers alone
	// recipient is not in self-custody, and the owner is
}

func ExampleShare_Check() {
	h := newHospitals()
	grant, shares, err := h.key(h.identity("p-7f3a@north"), "lab").Grant(
		pre.Terms{ID: "grant-1", Generation: 1, Members: 4, Threshold: 3}, h.identity("dr.lee@south"))
	check(err)
	member, err := pre.GenerateTransportKey()
	check(err)
	letter, err := shares[2].Seal(member.Public(), grant)
	check(err)

	// At hospital 3:
	fmt.Println("the grant is for us:", grant.Check(h.authority))
	share, err := member.OpenShare(letter, grant, 3)
	check(err)
	fmt.Println("accepted:", share.Check(grant.Sharing()))
	// Output:
	// the grant is for us: <nil>
	// accepted: <nil>
}

// Break-glass: three hospitals open one record without a grant, under rules of
// their own.
func ExampleShare_Decapsulate() {
	h := newHospitals()
	record, sealed := h.write(h.identity("p-7f3a@north"), "penicillin: anaphylaxis")
	transport, err := pre.GenerateTransportKey()
	check(err)
	access := &pre.Access{ID: [32]byte{2}, Requester: transport.Public(), Records: []*pre.Record{record}}
	var answers []*pre.Answer
	for _, share := range h.shares[:3] {
		answer, err := share.Decapsulate(h.authority, access)
		check(err)
		answers = append(answers, answer)
	}
	keys, err := access.OpenDecapsulated(h.authority, answers)
	check(err)
	index, err := keys[0].OpenIndex(sealed)
	check(err)
	fmt.Printf("%s\n", index)
	// Output: penicillin: anaphylaxis
}

func ExampleAnswer_Verify() {
	h := newHospitals()
	alice := h.identity("p-7f3a@north")
	record, _ := h.write(alice, "x")
	grant, shares, err := h.key(alice, "lab").Grant(
		pre.Terms{ID: "grant-1", Generation: 1, Members: 4, Threshold: 3}, h.identity("dr.lee@south"))
	check(err)
	access := &pre.Access{ID: [32]byte{1}, Requester: make([]byte, 32), Records: []*pre.Record{record}}
	answer, err := shares[0].Reencrypt(grant, grant.Sharing(), access)
	check(err)
	fmt.Println(answer.Verify(grant, grant.Sharing(), access))
	access.ID[0]++
	fmt.Println(answer.Verify(grant, grant.Sharing(), access))
	// Output:
	// <nil>
	// answer of member 1: proof does not hold
}

func ExampleIdentity_CheckHalf() {
	// A dealer seals a half that does not fit his grant. The reader shows it,
	// and anyone can see that it is what was sealed.
	h := newHospitals()
	bob := h.identity("dr.lee@south")
	terms := pre.Terms{ID: "grant-1", Generation: 1, Members: 4, Threshold: 3}
	grant, _, err := h.key(h.identity("p-7f3a@north"), "lab").Grant(terms, dealer{bob})
	check(err)
	_, err = grant.Open(h.inbox(bob))
	var fault *pre.DealerError
	if errors.As(err, &fault) {
		fmt.Println(fault)
		fmt.Println("evidence holds:", bob.CheckHalf(grant.Sealed(), fault.Half, grant.Context()))
	}
	// Output:
	// grant is malformed: the reader's half does not match it
	// evidence holds: true
}

// dealer is a recipient who spoils what is sealed to him.
type dealer struct{ pre.Identity }

func (d dealer) SealHalf(_ []byte, context [32]byte) ([]byte, error) {
	return d.Identity.SealHalf(make([]byte, 96), context)
}

// granted is the state after alice granted her laboratory reports to dr. lee.
func granted() (h *hospitals, grant *pre.Grant, shares []*pre.Share) {
	h = newHospitals()
	grant, shares, err := h.key(h.identity("p-7f3a@north"), "lab").Grant(
		pre.Terms{ID: "grant-1", Generation: 1, Members: 4, Threshold: 3}, h.identity("dr.lee@south"))
	check(err)
	return h, grant, shares
}

func ExamplePrivateKey_Grant() {
	h := newHospitals()
	key := h.key(h.identity("p-7f3a@north"), "lab")
	grant, shares, err := key.Grant(pre.Terms{ID: "grant-1", Generation: 1, Members: 4, Threshold: 3}, h.identity("dr.lee@south"))
	check(err)
	fmt.Printf("%s opens %q and below; %d hospitals hold a share\n", grant.ID(), grant.Type(), len(shares))
	reader, err := pre.ParseIdentity(grant.Recipient())
	fmt.Println("for", reader.Name, err)
	// Output:
	// grant-1 opens "lab" and below; 4 hospitals hold a share
	// for dr.lee@south <nil>
}

func ExampleGrant_Open() {
	h, grant, _ := granted()
	_, err := grant.Open(h.inbox(h.identity("dr.lee@south")))
	fmt.Println("dr. lee:", err)
	_, err = grant.Open(h.inbox(h.identity("mallory@south")))
	fmt.Println("mallory:", err)
	// Output:
	// dr. lee: <nil>
	// mallory: decryption failed
}

func ExampleShare_Reencrypt() {
	h, grant, shares := granted()
	record, _ := h.write(h.identity("p-7f3a@north"), "x")
	access := &pre.Access{ID: [32]byte{1}, Requester: make([]byte, 32), Records: []*pre.Record{record}}
	answer, err := shares[0].Reencrypt(grant, grant.Sharing(), access)
	check(err)
	fmt.Println(answer, "in", len(answer.Bytes()), "bytes")

	other, _ := h.write(h.identity("p-0000@north"), "x")
	access.Records = append(access.Records, other)
	_, err = shares[0].Reencrypt(grant, grant.Sharing(), access)
	fmt.Println(err)
	// Output:
	// answer of member 1 in generation 1 in 134 bytes
	// record is not covered by this key or grant
}

func ExampleDelegation_Open() {
	h, grant, shares := granted()
	delegation, err := grant.Open(h.inbox(h.identity("dr.lee@south")))
	check(err)
	record, _ := h.write(h.identity("p-7f3a@north"), "x")
	access := &pre.Access{ID: [32]byte{1}, Requester: make([]byte, 32), Records: []*pre.Record{record}}
	var answers []*pre.Answer
	for _, share := range shares[:3] {
		answer, err := share.Reencrypt(grant, grant.Sharing(), access)
		check(err)
		answers = append(answers, answer)
	}
	keys, err := delegation.Open(grant.Sharing(), access, answers)
	fmt.Println(keys, err)
	_, err = delegation.Open(grant.Sharing(), access, answers[:2])
	fmt.Println(err)
	// Output:
	// [key of record rec-1] <nil>
	// not exactly t parts of distinct members of this generation
}

func ExampleSharing_CombineInboxKey() {
	h := newHospitals()
	bob := h.identity("dr.lee@south")
	request := [32]byte{7} // the id of the request on the chain
	transport, err := pre.GenerateTransportKey()
	check(err)
	var parts []*pre.PartialKey
	for _, share := range h.shares[:3] {
		// At each hospital, once the request is on the chain:
		part, err := share.ExtractInbox(bob)
		check(err)
		letter, err := part.Seal(transport.Public(), request)
		check(err)
		// At the reader:
		part, err = transport.OpenPartialKey(letter, request, share.Index(), share.Generation())
		check(err)
		parts = append(parts, part)
	}
	key, err := h.authority.CombineInboxKey(bob, parts)
	fmt.Println(key, err)
	// Output: private key of dr.lee@south for "#inbox" <nil>
}

// Every object comes back from its bytes, and from no others.
func ExampleParseGrant() {
	_, grant, _ := granted()
	b := grant.Bytes()
	again, err := pre.ParseGrant(b)
	fmt.Println(again.ID(), err)
	_, err = pre.ParseGrant(append(b, 0))
	fmt.Println(err)
	var format *pre.FormatError
	fmt.Println(errors.As(err, &format), format.Reason)
	// Output:
	// grant-1 <nil>
	// malformed grant: trailing
	// true trailing
}
