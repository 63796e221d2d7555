package replica

import (
	"bytes"
	"log/slog"
	"sync"
)

// lastWords keeps the newest lines of a member's log, for the report on a schedule that
// failed: what went wrong may never go wrong again in that way.
type lastWords struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

const lastLines = 30

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lines = append(w.lines, string(bytes.TrimSpace(p))); len(w.lines) > lastLines {
		w.lines = w.lines[1:]
	}
	return len(p), nil
}

func (w *lastWords) newest() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.lines...)
}

func (w *lastWords) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// words returns those of a member, of all its lives.
func (s *simulation) words(name string) *lastWords {
	w, _ := s.logs.LoadOrStore(name, new(lastWords))
	return w.(*lastWords)
}
