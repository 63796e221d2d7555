package node_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/store"
)

// holders returns the members that have a blob.
func (w *world) holders(ref store.Ref) (names []string) {
	w.t.Helper()
	for i := range w.Len() {
		if n := w.Node(i); n != nil {
			has, err := store.Has(w.ctx, n.LocalBlobs(), ref)
			if err != nil {
				w.t.Fatal(err)
			}
			if has {
				names = append(names, w.Name(i))
			}
		}
	}
	return names
}

func (w *world) payload(id record.ID) store.Ref {
	w.t.Helper()
	q, err := query.Encode(query.Record{ID: id})
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.Node(0).Ask(w.ctx, q)
	if err != nil {
		w.t.Fatal(err)
	}
	var r record.Record
	if err := chain.Unmarshal(a.Value, &r); err != nil {
		w.t.Fatal(err)
	}
	ref, err := store.ParseRefBytes(r.Payload)
	if err != nil {
		w.t.Fatal(err)
	}
	return ref
}

// path returns the file of a blob at a member.
func (w *world) blobFile(member string, ref store.Ref) string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.Dir(), member, "blobs", "blobs", "*", ref.String()))
	if err != nil || len(files) != 1 {
		w.t.Fatalf("files of blob: %q, %v", files, err)
	}
	return files[0]
}

func TestPayloadIsOnFPlusOneMembers(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner := w.person("dr.chen@east", "author"), w.person("p-1@north")
		for _, size := range []int{1, 300_000, 5_000_000} {
			data := make([]byte, size)
			rand.NewChaCha8([32]byte{}).Read(data)
			id := w.put(author, owner.Name(), "lab", string(data))
			if got := w.holders(w.payload(id)); len(got) < 2 || !strings.Contains(strings.Join(got, " "), "east") {
				t.Errorf("payload of %d bytes is on %q", size, got)
			}
			w.mustRead(owner, id, string(data))
		}
		// Whoever is down is replaced by another member.
		w.stop(1)
		w.stop(2)
		blob := []byte("a blob")
		ref, err := w.Node(0).Blobs().Put(w.ctx, bytes.NewReader(blob))
		if err != nil {
			t.Fatal(err)
		}
		if got := w.holders(ref); len(got) != 2 {
			t.Errorf("blob is on %q", got)
		}
		w.stop(3)
		if _, err := w.Node(0).Blobs().Put(w.ctx, strings.NewReader("another")); !errors.Is(err, ward.ErrNoQuorum) {
			t.Errorf("with nobody to keep a copy: %v, want ErrNoQuorum", err)
		}
		failing := io.MultiReader(strings.NewReader("half of it"), &brokenReader{})
		if _, err := w.Node(0).Blobs().Put(w.ctx, failing); !errors.Is(err, errBroken) {
			t.Errorf("from a reader that fails: %v", err)
		}
		for i := 1; i < 4; i++ {
			w.restart(i)
		}
		w.settle()
	})
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// TestErasureReachesEveryDisk erases a record: its payload and its sealed index
// go everywhere, also at a member that was down, and not before the last record
// that refers to the payload.
func TestErasureReachesEveryDisk(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner, reader := w.person("dr.chen@east", "author"), w.person("p-1@north"), w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "lab", "to be erased")
		kept := w.put(author, owner.Name(), "lab", "to be kept")
		g := w.grant(owner, reader.Name(), "lab")
		index := w.access(reader, g, id)
		ref, other := w.payload(id), w.payload(kept)
		down := w.member(w.holders(ref)[1])
		w.quiet()
		w.stop(down)
		owner = w.now(owner, (down+1)%4)
		if err := owner.Erase(w.ctx, id); err != nil {
			t.Fatal(err)
		}
		w.until("nobody else has the payload", func() bool { return len(w.holders(ref)) == 0 })
		w.restart(down)
		w.settle()
		w.until("the member that was down has erased it", func() bool { return len(w.holders(ref)) == 0 })
		if len(w.holders(other)) < 2 {
			t.Error("another payload went too")
		}
		for i := range w.Len() {
			if _, err := w.Node(i).Sidecar(w.ctx, w.record(id).Index); !errors.Is(err, ward.ErrErased) {
				t.Errorf("%s has the sealed index: %v", w.Name(i), err)
			}
			if _, err := w.Node(i).AnswerAccess(w.ctx, index); err == nil {
				t.Errorf("%s answers for an erased record", w.Name(i))
			}
		}
		w.mustRead(w.now(reader, 0), kept, "to be kept")
	})
}

func (w *world) record(id record.ID) *record.Record {
	w.t.Helper()
	q, err := query.Encode(query.Record{ID: id})
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.Node(0).Ask(w.ctx, q)
	if err != nil {
		w.t.Fatal(err)
	}
	r := new(record.Record)
	if err := chain.Unmarshal(a.Value, r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// TestDamagedPayloadIsMended damages a member's copy: readers do not notice, and
// a scrub mends it from another member.
func TestDamagedPayloadIsMended(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner := w.person("dr.chen@east", "author"), w.person("p-1@north")
		data := strings.Repeat("glucose 5.4 ", 100_000)
		id := w.put(author, owner.Name(), "lab", data)
		ref := w.payload(id)
		path := w.blobFile("east", ref)
		damage := func() {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		damage()
		w.mustRead(w.now(owner, 0), id, data)
		report, err := w.Node(0).Scrub(w.ctx)
		if err != nil || len(report.Findings) != 1 || report.Unrepaired() != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		if err := store.Verify(w.ctx, w.Node(0).LocalBlobs(), ref); err != nil {
			t.Errorf("after the scrub: %v", err)
		}
		// Every copy damaged: the reader gets an error, not the wrong bytes.
		for _, name := range w.holders(ref) {
			path = w.blobFile(name, ref)
			damage()
		}
		if got, err := w.read(w.now(owner, 0), id); err == nil || strings.HasPrefix(data, got) == false {
			t.Errorf("with every copy damaged: %d bytes, %v", len(got), err)
		}
	})
}

// TestLostPayloadComesBack deletes a copy that belongs to a member: it is
// fetched from the others when somebody asks for it.
func TestLostPayloadComesBack(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner := w.person("dr.chen@east", "author"), w.person("p-1@north")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		ref := w.payload(id)
		// East took the blob from the client, which does not make it one of its
		// keepers: it loses its copy last, when the keepers have theirs again.
		keepers := slices.DeleteFunc(w.holders(ref), func(name string) bool { return name == "east" })
		for _, name := range append(keepers, "east") {
			i := w.member(name)
			if err := w.Node(i).LocalBlobs().Delete(w.ctx, ref); err != nil {
				t.Fatal(err)
			}
			w.mustRead(w.now(owner, i), id, "glucose 5.4")
			if name != "east" {
				w.until(name+" has it again", func() bool { return slices.Contains(w.holders(ref), name) })
			}
		}
	})
}
