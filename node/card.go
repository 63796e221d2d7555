package node

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ward-health/ward/chain"
)

const (
	nameCard = "ward/v1/card"
	maxCard  = 4 << 10
)

// A Card is how a member introduces itself to the others before there is a
// consortium file: what will stand there about it, signed with its node key.
// Whoever gathers cards compares the key's fingerprint with the member by
// another way, such as the telephone.
type Card struct {
	chain.Member
	signature []byte
}

// cardFile is the JSON form.
type cardFile struct {
	Format    string          `json:"format"`
	Name      string          `json:"name"`
	NodeKey   chain.PublicKey `json:"node_key"`
	URL       string          `json:"url"`
	Peer      string          `json:"peer"`
	Signature string          `json:"signature"`
}

// NewCard returns a card signed with the node key.
func NewCard(name, apiURL, peer string, key crypto.Signer) (*Card, error) {
	public, err := PublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	c := &Card{Member: chain.Member{Name: name, NodeKey: public, URL: apiURL, Peer: peer}}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	statement, err := c.statement()
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if c.signature, err = key.Sign(nil, statement, crypto.Hash(0)); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	return c, nil
}

// statement is what the node key signs.
func (c *Card) statement() ([]byte, error) {
	return chain.Marshal([]any{nameCard, c.Name, c.NodeKey[:], c.URL, c.Peer})
}

// check applies the rules of the consortium file to what will stand there.
func (c *Card) check() error {
	k := chain.Consortium{
		Format: "ward/v1/consortium", Chain: "card", Created: time.Unix(0, 0).UTC(),
		KeyThreshold: 1, CheckpointThreshold: 1, Members: []chain.Member{c.Member},
	}
	_, err := k.Bytes()
	return err
}

// CheckCard returns an error if no card can say this.
func CheckCard(name, apiURL, peer string) error {
	return (&Card{Member: chain.Member{Name: name, NodeKey: chain.PublicKey{1}, URL: apiURL, Peer: peer}}).check()
}

// Fingerprint returns the node key in groups that can be read over the telephone.
func (c *Card) Fingerprint() string {
	s := c.NodeKey.String()
	var groups []string
	for ; s != ""; s = s[8:] {
		groups = append(groups, s[:8])
	}
	return strings.Join(groups, " ")
}

// Bytes returns the card as the JSON file that ParseCard reads.
func (c *Card) Bytes() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(cardFile{nameCard, c.Name, c.NodeKey, c.URL, c.Peer, hex.EncodeToString(c.signature)})
	return b.Bytes(), err
}

// ParseCard reads what Card.Bytes wrote and checks the signature: the member
// holds the key.
func ParseCard(data []byte) (*Card, error) {
	if len(data) > maxCard {
		return nil, fmt.Errorf("card: %d bytes, limit %d", len(data), maxCard)
	}
	var f cardFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if f.Format != nameCard {
		return nil, fmt.Errorf("card: format %q, want %q", f.Format, nameCard)
	}
	c := &Card{Member: chain.Member{Name: f.Name, NodeKey: f.NodeKey, URL: f.URL, Peer: f.Peer}}
	var err error
	if c.signature, err = hex.DecodeString(f.Signature); err != nil {
		return nil, fmt.Errorf("card: signature: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if again, err := c.Bytes(); err != nil || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("card: %w", chain.ErrNotCanonical)
	}
	statement, err := c.statement()
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if !c.NodeKey.Verify(statement, c.signature) {
		return nil, fmt.Errorf("card of %s: not signed with its node key", c.Name)
	}
	return c, nil
}

// NewConsortium returns the founding consortium file of the members whose cards
// these are. A threshold of 0 means the usual one: ⌊n/2⌋+1 members to extract
// keys and to re-encrypt.
func NewConsortium(chainID string, created time.Time, threshold int, cards []*Card) (*chain.Consortium, error) {
	n := len(cards)
	f := (n - 1) / 3
	k := &chain.Consortium{
		Format: "ward/v1/consortium", Chain: chainID, Created: created.UTC().Truncate(time.Second),
		KeyThreshold: threshold, CheckpointThreshold: (n+f)/2 + 1,
	}
	if threshold == 0 {
		k.KeyThreshold = n/2 + 1
	}
	for _, c := range cards {
		k.Members = append(k.Members, c.Member)
	}
	slices.SortFunc(k.Members, func(a, b chain.Member) int { return strings.Compare(a.Name, b.Name) })
	if _, err := k.Bytes(); err != nil {
		return nil, fmt.Errorf("found consortium: %w", err)
	}
	return k, nil
}

// PublicKey returns the public part of an Ed25519 key.
func PublicKey(key crypto.Signer) (chain.PublicKey, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(public) != ed25519.PublicKeySize {
		return chain.PublicKey{}, errors.New("node key is not Ed25519")
	}
	return chain.PublicKey(public), nil
}
