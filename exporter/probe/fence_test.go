package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func newFence(t testing.TB, allow, deny []string) *Fence {
	t.Helper()
	f, wrong := NewFence(allow, deny)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	return f
}

// resolved is what the tricks' names turn out to have: what a hostile name
// server says, and what resolvers make of numbers.
var resolved = map[string]string{
	"shop.example": "198.51.100.7", "evil.example": "127.0.0.1", "near.example": "192.0.2.9",
	"rebound.example.com": "169.254.169.254", "blog.example.com": "198.51.100.8", "evil.test": "198.51.100.66",
	"mapped.example.com": "::ffff:127.0.0.1", "nat.example.com": "64:ff9b::7f00:1", "six.example.com": "2001:db8::8",
	"0x7f.1": "127.0.0.1", "2130706433": "127.0.0.1", "017700000001": "127.0.0.1", "127.1": "127.0.0.1",
	"nobody.example.com": "0.0.0.0", "cast.example.com": "224.0.0.1", "compat.example.com": "::127.0.0.1",
	"xn--bcher-kva.example.com": "198.51.100.9",
}

// reach says how far a target comes: whether it is refused before anything is
// resolved, or when its address is dialled.
func reach(t *testing.T, f *Fence, m Module, target, hostname string) string {
	t.Helper()
	ctx, p := f.Enter(t.Context(), hostname)
	if err := p.Refuse(m, target); err != nil {
		return "refused at once"
	}
	network := "tcp"
	host, port := splitTarget(target)
	if m.Prober == "http" {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		host, port = u.Hostname(), portOf(u)
	}
	ip, ok := resolved[strings.ToLower(strings.TrimSuffix(host, "."))]
	if !ok {
		ip = host
	}
	address := net.JoinHostPort(ip, port)
	switch m.Prober {
	case "icmp":
		network, address = "icmp", ip
	case "unix":
		network, host, address = "unix", socketOf(target), socketOf(target)
	}
	var r Result
	err := allowed(ctx, network, host, address)
	p.Judge(&r)
	if (err != nil) != (r.Reason == Forbidden) {
		t.Errorf("error %v, result %v", err, r)
	}
	if err != nil {
		return "refused by its address"
	}
	return "allowed"
}

func TestWhatAFenceLetsThrough(t *testing.T) {
	web, port, ping, socket := Module{Prober: "http"}, Module{Prober: "tcp"}, Module{Prober: "icmp"}, Module{Prober: "unix"}
	networks := []string{"192.0.2.0/24", "2001:db8::/32"}
	names := []string{"shop.example", "*.example.com"}
	urls := []string{"https://shop.example/status/*", "http://192.0.2.7:8080/health", "https://*.example.com/*"}
	const yes, soon, late = "allowed", "refused at once", "refused by its address"
	for _, tt := range []struct {
		name        string
		allow, deny []string
		module      Module
		target      string
		hostname    string
		want        string
	}{
		{"an address in a network", networks, nil, web, "http://192.0.2.7/", "", yes},
		{"an address beside it", networks, nil, web, "http://192.0.3.7/", "", soon},
		{"IPv6", networks, nil, web, "http://[2001:db8::7]:8080/", "", yes},
		{"IPv6 beside it", networks, nil, web, "http://[2001:db9::7]/", "", soon},
		{"IPv4 as IPv6, listed", networks, nil, web, "http://[::ffff:192.0.2.7]/", "", yes},
		{"IPv4 as IPv6, not listed", networks, nil, web, "http://[::ffff:127.0.0.1]/", "", soon},
		{"IPv4 as IPv6 in hexadecimal digits", networks, nil, web, "http://[::ffff:7f00:1]/", "", soon},
		{"a zone", []string{"2001:db8::/32"}, nil, port, "[2001:db9::1%2001:db8::1]:80", "", soon},
		{"a zone of an address that is listed", []string{"fe80::/10"}, nil, port, "[fe80::1%eth0]:80", "", yes},
		{"a name whose address is listed", networks, nil, web, "http://near.example/", "", yes},
		{"a name whose address isn't", networks, nil, web, "http://evil.example/", "", late},
		{"hexadecimal", networks, nil, web, "http://0x7f.1/", "", late},
		{"one number", networks, nil, web, "http://2130706433/", "", late},
		{"octal", networks, nil, port, "017700000001:80", "", late},
		{"two numbers", networks, nil, port, "127.1:80", "", late},
		{"user info that looks like a target", networks, nil, web, "http://192.0.2.7@evil.test/", "", late},
		{"user info that looks like a name", names, nil, web, "http://shop.example@evil.test/", "", soon},
		{"a password that looks like a port", names, nil, web, "http://shop.example:80@evil.test/", "", soon},
		{"a fragment that looks like a name", names, nil, web, "http://evil.test#@shop.example/", "", soon},
		{"a query that looks like a name", names, nil, web, "http://evil.test?@shop.example/", "", soon},

		{"a name", names, nil, web, "http://shop.example/", "", yes},
		{"a name in capitals, with a dot at its end", names, nil, web, "http://SHOP.example./", "", yes},
		{"a name under it", names, nil, web, "http://api.shop.example/", "", soon},
		{"a name that ends like it", names, nil, web, "http://evilshop.example/", "", soon},
		{"a name that begins like it", names, nil, web, "http://shop.example.evil.test/", "", soon},
		{"a name under a star", names, nil, port, "blog.example.com:443", "", yes},
		{"IPv6 under a star", names, nil, port, "six.example.com:443", "", yes},
		{"the star's own name", names, nil, port, "example.com:443", "", soon},
		{"the address of a listed name", names, nil, web, "http://198.51.100.7/", "", soon},
		{"a name that has turned to metadata", names, nil, web, "http://rebound.example.com/", "", late},
		{"a name that has turned to this machine", names, nil, web, "http://mapped.example.com/", "", late},
		{"a name that goes there through NAT64", names, nil, web, "http://nat.example.com/", "", late},
		{"a name that goes there in the oldest form", names, nil, web, "http://compat.example.com/", "", late},
		{"a name without an address of its own", names, nil, web, "http://nobody.example.com/", "", late},
		{"a name of a group", names, nil, web, "http://cast.example.com/", "", late},
		{"the same, where the network is listed as well", append([]string{"169.254.0.0/16"}, names...), nil, web, "http://rebound.example.com/", "", yes},
		{"a number under a star", []string{"*.example.com", "*.7f"}, nil, web, "http://0x7f.1/", "", soon},
		{"a name that only looks like ASCII", names, nil, web, "http://ｓhop.example/", "", soon},

		{"a URL", urls, nil, web, "https://shop.example/status/1?x=../", "", yes},
		{"its default port", urls, nil, web, "https://shop.example:443/status/", "", yes},
		{"another port", urls, nil, web, "https://shop.example:8443/status/", "", soon},
		{"another scheme", urls, nil, web, "http://shop.example:443/status/", "", soon},
		{"another path", urls, nil, web, "https://shop.example/admin", "", soon},
		{"a path that climbs", urls, nil, web, "https://shop.example/status/../admin", "", soon},
		{"a path that climbs in other clothes", urls, nil, web, "https://shop.example/status/%2e%2e/admin", "", soon},
		{"a path that climbs by a slash in other clothes", urls, nil, web, "https://shop.example/status/..%2fadmin", "", soon},
		{"a path that climbs with parameters", urls, nil, web, "https://shop.example/status/..;x=1/admin", "", soon},
		{"a path that is decoded twice", urls, nil, web, "https://shop.example/status/%252e%252e/admin", "", soon},
		{"a path that climbs backwards", urls, nil, web, `https://shop.example/status/..\admin`, "", soon},
		{"a whole path", urls, nil, web, "http://192.0.2.7:8080/health", "", yes},
		{"more than the whole path", urls, nil, web, "http://192.0.2.7:8080/healthy", "", soon},
		{"any path", urls, nil, web, "https://blog.example.com", "", yes},
		{"a URL's host for another prober", urls, nil, port, "blog.example.com:443", "", soon},
		{"a URL's address for another prober", urls, nil, port, "192.0.2.7:8080", "", soon},
		{"a name that has a URL's address", append([]string{"203.0.113.0/24"}, urls...), nil, web, "http://near.example:8080/health", "", late},

		{"a port", []string{"shop.example:443", "192.0.2.7:22"}, nil, port, "shop.example:443", "", yes},
		{"a port that isn't listed", []string{"shop.example:443", "192.0.2.7:22"}, nil, port, "shop.example:22", "", late},
		{"an address's port", []string{"192.0.2.7:22"}, nil, port, "192.0.2.7:22", "", yes},
		{"an address's other port", []string{"192.0.2.7:22"}, nil, port, "192.0.2.7:23", "", soon},
		{"IPv6 with a port", []string{"[2001:db8::7]:22"}, nil, port, "[2001:db8::7]:22", "", yes},
		{"one address", []string{"192.0.2.7", "2001:db8::7"}, nil, web, "http://[2001:db8::7]/", "", yes},
		{"the next address", []string{"192.0.2.7", "2001:db8::7"}, nil, web, "http://192.0.2.8/", "", soon},

		{"what is denied", networks, []string{"192.0.2.7"}, web, "http://192.0.2.7/", "", soon},
		{"what is denied as IPv6", networks, []string{"192.0.2.7"}, web, "http://[::ffff:192.0.2.7]/", "", soon},
		{"a name of what is denied", names, []string{"198.51.100.0/24"}, web, "http://shop.example/", "", late},
		{"a URL of what is denied", urls, []string{"192.0.2.0/24"}, web, "http://192.0.2.7:8080/health", "", soon},
		{"this machine by no address", []string{"0.0.0.0/0", "::/0"}, []string{"127.0.0.0/8"}, port, "0.0.0.0:80", "", soon},
		{"this machine by no address of IPv6", []string{"::/0"}, []string{"127.0.0.0/8"}, port, "[::]:80", "", soon},
		{"this machine through 6to4", []string{"::/0"}, []string{"127.0.0.0/8"}, port, "[2002:7f00:1::]:80", "", soon},

		{"another name for a listed address", networks, nil, web, "http://192.0.2.7/", "shop.example", yes},
		{"a listed name for a listed name", names, nil, web, "http://blog.example.com/", "shop.example", yes},
		{"a listed name with a port", names, nil, web, "http://blog.example.com/", "shop.example:8080", yes},
		{"another name at a listed name's address", names, nil, web, "http://shop.example/", "admin.test", soon},
		{"another name at a listed URL", urls, nil, web, "https://shop.example/status/", "admin.test", soon},

		{"a ping", names, nil, ping, "shop.example", "", yes},
		{"a ping of what isn't listed", networks, nil, ping, "127.0.0.1", "", soon},
		{"a ping where a port is listed", []string{"shop.example:443"}, nil, ping, "shop.example", "", soon},
		{"a socket", []string{"unix:/run/shop/*"}, nil, socket, "/run/shop/app.sock", "", yes},
		{"a socket beside it", []string{"unix:/run/shop/*"}, nil, socket, "unix:///run/shop/../docker.sock", "", soon},
		{"a socket, where networks are listed", []string{"0.0.0.0/0", "::/0"}, nil, socket, "/run/docker.sock", "", soon},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := reach(t, newFence(t, tt.allow, tt.deny), tt.module, tt.target, tt.hostname)
			if got != tt.want {
				t.Errorf("%s: %s, want %s", tt.target, got, tt.want)
			}
		})
	}
}

func TestOutsideOfAFenceEverythingIsAllowed(t *testing.T) {
	if err := allowed(t.Context(), "tcp", "127.0.0.1", "127.0.0.1:80"); err != nil {
		t.Error(err)
	}
}

func TestMistakesInRules(t *testing.T) {
	for _, text := range []string{
		"", "*", "*.*", "shop*.example", "http://", "https://*/x", "ftp://shop.example/", "https://a@shop.example/",
		"https://shop.example/?x", "https://shop.example/#x", "https://shop.example/*/x", "https://shop.example/../x",
		"https://shop.example/%2e%2e/x", "192.0.2.1/24", "::ffff:192.0.2.1", "::ffff:0:0/96", "fe80::1%eth0", "fe80::%eth0/64",
		"192.0.2.0/33", "shop.example:0", "shop.example:http", "shop.example/x", "bücher.example", "shop..example", ".example",
		"127.1", "0x7f.1", "2130706433", "*.1", "unix:", "unix:run/x", "unix:/run/*/x", "unix:/run/../x", "user@shop.example",
	} {
		if f, wrong := NewFence([]string{text}, nil); len(wrong) != 1 {
			t.Errorf("%q: %d mistakes, want one; it became %+v", text, len(wrong), f.rules)
		}
	}
	if _, wrong := NewFence(nil, []string{"192.0.2.0/24", "shop.example"}); len(wrong) != 1 || wrong[0].Path != "deny[1]" {
		t.Errorf("got %v, want one mistake at deny[1]", wrong)
	}
}

// FuzzFence holds a fence of one network and one name against every target,
// rule by rule in its own words: what comes through was listed, whatever the
// target looks like and wherever its name leads.
func FuzzFence(f *testing.F) {
	for name, ip := range resolved {
		f.Add("http://"+name+"/", ip, "")
		f.Add(name+":80", ip, "shop.example")
	}
	for _, s := range []string{
		"http://192.0.2.7@127.0.0.1/", "http://[::ffff:192.0.2.1]/", "http://shop.example\\@evil.test/", "http://shop.example%00.evil.test/",
		"http://shop.example:80:80/", "//shop.example", "http:shop.example", "[::1]:80", "[fe80::1%25eth0]:80", "shop.example:80@evil.test:80",
	} {
		f.Add(s, "127.0.0.1", "")
	}
	f.Fuzz(func(t *testing.T, target, ip, hostname string) {
		network, machine := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.128/25")
		fence := newFence(t, []string{"192.0.2.0/24", "shop.example"}, []string{"192.0.2.128/25"})
		for _, m := range []Module{{Prober: "http"}, {Prober: "tcp"}, {Prober: "icmp"}} {
			ctx, p := fence.Enter(context.Background(), hostname)
			if m.CheckTarget(target) != nil || p.Refuse(m, target) != nil {
				continue
			}
			host, port := splitTarget(target)
			if m.Prober == "http" {
				u, err := url.Parse(target)
				if err != nil {
					t.Fatalf("CheckTarget took %q", target)
				}
				host, port = u.Hostname(), portOf(u)
			}
			if isAddress(host) {
				ip = host
			}
			if allowed(ctx, "tcp", host, net.JoinHostPort(ip, port)) != nil {
				continue
			}
			a, err := netip.ParseAddr(ip)
			if err != nil {
				t.Fatalf("%q: %q is no address, and allowed", target, ip)
			}
			a = a.Unmap()
			named := strings.EqualFold(strings.TrimSuffix(host, "."), "shop.example")
			switch {
			case machine.Contains(a):
				t.Errorf("%q: %s is denied, and allowed", target, a)
			case network.Contains(a):
			case !named:
				t.Errorf("%q: %q at %s is allowed, and neither listed", target, host, a)
			case a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast():
				t.Errorf("%q: %q at %s is allowed by its name", target, host, a)
			}
		}
	})
}

// FuzzRule reads entries: what is taken allows something, and never everything.
func FuzzRule(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "*.example.com", "https://shop.example/*", "unix:/run/*", "shop.example:443", "[2001:db8::]:1", "*"} {
		f.Add(s)
	}
	stranger := netip.MustParseAddr("203.0.113.99")
	f.Fuzz(func(t *testing.T, text string) {
		fence, wrong := NewFence([]string{text}, nil)
		if len(wrong) > 0 || slices.ContainsFunc(fence.rules, func(r rule) bool { return r.network.IsValid() && r.network.Contains(stranger) }) {
			return
		}
		for _, host := range []string{"evil.test", stranger.String(), "::ffff:203.0.113.99", "0x7f.1"} {
			if strings.Contains(strings.ToLower(text), "test") {
				continue
			}
			ctx, p := fence.Enter(context.Background(), "")
			if err := p.Refuse(Module{Prober: "tcp"}, net.JoinHostPort(host, "80")); err != nil {
				continue
			}
			var forbidden *forbiddenError
			if err := allowed(ctx, "tcp", host, "203.0.113.99:80"); !errors.As(err, &forbidden) {
				t.Errorf("%q allows %s", text, host)
			}
		}
	})
}
