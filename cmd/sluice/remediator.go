package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/login"
	"github.com/sluice-project/sluice/remediator/console"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
	"github.com/sluice-project/sluice/remediator/snapshots"
)

func addRemediator(app *kingpin.Application) (string, func(streams) error) {
	cmd := app.Command("remediator", "Take failing members out when that is safe, and give them back when they proved healthy.")
	f := addServerFlags(cmd, "127.0.0.1:11011")
	open := cmd.Flag("web.allow-unauthenticated", "Listen beyond this machine although nobody has to authenticate: whoever reaches the port gives orders.").Bool()
	f.load = func() (*loaded, error) { return loadOrEnvironment(f.config, f.named, os.Getenv) }
	return cmd.FullCommand(), func(std streams) error {
		return f.start(std, "remediator", func(logger log.Logger, l *loaded) error { return runRemediator(logger, l, f.web, *open) })
	}
}

func runRemediator(logger log.Logger, l *loaded, flags *webFlags, open bool) error {
	route, external, err := flags.paths()
	if err != nil {
		return err
	}
	web, err := authenticates(flags.configFile)
	if err != nil {
		return err
	}
	if err := useEnvironment(l.env, flags, web.Asks(), logger); err != nil {
		return err
	}
	listeners, err := flags.listen()
	if err != nil {
		return err
	}
	w := routes{route, external, flags.origin(), flags.configFile, web, false}
	if ln := beyond(listeners); ln != nil && !web.Asks() && !open {
		if l.Access == nil {
			return errors.Join(fmt.Errorf("listen on %s: %w", ln.Addr(), errOpen), closeAll(listeners))
		}
		w.closed = true
	}
	if web.Users && l.Access != nil && len(l.Access.Tokens) > 0 {
		level.Warn(logger).Log("msg", "tokens can't be used, as basic_auth_users of --web.config.file asks everybody for a password first")
	}
	return remediate(logger, l, listeners, w)
}

// routes are how the web server is reached.
type routes struct {
	route, external string
	origin          string // scheme and host of the external URL
	webConfig       string
	web             access.Web // what the web configuration asks for
	closed          bool       // nothing but the section access keeps others out
}

func remediate(logger log.Logger, l *loaded, listeners []net.Listener, w routes) (err error) {
	reg := newRegistry()
	l = withPeople(l, logger)
	how := fleetOptions{logger: logger, calls: newAPICalls(reg)}
	o, err := remediatorOptions(how, l)
	if err != nil {
		return err
	}
	gate, err := newGate(l.Access, w, reg)
	if err != nil {
		return fmt.Errorf("access: %w", err)
	}
	people, err := newLogin(gate, l.Access, w, logger, reg)
	if err != nil {
		return err
	}
	if w.origin != "" {
		o.Base = w.origin + w.external
	}
	o.Registerer, o.Authenticated, o.Failpoint = reg, w.web.Asks() || l.Access != nil, failpoint()
	side, err := openBeside(l.Remediation, logger, reg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, side.close()) }()
	o.Coordinator, o.Audit = side.coordinator, side.audit()
	r, err := remediator.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	edges := newHAProxies(ordersOf(r))
	edges.use(l.Devices, o.Devices)

	keep := newKeeper(l, logger, reg, func(l *loaded) error {
		o, err := remediatorOptions(how, withPeople(l, logger))
		if err != nil {
			return err
		}
		if w.closed && l.Access == nil {
			return errReopened
		}
		admit, err := gate.Prepare(l.Access)
		if err != nil {
			return fmt.Errorf("access: %w", err)
		}
		logIn, err := people.Prepare(l.Access)
		if err != nil {
			return err
		}
		o.Authenticated = w.web.Asks() || l.Access != nil
		if err := r.Apply(o); err != nil {
			return err
		}
		admit()
		logIn()
		edges.use(l.Devices, o.Devices)
		return nil
	})
	s := site{
		own: map[string]http.Handler{
			"/webhook":     access.Require(access.Webhook, r.Handler()),
			"/api/":        r.Handler(),
			"GET /metrics": access.Require(access.View, promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg})),
			"GET /{$}":     access.RequireSomewhere(access.View, remediatorPage(r.Status, w.external, logger)),
			"/console/":    console.Handler(console.Options{Engine: r, Journal: r.Records(), Base: w.external, Logger: logger}),
		},
		keep:   keep,
		origin: w.origin,
		ready:  func() error { return nil },
	}
	api := haproxyapi.Handler(haproxyapi.Options{Engine: edges})
	for _, pattern := range haproxyapi.Patterns() {
		s.own[pattern] = api
	}
	for _, path := range login.Paths() {
		s.own[path] = people.Handler()
	}
	return serve(newWebsite(listeners, w.webConfig, gate.Handler(s.handler(w.route)), logger), logger,
		append(side.actors(), actor{"remediator", r.Run}, actor{"reload", keep.onHangup})...)
}

// withPeople gives a configuration without a section what people's own steps need,
// a journal, where one can be kept. Without it the API only shows.
func withPeople(l *loaded, logger log.Logger) *loaded {
	if l.Remediation != nil {
		return l
	}
	c := remediator.WithoutAutomation("")
	if err := writable(filepath.Dir(c.Journal)); err != nil {
		level.Warn(logger).Log("msg", "people's steps can't be recorded, and so not taken", "journal", c.Journal, "err", err)
		return l
	}
	with := *l
	with.Remediation = c
	return &with
}

// writable makes a folder if there is none, and says why nothing can be put in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// remediatorOptions builds what the remediator is made of, besides its metrics.
func remediatorOptions(how fleetOptions, l *loaded) (remediator.Options, error) {
	// Below mode approve nothing is written unasked, not even to find out whether it
	// could be.
	how.write = how.calls != nil && l.Remediation != nil &&
		(l.Remediation.Mode == remediator.Auto || l.Remediation.Mode == remediator.Approve || l.Remediation.Manual())
	devices, err := newFleet(l, how)
	if err != nil {
		return remediator.Options{}, err
	}
	checks, err := newChecks(&l.Exporter)
	if err != nil {
		return remediator.Options{}, err
	}
	o := remediator.Options{
		Config: l.Remediation, ConfigHash: l.hash, Devices: forRemediator(devices), Checks: checks, Logger: how.logger,
	}
	if l.Remediation != nil {
		o.Images = snapshots.New(l.Remediation.Snapshots)
		if o.EvidenceHash, err = evidenceHash(l); err != nil {
			return o, err
		}
	}
	return o, nil
}

// evidenceHash tells whether the members are probed, and others asked, as before.
func evidenceHash(l *loaded) (string, error) {
	text, err := yaml.Marshal([]any{l.Exporter, l.Remediation.Prometheus, l.Remediation.Alertmanagers, l.Remediation.Claims})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
