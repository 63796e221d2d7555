package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ward-health/ward/bench/report"
)

// root returns the root of the repository: the nearest directory above that
// holds the go.mod of Ward itself.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module github.com/ward-health/ward\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the repository: not inside it")
		}
		dir = up
	}
}

// writeFile writes a file whole or not at all.
func writeFile(name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name()) // the error that matters is the first
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func writeReport(r *report.Report, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"report.html": r.WriteHTML, "report.csv": r.WriteCSV, "report.json": r.WriteJSON,
	} {
		if err := writeFile(filepath.Join(dir, name), write); err != nil {
			return err
		}
	}
	return nil
}

// saveBaseline puts the ratios of a run into a baseline, beside those of suites
// that did not run.
func saveBaseline(r *report.Report, name string) error {
	merged := report.NewBaseline(r)
	b, err := os.ReadFile(name)
	if err == nil {
		old, err := report.ParseBaseline(b)
		if err != nil {
			return err
		}
		old.Merge(merged)
		merged = old
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read baseline: %w", err)
	}
	return writeFile(name, merged.WriteJSON)
}

// writeDocs writes the chapter on benchmarks and its pictures. Pictures of an
// earlier run are removed.
func writeDocs(from, docs string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	r, err := report.Parse(b)
	if err != nil {
		return err
	}
	if r.Quick {
		return errors.New("the report is of a quick run; the chapter is made of a full one")
	}
	const pictures = "benchmarks"
	chapter, files := r.Markdown(pictures)
	dir := filepath.Join(docs, pictures)
	old, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write pictures: %w", err)
	}
	for name, content := range files {
		if err := writeFile(filepath.Join(dir, name), func(w io.Writer) error { _, err := w.Write(content); return err }); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(docs, "benchmarks.md"), func(w io.Writer) error { _, err := w.Write(chapter); return err })
}
