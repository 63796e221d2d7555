package protocol

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ward-health/ward/chain"
)

// Scheme is the scheme of the Authorization header: "Ward-V1 <token>", the
// token in unpadded base64url.
const Scheme = "Ward-V1"

// TokenWindow is how far the time in a token may be from the server's clock,
// either way.
const TokenWindow = 2 * time.Minute

// MaxToken is the length in characters of the longest token.
const MaxToken = 1024

// nameToken begins every token. It also keeps signatures of tokens and of
// anything else that the same keys sign apart.
const nameToken = "ward/v1/token"

// A Token says who makes one request: the holder of Key, to this member of
// this chain, now. A server takes each token once.
type Token struct {
	_         struct{} `cbor:",toarray"`
	Name      string   // "ward/v1/token"
	Chain     string
	Member    string // whose node is asked
	Key       chain.PublicKey
	Time      int64 // Unix milliseconds
	Nonce     [16]byte
	Signature []byte // by Key over the encoding of the same with an empty signature
}

// SignToken returns a fresh token in its text form.
func SignToken(chainID, member string, now time.Time, key crypto.Signer) (string, error) {
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("sign token: key is not Ed25519")
	}
	t := Token{Name: nameToken, Chain: chainID, Member: member, Key: chain.PublicKey(pub), Time: now.UnixMilli()}
	if _, err := rand.Read(t.Nonce[:]); err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	msg, err := t.message()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if t.Signature, err = key.Sign(rand.Reader, msg, crypto.Hash(0)); err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return t.Text()
}

// ParseToken reads the text form of a token. It checks the form only; Verify
// checks the rest.
func ParseToken(s string) (*Token, error) {
	if len(s) > MaxToken {
		return nil, fmt.Errorf("token: %d characters, limit %d", len(s), MaxToken)
	}
	if strings.ContainsAny(s, "\r\n") { // the decoder skips them
		return nil, errors.New("token: line break")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	var t Token
	if err := chain.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if t.Name != nameToken || len(t.Signature) != ed25519.SignatureSize {
		return nil, errors.New("token: of another version")
	}
	return &t, nil
}

// Text returns the form that ParseToken reads.
func (t *Token) Text() (string, error) {
	b, err := chain.Marshal(t)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Verify returns nil if the token was signed by its key, for this member of
// this chain, within TokenWindow of now; otherwise an *AuthError. That it comes
// the first time, and for whom its key signs, is for the server to find out.
func (t *Token) Verify(chainID, member string, now time.Time) error {
	switch d := now.Sub(time.UnixMilli(t.Time)); {
	case t.Chain != chainID:
		return &AuthError{CodeTokenChain}
	case t.Member != member:
		return &AuthError{CodeTokenAudience}
	case d > TokenWindow || d < -TokenWindow:
		return &AuthError{CodeTokenTime}
	}
	msg, err := t.message()
	if err != nil || !t.Key.Verify(msg, t.Signature) {
		return &AuthError{CodeTokenSignature}
	}
	return nil
}

// message returns what the signature is over.
func (t *Token) message() ([]byte, error) {
	unsigned := *t
	unsigned.Signature = nil
	return chain.Marshal(unsigned)
}
