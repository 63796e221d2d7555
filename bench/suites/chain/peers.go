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
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ward-health/ward/bench/peer"
)

// service is a peer whose nodes are processes that are spoken to over HTTP.
type service struct {
	name, version, licence, note string
	program                      string // as tools/peers.sh names it
	addresses                    int    // that its nodes listen at, together
	// start starts the nodes, and sets post of the cluster.
	start func(ctx context.Context, c *cluster) error
}

// services returns those that there are.
func services() []service { return []service{rqlite(), comet(), immudb()} }

// cluster are the running nodes of a service.
type cluster struct {
	program   string
	dir       string
	addresses []string
	processes []*exec.Cmd
	client    *http.Client
	url       string // of the node that takes the load: the first address
	token     string // that the node asks for; "" if it does not
	next      atomic.Int64
	// post sends the entries with numbers from ≤ i < to and returns when they
	// are durable.
	post func(from, to int64) error
}

// run starts the service below dir and waits until it takes entries. The error
// says what is missing.
func (s service) run(ctx context.Context, root, dir string) (_ *cluster, err error) {
	program, err := peer.Program(root, s.program)
	if err != nil {
		return nil, err
	}
	addresses, err := freePorts(s.addresses)
	if err != nil {
		return nil, err
	}
	c := &cluster{program: program, dir: dir, addresses: addresses, client: newClient(), url: "http://" + addresses[0]}
	if err = s.start(ctx, c); err == nil {
		err = c.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// startWait is how long a peer may take to be ready.
const startWait = 60 * time.Second

// node starts one more process.
func (c *cluster) node(ctx context.Context, args ...string) error {
	p := exec.CommandContext(ctx, c.program, args...)
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
	request, err := http.NewRequest(http.MethodPost, c.url+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", c.token)
	}
	resp, err := c.client.Do(request)
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

// ready posts one entry, as soon as that works.
func (c *cluster) ready(ctx context.Context) error {
	return until(ctx, func() error {
		last := c.next.Add(1) // another entry each time: one that was sent is not taken again
		return c.post(last-1, last)
	})
}

// until tries something that a node comes to, for not too long.
func until(ctx context.Context, try func() error) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startWait, errors.New("not ready in time"))
	defer cancel()
	for {
		if err = try(); err == nil {
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

// bytes is the i-th value of n bytes, and text of n characters.
func (s *signer) bytes(i int64, n int) []byte {
	from := int(max(i, 0)) * 61 % (len(s.noise) - n)
	return s.noise[from : from+n]
}

func (s *signer) text(i int64, n int) string {
	return base64.StdEncoding.EncodeToString(s.bytes(i, n*3/4))
}
