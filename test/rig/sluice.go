package rig

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
)

// Build builds the program under test into dir and returns where it is.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "sluice")
	args := []string{"build", "-o", out}
	if raceDetector {
		args = append(args, "-race") // what the tests are told to look for, the program looks for too
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/sluice")...)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, text)
	}
	return out, nil
}

// Root returns the folder of the module, from any folder below it.
func Root() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod here or above: run this inside the repository")
		}
	}
	return "", err
}

// Sluice is one running command of the program under test.
type Sluice struct {
	*Process
	Address string
	URL     string
}

func newSluice(command, binary, dir, config, logLevel string) (*Sluice, error) {
	own, err := address()
	if err != nil {
		return nil, err
	}
	s := &Sluice{Address: own, URL: "http://" + own}
	s.Process, err = newProcess(command, dir, binary, command,
		"--config.file="+config, "--web.listen-address="+own, "--log.level="+logLevel)
	return s, err
}

// Start starts the command and waits until it says that it is ready.
func (s *Sluice) Start(ctx context.Context) error {
	if err := s.Process.Start(); err != nil {
		return err
	}
	return s.ready(ctx, healthy(s.URL+"/-/ready"))
}

var sluiceConfig = template.Must(template.New("sluice.yml").Parse(`devices:
  - name: {{.Device}}
    haproxy:
      address: {{.Socket}}
      timeout: 1s
{{- if .WAF}}
  - name: {{.WAFDevice}}
    ptaf:
      url: {{.WAF.URL}}
      upstreams: [{{.WAFUpstream}}]
      timeout: 1s
      min_write_interval: 2s
      basic_auth: {username: {{.WAFUser}}, password: {{.WAFPassword}}}
{{- end}}
{{- if .WAFPro}}
  - name: {{.WAFProDevice}}
    ptafpro:
      url: {{.WAFPro.URL}}
      timeout: 1s
      login: {username: {{.WAFUser}}, password: {{.WAFPassword}}}
{{- end}}

modules:
  health:
    prober: http
    timeout: {{.ProbeTimeout}}
    http:
      path: {{.HealthPath}}
{{- with .Proxy}}
      proxy_url: {{.}}
{{- end}}
      fail_if_body_not_matches_regexp: ['"db":"up"']

probes:
  - name: shop
    module: health
    interval: {{.Interval}}
    fast_retry: {{.FastRetry}}
    fall: 3
    rise: 2
    members: {device: '{{.Devices}}', pool: '{{.Pools}}'}
{{- with .Gateway}}

self_check:
  module: health
  targets: ['http://{{.Address}}{{$.HealthPath}}']
{{- end}}

remediation:
  mode: {{.Mode}}
  poll: {{.Poll}}
  alertmanagers: [{url: '{{.Alertmanager}}'}]
  prometheus: [{url: '{{.Prometheus}}'}]
{{- range .Section}}
  {{.}}
{{- end}}
  policies:
    - name: drain
      to: {{.To}}
      members: {device: '{{.Devices}}', pool: '{{.Pools}}'}
      min_serving: {{.MinServing}}
      max_held: {{.MaxHeld}}
      hold_down: {{.HoldDown}}
{{- if .Query}}
      confirm: prometheus
      query: '{{.Query}}'
{{- end}}
{{- range .Keys}}
      {{.}}
{{- end}}
{{- range .Policies}}
    - {{.}}
{{- end}}
{{- range .Claims}}
{{- if eq . (index $.Claims 0)}}
  claims:
{{- end}}
    - {{.}}
{{- end}}
`))

// writeConfig writes the configuration of exporter and remediator.
func (r *Rig) writeConfig(socket string, o Options) error {
	var devices, pools []string
	for _, p := range r.pools() {
		devices = append(devices, p.Device)
		pools = append(pools, p.Name)
	}
	policies := slices.Clone(o.Policies)
	for i, p := range policies {
		if r.Standby != nil {
			policies[i] = strings.ReplaceAll(p, "{{.StandbyAddress}}", r.Standby.Address)
		}
	}
	values := map[string]any{
		"Device": Device, "Devices": strings.Join(slices.Compact(devices), "|"), "Pool": Pool, "Pools": strings.Join(pools, "|"), "HealthPath": healthPath, "Socket": socket,
		"WAF": r.WAF, "WAFDevice": WAFDevice, "WAFUpstream": WAFUpstream, "WAFPro": r.WAFPro, "WAFProDevice": WAFProDevice, "WAFUser": WAFUser, "WAFPassword": WAFPassword,
		"Alertmanager": r.Alertmanager.URL, "Prometheus": r.Prometheus.URL,
		"Interval": duration(o.Interval), "FastRetry": duration(o.FastRetry), "ProbeTimeout": duration(o.ProbeTimeout),
		"Mode": o.Mode, "Poll": duration(o.Poll), "To": o.To, "MinServing": o.MinServing, "MaxHeld": o.MaxHeld, "HoldDown": duration(o.HoldDown),
		"Query": o.Query, "Claims": o.Claims, "Policies": policies, "Keys": o.Keys, "Section": o.Section, "Gateway": r.Gateway,
	}
	if err := writeValues(r.Config, values); err != nil || r.Detour == nil {
		return err
	}
	values["Proxy"] = r.Detour.URL
	return writeValues(filepath.Join(r.Dir, "exporter.yml"), values)
}

func writeValues(file string, values map[string]any) error {
	var text strings.Builder
	if err := sluiceConfig.Execute(&text, values); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}

// Edit puts another text in the place of one in sluice.yml, and has the
// remediator read it again.
func (r *Rig) Edit(ctx context.Context, old, with string) error {
	text, err := os.ReadFile(r.Config)
	if err != nil {
		return err
	}
	if strings.Count(string(text), old) != 1 {
		return fmt.Errorf("%s doesn't have %q once", r.Config, old)
	}
	if err := os.WriteFile(r.Config, []byte(strings.Replace(string(text), old, with, 1)), 0o600); err != nil {
		return err
	}
	status, answer, err := Do(ctx, http.MethodPost, r.Remediator.URL+"/-/reload", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("reload: status %d: %s", status, answer)
	}
	return err
}

func duration(d time.Duration) string { return model.Duration(d).String() }
