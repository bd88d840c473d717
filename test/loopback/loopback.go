// Package loopback finds free ports for the real servers that tests start:
// on 127.0.0.1 and below 32768, where the kernel hands out none by itself, so
// that no outgoing connection takes a port between finding and using it.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	low   = 20000
	high  = 32000
	tries = 200
)

// Host is the address of loopback.
const Host = "127.0.0.1"

// ErrNoPort says that no port was free in many tries.
var ErrNoPort = errors.New("no free port")

// Listen listens on a free port of 127.0.0.1 below 32768.
func Listen() (net.Listener, error) { return ListenOn(Host) }

// ListenOn is Listen for another address of this machine, as in a network namespace.
func ListenOn(host string) (net.Listener, error) {
	var last error
	for range tries {
		ln, err := net.Listen("tcp4", net.JoinHostPort(host, strconv.Itoa(low+rand.IntN(high-low))))
		if err == nil {
			return ln, nil
		}
		last = err
	}
	return nil, fmt.Errorf("%w on %s between %d and %d: %w", ErrNoPort, host, low, high, last)
}

// Address returns a "127.0.0.1:port" that was free a moment ago, for a server
// that wants to listen by itself.
func Address() (string, error) {
	ln, err := Listen()
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
