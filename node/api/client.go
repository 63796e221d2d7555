package api

import (
	"errors"
	"net/http"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/protocol"
)

// Parameters of routes.
type (
	none   struct{}
	atLeaf struct {
		Index uint64 `path:"index" doc:"Leaf index of the transaction"`
	}
	parts struct {
		Index   uint64   `path:"index" doc:"Leaf index of the transaction"`
		Without []string `query:"without,explode" maxItems:"64" doc:"Members that are not to be asked, because their answers were wrong"`
	}
	afterEpoch struct {
		After uint64 `query:"after" doc:"Epoch of the newest file that the caller has"`
	}
)

// clientRoutes adds what every client of a node needs.
func (s *Server) clientRoutes() {
	add(s, route{
		method: http.MethodPost, path: protocol.PathSubmit, id: "submit", access: signed,
		summary: "Put a transaction on the chain and get its receipt. It may be repeated with the same transaction. Needs no token if the transaction is signed by a registered key",
		takes:   protocol.TypeCBOR, takesWhat: "[transaction, sidecar], both byte strings; the sidecar may be empty", limit: protocol.MaxSubmission,
		gives: protocol.TypeCBOR, givesWhat: "Receipt; see chain/SPEC.md",
	}, s.submit)
	add(s, route{
		method: http.MethodPost, path: protocol.PathAsk, id: "ask", access: caller,
		summary: "Ask a question about the state of the chain",
		takes:   protocol.TypeCBOR, takesWhat: "Question; see contract/query/SPEC.md", limit: protocol.MaxQuestion,
		gives: protocol.TypeCBOR, givesWhat: "Answer, with the signatures of the members that vouch for it",
	}, s.ask)
	add(s, route{
		method: http.MethodGet, path: protocol.PathReceipt, id: "receipt", access: caller,
		summary: "Get the receipt of a transaction under the newest certified checkpoint",
		gives:   protocol.TypeCBOR, givesWhat: "Receipt; see chain/SPEC.md",
	}, s.receipt)
	add(s, route{
		method: http.MethodGet, path: protocol.PathSidecar, id: "sidecar", access: caller,
		summary: "Get the sidecar of a transaction",
		gives:   protocol.TypeBytes, givesWhat: "The sidecar",
	}, s.sidecar)
	add(s, route{
		method: http.MethodGet, path: protocol.PathConsortium, id: "consortium", access: public,
		summary: "Get what replaced the consortium file after an epoch",
		gives:   protocol.TypeCBOR, givesWhat: "List of byte strings: the arguments of the transactions that did it, in order",
	}, s.consortium)
	add(s, route{
		method: http.MethodGet, path: protocol.PathPartialKeys, id: "partial-keys", access: caller,
		summary: "Gather the members' parts of the key that a transaction asks for",
		gives:   protocol.TypeCBOR, givesWhat: "List of parts, sealed to the key in the request",
	}, s.partialKeys)
	add(s, route{
		method: http.MethodGet, path: protocol.PathAnswers, id: "answers", access: caller,
		summary: "Gather the members' answers to an access",
		gives:   protocol.TypeCBOR, givesWhat: "List of parts, sealed to the key in the access",
	}, s.answers)
	add(s, route{
		method: http.MethodGet, path: protocol.PathAccessed, id: "accessed", access: caller,
		summary: "Get the records of an access, with their sealed indexes",
		gives:   protocol.TypeCBOR, givesWhat: "List of [record, sealed index]",
	}, s.accessed)
	add(s, route{
		method: http.MethodGet, path: protocol.PathExport, id: "export", access: caller, stream: true,
		summary: "Get the whole chain. For members, and identities with the attribute auditor",
		gives:   protocol.TypeBytes, givesWhat: "The chain as package chain/audit reads it. A connection that breaks before the end of the body means that it is not whole",
	}, s.export)
}

func (s *Server) submit(c *call, _ *none) error {
	var sub protocol.Submission
	if err := c.parse(protocol.MaxSubmission, &sub); err != nil {
		return err
	}
	tx, err := chain.ParseTx(sub.Tx)
	if err != nil {
		return errors.Join(protocol.ErrMalformed, err)
	}
	if !tx.Verify() {
		return chain.ErrSignature
	}
	if c.who.Member == nil && c.who.Identity == nil {
		// Whoever registers has no token yet: the transaction itself says on
		// whose word it comes.
		switch signer, err := s.b.Identify(c.ctx, tx.Signer); {
		case errors.Is(err, identity.ErrUnknown):
			return &protocol.AuthError{Code: protocol.CodeTokenUnknown}
		case err != nil:
			return err
		default:
			c.who.Caller = signer
		}
	}
	receipt, err := s.b.Submit(c.ctx, tx, sub.Sidecar)
	if err != nil {
		return err
	}
	b, err := receipt.Bytes()
	if err != nil {
		return err
	}
	return c.bytes(protocol.TypeCBOR, b)
}

func (s *Server) ask(c *call, _ *none) error {
	question, err := c.body(protocol.MaxQuestion)
	if err != nil {
		return err
	}
	allow, err := s.mayAsk(c, question)
	if err != nil {
		return err
	}
	answer, err := s.b.Ask(c.ctx, question)
	if err != nil {
		return err
	}
	if err := allow(answer.Value, answer.Code); err != nil {
		return err
	}
	return c.cbor(answer)
}

func (s *Server) receipt(c *call, in *atLeaf) error {
	receipt, err := s.b.Receipt(c.ctx, in.Index)
	if err != nil {
		return err
	}
	if err := s.maySee(c, receipt); err != nil {
		return err
	}
	b, err := receipt.Bytes()
	if err != nil {
		return err
	}
	return c.bytes(protocol.TypeCBOR, b)
}

func (s *Server) sidecar(c *call, in *atLeaf) error {
	if err := s.maySeeLeaf(c, in.Index); err != nil {
		return err
	}
	b, err := s.b.Sidecar(c.ctx, in.Index)
	if err != nil {
		return err
	}
	return c.bytes(protocol.TypeBytes, b)
}

func (s *Server) consortium(c *call, in *afterEpoch) error {
	next, err := s.b.Consortium(c.ctx, in.After)
	if err != nil {
		return err
	}
	return c.cbor(next)
}

func (s *Server) partialKeys(c *call, in *parts) error {
	if err := s.mayUse(c, in.Index); err != nil {
		return err
	}
	parts, err := s.b.PartialKeys(c.ctx, in.Index, in.Without)
	if err != nil {
		return err
	}
	return c.cbor(parts)
}

func (s *Server) answers(c *call, in *parts) error {
	if err := s.mayUse(c, in.Index); err != nil {
		return err
	}
	parts, err := s.b.Answers(c.ctx, in.Index, in.Without)
	if err != nil {
		return err
	}
	return c.cbor(parts)
}

func (s *Server) accessed(c *call, in *atLeaf) error {
	if err := s.maySeeLeaf(c, in.Index); err != nil {
		return err
	}
	records, err := s.b.Accessed(c.ctx, in.Index)
	if err != nil {
		return err
	}
	return c.cbor(records)
}

func (s *Server) export(c *call, _ *none) error {
	if c.who.Member == nil && !c.has(identity.Auditor) {
		return protocol.ErrDenied
	}
	c.w.Header().Set("Content-Type", protocol.TypeBytes)
	return s.b.Export(c.ctx, c.paced())
}
