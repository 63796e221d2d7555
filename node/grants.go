package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/keys"
	"github.com/ward-health/ward/node/vault"
	"github.com/ward-health/ward/pre"
)

const (
	maxAccepts = 256       // in one transaction
	sweepEvery = time.Hour // through all grants
)

// A grantKeeper takes this member's shares of new grants into the vault and says
// so on the chain, and erases those of grants that ended. What to do follows
// from the state, so that it does not matter if it is done late or twice.
type grantKeeper struct {
	*core
	wake *signal

	mu      sync.Mutex
	noticed map[consent.GrantID]bool // guarded by mu
}

func newGrantKeeper(c *core) *grantKeeper {
	return &grantKeeper{core: c, wake: newSignal(), noticed: map[consent.GrantID]bool{}}
}

// notice asks to look at a grant that began or ended.
func (g *grantKeeper) notice(ids ...consent.GrantID) {
	g.mu.Lock()
	for _, id := range ids {
		g.noticed[id] = true
	}
	g.mu.Unlock()
	if len(ids) > 0 {
		g.wake.fire()
	}
}

// take returns up to maxAccepts noticed grants, ascending.
func (g *grantKeeper) take() []consent.GrantID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []consent.GrantID
	for id := range g.noticed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	ids = ids[:min(len(ids), maxAccepts)]
	for _, id := range ids {
		delete(g.noticed, id)
	}
	return ids
}

func (g *grantKeeper) run(ctx context.Context) {
	g.announce(ctx)
	var swept time.Time
	for ctx.Err() == nil {
		woken := g.wake.wait()
		if now := g.cfg.Clock(); swept.IsZero() || now.Sub(swept) >= sweepEvery {
			if err := g.sweep(ctx); err != nil {
				g.log.Warn("cannot go through the grants", "error", err)
			} else {
				swept = now
			}
		}
		ids := g.take()
		if len(ids) == 0 {
			pause(ctx, time.Minute, woken)
			continue
		}
		if err := g.settle(ctx, ids); err != nil && ctx.Err() == nil {
			g.log.Warn("cannot settle grants", "grants", len(ids), "error", err)
			pause(ctx, 500*time.Millisecond, nil)
			g.notice(ids...)
		}
	}
}

// announce publishes the transport key, unless the chain has it.
func (g *grantKeeper) announce(ctx context.Context) {
	for ctx.Err() == nil {
		var have []byte
		err := g.replica.Read(ctx, func(v *replica.View) (err error) {
			have, err = keys.Transport(v.Of(keys.Contract), g.cfg.Member)
			have = slices.Clone(have)
			return err
		})
		if err == nil {
			if !slices.Equal(have, g.transport.Public()) {
				_, err = g.submit(ctx, keys.Contract, keys.MethodAnnounce, keys.AnnounceArgs{Transport: g.transport.Public()})
			}
			if err == nil {
				g.announced.Store(true)
				return
			}
		}
		if ctx.Err() == nil {
			g.log.Warn("cannot announce the transport key", "error", err)
		}
		pause(ctx, time.Second, nil)
	}
}

// A task is what a grant asks of this member.
type task struct {
	grant  *consent.Grant
	index  uint8  // this member's, in the sharing the grant was dealt to; 0 if it has none
	accept bool   // open the share, and say so
	ended  bool   // erase the share
	last   uint32 // newest generation there may be a share of
}

// settle does what the noticed grants ask for.
func (g *grantKeeper) settle(ctx context.Context, ids []consent.GrantID) error {
	var tasks []task
	err := g.replica.ReadLocal(ctx, func(v *replica.View) error {
		tasks = tasks[:0]
		authority, err := keys.Current(v.Of(keys.Contract))
		if err != nil {
			return err
		}
		pending, err := keys.Pending(v.Of(keys.Contract))
		if err != nil {
			return err
		}
		for _, id := range ids {
			grant, err := consent.Lookup(v.Of(consent.Contract), id)
			if errors.Is(err, consent.ErrUnknown) {
				continue
			}
			if err != nil {
				return err
			}
			t := g.judge(grant, authority, v.Header().Time)
			if pending != nil {
				t.last = max(t.last, pending.Generation)
			}
			tasks = append(tasks, t)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var accepts []consent.Accept
	for _, t := range tasks {
		switch {
		case t.ended:
			if err := g.erase(t); err != nil {
				return err
			}
		case t.accept:
			ok, err := g.open(t)
			if errors.Is(err, replica.ErrMissing) {
				g.log.Warn("share of a grant is missing", "grant", t.grant.ID, "error", err)
				continue // a sweep comes back to it
			}
			if err != nil {
				return err
			}
			if ok || !slices.Contains(t.grant.Refused, t.index) {
				accepts = append(accepts, consent.Accept{Grant: t.grant.ID, OK: ok})
			}
		}
	}
	if len(accepts) == 0 {
		return nil
	}
	_, err = g.submit(ctx, consent.Contract, consent.MethodAccept, consent.AcceptArgs{Accepts: accepts})
	var code chain.Code
	if errors.As(err, &code) {
		g.log.Debug("no word on a grant counted", "code", code) // they ended meanwhile
		return nil
	}
	return err
}

// judge says what a grant asks of this member at a block time.
func (g *grantKeeper) judge(grant *consent.Grant, authority *keys.Authority, now int64) task {
	t := task{grant: grant, last: grant.Generation}
	if authority != nil {
		t.last = max(t.last, authority.Generation)
	}
	if over(grant, now) {
		t.ended = true
		return t
	}
	// A grant that a ceremony has moved since asks for nothing: its shares come
	// from there.
	if authority == nil || authority.Generation != grant.Generation {
		return t
	}
	t.index = authority.Index(g.cfg.Member)
	held := g.vault.Has(vault.Grant, grantName(grant.ID, grant.Generation))
	t.accept = t.index != 0 && !(held && slices.Contains(grant.Accepted, t.index))
	return t
}

// over reports whether nobody will ever be answered for the grant again.
func over(grant *consent.Grant, now int64) bool {
	switch grant.Status(now) {
	case consent.StatusRevoked, consent.StatusExpired:
		return true
	case consent.StatusUsedUp: // its last use is answered for a while
		return now-grant.Used > consent.AnswerWindow.Milliseconds()
	}
	return false
}

// open takes the share out of the sidecar into the vault. It returns false if
// there is no good one for this member.
func (g *grantKeeper) open(t task) (ok bool, err error) {
	if slices.Contains(t.grant.Accepted, t.index) {
		g.log.Warn("share is not in the vault, though it was accepted", "grant", t.grant.ID)
	}
	sidecar, err := g.replica.Sidecar(t.grant.Index)
	if errors.Is(err, replica.ErrPurged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	share, err := g.openShare(t, sidecar)
	if err != nil {
		g.log.Warn("share of a grant does not hold", "grant", t.grant.ID, "error", err)
		return false, nil
	}
	defer share.Erase()
	secret := share.Bytes()
	defer clear(secret)
	err = g.vault.Put(vault.Grant, grantName(t.grant.ID, t.grant.Generation), secret)
	return err == nil, err
}

func (g *grantKeeper) openShare(t task, sidecar []byte) (*pre.Share, error) {
	var sealed [][]byte
	if err := chain.Unmarshal(sidecar, &sealed); err != nil {
		return nil, err
	}
	if int(t.index) > len(sealed) {
		return nil, errors.New("no share for this member")
	}
	grant, err := pre.ParseGrant(t.grant.Raw)
	if err != nil {
		return nil, err
	}
	return g.transport.OpenShare(sealed[t.index-1], grant, t.index)
}

// erase deletes every share of a grant.
func (g *grantKeeper) erase(t task) error {
	for generation := t.grant.Generation; ; generation++ {
		if err := g.vault.Delete(vault.Grant, grantName(t.grant.ID, generation)); err != nil {
			return err
		}
		if generation >= t.last {
			return nil
		}
	}
}

// sweep notices every live grant that this member has not accepted, and every
// grant that it holds a share of.
func (g *grantKeeper) sweep(ctx context.Context) error {
	var ids []consent.GrantID
	err := g.replica.ReadLocal(ctx, func(v *replica.View) error {
		ids = ids[:0]
		authority, err := keys.Current(v.Of(keys.Contract))
		if err != nil || authority == nil {
			return err
		}
		index := authority.Index(g.cfg.Member)
		return consent.Live(v.Of(consent.Contract), v.Header().Time, "", func(l keys.LiveGrant) bool {
			if !l.Ended && !slices.Contains(l.Holders, index) {
				ids = append(ids, consent.GrantID(l.ID))
			}
			return true
		})
	})
	if err != nil {
		return err
	}
	for _, name := range g.vault.Names(vault.Grant) {
		if id, _, err := parseGrantName(name); err == nil {
			ids = append(ids, id)
		}
	}
	g.notice(ids...)
	return nil
}

// grantName is the name of a share in the vault.
func grantName(id consent.GrantID, generation uint32) string {
	return string(id) + "." + strconv.FormatUint(uint64(generation), 10)
}

func parseGrantName(name string) (consent.GrantID, uint32, error) {
	id, rest, ok := strings.Cut(name, ".")
	generation, err := strconv.ParseUint(rest, 10, 32)
	if !ok || err != nil || grantName(consent.GrantID(id), uint32(generation)) != name {
		return "", 0, fmt.Errorf("malformed name of a share: %q", name)
	}
	return consent.GrantID(id), uint32(generation), nil
}
