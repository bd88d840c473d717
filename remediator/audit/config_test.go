package audit

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestConfig(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
		file string
	}{
		"nothing": {"{}", nil, DefaultFile},
		"all": {`
file: a.jsonl
max_size: 64MiB
syslog: {address: 'tls://192.0.2.5:6514', format: cef, facility: local4, enterprise_id: 32473, tls_config: {server_name: log.example.com}}`, nil, "/etc/sluice/a.jsonl"},
		"a name that a full file has": {"file: /var/log/audit.jsonl.1", []string{`file: "/var/log/audit.jsonl.1" ends in a number, as full files do: write a name like audit.jsonl`}, "/var/log/audit.jsonl.1"},
		"tiny files":                  {"max_size: 1KiB", []string{"max_size: 1KiB: write 1MiB or more"}, DefaultFile},
		"syslog to nowhere": {"syslog: {format: leef}", []string{
			`syslog.format: "leef": write rfc5424 or cef`,
			"syslog.address: write one like udp://192.0.2.5:514, tcp://192.0.2.5:601, tls://192.0.2.5:6514 or unix:///dev/log",
		}, DefaultFile},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			d := yaml.NewDecoder(bytes.NewReader([]byte(tt.text)))
			d.KnownFields(true)
			if err := d.Decode(&c); err != nil {
				t.Fatal(err)
			}
			c.SetDirectory("/etc/sluice")
			var got []string
			for _, m := range c.Validate() {
				got = append(got, m.Error())
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if filepath.ToSlash(c.File) != tt.file || c.MaxSize == 0 {
				t.Errorf("got %+v", c)
			}
		})
	}
}
