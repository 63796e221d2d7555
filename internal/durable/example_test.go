package durable_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ward-health/ward/internal/durable"
)

func ExampleWrite() {
	dir, err := os.MkdirTemp("", "durable")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	path := filepath.Join(dir, "state")
	fmt.Println(durable.WriteFile(path, []byte("one"), 0o600))

	// A source that fails leaves the file as it was.
	err = durable.Write(path, 0o600, func(w io.Writer) error {
		if _, err := io.WriteString(w, "tw"); err != nil {
			return err
		}
		return io.ErrUnexpectedEOF
	})
	fmt.Println(err != nil)

	data, err := os.ReadFile(path)
	fmt.Println(string(data), err)
	// Output:
	// <nil>
	// true
	// one <nil>
}
