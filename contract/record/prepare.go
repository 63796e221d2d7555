package record

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"sync"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/internal/parallel"
	"github.com/ward-health/ward/pre"
)

// A verdict says whether an envelope holds for a header. It is a function of
// both and nothing else.
type verdict struct {
	holds bool
	u     [48]byte // by which the capsule is recognised, if it holds
}

// A memo spares work and decides nothing: what it holds are values of functions
// of content.
type memo struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]verdict // what Prepare found in the last blocks; guarded by mu
	raw   []byte                        // the extraction key last seen; guarded by mu
	key   pre.PublicKey                 // raw, parsed; guarded by mu
}

// maxVerdicts is how many are remembered: those of the largest block.
const maxVerdicts = chain.MaxEntryTxs

// authority returns the consortium's extraction key. It fails if there is none.
func (m *memo) authority(k *chain.Consortium) (pre.PublicKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.raw) == 0 || !bytes.Equal(m.raw, k.ExtractionKey) {
		key, err := pre.ParsePublicKey(k.ExtractionKey)
		if err != nil {
			return pre.PublicKey{}, err
		}
		m.raw, m.key = bytes.Clone(k.ExtractionKey), key
	}
	return m.key, nil
}

// lastAuthority returns the extraction key that authority returned last.
func (m *memo) lastAuthority() (key pre.PublicKey, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.key, len(m.raw) > 0
}

// verdict returns the verdict on an envelope, from memory if Prepare was there
// before.
func (m *memo) verdict(header pre.Header, envelope []byte) (verdict, error) {
	key, err := verdictKey(header, envelope)
	if err != nil {
		return verdict{}, err
	}
	m.mu.Lock()
	known, ok := m.known[key]
	m.mu.Unlock()
	if ok {
		return known, nil
	}
	e, err := pre.ParseEnvelope(envelope)
	if err != nil {
		return verdict{}, nil
	}
	if _, err := e.Verify(header); err != nil {
		return verdict{}, nil
	}
	return verdict{true, [48]byte(e.U())}, nil
}

func (m *memo) remember(found map[[sha256.Size]byte]verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known)+len(found) > maxVerdicts {
		m.known = make(map[[sha256.Size]byte]verdict, len(found))
	}
	maps.Copy(m.known, found)
}

// verdictKey is a hash of all that a verdict depends on.
func verdictKey(h pre.Header, envelope []byte) ([sha256.Size]byte, error) {
	b, err := chain.Marshal([]any{h.Record, h.Owner.Description(), string(h.Type), h.Author, envelope})
	return sha256.Sum256(b), err
}

// A suspect is an envelope that Prepare checks.
type suspect struct {
	key      [sha256.Size]byte
	header   pre.Header
	raw      []byte
	envelope *pre.Envelope // nil if raw is none
}

// Prepare implements ledger.Preparer: it verifies the capsules of a block
// together. It takes owners and authors as they were before the block, and the
// extraction key as it was when a record was put last; where one of them is
// another when the transaction runs, its verdict is not found, and Apply comes
// to its own.
func (c *contract) Prepare(seed chain.Hash, state ledger.Snapshot, txs []*chain.Tx) {
	authority, ok := c.memo.lastAuthority()
	if !ok {
		return
	}
	identities := state.Of(identity.Contract)
	var suspects []suspect
	for _, tx := range txs {
		if s, ok := suspicion(authority, identities, tx); ok {
			suspects = append(suspects, s)
		}
	}
	if len(suspects) < 2 {
		return // Apply verifies one faster than a batch of one
	}
	parallel.For(len(suspects), func(i int) {
		suspects[i].envelope, _ = pre.ParseEnvelope(suspects[i].raw) // nil on error
	})
	envelopes, headers := make([]*pre.Envelope, len(suspects)), make([]pre.Header, len(suspects))
	for i, s := range suspects {
		envelopes[i], headers[i] = s.envelope, s.header
	}
	_, errs := pre.VerifyBatch(seed[:], envelopes, headers)
	found := make(map[[sha256.Size]byte]verdict, len(suspects))
	for i, s := range suspects {
		v := verdict{holds: errs[i] == nil}
		if v.holds {
			v.u = [48]byte(s.envelope.U())
		}
		found[s.key] = v
	}
	c.memo.remember(found)
}

// suspicion returns the envelope of a transaction with the header it will be
// checked against, unless the transaction fails for another reason.
func suspicion(authority pre.PublicKey, identities ledger.Reader, tx *chain.Tx) (suspect, bool) {
	if tx.Method != MethodPut {
		return suspect{}, false
	}
	a, err := parsePut(tx.Args)
	if err != nil {
		return suspect{}, false
	}
	owner, err := identity.Lookup(identities, a.Owner)
	if err != nil {
		return suspect{}, false
	}
	author, err := identity.ByKey(identities, tx.Signer)
	if err != nil {
		return suspect{}, false
	}
	header, err := headerOf(tx.Chain, authority, a, owner, author.Name)
	if err != nil {
		return suspect{}, false
	}
	key, err := verdictKey(header, a.Envelope)
	return suspect{key: key, header: header, raw: a.Envelope}, err == nil
}
