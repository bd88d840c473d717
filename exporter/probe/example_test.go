package probe_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/exporter/probe"
)

// The newest release whose example file is read, and its sum in the checksum database.
const (
	blackbox    = "github.com/prometheus/blackbox_exporter@v0.28.0"
	blackboxSum = "h1:5n59xN6d4OtnwANA9nQIoBhwfG90b50cMByshvc/+zA="
)

// blackboxDir has blackbox_exporter's source as the module proxy serves it, so
// that its files are read as they are and never copied.
var blackboxDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "no-module") // where no go.mod takes part
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is empty
	cmd := exec.Command("go", "mod", "download", "-json", blackbox)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GO111MODULE=on", "GOWORK=off")
	out, err := cmd.Output()
	var got struct{ Dir, Sum, Error string }
	if bad := json.Unmarshal(out, &got); bad != nil {
		return "", errors.Join(err, bad)
	}
	if err != nil || got.Sum != blackboxSum {
		return "", fmt.Errorf("%s: %s, sum %q: %w", blackbox, got.Error, got.Sum, err)
	}
	return got.Dir, nil
})

// examples reads one of blackbox_exporter's files, strictly.
func examples(t *testing.T, path string) map[string]probe.Module {
	t.Helper()
	if !filepath.IsAbs(path) {
		dir, err := blackboxDir()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was read
	var c struct {
		Modules map[string]probe.Module `yaml:"modules"`
	}
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	for name, m := range c.Modules {
		m.SetDirectory(filepath.Dir(path))
		c.Modules[name] = m
	}
	return c.Modules
}

// fate is what becomes of each module of a file.
func fate(t *testing.T, modules map[string]probe.Module) string {
	t.Helper()
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		m := modules[name]
		if wrong := m.Validate(); len(wrong) > 0 {
			t.Errorf("%s: %v", name, wrong)
		}
		why := m.Unserved()
		if _, err := probe.New(m); (err == nil) != (why == "") {
			t.Errorf("%s: %v, but unserved: %q", name, err, why)
		}
		if why == "" {
			why = "served"
		}
		fmt.Fprintf(&all, "%s: %s\n", name, why)
	}
	return all.String()
}

func TestTheExampleFileOfBlackboxExporterLoadsUnchanged(t *testing.T) {
	const want = `dns_soa: served
dns_tcp_example: served
dns_udp_example: served
http_2xx_example: served
http_2xx_oauth_client_credentials: served
http_basic_auth_example: served
http_custom_ca_example: http.tls_config.ca_file: open /certs/my_cert.crt: no such file or directory
http_gzip: served
http_gzip_with_accept_encoding: served
http_json_cel_match: http.fail_if_body_json_not_matches_cel: CEL is not served: use fail_if_body_not_matches_regexp
http_post_2xx: served
http_post_body_file: http.body_file: open /files/body.txt: no such file or directory
http_with_header_from_files: http.http_headers.X-API-Key.files[0]: open /path/to/api-key.txt: no such file or directory
http_with_proxy: served
http_with_proxy_and_headers: served
icmp_example: served
imap_starttls: served
irc_banner_example: served
postgresql: served
rabbitmq: tcp.tls_config.ca_file: open /etc/blackbox_exporter/CA_cert.crt: no such file or directory
rabbitmq_insecure: tcp.tls_config.ca_file: open /etc/blackbox_exporter/CA_cert.crt: no such file or directory
smtp_starttls: served
tcp_connect_example: served
tls_connect: served
unix_socket_ping: served
`
	if diff := cmp.Diff(want, fate(t, examples(t, "example.yml"))); diff != "" {
		t.Error(diff)
	}
}

// The file that the program comes with, the one that its own tests read, and Debian's.
func TestOtherFilesOfBlackboxExporterLoadUnchanged(t *testing.T) {
	files := map[string]string{ // what isn't served of them
		"blackbox.yml": "http_3xx: http.enable_http3: HTTP/3 is not served\n",
		"config/testdata/blackbox-good.yml": `grpc_health: there is no prober "grpc_probe" here: use one of ` +
			strings.Join(probe.Kinds(), ", ") + "\n",
	}
	const debian = "/etc/prometheus/blackbox.yml" // of the package prometheus-blackbox-exporter
	if _, err := os.Stat(debian); !errors.Is(err, fs.ErrNotExist) {
		files[debian] = ""
	}
	for file, want := range files {
		got := ""
		for line := range strings.Lines(fate(t, examples(t, file))) {
			if !strings.HasSuffix(line, ": served\n") {
				got += line
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}
