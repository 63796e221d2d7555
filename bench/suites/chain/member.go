package chain

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/chain/replica"
)

// memberCommand is the first argument of a process that is a member.
const memberCommand = "chain-member"

// memberConfig is its second argument, as JSON.
type memberConfig struct {
	Dir   string   `json:"dir"`
	Index int      `json:"index"`
	Peers []string `json:"peers"`
}

// Member runs one member of a chain if args ask for that, as args of a process
// that this suite has started do, and reports whether they did. It serves
// requests on stdin until that ends.
func Member(args []string) (asked bool, err error) {
	if len(args) != 2 || args[0] != memberCommand {
		return false, nil
	}
	var c memberConfig
	if err := json.Unmarshal([]byte(args[1]), &c); err != nil {
		return true, fmt.Errorf("read configuration: %w", err)
	}
	if c.Index < 0 || c.Index >= len(c.Peers) {
		return true, errors.New("read configuration: no such member")
	}
	return true, serveMember(c, os.Stdin, os.Stdout)
}

type memberRequest struct {
	Op      string `json:"op"` // "load", "usage" or "leads"
	N       int    `json:"n"`
	Clients int    `json:"clients"`
	Batch   int    `json:"batch"`
}

type memberReply struct {
	Version string  `json:"version,omitempty"`
	Error   string  `json:"error,omitempty"`
	Work    int     `json:"work,omitempty"`
	CPU     float64 `json:"cpu,omitempty"`
	Wall    float64 `json:"wall,omitempty"`
	P50     float64 `json:"p50,omitempty"`
	P99     float64 `json:"p99,omitempty"`
}

// memoryLimit is how much memory a member's process aims to need: what
// "ward node run" sets where nobody says otherwise.
const memoryLimit = 448 << 20

func serveMember(c memberConfig, in io.Reader, out io.Writer) (err error) {
	if os.Getenv("GOMEMLIMIT") == "" { // that counts before, there as here
		debug.SetMemoryLimit(memoryLimit)
	}
	l, err := net.Listen("tcp", c.Peers[c.Index])
	if err != nil {
		return err
	}
	r, err := openMember(context.Background(), c.Dir, c.Index, consortium(c.Peers), l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	answers := json.NewEncoder(out)
	if err := answers.Encode(memberReply{Version: "member"}); err != nil {
		return err
	}
	s := newSigner()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var q memberRequest
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		a, err := answer(r, s, memberName(c.Index), q)
		if err != nil {
			a = memberReply{Error: err.Error()}
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answer(r *replica.Replica, s *signer, self string, q memberRequest) (memberReply, error) {
	switch q.Op {
	case "leads":
		if r.Status().Leader == self {
			return memberReply{Work: 1}, nil
		}
		return memberReply{}, nil
	case "usage":
		return memberReply{CPU: measure.CPU().Seconds(), Work: 1}, nil
	case "load":
		if q.N < 1 || q.Clients < 1 || q.Batch < 1 {
			return memberReply{}, fmt.Errorf("cannot do %+v", q)
		}
		return signedLoad(r, s, q)
	}
	return memberReply{}, fmt.Errorf("no operation %q", q.Op)
}

// signedLoad puts entries on the chain and counts neither the time nor the
// memory that making them takes: they are made in small parts and given back.
func signedLoad(r *replica.Replica, s *signer, q memberRequest) (memberReply, error) {
	var sum memberReply
	part := 3 * q.Clients * q.Batch
	for done := 0; done < q.N; done += part {
		txs, err := s.sign(min(part, q.N-done))
		if err != nil {
			return memberReply{}, err
		}
		l, err := submit(r, txs, q.Clients, q.Batch)
		if err != nil {
			return memberReply{}, err
		}
		sum.Work += l.Work
		sum.CPU += l.CPU.Seconds()
		sum.Wall += l.Wall.Seconds()
		sum.P50, sum.P99 = l.P50, max(sum.P99, l.P99)
	}
	debug.FreeOSMemory()
	return sum, nil
}

// fleet are members in processes of their own.
type fleet struct {
	nodes  []*exec.Cmd
	peers  []*peer.Peer
	leader int
}

// startFleet starts the members below dir. self is a program whose main calls
// Member.
func startFleet(ctx context.Context, self, dir string) (*fleet, error) {
	listeners, addresses, err := listen(members)
	if err != nil {
		return nil, err
	}
	if err := closeAll(listeners); err != nil { // the processes take the ports again
		return nil, err
	}
	f := &fleet{leader: -1}
	for i := range members {
		config, err := json.Marshal(memberConfig{Dir: filepath.Join(dir, "fleet"), Index: i, Peers: addresses})
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		command := exec.CommandContext(ctx, self, memberCommand, string(config))
		p, err := peer.Start(command)
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.nodes, f.peers = append(f.nodes, command), append(f.peers, p)
	}
	for f.leader < 0 {
		for i, p := range f.peers {
			l, err := p.Load("leads", 1, peer.Params{})
			if err != nil {
				return nil, errors.Join(err, f.close())
			}
			if l.Work == 1 {
				f.leader = i
			}
		}
		if err := pause(ctx); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	return f, nil
}

func (f *fleet) close() (err error) {
	for _, p := range f.peers {
		err = errors.Join(err, p.Close())
	}
	return err
}

// usage returns the processor time so far of all members but the leader, in
// seconds.
func (f *fleet) usage() (sum float64, err error) {
	for i, p := range f.peers {
		if i == f.leader {
			continue
		}
		l, err := p.Load("usage", 1, peer.Params{})
		if err != nil {
			return 0, err
		}
		sum += l.CPU.Seconds()
	}
	return sum, nil
}

// load puts entries on the chain and returns the processor time of all members
// and the wall time, in seconds for each.
func (f *fleet) load(n, clients, batch int) (cpu, wall float64, err error) {
	before, err := f.usage()
	if err != nil {
		return 0, 0, err
	}
	l, err := f.peers[f.leader].Load("load", n, peer.Params{Clients: clients, Batch: batch})
	if err != nil {
		return 0, 0, err
	}
	after, err := f.usage()
	if err != nil {
		return 0, 0, err
	}
	if l.Work < 1 {
		return 0, 0, errors.New("the leader did nothing")
	}
	return (l.CPU.Seconds() + after - before) / float64(l.Work), l.Wall.Seconds() / float64(l.Work), nil
}

// memory returns what the system says of each member's memory: resident all
// told, and the part of it that is no copy of a file. Both are 0 where it does
// not tell.
func (f *fleet) memory() (resident, anonymous []float64) {
	for _, c := range f.nodes {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
		if err != nil {
			return nil, nil
		}
		resident, anonymous = append(resident, kib(string(b), "VmRSS:")*1024), append(anonymous, kib(string(b), "RssAnon:")*1024)
	}
	return resident, anonymous
}

func kib(status, name string) float64 {
	_, rest, _ := strings.Cut(status, name)
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	n, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		return 0
	}
	return n
}

// diskOf returns what the files below dir occupy, holes not counted.
func diskOf(dir string) (bytes float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += float64(s.Blocks) * 512
		} else {
			bytes += float64(info.Size())
		}
		return nil
	})
	return bytes, err
}
