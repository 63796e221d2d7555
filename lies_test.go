package ward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/internal/wardtest"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/wallet"
)

// scene is a world with a record of the patient's that the reader may read, and
// what nodes said of it before.
type scene struct {
	*people
	id, other record.ID
	grant     consent.GrantID
	payload   []byte

	oldAnswer     *query.Answer // to what the patient's identity is
	oldCheckpoint *chain.Checkpoint
	oldReceipt    *chain.Receipt
	access        uint64 // leaf index of an access with a reason
}

func stage(t *testing.T) *scene {
	t.Helper()
	s := &scene{people: meet(t), payload: wardtest.Payload("stage", 5_000_000)}
	s.other = s.put("other", []byte("another record"))
	north := s.Node("north")
	var err error
	question, err := query.Encode(query.Record{ID: s.other})
	if err == nil {
		s.oldAnswer, err = north.Ask(s.ctx, question)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.oldCheckpoint, err = north.Checkpoint(s.ctx); err != nil {
		t.Fatal(err)
	}
	if s.oldReceipt, err = north.Receipt(s.ctx, 3); err != nil {
		t.Fatal(err)
	}
	s.Advance(time.Hour)
	s.id = s.put("report", s.payload)
	s.grant = s.people.grant()
	if _, err := s.reader.Access(s.ctx, s.grant, []record.ID{s.id}, ward.Purpose{Code: consent.Treatment, Reason: "why"}); err != nil {
		t.Fatal(err)
	}
	for a, err := range s.patient.Accesses(s.ctx, consent.Accesses{Owner: patientName}) {
		if err != nil {
			t.Fatal(err)
		}
		s.access = a.Index
	}
	return s
}

// What a client can be asked to do, writing what it reads to w.
type act func(s *scene, c *ward.Client, w io.Writer) error

func readGranted(s *scene, c *ward.Client, w io.Writer) error {
	_, err := c.Get(s.ctx, s.id, treat, w)
	return err
}

func listing(s *scene, c *ward.Client, w io.Writer) error {
	for _, err := range c.Find(s.ctx, ward.Query{Owner: patientName}) {
		if err != nil {
			return err
		}
	}
	return nil
}

func show(s *scene, c *ward.Client, w io.Writer) error {
	e, err := c.Show(s.ctx, s.other)
	if err == nil && e.Owner != patientName {
		return errors.New("another record was shown")
	}
	return err
}

func write(s *scene, c *ward.Client, w io.Writer) error {
	return request(s.people, c)
}

// request asks for a type that nobody asked for before.
func request(p *people, c *ward.Client) error {
	p.requests++
	_, err := c.Request(p.ctx, patientName, pre.Type(fmt.Sprint("t", p.requests)), consent.Treatment, p.Now().Add(time.Hour))
	return err
}

func receiptOf(s *scene, c *ward.Client, w io.Writer) error {
	_, _, err := c.Receipt(s.ctx, s.access)
	return err
}

func checkpoint(s *scene, c *ward.Client, w io.Writer) error {
	_, err := c.Checkpoint(s.ctx)
	return err
}

func verify(s *scene, c *ward.Client, w io.Writer) error {
	_, err := c.Verify(s.ctx)
	return err
}

func TestLiesOfANodeAreFoundOut(t *testing.T) {
	s := stage(t)
	tests := []struct {
		name string
		who  identity.Name
		act  act
		lie  func(*liar)
		want error
	}{
		{"receipt: result altered", readerName, write, func(l *liar) {
			l.submit = func(r *chain.Receipt) error { r.Result.Value = []byte{1}; return nil }
		}, ward.ErrIntegrity},
		{"receipt: refusal made up", readerName, write, func(l *liar) {
			l.submit = func(r *chain.Receipt) error { r.Result.Code = consent.ErrDenied; return nil }
		}, ward.ErrIntegrity},
		{"receipt: of another transaction", readerName, write, func(l *liar) {
			l.submit = func(r *chain.Receipt) error { *r = *s.oldReceipt; return nil }
		}, ward.ErrIntegrity},
		{"receipt: uncertified", readerName, write, func(l *liar) {
			l.submit = func(r *chain.Receipt) error { r.Checkpoint = s.Uncertified(); return nil }
		}, ward.ErrIntegrity},
		{"receipt: missing", readerName, write, func(l *liar) {
			l.submit = func(r *chain.Receipt) error { r.Checkpoint = nil; return nil }
		}, ward.ErrIntegrity},
		{"receipt: proof of a neighbour", readerName, write, func(l *liar) {
			l.submit = func(r *chain.Receipt) error { r.Index--; return nil }
		}, ward.ErrIntegrity},

		{"receipt: of another leaf", readerName, receiptOf, func(l *liar) {
			l.receipt = func(r *chain.Receipt) error { *r = *s.oldReceipt; return nil }
		}, ward.ErrIntegrity},

		{"answer: altered", readerName, listing, func(l *liar) {
			l.ask = func(a *query.Answer) error { a.Value = []byte{0x80}; return nil }
		}, ward.ErrIntegrity},
		{"answer: not there made up", readerName, show, func(l *liar) {
			l.ask = func(a *query.Answer) error { a.Value, a.Code = nil, record.ErrUnknown; return nil }
		}, ward.ErrIntegrity},
		{"answer: of an hour ago", readerName, show, func(l *liar) {
			l.ask = func(a *query.Answer) error { *a = *s.oldAnswer; return nil }
		}, ward.ErrIntegrity},
		{"answer: to another question", readerName, show, func(l *liar) {
			l.ask = func(a *query.Answer) error {
				q, err := query.Encode(query.Record{ID: s.id})
				if err != nil {
					return err
				}
				b, err := l.Node.Ask(s.ctx, q)
				*a = *b
				return err
			}
		}, ward.ErrIntegrity},
		{"answer: vouched for by one member twice", readerName, show, func(l *liar) {
			l.ask = func(a *query.Answer) error { a.Attestations[1] = a.Attestations[0]; return nil }
		}, ward.ErrIntegrity},
		{"answer: certified by too few", readerName, show, func(l *liar) {
			l.ask = func(a *query.Answer) (err error) { a.Checkpoint, err = s.Uncertified().Bytes(); return err }
		}, ward.ErrIntegrity},
		{"answer: beside an old checkpoint", readerName, show, func(l *liar) {
			l.ask = func(a *query.Answer) (err error) { a.Checkpoint, err = s.oldCheckpoint.Bytes(); return err }
		}, ward.ErrIntegrity},
		{"answer: missing", readerName, show, func(l *liar) {
			l.ask = func(a *query.Answer) error { *a = query.Answer{}; return nil }
		}, ward.ErrIntegrity},

		{"records: one altered", readerName, readGranted, func(l *liar) {
			l.accessed = func(r *[]ward.Sealed) error { (*r)[0].Record.Author = "x@north"; return nil }
		}, ward.ErrIntegrity},
		{"records: another swapped in", readerName, readGranted, func(l *liar) {
			l.accessed = func(r *[]ward.Sealed) error { (*r)[0].Record.ID = s.other; return nil }
		}, ward.ErrIntegrity},
		{"records: envelope altered", readerName, readGranted, func(l *liar) {
			l.accessed = func(r *[]ward.Sealed) error { (*r)[0].Record.Envelope = flip((*r)[0].Record.Envelope); return nil }
		}, ward.ErrIntegrity},
		{"records: time altered", readerName, readGranted, func(l *liar) {
			l.accessed = func(r *[]ward.Sealed) error { (*r)[0].Record.Time--; return nil }
		}, ward.ErrIntegrity},
		{"records: withheld", readerName, readGranted, func(l *liar) {
			l.accessed = func(r *[]ward.Sealed) error { *r = nil; return nil }
		}, ward.ErrIntegrity},
		{"records: sealed index altered", readerName, readGranted, func(l *liar) {
			l.accessed = func(r *[]ward.Sealed) error { (*r)[0].Index = flip((*r)[0].Index); return nil }
		}, ward.ErrIntegrity},
		{"records: sealed index withheld", readerName, readGranted, func(l *liar) {
			l.accessed = func(r *[]ward.Sealed) error { (*r)[0].Index = nil; return nil }
		}, ward.ErrErased},

		{"answers: altered", readerName, readGranted, func(l *liar) {
			l.answers = func(p *[]ward.Part) error { (*p)[0].Sealed = flip((*p)[0].Sealed); return nil }
		}, ward.ErrIntegrity},
		{"answers: attributed to another member", readerName, readGranted, func(l *liar) {
			l.answers = func(p *[]ward.Part) error { (*p)[0].Member = (*p)[1].Member; return nil }
		}, ward.ErrIntegrity},
		{"answers: index changed", readerName, readGranted, func(l *liar) {
			l.answers = func(p *[]ward.Part) error { (*p)[0].Index = 0; return nil }
		}, ward.ErrIntegrity},
		{"answers: one given twice", readerName, readGranted, func(l *liar) {
			l.answers = func(p *[]ward.Part) error { (*p)[0] = (*p)[1]; return nil }
		}, ward.ErrShares},
		{"answers: withheld", readerName, readGranted, func(l *liar) {
			l.answers = func(p *[]ward.Part) error { *p = (*p)[:1]; return nil }
		}, ward.ErrShares},
		{"answers: refusal made up", readerName, readGranted, func(l *liar) {
			l.answers = func(p *[]ward.Part) error { return consent.ErrRevoked }
		}, consent.ErrRevoked},

		{"consortium: change made up", readerName, listing, func(l *liar) {
			l.consortium = func(c *[][]byte) error { *c = append(*c, []byte{1}); return nil }
		}, ward.ErrIntegrity},
		{"consortium: change withheld", readerName, readGranted, func(l *liar) {
			l.consortium = func(c *[][]byte) error { *c = nil; return nil }
		}, ward.ErrNotReady},

		{"checkpoint: uncertified", readerName, checkpoint, func(l *liar) {
			l.checkpoint = func(c **chain.Checkpoint) error { *c = s.Uncertified(); return nil }
		}, ward.ErrIntegrity},
		{"checkpoint: of the past", readerName, checkpoint, func(l *liar) {
			l.checkpoint = func(c **chain.Checkpoint) error { *c = s.oldCheckpoint; return nil }
		}, ward.ErrStale},

		{"export: truncated", readerName, verify, func(l *liar) {
			l.export = func(w io.Writer) error { return l.Node.Export(s.ctx, &cutWriter{w, 10_000}) }
		}, ward.ErrIntegrity},
		{"export: altered", readerName, verify, func(l *liar) {
			l.export = func(w io.Writer) error { return l.Node.Export(s.ctx, &flipWriter{w}) }
		}, ward.ErrIntegrity},
		{"export: fails", readerName, verify, func(l *liar) {
			l.export = func(w io.Writer) error { return ward.ErrUnavailable }
		}, ward.ErrUnavailable},

		{"blob: altered", readerName, readGranted, func(l *liar) { l.blobs = altered{s.Blobs} }, ward.ErrIntegrity},
		{"blob: withheld", readerName, readGranted, func(l *liar) { l.blobs = mem.New() }, ward.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &liar{Node: s.Node("north")}
				tt.lie(l)
				alone := s.as(tt.who, l)
				seen := s.as(tt.who, s.Node("south"), l) // it has seen the truth, elsewhere
				if tt.want == ward.ErrStale {
					if err := tt.act(s, seen, io.Discard); err != nil {
						t.Fatal(err)
					}
					s.Down["south"] = true
					defer delete(s.Down, "south")
					alone = seen
				}
				var out bytes.Buffer
				err := tt.act(s, alone, &out)
				if l.calls == 0 {
					t.Fatal("the node was not asked to lie")
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("error is %v, want %v", err, tt.want)
				}
				if !bytes.HasPrefix(s.payload, out.Bytes()) || tt.want != nil && out.Len() == len(s.payload) {
					t.Error("what was written is no true beginning of the payload")
				}

				delete(s.Down, "south")
				out.Reset()
				if err := tt.act(s, s.as(tt.who, l, s.Node("south")), &out); err != nil {
					t.Errorf("beside an honest node: %v", err)
				}
				if out.Len() > 0 && !bytes.Equal(out.Bytes(), s.payload) {
					t.Error("beside an honest node the payload is another")
				}
			})
		})
	}
}

// flip returns b with one bit in the middle altered.
func flip(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// cutWriter drops everything after n bytes, and says it wrote it.
type cutWriter struct {
	w io.Writer
	n int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	k := min(c.n, len(p))
	c.n -= k
	if _, err := c.w.Write(p[:k]); err != nil {
		return 0, err
	}
	return len(p), nil
}

type flipWriter struct{ w io.Writer }

func (f *flipWriter) Write(p []byte) (int, error) { return f.w.Write(flip(p)) }

// altered is a store whose blobs have one bit wrong, in their last quarter.
type altered struct{ *mem.Store }

func (a altered) Open(ctx context.Context, ref store.Ref) (*store.Blob, error) {
	b, err := a.Store.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	return store.NewBlob(b.Outboard(), store.BlobOptions{Retry: store.Retry{Attempts: 1}}, &alteredSource{b.Sources()[0], b.Size() * 3 / 4}), nil
}

type alteredSource struct {
	store.Source
	at int64
}

func (s *alteredSource) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	r, err := s.Source.ReadRange(ctx, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && s.at >= off && s.at < off+int64(len(b)) {
		b[s.at-off] ^= 1
	}
	return io.NopCloser(bytes.NewReader(b)), err
}

// TestAnswerOfAMomentAgoIsStale replays an answer that is young enough for its
// signatures, to a client that has seen the chain go on since.
func TestAnswerOfAMomentAgoIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		id := p.put("a", []byte("x"))
		var first *query.Answer
		l := &liar{Node: p.Node("north")}
		l.ask = func(a *query.Answer) error {
			if first == nil {
				kept := *a
				first = &kept
			}
			*a = *first
			return nil
		}
		c := p.as(patientName, l)
		if _, err := c.Show(p.ctx, id); err != nil {
			t.Fatal(err)
		}
		if err := p.patient.Erase(p.ctx, id); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Checkpoint(p.ctx); err != nil {
			t.Fatal(err)
		}
		_, err := c.Show(p.ctx, id)
		p.wants(err, ward.ErrStale)
	})
}

// TestDuplicateLeafIsNoRefusal replays a transaction: the receipt of the second
// leaf, which says "duplicate", says nothing of the first.
func TestDuplicateLeafIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		var sent *chain.Tx
		l := &liar{Node: p.Node("north")}
		l.unsent = func(tx *chain.Tx) error { sent = tx; return nil }
		l.submit = func(r *chain.Receipt) error { *r = *p.Again(sent, nil); return nil }
		err := request(p, p.as(readerName, l))
		p.wants(err, ward.ErrUnknown)
		if err := request(p, p.as(readerName, l, p.Node("south"))); err != nil {
			t.Errorf("beside an honest node: %v", err)
		}
	})
}

// TestRetryIsOneTransaction has a node lose the receipt: the same bytes go to
// the next, and there is one request on the chain.
func TestRetryIsOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		ids := make(map[chain.Hash]bool)
		l := &liar{Node: p.Node("north")}
		note := func(tx *chain.Tx) error { ids[tx.ID()] = true; return nil }
		l.unsent = note
		l.submit = func(*chain.Receipt) error { return ward.ErrUnknown }
		second := &liar{Node: p.Node("south"), unsent: note}
		if err := request(p, p.as(readerName, l, second)); err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, err := range p.patient.Requests(p.ctx, patientName, "") {
			if err != nil {
				t.Fatal(err)
			}
			count++
		}
		if count != 1 || len(ids) != 1 {
			t.Errorf("%d requests on the chain of %d transactions, want one of one", count, len(ids))
		}
	})
}

// TestOutcomeIsUnknownWhenNobodySays distinguishes a transaction that may be on
// the chain from one that never left.
func TestOutcomeIsUnknownWhenNobodySays(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		unknown bool
	}{
		{"no answer", ward.ErrUnavailable, true},
		{"the node does not know", ward.ErrUnknown, true},
		{"too few members", ward.ErrNoQuorum, true},
		{"queue is full", ward.ErrBusy, false},
		{"disk is full", ward.ErrReadOnly, false},
		{"expired", ward.ErrNotCommitted, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := meet(t)
				l := &liar{Node: p.Node("north"), unsent: func(*chain.Tx) error { return tt.err }}
				err := request(p, p.as(readerName, l))
				p.wants(err, tt.err)
				if got := errors.Is(err, ward.ErrUnknown); got != tt.unknown {
					t.Errorf("unknown is %v, want %v: %v", got, tt.unknown, err)
				}
			})
		})
	}
	t.Run("expired at one node, lost at another", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := meet(t)
			l := &liar{Node: p.Node("north"), unsent: func(*chain.Tx) error { return ward.ErrNotCommitted }}
			m := &liar{Node: p.Node("south"), unsent: func(*chain.Tx) error { return ward.ErrUnavailable }}
			err := request(p, p.as(readerName, l, m))
			p.wants(err, ward.ErrUnknown)
			if errors.Is(err, ward.ErrNotCommitted) {
				t.Error("the caller would take it for safe to repeat")
			}
		})
	})
}

// TestWrongAnswersAreNamedAndReplaced has one member answer wrongly: it is named
// in the log, and another takes its place. With two of four there are too few.
func TestWrongAnswersAreNamedAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		id := p.put("a", []byte("payload"))
		p.grant()
		p.Dishonest["north"] = true // the only node that the client reaches
		reader := p.as(readerName, p.Node("north"))
		var out bytes.Buffer
		if _, err := reader.Get(p.ctx, id, treat, &out); err != nil || out.String() != "payload" {
			t.Fatalf("%q, %v", out.String(), err)
		}
		if !strings.Contains(p.log.String(), "member=north") {
			t.Errorf("the member is not named: %s", p.log)
		}

		p.Dishonest["south"] = true
		out.Reset()
		_, err := reader.Get(p.ctx, id, treat, &out)
		p.wants(err, ward.ErrShares)
		var wrong *ward.MemberError
		if !errors.As(err, &wrong) || !slices.Equal(wrong.Members, []string{"north", "south"}) {
			t.Errorf("error is %v, want one that names north and south", err)
		}
		if out.Len() > 0 {
			t.Error("bytes were written")
		}
	})
}

// TestWrongPartialKeysAreNamedAndReplaced is the same for an owner's own key.
func TestWrongPartialKeysAreNamedAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		id := p.put("a", []byte("payload"))
		p.Dishonest["east"] = true
		var out bytes.Buffer
		if _, err := p.as(patientName).Get(p.ctx, id, treat, &out); err != nil || out.String() != "payload" {
			t.Fatalf("%q, %v", out.String(), err)
		}
		if !strings.Contains(p.log.String(), "member=east") {
			t.Errorf("the member is not named: %s", p.log)
		}
	})
}

// TestPartialKeysLies is about what a node does to an owner's own parts. Each
// case takes a wallet that has no key yet.
func TestPartialKeysLies(t *testing.T) {
	p := meet(t)
	tests := []struct {
		name string
		lie  func(*[]ward.Part) error
		want error
	}{
		{"altered", func(l *[]ward.Part) error { (*l)[1].Sealed = flip((*l)[1].Sealed); return nil }, ward.ErrIntegrity},
		{"of another generation", func(l *[]ward.Part) error { (*l)[1].Generation++; return nil }, ward.ErrIntegrity},
		{"withheld", func(l *[]ward.Part) error { *l = nil; return nil }, ward.ErrShares},
		{"flooded", func(l *[]ward.Part) error { *l = slices.Repeat((*l)[:1], 1000); return nil }, ward.ErrShares},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				name := identity.Name(fmt.Sprintf("p-l%d@north", i))
				p.join(name)
				id, err := p.author.Put(p.ctx, ward.Record{Owner: name, Type: "lab"}, strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				l := &liar{Node: p.Node("north"), partialKeys: tt.lie}
				var out bytes.Buffer
				if _, err = p.as(name, l).Get(p.ctx, id, treat, &out); !errors.Is(err, tt.want) || out.Len() > 0 {
					t.Errorf("%d bytes, error is %v, want %v", out.Len(), err, tt.want)
				}
				if _, err = p.as(name, l, p.Node("south")).Get(p.ctx, id, treat, &out); err != nil {
					t.Errorf("beside an honest node: %v", err)
				}
			})
		})
	}
}

// TestSidecarLies is about the owner's own sealed index, and the reasons of
// accesses.
func TestSidecarLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stage(t)
		l := &liar{Node: s.Node("north"), sidecar: func(b *[]byte) error { *b = flip(*b); return nil }}
		var out bytes.Buffer
		_, err := s.as(patientName, l).Get(s.ctx, s.id, treat, &out)
		s.wants(err, ward.ErrIntegrity)
		_, err = s.as(patientName, l).Reason(s.ctx, s.access)
		s.wants(err, ward.ErrIntegrity)
		if out.Len() > 0 {
			t.Error("bytes were written")
		}
		if reason, err := s.as(patientName, l, s.Node("south")).Reason(s.ctx, s.access); err != nil || reason != "why" {
			t.Errorf("beside an honest node: %q, %v", reason, err)
		}
		// The receipt decides which sidecar is the right one.
		l = &liar{Node: s.Node("north"), receipt: func(r *chain.Receipt) error { *r = *s.oldReceipt; return nil }}
		_, err = s.as(patientName, l).Reason(s.ctx, s.access)
		s.wants(err, ward.ErrIntegrity)
	})
}

// TestClientFollowsTheConsortium replaces a member: a client with the founding
// file goes on, and a node that hides the change does not get its way.
func TestClientFollowsTheConsortium(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meet(t)
		id := p.put("a", []byte("payload"))
		p.Change(func(k *chain.Consortium) { k.Members[3].URL = "https://moved.example" })
		c := p.as(patientName)
		if _, err := c.Show(p.ctx, id); err != nil {
			t.Fatal(err)
		}
		if got := c.Consortium().Members[3].URL; got != "https://moved.example" {
			t.Errorf("the client holds an old file: %s", got)
		}
	})
}

func TestClientRefusesAnotherChainsWallet(t *testing.T) {
	p := meet(t)
	w, err := wallet.Generate("other.example", patientName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ward.New(ward.Options{Consortium: p.Founding(), Wallet: w, Nodes: p.Nodes()}); err == nil {
		t.Error("a wallet of another chain was taken")
	}
}
