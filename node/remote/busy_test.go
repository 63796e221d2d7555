package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger/ledgertest"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/api/apitest"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/node/remote"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/storetest"
)

// A queue is a node that is busy for so many requests, and then takes a blob.
type queue struct {
	busy  int
	after string // Retry-After
	reads int64  // how much of a blob it reads before it says so
	code  string

	asked []time.Time
	got   []byte
}

func (q *queue) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	q.asked = append(q.asked, time.Now())
	h := make(http.Header)
	if len(q.asked) <= q.busy {
		if _, err := io.CopyN(io.Discard, r.Body, q.reads); err != nil {
			return nil, err
		}
		h.Set("Content-Type", protocol.TypeProblem)
		h.Set("Retry-After", q.after)
		return &http.Response{StatusCode: 429, Header: h, Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"status":429,"code":%q}`, q.code)))}, nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	q.got = b
	ob, err := store.Digest(r.Context(), nil, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	h.Set("Content-Type", protocol.TypeNote)
	return &http.Response{StatusCode: 201, Header: h, Body: io.NopCloser(strings.NewReader(ob.Ref().String()))}, nil
}

func (q *queue) put(t *testing.T, ctx context.Context, patience time.Duration, k *chain.Consortium) error {
	n, err := remote.New("", remote.Options{
		Consortium: k, Member: "east", Signer: ledgertest.Key("west"), Patience: patience,
		Wrap: func(http.RoundTripper) http.RoundTripper { return q },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Blobs().Put(ctx, bytes.NewReader(storetest.Bytes(1, 3*store.LeafSize)))
	return err
}

// TestPutWaitsWhileTheNodeIsBusy: as long as the node asks, and no longer in all
// than the caller wants; and only if nothing of the blob was read.
func TestPutWaitsWhileTheNodeIsBusy(t *testing.T) {
	k := apitest.Founding(t)
	const busy = "node/busy"
	for what, tt := range map[string]struct {
		queue
		patience, until time.Duration
		requests        int
		want            error
	}{
		"for a while":          {queue{busy: 4, after: "5", code: busy}, 0, 0, 5, nil},
		"not said how long":    {queue{busy: 3, code: busy}, 0, 0, 4, nil},
		"for too long":         {queue{busy: 1e6, after: "21", code: busy}, 0, 0, 3, ward.ErrBusy},
		"for longer than that": {queue{busy: 1e6, after: "4000000000", code: busy}, 0, 0, 2, ward.ErrBusy},
		"no patience":          {queue{busy: 1e6, after: "1", code: busy}, -1, 0, 1, ward.ErrBusy},
		"the caller has gone":  {queue{busy: 1e6, after: "5", code: busy}, 0, 7 * time.Second, 2, ward.ErrBusy},
		"it read some":         {queue{busy: 1, after: "1", code: busy, reads: 1}, 0, 0, 1, ward.ErrBusy},
		"refused":              {queue{busy: 1, after: "1", code: "node/unknown-outcome"}, 0, 0, 1, ward.ErrUnknown},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.until > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.until)
					defer cancel()
				}
				began := time.Now()
				err := tt.put(t, ctx, tt.patience, k)
				took := time.Since(began)
				// What is drawn makes a pause up to half as long again.
				if n := len(tt.asked); !errors.Is(err, tt.want) || n > tt.requests || n < tt.requests-1 || n == 0 || tt.want == nil && n != tt.requests {
					t.Fatalf("%d requests, %v; want %d, %v", n, err, tt.requests, tt.want)
				}
				if took > time.Minute {
					t.Errorf("it took %v", took)
				}
				for i := range tt.asked[1:] {
					if pause := tt.asked[i+1].Sub(tt.asked[i]); tt.after == "5" && pause < 5*time.Second || pause < 100*time.Millisecond {
						t.Errorf("the node was left alone for %v", pause)
					}
				}
				if tt.want == nil && !bytes.Equal(tt.got, storetest.Bytes(1, 3*store.LeafSize)) {
					t.Errorf("%d bytes arrived", len(tt.got))
				}
			})
		})
	}
}

// TestManyAtOnceAreServedInTurn: who asks for more than its limits is slowed
// down, and nothing of it fails.
func TestManyAtOnceAreServedInTurn(t *testing.T) {
	e := apitest.New(t, "east", time.Now)
	e.Register(reader)
	url, _ := apitest.Serve(t, e, api.Options{Limits: api.Limits{Streams: 2, Caller: api.Rate{PerSecond: 20, Burst: 10}}})
	n, err := remote.New(url, remote.Options{Consortium: apitest.Founding(t), Member: "east", Signer: ledgertest.Key(reader)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			blob := storetest.Bytes(uint64(i), 1000)
			ref, err := n.Blobs().Put(t.Context(), bytes.NewReader(blob))
			if err != nil {
				t.Errorf("Put: %v", err)
				return
			}
			if _, err := n.Blobs().Stat(t.Context(), ref); err != nil {
				t.Errorf("Stat: %v", err)
			}
		})
	}
	all.Wait()
}
