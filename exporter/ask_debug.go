package exporter

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/exporter/probe"
)

// serveDebug answers a person: how the probe went, stage by stage, what would
// have been answered, and the module. The titles are blackbox_exporter's.
// Source: blackbox_exporter, prober/handler.go, DebugOutput.
func (e *Exporter) serveDebug(w http.ResponseWriter, c *Config, a *asked, r probe.Result, reg prometheus.Gatherer) {
	var out bytes.Buffer
	out.WriteString("Logs for the probe:\n")
	logStages(log.With(log.NewLogfmtLogger(&out), "module", a.name, "target", probe.Redact(a.target)), a, r)
	out.WriteString("\n\n\nMetrics that would have been returned:\n")
	families, err := reg.Gather()
	if err != nil {
		fmt.Fprintf(&out, "none: %v\n", err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
			fmt.Fprintf(&out, "not all of them: %v\n", err)
		}
	}
	out.WriteString("\n\n\nModule configuration:\n")
	text, err := c.showModule(a.name)
	if err != nil {
		text = fmt.Appendf(nil, "not to be shown: %v\n", err)
	}
	out.Write(text)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff") // certificates and errors hold what others wrote
	if _, err := out.WriteTo(w); err != nil {
		level.Debug(e.logger).Log("msg", "answer of /probe was not read to its end", "err", err)
	}
}

// logStages tells a probe as a log would have.
func logStages(logger log.Logger, a *asked, r probe.Result) {
	begun := []any{"msg", "probe begins", "prober", a.module.Prober, "timeout", a.limit}
	if a.hostname != "" {
		begun = append(begun, "hostname", a.hostname)
	}
	level.Info(logger).Log(begun...)
	for i, s := range r.Stages {
		l := level.Info(logger)
		word := "stage ends"
		if !r.Up && i == len(r.Stages)-1 && r.Reason != probe.Forbidden {
			l, word = level.Error(logger), "stage under way at the end"
		}
		facts := []any{"msg", word, "stage", s.Name, "duration", s.Duration}
		if s.Name == probe.StageResolve && r.IP != "" {
			facts = append(facts, "ip", r.IP)
		}
		l.Log(facts...)
	}
	if t := r.TLS; t != nil {
		level.Info(logger).Log("msg", "TLS", "version", t.Version, "cipher", t.Cipher, "expires", t.EarliestExpiry.UTC())
	}
	if h := r.HTTP; h != nil && h.Status != 0 {
		level.Info(logger).Log("msg", "answer", "status", h.Status, "version", h.Version, "redirects", h.Redirects, "body_bytes", h.BodyLength)
	}
	if r.Up {
		level.Info(logger).Log("msg", "probe succeeded", "duration", r.Duration)
		return
	}
	level.Error(logger).Log("msg", "probe failed", "duration", r.Duration, "reason", string(r.Reason), "err", r.Detail)
}

// showModule quotes a module from the file, of which the secrets were taken out.
func (c *Config) showModule(name string) ([]byte, error) {
	var file struct {
		Modules map[string]yaml.Node `yaml:"modules"`
	}
	if err := yaml.Unmarshal([]byte(c.Shown), &file); err != nil {
		return nil, err
	}
	node, ok := file.Modules[name]
	if !ok {
		return nil, fmt.Errorf("module %s is in no file", name)
	}
	// Decoded once more, so that aliases into the rest of the file are followed.
	var module any
	if err := node.Decode(&module); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(module); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
