package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// A Bulk is a HAProxy with very many servers, and an exporter that collects it:
// for measuring what a scrape costs.
type Bulk struct {
	Dir      string
	HAProxy  *HAProxy
	Builtin  string // where HAProxy's own exporter answers
	Exporter *Sluice
}

// BulkOptions are what a Bulk is made of.
type BulkOptions struct {
	Binary   string   // the program to measure
	Servers  int      // rounded up to whole backends
	Settings []string // further lines of the device's section haproxy
}

const (
	serversPerBackend = 100
	bulkTimeout       = time.Minute
	checksPerSecond   = 10000 // that HAProxy makes at its start; it asks itself, on one thread
)

// Each server is checked once at the start and then an hour later: its series
// are those of a checked server, and nothing goes on while we measure. HAProxy
// answers its own checks, at many addresses: the kernel keeps the port of a closed
// connection for a minute, and has 28,000 for each address. Without strict-limits it starts with fewer files than
// one for each server, which it needs only to serve traffic.
var bulkConfig = template.Must(template.New("haproxy.cfg").Parse(`global
    stats socket {{.Socket}} mode 600 level admin
    stats timeout 2m
    nbthread 1
    maxconn 2000
    max-spread-checks {{.Spread}}s
    no strict-limits

defaults
    mode http
    timeout connect 5s
    timeout client  1m
    timeout server  1m

frontend own
    bind {{range $i, $a := .Addresses}}{{if $i}},{{end}}127.0.0.{{$a}}:{{$.Port}}{{end}}
    http-request use-service prometheus-exporter if { path /metrics }
    http-request return status 200
{{range $b := .Backends}}
backend pool{{$b}}
    option httpchk GET /health
    default-server check inter 1h
{{- range $s := $.Servers}}
    server app{{$s}} 127.0.0.{{$s}}:{{$.Port}}
{{- end}}
{{end}}`))

// StartBulk starts both, and waits until each server has been checked.
func StartBulk(ctx context.Context, o BulkOptions) (*Bulk, error) {
	dir, err := os.MkdirTemp("", "sluice-")
	if err != nil {
		return nil, err
	}
	b := &Bulk{Dir: dir}
	if err := b.start(ctx, o); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

func (b *Bulk) start(ctx context.Context, o BulkOptions) error {
	own, err := address()
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(own)
	if err != nil {
		return err
	}
	b.Builtin = "http://" + own + "/metrics"
	h := &HAProxy{Socket: filepath.Join(b.Dir, "haproxy.sock")}
	backends := (o.Servers + serversPerBackend - 1) / serversPerBackend
	err = h.configure(b.Dir, bulkConfig, map[string]any{
		"Socket": h.Socket, "Port": port, "Spread": 1 + o.Servers/checksPerSecond,
		"Backends": count(backends), "Servers": count(serversPerBackend), "Addresses": count(serversPerBackend),
	})
	if err != nil {
		return err
	}
	config := filepath.Join(b.Dir, "sluice.yml")
	text := fmt.Sprintf("devices:\n  - name: %s\n    haproxy:\n      address: %s\n      timeout: %s\n", Device, h.Socket, duration(bulkTimeout))
	for _, line := range o.Settings {
		text += "      " + line + "\n"
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	binary, err := filepath.Abs(o.Binary)
	if err != nil {
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
	if err := b.checked(ctx, backends*serversPerBackend); err != nil {
		return err
	}
	return e.Start(ctx)
}

// checked waits until that many servers have passed their first check.
func (b *Bulk) checked(ctx context.Context, servers int) error {
	return Await(ctx, bulkTimeout, "each server to be checked once", func(ctx context.Context) error {
		var text strings.Builder
		if _, err := b.ReadStat(ctx, &text); err != nil {
			return err
		}
		if n := strings.Count(text.String(), ",L7OK,"); n < servers {
			return fmt.Errorf("%d of %d are", n, servers)
		}
		return nil
	})
}

// ReadStat copies the answer to "show stat" to w over a connection of its own:
// the least that anybody pays who wants to know. It returns how many bytes came.
func (b *Bulk) ReadStat(ctx context.Context, w io.Writer) (int64, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", b.HAProxy.Socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(bulkTimeout)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, "show stat\n"); err != nil {
		return 0, err
	}
	// Hidden, so that no method of w or of the connection changes how it is read.
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{conn}, make([]byte, 64<<10))
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
