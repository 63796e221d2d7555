package ward_test

import (
	"context"
	"io"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/store"
)

type receipt = chain.Receipt

// A liar is a node that alters what an honest one would hand out. A nil field
// lies about nothing; an error is what the node returns.
type liar struct {
	ward.Node
	submit      func(*chain.Receipt) error
	unsent      func(*chain.Tx) error // before anything reaches the chain
	ask         func(*query.Answer) error
	forge       func(question []byte, a *query.Answer) error
	receipt     func(*chain.Receipt) error
	sidecar     func(*[]byte) error
	consortium  func(*[][]byte) error
	checkpoint  func(**chain.Checkpoint) error
	partialKeys func(*[]ward.Part) error
	answers     func(*[]ward.Part) error
	accessed    func(*[]ward.Sealed) error
	export      func(io.Writer) error
	blobs       store.Store

	calls int // of what lies
}

func lie[T any](l *liar, v T, err error, how func(T) error) (T, error) {
	if err == nil && how != nil {
		l.calls++
		err = how(v)
	}
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

func lieAt[T any](l *liar, v T, err error, how func(*T) error) (T, error) {
	p, err := lie(l, &v, err, how)
	if err != nil {
		var none T
		return none, err
	}
	return *p, nil
}

func (l *liar) Submit(ctx context.Context, tx *chain.Tx, sidecar []byte) (*chain.Receipt, error) {
	if l.unsent != nil {
		l.calls++
		if err := l.unsent(tx); err != nil {
			return nil, err
		}
	}
	r, err := l.Node.Submit(ctx, tx, sidecar)
	return lie(l, r, err, l.submit)
}

func (l *liar) Ask(ctx context.Context, question []byte) (*query.Answer, error) {
	a, err := l.Node.Ask(ctx, question)
	if err == nil && l.forge != nil {
		l.calls++
		err = l.forge(question, a)
	}
	return lie(l, a, err, l.ask)
}

func (l *liar) Receipt(ctx context.Context, index uint64) (*chain.Receipt, error) {
	r, err := l.Node.Receipt(ctx, index)
	return lie(l, r, err, l.receipt)
}

func (l *liar) Sidecar(ctx context.Context, index uint64) ([]byte, error) {
	b, err := l.Node.Sidecar(ctx, index)
	return lieAt(l, b, err, l.sidecar)
}

func (l *liar) Consortium(ctx context.Context, epoch uint64) ([][]byte, error) {
	b, err := l.Node.Consortium(ctx, epoch)
	return lieAt(l, b, err, l.consortium)
}

func (l *liar) Checkpoint(ctx context.Context) (*chain.Checkpoint, error) {
	cp, err := l.Node.Checkpoint(ctx)
	return lieAt(l, cp, err, l.checkpoint)
}

func (l *liar) PartialKeys(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	p, err := l.Node.PartialKeys(ctx, index, without)
	return lieAt(l, p, err, l.partialKeys)
}

func (l *liar) Answers(ctx context.Context, index uint64, without []string) ([]ward.Part, error) {
	p, err := l.Node.Answers(ctx, index, without)
	return lieAt(l, p, err, l.answers)
}

func (l *liar) Accessed(ctx context.Context, index uint64) ([]ward.Sealed, error) {
	s, err := l.Node.Accessed(ctx, index)
	return lieAt(l, s, err, l.accessed)
}

func (l *liar) Export(ctx context.Context, w io.Writer) error {
	if l.export != nil {
		l.calls++
		return l.export(w)
	}
	return l.Node.Export(ctx, w)
}

func (l *liar) Blobs() store.Store {
	if l.blobs != nil {
		l.calls++
		return l.blobs
	}
	return l.Node.Blobs()
}
