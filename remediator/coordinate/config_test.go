package coordinate

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// parse decodes as the program does: strictly.
func parse(text string) (Config, []string, error) {
	var file struct {
		Coordinator Config `yaml:"coordinator,omitempty"`
	}
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return Config{}, nil, err
	}
	var all []string
	for _, m := range file.Coordinator.Validate() {
		all = append(all, m.Error())
	}
	return file.Coordinator, all, nil
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       *EtcdConfig
	}{
		{"left out is local", "{}", nil},
		{"local is local", "coordinator: local", nil},
		{"etcd by default", "coordinator: {etcd: {endpoints: [http://127.0.0.1:2379]}}", &EtcdConfig{
			Endpoints: []string{"http://127.0.0.1:2379"}, Prefix: "/sluice", TTL: model.Duration(10 * time.Second),
		}},
		{"etcd with all", `coordinator: {etcd: {endpoints: ["https://192.0.2.1:2379", "https://192.0.2.2:2379"], prefix: /a/b, ttl: 30s,
  tls_config: {ca_file: ca.pem}, username: sluice, password_file: secret}}`, &EtcdConfig{
			Endpoints: []string{"https://192.0.2.1:2379", "https://192.0.2.2:2379"}, Prefix: "/a/b", TTL: model.Duration(30 * time.Second),
			TLS: &promconfig.TLSConfig{CAFile: "/etc/sluice/ca.pem"}, Username: "sluice", PasswordFile: "/etc/sluice/secret",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, mistakes, err := parse(tt.text)
			if err != nil || len(mistakes) > 0 {
				t.Fatal(err, mistakes)
			}
			c.SetDirectory("/etc/sluice")
			if d := cmp.Diff(tt.want, c.Etcd); d != "" {
				t.Error(d)
			}
			out, err := yaml.Marshal(map[string]any{"coordinator": c})
			if err != nil {
				t.Fatal(err)
			}
			again, mistakes, err := parse(string(out))
			if err != nil || len(mistakes) > 0 {
				t.Fatalf("what was written can't be read: %v %v\n%s", err, mistakes, out)
			}
			if d := cmp.Diff(c.Etcd, again.Etcd); d != "" {
				t.Error(d)
			}
			if !c.Same(&again) {
				t.Error("it differs from itself")
			}
		})
	}
}

func TestConfigMistakes(t *testing.T) {
	etcd := func(rest string) string { return "coordinator: {etcd: {" + rest + "}}" }
	for _, tt := range []struct{ name, text, want string }{
		{"the bare word", "coordinator: etcd", "etcd needs to know where"},
		{"another word", "coordinator: consul", `"consul": write local, or a section etcd`},
		{"no endpoints", etcd("prefix: /a"), "etcd.endpoints: is missing"},
		{"an endpoint without scheme", etcd(`endpoints: ["192.0.2.1:2379"]`), "etcd.endpoints[0]: write an address"},
		{"an endpoint without port", etcd(`endpoints: ["http://192.0.2.1"]`), "etcd.endpoints[0]: write an address"},
		{"a user in an endpoint", etcd(`endpoints: ["https://u:not-a-real-password@192.0.2.1:2379"]`), "etcd.endpoints[0]: holds a user"},
		{"a path in an endpoint", etcd(`endpoints: ["https://192.0.2.1:2379/x"]`), "etcd.endpoints[0]: holds more than"},
		{"two schemes", etcd(`endpoints: ["https://192.0.2.1:2379", "http://192.0.2.2:2379"]`), "etcd.endpoints: some are http"},
		{"TLS without TLS", etcd(`endpoints: ["http://192.0.2.1:2379"], tls_config: {ca_file: x}`), "etcd.tls_config: is for"},
		{"a password in the clear", etcd(`endpoints: ["http://192.0.2.1:2379"], username: u, password_file: f`), "etcd.username: would send"},
		{"a user without password", etcd(`endpoints: ["https://192.0.2.1:2379"], username: u`), "etcd.username: goes with password_file"},
		{"a prefix without slash", etcd(`endpoints: ["http://192.0.2.1:2379"], prefix: sluice`), "etcd.prefix: "},
		{"a prefix with one behind", etcd(`endpoints: ["http://192.0.2.1:2379"], prefix: /sluice/`), "etcd.prefix: "},
		{"a short lease", etcd(`endpoints: ["http://192.0.2.1:2379"], ttl: 1s`), "etcd.ttl: 1s: write whole seconds from 3s to 5m"},
		{"a lease of fractions", etcd(`endpoints: ["http://192.0.2.1:2379"], ttl: 3500ms`), "etcd.ttl: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, mistakes, err := parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(mistakes, "\n")
			if !strings.Contains(all, tt.want) || len(mistakes) != 1 {
				t.Errorf("got %q; want %q", all, tt.want)
			}
			if strings.Contains(all, "not-a-real-password") {
				t.Error("it shows a password")
			}
		})
	}
	t.Run("an unknown key", func(t *testing.T) {
		if _, _, err := parse(etcd("endpoint: []")); err == nil || !strings.Contains(err.Error(), "endpoint") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOpenRefusesAPasswordThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	c := Config{Etcd: &EtcdConfig{Endpoints: []string{"https://192.0.2.1:2379"}, Username: "u", PasswordFile: file}}
	if _, err := Open(c); err == nil {
		t.Error("a missing file was taken")
	}
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("got %v", err)
	}
}
