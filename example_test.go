package ward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/internal/wardtest"
	"github.com/ward-health/ward/wallet"
)

// hospitals is a consortium in memory, in which these examples run. A program
// has nodes of package node/remote instead.
func hospitals() *wardtest.World {
	return wardtest.New(exampleTB{}, 4)
}

// exampleTB ends an example that goes wrong.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                   {}
func (exampleTB) Fatal(args ...any)         { log.Panic(args...) }
func (exampleTB) Fatalf(f string, a ...any) { log.Panicf(f, a...) }
func (exampleTB) Cleanup(func())            {}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}

func Example() {
	ctx := context.Background()
	net := hospitals()
	laboratory := net.Client(net.Register("lab@north", identity.Author))
	patient := net.Client(net.Register("p-7f3a@north"))
	doctor := net.Client(net.Register("dr.lee@east"))

	id, err := laboratory.Put(ctx, ward.Record{Owner: "p-7f3a@north", Type: "clinical/exam/lab", Title: "Blood count"},
		strings.NewReader("hemoglobin 13.2 g/dL"))
	check(err)
	grant, err := patient.Grant(ctx, ward.Terms{To: "dr.lee@east", Type: "clinical/exam"})
	check(err)
	var out bytes.Buffer
	entry, err := doctor.Get(ctx, id, ward.Purpose{Code: consent.Treatment, Reason: "follow-up"}, &out)
	check(err)
	fmt.Printf("%s: %s\n", entry.Title, out.String())

	check(patient.Revoke(ctx, grant, ward.RevokeOptions{}))
	_, err = doctor.Get(ctx, id, ward.Purpose{Code: consent.Treatment}, io.Discard)
	fmt.Println(errors.Is(err, consent.ErrRevoked))
	// Output:
	// Blood count: hemoglobin 13.2 g/dL
	// true
}

func ExampleNew() {
	net := hospitals()
	w, err := wallet.Generate(net.Founding().Chain, "dr.lee@east")
	check(err)
	client, err := ward.New(ward.Options{
		Consortium: net.Founding(), // from consortium.json
		Wallet:     w,              // from wallet.Open
		Nodes:      net.Nodes(),    // the own hospital's first
		Clock:      net.Now,        // the examples' clock stands still
	})
	check(err)
	fmt.Println(client.Name())
	// Output: dr.lee@east
}

func ExampleClient_Find() {
	ctx := context.Background()
	net := hospitals()
	laboratory := net.Client(net.Register("lab@north", identity.Author))
	patient := net.Client(net.Register("p-7f3a@north"))
	for _, t := range []ward.Record{{Type: "clinical/lab"}, {Type: "imaging/ct"}, {Type: "clinical/letter"}} {
		t.Owner = "p-7f3a@north"
		_, err := laboratory.Put(ctx, t, strings.NewReader("…"))
		check(err)
	}
	for e, err := range patient.Find(ctx, ward.Query{Owner: "p-7f3a@north", Type: "clinical"}) {
		check(err)
		fmt.Println(e.Type, "by", e.Author)
	}
	// Output:
	// clinical/lab by lab@north
	// clinical/letter by lab@north
}

func ExampleClient_History() {
	ctx := context.Background()
	net := hospitals()
	laboratory := net.Client(net.Register("lab@north", identity.Author))
	patient := net.Client(net.Register("p-7f3a@north"))
	doctor := net.Client(net.Register("dr.lee@east"))
	id, err := laboratory.Put(ctx, ward.Record{Owner: "p-7f3a@north", Type: "lab"}, strings.NewReader("…"))
	check(err)
	_, err = patient.Grant(ctx, ward.Terms{To: "dr.lee@east", Type: "lab"})
	check(err)
	_, err = doctor.Get(ctx, id, ward.Purpose{Code: consent.Treatment, Reason: "second opinion"}, io.Discard)
	check(err)

	for e, err := range patient.History(ctx, "p-7f3a@north") {
		check(err)
		fmt.Println(e.Kind, "by", e.By)
		if e.Kind == "access" {
			reason, err := patient.Reason(ctx, e.Index)
			check(err)
			fmt.Println("because:", reason)
		}
	}
	// Output:
	// put by lab@north
	// grant by p-7f3a@north
	// access by dr.lee@east
	// because: second opinion
}

func ExampleClient_Access() {
	ctx := context.Background()
	net := hospitals()
	laboratory := net.Client(net.Register("lab@north", identity.Author))
	patient := net.Client(net.Register("p-7f3a@north"))
	doctor := net.Client(net.Register("dr.lee@east"))
	var ids []record.ID
	for _, title := range []string{"Monday", "Tuesday"} {
		id, err := laboratory.Put(ctx, ward.Record{Owner: "p-7f3a@north", Type: "lab", Title: title}, strings.NewReader(title+"'s result"))
		check(err)
		ids = append(ids, id)
	}
	grant, err := patient.Grant(ctx, ward.Terms{To: "dr.lee@east", Type: "lab", NotAfter: net.Now().Add(24 * time.Hour)})
	check(err)
	opened, err := doctor.Access(ctx, grant, ids, ward.Purpose{Code: consent.Treatment}) // one line in the log
	check(err)
	for _, o := range opened {
		r, err := o.Open(ctx)
		check(err)
		b, err := io.ReadAll(r)
		check(err)
		check(r.Close())
		fmt.Printf("%s: %s\n", o.Title, b)
	}
	// Output:
	// Monday: Monday's result
	// Tuesday: Tuesday's result
}

func ExampleClient_Emergency() {
	ctx := context.Background()
	net := hospitals()
	laboratory := net.Client(net.Register("lab@north", identity.Author))
	net.Register("p-7f3a@north")
	doctor := net.Client(net.Register("dr.er@west", identity.Emergency))
	colleague := net.Client(net.Register("dr.two@west", identity.Emergency))
	id, err := laboratory.Put(ctx, ward.Record{Owner: "p-7f3a@north", Type: "allergies", Title: "Penicillin"}, nil)
	check(err)

	draft, err := doctor.DraftEmergency("p-7f3a@north", []record.ID{id})
	check(err)
	b, err := draft.Bytes() // to the colleague's screen
	check(err)
	seen, err := ward.ParseDraft(b)
	check(err)
	approval, err := colleague.Approve(seen)
	check(err)
	opened, err := doctor.Emergency(ctx, "p-7f3a@north", []record.ID{id},
		ward.Purpose{Reason: "unconscious, anaphylaxis", Draft: draft, Approvals: []consent.Approval{approval}})
	check(err)
	fmt.Println(opened[0].Title)
	// Output: Penicillin
}

func ExampleClient_Verify() {
	ctx := context.Background()
	net := hospitals()
	auditor := net.Client(net.Register("auditor@south", identity.Auditor))
	v, err := auditor.Verify(ctx)
	check(err)
	fmt.Println(v.Transactions > 0)
	// Output: true
}
