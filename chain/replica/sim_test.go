package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

var (
	simSeeds = flag.Int("seeds", 0, "schedules to simulate; 0 means 300, 20 with -short (or $WARD_SEEDS)")
	simFirst = flag.Uint64("seed", 1, "first seed")
)

func seeds(t *testing.T) int {
	n := *simSeeds
	if env := os.Getenv("WARD_SEEDS"); n == 0 && env != "" {
		var err error
		if n, err = strconv.Atoi(env); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		n = 300
		if testing.Short() {
			n = 12 // with the race detector, two seconds each
		}
	}
	return n
}

// simulation runs one seeded schedule of faults against a cluster in virtual time
// and records what its clients saw.
type simulation struct {
	*cluster
	r         *rand.Rand
	begin     time.Time
	mu        sync.Mutex
	ops       []porcupine.Operation
	unknown   map[int]chain.Hash    // transactions of the operations, by index in ops, whose outcome is unknown
	acked     map[chain.Hash]uint64 // transaction -> leaf index
	faults    int
	lost      int                          // outcomes that stayed unknown
	halts     int                          // members that halted on a full disk
	disks     map[string]*simDisk          // guarded by mu
	files     []*chain.Consortium          // guarded by mu; consortium files in force, newest last
	announced []*chain.Consortium          // guarded by mu; those that may be
	joined    map[string]*chain.Consortium // guarded by mu; members who came later, with the file they know
	starting  map[string]bool              // guarded by mu; members that are being opened or closed
	compacted uint64                       // log index up to which no log has an entry at the end
	kinds     []int                        // faults to choose from; nil means all
	sidecars  simSidecars
	logs      sync.Map // *lastWords, by member
}

const (
	simClients  = 4
	simKeys     = 3
	simDuration = 20 * time.Second
)

// The kinds of faults, in the order in which seeds choose them.
const (
	faultCrash    = iota // of one member
	faultCrashToo        // twice as often as the others
	faultPower           // of all members
	faultIsolate         // one member cut off
	faultOneWay          // one direction between two members cut off
	faultLeader          // the leader cut off
	faultDelay           // slow link
	faultReset           // of connections
	faultTransfer        // of leadership
	simFaults

	faultFull // some disks take nothing for a while; not in the schedules of all kinds
)

// Each register is written with a swap, so that a put returns what it replaced.
type simInput struct {
	key   string
	write uint32 // 0: read
}

func simModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			by := map[string][]porcupine.Operation{}
			for _, op := range history {
				k := op.Input.(simInput).key
				by[k] = append(by[k], op)
			}
			var out [][]porcupine.Operation
			for _, ops := range by {
				out = append(out, ops)
			}
			return out
		},
		Init: func() any { return uint32(0) },
		Step: func(state, input, output any) (bool, any) {
			in, was := input.(simInput), state.(uint32)
			got, known := output.(uint32)
			ok := !known || got == was
			if in.write != 0 {
				return ok, in.write
			}
			return ok, was
		},
	}
}

// TestSimulatedFaults runs clusters of three and five through seeded schedules of
// crashes, restarts, partitions, delays, duplicates, compaction and changes of
// membership. No acknowledged transaction is lost, every history is
// linearizable, and at the end all members have the same certified head and the
// sidecars that were not purged; of the others there is no byte in their files once
// their logs are compacted.
func TestSimulatedFaults(t *testing.T) {
	n := seeds(t)
	began := time.Now()
	var mu sync.Mutex
	var ops, faults, lost int
	t.Run("seeds", func(t *testing.T) {
		for i := range n {
			seed := *simFirst + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := simulate(t, seed)
					mu.Lock()
					ops, faults, lost = ops+len(s.ops), faults+s.faults, lost+s.lost
					mu.Unlock()
				})
			})
		}
	})
	t.Logf("%d schedules of %v in %v: %d operations, %d faults, %d outcomes unknown to the client",
		n, simDuration, time.Since(began).Round(time.Second), ops, faults, lost)
}

// Seeds that found something: it must not come back.
//
//   - 9: a snapshot signed under an earlier consortium could not be installed by
//     one who joined.
//   - 38: one that was away did not know the members who signed the snapshot.
//   - 1590: a member whose log began behind entries that made no block took the
//     removal of a member for an attack, and stayed behind.
//   - 3212: the simulated disk took names, not contents, after the power had
//     failed: two logs were cut at snapshots that were not on the disk.
func TestSimulatedRegressions(t *testing.T) {
	for _, seed := range []uint64{9, 38, 1590, 3212} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

// TestPowerFailuresOfAllMembers takes the power of all members away, again and
// again, with snapshots and truncations under way.
func TestPowerFailuresOfAllMembers(t *testing.T) {
	for i := range seeds(t) / 4 {
		seed := *simFirst + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { simulate(t, seed, faultPower, faultPower, faultPower, faultCrash, faultTransfer) })
		})
	}
}

// simulate runs the schedule of a seed with these kinds of faults, all if there
// are none.
func simulate(t *testing.T, seed uint64, kinds ...int) *simulation {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	n := 3
	if r.IntN(3) == 0 {
		n = 5
	}
	s := &simulation{r: r, begin: time.Now(), acked: map[chain.Hash]uint64{}, unknown: map[int]chain.Hash{}, disks: map[string]*simDisk{}, joined: map[string]*chain.Consortium{}, starting: map[string]bool{}, kinds: kinds,
		sidecars: simSidecars{kept: map[uint64][]byte{}, purged: map[uint64][]byte{}}}
	s.cluster = newCluster(t, n, func(o *Options) {
		o.SnapshotEntries, o.TrailingEntries, o.snapshotInterval = 12, 6, 3*time.Second
		o.wrapTransport = func(inner raft.Transport) raft.Transport { return newDuplicator(inner, seed) }
		o.medium = s.disk(o.Member).medium()
		if o.Log == nil {
			o.Log = s.words(o.Member).logger()
		}
		o.opened = func(b *book) { notAhead(t, o.Member, b) }
		s.mu.Lock()
		defer s.mu.Unlock()
		if known := s.joined[o.Member]; known != nil {
			o.Bootstrap, o.Known = false, known
		}
	})
	s.files = []*chain.Consortium{s.consortium}
	s.announced = s.files
	s.startAll()
	ctx, cancel := context.WithTimeout(context.Background(), simDuration)
	var wg sync.WaitGroup
	for c := range simClients {
		rc := rand.New(rand.NewPCG(seed, uint64(c)+1))
		wg.Go(func() { s.client(ctx, c, rc) })
	}
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		if r := rand.New(rand.NewPCG(seed, 0xe90c)); r.IntN(2) == 0 {
			s.changeMembers(r)
		}
	}()
	s.disturb(ctx)
	cancel()
	wg.Wait()
	s.heal()
	<-changed
	s.heal()
	s.settle()
	head := s.sameHead()
	s.check(seed, head)
	s.checkSidecars(seed)
	s.compact(seed)
	s.compact(seed) // what was on its way when the first began
	names := slices.Collect(maps.Keys(s.nodes))
	s.stopAll()
	s.checkErased(seed, names)
	for _, d := range s.disks {
		d.close()
	}
	os.RemoveAll(s.dir)
	return s
}

// member returns a running member.
func (s *simulation) member(r *rand.Rand) *Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.nodes))
	for name := range s.nodes {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return s.nodes[names[r.IntN(len(names))]]
}

// client submits and reads, one operation at a time, until ctx ends.
func (s *simulation) client(ctx context.Context, id int, r *rand.Rand) {
	for n := uint32(1); ctx.Err() == nil; n++ {
		node := s.member(r)
		if node == nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		in := simInput{key: fmt.Sprint("k", r.IntN(simKeys))}
		opCtx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		op := porcupine.Operation{ClientId: id, Input: in, Call: int64(time.Since(s.begin))}
		var err error
		var tx chain.Hash
		if r.IntN(3) == 0 {
			op.Output, err = s.read(opCtx, node, in.key)
		} else {
			in.write = uint32(id+1)<<24 | n
			op.Input = in
			op.Output, tx, err = s.write(opCtx, node, in, r)
		}
		cancel()
		op.Return = int64(time.Since(s.begin))
		switch {
		case err == nil:
		case in.write == 0, !errors.Is(err, ErrUnknown) && (errors.Is(err, ErrOverloaded) || errors.Is(err, ErrNotCommitted) || errors.Is(err, ErrReadOnly)):
			continue // nothing happened
		default:
			op.Output, op.Return = nil, 1<<62
			s.mu.Lock()
			s.lost++
			s.mu.Unlock()
		}
		s.mu.Lock()
		if op.Return == 1<<62 {
			s.unknown[len(s.ops)] = tx
		}
		s.ops = append(s.ops, op)
		leaf := s.acked[tx]
		s.mu.Unlock()
		if err == nil && in.write != 0 {
			s.keep(node, in, leaf)
		}
		if op.Return == 1<<62 {
			id += simClients // one client has one operation at a time
		}
		time.Sleep(time.Duration(50+r.IntN(500)) * time.Millisecond)
	}
}

func (s *simulation) read(ctx context.Context, node *Replica, key string) (any, error) {
	var got []byte
	err := node.Read(ctx, func(v *View) (err error) {
		got, err = v.Of("kv").Get([]byte(key))
		return err
	})
	return number(got), err
}

func (s *simulation) write(ctx context.Context, node *Replica, in simInput, r *rand.Rand) (any, chain.Hash, error) {
	tx := put(s.t, "alice", in.key, binary.BigEndian.AppendUint32(nil, in.write), simSidecar(in))
	if r.IntN(4) == 0 {
		// The same transaction twice, through two members.
		if other := s.member(r); other != nil {
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { _, _ = other.Submit(ctx, tx, simSidecar(in)) })
		}
	}
	rc, err := node.Submit(ctx, tx, simSidecar(in))
	if err != nil {
		return nil, tx.ID(), err
	}
	if _, err := s.verify(rc); err != nil {
		s.t.Errorf("receipt: %v", err)
	}
	if rc.Result.Code != "" {
		s.t.Errorf("result %q", rc.Result.Code)
	}
	s.mu.Lock()
	s.acked[tx.ID()] = rc.Index
	s.mu.Unlock()
	return number(rc.Result.Value), tx.ID(), nil
}

func number(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// disturb does something bad every second or so until ctx ends. It never crashes
// more members than a quorum can spare, and heals what it broke after a while.
func (s *simulation) disturb(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-time.After(time.Duration(300+s.r.IntN(2000)) * time.Millisecond):
		case <-ctx.Done():
			return
		}
		s.faults++
		names := s.names()
		a, b := names[s.r.IntN(len(names))], names[s.r.IntN(len(names))]
		kind := s.r.IntN(simFaults)
		if len(s.kinds) > 0 {
			kind = s.kinds[s.r.IntN(len(s.kinds))]
		}
		switch kind {
		case faultCrash, faultCrashToo:
			s.crash(a)
		case faultPower:
			s.restartAll()
		case faultIsolate:
			s.isolate(a)
		case faultOneWay:
			s.net.setCut(a, b, a != b)
		case faultLeader:
			s.isolate(s.currentLeader(a))
		case faultDelay:
			s.net.setDelay(a, b, time.Duration(s.r.IntN(800))*time.Millisecond)
		case faultReset:
			s.net.reset(a, b)
		case faultTransfer:
			s.transfer(a)
		case faultFull:
			s.fillDisks()
		}
		if s.r.IntN(3) == 0 {
			s.heal()
		}
	}
}

func (s *simulation) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, m := range s.files[len(s.files)-1].Members {
		names = append(names, m.Name)
	}
	return names
}

func (s *simulation) running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.nodes)
}

// crash stops a member, or starts one if too many are down.
func (s *simulation) crash(name string) {
	s.mu.Lock()
	node := s.nodes[name]
	s.mu.Unlock()
	if node == nil {
		s.heal()
		return
	}
	if s.running() <= len(s.names())/2+1 {
		return
	}
	s.kill(name)
}

// kill takes the power of a member away: nobody hears of it any more, and what it
// has not flushed to its disk may be gone.
func (s *simulation) kill(name string) {
	s.mu.Lock()
	node := s.nodes[name]
	if node != nil {
		delete(s.nodes, name)
		s.starting[name] = true // not yet
	}
	s.mu.Unlock()
	if node == nil {
		return
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.starting, name)
	}()
	s.net.unplug(name)
	disk := s.disk(name)
	if err := disk.fail(); err != nil {
		s.t.Errorf("take the power of %s: %v", name, err)
	}
	node.crash()
	if err := disk.restore(s.r); err != nil {
		s.t.Errorf("restore the disk of %s: %v", name, err)
	}
}

func (s *simulation) restart(name string, healed bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	if !healed {
		ctx, cancel = context.WithTimeout(context.Background(), 5*time.Second)
	}
	defer cancel()
	node, err := Open(ctx, s.options(name))
	for isDiskFault(err) && ctx.Err() == nil {
		// A member that begins writes what it fetches. Its operator tries again.
		s.notThrownAway(name)
		time.Sleep(500 * time.Millisecond)
		node, err = Open(ctx, s.options(name))
	}
	if errors.Is(err, context.DeadlineExceeded) && (!healed || s.leaves(name)) {
		return // it needs the others to repair itself, and does not reach them, or is served no more
	}
	if err != nil {
		s.t.Errorf("open %s: %v", name, err)
		return
	}
	s.mu.Lock()
	s.nodes[name] = node
	s.mu.Unlock()
}

// restartAll kills every member and starts them again.
func (s *simulation) restartAll() {
	for _, name := range s.names() {
		s.kill(name)
	}
	s.startMissing(false)
}

// startMissing starts all members that are down, at the same time: one may need
// the others to repair itself.
func (s *simulation) startMissing(healed bool) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, name := range s.names() {
		s.mu.Lock()
		start := s.nodes[name] == nil && !s.starting[name]
		s.starting[name] = s.starting[name] || start
		s.mu.Unlock()
		if start {
			wg.Go(func() {
				s.restart(name, healed)
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.starting, name)
			})
		}
	}
}

func (s *simulation) isolate(name string) {
	for _, other := range s.names() {
		if other != name {
			s.net.setCut(name, other, true)
			s.net.setCut(other, name, true)
		}
	}
}

func (s *simulation) currentLeader(otherwise string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, node := range s.nodes {
		if _, self := node.leader(); self {
			return name
		}
	}
	return otherwise
}

func (s *simulation) transfer(name string) {
	s.mu.Lock()
	node := s.nodes[name]
	s.mu.Unlock()
	if node != nil {
		_ = node.node().LeadershipTransfer() // may fail: it is one more disturbance
	}
}

// heal repairs the network and starts every member.
func (s *simulation) heal() {
	for _, a := range s.names() {
		for _, b := range s.names() {
			s.net.setCut(a, b, false)
			s.net.setDelay(a, b, 0)
		}
	}
	s.startMissing(true)
}

// settle waits until every member has executed all that was acknowledged. Members
// whose power failed at the same moment can all be at one earlier block, certified
// and on their disks, before there is a leader and the log is executed again.
func (s *simulation) settle() {
	s.t.Helper()
	for name, node := range s.nodes {
		ctx, cancel := context.WithTimeout(context.Background(), simPatience)
		err := node.Read(ctx, func(*View) error { return nil })
		cancel()
		if err != nil {
			s.describe()
			s.t.Fatalf("%s: %v", name, err)
		}
	}
}

// check verifies what the clients saw against the chain. One member's receipts are
// verified; those of the others have to be the same, under checkpoints that hold.
func (s *simulation) check(seed uint64, head chain.Header) {
	s.t.Helper()
	first := map[chain.Hash]*chain.Receipt{}
	for name, node := range s.nodes {
		cp := node.Checkpoint()
		if !slices.ContainsFunc(s.announced, func(k *chain.Consortium) bool { return k.Verify(cp) == nil }) {
			s.t.Fatalf("seed %d: checkpoint of %s is not certified", seed, name)
		}
		for id, index := range s.acked {
			rc, err := node.Receipt(context.Background(), index)
			if err != nil {
				s.t.Fatalf("seed %d: %s lost acknowledged transaction %d: %v", seed, name, index, err)
			}
			if first[id] == nil || rc.Checkpoint.TreeHead != first[id].Checkpoint.TreeHead {
				if tx, err := s.verify(rc); err != nil || tx.ID() != id {
					s.t.Fatalf("seed %d: %s has another transaction at %d: %v", seed, name, index, err)
				}
				first[id] = rc
			}
			same := *rc
			same.Checkpoint = first[id].Checkpoint // with other signatures
			if a, b := s.encoded(&same), s.encoded(first[id]); !bytes.Equal(a, b) {
				s.t.Fatalf("seed %d: %s has another receipt for %d", seed, name, index)
			}
		}
		if err := node.Scrub(); err != nil {
			s.t.Fatalf("seed %d: %s: %v", seed, name, err)
		}
		if ev := node.Status().Divergences; len(ev) > 0 {
			s.t.Fatalf("seed %d: %s saw a divergence: %+v", seed, name, ev)
		}
	}
	if res := porcupine.CheckOperations(simModel(), s.history()); !res {
		s.t.Fatalf("seed %d: history of %d operations is not linearizable", seed, len(s.ops))
	}
	if head.Height == 0 || len(s.acked) == 0 {
		s.t.Errorf("seed %d: nothing was committed", seed)
	}
}

func (s *simulation) encoded(rc *chain.Receipt) []byte {
	b, err := rc.Bytes()
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// history returns the operations, those whose outcome is unknown with what the
// chain says of them: what they replaced, or that they did nothing. They may have
// taken effect at any time since they began.
func (s *simulation) history() []porcupine.Operation {
	results := map[chain.Hash]*chain.Result{}
	node := s.member(s.r)
	for height := range node.book.Head().Header.Height {
		blk, _, err := node.book.block(height + 1)
		if err != nil {
			s.t.Fatal(err)
		}
		for i, raw := range blk.Proposal.Txs {
			tx, err := chain.ParseTx(raw)
			if err != nil {
				s.t.Fatal(err)
			}
			if blk.Results[i].Code == "" {
				results[tx.ID()] = &blk.Results[i]
			}
		}
	}
	var out []porcupine.Operation
	for i, op := range s.ops {
		if id, unknown := s.unknown[i]; unknown {
			if results[id] == nil {
				continue
			}
			op.Output = number(results[id].Value)
		}
		out = append(out, op)
	}
	return out
}

// duplicator delivers some Raft messages twice.
type duplicator struct {
	*raftTransport
	out  chan raft.RPC
	seed uint64
}

func newDuplicator(inner raft.Transport, seed uint64) raft.Transport {
	d := &duplicator{raftTransport: inner.(*raftTransport), out: make(chan raft.RPC), seed: seed}
	d.raftTransport.wg.Go(d.run)
	return d
}

func (d *duplicator) Consumer() <-chan raft.RPC { return d.out }

func (d *duplicator) run() {
	r := rand.New(rand.NewPCG(d.seed, 99))
	for {
		var rpc raft.RPC
		select {
		case rpc = <-d.raftTransport.consumer:
		case <-d.done:
			return
		}
		if rpc.Reader == nil && r.IntN(20) == 0 {
			twin := rpc
			twin.RespChan = make(chan raft.RPCResponse, 1)
			select {
			case d.out <- twin:
			case <-d.done:
				refuse(rpc, raft.ErrTransportShutdown)
				return
			}
		}
		select {
		case d.out <- rpc:
		case <-d.done:
			refuse(rpc, raft.ErrTransportShutdown)
			return
		}
	}
}
