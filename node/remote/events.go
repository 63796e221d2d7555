package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/node/protocol"
)

// maxLine is the length in bytes of the longest line of an event stream.
const maxLine = 64 << 10

// Events yields the events of the chain that the caller may see, in order: of
// transactions behind the one with leaf index after; -1 begins with the first
// transaction, and -2 with what comes next. Connections that break are made
// again, without gaps; the events of one transaction may then come twice. It
// goes on until ctx is done, which it yields as an error, or the node refuses.
//
// Events are what the node says. What rests on one asks for the receipt of its
// transaction.
func (n *Node) Events(ctx context.Context, after int64) iter.Seq2[protocol.Event, error] {
	return func(yield func(protocol.Event, error) bool) {
		pause := time.Duration(0)
		for {
			moved, err := n.follow(ctx, &after, yield)
			switch {
			case errors.Is(err, errStopped):
				return
			case ctx.Err() != nil:
				yield(protocol.Event{}, context.Cause(ctx))
				return
			case !errors.Is(err, ward.ErrUnavailable) && !errors.Is(err, ward.ErrBusy) && !errors.Is(err, ward.ErrNotReady):
				yield(protocol.Event{}, err)
				return
			}
			if pause = min(2*pause+100*time.Millisecond, 10*time.Second); moved {
				pause = 100 * time.Millisecond
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// errStopped says that the caller wants no more.
var errStopped = errors.New("stopped")

// follow reads one stream until it breaks, and keeps after at the last
// transaction whose events are all read.
func (n *Node) follow(ctx context.Context, after *int64, yield func(protocol.Event, error) bool) (moved bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The node says something every ten seconds.
	quiet := time.AfterFunc(quietFor, func() { cancel(errQuiet) })
	defer quiet.Stop()
	q := url.Values{}
	if *after >= -1 {
		q.Set("after", strconv.FormatInt(*after, 10))
	}
	resp, _, err := n.do(ctx, request{method: http.MethodGet, path: protocol.PathEvents, query: q})
	if err != nil {
		return false, n.quiet(ctx, err)
	}
	defer resp.Body.Close() // it was only read
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	var id, data string
	for lines.Scan() {
		quiet.Reset(quietFor)
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "id":
			id = value
		case field == "data":
			data = value
		case lines.Text() == "":
			if data != "" {
				var e protocol.Event
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					return moved, n.malformed(err)
				}
				moved = true
				if !yield(e, nil) {
					return moved, errStopped
				}
			}
			if id != "" {
				last, err := strconv.ParseInt(id, 10, 64)
				if err != nil || last < 0 {
					return moved, n.malformed(errors.New("id of an event"))
				}
				*after = last
			}
			id, data = "", ""
		}
	}
	err = lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return moved, n.malformed(err)
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	return moved, n.quiet(ctx, n.broken(ctx, err))
}

const quietFor = 30 * time.Second

var errQuiet = errors.New("the node says nothing")

// quiet makes an error of the connection from the node's silence.
func (n *Node) quiet(ctx context.Context, err error) error {
	if context.Cause(ctx) == errQuiet {
		return fmt.Errorf("%s: %w: %w", n.opt.Member, ward.ErrUnavailable, errQuiet)
	}
	return err
}
