package dkg

import (
	"crypto/sha256"
	"testing"

	"github.com/ward-health/ward/internal/pairing"
)

// forger is a participant that does as it likes. Its own machine falls silent
// when it sees the forger's join, so a run goes on honestly around it.
type forger struct {
	r       *run
	number  uint8
	receive *pairing.Secret
	seed    [32]byte
	*dealing
	public *committed // replaces what the dealing commits to, if not nil
}

func (r *run) forger(number uint8) *forger {
	f := &forger{r: r, number: number, seed: sha256.Sum256([]byte{number})}
	f.receive = pairing.HashToSecret(pairing.DSTCoefficient, append([]byte("forger "), number))
	var old []*pairing.Secret
	if r.p.reshares() {
		for _, k := range r.p.holdings[number-1] {
			old = append(old, r.nodes[number-1].shares[secretName(&r.p.Secrets[k])].value)
		}
	}
	if r.p.isDealer(number) {
		f.dealing = r.p.draw(number, &f.seed, old)
	}
	return f
}

func (f *forger) commits() *committed {
	if f.public == nil {
		f.public = f.r.p.commit(f.number, f.dealing)
	}
	return f.public
}

func (f *forger) join() []byte {
	j := new(joinPayload)
	if f.r.p.isReceiver(f.number) {
		j.receiving = f.receive.MulG1(pairing.GeneratorG1())
		j.possession = f.r.p.provePossession(f.number, f.receive, j.receiving, [32]byte{})
	}
	if f.dealing != nil {
		c := f.commits()
		j.commitment = f.r.p.commitmentHash(f.number, c.ephemeral, c.commitments)
	}
	return f.r.p.encodeJoin(f.number, j)
}

func (f *forger) deal() []byte {
	return f.r.p.encodeDeal(f.number, f.dealing, f.commits(), &f.r.auditor.audience, &f.seed, [32]byte{})
}

// slot returns the part of a deal that is sealed for a receiver.
func (f *forger) slot(payload []byte, to uint8) []byte {
	a := &f.r.auditor.audience
	size := len(f.polynomials)*pairing.ScalarSize + sealOverhead
	at := len(payload) - (len(a.receivers)-a.find(to))*size
	return payload[at : at+size]
}

// garble makes the sealed shares for a receiver unreadable.
func (f *forger) garble(payload []byte, to uint8) []byte {
	f.slot(payload, to)[3] ^= 1
	return payload
}

// cheat seals a share off by one for a receiver, so that it opens and does not
// match.
func (f *forger) cheat(payload []byte, to uint8) []byte {
	a, c := &f.r.auditor.audience, f.commits()
	rcv := a.receivers[a.find(to)]
	var shares []byte
	for _, row := range f.polynomials {
		s := pairing.EvaluateSecret(row, to).Add(pairing.NewSecret(1)).Reveal()
		shares = append(shares, s[:]...)
	}
	aead := f.r.p.sealer(f.number, rcv, c.ephemeral, f.r.p.commitmentHash(f.number, c.ephemeral, c.commitments), f.ephemeral.MulG1(rcv.key))
	copy(f.slot(payload, to), aead.Seal(nil, zeroNonce(), shares, nil))
	return payload
}

// complaint reveals the key between this receiver and a dealer.
func (f *forger) complaint(dealer uint8) *complaintPayload {
	d := f.r.auditor.deals[dealer-1]
	a := &f.r.auditor.audience
	c := &complaintPayload{dealer: dealer, deal: d.hash, key: f.receive.MulG1(d.ephemeral)}
	c.proof = f.r.p.proveKey(f.number, c, f.receive, a.receivers[a.find(f.number)].key, d.ephemeral, [32]byte{})
	return c
}

// reshared returns a reshare of fresh keys among four nodes to the same four,
// with two grants on the way.
func reshared(r *run) *run {
	r.t.Helper()
	r.finish()
	before := r.result()
	c := reshareCeremony(r.c, before, r.auditor.Confirmed(), r.nodes[:len(r.c.Members)])
	for _, label := range []string{"grant-a", "grant-b"} {
		c.Secrets = append(c.Secrets, grantFor(r.t, r.nodes, c, label))
	}
	return newRun(r.t, c, r.nodes)
}

// grantFor splits a grant's constant term among the old members, as its owner
// does.
func grantFor(t testing.TB, nodes []*node, c *Ceremony, label string) Secret {
	t.Helper()
	n := len(c.Old)
	polynomial, commitments := []*pairing.Secret(nil), []pairing.G1(nil)
	for range DefaultThreshold(n) {
		s, err := pairing.GenerateSecret(nil)
		if err != nil {
			t.Fatal(err)
		}
		polynomial, commitments = append(polynomial, s), append(commitments, s.MulG1(pairing.GeneratorG1()))
	}
	old, err := NewSharing(c.Generation-1, n, commitments)
	if err != nil {
		t.Fatal(err)
	}
	s := Secret{Use: UseGrant, Label: label, Threshold: DefaultThreshold(len(c.Members)), Old: old}
	for i := range n {
		share, err := NewShare(c.Generation-1, uint8(i+1), pairing.EvaluateSecret(polynomial, uint8(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range nodes {
			if node.public().Equal(c.Old[i]) {
				node.shares[secretName(&s)] = share
			}
		}
	}
	return s
}
