package insecuretrusteddealer_test

import (
	"fmt"
	"testing"

	"github.com/ward-health/ward/pre/insecuretrusteddealer"
)

func ExampleDeal() {
	sharing, shares, err := insecuretrusteddealer.Deal(4, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(shares), "shares, of which", sharing.Threshold(), "suffice")
	// Output: 4 shares, of which 3 suffice
}

func TestDealtSharesFitTheirSharing(t *testing.T) {
	sharing, shares, err := insecuretrusteddealer.Deal(7, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shares {
		if err := s.Check(sharing); err != nil {
			t.Error(err)
		}
	}
}

func TestDealRefusesWhatCannotBe(t *testing.T) {
	for _, c := range [][2]uint8{{0, 0}, {3, 0}, {2, 3}} {
		if _, _, err := insecuretrusteddealer.Deal(c[0], c[1]); err == nil {
			t.Errorf("%d of %d is dealt", c[1], c[0])
		}
	}
}
