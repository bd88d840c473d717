package exporter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/test/loopback"
)

// get asks a handler and returns the status and the whole answer, head included.
func get(t *testing.T, h http.Handler, path string, headers ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var head bytes.Buffer
	if err := w.Header().Write(&head); err != nil {
		t.Fatal(err)
	}
	return w.Code, head.String() + w.Body.String()
}

// poll waits until ok, ten seconds at most.
func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited ten seconds: %s", what)
		}
	}
}

func start(t *testing.T, e *Exporter) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

// lines is a log that is written and read at the same time.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A canary is put wherever a secret may stand: none may come out again.
func TestNoSecretComesOut(t *testing.T) {
	refused, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan *http.Request, 100)
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case seen <- r:
		default:
		}
		switch r.URL.Path {
		case "/away":
			w.Header().Set("Location", "http://user:canary-location@"+refused+"/gone?token=canary-location")
			w.WriteHeader(http.StatusFound)
		case "/wrong":
			http.Error(w, "canary-body", http.StatusTeapot)
		default:
			w.Header().Set("Set-Cookie", "session=canary-cookie")
			fmt.Fprintln(w, "canary-body")
		}
	}))
	defer good.Close()
	https := httptest.NewUnstartedServer(http.NotFoundHandler())
	https.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // that its certificate is refused
	https.StartTLS()
	defer https.Close()
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("canary-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := strings.TrimPrefix(good.URL, "http://")
	config := fmt.Sprintf(`
probe_endpoint: {allow: [127.0.0.0/8]}
modules:
  basic:
    prober: http
    timeout: 1s
    http:
      headers: {Authorization: canary-header, X-Token: canary-header}
      body: canary-request
      method: POST
  file: {prober: http, timeout: 1s, http: {basic_auth: {username: canary-user, password_file: %[3]s}}}
  bearer: {prober: http, timeout: 1s, http: {authorization: {credentials: canary-token}}}
  proxy: {prober: http, timeout: 1s, http: {proxy_url: 'http://canary-user:canary-proxy@%[2]s'}}
  line: {prober: tcp, timeout: 200ms, tcp: {query_response: [{send: 'GET /?canary-sent HTTP/1.0'}, {expect: never}]}}
probes:
  - name: fine
    module: basic
    interval: 50ms
    targets: ['http://user:canary-password@%[1]s/fine?token=canary-query#canary-fragment']
  - name: wrong
    module: file
    interval: 50ms
    targets: ['http://%[1]s/wrong?token=canary-query']
  - name: away
    module: bearer
    interval: 50ms
    targets: ['http://%[1]s/away?token=canary-query']
  - name: refused
    module: bearer
    interval: 50ms
    targets: ['http://user:canary-password@%[2]s/?token=canary-query']
  - name: certificate
    module: bearer
    interval: 50ms
    targets: ['%[4]s/?token=canary-query']
  - name: proxied
    module: proxy
    interval: 50ms
    targets: ['http://%[1]s/?token=canary-query']
  - name: line
    module: line
    interval: 50ms
    targets: ['%[1]s']
`, at, refused, password, https.URL)
	said := new(lines)
	e, c, _ := newExporter(t, config, nil, log.NewLogfmtLogger(said))
	start(t, e)
	poll(t, "each probe has a verdict and some results", func() bool {
		for _, s := range e.scheduler.Status() {
			if s.Runs < 4 {
				return false
			}
		}
		return true
	})

	// The canaries do reach the targets: the test looks for what is really there.
	poll(t, "the target is asked with its secrets", func() bool {
		r := <-seen
		return r.Header.Get("Authorization") == "canary-header" || strings.Contains(r.URL.RawQuery, "canary-query")
	})

	var out []string
	take := func(what, text string) {
		if i := strings.Index(text, "canary"); i >= 0 {
			out = append(out, what+": ..."+text[max(0, i-80):min(len(text), i+40)])
		}
	}
	_, metrics := get(t, e.Metrics(), "/metrics")
	take("/metrics", metrics)
	_, page := get(t, e.Landing(), "/")
	take("/", page)
	for module := range c.Modules {
		for _, target := range []string{
			"http://user:canary-password@" + at + "/fine?token=canary-query",
			"http://user:canary-password@" + refused + "/?token=canary-query",
			"http://" + at + "/away?token=canary-query",
			"http://user:canary-password@[::1/?token=canary-query",
			"user:canary-password@" + refused + "?token=canary-query",
		} {
			code, text := get(t, e.Probe(), "/probe?"+url.Values{"module": {module}, "target": {target}}.Encode())
			take(fmt.Sprintf("/probe by %s, answer %d", module, code), text)
			_, text = get(t, e.Probe(), "/probe?"+url.Values{"module": {module}, "target": {target}, "debug": {"true"}}.Encode())
			take("/probe with debug by "+module, text)
		}
	}
	_, text := get(t, e.Probe(), "/probe?target=http://user:canary@x/")
	take("/probe without a module", text)
	for _, s := range e.scheduler.Status() {
		take("result of "+s.Probe, s.Last.Detail+" "+s.Target)
	}

	bad := decode(t, strings.ReplaceAll(config, "http://user:", "ftp://user:"))
	for _, m := range bad.Validate(nil) {
		take("mistake", m.Error())
	}
	if !strings.Contains(metrics, `sluice_probe_success{probe="fine",target="http://`+at+`/fine",device="",pool="",member=""} 1`) {
		t.Errorf("no result of probe fine in\n%s", metrics)
	}
	for _, o := range out {
		t.Error(o)
	}
	if log := said.String(); strings.Contains(log, "canary") || !strings.Contains(log, "msg=verdict") {
		t.Errorf("log:\n%s", log)
	}
}
