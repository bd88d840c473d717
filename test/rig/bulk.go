package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// A Bulk is a HAProxy with very many servers, none of which is ever asked, and
// an exporter that collects it: for measuring what a scrape costs.
type Bulk struct {
	Dir      string
	HAProxy  *HAProxy
	Exporter *Sluice
}

const serversPerBackend = 100

var bulkConfig = template.Must(template.New("haproxy.cfg").Parse(`global
    stats socket {{.Socket}} mode 600 level admin

defaults
    mode http
    timeout connect 1s
    timeout client  1s
    timeout server  1s
{{range $b := .Backends}}
backend pool{{$b}}
{{- range $s := $.Servers}}
    server app{{$s}} 192.0.2.1:80
{{- end}}
{{end}}`))

// StartBulk starts both. The number of servers is rounded up to whole backends.
func StartBulk(ctx context.Context, binary string, servers int) (*Bulk, error) {
	dir, err := os.MkdirTemp("", "sluice-")
	if err != nil {
		return nil, err
	}
	b := &Bulk{Dir: dir}
	if err := b.start(ctx, binary, servers); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

func (b *Bulk) start(ctx context.Context, binary string, servers int) error {
	h := &HAProxy{Socket: filepath.Join(b.Dir, "haproxy.sock")}
	err := h.configure(b.Dir, bulkConfig, map[string]any{
		"Socket":   h.Socket,
		"Backends": count((servers + serversPerBackend - 1) / serversPerBackend),
		"Servers":  count(serversPerBackend),
	})
	if err != nil {
		return err
	}
	config := filepath.Join(b.Dir, "sluice.yml")
	text := fmt.Sprintf("devices:\n  - name: %s\n    haproxy:\n      address: %s\n", Device, h.Socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	e, err := newSluice("exporter", binary, b.Dir, config, "info")
	if err != nil {
		return err
	}
	b.HAProxy, b.Exporter = h, e
	if err := h.Start(ctx); err != nil {
		return err
	}
	return e.Start(ctx)
}

// count returns 1 to n.
func count(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

// Stop ends both and removes their files.
func (b *Bulk) Stop() error {
	var errs []error
	if b.Exporter != nil {
		errs = append(errs, b.Exporter.Stop(), b.HAProxy.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.Dir))...)
}
