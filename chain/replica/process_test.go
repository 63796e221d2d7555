package replica

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/internal/realserver"
)

var soak = flag.Bool("soak", false, "run 50 rounds of kill -9 and 200 bit flips in every store")

// childEnv makes the test binary run one member instead of the tests.
const childEnv = "WARD_REPLICA_CHILD"

type childConfig struct {
	Dir, Member, Listen string
	Peers               []string
	Writes              bool
	MinFree             int64
	Defaults            bool   // of everything else
	Heap                string // where a heap profile goes when it is told to stop
}

// TestChild is the main function of a member in a process of its own.
func TestChild(t *testing.T) {
	raw := os.Getenv(childEnv)
	if raw == "" {
		t.Skip("runs as a child process only")
	}
	var c childConfig
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		t.Fatal(err)
	}
	k := testConsortium(t, len(c.Peers), 0)
	for i, p := range c.Peers {
		k.Members[i].Peer = p
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		t.Fatal(err)
	}
	network, err := ListenTLS(l, testKey(c.Member), func() *chain.Consortium { return k }, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Dir: c.Dir, Member: c.Member, Key: testKey(c.Member), Consortium: k, Contracts: testContracts(),
		Network: network, Bootstrap: true, MinFree: c.MinFree, ScrubEvery: -1,
	}
	if !c.Defaults {
		o.SnapshotEntries, o.TrailingEntries, o.snapshotInterval = 200, 50, time.Second
	}
	r, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("open", r.book.Head().Header.Height)
	if !c.Writes {
		told := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // its end is the order to stop
			close(told)
		}()
		select {
		case <-r.Stopped():
			fmt.Println("stopped", r.Err())
		case <-told:
			if c.Defaults {
				fmt.Println("heap", heapInUse(t, c.Heap, c.Member))
			}
			fmt.Println("closed", r.Close())
		}
		return
	}
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		tx := put(t, "alice", fmt.Sprint("k", i%50), make([]byte, 2000), nil)
		rc, err := r.Submit(ctx, tx, nil)
		cancel()
		if err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Println("ack", tx.ID(), rc.Index)
	}
}

// child is a member in a process of its own.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	ready chan struct{}
	mu    sync.Mutex
	acks  map[string]string // transaction -> leaf index
	errs  []string
}

func startChild(t testing.TB, c childConfig) *child {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	ch := &child{done: make(chan struct{}), ready: make(chan struct{}), acks: map[string]string{}}
	ch.cmd = exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	ch.cmd.Env = append(os.Environ(), childEnv+"="+string(raw))
	out, err := ch.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ch.cmd.Stderr = ch.cmd.Stdout
	if ch.stdin, err = ch.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := ch.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go ch.follow(bufio.NewScanner(out))
	t.Cleanup(ch.kill)
	return ch
}

func (ch *child) follow(lines *bufio.Scanner) {
	defer close(ch.done)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		ch.mu.Lock()
		switch f[0] {
		case "open":
			close(ch.ready)
		case "ack":
			ch.acks[f[1]] = f[2]
		default:
			ch.errs = append(ch.errs, lines.Text())
		}
		ch.mu.Unlock()
	}
}

func (ch *child) kill() {
	_ = ch.cmd.Process.Signal(syscall.SIGKILL) // may be gone
	<-ch.done
	_ = ch.cmd.Wait() // it was killed
}

// stop ends a member that does not write in good order: everything it executed
// is on its disk then.
func (ch *child) stop(t testing.TB) {
	t.Helper()
	_ = ch.stdin.Close()
	select {
	case <-ch.done:
	case <-time.After(60 * time.Second):
		t.Fatal("member does not stop")
	}
	_ = ch.cmd.Wait() // how it ended is no failure here
	if !slices.Contains(ch.errs, "closed <nil>") {
		t.Fatalf("member failed: %v", ch.errs)
	}
}

func (ch *child) acked() int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return len(ch.acks)
}

func eventually(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", d, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestKillRealProcesses kills members with SIGKILL again and again, sometimes all
// at once. Nothing that was acknowledged is lost, and what is on disk verifies.
func TestKillRealProcesses(t *testing.T) {
	t.Parallel()
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	if *soak {
		rounds = 50
	}
	dir, peers := t.TempDir(), realserver.FreeAddresses(t, 3)
	config := func(i int) childConfig {
		return childConfig{Dir: filepath.Join(dir, memberName(i)), Member: memberName(i), Listen: peers[i], Peers: peers, Writes: true, MinFree: -1}
	}
	acks := map[string]string{}
	children := make([]*child, 3)
	for i := range children {
		children[i] = startChild(t, config(i))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		total := func() (n int) {
			for _, ch := range children {
				n += ch.acked()
			}
			return n
		}
		before := total()
		eventually(t, 90*time.Second, "new acknowledgements", func() bool { return total() > before+20 })
		time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		victims := []int{r.IntN(3)}
		if round%3 == 2 {
			victims = []int{0, 1, 2}
		}
		for _, v := range victims {
			children[v].kill()
			for id, index := range children[v].acks {
				acks[id] = index
			}
		}
		for _, v := range victims {
			children[v] = startChild(t, config(v))
		}
	}
	for _, ch := range children {
		select {
		case <-ch.ready:
		case <-time.After(60 * time.Second):
			t.Fatalf("member did not restart: %v", ch.errs)
		}
		ch.kill()
		for id, index := range ch.acks {
			acks[id] = index
		}
	}
	k := testConsortium(t, 3, 0)
	for i, p := range peers {
		k.Members[i].Peer = p
	}
	best := uint64(0)
	var bestDir string
	for i := range 3 {
		d := filepath.Join(dir, memberName(i))
		rep, err := Verify(context.Background(), VerifyOptions{Dir: d, Founding: k})
		if err != nil {
			t.Fatalf("%s: %v", memberName(i), err)
		}
		if rep.Head.Height >= best {
			best, bestDir = rep.Head.Height, d
		}
	}
	// Acknowledged transactions may be in the log only: one restart executes it.
	missing := checkAcks(t, bestDir, k, acks)
	t.Logf("%d rounds, %d acknowledged, %d not yet executed where it was looked for", rounds, len(acks), missing)
	nodes := reopen(t, dir, k, nil)
	for id, index := range acks {
		var n uint64
		fmt.Sscan(index, &n)
		rc, err := nodes[0].Receipt(within(t, 30*time.Second), n)
		if err != nil {
			t.Fatalf("acknowledged transaction at %s is lost: %v", index, err)
		}
		if tx, err := rc.Verify(k); err != nil || tx.ID().String() != id {
			t.Fatalf("another transaction at %s: %v", index, err)
		}
	}
}

func checkAcks(t *testing.T, dir string, k *chain.Consortium, acks map[string]string) (missing int) {
	t.Helper()
	b, err := openBook(dir, k, bookOptions{readOnly: true}, discardLog())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, index := range acks {
		var n uint64
		fmt.Sscan(index, &n)
		if _, _, err := b.leaf(n); err != nil {
			missing++
		}
	}
	return missing
}

// reopen runs the members whose directories are under dir in this process.
func reopen(t *testing.T, dir string, k *chain.Consortium, tune func(*Options)) []*Replica {
	t.Helper()
	nodes := make([]*Replica, len(k.Members))
	var wg sync.WaitGroup
	for i, m := range k.Members {
		l := realserver.Listen(t, m.Peer)
		network, err := ListenTLS(l, testKey(m.Name), func() *chain.Consortium { return k }, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			o := Options{
				Dir: filepath.Join(dir, m.Name), Member: m.Name, Key: testKey(m.Name), Consortium: k,
				Contracts: testContracts(), Network: network, Bootstrap: true, MinFree: -1, ScrubEvery: -1,
			}
			if tune != nil {
				tune(&o)
			}
			if nodes[i], err = Open(context.Background(), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() {
		for _, r := range nodes {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	mustSubmit(t, nodes[0], put(t, "alice", "last", []byte("x"), nil), nil)
	return nodes
}

// TestFullDisk fills the disk of one member. It stops writing before the disk is
// full and goes on when there is room again; the others go on all the time.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=220m"); err != nil {
		t.Skipf("no permission to mount a file system: %v", err)
	}
	defer syscall.Unmount(mount, syscall.MNT_DETACH)
	dir, peers := t.TempDir(), realserver.FreeAddresses(t, 3)
	small := startChild(t, childConfig{Dir: filepath.Join(mount, "h0"), Member: "h0", Listen: peers[0], Peers: peers, Writes: true, MinFree: 64 << 20})
	var others []*child
	for i := 1; i < 3; i++ {
		others = append(others, startChild(t, childConfig{Dir: filepath.Join(dir, memberName(i)), Member: memberName(i), Listen: peers[i], Peers: peers, Writes: true, MinFree: -1}))
	}
	eventually(t, 60*time.Second, "acknowledgements on the small disk", func() bool { return small.acked() > 20 })
	ballast := filepath.Join(mount, "ballast")
	free, err := freeBytes(mount)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, bytes.Repeat([]byte{1}, int(free-32<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	before := others[0].acked()
	eventually(t, 60*time.Second, "the others to go on", func() bool { return others[0].acked() > before+20 })
	select {
	case <-small.done:
		t.Fatalf("the member on the full disk died: %v", small.errs)
	default:
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	n := small.acked()
	eventually(t, 60*time.Second, "the member to go on when there is room", func() bool { return small.acked() > n+20 })
}

// flipStores are the stores of a member, by what their files are called.
var flipStores = []struct{ name, files string }{
	{"tables", "state/*.sst"}, {"journal", "state/*.log"}, {"manifest", "state/MANIFEST-*"}, {"options", "state/OPTIONS-*"},
	{"blocks", "blocks/*"}, {"sidecars", "sidecars/*"}, {"raft", "raft/*"},
	{"vote", "vote"}, {"signed", "signed"}, {"snapshot", "snapshot"},
}

// TestNoBitFlipIsSilent flips single bits in every store of a member, or cuts a file of
// it to half of what is in it, and opens it
// again: the damage is found and repaired from the others, or changed nothing. What
// the member then serves is what the others have. The journal of the state
// is that of a member that was killed, everything else that of one that was stopped.
func TestNoBitFlipIsSilent(t *testing.T) {
	t.Parallel()
	flips, cuts := 2, 1
	if testing.Short() {
		flips, cuts = 1, 0
	}
	if *soak {
		flips = 200
	}
	dir := t.TempDir()
	peers := realserver.FreeAddresses(t, 3)
	k := testConsortium(t, 3, 0)
	for i, p := range peers {
		k.Members[i].Peer = p
	}
	nodes := reopen(t, dir, k, func(o *Options) {
		o.SnapshotEntries, o.TrailingEntries, o.snapshotInterval = 16, 8, 200*time.Millisecond
	})
	side := []byte("a sealed index")
	rc := mustSubmit(t, nodes[0], put(t, "bob", "s", []byte("x"), side), side)
	for i := range 30 {
		mustSubmit(t, nodes[i%3], put(t, "alice", fmt.Sprint("k", i), binary.BigEndian.AppendUint32(nil, uint32(i)), nil), nil)
	}
	eventually(t, 60*time.Second, "a snapshot", func() bool { return nodes[2].snaps.newest() != nil })
	if err := nodes[2].book.drain(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "h2")
	killed, stopped := filepath.Join(t.TempDir(), "killed"), filepath.Join(t.TempDir(), "stopped")
	copyDir(t, killed, own)
	if err := nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	copyDir(t, stopped, own)
	want := nodes[0].book.Head().Header
	for _, store := range flipStores {
		t.Run(store.name, func(t *testing.T) {
			clean := stopped
			if store.name == "journal" {
				clean = killed
			}
			files, err := filepath.Glob(filepath.Join(clean, store.files))
			if err != nil || len(files) == 0 {
				t.Fatalf("no such file: %v", err)
			}
			r := rand.New(rand.NewPCG(3, uint64(len(store.files))))
			var harmless, repaired, crashed int
			for i := range flips + cuts {
				work := filepath.Join(t.TempDir(), "h2")
				copyDir(t, work, clean)
				rel, err := filepath.Rel(clean, files[r.IntN(len(files))])
				if err != nil {
					t.Fatal(err)
				}
				if i < flips {
					flip(t, filepath.Join(work, rel), r)
				} else if err := halve(filepath.Join(work, rel)); err != nil {
					t.Fatal(err)
				}
				ch := startChild(t, childConfig{Dir: work, Member: "h2", Listen: peers[2], Peers: peers, MinFree: -1})
				select {
				case <-ch.ready:
				case <-ch.done:
					crashed++ // found, not silent
					continue
				case <-time.After(60 * time.Second):
					t.Fatalf("%s: member neither opened nor failed: %v", rel, ch.errs)
				}
				status := func() (a statusAnswer) {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					_ = nodes[0].peers.call(ctx, "h2", rpcStatus, struct{}{}, &a) // a zero answer is not yet there
					return a
				}
				eventually(t, 60*time.Second, "the damaged member to have everything", func() bool { return status().Height >= want.Height })
				ch.stop(t)
				if _, err := os.Stat(filepath.Join(work, "damaged")); err == nil {
					repaired++
				} else {
					harmless++
				}
				checkServed(t, work, k, nodes[0], rc.Index, side)
				if err := os.RemoveAll(work); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%-18s %d flips and cuts: %d repaired, %d refused to open, %d harmless or repaired in place, 0 silent", store.files, flips+cuts, repaired, crashed, harmless)
		})
	}
}

// copyDir copies a directory, without the zeros in it: files that grow by more than is
// written are mostly holes.
func copyDir(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return writeSparse(filepath.Join(to, rel), b)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func writeSparse(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, 64<<10)
	for off := 0; off < len(b); off += len(zeros) {
		part := b[off:min(off+len(zeros), len(b))]
		if bytes.Equal(part, zeros[:len(part)]) {
			continue
		}
		if _, err := f.WriteAt(part, int64(off)); err != nil {
			return err
		}
	}
	return f.Truncate(int64(len(b)))
}

// checkServed compares what is in a directory with what another member has.
func checkServed(t *testing.T, dir string, k *chain.Consortium, other *Replica, index uint64, side []byte) {
	t.Helper()
	if _, err := Verify(context.Background(), VerifyOptions{Dir: dir, Founding: k}); err != nil {
		t.Fatalf("after repair: %v", err)
	}
	b, err := openBook(dir, k, bookOptions{readOnly: true}, discardLog())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	h := b.Head().Header.Height
	blk, _, err := other.book.block(h)
	if err != nil || blk.Header.Hash() != b.Head().Header.Hash() {
		t.Fatalf("silently another chain at height %d: %v", h, err)
	}
	if got, err := b.sidecar(index); err != nil || !bytes.Equal(got, side) {
		t.Fatalf("sidecar after repair: %q, %v", got, err)
	}
}

// halve cuts a file to half of what was written to it.
func halve(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, int64(len(bytes.TrimRight(b, "\x00"))/2))
}

func flip(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		t.Fatalf("%s: %v", path, errors.Join(err, errors.New("nothing to flip")))
	}
	end := len(b)
	for end > 1 && b[end-1] == 0 {
		end-- // zeros that were never written
	}
	b[r.IntN(end)] ^= 1 << r.IntN(8)
	if err := writeSparse(path, b); err != nil {
		t.Fatal(err)
	}
}
