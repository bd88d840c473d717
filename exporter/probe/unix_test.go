package probe_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/exporter/probe"
)

// socket serves one line on a socket of its own.
func socket(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "u") // the path of a test may be longer than a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // nothing of the test's depends on it
	path := filepath.Join(dir, "s.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // the test is over
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }() // the test has its answer
				serve(c)
			}()
		}
	}()
	return path
}

func TestASocketIsAsked(t *testing.T) {
	path := socket(t, func(c net.Conn) {
		if line, _ := bufio.NewReader(c).ReadString('\n'); line == "PING\n" {
			_, _ = io.WriteString(c, "+PONG\r\n")
		}
	})
	p, err := probe.New(examples(t, "example.yml")["unix_socket_ping"])
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, p.Probe(t.Context(), path), "")
	wantReason(t, p.Probe(t.Context(), "unix://"+path), "")
	wantReason(t, p.Probe(t.Context(), path+".gone"), probe.Connect)
	wantReason(t, p.Probe(t.Context(), "run/app.sock"), probe.Unmade)
	r := ask(t, "{prober: unix, unix: {query_response: [{send: PING}, {expect: '^-ERR'}]}}", path)
	wantReason(t, r, probe.Body)
	if string(r.Body) != "+PONG\r\n" {
		t.Errorf("kept %q", r.Body)
	}
}

// Somebody who may not connect can't know whether anybody listens.
func TestASocketThatIsClosedToUsSaysNothing(t *testing.T) {
	path := socket(t, func(net.Conn) {})
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	want := probe.Unmade
	if c, err := net.Dial("unix", path); err == nil { // root may do all
		want = ""
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	} else if !errors.Is(err, os.ErrPermission) {
		t.Fatal(err)
	}
	wantReason(t, ask(t, "{prober: unix}", path), want)
}

func TestATargetOfEachKindIsShownWhereItHoldsNoSecret(t *testing.T) {
	for _, c := range []struct{ prober, target, shown string }{
		{"unix", "/run/app.sock", "/run/app.sock"},
		{"unix", "unix:///run/app.sock", "unix:///run/app.sock"},
		{"unix", "@app", "@app"},
		{"icmp", "192.0.2.1", "192.0.2.1"},
		{"icmp", "2001:db8::1", "2001:db8::1"},
		{"icmp", "fe80::1%eth0", "fe80::1%eth0"},
		{"icmp", "host.example.com", "host.example.com"},
	} {
		if err := (probe.Module{Prober: c.prober}).CheckTarget(c.target); err != nil {
			t.Error(err)
		}
		if got := probe.Redact(c.target); got != c.shown {
			t.Errorf("%s is shown as %s", c.target, got)
		}
	}
	for _, c := range []struct{ prober, target string }{
		{"unix", ""},
		{"unix", "app.sock"},
		{"unix", "unix://app.sock"},
		{"unix", "//user:canary@host/x"},
		{"unix", "/run/a\ncanary"},
		{"unix", "/run/a?canary"},
		{"unix", "/run/" + strings.Repeat("a", 103)},
		{"icmp", ""},
		{"icmp", "192.0.2.1:80"},
		{"icmp", "user:canary@192.0.2.1"},
		{"icmp", "fe80::1%user:canary@host"},
		{"icmp", "a b"},
		{"icmp", strings.Repeat("a", 254)},
	} {
		err := probe.Module{Prober: c.prober}.CheckTarget(c.target)
		if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %q: %v", c.prober, c.target, err)
		}
	}
}

func TestMembersAreAskedByWhatTheProberTakes(t *testing.T) {
	for prober, want := range map[string]string{"icmp": "2001:db8::7", "tcp": "[2001:db8::7]:80", "unix": ""} {
		got, err := probe.Module{Prober: prober}.MemberTarget("http", "2001:db8::7", 80)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", prober, got, err)
		}
	}
}
