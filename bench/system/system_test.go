package system

import (
	"errors"
	"testing"

	"go.dedis.ch/kyber/v3/share"

	"github.com/ward-health/ward/bench/measure"
)

// TestEverySystemDoesItsSteps runs each step once, and pins which systems lack
// what: a step that fell out of a comparison would otherwise not be missed.
func TestEverySystemDoesItsSteps(t *testing.T) {
	tkn, err := NewTKN20()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := NewHybrid()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		system System
		lacks  map[Operation]bool
	}{
		{NewWard(), nil},
		{NewCalypso(), map[Operation]bool{Grant: true, AcceptShare: true, AcceptGrant: true, OpenOwn: true}},
		{tkn, map[Operation]bool{Check: true, AcceptShare: true, AcceptGrant: true, Reencrypt: true, ReencryptRaw: true, Verify: true, OpenVerified: true, OpenOwn: true}},
		{hybrid, map[Operation]bool{Check: true, AcceptShare: true, AcceptGrant: true, Reencrypt: true, ReencryptRaw: true, Verify: true, OpenVerified: true}},
	} {
		for _, op := range Operations() {
			step, err := c.system.Step(op, Params{Members: 4, Threshold: 3, Records: 2, Depth: 2})
			if c.lacks[op] {
				if !errors.Is(err, ErrNone) {
					t.Errorf("%s: %s: %v, want ErrNone", c.system.Name(), op, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %s: %v", c.system.Name(), op, err)
				continue
			}
			spent, err := step.Run(1)
			if err != nil || spent.Work < 1 || spent.Wall <= 0 {
				t.Errorf("%s: %s: %+v, %v", c.system.Name(), op, spent, err)
			}
		}
	}
}

func TestWardCountsEachRecordOfAnAccess(t *testing.T) {
	w := NewWard()
	for op, perRecord := range map[Operation]bool{Reencrypt: true, Verify: true, Open: true, OpenVerified: true, Grant: false, Encrypt: false} {
		step, err := w.Step(op, Params{Members: 4, Threshold: 3, Records: 5})
		if err != nil {
			t.Fatal(err)
		}
		spent, err := step.Run(1)
		want := 1
		if perRecord {
			want = 5
		}
		if err != nil || spent.Work != want {
			t.Errorf("%s of five records counts as %d (%v), want %d", op, spent.Work, err, want)
		}
	}
}

// TestCalypsoFormulasAreWhole checks that the peer written here does what makes
// it cost what it costs: proofs that refuse, and a threshold.
func TestCalypsoFormulasAreWhole(t *testing.T) {
	c := NewCalypso()
	s := c.suite
	polynomial := share.NewPriPoly(s, 3, nil, s.RandomStream())
	commitments := polynomial.Commit(s.Point().Base())
	secrets := polynomial.Shares(4)
	w, err := c.encrypt(commitments.Commit())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.check(w); err != nil {
		t.Errorf("a good proof is refused: %v", err)
	}
	mauled := *w
	mauled.c = s.Point().Add(w.c, s.Point().Base())
	if err := c.check(&mauled); !errors.Is(err, errProof) {
		t.Errorf("a mauled ciphertext passes: %v", err)
	}
	var parts []*part
	for _, secret := range secrets {
		p, err := c.answer(w, secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.verify(w, p, commitments.Eval(secret.I).V); err != nil {
			t.Errorf("a good answer is refused: %v", err)
		}
		if err := c.verify(w, p, commitments.Eval((secret.I+1)%4).V); !errors.Is(err, errProof) {
			t.Errorf("another member's answer passes: %v", err)
		}
		parts = append(parts, p)
	}
	if err := c.open(w, parts[1:], commitments.Commit(), 4); err != nil {
		t.Errorf("three answers do not open: %v", err)
	}
	if err := c.open(w, parts[:2], commitments.Commit(), 4); err == nil {
		t.Error("two answers open what needs three")
	}
}

func TestLocalFailsBeforeItIsTimed(t *testing.T) {
	boom := errors.New("boom")
	if _, err := local(func() ([]byte, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Errorf("error is %v", err)
	}
	calls := 0
	step, err := localFor(3, func() ([]byte, error) { calls++; return make([]byte, 9), nil })
	if err != nil || step.Size != 9 {
		t.Fatalf("%+v, %v", step, err)
	}
	var spent measure.Spent
	if spent, err = step.Run(4); err != nil || spent.Work != 12 || calls != 5 {
		t.Errorf("%+v after %d calls, %v", spent, calls, err)
	}
}
