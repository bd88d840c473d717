package exporter

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/exporter/probe"
)

// FuzzProbeParameters asks /probe for anything at all. One URL is listed, which
// leads nowhere: no question comes through to a server, and none is a success.
func FuzzProbeParameters(f *testing.F) {
	var arrived atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	_, port, _ := strings.Cut(at, ":")
	for _, target := range []string{
		server.URL, at, "http://192.0.2.7:1@" + at, "http://192.0.2.7:1/never@" + at, "//" + at, "http:" + at, "HTTP://" + at,
		"0x7f.1:" + port, "http://2130706433:" + port, "http://[::ffff:127.0.0.1]:" + port, "localhost:" + port, "127.1:" + port,
		"http://192.0.2.7:1/never#@" + at, `http://192.0.2.7:1\@` + at, "http%3a//" + at, "unix:///var/run/x", "[::1%25lo]:" + port,
	} {
		for _, module := range []string{"", "port", "ping", "name", "health", "socket", "none"} {
			f.Add(url.Values{"target": {target}, "module": {module}}.Encode())
		}
		f.Add("hostname=192.0.2.7:1&debug=true&target=" + target)
		f.Add("target=http://192.0.2.7:1/never/..&target=" + target)
	}
	c := &Config{
		Modules: map[string]probe.Module{
			"http_2xx": {Prober: "http", HTTP: probe.HTTP{Client: promconfig.DefaultHTTPClientConfig}},
			"port":     {Prober: "tcp"},
			"ping":     {Prober: "icmp"},
			"name":     {Prober: "dns", DNS: probe.DNSQuery{Name: "example.com"}},
			"health":   {Prober: "grpc"},
			"socket":   {Prober: "unix"},
		},
		Endpoint: &Endpoint{Allow: []string{"http://192.0.2.7:1/never"}},
	}
	if wrong := c.Validate(nil); len(wrong) > 0 {
		f.Fatal(wrong)
	}
	none, err := fleet.New(nil, fleet.Options{})
	if err != nil {
		f.Fatal(err)
	}
	e, err := New(Options{Config: c, Fleet: none})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/probe", nil)
		r.URL.RawQuery = query
		r.Header.Set(timeoutHeader, "0.1")
		w := httptest.NewRecorder()
		e.Probe().ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusForbidden:
		default:
			t.Errorf("%q: answer %d %s", query, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "\nprobe_success 1\n") || arrived.Load() > 0 {
			t.Errorf("%q came through:\n%s", query, w.Body)
		}
	})
}
