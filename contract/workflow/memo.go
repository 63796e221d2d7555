package workflow

import (
	"crypto/sha256"
	"sync"

	"github.com/ward-health/ward/chain/ledger"
)

// maxCompiled is how many verdicts on definitions are remembered.
const maxCompiled = 64

// A memo remembers what definitions compiled to. A verdict is a function of the
// bytes, so it does not matter what is forgotten.
type memo struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*verdict // guarded by mu
	clock uint64                         // guarded by mu; counts uses
}

type verdict struct {
	def  *Definition
	err  error
	used uint64 // guarded by the memo's mu
}

// definition returns the definition of a version.
func (m *memo) definition(r ledger.Reader, p *Proposal) (*Definition, error) {
	if v := m.look(p.Hash); v != nil {
		return v.def, v.err
	}
	text, err := p.Text(r)
	if err != nil {
		return nil, err
	}
	return m.compile(text)
}

// compile is Compile, remembered.
func (m *memo) compile(text []byte) (*Definition, error) {
	hash := sha256.Sum256(text)
	if v := m.look(hash); v != nil {
		return v.def, v.err
	}
	v := &verdict{}
	v.def, v.err = Compile(text)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = make(map[[sha256.Size]byte]*verdict)
	}
	if len(m.known) >= maxCompiled {
		m.forget()
	}
	m.clock++
	v.used = m.clock
	m.known[hash] = v
	return v.def, v.err
}

func (m *memo) look(hash [sha256.Size]byte) *verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.known[hash]
	if v != nil {
		m.clock++
		v.used = m.clock
	}
	return v
}

// forget drops the verdict that was not used for longest. The caller holds mu.
func (m *memo) forget() {
	var oldest [sha256.Size]byte
	least := m.clock + 1
	for hash, v := range m.known {
		if v.used < least {
			oldest, least = hash, v.used
		}
	}
	delete(m.known, oldest)
}
