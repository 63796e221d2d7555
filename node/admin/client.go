package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/node"
)

// A Client speaks to the node that runs in a directory of this machine. Its
// methods may be called concurrently. An error matches ward.ErrUnavailable if no
// node runs there, and is an *Error if the node reported it.
type Client struct {
	http *http.Client
}

// NewClient returns a client. It does not connect yet.
func NewClient(dir string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		DisableKeepAlives: true,
	}}}
}

// call makes a request and returns the body of the answer.
func (c *Client) call(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body io.Reader
	if in != nil {
		b := marshal(in)
		defer clear(b) // it may be a passphrase
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		if errors.Is(err, ward.ErrUnavailable) || ctx.Err() != nil {
			return nil, errors.Unwrap(err) // without the made-up URL
		}
		return nil, fmt.Errorf("%w: the node hung up", ward.ErrUnavailable)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("%w: the node hung up", ward.ErrUnavailable)
	}
	if resp.StatusCode != http.StatusOK {
		var t trouble
		if json.Unmarshal(b, &t) != nil {
			t = trouble{}
		}
		return nil, t.err(resp.StatusCode)
	}
	return b, nil
}

// fetch makes a request whose answer is JSON.
func fetch[Out any](ctx context.Context, c *Client, method, path string, in any) (*Out, error) {
	b, err := c.call(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	out := new(Out)
	if err := json.Unmarshal(b, out); err != nil {
		return nil, fmt.Errorf("%w: answer of the node: %w", ward.ErrUnavailable, err)
	}
	return out, nil
}

// Status returns how the node is doing.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return fetch[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Consortium returns the consortium file in force.
func (c *Client) Consortium(ctx context.Context) (*chain.Consortium, error) {
	b, err := c.call(ctx, http.MethodGet, "/v1/consortium", nil)
	if err != nil {
		return nil, err
	}
	return chain.ParseConsortium(b)
}

// Unlock opens the node's vault. The error matches vault.ErrPassphrase if that is
// what is wrong.
func (c *Client) Unlock(ctx context.Context, passphrase []byte) error {
	_, err := c.call(ctx, http.MethodPost, "/v1/unlock", unlockRequest{passphrase})
	return err
}

// Ceremony returns the newest key ceremony; ward.ErrNotFound if there was none.
func (c *Client) Ceremony(ctx context.Context) (*Ceremony, error) {
	return fetch[Ceremony](ctx, c, http.MethodGet, "/v1/ceremony", nil)
}

// OpenCeremony opens a key ceremony, with the longest times in milliseconds that
// its phases may take, and accepts it for this member.
func (c *Client) OpenCeremony(ctx context.Context, windows [4]uint64) (*Ceremony, error) {
	return fetch[Ceremony](ctx, c, http.MethodPost, "/v1/ceremony/open", openRequest{windows})
}

// AcceptCeremony lets the node take part in the ceremony with this hash.
func (c *Client) AcceptCeremony(ctx context.Context, h chain.Hash) error {
	_, err := c.call(ctx, http.MethodPost, "/v1/ceremony/accept", acceptRequest{h})
	return err
}

// Propose approves the next consortium file for this member, and puts it in force
// if enough members have approved it.
func (c *Client) Propose(ctx context.Context, next *chain.Consortium) (*Endorsed, error) {
	b, err := next.Bytes()
	if err != nil {
		return nil, err
	}
	return fetch[Endorsed](ctx, c, http.MethodPost, "/v1/consortium/propose", proposeRequest{b})
}

// Submit is SubmitTo for contract/identity, as for registering the member's
// people.
func (c *Client) Submit(ctx context.Context, method string, args []byte) (*chain.Receipt, error) {
	return c.SubmitTo(ctx, identity.Contract, method, args)
}

// SubmitTo puts a transaction on the chain that is signed with the node key: of
// contract/identity or contract/workflow, or what the hospital proposes to its
// patients (consent.MethodDefaults); no other is for operators. The error is the
// contract's code if it refuses.
func (c *Client) SubmitTo(ctx context.Context, contract, method string, args []byte) (*chain.Receipt, error) {
	r, err := fetch[submitted](ctx, c, http.MethodPost, "/v1/transactions", submitRequest{contract, method, args})
	if err != nil {
		return nil, err
	}
	return chain.ParseReceipt(r.Receipt)
}

// SetLogLevel changes from which level on the node logs: debug, info, warn or
// error.
func (c *Client) SetLogLevel(ctx context.Context, level string) error {
	_, err := c.call(ctx, http.MethodPost, "/v1/log-level", levelRequest{level})
	return err
}

// Stop asks the node to end in order. It returns before it has.
func (c *Client) Stop(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodPost, "/v1/stop", none{})
	return err
}

// DefaultWindows are those of node.DefaultWindows in milliseconds.
func DefaultWindows() (ms [4]uint64) {
	for i, w := range node.DefaultWindows {
		ms[i] = w.Milliseconds
	}
	return ms
}
