package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node/protocol"
)

const (
	// lookEvery is how often a stream looks whether the chain has grown.
	lookEvery = 200 * time.Millisecond
	// atOnce is how many transactions a stream that is behind goes through
	// before it lets others do something.
	atOnce = 256
	// lookUps is of how many owners a stream looks up the grants before it lets
	// others do something: each is a read that the members agree on.
	lookUps = 10
	// lookUpsOfNames is of how many owners it looks up the guardians, which takes
	// a single entry of the state.
	lookUpsOfNames = 64
	// kept is how many transactions' events are kept for all streams.
	kept = 4096
)

// A feed has the events of the newest transactions, for all streams together.
type feed struct {
	b Backend

	mu   sync.Mutex
	ring [kept]*leaf // guarded by mu; by index modulo its length
}

type leaf struct {
	index  uint64
	time   int64
	events []chain.Event
}

func (f *feed) leaf(ctx context.Context, index uint64) (*leaf, error) {
	f.mu.Lock()
	l := f.ring[index%kept]
	f.mu.Unlock()
	if l != nil && l.index == index {
		return l, nil
	}
	r, err := f.b.Receipt(ctx, index)
	if err != nil {
		return nil, err
	}
	l = &leaf{index, r.Result.Time, r.Result.Events}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring[index%kept] = l
	return l, nil
}

type after struct {
	After int64  `query:"after" default:"-2" doc:"Leaf index of the last transaction seen. -1 begins with the first one; without it, the stream begins with what comes next"`
	Last  string `header:"Last-Event-ID" maxLength:"20" doc:"The same, as clients send it that resume; it counts first"`
}

func (s *Server) eventRoute() {
	add(s, route{
		method: http.MethodGet, path: protocol.PathEvents, id: "events", access: caller, stream: true,
		summary: "Follow what happens on the chain, as far as the caller may see it",
		gives:   protocol.TypeEvents, givesWhat: "Server-sent events. The data of each is {index, time, kind, data}: leaf index, block time in Unix milliseconds, kind such as consent/grant, and base64 of CBOR as the contract says. The id is the leaf index; only the last event of a transaction has one",
	}, s.follow)
}

func (s *Server) follow(c *call, in *after) error {
	cp, err := c.certified()
	if err != nil {
		return err
	}
	next := cp.Size
	if in.After >= -1 {
		next = uint64(in.After + 1)
	}
	if in.Last != "" {
		last, err := strconv.ParseUint(in.Last, 10, 62)
		if err != nil {
			return protocol.ErrMalformed
		}
		next = last + 1
	}
	c.w.Header().Set("Content-Type", protocol.TypeEvents)
	s.meter.streams.Inc()
	defer s.meter.streams.Dec()
	st := &stream{call: c, out: c.w, next: next, control: http.NewResponseController(c.w)}
	look, beat := time.NewTicker(lookEvery), time.NewTicker(s.opt.Limits.Beat)
	defer look.Stop()
	defer beat.Stop()
	for err := st.beat(); ; {
		if err == nil {
			err = st.advance(cp.Size)
		}
		if err != nil {
			return err
		}
		select {
		case <-c.ctx.Done():
			return nil
		case <-s.stop:
			return nil
		case <-beat.C:
			if err = c.renew(); err == nil {
				err = st.beat()
			}
		case <-look.C:
			var newest *chain.Checkpoint
			if newest, err = c.certified(); err == nil {
				cp = newest
			}
		}
	}
}

// A stream is one that is being written.
type stream struct {
	*call
	out     io.Writer
	next    uint64 // leaf index
	control *http.ResponseController
}

// advance writes the events of some of the transactions that the tree has.
func (st *stream) advance(size uint64) error {
	st.granted, st.wards = make(map[identity.Name][]*consent.Grant), make(map[identity.Name]bool) // as of now
	for end := min(size, st.next+atOnce); st.next < end && len(st.granted) < lookUps && len(st.wards) < lookUpsOfNames; st.next++ {
		l, err := st.s.feed.leaf(st.ctx, st.next)
		if err != nil {
			return err
		}
		var seen []protocol.Event
		for _, e := range l.events {
			ok, err := st.s.seesEvent(st.call, e)
			if err != nil {
				return err
			}
			if ok {
				seen = append(seen, protocol.Event{Index: l.index, Time: l.time, Kind: e.Kind, Data: e.Data})
			}
		}
		for i, e := range seen {
			if err := st.event(e, i == len(seen)-1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (st *stream) event(e protocol.Event, last bool) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("event: %s\ndata: %s\n\n", e.Kind, data)
	if last {
		text = fmt.Sprintf("id: %d\n%s", e.Index, text)
	}
	return st.write(text)
}

// beat says how far the stream is, so that a client which resumes need not go
// through what it may not see again.
func (st *stream) beat() error {
	if st.next == 0 {
		return st.write(": ward\n\n")
	}
	return st.write(fmt.Sprintf("id: %d\n\n", st.next-1))
}

func (st *stream) write(text string) error {
	if err := st.control.SetWriteDeadline(time.Now().Add(st.s.opt.Limits.Body)); err != nil {
		return err
	}
	if _, err := io.WriteString(st.out, text); err != nil {
		return err
	}
	return st.control.Flush()
}

// renew finds out whether the caller is still who it was when the stream began.
func (c *call) renew() error {
	if m := c.who.Member; m != nil {
		if now := c.s.b.Members().MemberByKey(m.NodeKey); now == nil || now.Name != m.Name {
			return &protocol.AuthError{Code: protocol.CodeTokenUnknown}
		}
		return nil
	}
	now, err := c.s.b.Identify(c.ctx, c.who.Identity.Key)
	if errors.Is(err, identity.ErrUnknown) || err == nil && now.Identity == nil {
		return &protocol.AuthError{Code: protocol.CodeTokenUnknown}
	}
	if err == nil {
		c.who.Identity = now.Identity
	}
	return err
}
