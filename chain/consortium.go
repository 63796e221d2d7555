package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits on the consortium file. Part of the format.
const (
	maxConsortium = 64 << 10
	maxMembers    = 64
)

const nameConsortium = "ward/v1/consortium"

// A Consortium is the content of consortium.json: all that a client must trust
// to check a receipt. Epoch 0 is the founding file; members replace it by
// transactions on the chain.
type Consortium struct {
	Format   string    `json:"format"`   // "ward/v1/consortium"
	Chain    string    `json:"chain"`    // id of the chain, a DNS-like name, never used for another
	Epoch    uint64    `json:"epoch"`    // 0, then one more with every change
	Founding Hash      `json:"founding"` // SHA-256 of the file of epoch 0; zero in that file
	Created  time.Time `json:"created"`  // time of the genesis block, UTC, whole seconds
	// KeyThreshold is t, the members needed to extract or to re-encrypt:
	// f+1 ≤ t ≤ n−f, where f = ⌊(n−1)/3⌋ members may be dishonest.
	KeyThreshold int `json:"key_threshold"`
	// CheckpointThreshold is t_c, the members needed to certify. It is at least
	// ⌊(n+f)/2⌋+1, so that any two certificates share an honest member and no
	// two histories are certified.
	CheckpointThreshold int `json:"checkpoint_threshold"`
	// ExtractionKey is P and CheckpointKey is V, compressed points of G1, 48
	// bytes; both are empty until the members have generated them.
	ExtractionKey GroupKey `json:"extraction_key"`
	CheckpointKey GroupKey `json:"checkpoint_key"`
	Members       []Member `json:"members"` // sorted by name
}

// A Member is one hospital of the consortium and its node.
type Member struct {
	Name    string    `json:"name"`     // organisation, the part after '@' in identities
	NodeKey PublicKey `json:"node_key"` // Ed25519: cosignatures, proposals, TLS
	URL     string    `json:"url"`      // https base URL of the node's API, no trailing slash
	Peer    string    `json:"peer"`     // host:port of the node's peer listener
}

// A GroupKey is a compressed point of G1 on BLS12-381, 48 bytes, or empty.
type GroupKey []byte

// MarshalText returns lower-case hexadecimal digits.
func (k GroupKey) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(k)), nil }

// UnmarshalText sets k from 96 lower-case hexadecimal digits or none.
func (k *GroupKey) UnmarshalText(text []byte) error {
	*k = make(GroupKey, 48)
	if len(text) == 0 {
		*k = nil
		return nil
	}
	return unmarshalHex(*k, text)
}

// ParseConsortium parses consortium.json. It accepts exactly what Bytes
// produces: two spaces of indentation, every field once and in order, a final
// newline.
func ParseConsortium(data []byte) (*Consortium, error) {
	if len(data) > maxConsortium {
		return nil, fmt.Errorf("consortium file: %d bytes, limit %d", len(data), maxConsortium)
	}
	k := new(Consortium)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(k); err != nil {
		return nil, fmt.Errorf("consortium file: %w", err)
	}
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("consortium file: %w", err)
	}
	again, err := k.Bytes()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("consortium file: %w", ErrNotCanonical)
	}
	return k, nil
}

// Bytes returns the file's content. It fails if k is not a valid consortium.
func (k *Consortium) Bytes() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("consortium: %w", err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(k); err != nil {
		return nil, fmt.Errorf("consortium: %w", err)
	}
	return b.Bytes(), nil
}

// FoundingHash returns the SHA-256 hash of the founding file, to which the
// genesis header is bound.
func (k *Consortium) FoundingHash() (Hash, error) {
	if k.Epoch > 0 {
		return k.Founding, nil
	}
	b, err := k.Bytes()
	return sha256.Sum256(b), err
}

// Member returns the member with this name, or nil.
func (k *Consortium) Member(name string) *Member {
	for i := range k.Members {
		if k.Members[i].Name == name {
			return &k.Members[i]
		}
	}
	return nil
}

// MemberByKey returns the member with this node key, or nil.
func (k *Consortium) MemberByKey(key PublicKey) *Member {
	for i := range k.Members {
		if k.Members[i].NodeKey == key {
			return &k.Members[i]
		}
	}
	return nil
}

// Origin returns the first line of the chain's checkpoints.
func (k *Consortium) Origin() string { return origin(k.Chain) }

func origin(chain string) string { return chain + "/ward" }

func (k *Consortium) check() error {
	n := len(k.Members)
	f := (n - 1) / 3 // dishonest members that the thresholds must bear
	switch {
	case k.Format != nameConsortium:
		return fmt.Errorf("format is not %q", nameConsortium)
	case !validChainID(k.Chain):
		return errors.New("malformed chain id")
	case (k.Epoch == 0) != k.Founding.IsZero():
		return errors.New("founding hash belongs in every epoch but the first")
	case k.Created.Nanosecond() != 0 || k.Created.Location() != time.UTC || k.Created.Unix() < 0 || k.Created.Year() > 9999:
		return errors.New("created must be whole seconds in UTC")
	case n == 0 || n > maxMembers:
		return fmt.Errorf("%d members, want 1 to %d", n, maxMembers)
	case k.CheckpointThreshold < (n+f)/2+1 || k.CheckpointThreshold > n:
		return fmt.Errorf("checkpoint threshold is %d of %d members, want %d to %d", k.CheckpointThreshold, n, (n+f)/2+1, n)
	case k.KeyThreshold < f+1 || k.KeyThreshold > n-f:
		return fmt.Errorf("key threshold is %d of %d members, want %d to %d", k.KeyThreshold, n, f+1, n-f)
	case len(k.ExtractionKey) != len(k.CheckpointKey):
		return errors.New("group keys come together")
	}
	if err := checkGroupKey(k.ExtractionKey); err != nil {
		return fmt.Errorf("extraction key: %w", err)
	}
	if err := checkGroupKey(k.CheckpointKey); err != nil {
		return fmt.Errorf("checkpoint key: %w", err)
	}
	seen := make(map[PublicKey]bool, n)
	for i, m := range k.Members {
		if i > 0 && k.Members[i-1].Name >= m.Name {
			return errors.New("members are not sorted by name")
		}
		if seen[m.NodeKey] {
			return errors.New("two members have one node key")
		}
		seen[m.NodeKey] = true
		if err := m.check(); err != nil {
			return fmt.Errorf("member %q: %w", m.Name, err)
		}
	}
	return nil
}

func (m *Member) check() error {
	if !ValidName(m.Name) || strings.Contains(m.Name, "/") {
		return errors.New("malformed name")
	}
	if m.NodeKey == (PublicKey{}) {
		return errors.New("no node key")
	}
	u, err := url.Parse(m.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		strings.HasSuffix(m.URL, "/") || !printable(m.URL) || u.String() != m.URL {
		return errors.New("url is not an https base URL")
	}
	host, port, err := net.SplitHostPort(m.Peer)
	if err != nil || host == "" || !printable(m.Peer) {
		return errors.New("peer is not host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return errors.New("peer has no port from 1 to 65535")
	}
	return nil
}

// printable reports whether s is ASCII without spaces and control characters.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Genesis returns the header of height 0, for a founding file and the hash of
// the state that holds nothing but it.
func (k *Consortium) Genesis(state Hash) (*Header, error) {
	if k.Epoch != 0 {
		return nil, errors.New("genesis: not a founding consortium file")
	}
	founding, err := k.FoundingHash()
	if err != nil {
		return nil, err
	}
	return &Header{
		Name: nameHeader, Chain: k.Chain, Prev: founding, Time: k.Created.UnixMilli(), Root: Tree{}.Root(), State: state,
	}, nil
}
