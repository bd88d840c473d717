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

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
)

// Names of the simulated PTAF.
const (
	WAFDevice   = "waf1"
	WAFUpstream = "shop-front"
)

// The user that its API wants.
const (
	WAFUser     = "sluice"
	WAFPassword = "not-a-real-password"
)

// A WAF is a simulated PTAF 3.x in our own process: its API, and the proxy
// behind it that sends clients to the same toy members as HAProxy. A real one
// can't be had.
type WAF struct {
	*ptaftest.Sim
	URL   string // of the API
	Front string // 127.0.0.1:port where clients connect

	servers []*http.Server
}

// newWAF starts one; standby, when there is one, is a backend that is down.
func newWAF(members []*Member, standby *Member) (*WAF, error) {
	u := ptaftest.Upstream{ID: "64f0c0ffee0123456789abcd", Name: WAFUpstream}
	for _, m := range members {
		b, err := backend(m)
		if err != nil {
			return nil, err
		}
		u.Backends = append(u.Backends, b)
	}
	if standby != nil {
		b, err := backend(standby)
		if err != nil {
			return nil, err
		}
		b.Down = true
		u.Backends = append(u.Backends, b)
	}
	w := &WAF{Sim: ptaftest.New(ptaftest.Options{
		Username: WAFUser, Password: WAFPassword, Upstreams: []ptaftest.Upstream{u},
		Gateways: []ptaftest.Gateway{{ID: "64f0c0ffee0123456789abce", Name: "node1", Active: true, Address: "127.0.0.1"}},
	})}
	api, err := w.serve(w.Sim)
	if err != nil {
		return nil, err
	}
	w.URL = "http://" + api + ptaftest.Base
	if w.Front, err = w.serve(w.Sim.Front(WAFUpstream)); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func backend(m *Member) (ptaftest.Backend, error) {
	host, port, err := net.SplitHostPort(m.Address)
	if err != nil {
		return ptaftest.Backend{}, err
	}
	n, err := strconv.Atoi(port)
	return ptaftest.Backend{Address: host, Port: n, Weight: 1}, err
}

func (w *WAF) serve(h http.Handler) (string, error) {
	ln, err := listen()
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	w.servers = append(w.servers, srv)
	go func() {
		// Serve always ends with an error, here by close: nobody to tell.
		_ = srv.Serve(ln)
	}()
	return ln.Addr().String(), nil
}

func (w *WAF) close() error {
	var errs []error
	for _, s := range w.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Down says whether the upstream has that member out, by its own word.
func (w *WAF) Down(m *Member) (bool, error) {
	var o struct {
		Backends []struct {
			Address string
			Port    int
			Down    bool
		}
	}
	if err := json.Unmarshal(w.Object(WAFUpstream), &o); err != nil {
		return false, err
	}
	for _, b := range o.Backends {
		if net.JoinHostPort(b.Address, strconv.Itoa(b.Port)) == m.Address {
			return b.Down, nil
		}
	}
	return false, fmt.Errorf("upstream %s has no backend %s", WAFUpstream, m.Address)
}

// Want returns a check for [Await]: the member is DOWN, or isn't.
func (w *WAF) Want(m *Member, down bool) func(context.Context) error {
	return func(context.Context) error {
		got, err := w.Down(m)
		if err == nil && got != down {
			err = fmt.Errorf("%s has down=%v, want %v", m.Address, got, down)
		}
		return err
	}
}
