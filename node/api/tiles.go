package api

import (
	"net/http"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/node/protocol"
)

// tileRoutes adds what tools for transparency logs read.
func (s *Server) tileRoutes() {
	add(s, route{
		method: http.MethodGet, path: protocol.PathCheckpoint, id: "checkpoint", access: public,
		summary: "Get the newest certified checkpoint", gives: protocol.TypeNote,
		givesWhat: "Signed note, as C2SP tlog-checkpoint lays down",
	}, func(c *call, _ *none) error {
		cp, err := s.b.Checkpoint(c.ctx)
		if err != nil {
			return err
		}
		if cp == nil {
			return ward.ErrNotReady
		}
		b, err := cp.Bytes()
		if err != nil {
			return err
		}
		return c.bytes(protocol.TypeNote, b)
	})
}
