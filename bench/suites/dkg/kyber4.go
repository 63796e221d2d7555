package dkg

import (
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"hash"
	"slices"

	"go.dedis.ch/kyber/v4"
	"go.dedis.ch/kyber/v4/pairing/bls12381/circl"
	kyberdkg "go.dedis.ch/kyber/v4/share/dkg/pedersen"
	"go.dedis.ch/kyber/v4/sign/schnorr"
	"go.dedis.ch/kyber/v4/util/random"
	"go.dedis.ch/kyber/v4/xof/blake2xb"
)

// kyber4Suite is kyber v4's own G1 over CIRCL.
type kyber4Suite struct{ kyber.Group }

func (kyber4Suite) Hash() hash.Hash             { return sha256.New() }
func (kyber4Suite) XOF(seed []byte) kyber.XOF   { return blake2xb.New(seed) }
func (kyber4Suite) RandomStream() cipher.Stream { return random.New() }

// kyber4Run makes one key with the Pedersen protocol of kyber v4, honestly, and
// returns the bytes sent: of the points, scalars, ciphertexts and signatures in
// its messages, since it has no encoding for them.
func kyber4Run(n, threshold int) (sent int, err error) {
	suite := kyber4Suite{circl.NewSuite().G1()}
	nonce := kyberdkg.GetNonce()
	configs := make([]kyberdkg.Config, n)
	roster := make([]kyberdkg.Node, n)
	for i := range configs {
		secret := suite.Scalar().Pick(suite.RandomStream())
		roster[i] = kyberdkg.Node{Index: uint32(i), Public: suite.Point().Mul(secret, nil)}
		configs[i] = kyberdkg.Config{
			Suite: suite, Longterm: secret, NewNodes: roster, Threshold: uint32(threshold),
			Nonce: nonce, FastSync: true, Auth: schnorr.NewScheme(suite),
		}
	}
	nodes := make([]*kyberdkg.DistKeyGenerator, n)
	for i := range nodes {
		if nodes[i], err = kyberdkg.NewDistKeyHandler(&configs[i]); err != nil {
			return 0, err
		}
	}
	// verify does what the protocol's runner does for every message received.
	verify := func(from uint32, p kyberdkg.Packet) error {
		for i := range configs {
			if uint32(i) != from {
				if err := kyberdkg.VerifyPacketSignature(&configs[i], p); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var deals []*kyberdkg.DealBundle
	for _, node := range nodes {
		bundle, err := node.Deals()
		if err != nil {
			return 0, err
		}
		if err := verify(bundle.DealerIndex, bundle); err != nil {
			return 0, err
		}
		for _, d := range bundle.Deals {
			sent += 4 + len(d.EncryptedShare)
		}
		sent += 4 + len(bundle.Public)*suite.PointLen() + len(bundle.SessionID) + len(bundle.Signature)
		deals = append(deals, bundle)
	}
	var responses []*kyberdkg.ResponseBundle
	for _, node := range nodes {
		bundle, err := node.ProcessDeals(deals)
		if err != nil {
			return 0, err
		}
		if bundle == nil {
			return 0, errors.New("a node has no response")
		}
		if err := verify(bundle.ShareIndex, bundle); err != nil {
			return 0, err
		}
		sent += 4 + 8*len(bundle.Responses) + len(bundle.SessionID) + len(bundle.Signature)
		responses = append(responses, bundle)
	}
	var keys []string
	for _, node := range nodes {
		result, justifications, err := node.ProcessResponses(responses)
		if err != nil {
			return 0, err
		}
		if justifications != nil || result == nil || len(result.QUAL) != n {
			return 0, errors.New("an honest run did not qualify everybody")
		}
		keys = append(keys, result.Key.Public().String())
	}
	if len(slices.Compact(keys)) != 1 {
		return 0, errDisagree
	}
	return sent, nil
}
