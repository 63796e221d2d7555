package pairing

import "github.com/ward-health/ward/internal/wire"

// WriteG1 appends the 48 bytes of g.
func WriteG1(w *wire.Writer, g G1) {
	b := g.Bytes()
	w.Raw(b[:])
}

// ReadG1 takes a point off r, as strict as [ParseG1]; a malformed one becomes
// r's error.
func ReadG1(r *wire.Reader) G1 {
	b := r.Raw(G1Size)
	if r.Err() != nil {
		return G1{}
	}
	g, err := ParseG1(b)
	if err != nil {
		r.Fail(err)
	}
	return g
}
