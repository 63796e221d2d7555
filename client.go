package ward

import (
	"context"
	"crypto"
	"io"
	"iter"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/record"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/wallet"
)

// Options set up a Client.
type Options struct {
	// Consortium is the consortium file that the client trusts, of any epoch.
	Consortium *chain.Consortium
	// Wallet holds the keys of whoever the client acts for.
	Wallet *wallet.Wallet
	// Nodes are tried in order: the client's own hospital first.
	Nodes []Node
	// Clock is time.Now unless a test says otherwise.
	Clock func() time.Time
}

// A Client acts for one identity of a consortium. Every answer it gives was
// checked against the consortium file. It is safe for concurrent use.
type Client struct{}

// New returns a client. It talks to no node yet.
func New(opt Options) (*Client, error) { panic("skeleton") }

// A Record describes a record that is put: what the chain shows of it, and what
// only those who may read it see.
type Record struct {
	Owner identity.Name
	Type  pre.Type
	Dated time.Time // when what it tells of happened; the chain shows the day. Zero means today
	// Replaces is a record that this one supersedes.
	Replaces record.ID

	Title     string // sealed
	MediaType string // sealed
	Filename  string // sealed
}

// An Entry is a record as it was found or opened.
type Entry struct {
	ID       record.ID
	Owner    identity.Name
	Author   identity.Name
	Type     pre.Type
	Dated    time.Time
	Put      time.Time // block time
	Replaces record.ID
	Replaced record.ID
	Erased   bool

	// The rest is sealed: zero in what Find returns.
	Title     string
	MediaType string
	Filename  string
	Size      int64
	Hash      [32]byte // SHA-256 of the payload
}

// Put encrypts what it reads from payload, stores it, and puts a record of it on
// the chain for its owner, who need not know. When it returns, the record is
// certified and its payload durable on f+1 members.
func (c *Client) Put(ctx context.Context, r Record, payload io.Reader) (record.ID, error) {
	panic("skeleton")
}

// A Query selects records of one owner.
type Query struct {
	Owner        identity.Name
	Type         pre.Type // it and everything below; "" for all
	Since, Until time.Time
	Author       identity.Name
	All          bool // superseded and erased ones too
}

// Find yields what the chain shows of an owner's records, oldest first.
func (c *Client) Find(ctx context.Context, q Query) iter.Seq2[*Entry, error] { panic("skeleton") }

// Terms are the conditions of a grant.
type Terms struct {
	To         identity.Name
	Type       pre.Type
	Everything bool // must be set to grant the root type
	Expose     bool // accept that hospitals can read what a recipient without self-custody is granted

	NotBefore, NotAfter time.Time
	Purposes            []consent.Purpose // none means any but BTG
	Since, Until        time.Time         // days of the records
	MaxUses             uint32
	CoSigners           int
	CoSignerAttribute   string // "name" or "name=value"
	Emergency           bool

	Renews  consent.GrantID // the grant that this one replaces
	Answers string          // the request that it answers
}

// Grant lets someone read the caller's records of a type. It returns when
// enough members hold their shares for the grant to work.
func (c *Client) Grant(ctx context.Context, t Terms) (consent.GrantID, error) { panic("skeleton") }

// RevokeOptions say what else a revocation does.
type RevokeOptions struct {
	// Rotate raises the caller's epoch too, so that later records are out of
	// the reach of every key and grant made so far.
	Rotate bool
}

// Revoke ends a grant of the caller's. When it returns nil, no member answers
// for the grant any more.
func (c *Client) Revoke(ctx context.Context, id consent.GrantID, opt RevokeOptions) error {
	panic("skeleton")
}

// A Purpose of an access, with the reason in words, which only the owner reads.
type Purpose struct {
	Code      consent.Purpose
	Reason    string
	Approvals []consent.Approval // of co-signers
}

// An Opened is a record that was opened: its entry, and its payload to be read.
type Opened struct {
	Entry
}

// Open opens the payload for reading, checked as it is read. The caller closes it.
func (o *Opened) Open(ctx context.Context) (io.ReadCloser, error) { panic("skeleton") }

// Access asks for records of one owner under a grant to the caller, which is
// logged on the chain, and opens them. An empty grant means the first live one
// that covers them.
func (c *Client) Access(ctx context.Context, grant consent.GrantID, ids []record.ID, p Purpose) ([]*Opened, error) {
	panic("skeleton")
}

// Emergency opens records of one owner without a grant. It needs another
// clinician's approval, and stays open for review.
func (c *Client) Emergency(ctx context.Context, owner identity.Name, ids []record.ID, p Purpose) ([]*Opened, error) {
	panic("skeleton")
}

// Get opens one record and writes its payload to w: the caller's own, or one
// under a grant.
func (c *Client) Get(ctx context.Context, id record.ID, p Purpose, w io.Writer) (*Entry, error) {
	panic("skeleton")
}

// An Event is one line of the history of an owner's records: who did what, when.
type Event struct {
	Index   uint64 // leaf index, by which Verify finds its proof
	Time    time.Time
	Kind    string // "put", "grant", "access", "emergency", "revoke", …
	By      identity.Name
	Records []record.ID
	Grant   consent.GrantID
	Purpose consent.Purpose
}

// History yields what happened to an owner's records and grants, oldest first.
func (c *Client) History(ctx context.Context, owner identity.Name) iter.Seq2[*Event, error] {
	panic("skeleton")
}

// A Verification says what Verify found in order.
type Verification struct {
	Transactions uint64
	Height       uint64
	Time         time.Time
}

// Verify fetches the whole chain and checks it: every signature, link, tree and
// certificate, from genesis to the newest checkpoint.
func (c *Client) Verify(ctx context.Context) (*Verification, error) { panic("skeleton") }

// Register registers the caller's name, on the word of a member or one of its
// registrars, who signs. See [identity.RegisterArgs].
func (c *Client) Register(ctx context.Context, by crypto.Signer, custodial bool, attributes ...identity.Attribute) error {
	panic("skeleton")
}
