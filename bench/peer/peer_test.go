package peer

import (
	"bufio"
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestNodePeers asks each peer once for each of its operations; they check
// themselves that what they open is what was sealed.
func TestNodePeers(t *testing.T) {
	for pkg, ops := range map[string]string{
		"@nucypher/umbral-pre":               "keygen encrypt grant accept reencrypt verify open open-verified open-own",
		"@ironcorelabs/recrypt-wasm-binding": "keygen encrypt grant reencrypt open open-own",
	} {
		p, err := StartNode(t.Context(), root(t), pkg)
		if err != nil {
			t.Skip(err)
		}
		if p.Version == "" {
			t.Errorf("%s has no version", pkg)
		}
		for op := range strings.FieldsSeq(ops) {
			spent, err := p.Run(op, Params{T: 2, Members: 3})(2)
			if err != nil || spent.Work != 2 || spent.Wall <= 0 {
				t.Errorf("%s: %s: %+v, %v", pkg, op, spent, err)
			}
		}
		if size, err := p.Size("reencrypt", Params{T: 2, Members: 3}); err != nil || size < 100 {
			t.Errorf("%s: an answer has %d bytes, %v", pkg, size, err)
		}
		if _, err := p.Run("nonsense", Params{})(1); err == nil {
			t.Errorf("%s: did nonsense", pkg)
		}
		if _, err := p.Run("keygen", Params{})(1); err != nil {
			t.Errorf("%s: after an error it serves no more: %v", pkg, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}
}

// TestPeerThatIsNotThere checks that the reason is given and that nothing stays.
func TestPeerThatIsNotThere(t *testing.T) {
	if _, err := StartNode(t.Context(), t.TempDir(), "x"); err == nil {
		t.Error("a peer was started that is not installed")
	}
	if _, err := start(exec.CommandContext(context.Background(), "sh", "-c", "echo '{\"error\":\"no such curve\"}'")); err == nil || !strings.Contains(err.Error(), "no such curve") {
		t.Errorf("error is %v, want the peer's", err)
	}
	if _, err := start(exec.CommandContext(context.Background(), "sh", "-c", "exit 3")); err == nil {
		t.Error("a peer that ended at once was started")
	}
}

// FuzzRead gives the reader of answers whatever a process may print.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"work":1,"cpu":1,"wall":1}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &Peer{out: bufio.NewReader(bytes.NewReader(b))}
		r, err := p.read()
		if err == nil && r.Error != "" {
			t.Error("an error passed for an answer")
		}
	})
}
