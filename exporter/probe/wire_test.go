package probe_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/exporter/probe"
)

// What the wire doesn't speak goes on as ever.
func TestRequestsArriveWhole(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %d %v", r.Proto, r.Method, r.URL, len(body), err)
	}
	plain, secure := web(t, echo), webTLS(t, echo, nil)
	for _, c := range []struct {
		name, url, settings, want string
		body                      int
	}{
		{"without a body", plain.URL, "", "HTTP/1.1 GET /a?b=c 0 <nil>", 0},
		{"with a body", plain.URL, "method: POST", "HTTP/1.1 POST /a?b=c 9 <nil>", 9},
		{"with a large body", plain.URL, "method: POST", "HTTP/1.1 POST /a?b=c 2000000 <nil>", 2_000_000},
		{"HTTP/2", secure.URL, "method: GET", "HTTP/2.0 GET /a?b=c 0 <nil>", 0},
		{"HTTP/2 with a body", secure.URL, "method: PUT, keep_connections: true", "HTTP/2.0 PUT /a?b=c 9 <nil>", 9},
		{"HTTP/2 with a large body", secure.URL, "method: POST", "HTTP/2.0 POST /a?b=c 2000000 <nil>", 2_000_000},
		{"HTTP/1.1 over TLS", secure.URL, "method: POST, enable_http2: false", "HTTP/1.1 POST /a?b=c 9 <nil>", 9},
		{"HTTP/1.1 over TLS with a large body", secure.URL, "method: POST, enable_http2: false", "HTTP/1.1 POST /a?b=c 2000000 <nil>", 2_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := module(t, fmt.Sprintf("{prober: http, http: {tls_config: {insecure_skip_verify: true}, %s}}", c.settings))
			m.HTTP.Body = strings.Repeat("x", c.body)
			p, err := probe.New(m)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				r := p.Probe(t.Context(), c.url+"/a?b=c")
				wantReason(t, r, "")
				if got := string(r.Body); got != strings.ReplaceAll(c.want, "b=c", "<secret>") && got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
				if r.TLS == nil != (c.url == plain.URL) || r.IP != "127.0.0.1" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// A server that says no before it has read all is heard.
func TestAnEarlyAnswerIsHeard(t *testing.T) {
	at := raw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	m := module(t, "{prober: http, timeout: 5s, http: {method: POST, valid_status_codes: [413]}}")
	for _, size := range []int{10, 16 << 10, 8 << 20} {
		m.HTTP.Body = strings.Repeat("x", size)
		p, err := probe.New(m)
		if err != nil {
			t.Fatal(err)
		}
		wantReason(t, p.Probe(t.Context(), "http://"+at), "")
	}
}

// Who redirects to a space in a query is asked as it is written, as net/http does.
func TestASpaceInAQueryIsAskedFor(t *testing.T) {
	asked := make(chan string, 2)
	at := raw(t, func(c net.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		asked <- line
		if strings.HasPrefix(line, "GET / ") {
			_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: /login?next=a b\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	wantReason(t, ask(t, "{prober: http, timeout: 5s}", "http://"+at), "")
	<-asked
	if got := <-asked; got != "GET /login?next=a b HTTP/1.1\r\n" {
		t.Errorf("%q", got)
	}
}
