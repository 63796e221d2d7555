package system

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"fmt"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"

	"github.com/ward-health/ward/bench/peer"
)

// Names of the other systems in tables.
const (
	NameUmbral  = "Umbral (wasm)"
	NameRecrypt = "recrypt (wasm)"
	NameTKN20   = "tkn20 only"
	NameHybrid  = "hybrid to each reader"
)

// Node is a peer that runs in a process of Node.js.
type Node struct {
	name    string
	process *peer.Peer
}

// NewNode returns the system of a process.
func NewNode(name string, process *peer.Peer) *Node { return &Node{name, process} }

// Name implements System.
func (n *Node) Name() string { return n.name }

// Step implements System. Umbral checks a capsule when it parses it, which is
// therefore part of re-encryption; recrypt's one proxy proves nothing that a
// reader could check against the owner, so its answer counts as one without proof.
func (n *Node) Step(op Operation, p Params) (Step, error) {
	words := map[Operation]string{
		KeyGen: "keygen", EncryptCold: "encrypt", Encrypt: "encrypt", Grant: "grant", Open: "open", OpenOwn: "open-own",
	}
	switch n.name {
	case NameUmbral:
		words[AcceptShare], words[Reencrypt], words[Verify], words[OpenVerified] = "accept", "reencrypt", "verify", "open-verified"
	case NameRecrypt:
		words[ReencryptRaw] = "reencrypt"
	}
	word, ok := words[op]
	if !ok {
		return Step{}, none(n, op)
	}
	params := peer.Params{T: p.Threshold, Members: p.Members}
	size, err := n.process.Size(word, params)
	if err != nil {
		return Step{}, err
	}
	return Step{Run: n.process.Run(word, params), Size: size}, nil
}

// TKN20 is sharing by attributes alone: who holds a key that satisfies the
// policy opens, and nobody is asked. A grant is a key from the authority, which
// can open everything.
type TKN20 struct {
	public tkn20.PublicKey
	secret tkn20.SystemSecretKey
}

// NewTKN20 returns the system.
func NewTKN20() (*TKN20, error) {
	public, secret, err := tkn20.Setup(rand.Reader)
	return &TKN20{public, secret}, err
}

// Name implements System.
func (*TKN20) Name() string { return NameTKN20 }

// Step implements System, for three attributes that all must hold.
func (t *TKN20) Step(op Operation, _ Params) (Step, error) {
	var attributes tkn20.Attributes
	attributes.FromMap(map[string]string{"role": "physician", "dept": "icu", "site": "north"})
	var policy tkn20.Policy
	if err := policy.FromString("role: physician and dept: icu and site: north"); err != nil {
		return Step{}, err
	}
	key := bytes.Repeat([]byte{7}, 32)
	switch op {
	case KeyGen, Grant:
		return local(func() ([]byte, error) {
			k, err := t.secret.KeyGen(rand.Reader, attributes)
			if err != nil {
				return nil, err
			}
			return k.MarshalBinary()
		})
	case EncryptCold, Encrypt:
		return local(func() ([]byte, error) { return t.public.Encrypt(rand.Reader, policy, key) })
	case Open:
		k, err := t.secret.KeyGen(rand.Reader, attributes)
		if err != nil {
			return Step{}, err
		}
		sealed, err := t.public.Encrypt(rand.Reader, policy, key)
		if err != nil {
			return Step{}, err
		}
		return local(func() ([]byte, error) {
			got, err := k.Decrypt(sealed)
			if err == nil && !bytes.Equal(got, key) {
				err = errOther
			}
			return nil, err
		})
	}
	return Step{}, none(t, op)
}

// Hybrid is what one does without any of this: the record's key is encrypted to
// its owner with HPKE, and to each reader again, by the owner, for each record.
type Hybrid struct {
	owner, reader hpke.PrivateKey
}

// NewHybrid returns the system.
func NewHybrid() (*Hybrid, error) {
	var keys [2]hpke.PrivateKey
	for i := range keys {
		k, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	return &Hybrid{keys[0], keys[1]}, nil
}

// Name implements System.
func (*Hybrid) Name() string { return NameHybrid }

var hybridKey = bytes.Repeat([]byte{7}, 32)

func (h *Hybrid) seal(to hpke.PublicKey) ([]byte, error) {
	return hpke.Seal(to, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("record"), hybridKey)
}

func (h *Hybrid) open(with hpke.PrivateKey, sealed []byte) error {
	got, err := hpke.Open(with, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("record"), sealed)
	if err == nil && !bytes.Equal(got, hybridKey) {
		err = errOther
	}
	return err
}

// Step implements System. The grant is for one record.
func (h *Hybrid) Step(op Operation, _ Params) (Step, error) {
	toOwner, err := h.seal(h.owner.PublicKey())
	if err != nil {
		return Step{}, err
	}
	toReader, err := h.seal(h.reader.PublicKey())
	if err != nil {
		return Step{}, err
	}
	switch op {
	case KeyGen:
		return local(func() ([]byte, error) {
			k, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
			if err != nil {
				return nil, err
			}
			return k.PublicKey().Bytes(), nil
		})
	case EncryptCold, Encrypt:
		return local(func() ([]byte, error) { return h.seal(h.owner.PublicKey()) })
	case Grant:
		return local(func() ([]byte, error) {
			if err := h.open(h.owner, toOwner); err != nil {
				return nil, fmt.Errorf("owner: %w", err)
			}
			return h.seal(h.reader.PublicKey())
		})
	case Open:
		return local(func() ([]byte, error) { return nil, h.open(h.reader, toReader) })
	case OpenOwn:
		return local(func() ([]byte, error) { return nil, h.open(h.owner, toOwner) })
	}
	return Step{}, none(h, op)
}
