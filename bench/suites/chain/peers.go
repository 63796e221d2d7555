package chain

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ward-health/ward/bench/peer"
)

const (
	nameRqlite = "rqlite"
	nameComet  = "CometBFT"
)

// cluster are the processes of a peer that is spoken to over HTTP.
type cluster struct {
	processes []*exec.Cmd
	client    *http.Client
	url       string // of the node that takes the load
	next      atomic.Int64
	// post sends the entries with numbers from ≤ i < to and returns when they
	// are durable.
	post func(from, to int64) error
}

// startWait is how long a peer may take to be ready.
const startWait = 30 * time.Second

func (c *cluster) start(ctx context.Context, program string, args ...string) error {
	p := exec.CommandContext(ctx, program, args...)
	p.Cancel = func() error { return p.Process.Signal(syscall.SIGTERM) }
	p.WaitDelay = 10 * time.Second
	if err := p.Start(); err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

func (c *cluster) close() error {
	for _, p := range c.processes {
		_ = p.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	for _, p := range c.processes {
		stop := time.AfterFunc(10*time.Second, func() { _ = p.Process.Kill() })
		_ = p.Wait() // how it ends is no matter any more
		stop.Stop()
	}
	return nil
}

// cpu returns the processor time of the processes.
func (c *cluster) cpu() (sum time.Duration, err error) {
	for _, p := range c.processes {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		if err != nil {
			return 0, fmt.Errorf("its processor time: %w", err)
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 13 {
			return 0, errors.New("its processor time cannot be read")
		}
		for _, f := range fields[11:13] { // utime and stime, in hundredths
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("its processor time: %w", err)
			}
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum, nil
}

func (c *cluster) load(n, clients, batch int) (peer.Load, error) {
	before, err := c.cpu()
	if err != nil {
		return peer.Load{}, err
	}
	l, err := drive(n, clients, batch, func(from, to int) error {
		last := c.next.Add(int64(to - from))
		return c.post(last-int64(to-from), last)
	})
	if err != nil {
		return peer.Load{}, err
	}
	after, err := c.cpu()
	l.CPU += after - before // to that of the clients
	return l, err
}

// call posts JSON and returns the answer.
func (c *cluster) call(path string, body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Post(c.url+path, "application/json", bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return answer, err
}

// ready tries to post one entry until that works.
func (c *cluster) ready(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startWait, errors.New("not ready in time"))
	defer cancel()
	for {
		last := c.next.Add(1) // another entry each time: one that was sent is not taken again
		if err = c.post(last-1, last); err == nil {
			return nil
		}
		if pause(ctx) != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func newClient() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
}

// freePorts are ports that were free a moment ago.
func freePorts(n int) ([]string, error) {
	listeners, addresses, err := listen(n)
	return addresses, errors.Join(err, closeAll(listeners))
}

// text is the i-th value of n characters.
func (s *signer) text(i int64, n int) string {
	from := int(max(i, 0)) * 61 % (len(s.noise) - n)
	return base64.StdEncoding.EncodeToString(s.noise[from : from+n*3/4])
}

// startRqlite starts three nodes. An entry is a row.
func startRqlite(ctx context.Context, root, dir string) (_ *cluster, err error) {
	program, err := peer.Program(root, "rqlited")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2 * members)
	if err != nil {
		return nil, err
	}
	c := &cluster{client: newClient(), url: "http://" + ports[0]}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	for i := range members {
		args := []string{"-node-id", memberName(i), "-http-addr", ports[i], "-raft-addr", ports[members+i]}
		if i > 0 { // the first becomes the leader
			args = append(args, "-join", ports[members])
		}
		if err := c.start(ctx, program, append(args, filepath.Join(dir, memberName(i)))...); err != nil {
			return nil, err
		}
		if i > 0 {
			continue
		}
		c.post = func(int64, int64) error {
			return c.execute([]any{[]any{"CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, value TEXT)"}})
		}
		if err := c.ready(ctx); err != nil {
			return nil, err
		}
	}
	var nodes map[string]struct{ Reachable bool }
	wait, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for reachable := 0; reachable < members; {
		if err := pause(wait); err != nil {
			return nil, fmt.Errorf("the nodes do not find each other: %w", err)
		}
		resp, err := c.client.Get(c.url + "/nodes?ver=1")
		if err != nil {
			continue
		}
		err = json.NewDecoder(resp.Body).Decode(&nodes)
		if resp.Body.Close(); err != nil {
			continue
		}
		reachable = 0
		for _, n := range nodes {
			if n.Reachable {
				reachable++
			}
		}
	}
	s := newSigner()
	c.post = func(from, to int64) error {
		var rows []any
		for i := from; i < to; i++ {
			rows = append(rows, []any{"INSERT INTO entry (value) VALUES (?)", s.text(i, 512)})
		}
		return c.execute(rows)
	}
	return c, nil
}

func (c *cluster) execute(statements []any) error {
	b, err := c.call("/db/execute?transaction", statements)
	if err != nil {
		return err
	}
	if bytes.Contains(b, []byte(`"error"`)) {
		return fmt.Errorf("refused: %.200s", b)
	}
	return nil
}

// cometSettings make it commit as soon as it can, and take batches.
var cometSettings = map[string]string{
	"timeout_commit": `"0s"`, "create_empty_blocks": "false", "max_request_batch_size": "0", "max_body_bytes": "8000000",
	"size": "100000", "max_subscription_clients": "1000", "max_subscriptions_per_client": "1000", "recheck": "false",
}

const validators = 4

// startComet starts four validators. An entry is a transaction.
func startComet(ctx context.Context, root, dir string) (_ *cluster, err error) {
	program, err := peer.Program(root, "cometbft")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2 * validators)
	if err != nil {
		return nil, err
	}
	c := &cluster{client: newClient(), url: "http://" + ports[0]}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	args := []string{"testnet", "--v", strconv.Itoa(validators), "--o", dir}
	for range validators {
		args = append(args, "--hostname", "127.0.0.1")
	}
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("testnet: %w: %s", err, out)
	}
	var peers []string
	for i := range validators {
		id, err := exec.CommandContext(ctx, program, "show-node-id", "--home", filepath.Join(dir, fmt.Sprint("node", i))).Output()
		if err != nil {
			return nil, fmt.Errorf("show-node-id: %w", err)
		}
		peers = append(peers, strings.TrimSpace(string(id))+"@"+ports[validators+i])
	}
	for i := range validators {
		home := filepath.Join(dir, fmt.Sprint("node", i))
		if err := set(filepath.Join(home, "config", "config.toml"), cometSettings); err != nil {
			return nil, err
		}
		err := c.start(ctx, program, "start", "--home", home, "--proxy_app", "kvstore", "--log_level", "none",
			"--rpc.laddr", "tcp://"+ports[i], "--p2p.laddr", "tcp://"+ports[validators+i], "--p2p.persistent_peers", strings.Join(peers, ","))
		if err != nil {
			return nil, err
		}
	}
	s := newSigner()
	c.post = func(from, to int64) error {
		var calls []any
		for i := from; i < to; i++ {
			method := "broadcast_tx_sync"
			if i == to-1 {
				method = "broadcast_tx_commit" // behind the others: they are committed too
			}
			tx := fmt.Sprintf("r%012d=%s", i+1, strings.TrimRight(s.text(i, 496), "="))
			calls = append(calls, map[string]any{
				"jsonrpc": "2.0", "id": i - from, "method": method, "params": map[string]string{"tx": base64.StdEncoding.EncodeToString([]byte(tx))},
			})
		}
		b, err := c.call("/", calls)
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte(`"error"`)) {
			return fmt.Errorf("refused: %.300s", b)
		}
		return nil
	}
	return c, c.ready(ctx)
}

// set replaces settings of a TOML file.
func set(path string, settings map[string]string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for name, value := range settings {
		line := regexp.MustCompile(`(?m)^` + name + ` = .*$`)
		if !line.Match(b) {
			return fmt.Errorf("%s has no %s", path, name)
		}
		b = line.ReplaceAll(b, []byte(name+" = "+value))
	}
	return os.WriteFile(path, b, 0o600)
}
