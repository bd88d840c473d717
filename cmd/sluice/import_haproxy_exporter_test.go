package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImportedExportersAreAsExpectedAndGood(t *testing.T) {
	for name, flags := range map[string][]string{
		"exporter_default": nil,
		"exporter_unix":    {"/usr/bin/haproxy_exporter", "--haproxy.scrape-uri=unix:/run/haproxy/admin.sock", "--haproxy.timeout", "1m30s", "--web.listen-address=127.0.0.1:9101", "--log.level=debug", "--haproxy.server-exclude-states=MAINT"},
		"exporter_https": {
			"--haproxy.scrape-uri=https://stats:not-a-real-password@192.0.2.1:8404/stats;csv", "--no-haproxy.ssl-verify", "--http.proxy-from-env",
			"--haproxy.server-metric-fields=2,17,39,99", "--haproxy.server-exclude-states=DOWN,MAINT (via lead/a)", "--haproxy.pid-file=/run/haproxy.pid",
			"--web.listen-address=:9102", "--web.listen-address=[2001:db8::1]:9101", "--web.telemetry-path=/m", "--web.config.file=web file.yml", "--web.systemd-socket", "--log.format=json",
		},
		"exporter_old": {"-haproxy.scrape-uri", "tcp://192.0.2.1:9999", "-haproxy.ssl-verify=false", "-haproxy.server-metric-fields=", "-log.format=logger:stderr", "-log.level=fatal"},
	} {
		t.Run(name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "sluice.yml")
			var out, notes bytes.Buffer
			if err := importHAProxyExporter(streams{&out, &notes}, "edge1", flags, output); err != nil {
				t.Fatalf("%v\n%s", err, notes.String())
			}
			made := readFile(t, output)
			golden(t, name+".yml", made)
			golden(t, name+".notes", notes.String())
			var checked, wrong bytes.Buffer
			if err := checkConfig(streams{&checked, &wrong}, output); err != nil {
				t.Errorf("config check: %v\n%s", err, wrong.String())
			}
			if said := out.String() + notes.String() + made; strings.Contains(said, "not-a-real") {
				t.Error("the password is told")
			}
			password := filepath.Join(filepath.Dir(output), "sluice.password")
			if name != "exporter_https" {
				if _, err := os.Stat(password); err == nil {
					t.Error("there is a password file")
				}
				return
			}
			if got := readFile(t, password); got != "not-a-real-password\n" {
				t.Errorf("the password file holds %q", got)
			}
		})
	}
}

func TestWithoutOutputTheExportersPasswordIsAskedFor(t *testing.T) {
	var out, notes bytes.Buffer
	if err := importHAProxyExporter(streams{&out, &notes}, "edge1", []string{"--haproxy.scrape-uri=http://u:not-a-secret@192.0.2.1/;csv"}, ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Write the password into this file", "password_file: sluice.password\n", "username: u\n", "address: http://192.0.2.1/;csv\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String()+notes.String(), "not-a-secret") {
		t.Error("the password is told")
	}
}

func TestAWrongCommandLineIsToldWithoutItsValues(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flags []string
		want  string
	}{
		{"a slip of the hand", []string{"--haproxy.scrap-uri=http://canary"}, `--haproxy.scrap-uri: haproxy_exporter has no such flag: write "--haproxy.scrape-uri"`},
		{"its value in an argument of its own", []string{"--haproxy.scrap-uri", "http://canary"}, "--haproxy.scrap-uri: haproxy_exporter has no such flag: write \"--haproxy.scrape-uri\"\nargument 2: is no flag: write --NAME=VALUE, in quotes where the shell would part it"},
		{"a secret for a flag", []string{"--Canary"}, `--...: haproxy_exporter has no such flag: here may stand --haproxy.http-proxy-from-env, --haproxy.pid-file, --haproxy.scrape-uri, --haproxy.server-exclude-states, --haproxy.server-metric-fields, --haproxy.ssl-verify, --haproxy.timeout, --http.proxy-from-env, --log.format, --log.level, --web.config.file, --web.listen-address, --web.systemd-socket, --web.telemetry-path`},
		{"no value", []string{"--haproxy.timeout"}, "--haproxy.timeout: has no value: write --haproxy.timeout=VALUE"},
		{"a word for true or false", []string{"--haproxy.ssl-verify=canary"}, "--haproxy.ssl-verify: takes no such value: write --haproxy.ssl-verify or --no-haproxy.ssl-verify"},
		{"a no that has a value", []string{"--no-haproxy.ssl-verify=true"}, "--no-haproxy.ssl-verify: takes no such value: write --haproxy.ssl-verify or --no-haproxy.ssl-verify"},
		{"a no where there is none", []string{"--no-haproxy.timeout"}, `--no-haproxy.timeout: haproxy_exporter has no such flag: write "--haproxy.timeout"`},
		{"no URI", []string{"--haproxy.scrape-uri=http://u:canary@h:port%"}, "--haproxy.scrape-uri: is no URI: write http://HOST:PORT/PATH;csv, unix:PATH or tcp://HOST:PORT"},
		{"another scheme", []string{"--haproxy.scrape-uri=file:///canary"}, "--haproxy.scrape-uri: want http, https, unix or tcp as scheme"},
		{"no path", []string{"--haproxy.scrape-uri=unix:canary"}, "--haproxy.scrape-uri: has no host and port, or no path, that could be asked"},
		{"no port", []string{"--haproxy.scrape-uri=tcp://canary"}, "--haproxy.scrape-uri: has no host and port, or no path, that could be asked"},
		{"a password that no file holds", []string{"--haproxy.scrape-uri=http://u:canary%0A@192.0.2.1/;csv"}, "--haproxy.scrape-uri: the password begins or ends with a space, or holds a line break, which a password file can't: give the user another one"},
		{"a password of nobody", []string{"--haproxy.scrape-uri=http://:canary@192.0.2.1/;csv"}, "--haproxy.scrape-uri: has a password without a user"},
		{"no duration", []string{"--haproxy.timeout=canary"}, "--haproxy.timeout: want a duration above 0, such as 5s"},
		{"no number", []string{"--haproxy.server-metric-fields=2, canary"}, "--haproxy.server-metric-fields: entry 2 is no number: write the columns' numbers with commas between them, without spaces"},
		{"no port to listen on", []string{"--web.listen-address=canary"}, "--web.listen-address: want HOST:PORT or :PORT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, said bytes.Buffer
			if err := importHAProxyExporter(streams{&out, &said}, "edge1", tt.flags, ""); err == nil || out.Len() > 0 {
				t.Fatalf("it was taken:\n%s", out.String())
			}
			if diff := cmp.Diff(tt.want+"\n", said.String()); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(said.String(), "anary") {
				t.Error("a value is told")
			}
		})
	}
	var out, said bytes.Buffer
	if err := importHAProxyExporter(streams{&out, &said}, "a b", nil, ""); err == nil || !strings.HasPrefix(said.String(), "--device: ") {
		t.Errorf("a device without a name: %v\n%s", err, said.String())
	}
}

// The columns that haproxy_exporter gives by default are all that there are.
func TestEveryFieldLeavesNothingOut(t *testing.T) {
	x, wrong := readExporterFlags([]string{"--haproxy.server-metric-fields=2,3,4,5,6,7,8,9,13,14,15,16,17,18,21,24,30,33,35,38,39,40,41,42,43,44,49,50,58,59,60,61"})
	if len(wrong) > 0 || len(x.Names) > 0 || len(x.Scope) != 4 {
		t.Errorf("%v, %v, %v", wrong, x.Names, x.Scope)
	}
}

// Whatever is taken makes a configuration that our own check takes, too, and
// tells the password to nobody.
func FuzzImportHAProxyExporter(f *testing.F) {
	f.Add("--haproxy.scrape-uri=https://u:p@192.0.2.1:8404/stats;csv\n--no-haproxy.ssl-verify\n--haproxy.server-metric-fields=2,3\n--web.listen-address=:9101")
	f.Add("x\n-haproxy.timeout\n1ms\n-haproxy.scrape-uri\nunix:/a b'#: {\n--web.config.file=#'\"x")
	f.Add("--haproxy.scrape-uri=tcp://[::1]:1\n--haproxy.server-exclude-states=MAINT,NOLB")
	f.Fuzz(func(t *testing.T, text string) {
		x, wrong := readExporterFlags(strings.Split(text, "\n"))
		if len(wrong) > 0 {
			return
		}
		x.Device = "edge1"
		x.File, x.PasswordFile = besideOf("")
		made, err := x.yaml()
		if err != nil {
			t.Fatal(err)
		}
		var c config
		root, found := decode(made, &c)
		if root == nil || len(found) > 0 {
			t.Fatalf("%v in\n%s", found, made)
		}
		c.setDirectory(t.TempDir())
		if wrong := c.validate(); len(wrong) > 0 {
			t.Fatalf("%v in\n%s", wrong, made)
		}
		h := c.Devices[0].HAProxy
		if h.BasicAuth != nil && h.BasicAuth.Username != x.Username {
			t.Errorf("user %q became %q", x.Username, h.BasicAuth.Username)
		}
	})
}
