package main

import (
	"net/url"
	"strings"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/login"
)

// newLogin lets people in front of a browser through the gate.
func newLogin(gate *access.Gate, c *access.Config, w routes, logger log.Logger, reg prometheus.Registerer) (*login.Login, error) {
	l := login.New(login.Options{
		Gate: gate, Route: w.route, External: w.external, Origin: w.origin, Logger: logger, Registerer: reg,
	})
	commit, err := l.Prepare(c)
	if err != nil {
		return nil, err
	}
	commit()
	gate.UseSource(l, login.Paths()...)
	return l, nil
}

// origin is scheme and host of --web.external-url, as a browser names them; empty where
// there is none. Call it after paths, which judges the URL.
func (f *webFlags) origin() string {
	u, err := url.Parse(f.externalURL)
	if err != nil || u.Host == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	// Source: WHATWG URL, 4.4 (host state and port state).
	return u.Scheme + "://" + strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
}
