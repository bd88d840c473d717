//go:build !linux

package probe

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/icmp"
)

// datagramSocket opens a socket that needs no permission, where the system has them.
func datagramSocket(v4 bool, source net.IP, whole bool) (net.PacketConn, error) {
	if err := setWhole(0, v4, whole); err != nil {
		return nil, err
	}
	network, at := "udp6", "::"
	if v4 {
		network, at = "udp4", "0.0.0.0"
	}
	if source != nil {
		at = source.String()
	}
	return icmp.ListenPacket(network, at)
}

func setWhole(_ int, _, whole bool) error {
	if whole {
		return fmt.Errorf("dont_fragment: %w", errors.ErrUnsupported)
	}
	return nil
}
