//go:build !linux

package admin

import "net"

// mine reports whether a connection comes from this user. Here the mode of the
// socket and of its directory says so.
func mine(net.Conn) bool { return true }
