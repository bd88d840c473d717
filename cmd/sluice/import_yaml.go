package main

import (
	"bytes"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// scriptYAML is the configuration that takes the script's place. Comments say
// what a reader of config.ini has to know now; the rest is in the docs.
var scriptYAML = template.Must(template.New("").Funcs(template.FuncMap{"q": scalar}).Parse(
	`# Made by "sluice config import ptaf-script" from {{.Source}}. docs/migration.md says
# what is different now, docs/configuration.md explains every key.

devices:
  - name: waf1
    ptaf:
      url: {{q .URL}}
      # One or more ids or names; without this key, all upstreams of the device.
      upstreams: [{{q .Upstream}}]
      # The script looked at no certificate, Sluice does. When no CA that this
      # machine knows has signed it, name that CA or pin the certificate:
      #   openssl s_client -connect {{.Address}} </dev/null | openssl x509 -noout -fingerprint -sha256
      # tls_config: {ca_file: ptaf-ca.pem}
      # pin_sha256: "64 hex digits"
      basic_auth:
        username: {{q .Username}}
{{- if .Beside}}
        # The password alone. Readable by its owner: make that the user who runs Sluice.
{{- else}}
        # Write the password, decoded, into this file beside the configuration, mode 600.
{{- end}}
        password_file: {{q .PasswordFile}}

modules:
  health:
    prober: http
    # For all of it. The script gave 3 s to a first connection and 1 s to the rest.
    timeout: 1s
    http:
      path: {{q .Path}}
{{- if .BodyFile}}
      method: POST
{{- if not .Beside}}
      # Write payload_healthcheck into this file beside the configuration.
{{- end}}
      body_file: {{q .BodyFile}}
{{- end}}
      headers:
        Host: {{q .Host}}
        User-Agent: HealthChecker_PTAF
      valid_status_codes: [200]
      # The script connected by IPv4.
      preferred_ip_protocol: ip4
{{- if eq .Scheme "https"}}
      # The script looked at no certificate. Leave this out when the members'
      # certificates are good for the Host above.
      tls_config: {insecure_skip_verify: true}
{{- end}}

probes:
  - name: health
    module: health
    # The script asked once a minute, and one result was enough both ways.
    interval: 5s
    fast_retry: 1s
    fall: 3
    rise: 2
    # The pool is the upstream's name, which {{.Source}} doesn't tell: all that are read.
    members: {device: waf1, pool: '.*', scheme: {{.Scheme}}}

remediation:
  # observe records what it would do and changes nothing. {{.Before}}
  # When the journal convinces you, switch the script off, then write auto.
  mode: observe
  # The claims are read here.
  alertmanagers:
    - url: http://127.0.0.1:9093
  journal: data/sluice.db
  # Each upstream as it was before a write.
  snapshots: data/snapshots
  policies:
    # The name is what an alert writes in its label "remediation".
    - name: drain
      to: drain
      members: {device: waf1, pool: '.*'}
      # As in the script, the last one that serves stays. What can the others
      # really carry? Write that, such as 50%.
      min_serving: 1
      # How many of one upstream may be out by us; the script had no such limit.
      max_held: 1
      confirm: probe
      probe: health
`))

// URL is the management API's address, whose path was fixed in the script too.
func (s *script) URL() string { return "https://" + s.Address + "/api/waf/v2" }

// Before says what the script's own setting was.
func (s *script) Before() string {
	switch s.TestMode {
	case "true":
		return "test_mode\n  # was on in the script."
	case "false":
		return "test_mode\n  # was off: the script was to write at once."
	default:
		return "The script\n  # wrote at once."
	}
}

func (s *script) yaml() ([]byte, error) {
	var b bytes.Buffer
	err := scriptYAML.Execute(&b, s)
	return b.Bytes(), err
}

// scalar writes one value so that YAML reads the same text again.
func scalar(s string) (string, error) {
	out, err := yaml.Marshal(s)
	return strings.TrimSuffix(string(out), "\n"), err
}
