//go:build tools

// Package tools pins the programs that build.sh builds.
package tools

import (
	_ "filippo.io/age/cmd/age"
	_ "filippo.io/age/cmd/age-keygen"
	_ "github.com/ipfs/kubo/cmd/ipfs"
	_ "github.com/versity/versitygw/cmd/versitygw"
)
