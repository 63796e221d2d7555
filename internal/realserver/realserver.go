// Package realserver finds and starts, for tests, the programs that
// tools/build.sh builds. Servers listen on free ports of 127.0.0.1, keep their
// data in a temporary directory, and end with the test.
package realserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Program returns the path of a program that tools/build.sh builds. If it is
// not there the test is skipped, or fails if WARD_REQUIRE_SERVERS is set.
func Program(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("WARD_TOOLS")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir = wd; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			if dir == filepath.Dir(dir) {
				t.Fatalf("no go.mod above %s", wd)
			}
		}
		dir = filepath.Join(dir, ".tools", "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("WARD_REQUIRE_SERVERS") != "" {
			t.Fatalf("%s is required and not built: run tools/build.sh", name)
		}
		t.Skipf("%s is not built: run tools/build.sh", name)
	}
	return path
}

// Kubo starts an IPFS node that talks to nobody and returns the URL of its RPC
// interface and its repository.
func Kubo(t testing.TB) (url, repository string) {
	t.Helper()
	ipfs := Program(t, "ipfs")
	repository = t.TempDir()
	env := append(os.Environ(), "IPFS_PATH="+repository)
	addr := FreeAddresses(t, 1)[0]
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "--profile=test"},
		{"config", "Plugins", "--json", `{"Plugins":{"telemetry":{"Disabled":true}}}`},
		{"config", "Addresses.API", "/ip4/" + host + "/tcp/" + port},
		{"config", "Addresses.Gateway", "/ip4/127.0.0.1/tcp/0"},
	} {
		cmd := exec.Command(ipfs, args...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ipfs %s: %v\n%s", args[0], err, out)
		}
	}
	start(t, env, ipfs, "daemon", "--offline")
	url = "http://" + addr
	await(t, func() error {
		resp, err := http.Post(url+"/api/v0/version", "", nil)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	return url, repository
}

// The credentials of a VersityGW.
const (
	AccessKey = "ward-test"
	SecretKey = "ward-test-secret"
)

// VersityGW starts an S3 server over an empty directory and returns its URL.
func VersityGW(t testing.TB) (url string) {
	t.Helper()
	program := Program(t, "versitygw")
	addr := FreeAddresses(t, 1)[0]
	env := append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	start(t, env, program, "--port", addr, "posix", t.TempDir())
	url = "http://" + addr
	await(t, func() error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	return url
}

// FreeAddresses returns n addresses on loopback that a server can take, and take
// again after a restart. Nobody else is given them: not another test, not one in
// another process, and no connection, as their ports are below those that systems
// give to connections.
func FreeAddresses(t testing.TB, n int) []string {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	var addresses []string
	for len(addresses) < n {
		if ports.left == 0 && !ports.claim() {
			t.Fatal("no port is free")
		}
		address := fmt.Sprintf("127.0.0.1:%d", ports.next)
		ports.next, ports.left = ports.next+1, ports.left-1
		// Not by listening: a process that another test starts just then would
		// listen too, until it runs its program.
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			addresses = append(addresses, address)
			continue
		}
		conn.Close()
	}
	return addresses
}

// ports are those that this process may give away.
var ports reservation

// reservation holds blocks of ports against other processes that use this package.
type reservation struct {
	mu         sync.Mutex
	next, left int            // guarded by mu; in the newest block
	marks      []net.Listener // guarded by mu; at the first port of each block, open until the process ends
}

const (
	firstPort  = 12_000
	portBlocks = 600
	portBlock  = 32
)

// claim takes a block that nobody has and reports whether there is one. Whoever
// listens on the first port has the block.
func (r *reservation) claim() bool {
	for _, i := range rand.Perm(portBlocks) {
		first := firstPort + i*portBlock
		mark, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first))
		if err != nil {
			continue
		}
		r.marks = append(r.marks, mark)
		r.next, r.left = first+1, portBlock-1
		return true
	}
	return false
}

// Listen listens on an address of FreeAddresses, also where a listener was closed
// just now: it lives on in a process that another test starts at that moment, until
// that runs its program.
func Listen(t testing.TB, address string) net.Listener {
	t.Helper()
	var l net.Listener
	await(t, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	return l
}

// start runs a server until the test ends.
func start(t testing.TB, env []string, program string, args ...string) {
	t.Helper()
	var out lockedBuffer
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Wait() // how a server says good-bye does not matter
		if t.Failed() {
			said := out.String()
			t.Logf("%s said at the end:\n%s", filepath.Base(program), strings.TrimSpace(said[max(0, len(said)-2000):]))
		}
	})
}

// await waits until a server answers.
func await(t testing.TB, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(errors.Join(fmt.Errorf("server does not answer"), err))
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
