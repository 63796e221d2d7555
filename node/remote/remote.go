// Package remote speaks to a member's node over HTTPS. A Node is a ward.Node
// for clients, and has what members ask each other besides. It talks to nobody
// but the holder of the node key that the consortium file has for the member,
// and takes nothing that the node says on trust: checking it is for the caller,
// as the interface says.
package remote

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/store"
)

// Options say whose node it is and who calls.
type Options struct {
	// Consortium is the consortium file that the caller trusts, of any epoch in
	// which the member has the node key that it has now. Required.
	Consortium *chain.Consortium
	// Member is whose node is called. Required.
	Member string
	// Signer proves who calls: the key of a registered identity, or the node key
	// of a member of the consortium. nil is for the few things that a node tells
	// everybody.
	Signer crypto.Signer
	// Clock is time.Now unless a test says otherwise.
	Clock func() time.Time
	// Retry applies to reading blobs; the zero value means the defaults.
	Retry store.Retry
	// Patience is how long putting, getting and listing blobs waits in all while
	// the node is busy, as the node asks for; what a busy node refuses it did not
	// do. Default one minute; negative for not at all. A ward.Client waits by
	// itself for the rest.
	Patience time.Duration
	// Wrap, if not nil, wraps what makes the requests: for tests.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// A Node is the node of a member, far away. It implements ward.Node. Its
// methods may be called concurrently.
type Node struct {
	base   string
	opt    Options
	token  bool // the caller proves itself with tokens
	client http.Client
	idle   func()
}

// New returns the node at an https base URL; an empty one stands for the URL in
// the consortium file. It connects when it is first used.
func New(base string, opt Options) (*Node, error) {
	if opt.Consortium == nil {
		return nil, errors.New("remote: no consortium file")
	}
	m := opt.Consortium.Member(opt.Member)
	if m == nil {
		return nil, fmt.Errorf("remote: the consortium has no member %q", opt.Member)
	}
	if base == "" {
		base = m.URL
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("remote: not an https URL of a node")
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Patience == 0 {
		opt.Patience = time.Minute
	}
	n := &Node{base: strings.TrimRight(base, "/"), opt: opt}
	var certified crypto.Signer
	if opt.Signer != nil {
		pub, ok := opt.Signer.Public().(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("remote: key is not Ed25519")
		}
		if opt.Consortium.MemberByKey(chain.PublicKey(pub)) != nil {
			certified = opt.Signer
		} else {
			n.token = true
		}
	}
	config, err := protocol.ClientTLS(m.NodeKey, certified)
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        90 * time.Second, // less than the server's, so that none breaks when it is used again
		ExpectContinueTimeout:  2 * time.Second,
		MaxIdleConnsPerHost:    64,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
	n.idle = transport.CloseIdleConnections
	n.client.Transport = transport
	if opt.Wrap != nil {
		n.client.Transport = opt.Wrap(transport)
	}
	n.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return n, nil
}

// Close closes the connections that are not in use.
func (n *Node) Close() error {
	n.idle()
	return nil
}

// A request is one to the node.
type request struct {
	method, path string
	query        url.Values
	mediaType    string
	body         []byte    // or
	stream       io.Reader // which can be sent once
	byteRange    string
	accept       string
}

// do sends a request and returns the response, which is a success and whose
// body the caller closes. sent says whether any of it may have reached the node.
func (n *Node) do(ctx context.Context, q request) (resp *http.Response, sent bool, err error) {
	for attempt := 1; ; attempt++ {
		resp, sent, err = n.once(ctx, q)
		refused := new(protocol.AuthError)
		if attempt == 1 && q.stream == nil && errors.As(err, &refused) && refused.Code == protocol.CodeTokenReplayed {
			continue // the transport sent it twice, over a connection that broke
		}
		return resp, sent, err
	}
}

func (n *Node) once(ctx context.Context, q request) (resp *http.Response, sent bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, false, err
	}
	target := n.base + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	var body io.Reader
	switch {
	case q.stream != nil:
		body = q.stream
	case q.body != nil:
		body = bytes.NewReader(q.body)
	}
	track := new(tracked)
	req, err := http.NewRequestWithContext(track.watch(ctx), q.method, target, body)
	if err != nil {
		return nil, false, err
	}
	if q.mediaType != "" {
		req.Header.Set("Content-Type", q.mediaType)
	}
	if q.body != nil {
		// Everything that is posted whole may be repeated, the transport is told.
		req.Header["Idempotency-Key"] = nil
	}
	if q.stream != nil {
		// What the node refuses is refused before it is sent.
		req.Header.Set("Expect", "100-continue")
	}
	if q.byteRange != "" {
		req.Header.Set("Range", q.byteRange)
	}
	req.Header.Set("User-Agent", "ward")
	if n.token {
		token, err := protocol.SignToken(n.opt.Consortium.Chain, n.opt.Member, n.opt.Clock(), n.opt.Signer)
		if err != nil {
			return nil, false, err
		}
		req.Header.Set("Authorization", protocol.Scheme+" "+token)
	}
	resp, err = n.client.Do(req)
	if err != nil {
		return nil, track.sent(), n.broken(ctx, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, true, nil
	}
	defer resp.Body.Close() // what follows the problem does not matter
	text, err := io.ReadAll(io.LimitReader(resp.Body, protocol.MaxProblem))
	if err != nil {
		return nil, true, n.broken(ctx, err)
	}
	err = fmt.Errorf("%s: %w", n.opt.Member, protocol.ParseProblem(resp.StatusCode, resp.Header.Get("Content-Type"), text).Err())
	return nil, true, timed(err, resp.Header.Get("Retry-After"))
}

// broken returns the error of a connection that failed.
func (n *Node) broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL
	}
	return fmt.Errorf("%s: %w: %w", n.opt.Member, ward.ErrUnavailable, err)
}

// get returns the body of an answer, of at most limit bytes.
func (n *Node) get(ctx context.Context, q request, limit int64) ([]byte, error) {
	b, _, err := n.exchange(ctx, q, limit)
	return b, err
}

func (n *Node) exchange(ctx context.Context, q request, limit int64) (b []byte, sent bool, err error) {
	resp, sent, err := n.do(ctx, q)
	if err != nil {
		return nil, sent, err
	}
	defer resp.Body.Close() // it is read to its end, or of no use
	if got := resp.Header.Get("Content-Type"); q.accept != "" && got != q.accept {
		return nil, true, fmt.Errorf("%s: %w: the answer is of another type than asked for", n.opt.Member, ward.ErrUnavailable)
	}
	b, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, true, n.broken(ctx, err)
	case int64(len(b)) > limit:
		return nil, true, fmt.Errorf("%s: %w: answer", n.opt.Member, protocol.ErrTooLarge)
	}
	return b, true, nil
}

// fetch reads an answer in CBOR into v.
func (n *Node) fetch(ctx context.Context, q request, limit int64, v any) error {
	q.accept = protocol.TypeCBOR
	b, err := n.get(ctx, q, limit)
	if err != nil {
		return err
	}
	if err := chain.Unmarshal(b, v); err != nil {
		return n.malformed(err)
	}
	return nil
}

// malformed is the error for an answer that no honest node gives.
func (n *Node) malformed(err error) error {
	return fmt.Errorf("%s: %w: %w", n.opt.Member, ward.ErrIntegrity, err)
}

// at fills a number into a pattern.
func at(pattern string, number uint64) string {
	before, rest, _ := strings.Cut(pattern, "{")
	_, after, _ := strings.Cut(rest, "}")
	return before + strconv.FormatUint(number, 10) + after
}
