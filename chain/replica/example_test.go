package replica_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"github.com/ward-health/ward/chain"
	"github.com/ward-health/ward/chain/ledger"
	"github.com/ward-health/ward/chain/replica"
)

// notes keeps one note per key.
type notes struct{}

func (notes) Apply(call *ledger.Call, method string, args []byte) ([]byte, error) {
	return nil, call.State.Set([]byte(method), args)
}

// A consortium of one member: submit a transaction, check its receipt, read the
// state.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	_, nodeKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	consortium := &chain.Consortium{
		Format: "ward/v1/consortium", Chain: "example.ward", Created: time.Unix(1_700_000_000, 0).UTC(),
		KeyThreshold: 1, CheckpointThreshold: 1,
		Members: []chain.Member{{
			Name: "north", NodeKey: chain.PublicKey(nodeKey.Public().(ed25519.PublicKey)),
			URL: "https://north.example", Peer: listener.Addr().String(),
		}},
	}
	network, err := replica.ListenTLS(listener, nodeKey, func() *chain.Consortium { return consortium }, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	r, err := replica.Open(ctx, replica.Options{
		Dir: dir, Member: "north", Key: nodeKey, Consortium: consortium,
		Contracts: map[string]ledger.Contract{"notes": notes{}}, Network: network, Bootstrap: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()

	_, clientKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	tx, err := chain.SignTx(chain.TxBody{
		Chain: "example.ward", Contract: "notes", Method: "greeting", Args: []byte("hello"),
		NotAfter: time.Now().Add(time.Minute).UnixMilli(),
	}, clientKey)
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := r.Submit(ctx, tx, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := receipt.Verify(consortium); err != nil {
		log.Fatal(err)
	}
	err = r.Read(ctx, func(v *replica.View) error {
		note, err := v.Of("notes").Get([]byte("greeting"))
		fmt.Printf("certified: %s\n", note)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: certified: hello
}
