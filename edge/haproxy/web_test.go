package haproxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
)

const webBackends = `
backend shop
 server s1 127.0.0.1:1 weight 100
 server s2 127.0.0.1:2 weight 50
 server s3 127.0.0.1:3
 server s4 127.0.0.1:4 disabled
 server s5 127.0.0.1:5 track lead/a
backend lead
 server a 127.0.0.1:6 check inter 1h
`

// A page is a frontend with the statistics of a real HAProxy.
type page struct{ address, socket string }

// startPage starts a HAProxy with its statistics under /stats; bind and more go
// into that frontend.
func startPage(t *testing.T, bind, more string) page {
	t.Helper()
	at, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	r := haproxytest.StartReal(t, fmt.Sprintf("frontend stats\n bind %s %s\n stats enable\n stats uri /stats\n%s%s", at, bind, more, webBackends))
	return page{at, r.Socket}
}

func webClient(t *testing.T, o haproxy.Options) *haproxy.Client {
	t.Helper()
	c, err := haproxy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAPageIsReadAsTheSocketIs(t *testing.T) {
	p := startPage(t, "", " stats show-legends\n")
	socket := webClient(t, haproxy.Options{Address: p.socket})
	ctx := t.Context()
	wantErr(t, socket.SetAdmin(ctx, "shop", "s2", edge.Drain), nil)
	wantErr(t, socket.SetAdmin(ctx, "shop", "s3", edge.Maint), nil)
	var calls []haproxy.Call
	c := webClient(t, haproxy.Options{Address: "http://" + p.address + "/stats;csv", Trace: func(k haproxy.Call) { calls = append(calls, k) }})

	web, own := read(t, c), read(t, socket)
	if web.Process != "" || own.Process == "" || own.ReadOnly != "" {
		t.Errorf("processes %q and %q", web.Process, own.Process)
	}
	if want := "edge1 is read over HTTP: give the remediator its stats socket as address"; web.ReadOnly != want {
		t.Errorf("read only: %q", web.ReadOnly)
	}
	// All but the bits is the same, and the check of lead/a, which may run between the two reads.
	marks := map[string]string{"s2": "DRAIN", "s3": "MAINT", "s4": "MAINT"}
	for m, st := range own.States {
		st.Marks = marks[m.Name]
		st.Settled = false // that the configuration did it isn't told
		if m.Pool == "lead" || m.Name == "s5" {
			continue
		}
		if d := cmp.Diff(st, web.States[m]); d != "" {
			t.Errorf("%s: -socket +page:\n%s", m, d)
		}
	}
	if d := cmp.Diff(own.Along, web.Along); d != "" || len(web.States) != len(own.States) {
		t.Errorf("%d members; %s", len(web.States), d)
	}
	stats, err := c.Stats(ctx)
	wantErr(t, err, nil)
	if len(stats.Rows) != len(own.States)+3 { // two backends and the frontend
		t.Errorf("%d rows", len(stats.Rows))
	}
	for _, k := range calls {
		if k.Transport != "http" || k.Command != "GET /stats;csv" || k.Write || k.Err != nil {
			t.Errorf("%+v", k)
		}
	}
	if len(calls) != 2 {
		t.Errorf("%d calls", len(calls))
	}
}

func TestAPageWithoutLegendsHasNoAddresses(t *testing.T) {
	p := startPage(t, "", "")
	for m, st := range read(t, webClient(t, haproxy.Options{Address: "http://" + p.address + "/stats;csv"})).States {
		if st.Address != "" {
			t.Errorf("%s has %q", m, st.Address)
		}
	}
}

func TestAPageTakesNoCommand(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer srv.Close()
	c := webClient(t, haproxy.Options{Address: srv.URL + "/stats;csv"})
	ctx := t.Context()
	_, _, weight := c.Weight(ctx, "shop", "s1")
	_, info := c.Info(ctx)
	_, servers := c.Servers(ctx, "shop")
	for name, err := range map[string]error{
		"admin": c.SetAdmin(ctx, "shop", "s1", edge.Drain), "percent": c.SetWeight(ctx, "shop", "s1", 50), "share": c.SetShare(ctx, "shop", "s1", 5),
		"sessions": c.ShutdownSessions(ctx, "shop", "s1"), "weight": weight, "info": info, "servers": servers,
	} {
		t.Run(name, func(t *testing.T) { wantErr(t, err, haproxy.ErrReadOnly) })
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
}

// basic is a transport with a user, as the fleet's has one.
type basic struct{ user, password string }

func (b basic) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(b.user, b.password)
	return http.DefaultTransport.RoundTrip(r)
}

func TestAPageWithAPassword(t *testing.T) {
	p := startPage(t, "", " stats auth sluice:not-a-real-password\n")
	address := "http://" + p.address + "/stats;csv"
	good := webClient(t, haproxy.Options{Address: address, HTTP: &http.Client{Transport: basic{"sluice", "not-a-real-password"}}})
	if got := read(t, good); len(got.States) != 6 {
		t.Errorf("%d members", len(got.States))
	}
	for name, h := range map[string]*http.Client{"none": nil, "wrong": {Transport: basic{"sluice", "not-this-password"}}} {
		_, err := webClient(t, haproxy.Options{Address: address, HTTP: h}).Read(t.Context())
		wantHelp(t, name, err, "GET /stats;csv: HTTP status 401: give user and password of the page under basic_auth, or check them")
	}
}

func TestAPageOverTLS(t *testing.T) {
	certs := httptest.NewUnstartedServer(nil)
	certs.StartTLS()
	defer certs.Close()
	file := filepath.Join(t.TempDir(), "both.pem")
	key, err := x509.MarshalPKCS8PrivateKey(certs.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certs.Certificate().Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	p := startPage(t, "ssl crt "+file+" alpn h2,http/1.1", "")
	roots := x509.NewCertPool()
	roots.AddCert(certs.Certificate())
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: h2}
			defer tr.CloseIdleConnections()
			c := webClient(t, haproxy.Options{Address: "https://" + p.address + "/stats;csv", HTTP: &http.Client{Transport: tr}})
			for range 2 {
				if got := read(t, c); len(got.States) != 6 {
					t.Errorf("%d members", len(got.States))
				}
			}
		})
	}
	var connect *haproxy.ConnectError
	if _, err := webClient(t, haproxy.Options{Address: "https://" + p.address + "/stats;csv"}).Read(t.Context()); !errors.As(err, &connect) {
		t.Errorf("a certificate that nobody knows: %v; want a ConnectError", err)
	}
	if _, err := haproxy.New(haproxy.Options{Address: "https://" + p.address, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}); err == nil {
		t.Error("TLS settings beside the client's own were taken")
	}
}

// wantHelp wants an error in one line that is this, or begins so.
func wantHelp(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: got %v; want %s", name, err, want)
	}
}

func TestAWrongPathIsNamed(t *testing.T) {
	p := startPage(t, "", "")
	for path, want := range map[string]string{
		"/stats":     "GET /stats: it is a page, not CSV: put ;csv behind the path of the address: unexpected answer",
		"/other;csv": `GET /other;csv: HTTP status 503: check the path of the address: what HAProxy has under "stats uri", and ;csv`,
	} {
		_, err := webClient(t, haproxy.Options{Address: "http://" + p.address + path}).Read(t.Context())
		wantHelp(t, path, err, want)
	}
}

const goodCSV = "# pxname,svname,type,status,weight,\nshop,s1,2,UP,1,\nshop,s2,2,UP,1,\n"

// raw serves one answer, byte for byte, and closes.
func raw(t *testing.T, answer string) string {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // it may be closed already
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return // the test is over
		}
		defer conn.Close()
		var head [4096]byte
		if _, err := conn.Read(head[:]); err != nil {
			return // the client's error says it
		}
		_, _ = io.WriteString(conn, answer) // as above
	}()
	return "http://" + ln.Addr().String() + "/stats;csv"
}

func chunked(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

func TestHalfAPageIsAnError(t *testing.T) {
	const ok, chunks = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	length := func(n int, text string) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok, n, text) }
	cut := strings.LastIndex(goodCSV, "shop")
	for _, c := range []struct {
		name, answer string
		want         error
	}{
		{"whole, by length", length(len(goodCSV), goodCSV), nil},
		{"whole, in chunks", chunks + chunked(goodCSV) + "0\r\n\r\n", nil},
		{"fewer bytes than promised, at a row's end", length(len(goodCSV), goodCSV[:cut]), haproxy.ErrTruncated},
		{"no last chunk, at a row's end", chunks + chunked(goodCSV[:cut]), haproxy.ErrTruncated},
		{"half a chunk", chunks + chunked(goodCSV)[:60], haproxy.ErrTruncated},
		{"framed well, the last row cut", length(len(goodCSV)-3, goodCSV[:len(goodCSV)-3]), haproxy.ErrTruncated},
		{"framed well, ending inside quotes", length(len(goodCSV)+3, goodCSV+"\"a\n"), haproxy.ErrTruncated},
		{"framed by the connection's end", ok + "\r\n" + goodCSV, haproxy.ErrAnswer},
		{"HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n\r\n" + goodCSV, haproxy.ErrAnswer},
		{"nothing", length(0, ""), haproxy.ErrAnswer},
		{"nothing but a promise", length(50, ""), haproxy.ErrTruncated},
		{"a page without saying so", length(9, "<!DOCTYPE"), haproxy.ErrAnswer},
		{"something else", length(5, "hello"), haproxy.ErrAnswer},
		{"one byte", length(1, "#"), haproxy.ErrAnswer},
		{"a header alone", length(2, "# "), haproxy.ErrTruncated},
		{"columns of something else", length(10, "# a,b,c,\nx"+""), haproxy.ErrTruncated},
		{"other columns", length(9, "# a,b,c,\n"), haproxy.ErrAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := webClient(t, haproxy.Options{Address: raw(t, c.answer)}).Read(t.Context())
			wantErr(t, err, c.want)
			if got := len(r.Servers); (c.want == nil) != (got == 2) {
				t.Errorf("%d servers", got)
			}
		})
	}
}

func TestOtherAnswersSayWhatHelps(t *testing.T) {
	for code, want := range map[int]string{
		301: "GET /stats;csv: HTTP status 301: redirects aren't followed: give the address of the page itself",
		403: "GET /stats;csv: HTTP status 403: the page refuses this user or the address that asks",
		404: `GET /stats;csv: HTTP status 404: check the path of the address: what HAProxy has under "stats uri", and ;csv`,
		500: "GET /stats;csv: HTTP status 500",
		204: "GET /stats;csv: HTTP status 204",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		}))
		_, err := webClient(t, haproxy.Options{Address: srv.URL + "/stats;csv"}).Read(t.Context())
		if wantHelp(t, fmt.Sprint(code), err, want); err != nil && err.Error() != want {
			t.Errorf("got %v", err)
		}
		var status *haproxy.StatusError
		if !errors.As(err, &status) || status.Code != code {
			t.Errorf("%v is no StatusError", err)
		}
		srv.Close()
	}
}

// A page that stops in the middle costs its timeout, a caller that goes costs nothing.
func TestAPageThatHangsCostsItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, send := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + goodCSV} {
			tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					var head [4096]byte
					if _, err := theirs.Read(head[:]); err == nil {
						_, _ = io.WriteString(theirs, send) // the client may be gone
					}
				}()
				return ours, nil
			}}
			c := webClient(t, haproxy.Options{Address: "http://192.0.2.1/stats;csv", Timeout: 3 * time.Second, HTTP: &http.Client{Transport: tr}})
			start := time.Now()
			_, err := c.Read(t.Context())
			wantErr(t, err, haproxy.ErrTimeout)
			if d := time.Since(start); d != 3*time.Second {
				t.Errorf("it took %s", d)
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start = time.Now()
			_, err = c.Read(ctx)
			wantErr(t, err, context.Canceled)
			if d := time.Since(start); d != time.Second {
				t.Errorf("a caller that goes waits %s", d)
			}
			tr.CloseIdleConnections()
		}
	})
}

// Each read has a connection of its own: after a reload a kept one would go on
// asking the old process.
func TestAPageIsReadOverAFreshConnection(t *testing.T) {
	var from []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		_, _ = io.WriteString(w, goodCSV) // the client's error says it
	}))
	defer srv.Close()
	c := webClient(t, haproxy.Options{Address: srv.URL + "/stats;csv"})
	read(t, c)
	read(t, c)
	if len(from) != 2 || from[0] == from[1] {
		t.Errorf("asked from %v", from)
	}
}

func TestAnAddressOfAPage(t *testing.T) {
	for address, want := range map[string]string{
		"http://192.0.2.1/stats;csv":             "http",
		"HTTPS://edge1.example.com:8404/;csv":    "https",
		"http://[2001:db8::1]:8404/stats?x;csv":  "http",
		"http://":                                "",
		"http:///stats;csv":                      "",
		"http://192.0.2.1:0/stats;csv":           "",
		"http://192.0.2.1:x/stats;csv":           "",
		"http://192.0.2.1/stats;csv#x":           "",
		"http://192.0.2.1/st\nats":               "",
		"http://u:not-a-secret@192.0.2.1/;csv":   "",
		"http://u:not-a-sec%zzret@192.0.2.1/":    "",
		"http://u:not-a-secret/@192.0.2.1/;csv":  "",
		"http://u:not-a-#secret@192.0.2.1/;csv":  "",
		"https://not-a-secret@192.0.2.1/x@y;csv": "",
	} {
		network, whole, err := haproxy.ParseAddress(address)
		if network != want || (err == nil) != (want != "") || err == nil && whole != address {
			t.Errorf("%q: %q, %q, %v", address, network, whole, err)
		}
		if err != nil && (strings.Contains(err.Error(), "not-a-") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q is told: %v", address, err)
		}
	}
	if _, _, err := haproxy.ParseAddress("http://u:p@192.0.2.1/;csv"); err == nil || !strings.Contains(err.Error(), "basic_auth") {
		t.Errorf("got %v", err)
	}
	if host, err := haproxy.Host("https://edge1.example.com:8404/;csv"); err != nil || host != "edge1.example.com" {
		t.Errorf("got %q, %v", host, err)
	}
}
