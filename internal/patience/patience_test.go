package patience_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ward-health/ward/internal/patience"
)

func TestPausesGrowToTheirBoundUntilPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := patience.New(time.Minute, 50*time.Millisecond, time.Second)
		for _, least := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
			least *= time.Millisecond
			before := time.Now()
			if !p.Wait(t.Context(), 0) {
				t.Fatalf("no patience after %v", time.Since(began))
			}
			if took := time.Since(before); took < least || took > least+least/2 {
				t.Errorf("a pause of %v, want %v to half as long again", took, least)
			}
		}
		for p.Wait(t.Context(), 0) {
		}
		if took := time.Since(began); took >= time.Minute || took < time.Minute-2*time.Second {
			t.Errorf("patience ended after %v", took)
		}
	})
}

func TestWhoeverIsAskedForLongerWaitsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := patience.New(time.Minute, time.Millisecond, time.Millisecond)
		if !p.Wait(t.Context(), 7*time.Second) || time.Since(began) < 7*time.Second {
			t.Errorf("waited %v", time.Since(began))
		}
		left := time.Now()
		if p.Wait(t.Context(), time.Minute) || time.Since(left) != 0 {
			t.Errorf("waited %v for longer than there was patience", time.Since(left))
		}
	})
}

func TestTheEndOfTheCallEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if patience.New(time.Minute, 10*time.Second, 10*time.Second).Wait(ctx, 0) || time.Since(began) != time.Second {
			t.Errorf("waited %v", time.Since(began))
		}
	})
}
