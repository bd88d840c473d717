// Package scene starts the smallest loop in which a step is taken: toy members,
// a real HAProxy, and a remediator whose claims are authenticated webhooks. Any
// of them can be killed or stopped at a moment that the caller chooses.
//
// Package rig starts the whole loop; this is for what has to be started very
// often, or to be flooded.
package scene

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// Names in the scene's HAProxy.
const (
	Device = "edge1"
	Pool   = "shop"
)

// ReadyWithin bounds each start of a part.
const ReadyWithin = 20 * time.Second

// Options say how the scene is set. The zero value of each field takes the
// default that is written beside it.
type Options struct {
	Sluice   string        // the program under test
	Members  int           // named app1, app2, ...; 3
	MaxHeld  int           // 1
	HoldDown time.Duration // 1s
	LogLevel string        // debug
}

// A Scene is the loop. Its remediator is started by [Scene.Run].
type Scene struct {
	Dir        string // all files; removed by Stop
	Members    []*rig.Member
	Wire       *Wire // between Sluice and HAProxy
	HAProxy    *Process
	Remediator *Process
	URL        string // of the remediator, with its password; another after each Run

	options Options
	ask     *rig.HAProxy // HAProxy is asked by the rig's few lines, not by Sluice's client
	started time.Time
}

// The password of user sluice: "not-a-real-password", by bcrypt.
const (
	user     = "sluice:not-a-real-password"
	webUsers = "basic_auth_users:\n  sluice: $2b$04$abcdefghijklmnopqrstuuvoAsEQFJ20T9HDj1L/isWuL/E78y9.u\n"
)

var haproxyConfig = template.Must(template.New("haproxy.cfg").Parse(`global
    stats socket {{.Dir}}/haproxy.sock mode 600 level admin

defaults
    mode http
    timeout connect 500ms
    timeout client  1s
    timeout server  1s

backend shop
{{- range .Members}}
    server {{.Name}} {{.Address}} weight 10
{{- end}}
`))

// Only hints wake the remediator: a poll must not do what a webhook should.
var sluiceConfig = template.Must(template.New("sluice.yml").Parse(`devices:
  - name: edge1
    haproxy: {address: 'unix@{{.Dir}}/wire.sock', timeout: 1s}
modules:
  health:
    prober: http
    timeout: 300ms
    http: {path: /health, fail_if_body_not_matches_regexp: ['"db":"up"']}
probes:
  - {name: shop, module: health, interval: 500ms, fast_retry: 250ms, fall: 3, rise: 2, members: {}}
remediation:
  mode: auto
  poll: 10m
  journal: {{.Dir}}/data/sluice.db
  policies:
    - {name: drain, to: drain, members: {}, min_serving: 1, max_held: {{.MaxHeld}}, hold_down: {{.HoldDown}}}
`))

// Start starts members and HAProxy. When it fails, nothing is left running.
func Start(ctx context.Context, o Options) (*Scene, error) {
	o.Members, o.MaxHeld = cmp.Or(o.Members, 3), cmp.Or(o.MaxHeld, 1)
	o.HoldDown, o.LogLevel = cmp.Or(o.HoldDown, time.Second), cmp.Or(o.LogLevel, "debug")
	dir, err := os.MkdirTemp("", "sluice-")
	if err != nil {
		return nil, err
	}
	s := &Scene{Dir: dir, options: o, ask: &rig.HAProxy{Socket: filepath.Join(dir, "haproxy.sock")}, started: time.Now()}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Scene) start(ctx context.Context) error {
	for i := range s.options.Members {
		m, err := rig.NewMember(fmt.Sprintf("app%d", i+1))
		if err != nil {
			return err
		}
		s.Members = append(s.Members, m)
	}
	for name, write := range map[string]func(io.Writer) error{
		"haproxy.cfg": func(w io.Writer) error { return haproxyConfig.Execute(w, s) },
		"sluice.yml": func(w io.Writer) error {
			return sluiceConfig.Execute(w, map[string]any{"Dir": s.Dir, "MaxHeld": s.options.MaxHeld, "HoldDown": s.options.HoldDown})
		},
		"web.yml": func(w io.Writer) error { _, err := io.WriteString(w, webUsers); return err },
	} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.Dir, name), text.Bytes(), 0o600); err != nil {
			return err
		}
	}
	var err error
	if s.Wire, err = newWire(filepath.Join(s.Dir, "wire.sock"), s.ask.Socket); err != nil {
		return err
	}
	return s.StartHAProxy(ctx)
}

// StartHAProxy starts HAProxy, which knows nothing of what was set in an earlier
// life, and waits until its socket answers.
func (s *Scene) StartHAProxy(ctx context.Context) error {
	var err error
	if s.HAProxy, err = start("haproxy", nil, "-db", "-f", filepath.Join(s.Dir, "haproxy.cfg")); err != nil {
		return err
	}
	return rig.Await(ctx, ReadyWithin, "HAProxy to be ready", func(ctx context.Context) error {
		_, err := s.ask.Ask(ctx, "show info")
		return err
	})
}

// Run starts the remediator with more in its environment, such as
// SLUICE_FAILPOINT, and waits until it is ready, or has ended where it was told
// to. It listens on another port each time: the last one may be somebody else's
// by now.
func (s *Scene) Run(ctx context.Context, env ...string) error {
	address, err := loopback.Address()
	if err != nil {
		return err
	}
	s.URL = "http://" + user + "@" + address
	s.Remediator, err = start(s.options.Sluice, env, "remediator", "--config.file="+filepath.Join(s.Dir, "sluice.yml"),
		"--web.config.file="+filepath.Join(s.Dir, "web.yml"), "--web.listen-address="+address, "--log.level="+s.options.LogLevel)
	if err != nil {
		return err
	}
	err = rig.Await(ctx, ReadyWithin, "the remediator to be ready", func(ctx context.Context) error {
		if !s.Remediator.Running() {
			return nil
		}
		status, _, err := rig.Do(ctx, http.MethodGet, s.URL+"/-/ready", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	if err == nil && len(env) == 0 && !s.Remediator.Running() {
		err = fmt.Errorf("the remediator ended at once:\n%s", s.Remediator.Log(10))
	}
	return err
}

// Stop ends all parts and removes their files. It returns what didn't end well.
func (s *Scene) Stop() error {
	var errs []error
	for _, p := range []*Process{s.Remediator, s.HAProxy} {
		if p != nil {
			errs = append(errs, p.Stop())
		}
	}
	if s.Wire != nil {
		errs = append(errs, s.Wire.close())
	}
	for _, m := range s.Members {
		errs = append(errs, m.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.Dir))...)
}

// Journal is where the remediator keeps it.
func (s *Scene) Journal() string { return filepath.Join(s.Dir, "data", "sluice.db") }

// Member returns the member of that name.
func (s *Scene) Member(name string) *rig.Member {
	for _, m := range s.Members {
		if m.Name == name {
			return m
		}
	}
	panic("the scene has no member " + name)
}

// Server is the member as HAProxy itself sees it.
func (s *Scene) Server(ctx context.Context, name string) (rig.Server, error) {
	return s.ask.Server(ctx, Pool, name)
}

// Want returns a check for [rig.Await]: HAProxy has the member in that admin state.
func (s *Scene) Want(name string, admin int) func(context.Context) error {
	return s.ask.Want(name, admin)
}

// Order sends HAProxy a command past Sluice, as a person would.
func (s *Scene) Order(ctx context.Context, command string) error { return s.ask.Order(ctx, command) }

// Message is a webhook of Alertmanager's about members, all firing or all over.
func (s *Scene) Message(firing bool, members ...string) ([]byte, error) {
	status, starts, ends := "firing", time.Now(), time.Time{} // each time another episode: no late copy of an old one
	if !firing {
		status, starts, ends = "resolved", s.started, time.Now()
	}
	var alerts []map[string]any
	for _, m := range members {
		alerts = append(alerts, map[string]any{
			"status": status, "startsAt": starts.UTC(), "endsAt": ends.UTC(),
			"labels": map[string]string{
				"alertname": "MemberFailing", edge.LabelRemediation: "drain",
				edge.LabelDevice: Device, edge.LabelPool: Pool, edge.LabelMember: m,
			},
		})
	}
	return json.Marshal(map[string]any{"version": "4", "status": status, "groupLabels": map[string]string{}, "commonLabels": map[string]string{}, "alerts": alerts})
}

// Say sends a webhook about one member.
func (s *Scene) Say(ctx context.Context, firing bool, member string) error {
	body, err := s.Message(firing, member)
	if err != nil {
		return err
	}
	status, err := rig.Post(ctx, s.URL+"/webhook", body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the webhook got status %d", status)
	}
	return err
}

// Holds are those that the remediator tells of.
func (s *Scene) Holds(ctx context.Context) ([]journal.Hold, error) {
	var answer struct {
		Data struct{ Holds []journal.Hold }
	}
	err := rig.GetJSON(ctx, s.URL+"/api/v1/holds", &answer)
	return answer.Data.Holds, err
}

// Steps are the entries that the remediator tells of, oldest first.
func (s *Scene) Steps(ctx context.Context) ([]journal.Entry, error) {
	var answer struct {
		Data struct{ Steps []journal.Entry }
	}
	err := rig.GetJSON(ctx, s.URL+"/api/v1/steps?limit=10000", &answer)
	return answer.Data.Steps, err
}

// Logs are the last lines of both programs, for a failed test.
func (s *Scene) Logs(lines int) string {
	var out strings.Builder
	for _, p := range []*Process{s.HAProxy, s.Remediator} {
		if p != nil {
			fmt.Fprintf(&out, "--- %s\n%s\n", p.name, p.Log(lines))
		}
	}
	return out.String()
}
