package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// loaded runs a cluster with some sidecars, one of them purged, and stops it.
func loaded(t *testing.T) *cluster {
	c := newCluster(t, 3, nil)
	c.startAll()
	side := []byte("a sealed index")
	mustSubmit(t, c.nodes["h0"], put(t, "bob", "a", []byte("1"), side), side)
	rc := mustSubmit(t, c.nodes["h0"], put(t, "bob", "b", []byte("2"), side), side)
	mustSubmit(t, c.nodes["h1"], sign(t, "bob", "purge", binary.BigEndian.AppendUint64(nil, rc.Index), nil), nil)
	c.load(20)
	c.sameHead()
	time.Sleep(2 * time.Second) // the certificate is saved
	return c
}

// startTogether opens members that wait for each other.
func (c *cluster) startTogether(names ...string) {
	c.t.Helper()
	opened := make([]*Replica, len(names))
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { opened[i], errs[i] = Open(within(c.t, time.Minute), c.options(name)) })
	}
	all.Wait()
	for i, name := range names {
		if errs[i] != nil {
			c.t.Fatalf("open %s: %v", name, errs[i])
		}
		c.nodes[name] = opened[i]
	}
}

func (c *cluster) verify(name string) (*Report, error) {
	return Verify(context.Background(), VerifyOptions{Dir: filepath.Join(c.dir, name), Founding: c.consortium})
}

// TestVerifyTellsHowFarItIs: ever further, to the end, and nobody need listen.
func TestVerifyTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loaded(t)
		head := c.sameHead()
		c.stopAll()
		dir := filepath.Join(c.dir, "h0")
		want := 2*bytesIn(filepath.Join(dir, "blocks")) + bytesIn(filepath.Join(dir, "state")) + bytesIn(filepath.Join(dir, "sidecars"))
		var told []int64
		var all int64
		_, err := Verify(context.Background(), VerifyOptions{Dir: dir, Founding: c.consortium, Progress: func(checked, of int64) {
			if all == 0 {
				all = of
			}
			if of != all || checked <= 0 || len(told) > 0 && checked <= told[len(told)-1] {
				t.Errorf("%d of %d, after %v of %d", checked, of, told, all)
			}
			told = append(told, checked)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if all != want {
			t.Errorf("of %d bytes, want %d", all, want)
		}
		if uint64(len(told)) != 2*head.Height || told[len(told)-1] != all {
			t.Errorf("told %v of %d, want twice %d blocks", told, all, head.Height)
		}
	})
}

func TestVerifyAcceptsWhatMembersKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loaded(t)
		head := c.sameHead()
		c.stopAll()
		for _, m := range c.consortium.Members {
			rep, err := c.verify(m.Name)
			if err != nil {
				t.Fatalf("%s: %v", m.Name, err)
			}
			if rep.Head.Height != head.Height || rep.Certified == nil || rep.Sidecars != 1 || rep.Purged != 1 {
				t.Fatalf("%s: %+v", m.Name, rep)
			}
		}
	})
}

// Verify names the first block that was changed, also by someone who knows how to
// make checksums.
func TestVerifyNamesTheFirstBrokenLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loaded(t)
		c.stopAll()
		const target = 7
		dir := filepath.Join(c.dir, "h0", "blocks")
		log, err := seglog.Open(dir, seglog.Options{InsecureNoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		var tail [][]byte
		for h := uint64(target); h <= log.Last(); h++ {
			raw, err := log.Read(h)
			if err != nil {
				t.Fatal(err)
			}
			tail = append(tail, raw)
		}
		blk, _, err := parseBlockRecord(tail[0])
		if err != nil {
			t.Fatal(err)
		}
		blk.Results[0].Value = []byte("other")
		body, err := blk.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		tail[0] = append(tail[0][:16:16], body...)
		if err := errors.Join(log.TruncateBack(target), log.Append(target, tail...), log.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = c.verify("h0")
		var broken *chain.BrokenError
		if !errors.As(err, &broken) || broken.Height != target {
			t.Fatalf("verify: %v, want a broken link at %d", err, target)
		}
	})
}

func TestExportAndImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loaded(t)
		head := c.sameHead()
		var out bytes.Buffer
		height, err := c.nodes["h1"].Export(context.Background(), &out)
		if err != nil || height != head.Height {
			t.Fatalf("export to height %d: %v", height, err)
		}
		c.stopAll()
		if err := os.RemoveAll(c.dir); err != nil {
			t.Fatal(err)
		}
		for _, m := range c.consortium.Members {
			got, err := Import(bytes.NewReader(out.Bytes()), ImportOptions{
				Dir: filepath.Join(c.dir, m.Name), Trusted: c.consortium, Contracts: testContracts(), MinFree: -1, medium: medium{simulated: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Hash() != head.Hash() {
				t.Fatalf("imported head %v, want %v", got.Hash(), head.Hash())
			}
		}
		c.startTogether("h0", "h1", "h2")
		c.load(5)
		if after := c.sameHead(); after.Height < head.Height+5 {
			t.Fatalf("height %d after restore", after.Height)
		}
		if got, err := c.nodes["h2"].Sidecar(0); err != nil || string(got) != "a sealed index" {
			t.Fatalf("sidecar %q, %v", got, err)
		}
		c.stopAll()
	})
}

// The members in force at a block certify it: the last block may replace them.
func TestVerifyAfterAChangeOfTheMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loaded(t)
		founding := c.consortium
		next, tx := nextConsortium(t, founding, founding.Members[1:])
		submitChange(t, c.nodes["h1"], founding, tx)
		time.Sleep(time.Second) // virtual
		c.stopAll()
		dir := filepath.Join(c.dir, "h1")
		rep, err := Verify(context.Background(), VerifyOptions{Dir: dir, Founding: founding})
		if err != nil || rep.Certified == nil {
			t.Fatalf("%+v, %v", rep, err)
		}
		if rep.Head.Height == rep.Certified.Height && founding.Verify(rep.Certified) != nil {
			t.Error("the change is not certified by the members it replaces")
		}
		both := next.Verify(rep.Certified) == nil
		rep, err = Verify(context.Background(), VerifyOptions{Dir: dir, Founding: founding, Trusted: next})
		if err != nil || rep.Certified != nil && next.Verify(rep.Certified) != nil {
			t.Errorf("%+v, %v: counts what members of the trusted file did not certify", rep, err)
		}
		if err == nil && both && rep.Certified == nil {
			t.Error("does not count what members of the trusted file certified")
		}
	})
}

// An export that was changed or cut anywhere is refused, and leaves no replica.
func TestImportRefusesDamagedExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loaded(t)
		var out bytes.Buffer
		if _, err := c.nodes["h1"].Export(context.Background(), &out); err != nil {
			t.Fatal(err)
		}
		c.stopAll()
		step := max(1, out.Len()/60)
		for at := 0; at < out.Len(); at += step {
			bad := bytes.Clone(out.Bytes())
			bad[at] ^= 1
			c.refuseImport(bad)
			c.refuseImport(out.Bytes()[:at])
		}
	})
}

func (c *cluster) refuseImport(export []byte) {
	c.t.Helper()
	dir := filepath.Join(c.dir, "import")
	_, err := Import(bytes.NewReader(export), ImportOptions{Dir: dir, Trusted: c.consortium, Contracts: testContracts(), MinFree: -1, medium: medium{simulated: true}})
	if err == nil {
		c.t.Fatal("damaged export was imported")
	}
	if !isEmpty(dir) {
		c.t.Fatal("a refused import left a replica behind")
	}
}
