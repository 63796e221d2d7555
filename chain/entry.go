package chain

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Limits on entries. Part of the format.
const (
	MaxEntry    = 4 << 20 // bytes of an Entry
	MaxEntryTxs = 4096    // transactions in an Entry
)

// A Proposal is a leader's signed request to append a block: everything in an
// Entry but the sidecars, which can be purged. Results and the header are not
// in it: every replica derives them.
type Proposal struct {
	_         struct{}  `cbor:",toarray"`
	Name      string    // "ward/v1/proposal"
	Chain     string    // id of the chain
	Proposer  PublicKey // node key of a member
	Height    uint64    // of a block the leader had executed, at most MaxParentAge below the new one
	Parent    Hash      // header hash of that block
	Time      int64     // leader's clock, Unix milliseconds
	Txs       [][]byte  // as the clients sent them, 1 to MaxEntryTxs
	Signature []byte    // of the proposer over signingBytes, 64 bytes
}

// MaxParentAge is how many blocks may have been appended since the one a
// proposal names as its parent. It bounds pipelining. Part of the format.
const MaxParentAge = 32

// An Entry is the content of one Raft log entry.
type Entry struct {
	Proposal
	// Sidecars has one element per transaction, nil where there is none.
	Sidecars [][]byte

	txs      []*Tx  // parsed; nil where the bytes are no transaction
	verified []bool // by transaction, the proposer last; nil before VerifySignatures
	hash     Hash   // of the proposal; zero before VerifySignatures
}

// SignEntry returns an entry with the given content, signed by the leader's
// node key. Parent is the header hash of the block at height, the last that
// the leader has executed; time is its clock in Unix milliseconds. Sidecars
// has one element per transaction or is nil.
func SignEntry(chain string, height uint64, parent Hash, time int64, txs []*Tx, sidecars [][]byte, key crypto.Signer) (*Entry, error) {
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return nil, errors.New("sign entry: key is not Ed25519")
	}
	if sidecars == nil {
		sidecars = make([][]byte, len(txs))
	}
	e := &Entry{Sidecars: sidecars, txs: txs, Proposal: Proposal{
		Name: nameProposal, Chain: chain, Proposer: PublicKey(pub),
		Height: height, Parent: parent, Time: time, Txs: make([][]byte, len(txs)),
		Signature: make([]byte, ed25519.SignatureSize),
	}}
	for i, tx := range txs {
		e.Txs[i] = tx.Bytes()
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("sign entry: %w", err)
	}
	if err := e.sign(key, txs); err != nil {
		return nil, err
	}
	return e, nil
}

// Sign sets the signature of p to one by the key of its proposer.
func (p *Proposal) Sign(key crypto.Signer) error { return p.sign(key, nil) }

func (p *Proposal) sign(key crypto.Signer, txs []*Tx) error {
	sig, err := key.Sign(rand.Reader, p.signingBytes(txs), crypto.Hash(0))
	if err != nil {
		return fmt.Errorf("sign proposal: %w", err)
	}
	p.Signature = sig
	return nil
}

// ParseEntry parses the bytes of an entry, at most MaxEntry. It verifies no
// signature. Transactions in it may be malformed: they will be recorded as
// rejected. The Entry keeps data, which must not be changed any more.
func ParseEntry(data []byte) (*Entry, error) {
	if len(data) > MaxEntry {
		return nil, fmt.Errorf("entry: %d bytes, limit %d", len(data), MaxEntry)
	}
	r := wireReader{data: data}
	r.array(3)
	if r.text(nameEntry) != nameEntry {
		return nil, fmt.Errorf("entry: name is not %q", nameEntry)
	}
	e := new(Entry)
	r.readProposal(&e.Proposal)
	e.Sidecars = r.list(MaxEntryTxs)
	if !r.done() {
		return nil, fmt.Errorf("entry: %w", ErrNotCanonical)
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	e.parseTxs()
	return e, nil
}

// Bytes returns the bytes that ParseEntry accepts.
func (e *Entry) Bytes() ([]byte, error) {
	n := 32 + e.Proposal.size()
	for _, s := range e.Sidecars {
		n += 5 + len(s)
	}
	b := appendHead(make([]byte, 0, n), majorArray, 3)
	b = appendText(b, nameEntry)
	b = e.Proposal.append(b)
	b = appendList(b, e.Sidecars)
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("entry: %d bytes, limit %d", len(b), MaxEntry)
	}
	return b, nil
}

// Parsed returns the parsed transactions, nil where the bytes are none. The
// caller must not change the slice.
func (e *Entry) Parsed() []*Tx { return e.txs }

// VerifySignatures checks the signatures of the transactions and of the
// proposer in batches, and keeps the verdicts: a second call, also on a
// transaction that [VerifyTxs] found good before, costs nothing. It is not
// safe for concurrent use on one Entry.
func (e *Entry) VerifySignatures() (proposer bool, txs []bool, err error) {
	if e.verified == nil {
		e.verify(new(Verifier))
	}
	n := len(e.txs)
	return e.verified[n], e.verified[:n:n], nil
}

func (e *Entry) verify(v *Verifier) {
	msg := e.signingBytes(e.txs)
	e.hash = sha256.Sum256(msg)
	e.verified = v.verifyTxs(e.txs, signed{e.Proposer, msg, e.Signature})
}

// Hash returns the hash of the proposal; see Proposal.Hash.
func (e *Entry) Hash() (Hash, error) {
	if e.verified != nil {
		return e.hash, nil
	}
	return e.Proposal.Hash()
}

func (e *Entry) parseTxs() {
	e.txs = make([]*Tx, len(e.Txs))
	all := make([]Tx, len(e.Txs))
	last, h := new(TxBody), sha256.New()
	for i, raw := range e.Txs {
		if len(raw) > MaxTx || len(raw) < ed25519.SignatureSize {
			continue // becomes a recorded rejection, as does what does not parse
		}
		tx := &all[i]
		tx.raw = raw[:len(raw):len(raw)]
		if tx.parse(last, h) == nil {
			e.txs[i], last = tx, &tx.TxBody
		}
	}
}

func (e *Entry) check() error {
	if err := e.Proposal.check(); err != nil {
		return err
	}
	if len(e.Sidecars) != len(e.Txs) {
		return fmt.Errorf("%d sidecars for %d transactions", len(e.Sidecars), len(e.Txs))
	}
	for _, s := range e.Sidecars {
		if len(s) > MaxSidecar {
			return fmt.Errorf("sidecar of %d bytes, limit %d", len(s), MaxSidecar)
		}
	}
	return nil
}

func (p *Proposal) check() error {
	switch {
	case p.Name != nameProposal:
		return fmt.Errorf("name is not %q", nameProposal)
	case !validChainID(p.Chain):
		return errors.New("malformed chain id")
	case p.Time < 0:
		return errors.New("negative time")
	case len(p.Txs) == 0 || len(p.Txs) > MaxEntryTxs:
		return fmt.Errorf("%d transactions, want 1 to %d", len(p.Txs), MaxEntryTxs)
	case len(p.Signature) != ed25519.SignatureSize:
		return errors.New("malformed signature")
	}
	for _, tx := range p.Txs {
		if len(tx) > MaxTx {
			return fmt.Errorf("transaction of %d bytes, limit %d", len(tx), MaxTx)
		}
	}
	return nil
}

// signingBytes is the proposal with each transaction replaced by its hash and
// with an empty signature. txs are the transactions that are parsed already, nil
// where they are not: their hashes are known.
func (p *Proposal) signingBytes(txs []*Tx) []byte {
	const item = 2 + len(Hash{})
	b := p.appendStart(make([]byte, 0, 256+len(p.Chain)+item*len(p.Txs)))
	b = appendHead(b, majorArray, uint64(len(p.Txs)))
	for i, raw := range p.Txs {
		var h Hash
		if i < len(txs) && txs[i] != nil {
			h = txs[i].hash
		} else {
			h = sha256.Sum256(raw)
		}
		b = appendBytes(b, h[:])
	}
	return appendBytes(b, nil)
}

// Hash returns the hash of what the proposer signed. It covers every
// transaction, and through them the sidecars.
func (p *Proposal) Hash() (Hash, error) {
	return sha256.Sum256(p.signingBytes(nil)), nil
}
