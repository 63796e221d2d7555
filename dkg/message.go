package dkg

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"github.com/ward-health/ward/dkg/threshold"
	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
)

const (
	messageFormat   = "ward/dkg/message/v1"
	joinFormat      = "ward/dkg/join/v1"
	dealFormat      = "ward/dkg/deal/v1"
	complaintFormat = "ward/dkg/complaint/v1"
	confirmFormat   = "ward/dkg/confirm/v1"
	outcomeFormat   = "ward/dkg/confirm-grants/v1"

	maxPayload = 64 << 20
)

// Phase is a stage of a ceremony. The first four are also the kinds of
// messages, each sent in its phase.
type Phase uint8

// The phases, in their order.
//
// Part of the format: only add at the end.
const (
	PhaseJoin     Phase = 1 + iota // members post receiving keys, dealers commit to their deals
	PhaseDeal                      // dealers post commitments and sealed shares
	PhaseComplain                  // receivers of bad shares reveal the key that shows it
	PhaseConfirm                   // members sign the outcome with their new shares, or with their node keys
	PhaseActive                    // the result is in use; old shares are kept
	PhaseComplete                  // old shares are no longer needed
	PhaseAborted                   // there is no result; see [Machine.Abort]
)

func (p Phase) String() string {
	names := [...]string{"join", "deal", "complain", "confirm", "active", "complete", "aborted"}
	if p < 1 || int(p) > len(names) {
		return fmt.Sprintf("phase %d", uint8(p))
	}
	return names[p-1]
}

// Message is one message of a ceremony. Signed, it is bound to the ceremony
// (and through its hash to chain, rosters and thresholds), to the sender and to
// the phase, and can be checked by anyone who knows the ceremony.
type Message struct {
	ceremony  [32]byte
	phase     Phase
	sender    uint8
	payload   []byte
	signature []byte // 64 bytes, or none before Sign
}

// ParseMessage reads a signed message. It does not check the signature, which
// takes the ceremony; [Machine.Step] does.
func ParseMessage(b []byte) (*Message, error) {
	r := wire.NewReader(messageFormat, b)
	m := new(Message)
	copy(m.ceremony[:], r.Raw(len(m.ceremony)))
	m.phase, m.sender = Phase(r.Uint8()), r.Uint8()
	m.payload = bytes.Clone(r.Bytes(maxPayload))
	m.signature = bytes.Clone(r.Raw(ed25519.SignatureSize))
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("read ceremony message: %w", err)
	}
	if m.phase < PhaseJoin || m.phase > PhaseConfirm || m.sender == 0 {
		return nil, fmt.Errorf("read ceremony message: %w", errMalformed)
	}
	return m, nil
}

// Sign signs m with the sender's node key and returns its encoding.
func (m *Message) Sign(key ed25519.PrivateKey) []byte {
	m.signature = ed25519.Sign(key, m.signed())
	return m.Bytes()
}

// Bytes returns the encoding of a signed message: the format's name, the
// ceremony's hash in 32 bytes, the phase and the sender in one byte each, the
// payload behind its length in four bytes, and the Ed25519 signature in 64.
func (m *Message) Bytes() []byte {
	w := wire.NewWriter(messageFormat)
	m.body(w)
	w.Raw(m.signature)
	return w.Sum()
}

// Ceremony returns the hash of the ceremony that m belongs to.
func (m *Message) Ceremony() [32]byte { return m.ceremony }

// Phase returns the phase in which m counts.
func (m *Message) Phase() Phase { return m.phase }

// Sender returns the participant's number: its index in the new roster, or,
// past it, its place among the old members that leave.
func (m *Message) Sender() uint8 { return m.sender }

// About returns the number of the participant whose deal a complaint is about,
// and 0 for every other message and for a complaint that is malformed.
func (m *Message) About() uint8 {
	if m.phase != PhaseComplain {
		return 0
	}
	c, err := parseComplaint(m.payload)
	if err != nil {
		return 0
	}
	return c.dealer
}

func (m *Message) signed() []byte {
	w := wire.NewWriter(string(pairing.DSTCeremonyMessage))
	m.body(w)
	return w.Sum()
}

func (m *Message) body(w *wire.Writer) {
	w.Raw(m.ceremony[:])
	w.Uint8(uint8(m.phase))
	w.Uint8(m.sender)
	w.Bytes(m.payload)
}

// authentic parses a message and checks that it belongs to the ceremony and
// that its sender signed it.
func (p *plan) authentic(raw []byte) (*Message, error) {
	m, err := ParseMessage(raw)
	if err != nil {
		return nil, err
	}
	if m.ceremony != p.id {
		return nil, ErrCeremony
	}
	if int(m.sender) > len(p.participants) {
		return nil, ErrSender
	}
	if !ed25519.Verify(p.participants[m.sender-1], m.signed(), m.signature) {
		return nil, threshold.ErrSignature
	}
	return m, nil
}

// joinPayload is what a participant posts first.
type joinPayload struct {
	receiving  pairing.G1 // members: pk = d·g1
	possession proof      // members: of d
	commitment [32]byte   // dealers: hash of what they will deal
}

func (p *plan) encodeJoin(number uint8, j *joinPayload) []byte {
	w := wire.NewWriter(joinFormat)
	if p.isReceiver(number) {
		pairing.WriteG1(w, j.receiving)
		j.possession.write(w)
	}
	if p.isDealer(number) {
		w.Raw(j.commitment[:])
	}
	return w.Sum()
}

// checkJoin reads a join and verifies its proof of possession.
func (p *plan) checkJoin(number uint8, payload []byte) (*joinPayload, error) {
	r, j := wire.NewReader(joinFormat, payload), new(joinPayload)
	if p.isReceiver(number) {
		j.receiving = pairing.ReadG1(r)
		j.possession = readProof(r)
	}
	if p.isDealer(number) {
		copy(j.commitment[:], r.Raw(len(j.commitment)))
	}
	if err := r.Done(); err != nil {
		return nil, malformed(err)
	}
	if p.isReceiver(number) && !p.verifyPossession(number, j) {
		return nil, errProof
	}
	return j, nil
}

// complaintPayload reveals the key between a receiver and a dealer.
type complaintPayload struct {
	dealer uint8    // participant's number
	deal   [32]byte // hash of the deal complained about
	key    pairing.G1
	proof  proof // that the key is the right one
}

func (c *complaintPayload) encode() []byte {
	w := wire.NewWriter(complaintFormat)
	w.Uint8(c.dealer)
	w.Raw(c.deal[:])
	pairing.WriteG1(w, c.key)
	c.proof.write(w)
	return w.Sum()
}

func parseComplaint(payload []byte) (*complaintPayload, error) {
	r, c := wire.NewReader(complaintFormat, payload), new(complaintPayload)
	c.dealer = r.Uint8()
	copy(c.deal[:], r.Raw(len(c.deal)))
	c.key = pairing.ReadG1(r)
	c.proof = readProof(r)
	if err := r.Done(); err != nil {
		return nil, malformed(err)
	}
	return c, nil
}

func malformed(err error) error { return fmt.Errorf("%w: %w", errMalformed, err) }
