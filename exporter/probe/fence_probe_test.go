package probe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/test/loopback"
)

// probeWithin probes in a fence, without asking it beforehand.
func probeWithin(t *testing.T, allow []string, m Module, target string) Result {
	t.Helper()
	m.Timeout = model.Duration(3 * time.Second)
	p, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, passage := newFence(t, allow, nil).Enter(t.Context(), "")
	r := p.Probe(ctx, target)
	passage.Judge(&r)
	return r
}

// What is asked for here is refused in the last moment: the address is known,
// and nothing was sent.
func TestEveryProberAsksTheFenceBeforeItsFirstPacket(t *testing.T) {
	var arrived atomic.Int64
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			arrived.Add(1)
			conn.Close()
		}
	}()
	packets, err := net.ListenPacket("udp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	path := filepath.Join(t.TempDir(), "s")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	at := net.JoinHostPort("localhost", port)
	plain := func(change func(*HTTP)) Module {
		m := Module{Prober: "http", HTTP: HTTP{Client: promconfig.DefaultHTTPClientConfig, PreferredIP: "ip4"}}
		if change != nil {
			change(&m.HTTP)
		}
		return m
	}
	tried := make(map[string]bool)
	for _, tt := range []struct {
		name   string
		module Module
		target string
	}{
		{"http", plain(nil), "http://" + at},
		{"https, which may be HTTP/2", plain(nil), "https://" + at},
		{"http with connections kept", plain(func(h *HTTP) { h.KeepConnections = true }), "http://" + at},
		{"http with a body that net/http sends", plain(func(h *HTTP) { h.Method, h.Body = "POST", strings.Repeat("x", 1<<20) }), "http://" + at},
		{"tcp", Module{Prober: "tcp", TCP: TCP{PreferredIP: "ip4"}}, at},
		{"dns", Module{Prober: "dns", DNS: DNSQuery{Name: "example.com", PreferredIP: "ip4"}}, at},
		{"dns over tcp", Module{Prober: "dns", DNS: DNSQuery{Name: "example.com", PreferredIP: "ip4", Transport: "tcp"}}, at},
		{"grpc", Module{Prober: "grpc", GRPC: GRPC{PreferredIP: "ip4"}}, at},
		{"icmp", Module{Prober: "icmp", ICMP: ICMP{PreferredIP: "ip4"}}, "localhost"},
		{"unix", Module{Prober: "unix"}, path},
	} {
		tried[tt.module.Prober] = true
		t.Run(tt.name, func(t *testing.T) {
			r := probeWithin(t, []string{"192.0.2.0/24", "localhost"}, tt.module, tt.target)
			if r.Reason != Forbidden || r.Up || r.IP != "" {
				t.Errorf("got %+v, want forbidden", r)
			}
		})
	}
	for _, k := range Kinds() {
		if !tried[k] {
			t.Errorf("prober %s was not tried", k)
		}
	}
	if err := packets.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := packets.ReadFrom(make([]byte, 1)); err == nil {
		t.Errorf("a packet of %d bytes or more arrived", n)
	}
	if n := arrived.Load(); n > 0 {
		t.Errorf("%d connections arrived", n)
	}
}

func TestARedirectIsJudgedLikeATarget(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	var secret atomic.Int64
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok/":
		case "/secret":
			secret.Add(1)
		default:
			http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
		}
	}))
	defer good.Close()
	for client, body := range map[string]string{"by wire": "", "by net/http": strings.Repeat("x", maxSent+1)} {
		m := Module{Prober: "http", HTTP: HTTP{Client: promconfig.DefaultHTTPClientConfig, Body: body}}
		for _, tt := range []struct {
			to   string
			want Reason
		}{
			{"/ok/", ""},
			{"/secret", Forbidden},
			{"/ok/../secret", Forbidden},
			{other.URL, Forbidden},
			{"http://localhost" + strings.TrimPrefix(other.URL, "http://127.0.0.1"), Forbidden},
			{"http://[::ffff:127.0.0.1]" + strings.TrimPrefix(other.URL, "http://127.0.0.1"), Forbidden},
		} {
			t.Run(client+" to "+tt.to, func(t *testing.T) {
				r := probeWithin(t, []string{good.URL + "/ok/*"}, m, good.URL+"/ok/go?to="+tt.to)
				if r.Reason != tt.want || r.Up != (tt.want == "") {
					t.Errorf("got %q: %s, want %q", r.Reason, r.Detail, tt.want)
				}
			})
		}
	}
	if elsewhere.Load()+secret.Load() > 0 {
		t.Errorf("%d requests to another host, %d to another path", elsewhere.Load(), secret.Load())
	}
}

// A connection that the schedule keeps is no way past the fence.
func TestAKeptConnectionIsJudgedBeforeItIsUsed(t *testing.T) {
	var requests atomic.Int64
	good := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer good.Close()
	p, err := New(Module{Prober: "http", HTTP: HTTP{Client: promconfig.DefaultHTTPClientConfig, KeepConnections: true, PreferredIP: "ip4"}})
	if err != nil {
		t.Fatal(err)
	}
	target := strings.Replace(good.URL, "127.0.0.1", "localhost", 1)
	if r := p.Probe(t.Context(), target); !r.Up {
		t.Fatal(r.Detail)
	}
	ctx, passage := newFence(t, []string{"192.0.2.0/24"}, nil).Enter(t.Context(), "")
	r := p.Probe(ctx, target)
	if passage.Judge(&r); r.Reason != Forbidden || requests.Load() != 1 {
		t.Errorf("got %q after %d requests, want forbidden after one", r.Reason, requests.Load())
	}
}

// Behind a proxy only the name can be judged: it is the proxy that resolves it.
func TestAProxysTargetsAreJudgedByName(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.Host) }))
	defer proxy.Close()
	m := Module{Prober: "http", HTTP: HTTP{Client: promconfig.DefaultHTTPClientConfig}}
	if err := m.HTTP.Client.ProxyURL.UnmarshalYAML(func(v any) error { *v.(*string) = proxy.URL; return nil }); err != nil {
		t.Fatal(err)
	}
	allow := []string{"*.example.com", "192.0.2.0/24"}
	for target, want := range map[string]Reason{
		"http://shop.example.com/": "",
		"http://192.0.2.7/":        "",
		"http://evil.test/":        Forbidden,
		"http://198.51.100.7/":     Forbidden,
		"http://0x7f.1/":           Forbidden,
		proxy.URL:                  Forbidden,
	} {
		if r := probeWithin(t, allow, m, target); r.Reason != want {
			t.Errorf("%s: got %q: %s, want %q", target, r.Reason, r.Detail, want)
		}
	}
	slices.Sort(asked)
	if !slices.Equal(asked, []string{"192.0.2.7", "shop.example.com"}) {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

// A name server that belongs to somebody else says what it likes: an address
// that is listed when it is asked first, and another afterwards.
func TestANameThatTurnsElsewhereIsJudgedByTheAddressThatIsDialled(t *testing.T) {
	var queries atomic.Int64
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			address := "127.0.0.1"
			if queries.Add(1) == 1 {
				address = "127.0.0.2"
			}
			answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(address)}}
		}
		if err := w.WriteMsg(answer); err != nil {
			t.Error(err)
		}
	})}
	go server.ActivateAndServe() //nolint:errcheck // it ends with its socket
	defer server.Shutdown()      //nolint:errcheck // it is closed in any case
	old := net.DefaultResolver
	defer func() { net.DefaultResolver = old }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", packets.LocalAddr().String())
	}}
	var arrived atomic.Int64
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			arrived.Add(1)
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	m, allow := Module{Prober: "tcp"}, []string{"127.0.0.2"}
	target := net.JoinHostPort("rebound.example.com", port)
	if r := probeWithin(t, allow, m, target); r.Reason != Connect {
		t.Errorf("at first: got %q: %s, want connect, where nobody listens", r.Reason, r.Detail)
	}
	r := probeWithin(t, allow, m, target)
	if r.Reason != Forbidden || r.Detail != "rebound.example.com at 127.0.0.1 is not on the list of allowed targets" {
		t.Errorf("afterwards: got %q: %s, want forbidden", r.Reason, r.Detail)
	}
	if arrived.Load() > 0 {
		t.Error("it connected")
	}
}
