package defects

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/exporter"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/test/serve"
)

// Defect 2: a backend that hung, reset the connection or failed in TLS was only
// logged, and stayed in rotation.
func TestDefect02EveryWayToFailTakesTheMemberOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail   func(*member)
		tls    bool
		reason probe.Reason
	}{
		"it hangs":                         {func(m *member) { m.be(hang) }, false, probe.Timeout},
		"it resets the connection":         {func(m *member) { m.be(reset) }, false, probe.Status},
		"it shows a strange certificate":   {func(m *member) { m.show(stranger(t)) }, true, probe.TLS},
		"its handshake breaks off":         {func(m *member) { m.show(nil) }, true, probe.TLS},
		"it hangs behind a good handshake": {func(m *member) { m.be(hang) }, true, probe.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, set := aPool(t, c.tls)
			set.change(func(m *probe.Module) { m.Timeout = ms(300) })
			w := set.start(t)
			bad := p.members[1]
			c.fail(bad)
			w.claim(true, onShop(bad))
			p.becomes(t, bad)
			w.recorded(onShop(bad), "drain applied")
			if got := evidenceOf(t, w, onShop(bad)); got.Answer != edge.No || got.Reason != string(c.reason) {
				t.Errorf("the record has %+v; want the reason %q", got, c.reason)
			}
		})
	}
}

// aPool has three members, with or without TLS, and a setup that probes them so.
func aPool(t *testing.T, withTLS bool) (*pool, setup) {
	t.Helper()
	if !withTLS {
		p := newPool(t, newMembers(t, 3)...)
		return p, usual(t, p.Start(t))
	}
	cert, pem, err := serve.SelfSigned("127.0.0.1", "shop.example.com") // the Host header is the name asked for in TLS, too
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, newTLSMember(t, cert), newTLSMember(t, cert), newTLSMember(t, cert))
	set := usual(t, p.Start(t))
	set.read.Probes[0].Members.Scheme = "https"
	set.change(func(m *probe.Module) { m.HTTP.Client.TLSConfig.CA = string(pem) })
	return p, set
}

func stranger(t *testing.T) *tls.Certificate {
	t.Helper()
	cert, _, err := serve.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}

// evidenceOf is what the first step on a member was founded on.
func evidenceOf(t *testing.T, w *site, m edge.Member) (got guard.Evidence) {
	t.Helper()
	for _, e := range w.steps() {
		if e.Event == "intent" && e.Member != nil && *e.Member == m {
			if err := json.Unmarshal(e.Evidence, &got); err != nil {
				t.Fatal(err)
			}
			return got
		}
	}
	t.Errorf("no intent on %s", m)
	return got
}

// Defect 11: status 200 was all that counted, of a GET without a word about
// body, headers or scheme.
func TestDefect11WhatCountsAsWellCanBeSet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set        func(*probe.HTTP)
		well, sick http.HandlerFunc
	}{
		"a status": {
			func(h *probe.HTTP) { h.ValidStatusCodes = []int{http.StatusNoContent} },
			status(http.StatusNoContent), status(http.StatusOK),
		},
		"words that the body must have": {
			func(h *probe.HTTP) { h.FailIfBodyNotMatches = []string{`"db": *"up"`} },
			says(`{"db": "up"}`), says(`{"db": "down"}`),
		},
		"words that it must not have": {
			func(h *probe.HTTP) { h.FailIfBodyMatches = []string{"maintenance"} },
			says("welcome"), says("closed for maintenance"),
		},
		"a header that the answer must have": {
			func(h *probe.HTTP) {
				h.FailIfHeaderNot = []probe.HeaderMatch{{Header: "X-Ready", Regexp: "yes"}}
			},
			func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Ready", "yes") },
			well,
		},
		"where redirects lead": {
			func(h *probe.HTTP) { h.Client.FollowRedirects, h.ValidStatusCodes = false, []int{http.StatusOK} },
			well, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/sorry", http.StatusFound) },
		},
		"the question: method, body and headers": {
			func(h *probe.HTTP) {
				h.Method, h.Body = http.MethodPost, `{"ping":1}`
				h.Headers = map[string]string{"Host": "shop.example.com", "X-Check": "sluice"}
			},
			func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Method != http.MethodPost || string(body) != `{"ping":1}` || r.Host != "shop.example.com" || r.Header.Get("X-Check") != "sluice" {
					sick(w, r)
				}
			},
			func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					sick(w, r)
				}
			},
		},
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(name+" over "+scheme, func(t *testing.T) {
				t.Parallel()
				p, set := aPool(t, scheme == "https")
				set.change(func(m *probe.Module) { c.set(&m.HTTP) })
				p.members[0].be(c.well)
				p.members[1].be(c.sick)
				for i, want := range []edge.Answer{edge.Yes, edge.No} {
					if e := set.ask(t, p.members[i]); e.Answer != want {
						t.Errorf("member %d: %+v, want %s", i, e, want)
					}
				}
			})
		}
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) } // who asked sees what is missing
}

// ask asks one member of the first device as the remediator does: at the address
// that the device gives for it.
func (s setup) ask(t *testing.T, m *member) guard.Evidence {
	t.Helper()
	snap := s.look(t)
	st, ok := snap.State(onShop(m))
	if !ok {
		t.Fatalf("%s isn't in %+v", m.address, snap)
	}
	p := s.read.Probes[0]
	return newCheck(t, s.read.Modules[p.Module], p).Ask(t.Context(), st)
}

// look reads the first device.
func (s setup) look(t *testing.T) edge.Snapshot {
	t.Helper()
	fl, err := fleet.New(s.devices, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m := s.read.Validate(fl.Names()); len(m) > 0 {
		t.Fatal(m)
	}
	snap, err := fl.Devices()[0].Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// Defect 12: ports 80 and 443 were left out of the URL whatever the scheme, so
// that plain http on 443 was asked for on 80.
func TestDefect12TheMembersOwnPortIsAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scheme string
		port   int
		url    string // what the prober is told
		asked  string // what goes over the wire
	}{
		{"http", 443, "http://192.0.2.11:443/health", "GET http://192.0.2.11:443/health"},
		{"http", 80, "http://192.0.2.11:80/health", "GET http://192.0.2.11:80/health"},
		{"http", 8080, "http://192.0.2.11:8080/health", "GET http://192.0.2.11:8080/health"},
		{"https", 80, "https://192.0.2.11:80/health", "CONNECT 192.0.2.11:80"},
		{"https", 443, "https://192.0.2.11:443/health", "CONNECT 192.0.2.11:443"},
		{"https", 8443, "https://192.0.2.11:8443/health", "CONNECT 192.0.2.11:8443"},
	} {
		t.Run(c.url, func(t *testing.T) {
			t.Parallel()
			// Nobody listens on such ports here; a proxy hears what they would be asked.
			var proxy recorder
			sim := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{{Name: shop, Backends: []ptaftest.Backend{{Address: "192.0.2.11", Port: c.port}}}}})
			set := usual(t, sim.Start(t))
			set.read.Probes[0].Members.Scheme = c.scheme
			set.change(func(m *probe.Module) { m.HTTP.Client.ProxyURL = parsed(t, "http://"+serve.Handler(t, &proxy, nil)) })
			for _, st := range set.look(t).States {
				p := set.read.Probes[0]
				if target, err := p.MemberTarget(set.read.Modules[p.Module], st); err != nil || target != c.url {
					t.Errorf("the target is %q, %v", target, err)
				}
				newCheck(t, set.read.Modules[p.Module], p).Ask(t.Context(), st)
			}
			if got := proxy.String(); got != c.asked {
				t.Errorf("asked for %q, want %q", got, c.asked)
			}
		})
	}
	t.Run("another port than the member's, when the configuration says so", func(t *testing.T) {
		t.Parallel()
		p := exporter.Probe{Members: &exporter.Members{Port: 80}}
		got, err := p.MemberTarget(probe.Module{Prober: "http"}, edge.State{Member: at(waf, shop, "192.0.2.11:443"), Address: "192.0.2.11:443"})
		if err != nil || got != "http://192.0.2.11:80/" {
			t.Errorf("%q %v", got, err)
		}
	})
}

func parsed(t *testing.T, text string) promconfig.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return promconfig.URL{URL: u}
}

// A recorder is a proxy that answers no and keeps what it was asked for.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

// ServeHTTP is http.Handler's.
func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, q.Method+" "+q.RequestURI)
	sick(w, q)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, ", ")
}
