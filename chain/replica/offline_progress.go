package replica

import (
	"io/fs"
	"path/filepath"

	"github.com/ward-health/ward/chain/replica/seglog"
)

// progress tells how far Verify is, as if bytes were spread evenly over the blocks.
type progress struct {
	tell                    func(checked, all int64) // nil if nobody asked
	blocks, state, sidecars int64                    // bytes on disk
}

func newProgress(opt VerifyOptions, blocks *seglog.Log) *progress {
	p := &progress{tell: opt.Progress}
	if p.tell != nil {
		p.blocks, p.state, p.sidecars = blocks.Size(), bytesIn(filepath.Join(opt.Dir, "state")), bytesIn(filepath.Join(opt.Dir, "sidecars"))
	}
	return p
}

// at tells that of bytes after the first so many the part up to a block is checked.
func (p *progress) at(before, bytes int64, height, last uint64) {
	if p.tell != nil {
		p.tell(before+int64(float64(bytes)*float64(height)/float64(last)), 2*p.blocks+p.state+p.sidecars)
	}
}

// bytesIn returns how large the files in a directory are together, of those that can
// be looked at.
func bytesIn(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil // what cannot be read is found when it is checked
	})
	return n
}
