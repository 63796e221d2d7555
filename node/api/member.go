package api

import (
	"errors"
	"net/http"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/protocol"
)

type atHeight struct {
	Height uint64 `path:"height" doc:"Height of the certified checkpoint"`
}

// memberRoutes adds what members ask each other.
func (s *Server) memberRoutes() {
	add(s, route{
		method: http.MethodPost, path: protocol.PathAttest, id: "attest", access: member,
		summary: "Get this member's own word on a question",
		takes:   protocol.TypeCBOR, takesWhat: "Question; see contract/query/SPEC.md", limit: protocol.MaxQuestion,
		gives: protocol.TypeCBOR, givesWhat: "[value, code, attestation]",
	}, func(c *call, _ *none) error {
		question, err := c.body(protocol.MaxQuestion)
		if err != nil {
			return err
		}
		if _, err := query.Parse(question); err != nil {
			return errors.Join(protocol.ErrMalformed, err)
		}
		var a protocol.Attested
		if a.Value, a.Code, a.Attestation, err = s.b.Attest(c.ctx, question); err != nil {
			return err
		}
		return c.cbor(a)
	})
	add(s, route{
		method: http.MethodGet, path: protocol.PathPartialKey, id: "partial-key", access: member,
		summary: "Get this member's own part of the key that a transaction asks for",
		gives:   protocol.TypeCBOR, givesWhat: "Part",
	}, func(c *call, in *atLeaf) error {
		part, err := s.b.PartialKey(c.ctx, in.Index)
		if err != nil {
			return err
		}
		return c.cbor(part)
	})
	add(s, route{
		method: http.MethodGet, path: protocol.PathAnswer, id: "answer", access: member,
		summary: "Get this member's own answer to an access",
		gives:   protocol.TypeCBOR, givesWhat: "Part",
	}, func(c *call, in *atLeaf) error {
		part, err := s.b.AnswerAccess(c.ctx, in.Index)
		if err != nil {
			return err
		}
		return c.cbor(part)
	})
	add(s, route{
		method: http.MethodGet, path: protocol.PathSignHead, id: "sign-head", access: member,
		summary: "Get this member's part of the threshold signature on a certified checkpoint",
		gives:   protocol.TypeBytes, givesWhat: "Partial signature",
	}, func(c *call, in *atHeight) error {
		sig, err := s.b.SignHead(c.ctx, in.Height)
		if err != nil {
			return err
		}
		return c.bytes(protocol.TypeBytes, sig)
	})
	add(s, route{
		method: http.MethodPost, path: protocol.PathEndorse, id: "endorse", access: member,
		summary: "Ask for this member's consent to the next consortium file",
		takes:   protocol.TypeJSON, takesWhat: "The file", limit: protocol.MaxConsortium,
		gives: protocol.TypeCBOR, givesWhat: "Endorsement",
	}, func(c *call, _ *none) error {
		file, err := c.body(protocol.MaxConsortium)
		if err != nil {
			return err
		}
		next, err := chain.ParseConsortium(file)
		if err != nil {
			return errors.Join(protocol.ErrMalformed, err)
		}
		e, err := s.b.Endorse(c.ctx, next)
		if err != nil {
			return err
		}
		return c.cbor(e)
	})
}
