package dkg

import (
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	"go.dedis.ch/kyber/v3"
	kyberdkg "go.dedis.ch/kyber/v3/share/dkg/pedersen"
	"go.dedis.ch/kyber/v3/util/random"
	"go.dedis.ch/kyber/v3/xof/blake2xb"
	"go.dedis.ch/protobuf"

	"github.com/ward-health/ward/internal/pairing"
)

var errDisagree = errors.New("the nodes' keys differ")

// kyber3Suite makes Ward's adapter what kyber's protocol needs.
type kyber3Suite struct{ kyber.Group }

func (kyber3Suite) Hash() hash.Hash             { return sha256.New() }
func (kyber3Suite) XOF(seed []byte) kyber.XOF   { return blake2xb.New(seed) }
func (kyber3Suite) RandomStream() cipher.Stream { return random.New() }

// kyber3Run makes one key with the Pedersen protocol of kyber v3, honestly, and
// returns the bytes sent.
func kyber3Run(n, threshold int) (sent int, err error) {
	suite := kyber3Suite{pairing.KyberG1()}
	secrets, public := make([]kyber.Scalar, n), make([]kyber.Point, n)
	for i := range secrets {
		secrets[i] = suite.Scalar().Pick(suite.RandomStream())
		public[i] = suite.Point().Mul(secrets[i], nil)
	}
	nodes := make([]*kyberdkg.DistKeyGenerator, n)
	for i := range nodes {
		if nodes[i], err = kyberdkg.NewDistKeyGenerator(suite, secrets[i], public, threshold); err != nil {
			return 0, err
		}
	}
	size := func(message any) error {
		b, err := protobuf.Encode(message)
		sent += len(b)
		return err
	}
	var responses []*kyberdkg.Response
	for i, node := range nodes {
		deals, err := node.Deals()
		if err != nil {
			return 0, err
		}
		for to, deal := range deals {
			response, err := nodes[to].ProcessDeal(deal)
			if err != nil {
				return 0, fmt.Errorf("deal %d to %d: %w", i, to, err)
			}
			if err := errors.Join(size(deal), size(response)); err != nil {
				return 0, err
			}
			responses = append(responses, response)
		}
	}
	for _, response := range responses {
		for i, node := range nodes {
			if uint32(i) == response.Response.Index {
				continue
			}
			if _, err := node.ProcessResponse(response); err != nil {
				return 0, err
			}
		}
	}
	var keys []string
	for _, node := range nodes {
		share, err := node.DistKeyShare()
		if err != nil {
			return 0, err
		}
		keys = append(keys, share.Public().String())
	}
	if len(slices.Compact(keys)) != 1 {
		return 0, errDisagree
	}
	return sent, nil
}
