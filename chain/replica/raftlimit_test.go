package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// laneOf returns h0's end of the Raft lane. What comes by it is answered by answer, and
// each refusal counted.
func laneOf(t *testing.T, network Network, answer func(raft.RPC)) (tr *raftTransport, refused *atomic.Int64) {
	t.Helper()
	tr, refused = newRaftTransport("h0", network, time.Minute, raftLogger(discardLog())), new(atomic.Int64)
	tr.refused = func(from string, err error) { refused.Add(1) }
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case rpc := <-tr.Consumer():
				answer(rpc)
			case <-tr.done:
				return
			}
		}
	})
	wg.Go(func() {
		for {
			conn, member, _, err := network.Accept()
			if err != nil {
				return
			}
			tr.serve(conn, member)
		}
	})
	t.Cleanup(func() {
		tr.Close()
		network.Close()
		wg.Wait()
	})
	return tr, refused
}

// packed is MessagePack: a string is short or, as bytes, has a length of four bytes.
func packed(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(append(b, 0xa0|byte(len(p))), p...)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, p)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// allocated returns the bytes that are allocated while do runs.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A member sends what promises much, or goes on and on, in every place where the decoder
// would take memory for it. Its connection ends before that, and it counts.
func TestAttackRaftMessageThatTakesMemory(t *testing.T) {
	entries := packed(0, 0x81, "Entries")
	mega := make([]byte, 1<<20)
	for name, tc := range map[string]struct {
		first, then []byte
		times       int
	}{
		"a time of 1 GiB":         {first: packed(entries, 0x91, 0x81, "AppendedAt", 0xdb, uint32(1<<30))},
		"a time of 1 GiB, bytes":  {first: packed(entries, 0x91, 0x81, "AppendedAt", 0xc6, uint32(1<<30))},
		"an extension of 1 GiB":   {first: packed(0, 0x81, "Other", 0xc9, uint32(1<<30), 0xff)},
		"a string over an entry":  {packed(entries, 0x91, 0x81, "Data", 0xdb, uint32(chain.MaxEntry+1)), mega, 5},
		"empty entries":           {packed(entries, 0xdd, uint32(2<<20)), bytes.Repeat([]byte{0x80}, 1<<20), 2},
		"empty entries, as pairs": {packed(entries, 0xdf, uint32(1<<20)), bytes.Repeat([]byte{0x80}, 1<<20), 2},
		"arrays in arrays":        {packed(0, 0x81, "Other"), bytes.Repeat([]byte{0x9f}, 1000), 100},
		"one entry after another": {packed(entries, 0xdc, 0, maxEntries), packed(0x81, "Data", 0xdb, uint32(len(mega)), mega), 40},
		"a vote":                  {packed(1, 0x81, "Candidate", 0xdb, uint32(len(mega))), mega, 1},
		"a snapshot's peers":      {packed(2, 0x81, "Peers", 0xdb, uint32(len(mega))), mega, 1},
	} {
		t.Run(name, func(t *testing.T) {
			net0 := newSimNet(0)
			_, refused := laneOf(t, net0.node("h0"), func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{}, nil) })
			conn, err := net0.node("h1").Dial(t.Context(), "h0", LaneRaft)
			if err != nil {
				t.Fatal(err)
			}
			took := allocated(func() {
				_, err = conn.Write(tc.first)
				for range tc.times {
					if _, err = conn.Write(tc.then); err != nil {
						break
					}
				}
				_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the connection did not end: %v", err)
				}
			})
			sent := uint64(len(tc.then) * tc.times) // the simulated network copies it
			if took > 4*maxRaftMessage+sent {
				t.Errorf("%d MiB were allocated, %d of them for the network", took>>20, sent>>20)
			}
			if refused.Load() != 1 {
				t.Errorf("counted %d times", refused.Load())
			}
		})
	}
}

// The same as the answer to a request of ours.
func TestAttackRaftAnswerThatTakesMemory(t *testing.T) {
	mega := make([]byte, 1<<20)
	for name, tc := range map[string]struct {
		first, then []byte
		times       int
	}{
		"a long error":       {packed(0xdb, uint32(64<<20)), mega, 64},
		"a long answer":      {packed("", 0x81, "Peers", 0xdb, uint32(64<<20)), mega, 64},
		"other fields":       {packed("", 0xdf, uint32(1<<20)), packed("Other", 0xda, 0x80, 0, make([]byte, 1<<15)), 100},
		"a field beyond all": {packed("", 0x81, "Other", 0xc9, uint32(1<<30), 0xff), nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			net0 := newSimNet(0)
			tr, refused := laneOf(t, net0.node("h0"), func(raft.RPC) {})
			h1 := net0.node("h1")
			var wg sync.WaitGroup
			wg.Go(func() {
				conn, _, _, err := h1.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				_, err = conn.Write(tc.first)
				for n := 0; n < tc.times && err == nil; n++ {
					_, err = conn.Write(tc.then)
				}
				_, _ = io.Copy(io.Discard, conn)
			})
			took := allocated(func() {
				if err := tr.RequestVote("h1", "h1", &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}); err == nil {
					t.Error("the answer was taken")
				}
				wg.Wait()
			})
			if sent := uint64(len(tc.then) * tc.times); took > 16*maxRaftAnswer+sent+1<<20 {
				t.Errorf("%d KiB were allocated, %d of them for the network", took>>10, sent>>10)
			}
			if refused.Load() != 1 {
				t.Errorf("counted %d times", refused.Load())
			}
		})
	}
}

// What is refused shows in the status.
func TestRaftMessageBeyondTheLimitsShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, nil)
		c.startAll()
		c.load(1)
		c.stop("h1")
		h1 := c.net.node("h1")
		conn, err := h1.Dial(t.Context(), "h0", LaneRaft)
		if err != nil {
			t.Fatal(err)
		}
		before := c.nodes["h0"].Status().Refused
		_, _ = conn.Write(packed(0, 0x81, "Entries", 0x91, 0x81, "AppendedAt", 0xdb, uint32(1<<30)))
		time.Sleep(time.Second)
		if got := c.nodes["h0"].Status().Refused; got != before+1 {
			t.Errorf("%d are refused", got-before)
		}
		conn.Close()
		h1.Close()
		c.stopAll()
	})
}

// twoLanes returns the transport of h1 to h0, which gets its messages. Each is answered
// with the number of its last entry.
func twoLanes(t *testing.T, got func(raft.RPC)) (h0, h1 *raftTransport, header raft.RPCHeader, refused *atomic.Int64) {
	net0 := newSimNet(0)
	h0, refused = laneOf(t, net0.node("h0"), func(rpc raft.RPC) {
		got(rpc)
		switch c := rpc.Command.(type) {
		case *raft.AppendEntriesRequest:
			rpc.Respond(&raft.AppendEntriesResponse{LastLog: c.PrevLogEntry + uint64(len(c.Entries)), Success: true}, nil)
		case *raft.InstallSnapshotRequest:
			rpc.Respond(&raft.InstallSnapshotResponse{Success: true}, nil)
		default:
			rpc.Respond(&raft.RequestVoteResponse{Granted: true}, nil)
		}
	})
	h1, _ = laneOf(t, net0.node("h1"), func(raft.RPC) {})
	return h0, h1, raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("h1"), Addr: []byte("h1")}, refused
}

// The largest messages that a leader sends arrive, one after another and ahead of the
// answers; what does not fit into one comes with the next, as Raft goes on.
func TestLargestMessagesOfALeaderArrive(t *testing.T) {
	var arrived atomic.Int64
	h0, h1, header, refused := twoLanes(t, func(rpc raft.RPC) {
		c := rpc.Command.(*raft.AppendEntriesRequest)
		for i, e := range c.Entries {
			if e.Index != uint64(arrived.Add(1)) || e.Term != 1<<62 || e.Data[0] != byte(e.Index) || e.AppendedAt.IsZero() {
				t.Errorf("entry %d of a message is %d of term %d", i, e.Index, e.Term)
			}
		}
	})
	pipe, err := h1.AppendEntriesPipeline("h0", "h0")
	if err != nil {
		t.Fatal(err)
	}
	next, messages := uint64(1), 0
	send := func(total uint64, size int, ahead bool) {
		for end := next + total; next < end; messages++ {
			req := &raft.AppendEntriesRequest{RPCHeader: header, Term: 1 << 62, PrevLogEntry: next - 1, PrevLogTerm: 1 << 62, LeaderCommitIndex: 1 << 62}
			for i := next; i < end; i++ {
				data := make([]byte, size)
				data[0] = byte(i)
				req.Entries = append(req.Entries, &raft.Log{Index: i, Term: 1 << 62, Type: raft.LogCommand, Data: data, AppendedAt: time.Now()})
			}
			var resp raft.AppendEntriesResponse
			if !ahead {
				if err := h1.AppendEntries("h0", "h0", req, &resp); err != nil {
					t.Fatal(err)
				}
			} else if _, err := pipe.AppendEntries(req, &resp); err != nil {
				t.Fatal(err)
			} else if f := <-pipe.Consumer(); f.Error() != nil {
				t.Fatal(f.Error())
			}
			if n := uint64(len(req.Entries)); n == 0 || resp.LastLog != next+n-1 {
				t.Fatalf("%d entries from %d were sent, the last that came is %d", n, next, resp.LastLog)
			} else {
				next += n
			}
		}
	}
	send(maxEntries, maxRaftMessage/maxEntries-300, false)
	send(1, chain.MaxEntry, true)
	if messages != 2 {
		t.Errorf("%d messages for what fits into 2", messages)
	}
	send(maxEntries, 640<<10, false)
	send(maxEntries, 640<<10, true)
	if messages != 6 || arrived.Load() != 3*maxEntries+1 || refused.Load() != 0 {
		t.Errorf("%d messages, %d entries arrived, %d were refused", messages, arrived.Load(), refused.Load())
	}
	if n := len(h0.peers["h1"].large); n != 0 {
		t.Errorf("%d messages count that are answered", n)
	}
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
}

// The largest snapshot arrives, behind other messages on its connection.
func TestLargestSnapshotArrives(t *testing.T) {
	data := bytes.Repeat([]byte{0xdb, 0xff, 0xc9}, maxAttested/3) // which would be refused anywhere else
	var size int
	_, h1, header, refused := twoLanes(t, func(rpc raft.RPC) {
		if rpc.Reader == nil {
			return
		}
		if got, err := io.ReadAll(rpc.Reader); err != nil || !bytes.Equal(got, data[:size]) {
			t.Errorf("%d bytes came, %v", len(got), err)
		}
	})
	for _, size = range []int{0, 1, 127, 128, 1 << 10, 1 << 16, len(data)} {
		if err := h1.RequestVote("h0", "h0", &raft.RequestVoteRequest{RPCHeader: header, Term: 1}, &raft.RequestVoteResponse{}); err != nil {
			t.Fatal(err)
		}
		req := &raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: 9, Leader: []byte("h1"), LastLogIndex: 1 << 40, Configuration: make([]byte, 100<<10), Size: int64(size)}
		var resp raft.InstallSnapshotResponse
		if err := h1.InstallSnapshot("h0", "h0", req, &resp, bytes.NewReader(data[:size])); err != nil || !resp.Success {
			t.Errorf("snapshot of %d bytes: %v", size, err)
		}
	}
	if refused.Load() != 0 {
		t.Errorf("%d were refused", refused.Load())
	}
}

// Each limit is exactly where it is said to be, and nothing is out of its place.
func TestRaftStreamHasLimits(t *testing.T) {
	strings := func(n, size int) []byte { // so many pairs, with values of so many bytes
		return bytes.Repeat(packed("a", 0xdb, uint32(size), make([]byte, size)), n)
	}
	many := func(n uint32) []byte { return packed(0, 0xdf, n, bytes.Repeat(packed("a", 0xc0), int(min(n, 4096)))) }
	for name, tc := range map[string]struct {
		answers   bool
		good, bad []byte
	}{
		"string":          {false, packed(0, 0x81, "a", 0xdb, uint32(chain.MaxEntry)), packed(0, 0x81, "a", 0xdb, uint32(chain.MaxEntry+1))},
		"values":          {false, many(maxRaftValues/2 - 1), many(maxRaftValues / 2)},
		"promised values": {false, nil, many(1<<32 - 1)},
		"entries":         {false, packed(0, 0x81, "Entries", 0xdd, uint32(maxRaftValues-3)), packed(0, 0x81, "Entries", 0xdd, uint32(maxRaftValues-2))},
		"message":         {false, packed(0, 0x88, strings(7, chain.MaxEntry), "a", 0xdb, uint32(chain.MaxEntry-8*7-1)), packed(0, 0x88, strings(7, chain.MaxEntry), "a", 0xdb, uint32(chain.MaxEntry-8*7))},
		"another request": {false, packed(1, 0x81, "a", 0xdb, uint32(maxRaftRequest-8)), packed(1, 0x81, "a", 0xdb, uint32(maxRaftRequest-7))},
		"answer":          {true, packed("", 0x81, "a", 0xdb, uint32(maxRaftAnswer-9)), packed("", 0x81, "a", 0xdb, uint32(maxRaftAnswer-8))},
		"error":           {true, packed(0xdb, uint32(maxRaftAnswer-5)), packed(0xdb, uint32(maxRaftAnswer-4))},
		"next message":    {false, packed(1, 0x80, 1, 0x81, "a", 0xdb, uint32(maxRaftRequest-8)), packed(1, 0x80, 1, 0xc0)},
		"next answer":     {true, packed("", 0xc0, "", 0x80, "", 0x81, "a", 0xdb, uint32(maxRaftAnswer-9)), packed("", 0xc0, 0x80)},
		"extension":       {false, nil, packed(0, 0x81, "a", 0xd4)},
		"long extension":  {false, nil, packed(0, 0x81, "a", 0xc7)},
		"no type":         {false, nil, packed(0, 0x81, "a", 0xc1)},
		"other array":     {false, packed(0, 0x81, "Entries", 0x90), packed(0, 0x81, "Leader", 0x90)},
		"of a vote":       {false, nil, packed(1, 0x81, "Entries", 0x90)},
		"of an answer":    {true, nil, packed("", 0x81, "Entries", 0x90)},
		"in an entry":     {false, packed(0, 0x81, "Entries", 0x92, 0xc0, 0x81, "Entries", 0xc0), packed(0, 0x81, "Entries", 0x91, 0x81, "Entries", 0x90)},
		"map in a map":    {false, nil, packed(0, 0x81, "Entries", 0x80)},
		"map in an entry": {false, nil, packed(0, 0x81, "Entries", 0x91, 0x81, "a", 0x80)},
		"scalar entry":    {false, packed(0, 0x81, "Entries", 0x91, 0xc0), packed(0, 0x81, "Entries", 0x91, 1)},
		"scalar request":  {false, nil, packed(0, 1)},
		"scalar answer":   {true, packed("", 0xc0), packed("", 1)},
		"error as a map":  {true, packed(0xc0, 0xc0), packed(0x80)},
	} {
		for want, b := range map[bool][]byte{true: tc.good, false: tc.bad} {
			s := raftStream{answers: tc.answers}
			if err := s.pass(b); b != nil && (err == nil) != want {
				t.Errorf("%s: %v, good is %v", name, err, want)
			}
		}
	}
}

// A snapshot request that says its size in any way that could be read differently is
// refused: what comes after it is not looked at.
func TestAttackSnapshotHidesAMessage(t *testing.T) {
	for name, b := range map[string][]byte{
		"as an array":    packed(0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5),
		"named in bytes": packed(0x81, 0xc4, 4, []byte("Size"), 5),
		"named in array": packed(0x81, 0x94, []byte("Size"), 5),
		"a fraction":     packed(0x81, "Size", 0xca, uint32(0x40a00000)),
		"negative":       packed(0x81, "Size", 0xff),
		"negative byte":  packed(0x81, "Size", 0xd0, 0x80),
		"negative word":  packed(0x81, "Size", 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0),
		"a string":       packed(0x81, "Size", "5"),
		"nothing":        packed(0x81, "Size", 0xc0),
		"true":           packed(0x81, "Size", 0xc3),
		"in a map":       packed(0x81, "Other", 0x81, "Size", 5),
		"in an array":    packed(0x82, "Other", 0x91, 5, "Size", 5),
		"no map":         packed(0xc0),
	} {
		var s raftStream
		if err := s.pass(append([]byte{raftSnapshot}, b...)); err == nil {
			t.Errorf("%s: %d bytes are taken for the snapshot", name, s.data)
		}
	}
	for want, b := range map[int64][]byte{
		5: packed(0x83, "Size", 7, "Size", 5, "Term", 1), 6: packed(0x82, "Leader", 0xc0, "Size", 0xd1, 0, 6), 0: packed(0x81, "Leader", 0xda, 0, 1, []byte("x")),
		9: packed(0xde, 0, 1, "Size", 9), 1 << 20: packed(0x81, "Size", 0xce, uint32(1<<20)), 200: packed(0x81, "Size", 0xcc, 200),
	} {
		var s raftStream
		if err := s.pass(append([]byte{raftSnapshot}, b...)); err != nil || s.data != want || s.open() {
			t.Errorf("%d, want %d: %v", s.data, want, err)
		}
	}
}

// A member opens one connection after another, each with as much as it can without an
// answer. It holds two large messages, a little more on fourteen, and no other connection.
// When it ends its oldest it gets new ones, and other members never notice.
func TestAttackManyRaftConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net0 := newSimNet(0)
		tr, refused := laneOf(t, net0.node("h0"), func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil) })
		h1 := net0.node("h1")
		begun := packed(0, 0x81, "Entries", 0x91, 0x81, "Data", 0xdb, uint32(chain.MaxEntry), make([]byte, 7<<18))
		var conns []net.Conn
		for range maxRaftConns + 4 {
			conn, err := h1.Dial(t.Context(), "h0", LaneRaft)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(begun)
			conns = append(conns, conn)
			synctest.Wait()
			held := 0
			p := tr.peers["h1"]
			p.mu.Lock()
			open := len(p.accepted)
			for _, a := range p.accepted {
				held += int(a.unanswered.Load())
			}
			p.mu.Unlock()
			if limit := maxRaftLarge*len(begun) + maxRaftConns*(smallMessage+1<<19); open > maxRaftConns || held > limit {
				t.Fatalf("with %d connections, %d are open, %d bytes held", len(conns), open, held)
			}
		}
		if refused.Load() != 0 {
			t.Errorf("%d are taken for messages that nobody sends", refused.Load())
		}
		h2, _ := laneOf(t, net0.node("h2"), func(raft.RPC) {})
		req := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ID: []byte("h2"), Addr: []byte("h2")}, Term: 1, PrevLogEntry: 1, Entries: []*raft.Log{{Data: make([]byte, chain.MaxEntry)}}}
		if err := h2.AppendEntries("h0", "h0", req, &raft.AppendEntriesResponse{}); err != nil {
			t.Errorf("another member: %v", err)
		}
		for _, conn := range conns {
			conn.Close()
		}
		synctest.Wait()
		if p := tr.peers["h1"]; len(p.accepted) != 0 || len(p.large) != 0 {
			t.Errorf("%d connections and %d large messages are left", len(p.accepted), len(p.large))
		}
		// Forgotten connections hold both places for large messages: an honest member gets through.
		for range maxRaftLarge {
			conn, err := h1.Dial(t.Context(), "h0", LaneRaft)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(begun)
			conns = append(conns, conn)
		}
		synctest.Wait()
		if n := len(tr.peers["h1"].large); n != maxRaftLarge {
			t.Errorf("%d large messages have begun", n)
		}
		again, _ := laneOf(t, net0.node("h1"), func(raft.RPC) {})
		again.timeout = time.Second
		for tries := 1; ; tries++ {
			req := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ID: []byte("h1"), Addr: []byte("h1")}, Term: 1, PrevLogEntry: 1, Entries: []*raft.Log{{Data: make([]byte, 2*smallMessage)}}}
			if err := again.AppendEntries("h0", "h0", req, &raft.AppendEntriesResponse{}); err == nil {
				break
			} else if tries > 2*maxRaftConns {
				t.Fatalf("after %d tries: %v", tries, err)
			}
		}
		for _, conn := range conns {
			conn.Close()
		}
		h1.Close()
	})
}

// Raft is busy for half an hour with the snapshot that a leader sent, which gives up and
// sends it again and again. Its heartbeats arrive all the time.
func TestHeartbeatsArriveWhileRaftIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net0 := newSimNet(time.Millisecond)
		busy, over := make(chan struct{}), make(chan struct{})
		h0, _ := laneOf(t, net0.node("h0"), func(rpc raft.RPC) {
			<-busy
			rpc.Respond(&raft.InstallSnapshotResponse{Success: true}, nil)
		})
		h0.SetHeartbeatHandler(func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil) })
		h1, _ := laneOf(t, net0.node("h1"), func(raft.RPC) {})
		h1.timeout = 10 * time.Second
		header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("h1"), Addr: []byte("h1")}
		install := func() error {
			data := make([]byte, 1000)
			req := &raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: 1, Leader: []byte("h1"), Size: int64(len(data))}
			return h1.InstallSnapshot("h0", "h0", req, &raft.InstallSnapshotResponse{}, bytes.NewReader(data))
		}
		tries := 0
		var leader sync.WaitGroup
		leader.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(min(10*time.Millisecond<<min(tries, 10), 10*time.Second)):
					_ = install()
					tries++
				}
			}
		})
		begun, heard := time.Now(), time.Now()
		for time.Since(begun) < 30*time.Minute && time.Since(heard) < 5*time.Second {
			if h1.AppendEntries("h0", "h0", &raft.AppendEntriesRequest{RPCHeader: header, Term: 1}, &raft.AppendEntriesResponse{}) == nil {
				heard = time.Now()
			}
			time.Sleep(500 * time.Millisecond)
		}
		if silent := time.Since(heard); silent >= 5*time.Second {
			t.Errorf("no heartbeat arrives after %v", heard.Sub(begun))
		}
		close(over)
		close(busy)
		leader.Wait()
		if tries <= 2*maxRaftConns && !t.Failed() {
			t.Errorf("sent %d times: the test tests nothing", tries)
		}
		if err := install(); err != nil {
			t.Errorf("when Raft is not busy: %v", err)
		}
	})
}

// drip is a connection by which one byte comes at a time, as long as the stream allows,
// so that it tells how far the decoder has read. It is a StreamLayer with that one.
type drip struct {
	net.Conn
	s         raftStream
	in        []byte
	messages  int // that are over
	delivered int // of these, that the decoder has taken for whole
	beyond    int // reads behind the end of a message that is not taken for whole
	given     bool
	closed    chan struct{}
	once      sync.Once
}

func (d *drip) Read(b []byte) (int, error) {
	if d.messages != d.delivered {
		d.beyond++
	}
	if len(d.in) == 0 {
		return 0, io.EOF
	}
	was := d.s.open()
	if err := d.s.pass(d.in[:1]); err != nil {
		return 0, err
	}
	if was && !d.s.open() {
		d.messages++
	}
	b[0], d.in = d.in[0], d.in[1:]
	return 1, nil
}

func (d *drip) Write(b []byte) (int, error) { return len(b), nil }
func (d *drip) RemoteAddr() net.Addr        { return memberAddr("h1") }
func (d *drip) Addr() net.Addr              { return memberAddr("h0") }
func (d *drip) Close() error                { d.once.Do(func() { close(d.closed) }); return nil }

func (d *drip) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) { return nil, net.ErrClosed }

func (d *drip) Accept() (net.Conn, error) {
	if d.given {
		<-d.closed
		return nil, net.ErrClosed
	}
	d.given = true
	return d, nil
}

// A message that hashicorp/raft decodes ends where the stream says, and so does a snapshot:
// nothing gets behind it that was not looked at.
func FuzzRaftStream(f *testing.F) {
	header := packed(0x84, "ProtocolVersion", 3, "ID", "h1", "Addr", "h1", "Term", 0xcf, uint32(0), uint32(9))
	vote := packed(1, header)
	for _, b := range [][]byte{
		packed(0, 0x83, "Term", 1, "Entries", 0x92, 0x84, "Index", 1, "Type", 2, "Data", 0xdb, uint32(3), []byte("abc"), "AppendedAt", 0xaf, 1, make([]byte, 14), 0xc0, "PrevLogEntry", 0xcd, 1, 0),
		packed(vote, 4, header, 3, 0x80),
		packed(2, 0x82, "Size", 0xcc, 3, "Leader", 0xc0, 0xdb, 0xdb, 0xdb, vote),
		packed(2, 0x82, "Size", 3, "Size", 0xd1, 0, 1, 0xff, vote),
		packed(2, 0x80, vote),
		packed(0, 0xc0, 1, 0xc0, vote),
		packed(1, 0x93, 3, 0x92, 1, 2, 0xc4, 1, 7, vote),
		packed(0, 0x81, "Entries", 0x81, 0x80, 0x80, vote),
		packed(0, 0x81, "Entries", 0x91, 0x81, "AppendedAt", 0xa4, uint32(7), vote),
		packed(1, 0x81, "Other", 0x82, 0x91, 0xcb, make([]byte, 8), 0xd3, make([]byte, 8), 0xda, 0, 1, 7, 0xdf, uint32(0), vote),
		packed(1, 0x81, 0x94, []byte("Term"), 0xca, uint32(0)),
		packed(1, 0x81, 0x90, 0xb0, vote),
		packed(1, 0x81, "Leader", 0x90, vote),
		packed(0, 0x81, "Entries", 0x91, 0x81, "AppendedAt", 7, vote),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := &drip{in: in, closed: make(chan struct{})}
		tr := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: d, Logger: raftLogger(discardLog())})
		defer tr.Close()
		for {
			select {
			case rpc := <-tr.Consumer():
				d.delivered++
				if d.s.open() || d.delivered != d.messages || d.beyond > 0 {
					t.Fatalf("message %d, a %T, is not over", d.delivered, rpc.Command)
				}
				if c, ok := rpc.Command.(*raft.InstallSnapshotRequest); ok {
					if d.s.data != c.Size {
						t.Fatalf("snapshot of %d bytes, not %d", c.Size, d.s.data)
					}
					_, _ = io.Copy(io.Discard, rpc.Reader)
				}
				rpc.Respond(&raft.TimeoutNowResponse{}, nil)
			case <-d.closed:
				// For a number in the place of a time it looks at one more byte, and gives up.
				if d.beyond > 1 {
					t.Fatal("the decoder read on behind the end of a message")
				}
				return
			}
		}
	})
}
