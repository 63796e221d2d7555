package store

import (
	"path/filepath"
	"testing"
)

// TestOperationsOpenWhatTheySealed runs every operation of what is linked and of
// cp once; they check themselves that all bytes come back.
func TestOperationsOpenWhatTheySealed(t *testing.T) {
	for _, size := range []int64{1, 100_000} {
		plain := filepath.Join(t.TempDir(), "plain")
		if err := makeFile(plain, size); err != nil {
			t.Fatal(err)
		}
		for _, s := range []system{{nameWard, wardOps}, {nameCipher, cipherOps}, {nameCopy, copyOps}, {nameAge, ageOps}, {nameCP, cpOps}} {
			ops, err := s.ops(t.Context(), file{plain, size, t.TempDir()})
			if err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			for name, op := range ops {
				if spent, err := op(2); err != nil || spent.Work != 2 || spent.Wall <= 0 {
					t.Errorf("%s: %s: %+v, %v", s.name, name, spent, err)
				}
			}
		}
	}
}
