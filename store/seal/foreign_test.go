package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ward-health/ward/internal/durable"
	"github.com/ward-health/ward/internal/realserver"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/storetest"
)

// TestForeignAgeOpensTheBlob gives the blob as it is to age programs, with the
// identity that the file key gives.
func TestForeignAgeOpensTheBlob(t *testing.T) {
	programs := map[string]func(t *testing.T) string{
		"pinned": func(t *testing.T) string { return realserver.Program(t, "age") },
		"system": func(t *testing.T) string {
			path, err := exec.LookPath("age")
			if err != nil {
				t.Skip("the system has no age program")
			}
			return path
		},
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			age := program(t)
			for i, n := range plainSizes {
				plain := storetest.Bytes(uint64(i), n)
				blob, key := sealed(t, plain)
				got, err := runAge(t, age, blob, key)
				if err != nil {
					t.Fatalf("%d bytes: %v", n, err)
				}
				if int64(len(got)) != PaddedSize(int64(n)) || !bytes.Equal(got[:n], plain) {
					t.Fatalf("%d bytes: age gives %d other bytes", n, len(got))
				}
				blob[len(blob)-1] ^= 1
				if _, err := runAge(t, age, blob, key); err == nil {
					t.Fatalf("%d bytes: age opens a damaged blob", n)
				}
				blob[len(blob)-1] ^= 1
				key[0] ^= 1
				if _, err := runAge(t, age, blob, key); err == nil {
					t.Fatalf("%d bytes: age opens with another key", n)
				}
			}
		})
	}
}

func runAge(t *testing.T, program string, blob []byte, key Key) ([]byte, error) {
	t.Helper()
	id, err := key.Identity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "identity")
	if err := durable.WriteSecret(path, []byte(id+"\n")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--decrypt", "--identity", path)
	cmd.Stdin = bytes.NewReader(blob)
	return cmd.Output()
}

// vector is one file of testdata/vectors: a sealed payload that must open, or
// must not, for ever.
type vector struct {
	Comment string `json:"comment"`
	Key     string `json:"key"`   // hex
	Size    int64  `json:"size"`  // of the plaintext
	Plain   string `json:"plain"` // storetest.Bytes(seed) in decimal; empty if it must not open
	Ref     string `json:"ref"`
	Blob    []byte `json:"blob"`
}

func TestVectorsOpenForEver(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var v vector
			if err := json.Unmarshal(text, &v); err != nil {
				t.Fatal(err)
			}
			key, err := hex.DecodeString(v.Key)
			if err != nil || len(key) != 16 {
				t.Fatalf("key: %v", err)
			}
			ob, err := store.Digest(t.Context(), nil, bytes.NewReader(v.Blob))
			if err != nil || ob.Ref().String() != v.Ref {
				t.Fatalf("Ref = %v, %v, want %s", ob.Ref(), err, v.Ref)
			}
			got, err := opened(v.Blob, Key(key), int(v.Size))
			if v.Plain == "" {
				if err == nil || len(got) > 0 {
					t.Fatalf("%s: opened to %d bytes, %v", v.Comment, len(got), err)
				}
				return
			}
			seed, seedErr := strconv.ParseUint(v.Plain, 10, 64)
			if err != nil || seedErr != nil || !bytes.Equal(got, storetest.Bytes(seed, int(v.Size))) {
				t.Fatalf("%s: %d bytes, %v", v.Comment, len(got), err)
			}
		})
	}
}

func FuzzOpener(f *testing.F) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(text, &v); err != nil {
			f.Fatal(err)
		}
		f.Add(v.Blob, []byte(v.Key)[:16], v.Size)
	}
	f.Fuzz(func(t *testing.T, blob, key []byte, size int64) {
		if len(key) != 16 {
			return
		}
		o, err := NewOpener(bytes.NewReader(blob), Key(key), size)
		if err == nil {
			var got bytes.Buffer
			if _, err = got.ReadFrom(o); err == nil && int64(got.Len()) != size {
				t.Fatalf("opened to %d bytes, want %d", got.Len(), size)
			}
		}
		if err == nil && int64(len(blob)) != SealedSize(size) {
			t.Fatalf("a blob of %d bytes opened, want %d", len(blob), SealedSize(size))
		}
	})
}

// FuzzCheckHeader looks for a second spelling of a header.
func FuzzCheckHeader(f *testing.F) {
	s, err := NewSealer(strings.NewReader("seed"))
	if err != nil {
		f.Fatal(err)
	}
	seed := make([]byte, headerSize)
	if _, err := s.Read(seed); err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if !checkHeader(b) {
			return
		}
		for i := range b {
			if b[i] == '\r' || b[i] > '~' || b[i] == '=' {
				t.Fatalf("header with byte %q accepted", b[i])
			}
		}
		if bytes.Count(b, []byte("\n")) != 4 {
			t.Fatal("header with other lines accepted")
		}
	})
}
