package store

import "io"

// ProgressReader returns a reader of r that calls report with the bytes read so
// far, after every read that moved.
func ProgressReader(r io.Reader, report func(done int64)) io.Reader {
	return &progressReader{r: r, report: report}
}

type progressReader struct {
	r      io.Reader
	report func(int64)
	done   int64
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 {
		p.done += int64(n)
		p.report(p.done)
	}
	return n, err
}
