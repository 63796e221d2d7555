package audit_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/audit"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
)

func TestExportRoundTrips(t *testing.T) {
	c, data := ledgertest.Exported(t)
	var again bytes.Buffer
	var w *audit.Exporter
	a, err := audit.Verify(bytes.NewReader(data), c.Founding, audit.Visitor{
		Genesis: func(k *chain.Consortium, h *chain.Header) (err error) {
			w, err = audit.NewExporter(&again, k, h)
			return err
		},
		Block:      func(b *chain.Block) error { return w.Block(b) },
		Sidecar:    func(i uint64, data []byte) error { return w.Sidecar(i, data) },
		Checkpoint: func(cp *chain.Checkpoint) error { return w.Checkpoint(cp) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), data) || a.Head() != c.Head.Header {
		t.Fatal("export does not round-trip")
	}
}

func TestEveryBitOfAnExportCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: verifies the chain once for every byte")
	}
	c, data := ledgertest.Exported(t)
	for i := range data {
		mutant := bytes.Clone(data)
		mutant[i] ^= 1 << (i % 8)
		if ledgertest.VerifyExport(mutant, c.Founding) == nil {
			t.Fatalf("byte %d may be changed", i)
		}
	}
	for i := 0; i < len(data); i += 7 {
		if err := ledgertest.VerifyExport(data[:i], c.Founding); err == nil {
			t.Fatalf("cut to %d of %d bytes it verifies", i, len(data))
		} else if i > 2000 && !errors.Is(err, audit.ErrTruncated) {
			t.Errorf("cut to %d bytes: %v, want ErrTruncated", i, err)
		}
	}
	if ledgertest.VerifyExport(append(bytes.Clone(data), 0), c.Founding) == nil {
		t.Fatal("bytes after the end are accepted")
	}
}

func TestAuditorNamesTheFirstBrokenLink(t *testing.T) {
	for name, change := range map[string]func(*chain.Block){
		"previous hash": func(b *chain.Block) { b.Header.Prev[0] ^= 1 },
		"height":        func(b *chain.Block) { b.Header.Height++ },
		"time":          func(b *chain.Block) { b.Header.Time++ },
		"root":          func(b *chain.Block) { b.Header.Root[0] ^= 1 },
		"size":          func(b *chain.Block) { b.Header.Size++ },
		"proposal":      func(b *chain.Block) { b.Header.Proposal[0] ^= 1 },
		"chain":         func(b *chain.Block) { b.Header.Chain = "other.example" },
		"transaction":   func(b *chain.Block) { b.Proposal.Txs[0] = slices.Concat(b.Proposal.Txs[0]); b.Proposal.Txs[0][60] ^= 1 },
		"leader":        func(b *chain.Block) { b.Proposal.Signature = make([]byte, 64) },
		"result":        func(b *chain.Block) { b.Results[0].Value = []byte{1} },
		"result time":   func(b *chain.Block) { b.Results[0].Time++ },
		"verdict":       func(b *chain.Block) { b.Results[0].Code = chain.ErrSignature },
		"expiry":        func(b *chain.Block) { b.Results[0].Code = chain.ErrExpired },
		"lifetime":      func(b *chain.Block) { b.Results[0].Code = chain.ErrLifetime },
		"malformed":     func(b *chain.Block) { b.Results[0].Code = chain.ErrMalformed },
		"fewer results": func(b *chain.Block) { b.Results = b.Results[1:] },
	} {
		c := ledgertest.NewLog(t, 250)
		a, err := audit.New(c.Founding, c.Founding, &c.Genesis)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Block(c.Blocks[0]); err != nil {
			t.Fatal(err)
		}
		b, err := chain.ParseBlock(encoded(t, c.Blocks[1]))
		if err != nil {
			t.Fatal(err)
		}
		change(b)
		var broken *chain.BrokenError
		if err := a.Block(b); !errors.As(err, &broken) || broken.Height != 2 {
			t.Errorf("%s: %v, want BrokenError at height 2", name, err)
		}
	}
	// A state hash cannot be checked without running the contracts, but the
	// next block's link and the checkpoint cover it.
	c := ledgertest.NewLog(t, 250)
	c.Blocks[1].Header.State[0] ^= 1
	var broken *chain.BrokenError
	if err := ledgertest.VerifyExport(c.Export(), c.Founding); !errors.As(err, &broken) || broken.Height != 3 {
		t.Errorf("state hash: %v, want BrokenError at height 3", err)
	}
}

func TestDroppedReorderedAndReplayedBlocks(t *testing.T) {
	for name, change := range map[string]func(c *ledgertest.Chain){
		"dropped":   func(c *ledgertest.Chain) { c.Blocks = slices.Delete(c.Blocks, 1, 2) },
		"reordered": func(c *ledgertest.Chain) { c.Blocks[0], c.Blocks[1] = c.Blocks[1], c.Blocks[0] },
		"replayed":  func(c *ledgertest.Chain) { c.Blocks = slices.Insert(c.Blocks, 2, c.Blocks[1]) },
		"cut off":   func(c *ledgertest.Chain) { c.Blocks = c.Blocks[:2] },
	} {
		c := ledgertest.NewLog(t, 300)
		c.Checkpoint()
		change(c)
		var broken *chain.BrokenError
		if err := ledgertest.VerifyExport(c.Export(), c.Founding); !errors.As(err, &broken) {
			t.Errorf("%s: %v, want BrokenError", name, err)
		}
	}
}

// A history that fewer than t_c members signed does not pass for the chain.
func TestUncertifiedTailIsReported(t *testing.T) {
	c := ledgertest.NewLog(t, 150)
	cp := c.Checkpoint()
	cp.Signatures = cp.Signatures[:2]
	if err := ledgertest.VerifyExport(c.Export(), c.Founding); !errors.Is(err, chain.ErrUncertified) {
		t.Errorf("two of three signatures: %v", err)
	}
	var b bytes.Buffer
	w, err := audit.NewExporter(&b, c.Founding, &c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range c.Blocks {
		if err := w.Block(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ledgertest.VerifyExport(b.Bytes(), c.Founding); !errors.Is(err, chain.ErrUncertified) {
		t.Errorf("no checkpoint: %v", err)
	}
}

func TestAuditorTrustsItsOwnFoundingFileOnly(t *testing.T) {
	c, data := ledgertest.Exported(t)
	other := *c.Founding
	other.CheckpointThreshold = 4
	var broken *chain.BrokenError
	if err := ledgertest.VerifyExport(data, &other); !errors.As(err, &broken) || broken.Height != 0 {
		t.Errorf("%v, want BrokenError at height 0", err)
	}
}

func TestExporterReportsAWriterThatFails(t *testing.T) {
	c := ledgertest.NewLog(t, 3000)
	block := c.Blocks[0]
	for _, after := range []int{0, 1, 70_000} {
		w, err := audit.NewExporter(&failingWriter{after}, c.Founding, &c.Genesis)
		for range 10 {
			if err == nil {
				err = w.Block(block)
			}
		}
		if err == nil {
			err = w.Close()
		}
		if !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
}

type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, io.ErrShortWrite
	}
	w.left -= len(p)
	return len(p), nil
}

func TestReaderThatFailsIsReported(t *testing.T) {
	c, data := ledgertest.Exported(t)
	r := io.MultiReader(bytes.NewReader(data[:len(data)/2]), brokenReader{})
	if _, err := audit.Verify(r, c.Founding, audit.Visitor{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v, want the reader's error", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// A few bytes of every frame, for short runs.
func TestChangedExportIsRefused(t *testing.T) {
	c, data := ledgertest.Exported(t)
	for i := 3; i < len(data); i += 61 {
		mutant := bytes.Clone(data)
		mutant[i] ^= 1 << (i % 8)
		if ledgertest.VerifyExport(mutant, c.Founding) == nil {
			t.Fatalf("byte %d may be changed", i)
		}
	}
	if ledgertest.VerifyExport(append(bytes.Clone(data), 0), c.Founding) == nil {
		t.Fatal("bytes after the end are accepted")
	}
	if err := ledgertest.VerifyExport(data[:len(data)-5], c.Founding); !errors.Is(err, audit.ErrTruncated) {
		t.Errorf("without the end frame: %v, want ErrTruncated", err)
	}
}

// A frame may claim any length: no more is read than its kind allows.
func TestLyingFrameLengthIsRefusedUnread(t *testing.T) {
	c, data := ledgertest.Exported(t)
	for _, kind := range "Wfgbscz?" {
		r := &zeros{}
		stream := io.MultiReader(bytes.NewReader(data[:len(data)-5]), bytes.NewReader([]byte{byte(kind), 0xff, 0xff, 0xff, 0xff}), r)
		var broken *chain.BrokenError
		if _, err := audit.Verify(stream, c.Founding, audit.Visitor{}); !errors.As(err, &broken) {
			t.Errorf("frame %q of 4 GB: %v, want BrokenError", kind, err)
		}
		if r.n > 1<<17 {
			t.Errorf("frame %q: %d bytes were read", kind, r.n)
		}
	}
}

// zeros is a stream without end that counts what is taken from it.
type zeros struct{ n int }

func (r *zeros) Read(p []byte) (int, error) {
	clear(p)
	r.n += len(p)
	return len(p), nil
}

// change puts a file in force in which every member but south has another key.
func change(t *testing.T, c *ledgertest.Chain) *chain.Consortium {
	t.Helper()
	next := *c.Consortium
	next.Members = slices.Clone(next.Members)
	founding, err := next.FoundingHash()
	if err != nil {
		t.Fatal(err)
	}
	next.Epoch, next.Founding = 1, founding
	for i, m := range next.Members {
		if m.Name != "south" {
			next.Members[i].NodeKey = ledgertest.Public(m.Name + "-2")
		}
	}
	var es []chain.Endorsement
	for _, m := range []string{"east", "north", "west"} {
		es = append(es, ledgertest.Endorsement(t, &next, m, m))
	}
	args, err := chain.NextConsortium(&next, es)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Run(c.Tx("anybody", chain.SystemContract, chain.ConsortiumMethod, args)); r[0].Code != "" {
		t.Fatal(r[0].Code)
	}
	return &next
}

// Members who have left, or whoever has their old keys, can sign another
// history from genesis on, and put the real change of the consortium in it.
func TestFormerMembersCannotForgeAHistory(t *testing.T) {
	c := ledgertest.NewLog(t, 150)
	before := c.Export()
	next := change(t, c)
	var broken *chain.BrokenError
	if err := ledgertest.VerifyExport(before, next); !errors.As(err, &broken) || !errors.Is(err, chain.ErrUncertified) {
		t.Errorf("history that ends before the trusted file: %v", err)
	}
	if err := ledgertest.VerifyExport(c.Export(), next); !errors.Is(err, chain.ErrUncertified) {
		t.Errorf("history that only former members certified: %v", err)
	}
	if err := ledgertest.VerifyExport(c.Export(), c.Founding); err != nil {
		t.Errorf("trusting the founding file: %v", err)
	}
	other := *next
	other.Members = slices.Clone(next.Members)
	other.Members[0].NodeKey = ledgertest.Public("east-3")
	if err := ledgertest.VerifyExport(c.Export(), &other); !errors.As(err, &broken) || broken.Height != 3 {
		t.Errorf("history with another file of the trusted epoch: %v", err)
	}

	// The members of the trusted file certify the head: one checkpoint of
	// theirs is enough, whoever else signed it.
	head := c.Head.Header.TreeHead()
	cp := c.Checkpoint()
	for _, m := range []string{"north", "south", "west"} {
		key := m + "-2"
		if m == "south" {
			key = m
		}
		s, err := next.Cosign(head, m, c.Now.Unix(), ledgertest.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, s)
	}
	if err := ledgertest.VerifyExport(c.Export(), next); err != nil {
		t.Errorf("certified by former and present members: %v", err)
	}
	c.Checkpoints[head.Height] = c.Condensed()
	if err := ledgertest.VerifyExport(c.Export(), next); err != nil {
		t.Errorf("certified by the key that outlives changes: %v", err)
	}
}

// After a block come its sidecars, then at most one checkpoint.
func TestCheckpointEndsItsBlockInAnExport(t *testing.T) {
	c := ledgertest.NewLog(t, 1)
	s, err := chain.NewSidecar([]byte("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	tx := c.TxWith("bob", chain.TxBody{Contract: "notes", Method: "add", Sidecar: s})
	c.Apply(c.Entry([]*chain.Tx{tx}, [][]byte{[]byte("sealed")}))
	cp := c.Checkpoint()
	genesis := &chain.Checkpoint{TreeHead: c.Genesis.TreeHead()}
	for _, m := range []string{"east", "north", "south"} {
		sig, err := c.Consortium.Cosign(genesis.TreeHead, m, c.Now.Unix(), ledgertest.Key(m))
		if err != nil {
			t.Fatal(err)
		}
		genesis.Signatures = append(genesis.Signatures, sig)
	}
	sidecar := func(w *audit.Exporter) error { return w.Sidecar(1, []byte("sealed")) }
	checkpoint := func(w *audit.Exporter) error { return w.Checkpoint(cp) }
	first := func(w *audit.Exporter) error { return w.Checkpoint(genesis) }
	type steps = []func(*audit.Exporter) error
	export := func(before, after steps) []byte {
		var b bytes.Buffer
		w, err := audit.NewExporter(&b, c.Founding, &c.Genesis)
		for _, step := range before {
			err = errors.Join(err, step(w))
		}
		err = errors.Join(err, w.Block(c.Blocks[0]), w.Block(c.Blocks[1]))
		for _, step := range after {
			err = errors.Join(err, step(w))
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if err := ledgertest.VerifyExport(export(nil, steps{sidecar, checkpoint}), c.Founding); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"two checkpoints":                export(nil, steps{checkpoint, checkpoint}),
		"sidecar behind the checkpoint":  export(nil, steps{checkpoint, sidecar}),
		"checkpoint of genesis":          export(steps{first}, steps{sidecar, checkpoint}),
		"sidecar before the first block": export(steps{sidecar}, steps{sidecar, checkpoint}),
	} {
		var broken *chain.BrokenError
		if err := ledgertest.VerifyExport(data, c.Founding); !errors.As(err, &broken) {
			t.Errorf("%s: %v, want BrokenError", name, err)
		}
	}
}
