package system

import (
	"context"
	"errors"
	"os/exec"
	"strings"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

// Start returns all systems that can be had, Ward first, and a function that
// ends their processes. Those that cannot be had are recorded as skipped, and
// those that can with their versions.
func Start(ctx context.Context, r *suite.Run) (systems []System, stop func() error, err error) {
	tkn, err := NewTKN20()
	if err != nil {
		return nil, nil, err
	}
	hybrid, err := NewHybrid()
	if err != nil {
		return nil, nil, err
	}
	systems = append(systems, NewWard())
	r.Version(report.Version{Name: NameWard, Version: thisTree(ctx, r.Root), Licence: "Apache-2.0", Note: "package pre; public values on gnark-crypto " +
		measure.ModuleVersion("github.com/consensys/gnark-crypto") + ", long-lived secrets on CIRCL " + measure.ModuleVersion("github.com/cloudflare/circl") + " in constant time"})
	stop = func() error { return nil }
	for _, p := range []struct{ name, pkg, licence string }{
		{NameUmbral, "@nucypher/umbral-pre", "GPL-3.0"}, {NameRecrypt, "@ironcorelabs/recrypt-wasm-binding", "AGPL-3.0"},
	} {
		process, err := peer.StartNode(ctx, r.Root, p.pkg)
		if err != nil {
			r.Skip(p.name, err)
			continue
		}
		before := stop
		stop = func() error { return errors.Join(before(), process.Close()) }
		systems = append(systems, NewNode(p.name, process))
		r.Version(report.Version{Name: p.name, Version: process.Version, Licence: p.licence, Note: p.pkg + ", WebAssembly in a process of Node.js, fully optimized before the first call"})
	}
	r.Version(report.Version{Name: NameCalypso, Version: measure.ModuleVersion("go.dedis.ch/kyber/v3"), Licence: "MPL-2.0", Note: "written from the paper over kyber v3, edwards25519; none of Calypso's code"})
	r.Version(report.Version{Name: NameTKN20, Version: measure.ModuleVersion("github.com/cloudflare/circl"), Licence: "BSD-3-Clause", Note: "abe/cpabe/tkn20 of CIRCL"})
	r.Version(report.Version{Name: NameHybrid, Version: measure.ThisMachine().Go, Licence: "BSD-3-Clause", Note: "crypto/hpke: X25519, HKDF-SHA256, ChaCha20-Poly1305"})
	return append(systems, NewCalypso(), tkn, hybrid), stop, nil
}

// Cases makes a case of each operation that each system has, for a parameter
// value of at, and adds rows for the sizes of what they make to the section.
func Cases(s *suite.Section, systems []System, ops []Operation, p Params, at float64) ([]suite.Case, error) {
	var cases []suite.Case
	for _, op := range ops {
		for _, system := range systems {
			step, err := system.Step(op, p)
			if errors.Is(err, ErrNone) {
				continue
			}
			if err != nil {
				return nil, err
			}
			cases = append(cases, suite.Case{Operation: string(op), System: system.Name(), At: at, Run: step.Run})
			if step.Size > 0 {
				s.Add(report.Row{Operation: string(op), System: system.Name(), At: at, Quantity: "size", Unit: "B", Samples: []float64{float64(step.Size)}})
			}
		}
	}
	return cases, nil
}

// Named returns those of the systems that have one of the names.
func Named(systems []System, names ...string) (found []System) {
	for _, s := range systems {
		for _, name := range names {
			if s.Name() == name {
				found = append(found, s)
			}
		}
	}
	return found
}

// thisTree names the commit of the repository, as far as git can.
func thisTree(ctx context.Context, root string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", root, "describe", "--always", "--dirty").Output()
	if err != nil {
		return "this tree"
	}
	return "this tree, " + strings.TrimSpace(string(out))
}
