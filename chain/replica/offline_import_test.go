package replica

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/internal/durable"
)

// exported runs a cluster with some sidecars, and stops it.
func exported(t *testing.T) (c *cluster, export []byte, head chain.Header) {
	t.Helper()
	c = loaded(t)
	head = c.sameHead()
	var out bytes.Buffer
	if _, err := c.nodes["h1"].Export(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	c.stopAll()
	return c, out.Bytes(), head
}

func (c *cluster) importOptions(dir string) ImportOptions {
	return ImportOptions{Dir: dir, Trusted: c.consortium, Contracts: testContracts(), MinFree: -1, medium: medium{simulated: true}}
}

// cutOff stops at its use number at, until end is closed.
type cutOff struct {
	at      int // 0 stops never
	reached chan struct{}
	end     chan struct{}

	mu   sync.Mutex
	uses int // guarded by mu
}

func (c *cutOff) use() {
	c.mu.Lock()
	c.uses++
	hit := c.uses == c.at
	c.mu.Unlock()
	if hit {
		close(c.reached)
		<-c.end
	}
}

// medium uses c before everything that makes something durable.
func (c *cutOff) medium(d *simDisk) medium {
	m := d.medium()
	return medium{
		simulated: true,
		sync:      func(f *os.File) error { c.use(); return m.sync(f) },
		syncDir:   func(dir string) error { c.use(); return m.syncDir(dir) },
		commit:    func() error { c.use(); return m.commit() },
	}
}

// slowly reads a little at a time and uses c before.
type slowly struct {
	*cutOff
	r io.Reader
}

func (s slowly) Read(p []byte) (int, error) {
	s.use()
	return s.r.Read(p[:min(len(p), 1500)])
}

// cutImport begins an import and returns the directory as it is when it is cut off at
// a use of the medium or of the export, nil disk with what the process had written,
// else with what the disk remembers after the power failed. uses is how often they
// were used.
func (c *cluster) cutImport(export []byte, at int, power bool) (dir string, uses int) {
	c.t.Helper()
	work, dir := filepath.Join(tempDir(c.t), "chain"), filepath.Join(tempDir(c.t), "chain")
	d := newSimDisk()
	defer d.close()
	cut := &cutOff{at: at, reached: make(chan struct{}), end: make(chan struct{})}
	opt := c.importOptions(work)
	opt.medium = cut.medium(d)
	done := make(chan error)
	go func() {
		_, err := Import(slowly{cut, bytes.NewReader(export)}, opt)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			c.t.Fatal(err)
		}
		return work, cut.uses
	case <-cut.reached:
	}
	if power {
		if err := errors.Join(d.fail(), d.restore(rand.New(rand.NewPCG(uint64(at), 1)))); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(work)); err != nil {
		c.t.Fatal(err)
	}
	close(cut.end)
	<-done // what becomes of the original does not matter
	return dir, 0
}

// An import that is killed, or that loses its power, at any point, leaves a directory
// that nobody takes for a chain, and in which the next import begins again; or the
// whole chain.
func TestImportCutOffAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, export, head := exported(t)
		_, uses := c.cutImport(export, 0, false)
		step := 1
		if testing.Short() {
			step = 3
		}
		found := map[string]int{}
		for at := 1; at <= uses; at++ {
			if at%step != 0 && at > 3 && at < uses-6 {
				continue
			}
			for _, power := range []bool{false, true} {
				dir, _ := c.cutImport(export, at, power)
				kind := c.afterCut(dir, head)
				if found[kind]++; kind != "whole" {
					if got, err := Import(bytes.NewReader(export), c.importOptions(dir)); err != nil || got.Hash() != head.Hash() {
						t.Fatalf("import after one cut off at %d of %d: %v", at, uses, err)
					}
					if kind := c.afterCut(dir, head); kind != "whole" {
						t.Fatalf("import after one cut off at %d of %d left it %s", at, uses, kind)
					}
				}
				if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if t.Logf("%d points: %v", uses, found); found["empty"] == 0 || found["marked"] == 0 || found["whole"] == 0 {
			t.Error("not every outcome was seen")
		}
	})
}

// afterCut says what an import left: "empty", "marked" or "whole", and fails if it is
// anything else.
func (c *cluster) afterCut(dir string, head chain.Header) string {
	c.t.Helper()
	rep, err := Verify(context.Background(), VerifyOptions{Dir: dir, Founding: c.consortium})
	if err == nil {
		if rep.Head.Hash() != head.Hash() || rep.Certified == nil || rep.Sidecars != 1 || rep.Purged != 1 {
			c.t.Fatalf("half a chain passes: %+v", rep)
		}
		if _, err := os.Lstat(filepath.Join(dir, recoveringMark)); err != nil {
			c.t.Fatalf("the replica thinks it has promised nothing: %v", err)
		}
		if _, err := Import(bytes.NewReader(nil), c.importOptions(dir)); !errors.Is(err, fs.ErrExist) {
			c.t.Fatalf("import over a chain: %v", err)
		}
		return "whole"
	}
	if errors.Is(err, ErrImporting) {
		o := c.options("h0")
		o.Dir = dir
		if _, err := Open(within(c.t, time.Second), o); !errors.Is(err, ErrImporting) {
			c.t.Fatalf("half an import was opened: %v", err)
		}
		return "marked"
	}
	if empty := checkEmpty(dir); empty != nil || !errors.Is(err, fs.ErrNotExist) {
		c.t.Fatalf("neither empty nor marked: %v, %v", empty, err)
	}
	return "empty"
}

// When the mark goes, everything else is on stable storage, whoever wrote it.
func TestImportFlushesEverythingBeforeTheMarkGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, export, _ := exported(t)
		dir := filepath.Join(c.dir, "import")
		flushed := map[string][]byte{}
		names := map[string][]string{}
		list := func(dir string) (out []string) {
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Error(err)
			}
			for _, e := range entries {
				out = append(out, e.Name())
			}
			return out
		}
		checked := 0
		check := func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || e.Name() == durable.LockName:
				return err
			case e.IsDir():
				want := list(path)
				if path == dir {
					want = append(want, importMark)
				}
				if len(names[path]) != len(want) {
					t.Errorf("%s: names %v, flushed %v", path, want, names[path])
				}
			default:
				now, err := os.ReadFile(path)
				if err != nil || !bytes.Equal(now, flushed[path]) {
					t.Errorf("%s is not flushed: %v", path, err)
				}
				checked++
			}
			return nil
		}
		marked := false
		opt := c.importOptions(dir)
		opt.medium.sync = func(f *os.File) (err error) {
			flushed[f.Name()], err = os.ReadFile(f.Name())
			return err
		}
		opt.medium.syncDir = func(of string) error {
			is := checkImported(dir) != nil
			if of == dir && marked && !is {
				return filepath.WalkDir(dir, check)
			}
			marked, names[of] = is, list(of)
			return nil
		}
		if _, err := Import(bytes.NewReader(export), opt); err != nil {
			t.Fatal(err)
		}
		if checked < 6 {
			t.Errorf("%d files were there when the mark went", checked)
		}
	})
}

// While an import that failed cleans up, the mark is there: it is put back if its
// removal is what failed, and goes when nothing else is left on stable storage.
func TestFailedImportIsMarkedUntilItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, export, _ := exported(t)
		failed := errors.New("disk fails")
		for name, export := range map[string][]byte{"the export": export[:len(export)-1], "the last flush": export} {
			dir := filepath.Join(tempDir(t), "chain")
			opt := c.importOptions(dir)
			var flushed []os.DirEntry // names in dir
			marked, failing, putBack := false, false, false
			opt.medium.sync = func(f *os.File) error {
				if failing && !putBack {
					if _, err := os.Stat(filepath.Join(dir, "state")); err != nil {
						t.Errorf("%s fails: the mark comes when the chain is half gone", name)
					}
					putBack = true
				}
				return nil
			}
			opt.medium.syncDir = func(of string) (err error) {
				if of != dir {
					return nil
				}
				is := checkImported(dir) != nil
				switch {
				case marked && !is && !failing && name == "the last flush":
					failing = true
					err = failed
				case marked && !is && len(flushed) != 2:
					t.Errorf("%s fails: the mark goes before %v", name, flushed)
				}
				marked = is
				flushed, _ = os.ReadDir(dir)
				return err
			}
			if _, err := Import(bytes.NewReader(export), opt); err == nil || failing != putBack || checkEmpty(dir) != nil {
				t.Errorf("%s fails: %v, put back %v", name, err, putBack)
			}
		}
	})
}

// An import that fails leaves nothing, and one that cannot even clean up leaves the
// mark: whichever use of the disk fails, and that one or all from it on.
func TestImportOnADiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, export, head := exported(t)
		failed := errors.New("disk fails")
		for _, all := range []bool{false, true} {
			for at := 1; ; at++ {
				uses := 0
				use := func() error {
					if uses++; uses == at || all && uses > at {
						return failed
					}
					return nil
				}
				dir := filepath.Join(tempDir(t), "chain")
				opt := c.importOptions(dir)
				opt.medium = medium{simulated: true, sync: func(*os.File) error { return use() }, syncDir: func(string) error { return use() }, commit: use}
				_, err := Import(bytes.NewReader(export), opt)
				if err == nil {
					if at < 10 {
						t.Errorf("%d uses of the disk", at)
					}
					break // it was not used so often
				}
				if !errors.Is(err, failed) {
					t.Fatalf("use %d: %v", at, err)
				}
				if kind := c.afterCut(dir, head); kind == "marked" && !all {
					t.Errorf("use %d of the disk failed, once, and the directory is left %s", at, kind)
				}
				if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// What an import takes no part of: a directory that holds something, is in use, or is
// on a disk that is nearly full.
func TestImportTouchesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, export, _ := exported(t)
		for _, name := range []string{"state", "sidecars", "damaged", repairMark, "a letter"} {
			dir := filepath.Join(c.dir, "with "+name)
			if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
			_, err := Import(bytes.NewReader(export), c.importOptions(dir))
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("beside %s: %v", name, err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
				t.Errorf("beside %s: left %v, %v", name, entries, err)
			}
		}
		c.startAll()
		for _, err := range []error{
			func() error {
				_, err := Import(bytes.NewReader(export), c.importOptions(filepath.Join(c.dir, "h0")))
				return err
			}(),
			func() error { _, err := c.verify("h0"); return err }(),
		} {
			if !errors.Is(err, durable.ErrLocked) {
				t.Errorf("in the directory of a running replica: %v", err)
			}
		}
		c.load(1)
		c.sameHead()
		c.stopAll()
		opt := c.importOptions(filepath.Join(c.dir, "full"))
		left := int64(12)
		opt.MinFree, opt.free = 10, func(string) (int64, error) { left--; return left, nil }
		if _, err := Import(bytes.NewReader(export), opt); !errors.Is(err, ErrReadOnly) || checkEmpty(opt.Dir) != nil {
			t.Errorf("on a disk that fills: %v, %v", err, checkEmpty(opt.Dir))
		}
		if left < 5 {
			t.Error("it went on when the disk was nearly full")
		}
		opt.MinFree, opt.free = 0, func(string) (int64, error) { return minFree - 1, nil }
		opt.medium.commit = func() error { t.Error("a chain was begun on a disk that is nearly full"); return nil }
		if _, err := Import(bytes.NewReader(export), opt); !errors.Is(err, ErrReadOnly) {
			t.Errorf("by default: %v", err)
		}
		if _, err := c.verify("none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("verify of nothing: %v", err)
		}
	})
}

// The disk of a member is replaced, and its operator gives it an export that is older
// than what the member has acknowledged. It must not elect a leader that lacks that:
// with another that was away it would be a majority.
func TestImportDoesNotLetAMemberVoteWithoutItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(5)
		c.sameHead()
		var out bytes.Buffer
		if _, err := c.nodes["h0"].Export(context.Background(), &out); err != nil {
			t.Fatal(err)
		}
		c.stop("h2")
		c.load(5)
		last := mustSubmit(t, c.nodes["h0"], put(t, "alice", "k", []byte("acknowledged"), nil), nil)
		c.stop("h0")
		c.stop("h1")
		dir := filepath.Join(c.dir, "h1")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Import(&out, c.importOptions(dir)); err != nil {
			t.Fatal(err)
		}
		c.start("h2")
		if r, err := Open(within(t, time.Minute), c.options("h1")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("opened without the member that has the rest: %v", err)
			r.Close()
		}
		c.startTogether("h0", "h1")
		if head := c.sameHead(); head.Size <= last.Index {
			t.Errorf("%d transactions; %d was acknowledged", head.Size, last.Index)
		}
		c.load(3)
		c.sameHead()
		c.stopAll()
	})
}

// grown is a contract of the same name with other rules.
type grown struct{ ledgertest.Notes }

func (g grown) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	return nil, call.State.Set([]byte("x"), []byte("y"))
}

// answers is another one.
type answers struct{ ledgertest.Notes }

func (answers) Apply(*ledger.Call, string, []byte) ([]byte, error) { return []byte("yes"), nil }

// Everything that is wrong with these exports is signed by the members.
func TestImportNamesEveryForgedExport(t *testing.T) {
	notes := map[string]ledger.Contract{"notes": ledgertest.Notes{}}
	run := func(c *ledgertest.Chain) *ledgertest.Chain {
		c.Run(c.Tx("alice", "notes", "add", "a"))
		c.Run(c.Tx("bob", "notes", "add", "b"))
		return c
	}
	good := run(ledgertest.New(t, notes))
	for name, forged := range map[string]struct {
		make   func(t *testing.T) []byte
		height uint64
		link   string
		is     error
	}{
		"nothing": {make: func(*testing.T) []byte { return good.Export() }},
		"state of genesis": {make: func(t *testing.T) []byte {
			c := ledgertest.New(t, notes)
			c.State.Apply([]ledger.Write{{Key: []byte("notes\x00root"), Value: []byte("mallory")}})
			head := *c.Head
			head.Digest = c.State.Digest()
			head.Header.State = head.Digest.Sum()
			c.Head, c.Genesis = &head, head.Header
			return run(c).Export()
		}, link: "genesis"},
		"another consortium's": {make: func(t *testing.T) []byte {
			return run(ledgertest.NewFrom(t, ledgertest.Consortium(t, 5), notes)).Export()
		}, link: "founding consortium file"},
		"state against the rules": {make: func(t *testing.T) []byte {
			return run(ledgertest.New(t, map[string]ledger.Contract{"notes": grown{}})).Export()
		}, height: 1, link: "replayed header"},
		"result against the rules": {make: func(t *testing.T) []byte {
			return run(ledgertest.New(t, map[string]ledger.Contract{"notes": answers{}})).Export()
		}, height: 1, link: "replayed header"},
		"sidecar": {make: func(t *testing.T) []byte {
			c, _ := ledgertest.Exported(t)
			for i := range c.Sidecars {
				c.Sidecars[i] = []byte("another")
			}
			return c.Export()
		}, height: 2, link: "sidecar of leaf 2"},
		"too few cosignatures": {make: func(t *testing.T) []byte {
			c := run(ledgertest.New(t, notes))
			cp := c.Checkpoint()
			cp.Signatures = cp.Signatures[:len(cp.Signatures)-1]
			return c.Export()
		}, height: 2, link: "checkpoint", is: chain.ErrUncertified},
		"checkpoint of another block": {make: func(t *testing.T) []byte {
			c := run(ledgertest.New(t, notes))
			c.Checkpoints[2] = run(ledgertest.New(t, map[string]ledger.Contract{"notes": answers{}})).Checkpoint()
			return c.Export()
		}, height: 2, link: "block in the checkpoint"},
		"a block left out": {make: func(t *testing.T) []byte {
			c := run(ledgertest.New(t, notes))
			c.Blocks = c.Blocks[1:]
			return c.Export()
		}, height: 1, link: "height is 2"},
	} {
		dir := filepath.Join(tempDir(t), "chain")
		_, err := Import(bytes.NewReader(forged.make(t)), ImportOptions{
			Dir: dir, Trusted: good.Founding, Contracts: notes, MinFree: -1, medium: medium{simulated: true},
		})
		if forged.link == "" {
			if err != nil {
				t.Errorf("%s forged: %v", name, err)
			}
			continue
		}
		var broken *chain.BrokenError
		if !errors.As(err, &broken) || broken.Link != forged.link || broken.Height != forged.height || forged.is != nil && !errors.Is(err, forged.is) {
			t.Errorf("%s: %v, want a broken %q at height %d", name, err, forged.link, forged.height)
		}
		if checkEmpty(dir) != nil || checkImported(dir) != nil {
			t.Errorf("%s: a refused import left something behind", name)
		}
	}
}
