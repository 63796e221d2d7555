package ward

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/seal"
)

// Part of the format.
const (
	nameIndex    = "ward/v1/index"
	maxIndexText = 1 << 10 // bytes of a title, a media type, a file name
	maxIndex     = 8 << 10 // bytes of an index
)

// sealedIndex is what only those who may read a record see of it. SPEC.md gives
// its bytes.
type sealedIndex struct {
	_         struct{} `cbor:",toarray"`
	Name      string   // "ward/v1/index"
	Title     string
	MediaType string
	Filename  string
	Dated     int64    // Unix milliseconds
	Size      int64    // of the payload in bytes
	Hash      [32]byte // SHA-256 of the payload
	Ref       []byte   // store.Ref, 36 bytes; empty if there is no payload
	Key       []byte   // seal.Key, 16 bytes; empty if there is no payload
}

// parseIndex reads what bytes wrote.
func parseIndex(b []byte) (*sealedIndex, error) {
	if len(b) > maxIndex {
		return nil, fmt.Errorf("index: %d bytes, limit %d", len(b), maxIndex)
	}
	i := new(sealedIndex)
	if err := chain.Unmarshal(b, i); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if err := i.check(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return i, nil
}

func (i *sealedIndex) bytes() ([]byte, error) {
	if err := i.check(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return chain.Marshal(i)
}

func (i *sealedIndex) check() error {
	if i.Name != nameIndex {
		return errors.New("it is of another version")
	}
	for _, s := range []string{i.Title, i.MediaType, i.Filename} {
		if len(s) > maxIndexText || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return fmt.Errorf("a text is longer than %d bytes or has control characters", maxIndexText)
		}
	}
	// A reader may save the payload under this name: it names no directory.
	if strings.ContainsAny(i.Filename, `/\`) || i.Filename == "." || i.Filename == ".." {
		return errors.New("file name is a path")
	}
	if i.Dated < 0 {
		return errors.New("it is dated before 1970")
	}
	if len(i.Ref) == 0 {
		if len(i.Key) != 0 || i.Size != 0 || i.Hash != ([32]byte{}) {
			return errors.New("it describes a payload and names none")
		}
		return nil
	}
	if _, err := store.ParseRefBytes(i.Ref); err != nil {
		return err
	}
	if len(i.Key) != len(seal.Key{}) || i.Size < 0 || i.Size > seal.MaxSize {
		return errors.New("key or size is malformed")
	}
	return nil
}

// matches reports whether the index describes the payload that the chain knows
// of. An author who lets the two differ keeps a payload from being erased.
func (i *sealedIndex) matches(r *record.Record) bool {
	if string(i.Ref) != string(r.Payload) || day(i.Dated) != r.Dated {
		return false
	}
	return len(i.Ref) == 0 && r.Size == 0 || len(i.Ref) > 0 && r.Size == uint64(seal.SealedSize(i.Size))
}

func (i *sealedIndex) payload() seal.Payload {
	p := seal.Payload{Size: i.Size}
	p.Ref, _ = store.ParseRefBytes(i.Ref) // was checked
	copy(p.Key[:], i.Key)
	return p
}

// fill adds the sealed part to an entry.
func (i *sealedIndex) fill(e *Entry) {
	e.Title, e.MediaType, e.Filename, e.Size, e.Hash = i.Title, i.MediaType, i.Filename, i.Size, i.Hash
	e.Dated = time.UnixMilli(i.Dated).UTC()
}

// day returns the start of the day, in UTC.
func day(ms int64) int64 { return ms - ms%record.Day }
