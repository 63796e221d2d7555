// Package peer runs programs to measure Ward beside, as processes that stay
// while the rounds go on and are asked over JSON lines.
package peer

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ward-health/ward/bench/measure"
)

//go:embed serve.mjs
var server []byte

// Params are what an operation depends on.
type Params struct {
	T       int `json:"t,omitempty"`
	Members int `json:"members,omitempty"`
	Clients int `json:"clients,omitempty"` // at once
	Batch   int `json:"batch,omitempty"`   // entries in a request
	Seconds int `json:"seconds,omitempty"` // how long, for a load; 0 means until n entries are done
}

// Peer is a process that does operations when asked. It is not safe for
// concurrent use.
type Peer struct {
	Version string

	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	dir     string // temporary
}

type request struct {
	Op string `json:"op"`
	N  int    `json:"n"`
	Params
}

type reply struct {
	Version string  `json:"version"`
	Error   string  `json:"error"`
	Work    int     `json:"work"`
	CPU     float64 `json:"cpu"`
	Wall    float64 `json:"wall"`
	Size    int     `json:"size"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
}

// Load is what some clients at once had of a peer.
type Load struct {
	measure.Spent
	P50, P99 float64 // seconds that a request took
}

// StartNode starts a process of Node.js that serves the package, which
// tools/peers.sh has installed below root. The error says what is missing.
func StartNode(ctx context.Context, root, pkg string) (*Peer, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("node is not installed")
	}
	installed := filepath.Join(root, ".tools", "peers")
	if _, err := os.Stat(filepath.Join(installed, "node_modules", filepath.FromSlash(pkg))); err != nil {
		return nil, errors.New("not installed: run tools/peers.sh")
	}
	dir, err := os.MkdirTemp("", "ward-bench-")
	if err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "serve.mjs")
	if err := os.WriteFile(script, server, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	// Without the quick first compiler, WebAssembly runs optimized from the
	// first call on, and no rounds are spent on its becoming so.
	p, err := start(exec.CommandContext(ctx, node, "--no-warnings", "--no-liftoff", "--experimental-wasm-modules", script, installed, pkg))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.dir = dir
	return p, nil
}

// StartProgram starts a program that tools/peers.sh has built below root, with
// a temporary directory, which is its only argument, for its data. It serves as
// the packages of Node.js do. The error says what is missing.
func StartProgram(ctx context.Context, root, name string) (*Peer, error) {
	program, err := Program(root, name)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ward-bench-")
	if err != nil {
		return nil, err
	}
	p, err := start(exec.CommandContext(ctx, program, dir))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.dir = dir
	return p, nil
}

// Program returns the path of a program that tools/peers.sh has built below
// root, or that is installed. The error says how to get it.
func Program(root, name string) (string, error) {
	path := filepath.Join(root, ".tools", "peers", "bin", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s is not installed: run tools/peers.sh %s", name, name)
}

// Start starts a command that serves as peers do, and waits for its first line.
func Start(command *exec.Cmd) (*Peer, error) { return start(command) }

// start starts the command and waits for its first line.
func start(command *exec.Cmd) (*Peer, error) {
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &Peer{command: command, in: in, out: bufio.NewReader(out)}
	hello, err := p.read()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", filepath.Base(command.Path), err), p.Close())
	}
	p.Version = hello.Version
	return p, nil
}

func (p *Peer) read() (reply, error) {
	var r reply
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return r, fmt.Errorf("read its answer: %w", err)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("read its answer: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

func (p *Peer) ask(op string, n int, params Params) (reply, error) {
	line, err := json.Marshal(request{op, n, params})
	if err != nil {
		return reply{}, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return reply{}, fmt.Errorf("ask for %s: %w", op, err)
	}
	r, err := p.read()
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", op, err)
	}
	return r, nil
}

// Run returns a run of an operation for [measure.Case]: the peer does it n
// times, and says what that took it.
func (p *Peer) Run(op string, params Params) func(n int) (measure.Spent, error) {
	return func(n int) (measure.Spent, error) {
		r, err := p.ask(op, n, params)
		return measure.Spent{CPU: seconds(r.CPU), Wall: seconds(r.Wall), Work: r.Work}, err
	}
}

// Load puts n entries, or as near to that as requests allow, on a peer.
func (p *Peer) Load(op string, n int, params Params) (Load, error) {
	r, err := p.ask(op, n, params)
	return Load{measure.Spent{CPU: seconds(r.CPU), Wall: seconds(r.Wall), Work: r.Work}, r.P50, r.P99}, err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Size returns the size of what an operation makes, in bytes.
func (p *Peer) Size(op string, params Params) (int, error) {
	r, err := p.ask(op, 1, params)
	return r.Size, err
}

// Close ends the process and waits for it. It may be called again, and does
// nothing then.
func (p *Peer) Close() error {
	if p.command == nil {
		return nil
	}
	err := p.in.Close()
	_, drained := io.Copy(io.Discard, p.out)
	err = errors.Join(err, drained, p.command.Wait())
	if p.dir != "" {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	p.command = nil
	return err
}
