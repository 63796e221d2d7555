package store

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/ward-health/ward/bench/measure"
	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/bench/report"
	"github.com/ward-health/ward/bench/suite"
)

// programs returns the systems that are programs and there.
func programs(ctx context.Context, r *suite.Run) (all []system) {
	if _, err := exec.LookPath("cp"); err != nil {
		r.Skip(nameCP, err)
	} else {
		all = append(all, system{nameCP, cpOps})
	}
	agePath, err := ageProgram(r.Root)
	if err != nil {
		r.Skip(nameAgeBin, err)
	} else {
		all = append(all, system{nameAgeBin, func(ctx context.Context, f file) (operations, error) { return ageProgramOps(ctx, agePath, f) }})
		r.Version(report.Version{Name: nameAgeBin, Version: firstLine(ctx, agePath, "--version"), Licence: "BSD-3-Clause", Note: "a process for each file"})
	}
	rclone, err := peer.Program(r.Root, "rclone")
	if err != nil {
		r.Skip(nameRclone, err)
	} else {
		all = append(all, system{nameRclone, func(ctx context.Context, f file) (operations, error) { return rcloneOps(ctx, rclone, f) }})
		r.Version(report.Version{Name: nameRclone, Version: firstLine(ctx, rclone, "version"), Licence: "MIT", Note: "a process for each file"})
	}
	return all
}

// ageProgram finds age where tools/build.sh puts it, or installed.
func ageProgram(root string) (string, error) {
	path := filepath.Join(root, ".tools", "bin", "age")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("age")
	if err != nil {
		return "", fmt.Errorf("age is not installed: run tools/build.sh age")
	}
	return path, nil
}

func firstLine(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(strings.TrimSpace(line), "rclone ")
}

// process returns a run that starts a program each time, and counts its time.
func process(command func() *exec.Cmd) func(n int) (measure.Spent, error) {
	return func(n int) (measure.Spent, error) {
		before := measure.CPUOfChildren()
		spent, err := measure.Timed(func() error { return runProgram(command()) })(n)
		spent.CPU = measure.CPUOfChildren() - before
		return spent, err
	}
}

func runProgram(c *exec.Cmd) error {
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

func cpOps(ctx context.Context, f file) (operations, error) {
	to := filepath.Join(f.dir, "copy")
	return operations{
		sealDisk: process(func() *exec.Cmd { return exec.CommandContext(ctx, "cp", f.plain, to) }),
		openDisk: process(func() *exec.Cmd { return exec.CommandContext(ctx, "cp", f.plain, to) }),
	}, nil
}

func ageProgramOps(ctx context.Context, program string, f file) (operations, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	key := filepath.Join(f.dir, "key")
	if err := os.WriteFile(key, []byte(identity.String()+"\n"), 0o600); err != nil {
		return nil, err
	}
	encrypt := func(to string) *exec.Cmd {
		return exec.CommandContext(ctx, program, "--encrypt", "--recipient", identity.Recipient().String(), "--output", to, f.plain)
	}
	kept := filepath.Join(f.dir, "kept")
	if err := runProgram(encrypt(kept)); err != nil {
		return nil, err
	}
	return operations{
		sealDisk: process(func() *exec.Cmd { return encrypt(filepath.Join(f.dir, "sealed")) }),
		openDisk: process(func() *exec.Cmd {
			return exec.CommandContext(ctx, program, "--decrypt", "--identity", key, "--output", os.DevNull, kept)
		}),
	}, nil
}

func rcloneOps(ctx context.Context, program string, f file) (operations, error) {
	obscured, err := exec.CommandContext(ctx, program, "obscure", "correct horse battery staple").Output()
	if err != nil {
		return nil, fmt.Errorf("obscure: %w", err)
	}
	config := filepath.Join(f.dir, "rclone.conf")
	text := fmt.Sprintf("[sealed]\ntype = crypt\nremote = %s\npassword = %s\n", filepath.Join(f.dir, "remote"), strings.TrimSpace(string(obscured)))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	copyTo := func(from, to string) *exec.Cmd {
		return exec.CommandContext(ctx, program, "--config", config, "--ignore-times", "copyto", from, to)
	}
	if err := runProgram(copyTo(f.plain, "sealed:kept")); err != nil {
		return nil, err
	}
	return operations{
		sealDisk: process(func() *exec.Cmd { return copyTo(f.plain, "sealed:file") }),
		openDisk: process(func() *exec.Cmd { return copyTo("sealed:kept", filepath.Join(f.dir, "opened")) }),
	}, nil
}
