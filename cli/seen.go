package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/internal/durable"
)

// Every command is a process of its own. Without a memory between them a node
// that was set back could show the next one a chain of last week, on which a
// grant still holds. So the newest certified tree head that anybody saw stays in
// the folder of wallets, and a run takes nothing older for current.

const (
	seenSchema = "ward/v1/seen" // part of the format
	seenSuffix = ".seen"
	maxSeen    = 4 << 10
)

// A seenMemory is where the newest tree head of a chain is remembered.
type seenMemory struct{ path, chain string }

// seenFile returns the memory for a chain, in a folder of wallets.
func seenFile(dir, chainID string) seenMemory {
	return seenMemory{filepath.Join(dir, chainID+seenSuffix), chainID}
}

// seenData is the file.
type seenData struct {
	Schema string     `json:"schema"`
	Chain  string     `json:"chain"`
	Height uint64     `json:"height"`
	Size   uint64     `json:"size"`
	Root   chain.Hash `json:"root"`
	Block  chain.Hash `json:"block"`
	State  chain.Hash `json:"state"`
}

func (d *seenData) head() chain.TreeHead {
	return chain.TreeHead{Chain: d.Chain, Size: d.Size, Root: d.Root, Height: d.Height, Block: d.Block, State: d.State}
}

// parseSeen reads the file. There is one text for each tree head.
func parseSeen(b []byte) (chain.TreeHead, error) {
	var d seenData
	if err := json.Unmarshal(b, &d); err != nil || d.Schema != seenSchema || d.Chain == "" || !bytes.Equal(seenBytes(d.head()), b) {
		return chain.TreeHead{}, errors.New("malformed")
	}
	return d.head(), nil
}

func seenBytes(h chain.TreeHead) []byte {
	b, err := json.Marshal(seenData{seenSchema, h.Chain, h.Height, h.Size, h.Root, h.Block, h.State})
	if err != nil {
		panic(err) // there is nothing in it that has no JSON
	}
	return append(b, '\n')
}

// read returns what was seen last, the zero value if nothing was.
func (m seenMemory) read() (chain.TreeHead, error) {
	b, err := durable.ReadSecretUpTo(m.path, maxSeen)
	if errors.Is(err, fs.ErrNotExist) {
		return chain.TreeHead{}, nil
	}
	if err != nil {
		return chain.TreeHead{}, err
	}
	h, err := parseSeen(b)
	if err != nil || h.Chain != m.chain {
		return chain.TreeHead{}, failf("seen", exitIntegrity, "%s does not hold what was seen of the chain last", m.path).
			withHint("without the file everything certified is taken for new: move it away only if you know why")
	}
	return h, nil
}

// keep remembers a tree head if it is newer than what there is. Other processes
// may do so at the same time. One that contradicts what there is stands for two
// chains of one name, and is ward.ErrIntegrity.
func (m seenMemory) keep(h chain.TreeHead) (err error) {
	if h.Chain == "" {
		return nil
	}
	lock, err := m.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	last, err := m.read()
	switch {
	case err != nil:
		return err
	case h == last:
		return nil
	case h.Height == last.Height && last.Chain != "":
		return fmt.Errorf("%w: two certified checkpoints contradict each other at height %d", ward.ErrIntegrity, h.Height)
	case h.Height < last.Height:
		return nil
	}
	return durable.WriteSecret(m.path, seenBytes(h))
}

// lock waits a moment for another process that remembers something.
func (m seenMemory) lock() (*durable.Lock, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		lock, err := durable.LockPath(m.path + ".lock")
		if !errors.Is(err, durable.ErrLocked) || n == 400 {
			return lock, err
		}
		<-tick.C
	}
}
