package wallet

import (
	"bytes"
	"os"
	"testing"
)

func FuzzBody(f *testing.F) {
	w := generate(f, patient)
	if _, err := w.AddCustody(3); err != nil {
		f.Fatal(err)
	}
	if _, _, err := w.Replace("rotate"); err != nil {
		f.Fatal(err)
	}
	if err := w.Remember(keyFor(f, patient, "lab", false)); err != nil {
		f.Fatal(err)
	}
	if err := w.RememberWard(keyFor(f, "p-kid@north", "lab", false)); err != nil {
		f.Fatal(err)
	}
	b, err := w.get().bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0x87})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBody(raw)
		if err != nil {
			return
		}
		again, err := b.bytes()
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%x became %x, %v", raw, again, err)
		}
		for i := range b.Keys {
			b.Keys[i].parse()
		}
	})
}

func FuzzFile(f *testing.F) {
	_, path := stored(f)
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	w := reopen(f, path)
	f.Add(raw)
	f.Add(raw[:40])
	f.Add([]byte(nameFile + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if sealed, header, err := parseFile(b); err == nil {
			if !bytes.HasPrefix(b, header) || !bytes.Contains(header, sealed) {
				t.Error("the header is not the beginning of the file")
			}
		}
		if _, err := w.s.file.open(b); err == nil && !bytes.Equal(b, raw) {
			t.Error("another file opens")
		}
	})
}

func FuzzFolder(f *testing.F) {
	dir := f.TempDir()
	if _, err := createFolder(dir, testChain, pass, quick); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(dir + "/" + folderFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		if sealed, err := parseFolder(b); err == nil && len(b) != len(nameFolder)+1+4+len(sealed) {
			t.Error("bytes that belong to nothing were accepted")
		}
	})
}
