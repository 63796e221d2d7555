package ward_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
)

const module = "github.com/ward-health/ward"

// mayImport says which packages outside the standard library each package may
// import. A name that ends in "/" stands for it and everything below it, one that
// begins with "./" for a package of ours. What is not listed is forbidden, and
// so is a package without a line.
var mayImport = map[string][]string{
	"": {"./abe", "./chain", "./chain/audit", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/query", "./contract/record", "./contract/workflow", "./internal/patience", "./pre", "./store", "./store/seal", "./wallet"},

	"internal/pairing":  {"./internal/wire", "github.com/cloudflare/circl/ecc/bls12381", "github.com/cloudflare/circl/expander", "github.com/cloudflare/circl/ecc/bls12381/", "github.com/consensys/gnark-crypto/", "go.dedis.ch/kyber/v3"},
	"internal/wire":     {},
	"internal/parallel": {},
	"internal/patience": {},

	"internal/durable":    {},
	"internal/realserver": {}, // for tests only: finds and starts the servers that tools/build.sh built

	"dkg":           {"./dkg/threshold", "./internal/pairing", "./internal/wire"},
	"dkg/threshold": {"./internal/pairing", "./internal/wire"},

	"chain":                   {"./dkg/threshold", "github.com/fxamacker/cbor/v2", "github.com/oasisprotocol/curve25519-voi/curve", "github.com/oasisprotocol/curve25519-voi/curve/scalar", "github.com/oasisprotocol/curve25519-voi/primitives/ed25519", "golang.org/x/mod/sumdb/note", "golang.org/x/mod/sumdb/tlog"},
	"chain/audit":             {"./chain"},
	"chain/tile":              {"golang.org/x/mod/sumdb/tlog"},
	"chain/ledger":            {"./chain", "golang.org/x/mod/sumdb/tlog"},
	"chain/ledger/ledgertest": {"./chain", "./chain/audit", "./chain/ledger", "./internal/pairing", "golang.org/x/mod/sumdb/tlog"}, // for tests only
	"chain/replica":           {"./chain", "./chain/audit", "./chain/ledger", "./chain/replica/seglog", "./internal/durable", "github.com/cockroachdb/pebble/v2", "github.com/cockroachdb/pebble/v2/bloom", "github.com/cockroachdb/pebble/v2/sstable", "github.com/cockroachdb/pebble/v2/sstable/block", "github.com/cockroachdb/pebble/v2/vfs", "github.com/hashicorp/go-hclog", "github.com/hashicorp/raft", "golang.org/x/mod/sumdb/tlog", "golang.org/x/sys/unix"},
	"chain/replica/seglog":    {"golang.org/x/sys/unix"},

	"contract":          {"./chain", "./chain/ledger", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/record", "./contract/workflow"},
	"contract/identity": {"./abe", "./chain", "./chain/ledger", "./pre"},
	"contract/record":   {"./chain", "./chain/ledger", "./contract/identity", "./internal/parallel", "./pre", "./store"},

	"store":                    {},
	"store/mem":                {"./store"},
	"store/fs":                 {"./store", "./internal/durable"},
	"store/s3":                 {"./store", "github.com/minio/minio-go/v7", "github.com/minio/minio-go/v7/pkg/credentials"},
	"store/ipfs":               {"./store"},
	"store/replicated":         {"./store"},
	"store/seal":               {"./store", "filippo.io/age"},
	"store/storeurl":           {"./store", "./store/fs", "./store/ipfs", "./store/mem", "./store/replicated", "./store/s3"},
	"store/storetest":          {"./store"},
	"store/internal/faulthttp": {}, // for tests only

	"abe":                       {"./internal/wire", "github.com/cloudflare/circl/abe/cpabe/tkn20", "golang.org/x/crypto/chacha20poly1305"},
	"pre":                       {"./internal/pairing", "./internal/parallel", "./internal/wire", "golang.org/x/crypto/chacha20poly1305"},
	"pre/insecuretrusteddealer": {"./pre", "./internal/pairing", "./internal/wire"},

	"contract/consent":       {"./abe", "./chain", "./chain/ledger", "./contract/identity", "./contract/keys", "./contract/record", "./pre"},
	"contract/keys":          {"./chain", "./chain/ledger", "./contract/identity", "./dkg", "./dkg/threshold", "./pre"},
	"contract/keys/keystest": {"./chain", "./chain/ledger", "./chain/ledger/ledgertest", "./contract/keys", "./dkg", "./dkg/threshold", "./pre"}, // for tests only
	"contract/query":         {"./abe", "./chain", "./chain/ledger", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/record", "./contract/workflow", "./pre"},

	"contract/workflow":         {"./abe", "./chain", "./chain/ledger", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/record", "./pre", "cel.dev/cel-go/", "go.yaml.in/yaml/v3"},
	"contract/workflow/library": {},

	"fhir":         {},
	"prescription": {module, "./contract/consent", "./contract/identity", "./contract/record", "./contract/workflow", "./fhir", "./pre"},

	"wallet":            {"./abe", "./chain", "./contract/identity", "./internal/durable", "./internal/wire", "./pre", "filippo.io/age", "golang.org/x/crypto/chacha20poly1305"},
	"internal/wardtest": {module, "./chain", "./chain/ledger", "./chain/ledger/ledgertest", "./contract", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/keys/keystest", "./contract/query", "./contract/record", "./pre", "./store", "./store/mem", "./wallet"}, // for tests only

	"node": {module, "./chain", "./chain/ledger", "./chain/replica", "./contract", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/query", "./contract/record", "./dkg", "./dkg/threshold", "./internal/durable",
		"./node/api", "./node/protocol", "./node/remote", "./node/vault", "./pre", "./store", "./store/fs", "./store/replicated", "./store/storeurl", "golang.org/x/mod/sumdb/tlog"},
	"node/devnet":   {module, "./chain", "./chain/replica", "./contract/identity", "./contract/keys", "./internal/durable", "./node", "./node/vault"},
	"node/protocol": {"./", "./chain", "./contract/identity", "./contract/query", "./store"},
	"node/remote":   {"./", "./chain", "./contract/query", "./internal/patience", "./node/protocol", "./store"},
	"node/api": {"./abe", "./", "./chain", "./chain/tile", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/query", "./contract/record", "./contract/workflow", "./node/protocol", "./pre", "./store",
		"github.com/danielgtaylor/huma/v2", "github.com/danielgtaylor/huma/v2/adapters/humago", "github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/collectors", "github.com/prometheus/client_golang/prometheus/promhttp", "golang.org/x/mod/sumdb/tlog"},
	"node/api/apitest": {"./", "./chain", "./chain/ledger", "./chain/ledger/ledgertest", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/query", "./contract/record", "./contract/workflow", "./node/api", "./store", "./store/mem", "golang.org/x/mod/sumdb/tlog"}, // for tests only
	"node/admin":       {"./", "./chain", "./contract/consent", "./contract/identity", "./contract/keys", "./contract/workflow", "./dkg", "./node", "./node/api", "./node/protocol", "./node/vault", "golang.org/x/sys/unix"},
	"node/vault":       {"./internal/durable", "./internal/wire", "filippo.io/age", "golang.org/x/crypto/chacha20poly1305"},

	"fhir/auditevent":       {module, "./contract/identity"},
	"cli":                   {"./abe", "./chain", "./chain/audit", "./chain/ledger", "./chain/replica", "./chain/replica/seglog", "./cli/sniff", "./contract", "./contract/consent", "./contract/identity", "./contract/query", "./contract/record", "./contract/keys", "./contract/workflow", "./contract/workflow/library", "./fhir", "./prescription", "./examples/records", "./fhir/auditevent", "./internal/durable", "./node", "./node/admin", "./node/api", "./node/devnet", "./node/protocol", "./node/remote", "./node/vault", "./store", "./store/storeurl", "./pre", "./wallet", module, "github.com/BurntSushi/toml", "github.com/jedib0t/go-pretty/v6/", "github.com/schollz/progressbar/v3", "github.com/urfave/cli/v2", "golang.org/x/sys/unix", "golang.org/x/term"},
	"cli/sniff":             {"./pre"},
	"cli/ward":              {"./cli"},
	"examples/records":      {},
	"examples/emr":          {"./chain", "./chain/audit", "./contract/consent", "./contract/identity", "./contract/record", "./examples/records", "./node/devnet", "./node/remote", "./pre", "./wallet", module},
	"examples/prescription": {"./chain", "./contract/consent", "./contract/identity", "./contract/workflow", "./contract/workflow/library", "./fhir", "./node/devnet", "./prescription", "./wallet", module},

	// A second implementation of pre/SPEC.md, in tests only. It must share
	// nothing with the first, the curve library it takes included.
	"pre/spectest": {"github.com/cloudflare/circl/ecc/bls12381", "github.com/cloudflare/circl/expander", "github.com/cloudflare/circl/hpke", "golang.org/x/crypto/chacha20poly1305"},
}

// testsMayImport is what test files may import besides.
var testsMayImport = []string{"go.dedis.ch/kyber/v3/share", "pgregory.net/rapid", "golang.org/x/mod/semver", "go.uber.org/goleak", "./"}

// testsAlsoImport lists what the tests of single packages may import besides.
var testsAlsoImport = map[string][]string{
	"abe":            {"github.com/cloudflare/circl/ecc/bls12381", "golang.org/x/crypto/blake2b"},                                                                                                                      // a second implementation, for attacks
	"chain":          {"filippo.io/edwards25519", "github.com/hdevalence/ed25519consensus", "github.com/transparency-dev/formats/note", "github.com/transparency-dev/merkle/", "github.com/transparency-dev/tessera/"}, // oracles
	"chain/audit":    {"golang.org/x/mod/sumdb/tlog"},
	"chain/replica":  {"./internal/realserver", "github.com/anishathalye/porcupine", "github.com/cockroachdb/pebble/v2/vfs/errorfs"},
	"node":           {"github.com/anishathalye/porcupine"},
	"cli":            {"./abe", "./internal/realserver", "filippo.io/age", "github.com/rogpeppe/go-internal/testscript", "golang.org/x/sys/unix"},
	"store":          {"github.com/ipfs/go-cid"}, // an oracle for our references
	"store/seal":     {"golang.org/x/crypto/chacha20poly1305"},
	"store/storeurl": {"github.com/minio/minio-go/v7", "github.com/minio/minio-go/v7/pkg/credentials"},
}

// minimum is the lowest version of each module that security rests on.
var minimum = map[string]string{
	"github.com/cloudflare/circl":       "v1.6.5", // v1.6.3: attribute-based ciphertexts open for anyone, and points have two encodings
	"github.com/consensys/gnark-crypto": "v0.22.0",
	"go.dedis.ch/kyber/v3":              "v3.1.0",
	"golang.org/x/crypto":               "v0.58.0",
	"filippo.io/age":                    "v1.3.2",
	"github.com/minio/minio-go/v7":      "v7.4.1",

	"github.com/hashicorp/raft":        "v1.8.0",
	"github.com/cockroachdb/pebble/v2": "v2.1.3", // the first whose journal tells damage from its end and whose tables have a checksum in the footer
	"github.com/fxamacker/cbor/v2":     "v2.9.0",
}

func TestImports(t *testing.T) {
	for _, p := range list(t, `{{.ImportPath}}|{{join .Imports " "}}|{{join .TestImports " "}} {{join .XTestImports " "}}`, "./...") {
		fields := strings.Split(p, "|")
		name := strings.TrimPrefix(strings.TrimPrefix(fields[0], module), "/")
		allowed, ok := mayImport[name]
		if !ok {
			t.Errorf("package %q has no line in mayImport", name)
		}
		for _, path := range strings.Fields(fields[1]) {
			if !permitted(path, allowed) {
				t.Errorf("package %q must not import %s", name, path)
			}
		}
		for _, path := range strings.Fields(fields[2]) {
			if !permitted(path, slices.Concat(allowed, testsMayImport, testsAlsoImport[name])) {
				t.Errorf("a test of package %q must not import %s", name, path)
			}
		}
	}
}

func TestMinimumVersions(t *testing.T) {
	have := make(map[string]string)
	for _, m := range list(t, "{{.Path}} {{.Version}}", "-m", "all") {
		path, version, _ := strings.Cut(m, " ")
		have[path] = version
	}
	for path, want := range minimum {
		if semver.Compare(have[path], want) < 0 {
			t.Errorf("%s is %q, want at least %s", path, have[path], want)
		}
	}
}

// TestNothingReplacesSecurityCode refuses replacements of what minimum lists.
func TestNothingReplacesSecurityCode(t *testing.T) {
	for _, m := range list(t, "{{if .Replace}}{{.Path}}{{end}}", "-m", "all") {
		if _, ok := minimum[m]; ok {
			t.Errorf("%s is replaced by another module", m)
		}
	}
}

func permitted(path string, allowed []string) bool {
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		if ours, ok := strings.CutPrefix(a, "./"); ok {
			a = module + "/" + ours
		}
		return path == a || strings.HasSuffix(a, "/") && strings.HasPrefix(path+"/", a)
	})
}

// list runs go list with a template and returns its lines.
func list(t *testing.T, format string, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-f", format}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
