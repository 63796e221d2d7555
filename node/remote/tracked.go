package remote

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// tracked says whether a request got a connection: before that, nothing can
// have reached the node.
type tracked struct{ connected atomic.Bool }

func (t *tracked) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
	})
}

func (t *tracked) sent() bool { return t.connected.Load() }
