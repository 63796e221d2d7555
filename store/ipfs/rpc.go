package ipfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/ward-health/ward/store"
)

// An RPCError is what the node answers instead of doing what it was asked.
type RPCError struct {
	Command string
	Status  int // of HTTP
	Message string
}

// Error gives the command and the message.
func (e *RPCError) Error() string {
	return fmt.Sprintf("ipfs %s: %d: %s", e.Command, e.Status, e.Message)
}

// rpc calls the HTTP RPC interface of Kubo,
// https://docs.ipfs.tech/reference/kubo/rpc/.
type rpc struct {
	base          string
	authorization string
	client        http.Client
	close         func() // may be nil
}

// maxMessage bounds what is read of an error.
const maxMessage = 4 << 10

// post runs a command and returns its answer, whose body the caller closes.
func (c *rpc) post(ctx context.Context, command string, args url.Values, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+command+"?"+args.Encode(), body)
	if err != nil {
		return nil, store.Permanent(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.authorization != "" {
		req.Header.Set("Authorization", c.authorization)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("ipfs %s: %w", command, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	refused := &RPCError{Command: command, Status: resp.StatusCode}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	var message struct{ Message string }
	if err == nil && json.Unmarshal(text, &message) == nil {
		refused.Message = message.Message
	}
	if resp.StatusCode >= 500 && message.Message == "" || resp.StatusCode == http.StatusTooManyRequests {
		return nil, refused // a proxy in front of the node, or a node that is ill
	}
	return nil, store.Permanent(refused)
}

// call runs a command and parses its output, which is one JSON value.
func call[T any](ctx context.Context, c *rpc, command string, args url.Values) (T, error) {
	var answer T
	n := 0
	for v, err := range stream[T](ctx, c, command, args) {
		if err != nil {
			return answer, err
		}
		answer = v
		n++
	}
	if n != 1 {
		return answer, fmt.Errorf("ipfs %s: %d answers", command, n)
	}
	return answer, nil
}

// streamError returns the error that the node put behind a body which was read
// to its end.
func streamError(command string, resp *http.Response) error {
	if message := resp.Trailer.Get("X-Stream-Error"); message != "" {
		return &RPCError{Command: command, Status: resp.StatusCode, Message: message}
	}
	return nil
}

// stream runs a command and yields its output, which is a sequence of JSON
// values. Several may be answers or none.
func stream[T any](ctx context.Context, c *rpc, command string, args url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		resp, err := c.post(ctx, command, args, "", nil)
		if err != nil {
			yield(zero, err)
			return
		}
		defer resp.Body.Close()
		dec := json.NewDecoder(resp.Body)
		for {
			var v T
			err := dec.Decode(&v)
			if errors.Is(err, io.EOF) {
				if err := streamError(command, resp); err != nil {
					yield(zero, err)
				}
				return
			}
			if err != nil {
				if cause := context.Cause(ctx); cause != nil {
					err = cause
				}
				yield(zero, fmt.Errorf("ipfs %s: %w", command, err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}
