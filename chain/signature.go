package chain

import "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

// zip215 selects the rules all signatures of the chain are checked under,
// alone and in batches: https://zips.z.cash/zip-0215.
func zip215() *ed25519.Options {
	return &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}
}

// Verify reports whether sig is a signature of msg by k under the rules of
// ZIP 215.
func (k PublicKey) Verify(msg, sig []byte) bool {
	return ed25519.VerifyWithOptions(k[:], msg, sig, zip215())
}

type signed struct {
	key      PublicKey
	msg, sig []byte
}

// VerifyTxs is VerifyTxs of a [Verifier] that is used once.
func VerifyTxs(txs []*Tx) []bool { return new(Verifier).VerifyTxs(txs) }
