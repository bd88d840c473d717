package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vars is an environment, written as "NAME=value" each.
func vars(all ...string) func(string) string {
	return func(name string) string {
		for _, v := range all {
			if n, value, _ := strings.Cut(v, "="); n == name {
				return value
			}
		}
		return ""
	}
}

func TestTheEnvironmentIsAConfiguration(t *testing.T) {
	const defaults = "127.0.0.1:11011"
	for _, c := range []struct {
		name    string
		vars    []string
		devices []string // name, address, timeout
		token   string
		listen  string
		notes   []string
	}{
		{"nothing is set", nil, []string{"default /var/run/haproxy.sock 5s"}, "", defaults, nil},
		{"empty is not set", []string{"HAPROXY_INSTANCES=", "HAPROXY_TIMEOUT= ", "AGENT_PORT="}, []string{"default /var/run/haproxy.sock 5s"}, "", defaults, nil},
		{"a socket", []string{"HAPROXY_SOCKET_PATH=/run/h.sock", "HAPROXY_TIMEOUT=2.5"}, []string{"default /run/h.sock 2s500ms"}, "", defaults, nil},
		{"an address", []string{"HAPROXY_SOCKET_PATH=ipv4@192.0.2.15:7777"}, []string{"default ipv4@192.0.2.15:7777 5s"}, "", defaults, nil},
		{"one bare address", []string{"HAPROXY_INSTANCES=ipv4@192.0.2.15:7777"}, []string{"default ipv4@192.0.2.15:7777 5s"}, "", defaults, nil},
		{"one bare path", []string{"HAPROXY_INSTANCES=/run/a=b.sock"}, []string{"default /run/a=b.sock 5s"}, "", defaults, nil},
		{
			"several, in their order",
			[]string{"HAPROXY_INSTANCES=prod=/run/h1.sock, remote = ipv4@192.0.2.15:7777,backup=ipv6@[2001:db8::1]:7777,stats=http://192.0.2.1/stats;csv", "HAPROXY_TIMEOUT=500ms"},
			[]string{"prod /run/h1.sock 500ms", "remote ipv4@192.0.2.15:7777 500ms", "backup ipv6@[2001:db8::1]:7777 500ms", "stats http://192.0.2.1/stats;csv 500ms"},
			"", defaults, nil,
		},
		{"both", []string{"HAPROXY_INSTANCES=a=/run/a", "HAPROXY_SOCKET_PATH=/run/b"}, []string{"a /run/a 5s"}, "", defaults, []string{"HAPROXY_SOCKET_PATH isn't used, as HAPROXY_INSTANCES is set"}},
		{"a token", []string{"AGENT_SECURITY_ENABLED=True", "AGENT_AUTH_TOKEN=not-a-real-token", "AGENT_HOST=0.0.0.0", "AGENT_PORT=8080"}, []string{"default /var/run/haproxy.sock 5s"}, "not-a-real-token", "0.0.0.0:8080", nil},
		{"a token that nobody asks for", []string{"AGENT_SECURITY_ENABLED=false", "AGENT_AUTH_TOKEN=not-a-real-token"}, []string{"default /var/run/haproxy.sock 5s"}, "", defaults, []string{"AGENT_AUTH_TOKEN isn't asked for, as AGENT_SECURITY_ENABLED isn't true"}},
		{"IPv6", []string{"AGENT_HOST=[::1]"}, []string{"default /var/run/haproxy.sock 5s"}, "", "[::1]:11011", nil},
		{"a name", []string{"AGENT_HOST=localhost"}, []string{"default /var/run/haproxy.sock 5s"}, "", "localhost:11011", nil},
		{
			"what means nothing here",
			[]string{"LOG_LEVEL=INFO", "DISCOVERY_INTERVAL=60"},
			[]string{"default /var/run/haproxy.sock 5s"},
			"", defaults,
			[]string{"LOG_LEVEL means nothing here: give --log.level", "DISCOVERY_INTERVAL means nothing here: there is no discovery of applications"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := readEnvironment(vars(c.vars...))
			if err != nil {
				t.Fatal(err)
			}
			var devices []string
			for _, d := range e.devices {
				devices = append(devices, d.Name+" "+d.HAProxy.Address+" "+d.HAProxy.Timeout.String())
			}
			if diff := cmp.Diff(c.devices, devices); diff != "" {
				t.Error(diff)
			}
			if e.token != c.token || e.listen != c.listen || !slices.Equal(e.notes, c.notes) {
				t.Errorf("token %q, listen %q, notes %q", e.token, e.listen, e.notes)
			}
		})
	}
}

func TestMistakesOfTheEnvironmentNameTheVariable(t *testing.T) {
	const address = "want a socket's path, ipv4@HOST:PORT, ipv6@[HOST]:PORT, HOST:PORT or http(s)://HOST/stats;csv"
	for _, c := range []struct {
		vars string // by blanks
		want []string
	}{
		{"HAPROXY_SOCKET_PATH=ipv4@192.0.2.15", []string{`HAPROXY_SOCKET_PATH: address "ipv4@192.0.2.15": no host and port: ` + address}},
		{"HAPROXY_SOCKET_PATH=ipv4@192.0.2.15:99999", []string{`HAPROXY_SOCKET_PATH: address "ipv4@192.0.2.15:99999": port is not 1 to 65535: ` + address}},
		{"HAPROXY_SOCKET_PATH=ipv4@192.0.2.256:7777", []string{`HAPROXY_SOCKET_PATH: address "ipv4@192.0.2.256:7777": "192.0.2.256" is no IPv4 address: want a socket's path, ipv4@HOST:PORT, ipv6@[HOST]:PORT, HOST:PORT or http(s)://HOST/stats;csv`}},
		{"HAPROXY_SOCKET_PATH=haproxy.sock", []string{`HAPROXY_SOCKET_PATH: address "haproxy.sock": no host and port: ` + address}},
		{"HAPROXY_INSTANCES=tcp@192.0.2.1:7777", []string{`HAPROXY_INSTANCES: entry 1: address "tcp@192.0.2.1:7777": unknown kind "tcp": ` + address}},
		{"HAPROXY_INSTANCES=a=/run/a,/run/b", []string{`HAPROXY_INSTANCES: entry 2, "/run/b", has no name: write NAME=ADDRESS`}},
		{"HAPROXY_INSTANCES=a=/run/a,", []string{`HAPROXY_INSTANCES: entry 2 is empty: write NAME=ADDRESS`}},
		{"HAPROXY_INSTANCES=a=/run/a,a=/run/b", []string{`HAPROXY_INSTANCES: entry 2: name "a" is used twice`}},
		{"HAPROXY_INSTANCES=a;b=/run/a", []string{`HAPROXY_INSTANCES: entry 1: name "a;b": want letters, digits, '.', ':', '_' or '-', at most 64`}},
		{"HAPROXY_INSTANCES==/run/a", []string{`HAPROXY_INSTANCES: entry 1: name "": want letters, digits, '.', ':', '_' or '-', at most 64`}},
		{"HAPROXY_INSTANCES=a=", []string{`HAPROXY_INSTANCES: entry 1: address "": is empty: ` + address}},
		{"HAPROXY_TIMEOUT=soon", []string{`HAPROXY_TIMEOUT: "soon": want seconds, such as 5.0, or a duration, such as 500ms`}},
		{"HAPROXY_TIMEOUT=0", []string{`HAPROXY_TIMEOUT: "0": want 0.001 to 60 seconds`}},
		{"HAPROXY_TIMEOUT=-1", []string{`HAPROXY_TIMEOUT: "-1": want 0.001 to 60 seconds`}},
		{"HAPROXY_TIMEOUT=NaN", []string{`HAPROXY_TIMEOUT: "NaN": want 0.001 to 60 seconds`}},
		{"HAPROXY_TIMEOUT=61", []string{`HAPROXY_TIMEOUT: "61": want 0.001 to 60 seconds`}},
		{"AGENT_SECURITY_ENABLED=true", []string{"AGENT_AUTH_TOKEN: is missing, and AGENT_SECURITY_ENABLED is true: give the token that each request has to carry"}},
		{"AGENT_SECURITY_ENABLED=ture AGENT_AUTH_TOKEN=not-a-real-token", []string{`AGENT_SECURITY_ENABLED: "ture": want true or false`}},
		{"AGENT_SECURITY_ENABLED=true AGENT_AUTH_TOKEN=canary\u00a0secret", []string{"AGENT_AUTH_TOKEN: has a blank or a character that no header can carry: use visible ASCII characters"}},
		{"AGENT_HOST=127.0.0.1:80", []string{`AGENT_HOST: "127.0.0.1:80": want an address to listen on, such as 127.0.0.1, without port`}},
		{"AGENT_HOST=10.0.0.256", []string{`AGENT_HOST: "10.0.0.256": want an address to listen on, such as 127.0.0.1, without port`}},
		{"AGENT_PORT=0", []string{`AGENT_PORT: "0": want a port, 1 to 65535`}},
		{"AGENT_PORT=http", []string{`AGENT_PORT: "http": want a port, 1 to 65535`}},
		{
			"HAPROXY_SOCKET_PATH=x HAPROXY_TIMEOUT=x AGENT_SECURITY_ENABLED=x AGENT_HOST=a/b AGENT_PORT=x",
			[]string{
				`HAPROXY_TIMEOUT: "x": want seconds, such as 5.0, or a duration, such as 500ms`, `HAPROXY_SOCKET_PATH: address "x": no host and port: ` + address,
				`AGENT_SECURITY_ENABLED: "x": want true or false`, `AGENT_HOST: "a/b": want an address to listen on, such as 127.0.0.1, without port`, `AGENT_PORT: "x": want a port, 1 to 65535`,
			},
		},
	} {
		_, err := readEnvironment(vars(strings.Split(c.vars, " ")...))
		wrong := (*environmentError)(nil)
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v", c.vars, err)
			continue
		}
		if diff := cmp.Diff(c.want, wrong.Lines()); diff != "" {
			t.Errorf("%s: %s", c.vars, diff)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the token is told: %v", c.vars, err)
		}
	}
}

func TestTheEnvironmentCountsWhereThereIsNoFile(t *testing.T) {
	dir := t.TempDir()
	file, missing, dangling := filepath.Join(dir, "sluice.yml"), filepath.Join(dir, "none.yml"), filepath.Join(dir, "dangling.yml")
	if err := errors.Join(os.WriteFile(file, []byte("devices: [{name: edge1, haproxy: {address: /run/x.sock}}]\n"), 0o600), os.Symlink(missing, dangling)); err != nil {
		t.Fatal(err)
	}
	set := vars("HAPROXY_INSTANCES=prod=/run/h.sock", "AGENT_SECURITY_ENABLED=true", "AGENT_AUTH_TOKEN=canary-token")
	for _, c := range []struct {
		name, path string
		named      bool
		vars       func(string) string
		device     string
		err        string
	}{
		{"neither", missing, false, vars(), "", "or set HAPROXY_INSTANCES or HAPROXY_SOCKET_PATH"},
		{"the environment", missing, false, set, "prod", ""},
		{"a wrong environment", missing, false, vars("AGENT_PORT=x"), "", `AGENT_PORT: "x"`},
		{"a file that was named and isn't there", missing, true, set, "", "none.yml: no such file"},
		{"a file that was named", file, true, set, "edge1", ""},
		{"the default file", file, false, set, "edge1", ""},
		{"a default file that leads nowhere", dangling, false, set, "", "dangling.yml: no such file"},
	} {
		l, err := loadOrEnvironment(c.path, c.named, c.vars)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.name, err, c.err)
			}
			continue
		}
		if err != nil || l.Devices[0].Name != c.device || (l.env != nil) != (c.device == "prod") || l.Remediation != nil {
			t.Errorf("%s: %+v, %v", c.name, l, err)
			continue
		}
		if l.env != nil && (strings.Contains(l.masked, "canary") || !strings.Contains(l.masked, "address: /run/h.sock") || l.hash == "" || l.summary() == "") {
			t.Errorf("%s: it shows itself as %q", c.name, l.masked)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
}

// Whatever is set: either each line names its variable and none has the token, or
// what comes out can be listened on, dialled and shown.
func FuzzEnvironment(f *testing.F) {
	f.Add("/run/h.sock", "", "5.0", "false", "", "", "")
	f.Add("", "a=/run/a,b=ipv4@192.0.2.1:7777", "500ms", "true", "not-a-real-token", "0.0.0.0", "11011")
	f.Add("ipv6@[::1]:1", "=,,=", "1e400", "TRUE", " ", "[::1", "65536")
	f.Add("unix@", "http://192.0.2.1/stats;csv", "0x1p-2", "oui", "\x00", "%", "+1")
	f.Fuzz(func(t *testing.T, socket, instances, timeout, security, token, host, port string) {
		set := map[string]string{envSocket: socket, envInstances: instances, envTimeout: timeout, envSecurity: security, envToken: token, envHost: host, envPort: port}
		e, err := readEnvironment(func(name string) string { return set[name] })
		if err != nil {
			wrong := (*environmentError)(nil)
			if !errors.As(err, &wrong) || len(wrong.Lines()) == 0 {
				t.Fatalf("%q: %v", set, err)
			}
			for _, line := range wrong.Lines() {
				name, _, _ := strings.Cut(line, ":")
				if _, ok := set[name]; !ok || strings.ContainsAny(line, "\r\n") {
					t.Fatalf("%q: line %q", set, line)
				}
			}
			return
		}
		if len(e.devices) == 0 || len(e.devices.Validate()) > 0 {
			t.Fatalf("%q: devices %+v: %v", set, e.devices, e.devices.Validate())
		}
		for _, d := range e.devices {
			if timeout := time.Duration(d.HAProxy.Timeout); timeout <= 0 || timeout > time.Minute {
				t.Fatalf("%q: timeout %s", set, timeout)
			}
		}
		if h, p, err := net.SplitHostPort(e.listen); err != nil || h == "" || p == "" || p == "0" {
			t.Fatalf("%q: listen %q", set, e.listen)
		}
		if e.token != "" && e.token != strings.TrimSpace(token) || strings.ContainsAny(e.token, " \r\n\t") {
			t.Fatalf("%q: token %q", set, e.token)
		}
		if _, err := e.loaded(); err != nil {
			t.Fatalf("%q: %v", set, err)
		}
	})
}

func TestTheDocsHaveEachVariable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "migration.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{envSocket, envInstances, envTimeout, envSecurity, envToken, envHost, envPort}
	for _, v := range notTaken {
		names = append(names, v[0])
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/migration.md doesn't have %s", name)
		}
	}
}
