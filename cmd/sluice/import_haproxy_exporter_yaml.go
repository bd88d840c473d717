package main

import (
	"bytes"
	"strings"
	"text/template"
)

// exporterYAML is the configuration that takes the exporter's place.
var exporterYAML = template.Must(template.New("").Funcs(template.FuncMap{"q": scalar, "list": flow, "word": shellWord}).Parse(
	`# Made by "sluice config import haproxy-exporter". docs/migration.md says what is
# different now, docs/configuration.md explains every key.
#
# Start it by
#   sluice exporter --config.file={{word .File}}{{range .Flags}} {{word .}}{{end}}
#
# The job of Prometheus. These series have the labels of haproxy_exporter's;
# /metrics has those of all devices, each with its label "device".
#   - job_name: haproxy
#     metrics_path: /scrape
#     params: {device: [{{q .Device}}]}
#     static_configs:
#       - targets: {{list .Targets}}

devices:
  - name: {{q .Device}}
    haproxy:
      address: {{q .Address}}
      timeout: {{.Timeout}}
{{- if .Insecure}}
      # As --no-haproxy.ssl-verify. Better name the CA: {ca_file: haproxy-ca.pem}
      tls_config: {insecure_skip_verify: true}
{{- end}}
{{- if .Username}}
      basic_auth:
        username: {{q .Username}}
{{- if .HasPassword}}
{{- if .Beside}}
        # The password alone. Readable by its owner: make that the user who runs Sluice.
{{- else}}
        # Write the password into this file beside the configuration, mode 600.
{{- end}}
        password_file: {{q .PasswordFile}}
{{- end}}
{{- end}}
      metrics:
        # Names and labels of haproxy_exporter. "both" has HAProxy's own as well.
        profile: exporter
        scope: {{list .Scope}}
{{- if .Names}}
        # The columns of servers that --haproxy.server-metric-fields left out.
        names:
{{- range .Names}}
          - {{.}}
{{- end}}
{{- end}}
{{- if .NoMaint}}
        no_maint: true
{{- end}}
`))

func (x *exporterCommand) yaml() ([]byte, error) {
	var b bytes.Buffer
	err := exporterYAML.Execute(&b, x)
	return b.Bytes(), err
}

// flow writes a list on one line.
func flow(texts []string) (string, error) {
	var out []string
	for _, t := range texts {
		s, err := scalar(t)
		if err != nil {
			return "", err
		}
		if strings.ContainsAny(t, ",[]{}:") && s == t {
			s = "'" + t + "'" // plain in a block, not inside brackets
		}
		out = append(out, s)
	}
	return "[" + strings.Join(out, ", ") + "]", nil
}

// shellWord writes one word so that a shell reads it as it is.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+[]", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
