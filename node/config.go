package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/replica"
	"github.com/ward-health/ward/node/api"
	"github.com/ward-health/ward/node/vault"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/store"
)

// Config sets up a node. Zero fields mean the default.
type Config struct {
	// Dir holds everything the node stores; Init made it.
	Dir string
	// Member is whose node it is.
	Member string
	// Founding is the founding consortium file, of epoch 0.
	Founding *chain.Consortium
	// Known is the newest consortium file the operator has. A member that
	// joins later needs it to find the others.
	Known *chain.Consortium
	// Passphrase opens the vault. nil means that the node starts sealed: it
	// answers questions about its health only, until Unlock.
	Passphrase func(ctx context.Context) ([]byte, error)

	// Listen is the address, host:port, at which the other members' replicas
	// connect; "" means the one in the consortium file.
	Listen string
	// Network connects the replicas; nil means mutual TLS at Listen.
	Network func(Self) (replica.Network, error)
	// Peers finds the other members' nodes; nil means HTTPS.
	Peers func(Self) (Peers, error)
	// API is where clients connect, already listening; nil means that no API is
	// served. Run closes it.
	API net.Listener
	// Server changes how it is served. Run sets its key, log and clock.
	Server api.Options
	// Blobs holds this member's share of the payloads. nil means Store, a URL
	// as package storeurl reads it, and if that is empty, the directory "blobs"
	// in Dir. The node closes it.
	Blobs store.Store
	Store string

	// Log receives what an operator should know; nil discards it. It never
	// receives what is in a record, a key, or the name of a person.
	Log *slog.Logger
	// Clock is time.Now unless a test says otherwise.
	Clock func() time.Time
	// Version is what Status says about the program.
	Version string
	// Replica changes the options of the replica before it is opened.
	Replica func(*replica.Options)
	// ScrubEvery is how often all blobs are read and mended, and those that no
	// record refers to are deleted. 0 means daily; negative never.
	ScrubEvery time.Duration
	// Patience is how long a member may take to answer before the others are
	// asked too. 0 means 150 ms.
	Patience time.Duration
	// Quorum is how long a read of the state, or a transaction, may wait for the
	// other members: too few of them answer if it takes longer. 0 means 20
	// seconds, in which members choose another leader several times.
	Quorum time.Duration
	// AskCeremony keeps the node out of a key ceremony that begins until its
	// operator has looked at it: see AcceptCeremony.
	AskCeremony bool
	// Turn is how long a member waits for the one before it to do what one of
	// them must do for all. 0 means two seconds.
	Turn time.Duration
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Dir == "":
		return c, errors.New("no directory")
	case c.Founding == nil || c.Founding.Epoch != 0:
		return c, errors.New("founding consortium file is missing")
	case c.Known != nil && c.Known.Chain != c.Founding.Chain:
		return c, errors.New("newest consortium file is of another chain")
	case !chain.ValidName(c.Member):
		return c, fmt.Errorf("malformed member name %q", c.Member)
	}
	if c.Known == nil {
		c.Known = c.Founding
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.ScrubEvery == 0 {
		c.ScrubEvery = 24 * time.Hour
	}
	if c.Patience == 0 {
		c.Patience = 150 * time.Millisecond
	}
	if c.Quorum == 0 {
		c.Quorum = 20 * time.Second
	}
	if c.Turn == 0 {
		c.Turn = 2 * time.Second
	}
	return c, nil
}

// InitOptions say what Init makes.
type InitOptions struct {
	Dir    string // of the node; created if missing
	Member string
	URL    string // https base URL at which clients reach the node
	Peer   string // host:port at which the other members reach it
	// Passphrase seals the vault.
	Passphrase []byte
	// Vault changes how. See vault.Options.
	Vault vault.Options
}

// Init makes the directory of a new node with a vault that holds its node key
// and its transport key, and returns its card for the consortium file. It fails
// if there is a vault already.
func Init(opt InitOptions) (*Card, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("init node: %w", err)
	}
	defer clear(key)
	card, err := NewCard(opt.Member, opt.URL, opt.Peer, key)
	if err != nil {
		return nil, fmt.Errorf("init node: %w", err)
	}
	v, err := vault.Create(filepath.Join(opt.Dir, "vault"), opt.Passphrase, opt.Vault)
	if err != nil {
		return nil, fmt.Errorf("init node: %w", err)
	}
	if err := fill(v, key); err != nil {
		return nil, errors.Join(fmt.Errorf("init node: %w", err), v.Close())
	}
	return card, v.Close()
}

// fill puts the first secrets into a vault.
func fill(v *vault.Vault, key ed25519.PrivateKey) error {
	transport, err := pre.GenerateTransportKey()
	if err != nil {
		return err
	}
	defer transport.Erase()
	secret := transport.Bytes()
	defer clear(secret)
	if err := v.Put(vault.Transport, hex.EncodeToString(transport.Public()), secret); err != nil {
		return err
	}
	seed := key.Seed()
	defer clear(seed)
	return v.Put(vault.NodeKey, hex.EncodeToString(key.Public().(ed25519.PublicKey)), seed)
}
