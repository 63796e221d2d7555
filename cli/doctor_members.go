package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/node/admin"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/store/storeurl"
)

const (
	oddClock   = 30 * time.Second // no two clocks in order are so far apart
	wrongClock = protocol.TokenWindow
	soonOver   = 30 * 24 * time.Hour // certificates
	patience   = 5 * time.Second     // with one node
)

// A visit is what a hospital's node said to a stranger.
type visit struct {
	member  chain.Member
	err     error // it is not reachable
	peerErr error // the other nodes do not reach it
	ready   bool
	offset  time.Duration // of its clock
	expires time.Time     // of its certificate
}

// members asks all nodes, and judges what the consortium can bear.
func (e *examination) members(ctx context.Context) {
	k := e.consortium
	visits := make([]visit, len(k.Members))
	done := make(chan int)
	for i := range k.Members {
		go func() {
			visits[i] = call(ctx, k.Members[i])
			done <- i
		}()
	}
	for range k.Members {
		<-done
	}
	reachable, ready := 0, 0
	for _, v := range visits {
		if v.err == nil {
			reachable++
		}
		if v.ready {
			ready++
		}
		e.member(v)
	}
	e.clock(visits)
	n := len(k.Members)
	text := message{"%d of %d hospitals are reachable; %d are needed", []any{reachable, n, k.CheckpointThreshold}}
	switch {
	case reachable < k.CheckpointThreshold:
		e.bad("quorum", problemFound, text, message{format: "nothing is written until more of them are back; nothing is lost"})
	case reachable == k.CheckpointThreshold && reachable < n:
		e.bad("quorum", warning, text, message{format: "one more that fails stops the chain: bring one back first"})
	default:
		e.ok("quorum", text)
	}
	if len(k.ExtractionKey) == 0 {
		return
	}
	text = message{"%d of %d hospitals answer with their shares; %d are needed", []any{ready, n, k.KeyThreshold}}
	switch {
	case ready < k.KeyThreshold:
		e.bad("shares", problemFound, text, message{format: "no record opens until more of them are back; nothing is lost"})
	case ready == k.KeyThreshold && ready < n:
		e.bad("shares", warning, text, message{format: "one more that fails and no record opens: bring one back first"})
	default:
		e.ok("shares", text)
	}
}

// call visits a node.
func call(ctx context.Context, m chain.Member) visit {
	v := visit{member: m}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.Peer); err != nil {
		v.peerErr = err
	} else {
		conn.Close()
	}
	config, err := protocol.ClientTLS(m.NodeKey, nil)
	if err != nil {
		v.err = err
		return v
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer client.CloseIdleConnections()
	get := func(path string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(m.URL, "/")+path, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(r)
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
			resp.Body.Close()
		}
		return resp, err
	}
	before := time.Now()
	resp, err := get(protocol.PathHealth)
	if err != nil {
		v.err = err
		return v
	}
	after := time.Now()
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		// Date has whole seconds: on average it is half a second early.
		v.offset = at.Add(time.Second / 2).Sub(before.Add(after.Sub(before) / 2)).Round(time.Second)
	}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		v.expires = resp.TLS.PeerCertificates[0].NotAfter
	}
	resp, err = get(protocol.PathReady)
	v.ready = err == nil && resp.StatusCode == http.StatusOK
	return v
}

// member says how one node is doing.
func (e *examination) member(v visit) {
	check := v.member.Name
	if e.card != nil && e.card.Name == check && e.status != nil && e.status.State == admin.Sealed {
		return // said already
	}
	switch {
	case errors.Is(v.err, protocol.ErrPinned):
		e.bad(check, problemFound, message{"another key answers at %s", []any{v.member.URL}}, message{format: "their node is sealed, or this is not their node: ask them on the telephone"})
	case v.err != nil:
		e.bad(check, problemFound, message{"%s is not reachable: %s", []any{v.member.URL, rootCause(v.err).Error()}}, message{format: "is their node running, and does a firewall let you through?"})
	case v.peerErr != nil && (e.card == nil || e.card.Name != check):
		e.bad(check, problemFound, message{"%s is not reachable for other nodes: %s", []any{v.member.Peer, rootCause(v.peerErr).Error()}}, message{format: "open that port between the hospitals, too"})
	case !v.expires.IsZero() && time.Until(v.expires) < soonOver:
		e.expiry(check, v.expires)
	case !v.ready:
		e.bad(check, warning, message{format: "reachable, and not ready"}, message{format: "`ward node status` there says why"})
	default:
		e.ok(check, message{format: "ready"})
	}
}

func (e *examination) expiry(check string, at time.Time) {
	day := at.Format(time.DateOnly)
	if time.Now().After(at) {
		e.bad(check, problemFound, message{"the certificate expired on %s", []any{day}}, message{format: "renew it"})
		return
	}
	e.bad(check, warning, message{"the certificate expires on %s", []any{day}}, message{format: "renew it"})
}

// clock compares this machine's clock with the others'.
func (e *examination) clock(visits []visit) {
	var offsets []time.Duration
	for _, v := range visits {
		if v.err == nil && (e.card == nil || v.member.Name != e.card.Name) {
			offsets = append(offsets, v.offset)
		}
	}
	if len(offsets) == 0 {
		return
	}
	slices.Sort(offsets)
	median := offsets[len(offsets)/2]
	text := message{"this clock and the others' differ by %s", []any{median.Abs()}}
	fix := message{format: "let the system's time service set it (chrony, systemd-timesyncd)"}
	switch {
	case median.Abs() >= wrongClock:
		e.bad("clock", problemFound, text, fix)
	case median.Abs() >= oddClock:
		e.bad("clock", warning, text, fix)
	default:
		e.ok("clock", text)
	}
	for _, v := range visits {
		if off := (v.offset - median).Abs(); v.err == nil && off >= oddClock && (e.card == nil || v.member.Name != e.card.Name) {
			e.bad("clock", warning, message{"the clock of %s differs from the others' by %s", []any{v.member.Name, off}}, message{format: "tell them"})
		}
	}
}

// store writes a payload, reads it and erases it.
func (e *examination) store(ctx context.Context, where string) {
	const check = "store"
	fix := message{format: "see docs/how-to/stores.md for what this kind of store needs"}
	if err := probeStore(ctx, where); err != nil {
		e.bad(check, problemFound, message{"%s: %s", []any{where, err.Error()}}, fix)
	} else {
		e.ok(check, message{"%s: written, read and erased", []any{where}})
	}
	if u, err := url.Parse(strings.TrimPrefix(where, "s3:")); err == nil && u.Scheme == "https" {
		addr := u.Host
		if u.Port() == "" {
			addr = net.JoinHostPort(u.Hostname(), "443")
		}
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return // the probe said so
		}
		defer conn.Close()
		if certs := conn.(*tls.Conn).ConnectionState().PeerCertificates; len(certs) > 0 && time.Until(certs[0].NotAfter) < soonOver {
			e.expiry(check, certs[0].NotAfter)
		}
	}
}

func probeStore(ctx context.Context, where string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 6*patience)
	defer cancel()
	st, err := storeurl.Open(ctx, storeurl.Options{}, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	want := make([]byte, 64)
	rand.Read(want)
	ref, err := st.Put(ctx, bytes.NewReader(want))
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	b, err := st.Open(ctx, ref)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	r := b.NewReader(ctx)
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close(), b.Close()); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if !bytes.Equal(got, want) {
		return errors.New("read: something else came back")
	}
	if err := st.Delete(ctx, ref); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	return nil
}
