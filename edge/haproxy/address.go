package haproxy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ErrAddress says that a text is no address of a stats socket, nor of a statistics page.
var ErrAddress = errors.New("want a socket's path, ipv4@HOST:PORT, ipv6@[HOST]:PORT, HOST:PORT or http(s)://HOST/stats;csv")

// ParseAddress turns an address as HAProxy's users write it into a network and
// an address of package net. A path is anything that begins with a slash or "unix@".
// That of a statistics page stays whole; its network is "http" or "https".
func ParseAddress(s string) (network, address string, err error) {
	bad := func(why string) (string, string, error) {
		return "", "", fmt.Errorf("address %q: %s: %w", s, why, ErrAddress)
	}
	kind, rest, prefixed := strings.Cut(s, "@")
	switch {
	case s == "":
		return bad("is empty")
	case isURL(s):
		u, err := parseURL(s)
		if err != nil {
			return "", "", err
		}
		return u.Scheme, s, nil
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
	case numbers(host):
		return bad(strconv.Quote(host) + " is no IPv4 address")
	case network == "tcp4" && ip != nil && ip.To4() == nil:
		return bad("not an IPv4 host")
	case network == "tcp6" && ip != nil && ip.To4() != nil:
		return bad("not an IPv6 host")
	}
	return network, rest, nil
}

// numbers says that a host can't be a name, and isn't an address either: 192.0.2.256.
func numbers(host string) bool {
	return strings.Trim(host, "0123456789.") == "" && net.ParseIP(host) == nil
}

func isURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// parseURL reads the address of a statistics page. What may be a password is
// never part of an error.
func parseURL(s string) (*url.URL, error) {
	bad := func(why string) error {
		if i := strings.LastIndexByte(s, '@'); i >= 0 {
			s = "..." + s[i:]
		}
		return fmt.Errorf("address %.80q: %s: %w", s, why, ErrAddress)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, bad("is no URL")
	case u.User != nil:
		return nil, bad("holds a user: write it under basic_auth: {username, password_file}")
	case u.Hostname() == "":
		return nil, bad("no host")
	case numbers(u.Hostname()):
		return nil, bad(strconv.Quote(u.Hostname()) + " is no IPv4 address")
	case u.Fragment != "":
		return nil, bad("holds a fragment: leave it out")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, bad("port is not 1 to 65535")
		}
	}
	return u, nil
}

// Host returns the host of a TCP address, the name that its certificate must carry.
func Host(s string) (string, error) {
	network, address, err := ParseAddress(s)
	if err != nil {
		return "", err
	}
	switch network {
	case "http", "https":
		u, err := parseURL(address)
		if err != nil {
			return "", err
		}
		return u.Hostname(), nil
	case "unix":
		return "", fmt.Errorf("address %q: a unix socket has no host: %w", s, ErrAddress)
	}
	host, _, err := net.SplitHostPort(address)
	return host, err
}
