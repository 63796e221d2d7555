package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/chain"
)

// leading returns the member that leads, when there is one.
func (c *cluster) leading() *Replica {
	c.t.Helper()
	leader, _ := c.follower().leader()
	return c.nodes[leader]
}

// A new leader proposes nothing before everything from before its term is executed:
// it passes a barrier first.
func TestNewLeaderPassesABarrierBeforeItProposes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(2)
		c.leading().stepDown()
		time.Sleep(5 * time.Second)
		c.load(2)
		c.sameHead()
		r := c.nodes["h0"]
		passed := map[uint64]bool{}
		terms := map[uint64]bool{}
		for i := uint64(1); i <= r.raftLog.log.Last(); i++ {
			var log raft.Log
			if err := r.raftLog.GetLog(i, &log); err != nil {
				t.Fatal(err)
			}
			switch log.Type {
			case raft.LogBarrier:
				passed[log.Term] = true
			case raft.LogCommand:
				terms[log.Term] = true
				if !passed[log.Term] {
					t.Errorf("entry %d of term %d was proposed before a barrier", i, log.Term)
				}
			}
		}
		if len(terms) < 2 {
			t.Error("one leader proposed everything")
		}
		c.stopAll()
	})
}

// That a transaction is not on the chain is said once it is certified, not when this
// member alone has come to a block after its time.
func TestNotCommittedIsSaidWhenItIsCertified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(2)
		height := c.sameHead().Height
		r := c.nodes["h0"]
		tx := put(t, "alice", "k", []byte{1}, nil)
		r.certs.mu.Lock()
		newest := r.certs.newest
		r.certs.newest = nil
		r.certs.mu.Unlock()
		w := &waiter{ch: make(chan executed, 1)}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		_, err := r.expired(ctx, tx, w, height)
		cancel()
		if !errors.Is(err, ErrUnknown) || errors.Is(err, ErrNotCommitted) {
			t.Errorf("without a certificate: %v", err)
		}
		r.certs.mu.Lock()
		r.certs.newest = newest
		r.certs.mu.Unlock()
		if _, err := r.expired(context.Background(), tx, w, height); !errors.Is(err, ErrNotCommitted) {
			t.Errorf("certified: %v", err)
		}
		w.ch <- executed{index: 7}
		if at, err := r.expired(context.Background(), tx, w, height); err != nil || at.index != 7 {
			t.Errorf("executed meanwhile: %+v, %v", at, err)
		}
		c.stopAll()
	})
}

// A leader refuses what it cannot or must not propose before it is in its log: when
// its disk is nearly full, and with a sidecar that the transaction does not commit to.
// It goes on leading.
func TestLeaderRefusesBeforeItProposes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.startAll()
		c.load(2)
		c.sameHead()
		r := c.leading()
		last, term := r.raftLog.log.Last(), r.node().CurrentTerm()
		side := put(t, "alice", "k", []byte{1}, []byte("side"))
		bare := put(t, "alice", "k", []byte{1}, nil)
		ask := func(txs, sidecars [][]byte) ([]byte, error) {
			return r.serveSubmit(within(t, time.Minute), submitRequest{Txs: txs, Sidecars: sidecars})
		}
		for name, c := range map[string]struct {
			tx      *chain.Tx
			sidecar []byte
		}{
			"another sidecar":   {side, []byte("siDe")},
			"no sidecar":        {side, nil},
			"a sidecar of none": {bare, []byte("side")},
		} {
			codes, err := ask([][]byte{c.tx.Bytes()}, [][]byte{c.sidecar})
			if err != nil || !bytes.Equal(codes, []byte{forwardSignature}) {
				t.Errorf("%s: %v, %v", name, codes, err)
			}
		}
		if codes, err := ask([][]byte{[]byte("x")}, [][]byte{nil}); err != nil || !bytes.Equal(codes, []byte{forwardSignature}) {
			t.Errorf("no transaction: %v, %v", codes, err)
		}
		if _, err := ask([][]byte{bare.Bytes()}, nil); err == nil {
			t.Error("fewer sidecars than transactions: answered")
		}
		if _, err := ask(make([][]byte, chain.MaxEntryTxs+1), make([][]byte, chain.MaxEntryTxs+1)); err == nil {
			t.Error("more than an entry takes: answered")
		}
		r.readOnly.Store(true)
		if codes, err := ask([][]byte{bare.Bytes()}, [][]byte{nil}); !errors.Is(err, ErrReadOnly) {
			t.Errorf("nearly full disk, for another member: %v, %v", codes, err)
		}
		it := &item{tx: bare, done: make(chan error, 1)}
		r.propose([]*item{it})
		if err := <-it.done; !errors.Is(err, ErrReadOnly) {
			t.Errorf("nearly full disk: %v", err)
		}
		synctest.Wait()
		if _, self := r.leader(); !self || r.node().CurrentTerm() != term || r.raftLog.log.Last() != last {
			t.Errorf("leads: %v, term %d after %d, log to %d after %d", self, r.node().CurrentTerm(), term, r.raftLog.log.Last(), last)
		}
		r.readOnly.Store(false)
		mustSubmit(t, r, bare, nil)
		c.stopAll()
	})
}

// A read on any member goes through the leader's log and asks the others what they
// have signed, each on its own enough against what the other does not see.
func TestReadAsksTheLeaderAndTheSigners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var barriers, heads atomic.Int64
		c := newCluster(t, 3, func(o *Options) {
			o.wrapHandler = func(honest rpcHandler) rpcHandler {
				return func(ctx context.Context, from string, kind byte, body []byte) (any, error) {
					switch kind {
					case rpcBarrier:
						barriers.Add(1)
					case rpcHeads:
						heads.Add(1)
					}
					return honest(ctx, from, kind, body)
				}
			}
		})
		c.startAll()
		c.load(2)
		c.sameHead()
		r := c.follower()
		barriers.Store(0)
		heads.Store(0)
		if err := r.Read(within(t, time.Minute), func(*View) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if barriers.Load() == 0 || heads.Load() == 0 {
			t.Errorf("%d barriers, %d questions for heads", barriers.Load(), heads.Load())
		}
		c.stopAll()
	})
}

// A sidecar that lies in another's place, whole in itself, is damage, and is not
// returned.
func TestSidecarOfAnotherTransactionIsNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		r := c.start("h0")
		one := mustSubmit(t, r, put(t, "alice", "a", []byte{1}, []byte("one")), []byte("one"))
		two := mustSubmit(t, r, put(t, "alice", "b", []byte{1}, []byte("two")), []byte("two"))
		if err := r.book.drain(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		txn := r.book.db.view()
		number, err := txn.get(numKey(keySidecar, two.Index))
		txn.Discard()
		if err != nil || len(number) != 8 {
			t.Fatalf("%x, %v", number, err)
		}
		var forged batch
		forged.set(numKey(keySidecar, one.Index), number)
		if err := r.book.db.commit(&forged); err != nil {
			t.Fatal(err)
		}
		mustSubmit(t, r, put(t, "alice", "c", []byte{1}, nil), nil)
		if err := r.book.drain(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Sidecar(one.Index); !isDamage(err) || got != nil {
			t.Errorf("%q, %v", got, err)
		}
		if got, err := r.Sidecar(two.Index); err != nil || string(got) != "two" {
			t.Errorf("%q, %v", got, err)
		}
		c.stopAll()
	})
}

// counted is an endless stream that counts what is taken from it, up to a limit.
type counted struct{ n, limit int }

func (r *counted) Read(p []byte) (int, error) {
	if r.n >= r.limit {
		return 0, io.ErrUnexpectedEOF
	}
	clear(p)
	r.n += len(p)
	return len(p), nil
}

// A message that claims to be larger than any may be, or to be empty, is refused
// unread.
func TestAttackFrameOfFourGigabytes(t *testing.T) {
	for _, n := range []uint32{0, maxFrame + 1, 1 << 31, 1<<32 - 1} {
		rest := &counted{limit: maxFrame + 1<<20}
		head := append(binary.BigEndian.AppendUint32(nil, n), rpcStatus)
		if _, body, err := readFrame(io.MultiReader(bytes.NewReader(head), rest)); err == nil || rest.n > 0 {
			t.Errorf("message of %d bytes: %d read, %d returned, %v", n, rest.n, len(body), err)
		}
	}
	if err := writeFrame(io.Discard, 0, make([]byte, maxFrame)); err == nil {
		t.Error("wrote a message that nobody reads")
	}
}

// A directory that holds another chain is neither opened nor taken for damaged: its
// chain stays where it is.
func TestDirectoryOfAnotherChainIsRefusedAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		r := c.start("h0")
		mustSubmit(t, r, put(t, "alice", "a", []byte{1}, nil), nil)
		head := c.sameHead()
		c.stop("h0")
		own := c.consortium
		other := *own
		other.Chain = "other.ward"
		c.consortium = &other
		if r, err := Open(within(t, time.Minute), c.options("h0")); err == nil || isDamage(err) {
			t.Errorf("opened another chain's directory: %v", err)
			if err == nil {
				r.Close()
			}
		}
		if aside, _ := filepath.Glob(filepath.Join(c.dir, "h0", "damaged*")); len(aside) > 0 {
			t.Errorf("moved aside: %v", aside)
		}
		c.consortium = own
		c.start("h0")
		if again := c.sameHead(); again.Height < head.Height {
			t.Errorf("height %d after %d", again.Height, head.Height)
		}
		c.stopAll()
	})
}

// Scrub finds a flipped bit in any block and in any sidecar.
func TestScrubReadsBlocksAndSidecars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		r := c.start("h0")
		mustSubmit(t, r, put(t, "alice", "a", []byte{1}, []byte("sealed")), []byte("sealed"))
		if err := r.book.drain(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"blocks", "sidecars"} {
			if err := r.Scrub(); err != nil {
				t.Fatalf("before %s: %v", kind, err)
			}
			files, err := filepath.Glob(filepath.Join(c.dir, "h0", kind, "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%s: %v, %v", kind, files, err)
			}
			size, err := os.Stat(files[0])
			if err != nil {
				t.Fatal(err)
			}
			last := size.Size() - 1 // of the last record
			flipAt(t, files[0], last)
			if err := r.Scrub(); !isDamage(err) {
				t.Errorf("flipped bit in %s: %v", kind, err)
			}
			flipAt(t, files[0], last)
		}
		c.stopAll()
	})
}
