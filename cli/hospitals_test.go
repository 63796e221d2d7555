package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/wire"
	"github.com/ward-health/ward/node/admin"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/wallet"
)

// hospitals are four hospitals in this process, with their nodes' APIs on
// loopback, and sockets for their operators.
type hospitals struct {
	*devnet.Devnet
	consortium string // the file
	admin      string // below it a directory for each hospital
}

const testPassphrase = "correct horse"

func startHospitals(t *testing.T) *hospitals {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	dir, err := os.MkdirTemp("", "ward") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	net, err := devnet.New(ctx, devnet.Options{Dir: filepath.Join(dir, "net"), HTTP: true, Chain: "test.ward"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &hospitals{Devnet: net, consortium: filepath.Join(dir, "consortium.json"), admin: dir}
	b, err := net.Consortium().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.consortium, b, 0o600); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, net.Len())
	for i := range net.Len() {
		at := filepath.Join(dir, net.Name(i))
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := admin.Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		go func() { served <- admin.New(admin.Options{Node: net.Node(i)}).Serve(ctx, l) }()
	}
	t.Cleanup(func() {
		cancel()
		for range net.Len() {
			if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	return h
}

// quickFolder makes a folder of wallets that opens at once: a real one asks for a
// second of work with every guess at its passphrase, and so with every command.
func quickFolder(dir, chainID string) (*wallet.Folder, error) {
	inside := wire.NewWriter("ward/wallet-inside/v1")
	inside.String(chainID)
	master := make([]byte, 32)
	rand.Read(master)
	inside.Raw(master)
	to, err := age.NewScryptRecipient(testPassphrase)
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(4)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(inside.Sum()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	file := wire.NewWriter("ward/wallet-folder/v1")
	file.Bytes(sealed.Bytes())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "folder"), file.Sum(), 0o600); err != nil {
		return nil, err
	}
	return wallet.OpenFolder(dir, []byte(testPassphrase))
}

// people are those of one test, who do not meet those of others: in a script
// $PATIENT is one, and so on.
var people = []struct {
	variable   string
	name       string // %s is the test
	attributes []string
}{
	{"PATIENT", "p-%s@north", nil},
	{"LAB", "lab-%s@north", []string{identity.Author}},
	{"LEE", "lee-%s@east", []string{identity.Author, identity.Emergency, "physician"}},
	{"OKAFOR", "okafor-%s@south", []string{identity.Emergency, "physician"}},
	{"SILVA", "silva-%s@west", []string{"researcher"}},
	{"PRIVACY", "privacy-%s@north", []string{identity.Auditor, identity.Reviewer}},
	{"REGISTRAR", "registrar-%s@north", []string{identity.Registrar}},
}

// enrol gives the people of a test their wallets, in dir, and registers them. It
// returns their names by variable.
func (h *hospitals) enrol(ctx context.Context, dir, test string) (map[string]string, error) {
	folder, err := quickFolder(filepath.Join(dir, custodialDir), h.Consortium().Chain)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, p := range people {
		name := identity.Name(fmt.Sprintf(p.name, test))
		names[p.variable] = string(name)
		w, err := folder.Create(name)
		if err != nil {
			return nil, err
		}
		var has []identity.Attribute
		for _, a := range p.attributes {
			has = append(has, identity.Attribute{Name: a})
		}
		for i := range h.Len() {
			if h.Name(i) == name.Org() {
				if err := h.Register(ctx, i, name, w.Signer(), false, has...); err != nil {
					return nil, err
				}
			}
		}
	}
	return names, nil
}

// setup gives a script its people and tells it where everything is.
func (h *hospitals) setup(env *testscript.Env, enrolled bool) error {
	test := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	pass := filepath.Join(env.WorkDir, "pass")
	if err := os.WriteFile(pass, []byte(testPassphrase+"\n"), 0o600); err != nil {
		return err
	}
	wallets := filepath.Join(env.WorkDir, "wallets")
	for name, value := range map[string]string{
		"WARD_CONSORTIUM": h.consortium, "WARD_WALLETS": wallets, "WARD_PASSPHRASE_FILE": pass,
		"XDG_CONFIG_HOME": filepath.Join(env.WorkDir, "config"), "HOSPITALS": h.admin, "TEST": test, "TZ": "UTC",
	} {
		env.Setenv(name, value)
	}
	if !enrolled {
		return nil
	}
	names, err := h.enrol(context.Background(), wallets, test)
	for variable, name := range names {
		env.Setenv(variable, name)
	}
	return err
}

// TestHospitals runs what needs a consortium, all against one.
func TestHospitals(t *testing.T) {
	t.Parallel()
	h := startHospitals(t)
	t.Run("scripts", func(t *testing.T) { // ends when all of them have
		p := scripts("testdata/hospitals")
		before := p.Setup
		p.Setup = func(env *testscript.Env) error {
			if err := before(env); err != nil {
				return err
			}
			return h.setup(env, true)
		}
		p.Cmds["keep"] = keep
		p.Cmds["big"] = big
		p.Cmds["howto"] = howto
		p.Cmds["number"] = number
		testscript.Run(t, p)
	})
	t.Run("terminal", func(t *testing.T) { testTerminal(t, h) })
	t.Run("NodeThatLiesAboutTheChain", func(t *testing.T) { testFalseExport(t, h) })
	t.Run("streams", func(t *testing.T) { testStreams(t, h) })
	t.Run("EmergencyWithAHospitalDown", func(t *testing.T) { testHospitalDown(t, h) }) // the last: it stays down
}

// testFalseExport: an export that was altered on its way is not saved.
func testFalseExport(t *testing.T, h *hospitals) {
	ctx := context.Background()
	var whole bytes.Buffer
	if err := h.Node(0).Export(ctx, &whole); err != nil {
		t.Fatal(err)
	}
	s := &session{ui: newUI(io.Discard, io.Discard)}
	path := filepath.Join(t.TempDir(), "chain.export")
	seen := chain.TreeHead{}
	save := func(b []byte) error {
		return s.saveFile(path, false, func(w io.Writer) error {
			_, err := exportChecked(ctx, h.Consortium(), seen, func(_ context.Context, w io.Writer) error {
				_, err := w.Write(b)
				return err
			}, w)
			return err
		})
	}
	for at := 1; at < whole.Len(); at += whole.Len()/20 + 1 {
		flipped := bytes.Clone(whole.Bytes())
		flipped[at] ^= 1
		for name, b := range map[string][]byte{"altered": flipped, "cut off": whole.Bytes()[:at]} {
			if err := save(b); err == nil || explain(err).exit != exitIntegrity {
				t.Errorf("%s at byte %d: %v", name, at, err)
			}
			if _, err := os.Stat(path); err == nil {
				t.Fatalf("%s at byte %d it is saved", name, at)
			}
		}
	}
	if err := save(whole.Bytes()); err != nil {
		t.Errorf("a true export: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, whole.Bytes()) {
		t.Errorf("what is saved is not what came, %v", err)
	}

	// A chain that ends before what was seen of it, and one that is another.
	path = filepath.Join(t.TempDir(), "chain.export")
	v, err := verifyExport(bytes.NewReader(whole.Bytes()), h.Consortium(), false)
	if err != nil {
		t.Fatal(err)
	}
	for want, head := range map[error]chain.TreeHead{
		ward.ErrStale:     {Chain: v.Chain, Height: v.Height + 1, Size: v.Transactions + 1},
		ward.ErrIntegrity: {Chain: v.Chain, Height: v.Height, Size: v.Transactions, Root: chain.Hash{1}},
	} {
		seen = head
		if err := save(whole.Bytes()); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("it is saved")
		}
	}
}

// keep sets a variable to what the last command printed: keep RECORD.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep VARIABLE")
	}
	v := strings.TrimSpace(ts.ReadFile("stdout"))
	if v == "" || strings.ContainsAny(v, " \n") {
		ts.Fatalf("stdout is not one word: %q", v)
	}
	ts.Setenv(args[0], v)
}

// number sets a variable to the number of the last access in a list of them:
// number NUMBER data.entries.
func number(ts *testscript.TestScript, neg bool, args []string) {
	var e struct {
		Data struct{ Entries []accessData }
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: number VARIABLE")
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &e))
	own := ts.Getenv("OKAFOR")
	for _, a := range e.Data.Entries {
		if string(a.Reader) == own {
			ts.Setenv(args[0], fmt.Sprint(a.Index))
			return
		}
	}
	ts.Fatalf("%s read nothing in an emergency", own)
}

// big writes a file of so many bytes that do not repeat: big FILE BYTES.
func big(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: big FILE BYTES")
	}
	n := int64(0)
	_, err := fmt.Sscan(args[1], &n)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = io.Copy(f, io.LimitReader(&noise{}, n))
	ts.Check(err)
	ts.Check(f.Close())
}

// noise is bytes that do not repeat, the same ones every time.
type noise struct{ state uint64 }

func (r *noise) Read(p []byte) (int, error) {
	for i := range p {
		r.state = r.state*6364136223846793005 + 1442695040888963407
		p[i] = byte(r.state >> 56)
	}
	return len(p), nil
}

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// howto writes the shell lines of a document to a script: howto DOCUMENT FILE.
func howto(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: howto DOCUMENT FILE")
	}
	b, err := os.ReadFile(filepath.Join("..", "docs", "how-to", args[0]))
	ts.Check(err)
	var lines []byte
	for _, block := range shellBlock.FindAllSubmatch(b, -1) {
		lines = append(lines, block[1]...)
	}
	if len(lines) == 0 {
		ts.Fatalf("%s has no shell lines", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), lines, 0o600))
}
