package ward

import (
	"errors"
	"testing"

	"github.com/ward-health/ward/chain"
)

// TestForkIsFoundOut shows the client certified checkpoints of two histories,
// which only members who sign both can make.
func TestForkIsFoundOut(t *testing.T) {
	head := func(height, size uint64, block byte) *chain.Checkpoint {
		return &chain.Checkpoint{TreeHead: chain.TreeHead{Chain: "c", Height: height, Size: size, Block: chain.Hash{block}}}
	}
	tests := []struct {
		name  string
		first *chain.Checkpoint
		then  *chain.Checkpoint
		want  error // of observe
		newer error // of advance, if it differs
	}{
		{"the same again", head(5, 9, 1), head(5, 9, 1), nil, nil},
		{"later", head(5, 9, 1), head(6, 12, 2), nil, nil},
		{"earlier", head(5, 9, 1), head(4, 7, 2), nil, ErrStale},
		{"another block of the height", head(5, 9, 1), head(5, 9, 2), ErrIntegrity, nil},
		{"another size of the height", head(5, 9, 1), head(5, 8, 1), ErrIntegrity, nil},
		{"later and smaller", head(5, 9, 1), head(6, 8, 2), ErrIntegrity, nil},
		{"earlier and larger", head(5, 9, 1), head(4, 10, 2), ErrIntegrity, ErrStale},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c, d Client
			for _, c := range []*Client{&c, &d} {
				if err := c.observe(tt.first); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.observe(tt.then); !errors.Is(err, tt.want) {
				t.Errorf("observe: %v, want %v", err, tt.want)
			}
			if c.head.Height < tt.first.Height {
				t.Error("the client went back")
			}
			want := tt.want
			if tt.newer != nil {
				want = tt.newer
			}
			if err := d.advance(tt.then); !errors.Is(err, want) {
				t.Errorf("advance: %v, want %v", err, want)
			}
		})
	}
}

// TestErrorsSayWhatTheyAre holds what callers branch on.
func TestErrorsSayWhatTheyAre(t *testing.T) {
	both := inDoubt(triedError{ErrNotCommitted, ErrUnavailable})
	if errors.Is(both, ErrNotCommitted) || !errors.Is(both, ErrUnknown) || !errors.Is(both, ErrUnavailable) {
		t.Errorf("in doubt: %v", both)
	}
	if s := (triedError{ErrBusy, ErrBusy, ErrUnavailable}).Error(); s != "node is busy; node cannot be reached" {
		t.Errorf("message is %q", s)
	}
	wrong := error(&MemberError{[]string{"east", "west"}})
	if !errors.Is(wrong, ErrShares) || wrong.Error() != "wrong answers by east, west: too few members answered" {
		t.Errorf("message is %q", wrong)
	}
}
