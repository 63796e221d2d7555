package record_test

import (
	"fmt"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

// A laboratory puts a record for a patient, whom it need not ask; she erases it.
func Example() {
	w := newWorld(new(testing.T)) // alice, and the laboratory, are registered
	owner, err := identity.Lookup(w.space(identity.Contract), alice)
	if err != nil {
		fmt.Println(err)
		return
	}
	to, err := owner.Recipient("records.example", w.authority())
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := record.GenerateID()
	if err != nil {
		fmt.Println(err)
		return
	}
	header := pre.Header{Record: string(id), Owner: to, Type: "lab/hematology", Author: string(lab)}
	envelope, sealed, err := new(pre.Encapsulator).Encapsulate(header, []byte("hemoglobin 13.2 g/dL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	args, err := chain.Marshal(record.PutArgs{ID: id, Owner: alice, Type: "lab/hematology", Version: owner.Version, Epoch: owner.Epoch, Envelope: envelope.Bytes()})
	if err != nil {
		fmt.Println(err)
		return
	}
	sidecar, err := chain.NewSidecar(sealed)
	if err != nil {
		fmt.Println(err)
		return
	}
	tx := w.TxWith(string(lab), chain.TxBody{Contract: record.Contract, Method: record.MethodPut, Args: args, Sidecar: sidecar})
	fmt.Println(w.Apply(w.Entry([]*chain.Tx{tx}, [][]byte{sealed})).Block.Results[0].Err())

	erase := func(signer identity.Name) error {
		return w.Run(w.Tx(string(signer), record.Contract, record.MethodErase, record.EraseArgs{ID: id}))[0].Err()
	}
	fmt.Println(erase(lab))
	fmt.Println(erase(alice))
	// Output:
	// <nil>
	// record/denied
	// <nil>
}

func ExampleEach() {
	w := newWorld(new(testing.T))
	w.put(w.draft(alice, lab, "lab/hematology"))
	w.put(w.draft(alice, lab, "imaging/ct"))
	w.put(w.draft(alice, lab, "lab/chemistry"))
	err := record.Each(w.space(record.Contract), alice, 0, record.Filter{Type: "lab"}, func(r *record.Record) bool {
		fmt.Println(r.Type, "by", r.Author)
		return true
	})
	fmt.Println(err)
	// Output:
	// lab/hematology by lab@south
	// lab/chemistry by lab@south
	// <nil>
}

func ExampleParseID() {
	id, err := record.GenerateID()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = record.ParseID(string(id))
	fmt.Println(len(id), err)
	_, err = record.ParseID("r-1")
	fmt.Println(err)
	// Output:
	// 28 <nil>
	// record/malformed
}

func ExampleRecord_Verified() {
	w := newWorld(new(testing.T))
	r := w.put(w.draft(alice, lab, "lab/hematology"))
	envelope, err := r.Verified(ledgertest.Consortium(w.t, 4).Chain)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(envelope.Header().Type)
	r.Author = clerk // who would like to have written it
	_, err = r.Verified(ledgertest.Consortium(w.t, 4).Chain)
	fmt.Println(err)
	// Output:
	// lab/hematology
	// capsule: proof does not hold
}
