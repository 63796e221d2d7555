package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
)

func headAt(height uint64) chain.TreeHead {
	return chain.TreeHead{Chain: "test.ward", Size: 3 * height, Height: height, Block: chain.Hash{byte(height)}}
}

// TestMemoryNeverGoesBack: whatever processes see, and in whatever order, the
// newest tree head stays.
func TestMemoryNeverGoesBack(t *testing.T) {
	m := seenFile(t.TempDir(), "test.ward")
	if h, err := m.read(); err != nil || h != (chain.TreeHead{}) {
		t.Errorf("at first it is %v, %v", h, err)
	}
	var wg sync.WaitGroup
	for height := uint64(1); height <= 20; height++ {
		wg.Go(func() {
			if err := m.keep(headAt(height)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, older := range []chain.TreeHead{{}, headAt(7), headAt(20)} {
		if err := m.keep(older); err != nil {
			t.Error(err)
		}
		if h, err := m.read(); err != nil || h != headAt(20) {
			t.Errorf("after %v it remembers %v, %v", older, h, err)
		}
	}
	fork := headAt(20)
	fork.Root[0] = 1
	if err := m.keep(fork); !errors.Is(err, ward.ErrIntegrity) {
		t.Errorf("another chain of the name: %v", err)
	}
	if info, err := os.Stat(m.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v, %v", info.Mode(), err)
	}
}

// TestMemoryThatWasSpoiled: a file that was altered is not taken for an empty
// one.
func TestMemoryThatWasSpoiled(t *testing.T) {
	m := seenFile(t.TempDir(), "test.ward")
	for name, b := range map[string][]byte{
		"empty": {}, "half": seenBytes(headAt(3))[:40], "more": append(seenBytes(headAt(3)), ' '), "another schema": bytes.Replace(seenBytes(headAt(3)), []byte("v1"), []byte("v2"), 1),
		"another chain": bytes.Replace(seenBytes(headAt(3)), []byte("test.ward"), []byte("best.ward"), 1),
	} {
		if err := os.WriteFile(m.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if h, err := m.read(); err == nil || explain(err).exit != exitIntegrity {
			t.Errorf("%s: %v, %v", name, h, err)
		}
		if err := m.keep(headAt(9)); err == nil {
			t.Errorf("%s: it was written over", name)
		}
		if err := os.Remove(m.path); err != nil {
			t.Fatal(err)
		}
	}
	// A place where nothing can be written is an error, not silence.
	if err := seenFile(filepath.Join(t.TempDir(), "nowhere"), "test.ward").keep(headAt(1)); err == nil {
		t.Error("it is kept nowhere")
	}
}

// FuzzSeen: nothing breaks the reader, and there is one text for each tree head.
func FuzzSeen(f *testing.F) {
	f.Add(seenBytes(headAt(3)))
	f.Add([]byte(`{"schema":"ward/v1/seen","chain":"c"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseSeen(b)
		if err == nil && !bytes.Equal(seenBytes(h), b) {
			t.Fatalf("%q is read as %v", b, h)
		}
	})
}
