package fleet_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
)

func pageAt(address string, f func(*fleet.HAProxy)) fleet.Configs {
	c := haproxyAt("waf1", address)
	if f != nil {
		f(c.HAProxy)
	}
	return fleet.Configs{c}
}

// A password file is read each time, so that the device is well as soon as it is
// right; nothing of it is told.
func TestAStatisticsPageIsReadWithItsPasswordFile(t *testing.T) {
	at, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	haproxytest.StartReal(t, fmt.Sprintf("frontend stats\n bind %s\n stats enable\n stats uri /stats\n stats show-legends\n stats auth sluice:%s\nbackend shop\n server s1 192.0.2.1:80\n", at, proPassword))
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	configs := pageAt("http://"+at+"/stats;csv", func(h *fleet.HAProxy) {
		h.BasicAuth = &promconfig.BasicAuth{Username: "sluice", PasswordFile: "password"}
	})
	configs.SetDirectory(dir)
	var calls []fleet.Call
	d := build(t, configs, func(c fleet.Call) { calls = append(calls, c) })

	if m := configs.Files(); len(m) != 1 || m[0].Path != "[0].haproxy.basic_auth.password_file" {
		t.Errorf("files: %v", m)
	}
	if _, err := d.Look(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("without the file: %v", err)
	}
	put(t, file, []byte("not-this-password\n"))
	if _, err := d.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP status 401: give user and password") {
		t.Errorf("with a wrong password: %v", err)
	}
	put(t, file, []byte(proPassword+"\n"))
	snap, err := d.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := edge.Member{Device: "waf1", Pool: "shop", Name: "s1"}
	if st := snap.States[m]; !st.Serving || st.Address != "192.0.2.1:80" || snap.ReadOnly == "" || snap.Process != "" {
		t.Errorf("%+v, read only %q, process %q", st, snap.ReadOnly, snap.Process)
	}
	var got []string
	for _, c := range calls {
		got = append(got, fmt.Sprint(c.Device, " ", c.Operation, " ", c.Transport, " ", c.Command, " ", c.Method, c.Err == nil))
		if c.Write || strings.Contains(fmt.Sprint(c), "-password") {
			t.Errorf("%+v", c)
		}
	}
	if diff := cmp.Diff([]string{"waf1 read http GET /stats;csv false", "waf1 read http GET /stats;csv false", "waf1 read http GET /stats;csv true"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAStatisticsPageTakesNoStep(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer srv.Close()
	d := build(t, pageAt(srv.URL+"/stats;csv", nil), nil)
	m := edge.Member{Device: "waf1", Pool: "shop", Name: "s1"}
	for _, c := range []edge.Change{{Member: m, To: edge.Drain}, {Member: m, To: edge.Maint}, {Member: m, To: edge.Ready}, {Member: m, To: edge.Ready, Share: 5}} {
		r, err := d.Set(t.Context(), edge.Order{Changes: []edge.Change{c}})
		if !errors.Is(err, haproxy.ErrReadOnly) || r.Written {
			t.Errorf("%+v: %+v, %v", c, r, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the page was asked %d times", n)
	}
}

func TestMistakesOfAStatisticsPage(t *testing.T) {
	basic := func(h *fleet.HAProxy) { h.BasicAuth = &promconfig.BasicAuth{Username: "u", Password: "not-a-secret"} }
	withTLS := func(h *fleet.HAProxy) { h.TLSConfig = &promconfig.TLSConfig{} }
	for _, c := range []struct {
		name    string
		configs fleet.Configs
		want    []string
	}{
		{"http with a password", pageAt("http://192.0.2.1:8404/stats;csv", basic), nil},
		{"https with TLS settings", pageAt("https://192.0.2.1:8404/stats;csv", withTLS), nil},
		{"a socket with a password", pageAt("/run/h.sock", basic), []string{"[0].haproxy.basic_auth: is for an http or https address: a stats socket has no password"}},
		{"https with a pin", pageAt("https://192.0.2.1/stats;csv", func(h *fleet.HAProxy) { h.PinSHA256 = strings.Repeat("ab", 32) }), nil},
		{"http with a pin", pageAt("http://192.0.2.1/stats;csv", func(h *fleet.HAProxy) { h.PinSHA256 = strings.Repeat("ab", 32) }), []string{"[0].haproxy.pin_sha256: is for an https address: leave it out"}},
		{"half a pin", pageAt("https://192.0.2.1/stats;csv", func(h *fleet.HAProxy) { h.PinSHA256 = "ab" }), []string{"[0].haproxy.pin_sha256: want 64 hex digits, as \"openssl x509 -noout -fingerprint -sha256\" prints them"}},
		{"a pin and no look at the certificate", pageAt("https://192.0.2.1/stats;csv", func(h *fleet.HAProxy) {
			h.PinSHA256, h.TLSConfig = strings.Repeat("ab", 32), &promconfig.TLSConfig{InsecureSkipVerify: true}
		}), []string{"[0].haproxy.tls_config.insecure_skip_verify: leave it out: pin_sha256 says which certificate is right"}},
		{"http with TLS settings", pageAt("http://192.0.2.1/stats;csv", withTLS), []string{"[0].haproxy.tls_config: an http address has no TLS: write https, or leave it out"}},
		{"a password twice", pageAt("http://192.0.2.1/stats;csv", func(h *fleet.HAProxy) {
			h.BasicAuth = &promconfig.BasicAuth{Username: "u", Password: "not-a-secret", PasswordFile: "f"}
		}), []string{"[0].haproxy.basic_auth: at most one of basic_auth password, password_file & password_ref must be configured"}},
		{"a user in the address", pageAt("http://u:not-a-secret@192.0.2.1/stats;csv", nil), []string{
			`[0].haproxy.address: address "...@192.0.2.1/stats;csv": holds a user: write it under basic_auth: {username, password_file}: ` + haproxy.ErrAddress.Error(),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, m := range c.configs.Validate() {
				got = append(got, m.Error())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if _, err := fleet.New(c.configs, fleet.Options{}); (err == nil) != (c.want == nil) {
				t.Errorf("New says %v", err)
			}
		})
	}
}

func TestThePasswordOfAPageIsNotShown(t *testing.T) {
	out, err := yaml.Marshal(pageAt("http://192.0.2.1/stats;csv", func(h *fleet.HAProxy) {
		h.BasicAuth = &promconfig.BasicAuth{Username: "u", Password: "not-a-secret"}
	}))
	if err != nil || strings.Contains(string(out), "not-a-secret") || !strings.Contains(string(out), "username: u") {
		t.Errorf("%s, %v", out, err)
	}
}

func TestAStatisticsPageOverTLSWithCAOrPin(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# pxname,svname,type,status,\nshop,s1,2,UP,\n") // the client's error says it
	}))
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	put(t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	pin := sha256.Sum256(srv.Certificate().Raw)
	for name, c := range map[string]struct {
		with func(*fleet.HAProxy)
		want string
	}{
		"neither":       {nil, "give it as tls_config.ca_file, or its SHA-256 as pin_sha256"},
		"its CA":        {func(h *fleet.HAProxy) { h.TLSConfig = &promconfig.TLSConfig{CAFile: ca} }, ""},
		"its sum":       {func(h *fleet.HAProxy) { h.PinSHA256 = hex.EncodeToString(pin[:]) }, ""},
		"another's sum": {func(h *fleet.HAProxy) { h.PinSHA256 = strings.Repeat("ab", 32) }, "not the pinned one"},
	} {
		t.Run(name, func(t *testing.T) {
			snap, err := build(t, pageAt(srv.URL+"/stats;csv", c.with), nil).Look(t.Context())
			if c.want == "" && (err != nil || len(snap.States) != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%+v, %v", snap.States, err)
			}
		})
	}
}
