package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// Names in the rig's HAProxy.
const (
	Device = "edge1" // as Sluice's configuration calls it
	Pool   = "shop"  // the pool that Sluice looks after; HAProxy has no checks there
	Own    = "own"   // the same members under HAProxy's own checks, see Options.OwnChecks
	Second = "api"   // the same members again; its app1 tracks that of Pool, see Options.Second
)

const healthPath = "/health"

// HAProxy is a real HAProxy in front of the toy members. It is asked here by a
// few lines that share nothing with Sluice's client, so that a test doesn't
// trust the code that it tests.
type HAProxy struct {
	*Process
	Socket string // stats socket, level admin
	Front  string // 127.0.0.1:port where clients connect
}

// No retries: each connection that a dead member refuses is an error that a
// client sees, so the traffic tells the truth about how long it was in rotation.
var haproxyConfig = template.Must(template.New("haproxy.cfg").Parse(`global
    stats socket {{.Socket}} mode 600 level admin
    maxconn 2000

defaults
    mode http
    timeout connect 500ms
    timeout client  5s
    timeout server  1s
    timeout queue   1s
    retries 0

frontend front
    bind {{.Front}}
    default_backend {{.Pool}}

backend {{.Pool}}
    balance {{.Balance}}
{{- range $i, $m := .Members}}
    server {{$m.Name}} {{$m.Address}} weight {{$.Weight}}{{with $.Check}} {{.}}{{end}}{{if and $.Second (eq $i 0)}} check inter 1s{{end}}
{{- end}}
{{- with .Standby}}
    server {{.Name}} {{.Address}} weight 10 disabled
{{- end}}
{{- if .OwnChecks}}

backend {{.Own}}
    option httpchk GET {{.HealthPath}}
{{- range .Members}}
    server {{.Name}} {{.Address}} check inter 1s fall 3 rise 2
{{- end}}
{{- end}}
{{- if .Second}}

backend {{.SecondPool}}
{{- range $i, $m := .Members}}
    server {{$m.Name}} {{$m.Address}}{{if eq $i 0}} track {{$.Pool}}/{{$m.Name}}{{end}}
{{- end}}
{{- end}}
`))

func newHAProxy(dir string, members []*Member, standby *Member, o Options) (*HAProxy, error) {
	front, err := address()
	if err != nil {
		return nil, err
	}
	h := &HAProxy{Socket: filepath.Join(dir, "haproxy.sock"), Front: front}
	err = h.configure(dir, haproxyConfig, map[string]any{
		"Socket": h.Socket, "Front": front, "Members": members, "Standby": standby,
		"OwnChecks": o.OwnChecks, "Second": o.Second, "SecondPool": Second, "Weight": o.Weight, "Balance": o.Balance, "Check": o.Check,
		"Pool": Pool, "Own": Own, "HealthPath": healthPath,
	})
	return h, err
}

// configure writes the configuration that HAProxy will start with.
func (h *HAProxy) configure(dir string, config *template.Template, values map[string]any) error {
	var text strings.Builder
	if err := config.Execute(&text, values); err != nil {
		return err
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return err
	}
	p, err := newProcess("haproxy", dir, "haproxy", "-db", "-f", file) // -db: stay in the foreground
	if err != nil {
		return err
	}
	p.heedless = true // seen on 2.6 without a master process
	h.Process = p
	return nil
}

// Start starts HAProxy and waits until its socket answers.
func (h *HAProxy) Start(ctx context.Context) error {
	if err := h.Process.Start(); err != nil {
		return err
	}
	return h.ready(ctx, func(ctx context.Context) error {
		_, err := h.Ask(ctx, "show info")
		return err
	})
}

// Restart kills HAProxy and starts it anew: every state that was set at run
// time is forgotten.
func (h *HAProxy) Restart(ctx context.Context) error {
	if err := h.Kill(); err != nil {
		return err
	}
	return h.Start(ctx)
}

// Ask sends one command over a connection of its own and returns the answer.
func (h *HAProxy) Ask(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", h.Socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// Order sends a command as a person would, and is content with an empty answer
// only: HAProxy says nothing when it obeys.
func (h *HAProxy) Order(ctx context.Context, command string) error {
	answer, err := h.Ask(ctx, command)
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "" {
		return fmt.Errorf("%s: %s", command, answer)
	}
	return nil
}

// A Server is one line of "show servers state", in HAProxy's own numbers.
// Source: HAProxy management guide, section 9.3, "show servers state".
type Server struct {
	Op     int // srv_op_state: 0 stopped, 1 starting, 2 running, 3 stopping
	Admin  int // srv_admin_state, a bit mask: 0x01 FMAINT, 0x08 FDRAIN, ...
	Weight int // srv_uweight
}

// Admin states as bit masks.
const (
	AdminReady = 0x00
	AdminMaint = 0x01 // FMAINT
	AdminDrain = 0x08 // FDRAIN

	AdminInherited = 0x10 // IDRAIN: the tracked server is drained
)

// Server returns the state of one server of backend.
func (h *HAProxy) Server(ctx context.Context, backend, name string) (Server, error) {
	all, err := h.Servers(ctx, backend)
	if err != nil {
		return Server{}, err
	}
	s, ok := all[name]
	if !ok {
		return s, fmt.Errorf("show servers state: no %s/%s", backend, name)
	}
	return s, nil
}

// Servers returns the states of all servers of backend, by name.
func (h *HAProxy) Servers(ctx context.Context, backend string) (map[string]Server, error) {
	answer, err := h.Ask(ctx, "show servers state "+backend)
	if err != nil {
		return nil, err
	}
	all := map[string]Server{}
	var columns []string
	for lines := bufio.NewScanner(strings.NewReader(answer)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && fields[0] == "#" {
			columns = fields[1:]
			continue
		}
		if row := byName(columns, fields); row["be_name"] == backend {
			op, err1 := strconv.Atoi(row["srv_op_state"])
			admin, err2 := strconv.Atoi(row["srv_admin_state"])
			weight, err3 := strconv.Atoi(row["srv_uweight"])
			if err := errors.Join(err1, err2, err3); err != nil {
				return nil, err
			}
			all[row["srv_name"]] = Server{op, admin, weight}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("show servers state: no %s in %q", backend, answer)
	}
	return all, nil
}

func byName(columns, fields []string) map[string]string {
	row := make(map[string]string, len(columns))
	if len(columns) == len(fields) {
		for i, c := range columns {
			row[c] = fields[i]
		}
	}
	return row
}

// Want returns a check for [Await]: the server of the pool is in that admin
// state, by HAProxy's own word.
func (h *HAProxy) Want(name string, admin int) func(context.Context) error {
	return h.WantIn(Pool, name, admin)
}

// WantIn is [HAProxy.Want] for any backend.
func (h *HAProxy) WantIn(backend, name string, admin int) func(context.Context) error {
	return func(ctx context.Context) error {
		s, err := h.Server(ctx, backend, name)
		if err == nil && s.Admin != admin {
			err = fmt.Errorf("%s/%s has srv_admin_state %#02x, want %#02x", backend, name, s.Admin, admin)
		}
		return err
	}
}
