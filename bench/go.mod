module github.com/ward-health/ward/bench

go 1.26.8

require (
	github.com/cloudflare/circl v1.6.5
	github.com/ward-health/ward v0.0.0
	go.dedis.ch/kyber/v3 v3.1.0
	go.dedis.ch/kyber/v4 v4.0.2
	go.dedis.ch/protobuf v1.0.11
	golang.org/x/sys v0.49.0
)

require (
	github.com/bits-and-blooms/bitset v1.25.0 // indirect
	github.com/consensys/gnark-crypto v0.22.0 // indirect
	go.dedis.ch/fixbuf v1.0.3 // indirect
	golang.org/x/crypto v0.58.0 // indirect
)

replace github.com/ward-health/ward => ../
