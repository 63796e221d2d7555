package record

import (
	"crypto/sha256"
	"runtime"
	"sync"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/pre"
)

// A verdict says whether an envelope holds for a header. It is a function of
// both and nothing else.
type verdict struct {
	holds bool
	u     [48]byte // by which the capsule is recognised, if it holds
}

// verdicts remembers what Prepare found until the next blocks have replaced it.
type verdicts struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]verdict // guarded by mu
}

// maxVerdicts is how many are remembered: those of the largest block.
const maxVerdicts = chain.MaxEntryTxs

// of returns the verdict, from memory if Prepare was there before.
func (v *verdicts) of(header pre.Header, envelope []byte) (verdict, error) {
	key, err := verdictKey(header, envelope)
	if err != nil {
		return verdict{}, err
	}
	v.mu.Lock()
	known, ok := v.known[key]
	v.mu.Unlock()
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

func (v *verdicts) remember(found map[[sha256.Size]byte]verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil || len(v.known)+len(found) > maxVerdicts {
		v.known = make(map[[sha256.Size]byte]verdict, len(found))
	}
	for key, verdict := range found {
		v.known[key] = verdict
	}
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
// together. It looks owners and authors up in the state before the block; where
// that has changed when the transaction runs, its verdict is not found, and
// Apply comes to its own.
func (c *contract) Prepare(seed chain.Hash, state ledger.Snapshot, txs []*chain.Tx) {
	identities := state.Of(identity.Contract)
	k, err := ledger.InForce(state.Of(chain.SystemContract))
	if err != nil {
		return
	}
	var suspects []suspect
	for _, tx := range txs {
		if s, ok := suspicion(k, identities, tx); ok {
			suspects = append(suspects, s)
		}
	}
	parallel(len(suspects), func(i int) {
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
	c.verdicts.remember(found)
}

// suspicion returns the envelope of a transaction with the header it will be
// checked against, unless the transaction fails for another reason.
func suspicion(k *chain.Consortium, identities ledger.Reader, tx *chain.Tx) (suspect, bool) {
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
	header, err := headerOf(k, a, owner, author.Name)
	if err != nil {
		return suspect{}, false
	}
	key, err := verdictKey(header, a.Envelope)
	return suspect{key: key, header: header, raw: a.Envelope}, err == nil
}

// parallel calls f(0) to f(n-1) on all processors and waits.
func parallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}
