package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

// Names of the simulated PTAF PRO. Its backends stand in both traffic profiles.
const (
	WAFProDevice      = "waf2"
	WAFProProfile     = "public-443"
	WAFProOther       = "public-8443"
	WAFProApplication = "shop"
)

// A WAFPro is a simulated PTAF PRO in our own process: its API alone.
type WAFPro struct {
	*ptafprotest.Sim
	URL string // of the API

	server *http.Server
}

func newWAFPro(members []*Member, standby *Member, readOnly bool) (*WAFPro, error) {
	o := ptafprotest.Options{Username: WAFUser, Password: WAFPassword, ReadOnlyEnabled: readOnly}
	var entries []ptafprotest.Entry
	for i, m := range append(members[:len(members):len(members)], standby) {
		if m == nil {
			continue
		}
		host, port, err := net.SplitHostPort(m.Address)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		id := fmt.Sprintf("0f5b2a4e-0000-4000-8000-%012d", i+1)
		o.Backends = append(o.Backends, ptafprotest.Backend{ID: id, Address: host, Port: n, Protocol: "HTTP", Disabled: m == standby})
		weight, fails := 1, 1
		entries = append(entries, ptafprotest.Entry{Backend: id, Weight: &weight, MaxFails: &fails})
	}
	o.Profiles = []ptafprotest.Profile{
		{Name: WAFProProfile, ListenPort: 443, Backends: entries},
		{Name: WAFProOther, ListenPort: 8443, Backends: entries},
	}
	o.Applications = []ptafprotest.Application{{Name: WAFProApplication, Hosts: []string{"shop.example.com"}, Profiles: []string{WAFProProfile}}}
	w := &WAFPro{Sim: ptafprotest.New(o)}
	ln, err := listen()
	if err != nil {
		return nil, err
	}
	w.server = &http.Server{Handler: w.Sim, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		// Serve always ends with an error, here by close: nobody to tell.
		_ = w.server.Serve(ln)
	}()
	w.URL = "http://" + ln.Addr().String() + ptafprotest.Base
	return w, nil
}

func (w *WAFPro) close() error { return w.server.Close() }

// WantEnabled returns a check for [Await]: the member's backend is enabled, or isn't.
func (w *WAFPro) WantEnabled(m *Member, enabled bool) func(context.Context) error {
	return func(context.Context) error {
		var o struct{ Enabled *bool }
		if err := json.Unmarshal(w.Object("backend", m.Address), &o); err != nil {
			return err
		}
		if o.Enabled == nil {
			return errors.New("the backend doesn't say")
		}
		if *o.Enabled != enabled {
			return fmt.Errorf("%s has enabled=%v, want %v", m.Address, *o.Enabled, enabled)
		}
		return nil
	}
}

// WantMode returns a check for [Await]: the application's protection_mode.
func (w *WAFPro) WantMode(mode string) func(context.Context) error {
	return func(context.Context) error {
		var o struct {
			Mode string `json:"protection_mode"`
		}
		if err := json.Unmarshal(w.Object("application", WAFProApplication), &o); err != nil {
			return err
		}
		if o.Mode != mode {
			return fmt.Errorf("protection_mode is %s, want %s", o.Mode, mode)
		}
		return nil
	}
}
