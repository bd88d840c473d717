// Package loopback finds free ports for the real servers that tests start:
// on 127.0.0.1 and below 32768, where the kernel hands out none by itself, so
// that no outgoing connection takes a port between finding and using it.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

const (
	low   = 20000
	high  = 32000
	tries = 200
)

// ErrNoPort says that no port was free in many tries.
var ErrNoPort = errors.New("no free port on 127.0.0.1")

// Listen listens on a free port of 127.0.0.1 below 32768.
func Listen() (net.Listener, error) {
	var last error
	for range tries {
		ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", low+rand.IntN(high-low)))
		if err == nil {
			return ln, nil
		}
		last = err
	}
	return nil, fmt.Errorf("%w between %d and %d: %w", ErrNoPort, low, high, last)
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
