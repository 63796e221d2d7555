package api

// feed follows the chain for all event streams together.
type feed struct{ b Backend }

func (s *Server) eventRoute() {}
