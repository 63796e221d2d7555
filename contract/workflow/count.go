package workflow

import (
	"strings"

	"github.com/ward-health/ward/chain/ledger"
)

// spans is how many spans a window is divided into. A span counts until all of
// it is out of the window, so that a limit is never exceeded in any window: what
// counts may be up to 1/spans of a window too old, never too little.
const spans = 28

// A Tally is what a counter has counted for one key.
type Tally struct {
	_       struct{} `cbor:",toarray"`
	Sum     int64    // that counts now
	Buckets []Bucket // ascending
}

// A Bucket is what was added in one span of a window.
type Bucket struct {
	_      struct{} `cbor:",toarray"`
	Start  int64    // Unix milliseconds
	End    int64    // from when it no longer counts; 0 for never
	Amount int64
}

// span returns the bucket that an addition at a time goes into.
func (c *Counter) span(time int64) Bucket {
	if c.Window == 0 {
		return Bucket{}
	}
	width := (c.Window + spans - 1) / spans
	start := time - time%width
	return Bucket{Start: start, End: start + width + c.Window}
}

// at drops what no longer counts at a time.
func (t *Tally) at(time int64) {
	kept := t.Buckets[:0]
	t.Sum = 0
	for _, b := range t.Buckets {
		if b.End == 0 || time < b.End {
			kept, t.Sum = append(kept, b), t.Sum+b.Amount
		}
	}
	t.Buckets = kept
}

// Counted returns what a counter of a definition has counted at a block time: of
// an owner, an organisation or an instance by its scope, or "" for the whole
// consortium, and for a key.
func Counted(r ledger.Reader, definition, counter, of, key string, time int64) (*Tally, error) {
	if !validName(definition) || !validIdent(counter) || strings.Contains(of+key, "\x00") || len(of) > MaxKey || len(key) > MaxKey {
		return &Tally{}, nil
	}
	t, err := load[Tally](r, tallyKey(definition, counter, of+"\x00"+key))
	if err != nil || t == nil {
		return &Tally{}, err
	}
	t.at(time)
	return t, nil
}

func tallyKey(definition, counter, scoped string) []byte {
	return []byte(keyCounter + definition + "\x00" + counter + "\x00" + scoped)
}

func claimKey(definition, unique, scoped string) []byte {
	return []byte(keyUnique + definition + "\x00" + unique + "\x00" + scoped)
}
