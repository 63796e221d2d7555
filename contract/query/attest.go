package query

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ward-health/ward/chain"
)

const (
	nameStatement = "ward/v1/attestation"
	nameAnswer    = "ward/v1/answer"

	maxAnswer       = 8 << 20 // bytes of an encoded answer
	maxAttestations = 64
)

// ErrAnswer is matched by the error of Verify and ParseAnswer.
var ErrAnswer = errors.New("answer does not hold")

// An Attestation is a member's signature on an answer.
type Attestation struct {
	_         struct{} `cbor:",toarray"`
	Member    string
	Height    uint64     // of the certified block whose state it read
	Block     chain.Hash // hash of that block's header
	Time      int64      // by the member's clock, Unix milliseconds
	Signature []byte     // by its node key, 64 bytes
}

// statement is what a member signs.
type statement struct {
	_        struct{} `cbor:",toarray"`
	Name     string   // "ward/v1/attestation"
	Chain    string
	Member   string
	Height   uint64
	Block    chain.Hash
	Time     int64
	Question chain.Hash // SHA-256 of the encoded question
	Code     chain.Code
	Value    chain.Hash // SHA-256 of the value
}

func (a *Attestation) statement(chainID string, question, value []byte, code chain.Code) ([]byte, error) {
	return chain.Marshal(statement{
		Name: nameStatement, Chain: chainID, Member: a.Member, Height: a.Height, Block: a.Block, Time: a.Time,
		Question: sha256.Sum256(question), Code: code, Value: sha256.Sum256(value),
	})
}

// Attest signs an answer: a value, or the code of the error that Run gave. The
// caller has read it from the state after the block, which is certified, and
// that state was not behind when it was asked.
func Attest(k *chain.Consortium, member string, block chain.Header, question, value []byte, code chain.Code, now time.Time, key crypto.Signer) (Attestation, error) {
	switch {
	case k.Member(member) == nil:
		return Attestation{}, fmt.Errorf("attest: %q is no member", member)
	case block.Chain != k.Chain:
		return Attestation{}, errors.New("attest: block of another chain")
	case code != "" && len(value) > 0:
		return Attestation{}, errors.New("attest: both a value and a code")
	}
	a := Attestation{Member: member, Height: block.Height, Block: block.Hash(), Time: now.UnixMilli()}
	msg, err := a.statement(k.Chain, question, value, code)
	if err != nil {
		return Attestation{}, fmt.Errorf("attest: %w", err)
	}
	if a.Signature, err = key.Sign(rand.Reader, msg, crypto.Hash(0)); err != nil {
		return Attestation{}, fmt.Errorf("attest: %w", err)
	}
	return a, nil
}

// Verify reports whether the attestation is its member's, to this value or
// code as the answer to the question.
func (a *Attestation) Verify(k *chain.Consortium, question, value []byte, code chain.Code) bool {
	m := k.Member(a.Member)
	if m == nil {
		return false
	}
	msg, err := a.statement(k.Chain, question, value, code)
	return err == nil && m.NodeKey.Verify(msg, a.Signature)
}

// An Answer is a value with the members that vouch for it.
type Answer struct {
	_            struct{}   `cbor:",toarray"`
	Value        []byte     // CBOR; empty if Code is set
	Code         chain.Code // the error that Run gave, which is signed like a value
	Checkpoint   []byte     // certified signed note
	Attestations []Attestation
}

// named puts the name of the format in front of an answer.
type named struct {
	_      struct{} `cbor:",toarray"`
	Name   string   // "ward/v1/answer"
	Answer Answer
}

// Bytes returns the encoding of an answer.
func (a *Answer) Bytes() ([]byte, error) {
	return chain.Marshal(named{Name: nameAnswer, Answer: *a})
}

// ParseAnswer reads what Bytes wrote. It verifies nothing.
func ParseAnswer(b []byte) (*Answer, error) {
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrAnswer, len(b), maxAnswer)
	}
	var n named
	if err := chain.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if n.Name != nameAnswer {
		return nil, fmt.Errorf("%w: it is of another version", ErrAnswer)
	}
	return &n.Answer, nil
}

// Needed is how many members must vouch for an answer, so that one of them is
// honest: f+1.
func Needed(k *chain.Consortium) int { return (len(k.Members)-1)/3 + 1 }

// Verify checks an answer to a question (encoded) that was asked at a time:
// f+1 members of k signed it, none of them more than skew before that time or
// after now, and the checkpoint is certified and not older than what they
// signed for. It returns the checkpoint.
//
// An attestation that does not hold is left out, not an error: a dishonest
// member must not spoil what the others say.
func (a *Answer) Verify(k *chain.Consortium, question []byte, asked, now time.Time, skew time.Duration) (*chain.Checkpoint, error) {
	if a.Code != "" && (len(a.Value) > 0 || !chain.ValidName(string(a.Code))) {
		return nil, fmt.Errorf("%w: its code is malformed or comes with a value", ErrAnswer)
	}
	if len(a.Attestations) > maxAttestations {
		return nil, fmt.Errorf("%w: %d attestations, limit %d", ErrAnswer, len(a.Attestations), maxAttestations)
	}
	cp, err := chain.ParseCheckpoint(a.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if err := k.Verify(cp); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	first, last := asked.Add(-skew).UnixMilli(), now.Add(skew).UnixMilli()
	vouch := make(map[string]bool)
	for i := range a.Attestations {
		t := &a.Attestations[i]
		switch {
		case t.Time < first || t.Time > last:
		case t.Height > cp.Height || t.Height == cp.Height && t.Block != cp.Block:
		case t.Verify(k, question, a.Value, a.Code):
			vouch[t.Member] = true
		}
	}
	if len(vouch) < Needed(k) {
		return nil, fmt.Errorf("%w: %d members vouch for it, of %d needed", ErrAnswer, len(vouch), Needed(k))
	}
	return cp, nil
}
