package haproxy

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ErrAddress says that a text is no address of a stats socket.
var ErrAddress = errors.New("want a socket's path, ipv4@HOST:PORT, ipv6@[HOST]:PORT or HOST:PORT")

// ParseAddress turns an address as HAProxy's users write it into a network and
// an address of package net. A path is anything that begins with a slash or "unix@".
func ParseAddress(s string) (network, address string, err error) {
	bad := func(why string) (string, string, error) {
		return "", "", fmt.Errorf("address %q: %s: %w", s, why, ErrAddress)
	}
	kind, rest, prefixed := strings.Cut(s, "@")
	switch {
	case s == "":
		return bad("is empty")
	case strings.ContainsAny(s, "\x00\r\n"):
		return bad("holds a control character")
	case strings.HasPrefix(s, "/"):
		return "unix", s, nil
	case prefixed && kind == "unix":
		if rest == "" {
			return bad("no path after unix@")
		}
		return "unix", rest, nil
	case prefixed && kind == "ipv4":
		network = "tcp4"
	case prefixed && kind == "ipv6":
		network = "tcp6"
	case prefixed:
		return bad("unknown kind " + strconv.Quote(kind))
	default:
		network, rest = "tcp", s
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return bad("no host and port")
	}
	if host == "" {
		return bad("no host")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return bad("port is not 1 to 65535")
	}
	ip := net.ParseIP(host)
	switch {
	case network == "tcp4" && ip != nil && ip.To4() == nil:
		return bad("not an IPv4 host")
	case network == "tcp6" && ip != nil && ip.To4() != nil:
		return bad("not an IPv6 host")
	}
	return network, rest, nil
}

// Host returns the host of a TCP address, the name that its certificate must carry.
func Host(s string) (string, error) {
	network, address, err := ParseAddress(s)
	if err != nil {
		return "", err
	}
	if network == "unix" {
		return "", fmt.Errorf("address %q: a unix socket has no host: %w", s, ErrAddress)
	}
	host, _, err := net.SplitHostPort(address)
	return host, err
}
