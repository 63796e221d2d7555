package record_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
)

func TestAuthorPutsARecordForAnOwner(t *testing.T) {
	w := newWorld(t)
	d := w.draft(alice, lab, "lab/hematology/cbc")
	d.Payload, d.Size, d.Dated = ref("payload"), 4096, 20_000*day
	r := w.put(d)
	if r.ID != d.ID || r.Owner != alice || r.Author != lab || r.Type != d.Type || r.Version != 0 || r.Epoch != 0 || !bytes.Equal(r.Key, w.Consortium.ExtractionKey) ||
		!bytes.Equal(r.Envelope, d.Envelope) || !bytes.Equal(r.Payload, d.Payload) || r.Size != 4096 || r.Dated != 20_000*day ||
		r.Index != 4 || r.Time != w.Now.UnixMilli() || r.Replaces != "" || r.Replaced != "" || r.Erased != 0 {
		t.Errorf("record %+v", r)
	}
	if !bytes.Equal(w.Sidecars[r.Index], d.sidecar) {
		t.Error("the sealed index is not kept")
	}
	envelope := must(r.Verified("records.example"))
	if h := envelope.Header(); h.Record != string(d.ID) || h.Owner.Name != string(alice) || h.Author != string(lab) {
		t.Errorf("header %+v", h)
	}
	if _, err := r.Verified("other.example"); err == nil {
		t.Error("the envelope holds on another chain")
	}
	if held := must(record.References(w.space("record"), d.Payload)); !held {
		t.Error("the payload is not referred to")
	}
}

func TestOwnerPutsHerOwn(t *testing.T) {
	w := newWorld(t)
	if r := w.put(w.draft(alice, alice, "")); r.Author != alice || len(r.Payload) != 0 {
		t.Errorf("record %+v", r)
	}
}

func TestPutAndEraseAreTold(t *testing.T) {
	w := newWorld(t)
	d := w.draft(alice, lab, "lab")
	d.Payload, d.Size = ref("x"), 1
	put := w.Apply(w.Entry([]*chain.Tx{w.tx(d)}, [][]byte{d.sidecar})).Block.Results[0]
	erase := w.Run(w.Tx(string(alice), "record", "erase", record.EraseArgs{ID: d.ID}))[0]
	for kind, r := range map[string]chain.Result{record.EventPut: put, record.EventErase: erase} {
		var told record.Record
		if len(r.Events) != 1 || r.Events[0].Kind != kind || chain.Unmarshal(r.Events[0].Data, &told) != nil ||
			told.ID != d.ID || len(told.Envelope) != 0 || !bytes.Equal(told.Payload, d.Payload) || len(r.Value) != 0 {
			t.Errorf("%s: %+v", kind, r)
		}
	}
}

func TestOnlyAuthorsWriteForOthers(t *testing.T) {
	w := newWorld(t)
	for _, signer := range []identity.Name{clerk, carol, "nobody@north", "north", "south"} {
		w.refuse(record.ErrDenied, w.draft(alice, signer, "lab"))
	}
	w.identity("south", "attest", identity.AttestArgs{Name: lab, Attributes: []identity.Attribute{{Name: "author", Until: w.Now.UnixMilli()}}})
	w.put(w.draft(alice, lab, "lab"))
	w.Now = w.Now.Add(time.Millisecond)
	w.refuse(record.ErrDenied, w.draft(alice, lab, "lab"))
	w.identity("south", "attest", identity.AttestArgs{Name: lab})
	w.refuse(record.ErrDenied, w.draft(alice, lab, "lab"))
	w.put(w.draft(lab, lab, "lab")) // about herself she may
}

func TestAuthorsOfAFormerMemberWriteForNobodyElse(t *testing.T) {
	k := ledgertest.Consortium(t, 5)
	w := newWorldOf(t, k)
	w.register("lab@x5", "author")
	w.put(w.draft(alice, "lab@x5", "lab"))
	next := *k
	next.Members = k.Members[:4]
	next.Epoch, next.Founding = 1, must(k.FoundingHash())
	next.KeyThreshold, next.CheckpointThreshold = 3, 3
	var endorsements []chain.Endorsement
	for _, m := range k.Members[:4] {
		endorsements = append(endorsements, must(chain.Endorse(&next, m.Name, ledgertest.Key(m.Name))))
	}
	if r := w.Run(w.Tx("east", "chain", "consortium", must(chain.NextConsortium(&next, endorsements)))); r[0].Code != "" {
		t.Fatal(r[0].Code)
	}
	w.refuse(record.ErrDenied, w.draft(alice, "lab@x5", "lab"))
	w.put(w.draft("lab@x5", "lab@x5", "lab"))
}

func TestUnknownMethodsAreDenied(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{"puts", "pu", "get", "erase/all"} {
		if r := w.Run(w.Tx(string(alice), "record", method, []byte{0x80}))[0]; r.Code != record.ErrDenied {
			t.Errorf("%s: %q", method, r.Code)
		}
	}
}

func TestOwnerMustExist(t *testing.T) {
	w := newWorld(t)
	w.refuse(record.ErrOwner, w.draft("p-9999@north", lab, "lab"))
}

func TestAnIDIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	first := w.put(w.draft(alice, lab, "lab"))
	again := w.draft(carol, lab, "lab")
	again.ID = first.ID
	w.seal(again)
	w.refuse(record.ErrTaken, again)
	if code := w.erase(alice, first.ID); code != "" {
		t.Fatal(code)
	}
	w.refuse(record.ErrTaken, again) // nor after the erasure
}

// What is written to a key of the past is open to whoever holds that one.
func TestStaleKeyOrEpochIsRefused(t *testing.T) {
	w := newWorld(t)
	old := w.draft(alice, lab, "lab")
	w.identity(string(alice), "epoch", identity.EpochArgs{})
	w.refuse(record.ErrStale, old)
	future := w.draft(alice, lab, "lab")
	future.Epoch = 2
	w.seal(future)
	w.refuse(record.ErrStale, future)

	current := w.draft(alice, lab, "lab")
	proof := must(must(pre.GenerateCustodyKey()).Prove("records.example", string(alice), 1))
	w.identity(string(alice), "custody", identity.CustodyArgs{Proof: proof})
	w.refuse(record.ErrStale, current)
	if r := w.put(w.draft(alice, lab, "lab")); r.Version != 1 || r.Epoch != 1 || bytes.Equal(r.Key, w.Consortium.ExtractionKey) {
		t.Errorf("record %+v", r)
	}
}

// An author that names the version in force but writes to the hospitals' key
// would take the record out of the owner's custody.
func TestRecordWrittenToAnotherKeyIsRefused(t *testing.T) {
	w := newWorld(t)
	proof := must(must(pre.GenerateCustodyKey()).Prove("records.example", string(alice), 1))
	w.identity(string(alice), "custody", identity.CustodyArgs{Proof: proof})
	d := w.draft(alice, lab, "lab")
	h := pre.Header{
		Record: string(d.ID), Owner: pre.Identity{Chain: "records.example", Name: string(alice), Version: 1, Key: w.authority()}, Type: "lab", Author: string(lab),
	}
	envelope, sealed, err := w.encapsulator.Encapsulate(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.Envelope, d.sidecar = envelope.Bytes(), sealed
	w.refuse(record.ErrCapsule, d)
}

func TestCapsuleIsBoundToItsRecord(t *testing.T) {
	w := newWorld(t)
	w.register("lab2@south", "author")
	good := w.draft(alice, lab, "lab/hematology")
	for story, change := range map[string]func(d *draft){
		"another record":  func(d *draft) { d.ID = must(record.GenerateID()) },
		"another owner":   func(d *draft) { d.Owner = carol },
		"another author":  func(d *draft) { d.signer = "lab2@south" },
		"another type":    func(d *draft) { d.Type = "lab/chemistry" },
		"fewer levels":    func(d *draft) { d.Type = "lab" },
		"more levels":     func(d *draft) { d.Type = "lab/hematology/cbc" },
		"sealed":          func(d *draft) { d.Type = "lab/sealed:hematology" },
		"no envelope":     func(d *draft) { d.Envelope = nil },
		"trailing byte":   func(d *draft) { d.Envelope = append(slices.Clone(d.Envelope), 0) },
		"cut":             func(d *draft) { d.Envelope = d.Envelope[:len(d.Envelope)-1] },
		"proof":           func(d *draft) { d.Envelope = flip(d.Envelope, len("ward/envelope/v1")+2+4*48+8) },
		"hash of index":   func(d *draft) { d.Envelope = flip(d.Envelope, len(d.Envelope)-1) },
		"wrapped key":     func(d *draft) { d.Envelope = flip(d.Envelope, len(d.Envelope)-40) },
		"another capsule": func(d *draft) { d.Envelope = w.draft(alice, lab, d.Type).Envelope },
	} {
		bad := *good
		change(&bad)
		if code := w.block(&bad)[0]; code != record.ErrCapsule {
			t.Errorf("%s: %q", story, code)
		}
	}
	w.put(good)
}

func flip(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i] ^= 1
	return b
}

// The chain takes each capsule once, so that no answer for one record opens
// another. Copies already fail with their proof; only its author can make two
// records with one U.
func TestCapsuleIsUsedOnce(t *testing.T) {
	w := newWorld(t)
	d := w.draft(alice, lab, "lab")
	mark := must(pre.ParseEnvelope(d.Envelope)).U()
	r := w.put(d)
	if !has(w.dump(), "u/"+string(mark)) {
		t.Fatal("the capsule is not marked as used")
	}
	if code := w.erase(alice, r.ID); code != "" {
		t.Fatal(code)
	}
	if !has(w.dump(), "u/"+string(mark)) {
		t.Fatal("the mark went with the record")
	}
	next := w.draft(alice, lab, "lab")
	w.markUsed(next.Envelope)
	w.refuse(record.ErrReused, next)
}

func TestSidecarMustBeThere(t *testing.T) {
	w := newWorld(t)
	d := w.draft(alice, lab, "lab")
	d.sidecar = nil
	w.refuse(record.ErrSidecar, d)
}

func TestNoRecordsBeforeTheConsortiumHasItsKey(t *testing.T) {
	k := ledgertest.Consortium(t, 4)
	k.ExtractionKey, k.CheckpointKey = nil, nil
	w := newWorldOf(t, k)
	w.refuse(record.ErrNoKey, w.draft(alice, lab, "lab"))
}

func TestMalformedPutsAreRefused(t *testing.T) {
	w := newWorld(t)
	today := w.Now.UnixMilli() / day * day
	for story, change := range map[string]func(d *draft){
		"no id":              func(d *draft) { d.ID = "" },
		"capital id":         func(d *draft) { d.ID = "r-" + record.ID(strings.ToUpper(string(d.ID[2:]))) },
		"no owner":           func(d *draft) { d.Owner = "" },
		"owner":              func(d *draft) { d.Owner = "Alice" },
		"type":               func(d *draft) { d.Type = "Lab" },
		"inbox":              func(d *draft) { d.Type = "#inbox" },
		"payload":            func(d *draft) { d.Payload, d.Size = []byte("somewhere"), 1 },
		"payload of no kind": func(d *draft) { d.Payload, d.Size = flip(ref("x"), 1), 1 },
		"payload of no size": func(d *draft) { d.Payload = ref("x") },
		"size of no payload": func(d *draft) { d.Size = 1 },
		"size":               func(d *draft) { d.Payload, d.Size = ref("x"), 1<<63 },
		"before 1970":        func(d *draft) { d.Dated = -day },
		"not a day":          func(d *draft) { d.Dated = today + 1 },
		"day after tomorrow": func(d *draft) { d.Dated = today + 2*day },
		"replaces":           func(d *draft) { d.Replaces = "x" },
	} {
		d := w.draft(alice, lab, "lab")
		change(d)
		if code := w.block(d)[0]; code != record.ErrMalformed {
			t.Errorf("%s: %q", story, code)
		}
	}
	d := w.draft(alice, lab, "lab")
	d.Dated = today + day
	w.put(d)
	for story, args := range map[string][]byte{"none": {}, "null": {0xf6}, "trailing": append(must(chain.Marshal(d.PutArgs)), 0), "an erasure": must(chain.Marshal(record.EraseArgs{ID: d.ID}))} {
		if r := w.Run(w.Tx(string(lab), "record", "put", args))[0]; r.Code != record.ErrMalformed {
			t.Errorf("arguments %s: %q", story, r.Code)
		}
	}
	for story, args := range map[string][]byte{"none": {}, "no id": must(chain.Marshal(record.EraseArgs{ID: "r-1"}))} {
		if r := w.Run(w.Tx(string(lab), "record", "erase", args))[0]; r.Code != record.ErrMalformed {
			t.Errorf("erasure, arguments %s: %q", story, r.Code)
		}
	}
}
