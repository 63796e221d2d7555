package chain_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/chain/tile"
)

// resources serves a chain as C2SP tlog-tiles, by path.
func resources(tb testing.TB, c *ledgertest.Chain) map[string][]byte {
	tb.Helper()
	out := make(map[string][]byte)
	cp, err := c.Checkpoint().Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	out["checkpoint"] = cp
	var leaves [][]byte
	for _, b := range c.Blocks {
		l, err := b.Leaves()
		if err != nil {
			tb.Fatal(err)
		}
		leaves = append(leaves, l...)
	}
	for _, t := range tlog.NewTiles(tile.Height, 0, int64(len(leaves))) {
		data, err := tlog.ReadTileData(t, c.Hashes)
		if err != nil {
			tb.Fatal(err)
		}
		out[tile.Path(t)] = data
		if t.L == 0 {
			var bundle []byte
			for _, leaf := range leaves[t.N*256 : t.N*256+int64(t.W)] {
				if bundle, err = tile.AppendEntry(bundle, leaf); err != nil {
					tb.Fatal(err)
				}
			}
			t.L = -1
			out[tile.Path(t)] = bundle
		}
	}
	return out
}

// fetcher gives resources to fsck, which asks by level, index and width.
type fetcher map[string][]byte

func (f fetcher) get(path string) ([]byte, error) {
	if data, ok := f[path]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("%s is not served", path)
}

func (f fetcher) ReadCheckpoint(context.Context) ([]byte, error) { return f.get("checkpoint") }

func (f fetcher) ReadTile(_ context.Context, level, index uint64, partial uint8) ([]byte, error) {
	return f.get(tilePath(fmt.Sprint(level), index, partial))
}

func (f fetcher) ReadEntryBundle(_ context.Context, index uint64, partial uint8) ([]byte, error) {
	return f.get(tilePath("entries", index, partial))
}

// tilePath writes the path as the specification words it, not with our code.
func tilePath(level string, index uint64, partial uint8) string {
	path := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		path = fmt.Sprintf("x%03d/%s", index%1000, path)
	}
	if partial > 0 {
		path += fmt.Sprintf(".p/%d", partial)
	}
	return "tile/" + level + "/" + path
}

func bundleHashes(data []byte) ([][]byte, error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(data); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, e := range bundle.Entries {
		out = append(out, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return out, nil
}

// memberVerifier returns another implementation's verifier for the
// cosignatures of a member.
func memberVerifier(tb testing.TB, k *chain.Consortium, member string) note.Verifier {
	tb.Helper()
	name := k.Origin() + "/" + member
	key := k.Member(member).NodeKey
	vkey, err := note.NewEd25519VerifierKey(name, key[:])
	if err != nil {
		tb.Fatal(err)
	}
	v, err := fnote.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// Workers must outnumber the tiles: fsck 1.0.0 hangs when all of them have
// stopped at a fault and tiles are left.
const fsckWorkers = 32

// Tessera's fsck reads the checkpoint, every entry bundle and every tile,
// rebuilds the tree and compares. It was written for other logs.
func TestTesseraFsckAcceptsOurLog(t *testing.T) {
	for _, size := range []int{1, 255, 256, 257, 1000} {
		c := ledgertest.NewLog(t, size)
		f := fetcher(resources(t, c))
		check := func(f fetcher) error {
			return fsck.New(c.Consortium.Origin(), memberVerifier(t, c.Consortium, "north"), f, bundleHashes, fsck.Opts{N: fsckWorkers}).Check(t.Context())
		}
		if err := check(f); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		// It finds a flipped bit in any resource, so the test can fail.
		for path, data := range f {
			changed := maps.Clone(f) // fsck may leave workers behind that still read
			changed[path] = slices.Clone(data)
			at := len(data) / 2
			if path == "checkpoint" {
				at = len(c.Consortium.Origin()) + 5 // fsck does not look at every signature
			}
			changed[path][at] ^= 1
			if check(changed) == nil {
				t.Errorf("size %d: fsck accepts a flipped bit in %s", size, path)
			}
		}
	}
}

func TestMerkleLibraryAcceptsOurProofs(t *testing.T) {
	const size = 300
	c := ledgertest.NewLog(t, size)
	cp := c.Checkpoint()
	for _, index := range []uint64{0, 1, 127, 255, 256, 299} {
		r := c.Receipt(index, cp)
		result, err := r.Result.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := chain.Leaf(r.Tx, result)
		if err != nil {
			t.Fatal(err)
		}
		var path [][]byte
		for _, h := range r.Proof {
			path = append(path, h[:])
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, cp.Size, rfc6962.DefaultHasher.HashLeaf(leaf), path, cp.Root[:]); err != nil {
			t.Errorf("leaf %d: %v", index, err)
		}
	}
	for i, b := range c.Blocks {
		p, err := tlog.ProveTree(size, int64(b.Header.Size), c.Hashes)
		if err != nil {
			t.Fatal(err)
		}
		var path [][]byte
		for _, h := range p {
			path = append(path, h[:])
		}
		old := b.Header.TreeHead()
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old.Size, size, path, old.Root[:], cp.Root[:]); err != nil {
			t.Errorf("block %d: %v", i, err)
		}
		if err := cp.CheckExtends(old, p); err != nil {
			t.Errorf("block %d: %v", i, err)
		}
		old.Root[0] ^= 1
		if cp.CheckExtends(old, p) == nil {
			t.Errorf("block %d: another history is consistent", i)
		}
	}
}

func TestCosignaturesVerifyElsewhere(t *testing.T) {
	c := ledgertest.NewLog(t, 3)
	data, err := c.Checkpoint().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Consortium.Members[:c.Consortium.CheckpointThreshold] {
		n, err := note.Open(data, note.VerifierList(memberVerifier(t, c.Consortium, m.Name)))
		if err != nil || len(n.Sigs) != 1 {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if ts, err := fnote.CoSigV1Timestamp(n.Sigs[0]); err != nil || !ts.Equal(c.Now) {
			t.Fatalf("%s: time %v, %v", m.Name, ts, err)
		}
	}
	lines := strings.Split(string(data), "\n")
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != 32 || lines[0] != c.Consortium.Origin() || lines[1] != "3" {
		t.Fatalf("checkpoint is not a C2SP tlog-checkpoint:\n%s", data)
	}
}
