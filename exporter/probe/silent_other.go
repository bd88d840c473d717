//go:build !unix

package probe

import "net"

// silent can't look at a connection without taking from it here: a connection
// that was closed is found when it is used.
func silent(net.Conn) bool { return true }
