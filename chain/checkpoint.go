package chain

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Limits on checkpoints. Part of the format.
const (
	maxCheckpoint = 16 << 10
	maxSignatures = maxMembers + 16
)

// Note signature types (c2sp.org/signed-note). The threshold signature has no
// number of its own, so 0xff and a name stand for it.
const (
	typeCosignature = 0x04
	typeUnassigned  = 0xff
	typeThreshold   = "ward-health.org/bls-checkpoint/v1"
)

// ErrUncertified reports a checkpoint with neither a threshold signature nor
// enough cosignatures.
var ErrUncertified = errors.New("checkpoint is not certified")

var errForeign = errors.New("checkpoint is for another chain")

// A TreeHead is what a checkpoint says: the state of the chain at one height.
type TreeHead struct {
	Chain  string
	Size   uint64 // leaves in the tree
	Root   Hash   // of the tree
	Height uint64 // of the last block
	Block  Hash   // hash of that block's header
	State  Hash   // state hash in that header
}

// TreeHead returns what a checkpoint at h says.
func (h *Header) TreeHead() TreeHead {
	return TreeHead{Chain: h.Chain, Size: h.Size, Root: h.Root, Height: h.Height, Block: h.Hash(), State: h.State}
}

// Body returns the text that is signed: a C2SP tlog-checkpoint (origin, size,
// root) with three extension lines (height, header hash, state hash).
func (t TreeHead) Body() string {
	return fmt.Sprintf("%s\n%d\n%s\nheight %d\nblock %s\nstate %s\n",
		origin(t.Chain), t.Size, b64(t.Root[:]), t.Height, b64(t.Block[:]), b64(t.State[:]))
}

func parseBody(text string) (TreeHead, error) {
	malformed := errors.New("checkpoint: malformed text")
	lines := strings.Split(text, "\n")
	if len(lines) != 7 {
		return TreeHead{}, malformed
	}
	var t TreeHead
	var ok [6]bool
	t.Chain, ok[0] = strings.CutSuffix(lines[0], "/ward")
	t.Size, ok[1] = parseUint(lines[1], "")
	t.Root, ok[2] = parseB64Hash(lines[2], "")
	t.Height, ok[3] = parseUint(lines[3], "height ")
	t.Block, ok[4] = parseB64Hash(lines[4], "block ")
	t.State, ok[5] = parseB64Hash(lines[5], "state ")
	if ok != [6]bool{true, true, true, true, true, true} || !validChainID(t.Chain) || t.Body() != text {
		return TreeHead{}, malformed
	}
	return t, nil
}

// A Checkpoint is a tree head with signatures: a signed note
// (c2sp.org/signed-note). Who signed is for Consortium.Verify to say.
type Checkpoint struct {
	TreeHead
	Signatures []Signature
}

// A Signature is one signature line of a note.
type Signature struct {
	Name  string // of the key
	KeyID uint32
	Data  []byte // timestamp and Ed25519 signature, 72 bytes; or BLS signature, 96 bytes
}

// ParseCheckpoint parses a signed note. It verifies nothing.
func ParseCheckpoint(data []byte) (*Checkpoint, error) {
	if len(data) > maxCheckpoint {
		return nil, fmt.Errorf("checkpoint: %d bytes, limit %d", len(data), maxCheckpoint)
	}
	text, lines, ok := strings.Cut(string(data), "\n\n")
	if !ok {
		return nil, errors.New("checkpoint: no signatures")
	}
	head, err := parseBody(text + "\n")
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{TreeHead: head}
	for line := range strings.Lines(lines) {
		s, err := parseSignature(line)
		if err != nil {
			return nil, err
		}
		c.Signatures = append(c.Signatures, s)
	}
	again, err := c.Bytes()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("checkpoint: %w", ErrNotCanonical)
	}
	return c, nil
}

// Bytes returns the note. It fails without signatures and on a malformed one.
func (c *Checkpoint) Bytes() ([]byte, error) {
	if n := len(c.Signatures); n == 0 || n > maxSignatures {
		return nil, fmt.Errorf("checkpoint: %d signatures, want 1 to %d", n, maxSignatures)
	}
	b := []byte(c.Body() + "\n")
	for _, s := range c.Signatures {
		if !validKeyName(s.Name) || len(s.Data) == 0 {
			return nil, errors.New("checkpoint: malformed signature")
		}
		b = fmt.Appendf(b, "— %s %s\n", s.Name, b64(append(binary.BigEndian.AppendUint32(nil, s.KeyID), s.Data...)))
	}
	if len(b) > maxCheckpoint {
		return nil, fmt.Errorf("checkpoint: %d bytes, limit %d", len(b), maxCheckpoint)
	}
	return b, nil
}

func parseSignature(line string) (Signature, error) {
	malformed := errors.New("checkpoint: malformed signature line")
	rest, ok := strings.CutPrefix(line, "— ")
	if !ok {
		return Signature{}, malformed
	}
	name, text, ok := strings.Cut(strings.TrimSuffix(rest, "\n"), " ")
	if !ok || !validKeyName(name) {
		return Signature{}, malformed
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(data) < 5 {
		return Signature{}, malformed
	}
	return Signature{Name: name, KeyID: binary.BigEndian.Uint32(data), Data: data[4:]}, nil
}

// Cosign returns member's cosignature of t (c2sp.org/tlog-cosignature), made
// at the given Unix time in seconds with its node key. The caller must have
// recorded durably that it signs t and no other tree head of this size.
func (k *Consortium) Cosign(t TreeHead, member string, unix int64, key crypto.Signer) (Signature, error) {
	m := k.Member(member)
	if m == nil || t.Chain != k.Chain {
		return Signature{}, errors.New("cosign: not a member of this chain")
	}
	if unix < 0 {
		return Signature{}, errors.New("cosign: negative time")
	}
	if pub, ok := key.Public().(ed25519.PublicKey); !ok || !bytes.Equal(pub, m.NodeKey[:]) {
		return Signature{}, errors.New("cosign: key is not the member's node key")
	}
	sig, err := key.Sign(rand.Reader, cosigned(t.Body(), uint64(unix)), crypto.Hash(0))
	if err != nil {
		return Signature{}, fmt.Errorf("cosign: %w", err)
	}
	return Signature{Name: k.keyName(m), KeyID: k.keyID(m), Data: append(binary.BigEndian.AppendUint64(nil, uint64(unix)), sig...)}, nil
}

// Cosigner returns the member whose valid cosignature of t is s and the Unix
// time in seconds at which it was made. A tree head of another chain has no
// cosigner, whatever its members signed with the same keys.
func (k *Consortium) Cosigner(t TreeHead, s Signature) (member string, unix int64, err error) {
	if t.Chain != k.Chain {
		return "", 0, errForeign
	}
	for i := range k.Members {
		m := &k.Members[i]
		if k.keyName(m) != s.Name || k.keyID(m) != s.KeyID {
			continue
		}
		if !(cosignatureVerifier{k, m}).Verify([]byte(t.Body()), s.Data) {
			return "", 0, &note.InvalidSignatureError{Name: s.Name, Hash: s.KeyID}
		}
		return m.Name, int64(binary.BigEndian.Uint64(s.Data)), nil
	}
	return "", 0, &note.UnknownVerifierError{Name: s.Name, KeyHash: s.KeyID}
}

// ThresholdMessage returns the bytes that the members' threshold BLS signature
// of t is over. Its hash to G2 uses the tag
// BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_.
func (t TreeHead) ThresholdMessage() []byte { return []byte("WARD-V1-CHECKPOINT\n" + t.Body()) }

// ThresholdSignature returns the note signature for a combined BLS signature
// of t, a compressed point of G2, 96 bytes, after verifying it under V.
func (k *Consortium) ThresholdSignature(t TreeHead, sig []byte) (Signature, error) {
	v := thresholdVerifier{k}
	if t.Chain != k.Chain {
		return Signature{}, errForeign
	}
	if !v.Verify([]byte(t.Body()), sig) {
		return Signature{}, &note.InvalidSignatureError{Name: v.Name(), Hash: v.KeyHash()}
	}
	return Signature{Name: v.Name(), KeyID: v.KeyHash(), Data: sig}, nil
}

// Verify returns nil if c is certified: it carries a valid threshold signature
// or valid cosignatures of CheckpointThreshold members. A wrong signature by a
// known key is an error even if others suffice; lines by unknown keys are
// ignored. The error wraps ErrUncertified when signatures are lacking.
func (k *Consortium) Verify(c *Checkpoint) error {
	if c.Chain != k.Chain {
		return errForeign
	}
	msg, err := c.Bytes()
	if err != nil {
		return err
	}
	n, err := note.Open(msg, verifiers{k})
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return fmt.Errorf("%w: no known signature", ErrUncertified)
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	members := 0 // note.Open returns each key once
	for _, s := range n.Sigs {
		if s.Name == k.Origin() {
			return nil
		}
		members++
	}
	if members < k.CheckpointThreshold {
		return fmt.Errorf("%w: %d cosignatures, want %d", ErrUncertified, members, k.CheckpointThreshold)
	}
	return nil
}

// CheckExtends verifies that t continues old: same chain, the proof, as made
// by [tlog.ProveTree], shows that the smaller tree is a prefix of the larger,
// and two heads of one size say the same.
func (t TreeHead) CheckExtends(old TreeHead, proof tlog.TreeProof) error {
	if t.Chain != old.Chain {
		return errors.New("tree heads of two chains")
	}
	if t.Size > math.MaxInt64 || old.Size > t.Size || old.Height > t.Height {
		return errors.New("tree shrank")
	}
	if (old.Size == t.Size || old.Height == t.Height) && old != t {
		return errors.New("tree heads of one block differ")
	}
	if old.Size == 0 {
		return nil // the empty tree is a prefix of every tree
	}
	return tlog.CheckTree(proof, int64(t.Size), tlog.Hash(t.Root), int64(old.Size), tlog.Hash(old.Root))
}

func (k *Consortium) keyName(m *Member) string { return k.Origin() + "/" + m.Name }

func (k *Consortium) keyID(m *Member) uint32 {
	return keyID(k.keyName(m), append([]byte{typeCosignature}, m.NodeKey[:]...))
}

// keyID returns the first four bytes of SHA-256(name ‖ "\n" ‖ type ‖ key).
func keyID(name string, typeAndKey []byte) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n"), typeAndKey...))
	return binary.BigEndian.Uint32(h[:])
}

func cosigned(body string, unix uint64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", unix, body)
}

// cosignatureVerifier implements note.Verifier for one member.
type cosignatureVerifier struct {
	k *Consortium
	m *Member
}

func (v cosignatureVerifier) Name() string    { return v.k.keyName(v.m) }
func (v cosignatureVerifier) KeyHash() uint32 { return v.k.keyID(v.m) }
func (v cosignatureVerifier) Verify(msg, sig []byte) bool {
	if len(sig) != 8+64 {
		return false
	}
	unix := binary.BigEndian.Uint64(sig)
	return unix <= math.MaxInt64 && v.m.NodeKey.Verify(cosigned(string(msg), unix), sig[8:])
}

// thresholdVerifier implements note.Verifier for the group key V.
type thresholdVerifier struct{ k *Consortium }

func (v thresholdVerifier) Name() string { return v.k.Origin() }
func (v thresholdVerifier) KeyHash() uint32 {
	return keyID(v.Name(), append(append([]byte{typeUnassigned}, typeThreshold...), v.k.CheckpointKey...))
}
func (v thresholdVerifier) Verify(msg, sig []byte) bool {
	t, err := parseBody(string(msg))
	return err == nil && verifyThreshold(v.k.CheckpointKey, t.ThresholdMessage(), sig)
}

type verifiers struct{ k *Consortium }

// Verifier implements note.Verifiers.
func (v verifiers) Verifier(name string, hash uint32) (note.Verifier, error) {
	if t := thresholdVerifier(v); len(v.k.CheckpointKey) > 0 && name == t.Name() && hash == t.KeyHash() {
		return t, nil
	}
	for i := range v.k.Members {
		if c := (cosignatureVerifier{v.k, &v.k.Members[i]}); name == c.Name() && hash == c.KeyHash() {
			return c, nil
		}
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

// validKeyName accepts printable ASCII without spaces and '+'.
func validKeyName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '+' {
			return false
		}
	}
	return s != "" && len(s) <= 255
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// The two helpers below need not be strict: parseBody compares the text with
// that of the value it parsed.
func parseUint(line, prefix string) (uint64, bool) {
	text, ok := strings.CutPrefix(line, prefix)
	n, err := strconv.ParseUint(text, 10, 63)
	return n, ok && err == nil
}

func parseB64Hash(line, prefix string) (Hash, bool) {
	text, ok := strings.CutPrefix(line, prefix)
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(b) != len(Hash{}) {
		return Hash{}, false
	}
	return Hash(b), true
}
