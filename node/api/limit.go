package api

import (
	"net"
	"sync"
	"time"

	"github.com/ward-health/ward"
)

// maxBuckets bounds what is remembered of callers.
const maxBuckets = 1 << 16

// limits count what callers ask for.
type limits struct {
	mu      sync.Mutex
	buckets map[string]bucket // guarded by mu; one that is missing is full
	streams map[string]int    // guarded by mu
}

// A bucket holds what a caller may still ask for at a time.
type bucket struct {
	left float64
	at   time.Time
	rate Rate
}

func (b bucket) filled(now time.Time) float64 {
	return min(float64(b.rate.Burst), b.left+max(0, now.Sub(b.at).Seconds())*b.rate.PerSecond)
}

// take counts one request. It returns ward.ErrBusy if that is one too many.
func (l *limits) take(w who, r Rate, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.left(w.key(), r, now)
	if left < 1 {
		return ward.ErrBusy
	}
	if len(l.buckets) >= maxBuckets {
		l.forget(now)
	}
	l.buckets[w.key()] = bucket{left - 1, now, r}
	return nil
}

// has reports whether take would succeed.
func (l *limits) has(w who, r Rate, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left(w.key(), r, now) >= 1
}

// left is called with mu held.
func (l *limits) left(key string, r Rate, now time.Time) float64 {
	if l.buckets == nil {
		l.buckets = make(map[string]bucket)
	}
	b, ok := l.buckets[key]
	if !ok {
		return float64(r.Burst)
	}
	return b.filled(now)
}

// forget drops the buckets that are full again, and if that does not help, all:
// better to count anew than to grow. It is called with mu held.
func (l *limits) forget(now time.Time) {
	for k, b := range l.buckets {
		if b.filled(now) >= float64(b.rate.Burst) {
			delete(l.buckets, k)
		}
	}
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}

// stream counts a stream until it is released.
func (l *limits) stream(w who, most int) (release func(), err error) {
	if w.Member != nil {
		most *= 16
	}
	key := w.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams == nil {
		l.streams = make(map[string]int)
	}
	if l.streams[key] >= most {
		return nil, ward.ErrBusy
	}
	l.streams[key]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.streams[key]--; l.streams[key] == 0 {
			delete(l.streams, key)
		}
	}, nil
}

// A limitedListener has no more than so many connections open.
type limitedListener struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func newLimitedListener(l net.Listener, most int) *limitedListener {
	return &limitedListener{Listener: l, slots: make(chan struct{}, most), done: make(chan struct{})}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
