// Package insecuretrusteddealer makes an authority out of one hand, for
// examples, tests and benchmarks.
//
// Warning: whoever deals knows the master key. A consortium runs package dkg
// instead, where nobody ever does.
package insecuretrusteddealer

import (
	"fmt"

	"github.com/ward-health/ward/internal/pairing"
	"github.com/ward-health/ward/internal/wire"
	"github.com/ward-health/ward/pre"
)

// Deal draws a master key and shares it, as generation 1, among n members so
// that any t of them can use it. It returns the public sharing and the members'
// shares in their order.
func Deal(n, t uint8) (*pre.Sharing, []*pre.Share, error) {
	polynomial := make([]*pairing.Secret, t)
	w := wire.NewWriter("ward/sharing/v1")
	w.Uint32(1)
	w.Uint8(n)
	w.Uint8(t)
	for k := range polynomial {
		var err error
		if polynomial[k], err = pairing.GenerateSecret(nil); err != nil {
			return nil, nil, err
		}
		defer polynomial[k].Erase()
		c := pairing.GeneratorG1ConstantTime().Mul(polynomial[k]).Bytes()
		w.Raw(c[:])
	}
	sharing, err := pre.ParseSharing(w.Sum())
	if err != nil {
		return nil, nil, fmt.Errorf("deal %d of %d: %w", t, n, err)
	}
	shares := make([]*pre.Share, n)
	for i := range shares {
		index := uint8(i + 1)
		value := pairing.EvaluateSecret(polynomial, index).Reveal()
		w := wire.NewWriter("ward/share/v1")
		w.Uint32(1)
		w.Uint8(index)
		w.Raw(value[:])
		if shares[i], err = pre.ParseShare(w.Sum()); err != nil {
			return nil, nil, fmt.Errorf("deal to member %d: %w", index, err)
		}
	}
	return sharing, shares, nil
}
