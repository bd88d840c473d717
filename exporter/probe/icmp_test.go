package probe_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/icmp"

	"github.com/sluice-project/sluice/exporter/probe"
)

// mayPing says whether this process may ping to an address, by the sockets that
// the prober could take.
func mayPing(t *testing.T, ip string) bool {
	t.Helper()
	networks := []string{"udp4", "ip4:icmp"}
	if strings.Contains(ip, ":") {
		networks = []string{"udp6", "ip6:ipv6-icmp"}
	}
	for _, network := range networks {
		c, err := icmp.ListenPacket(network, ip)
		if err != nil {
			continue
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	return false
}

// hasAddress says whether this machine has an address at all.
func hasAddress(t *testing.T, ip string) bool {
	t.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return false
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}

func TestThisMachineIsPinged(t *testing.T) {
	for _, c := range []struct{ name, settings, target, at string }{
		{"IPv4", "", "127.0.0.1", "127.0.0.1"},
		{"IPv6", "", "::1", "::1"},
		{"by name", "preferred_ip_protocol: ip4", "localhost", "127.0.0.1"},
		{"from an address", "source_ip_address: 127.0.0.2", "127.0.0.1", "127.0.0.1"},
		{"with a large payload", "payload_size: 1400", "127.0.0.1", "127.0.0.1"},
		{"with a small payload", "payload_size: 1", "127.0.0.1", "127.0.0.1"},
		{"whole", "dont_fragment: true, ttl: 5", "127.0.0.1", "127.0.0.1"},
		{"whole over IPv6", "dont_fragment: true, ttl: 5", "::1", "::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, "{prober: icmp, timeout: 5s, icmp: {"+c.settings+"}}", c.target)
			if !hasAddress(t, c.at) {
				if r.Up {
					t.Errorf("%s is up, and isn't here", c.target)
				}
				return
			}
			got := seriesOf(r)
			if !mayPing(t, c.at) {
				wantReason(t, r, probe.Unmade)
				if !strings.Contains(r.Detail, "net.ipv4.ping_group_range") || !strings.Contains(r.Detail, "CAP_NET_RAW") {
					t.Errorf("%s says not what to permit", r.Detail)
				}
				return
			}
			wantReason(t, r, "")
			if got["probe_icmp_duration_seconds"+"map[phase:rtt]"] <= 0 || got["probe_icmp_duration_seconds"+"map[phase:setup]"] <= 0 {
				t.Errorf("%v", got)
			}
			want := 64.0 // of the reply, whatever the request had
			if hops, ok := got["probe_icmp_reply_hop_limit"]; !ok || hops != want {
				t.Errorf("hop limit %v", hops)
			}
			if r.IP != c.at {
				t.Errorf("IP %s", r.IP)
			}
		})
	}
}

func TestAPingThatCannotBeMadeSaysNothingOfTheTarget(t *testing.T) {
	wantReason(t, ask(t, "{prober: icmp, icmp: {source_ip_address: '::1'}}", "127.0.0.1"), probe.Unmade)
	wantReason(t, ask(t, "{prober: icmp, icmp: {source_ip_address: 192.0.2.1}}", "127.0.0.1"), probe.Unmade)
	wantReason(t, ask(t, "{prober: icmp}", "127.0.0.1:80"), probe.Unmade)
	p, err := probe.New(module(t, "{prober: icmp}"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantReason(t, p.Probe(ctx, "127.0.0.1"), probe.Unmade)
	got := seriesOf(ask(t, "{prober: icmp}", "a.invalid"))
	for _, phase := range []string{"resolve", "setup", "rtt"} {
		if _, ok := got["probe_icmp_duration_seconds"+"map[phase:"+phase+"]"]; !ok {
			t.Errorf("no phase %s: %v", phase, got)
		}
	}
}

func TestPingsAtOnceDontTakeEachOthersReplies(t *testing.T) {
	p, err := probe.New(module(t, "{prober: icmp, timeout: 10s}"))
	if err != nil {
		t.Fatal(err)
	}
	want := probe.Reason("")
	if !mayPing(t, "127.0.0.1") {
		want = probe.Unmade
	}
	results := make(chan probe.Result, 64)
	for range cap(results) {
		go func() { results <- p.Probe(t.Context(), "127.0.0.1") }()
	}
	for range cap(results) {
		wantReason(t, <-results, want)
	}
}
