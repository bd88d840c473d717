// Package probes sends the program what scanners and broken programs send: wrong
// methods, bodies and paths, and what means something to a shell, a database, a
// template, a browser or a proxy. Each answer has to be clear, no device may hear of
// any of it, and nothing of it may stand in a log or on a page as it came.
package probes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/openapi"
	"github.com/sluice-project/sluice/test/rig"
)

var sluice string // the program under test

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "probes:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "sluice-probes-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if sluice, err = rig.Build(context.Background(), dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// A target is a running remediator with a HAProxy behind it that keeps what it is
// told.
type target struct {
	url, address, dir string
	haproxy           *haproxytest.Fake
	process           *rig.Process
	client            *http.Client
}

const config = `devices:
  - {name: edge1, haproxy: {address: %s, timeout: 2s}}
%smodules:
  alive: {prober: tcp, timeout: 1s}
probes:
  - {name: shop, module: alive, interval: 1h, members: {device: edge1, pool: shop}}
remediation:
  mode: approve
  alertmanagers: [{url: 'http://127.0.0.1:1'}]
  policies:
    - {name: drain, to: drain, members: {device: edge1, pool: shop}, min_serving: 1}
`

// start runs the remediator until the test's end, with more devices if need be.
func start(t *testing.T, more string) *target {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl") // a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s := &target{dir: dir}
	s.haproxy = haproxytest.NewFake(haproxytest.Version{Major: 2, Minor: 6},
		haproxytest.Server{Backend: "shop", Name: "web01", Address: "192.0.2.11:80", Op: 2},
		haproxytest.Server{Backend: "shop", Name: "web02", Address: "192.0.2.12:80", Op: 2},
		haproxytest.Server{Backend: "shop", Name: "web03", Address: "192.0.2.13:80", Op: 2},
	)
	socket := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.haproxy.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = ln.Close() // it ends Serve
		<-served
	})
	if s.address, err = loopback.Address(); err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + s.address
	file := filepath.Join(dir, "sluice.yml")
	writeFile(t, file, fmt.Sprintf(config, socket, more))
	if s.process, err = rig.NewProgram("remediator", dir, sluice, "remediator", "--config.file="+file, "--web.listen-address="+s.address, "--log.level=debug"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.process.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("it wrote:\n%s", s.process.Log(20))
		}
	})
	if err := s.process.StartWeb(t.Context(), s.url+"/-/healthy"); err != nil {
		t.Fatal(err)
	}
	s.client = &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// An answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// A probe is one request; its path goes out as it is written.
type probe struct {
	method, path, body string
	header             []string // name, value
}

func (p probe) String() string {
	return fmt.Sprintf("%s %.120q %.80q %q", p.method, p.path, p.body, p.header)
}

// send sends it over a connection of its own: what a client's library would put
// right has to arrive.
func (s *target) send(t *testing.T, p probe) answer {
	t.Helper()
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", p.method, p.path, s.address)
	for i := 0; i < len(p.header); i += 2 {
		fmt.Fprintf(&head, "%s: %s\r\n", p.header[i], p.header[i+1])
	}
	if p.body != "" || p.method == http.MethodPost {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(p.body))
	}
	answers, err := s.raw(t, head.String()+"\r\n"+p.body)
	if err != nil || len(answers) != 1 {
		t.Errorf("%s: %d answers, %v", p, len(answers), err)
		return answer{}
	}
	return answers[0]
}

// raw writes bytes and reads all answers to the end of the connection.
func (s *target) raw(t *testing.T, text string) ([]answer, error) {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // it is read to its end
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, text)
		wrote <- err
	}()
	all, err := io.ReadAll(conn)
	if err := <-wrote; err != nil && len(all) == 0 {
		return nil, err // it was turned away before it had said all, and without a word
	}
	if err != nil && len(all) == 0 {
		return nil, err
	}
	return parse(all)
}

// check holds an answer against what has to be true of each: no 5xx, and below
// /api/v1/ the envelope.
func check(t *testing.T, p probe, a answer, want ...int) {
	t.Helper()
	if a.code >= http.StatusInternalServerError || a.code == 0 {
		t.Errorf("%s: %d %.300s", p, a.code, a.body)
		return
	}
	if len(want) > 0 && !slices.Contains(want, a.code) {
		t.Errorf("%s: %d %.300s, want one of %v", p, a.code, a.body, want)
	}
	if location := a.header.Get("Location"); a.code/100 == 3 && (!strings.HasPrefix(location, "/") || strings.HasPrefix(location, "//")) {
		t.Errorf("%s: leads to %q", p, location)
	}
	// Go's server turns away what is no HTTP before anything of ours sees it.
	if a.code < http.StatusBadRequest || !strings.HasPrefix(p.path, "/api/v1/") || p.method == http.MethodHead || bytes.HasPrefix(a.body, []byte("400 Bad Request")) {
		return
	}
	var e struct {
		Success    *bool  `json:"success"`
		StatusCode int    `json:"status_code"`
		Error      string `json:"error"`
	}
	if err := json.Unmarshal(a.body, &e); err != nil || e.Success == nil || *e.Success || e.StatusCode != a.code || e.Error == "" {
		t.Errorf("%s: %d without envelope: %.300s", p, a.code, a.body)
	}
	if strings.ContainsFunc(e.Error, func(c rune) bool { return c < ' ' || c == utf8.RuneError }) || len(e.Error) > 1000 {
		t.Errorf("%s: the error isn't one short line: %q", p, e.Error)
	}
}

// untouched says that the HAProxy was only looked at, and that the log is what it
// has to be.
func (s *target) untouched(t *testing.T) {
	t.Helper()
	for _, c := range s.haproxy.Commands() {
		if !slices.Contains([]string{"show info", "show stat", "show servers state", "set severity-output number"}, c) {
			t.Errorf("the device heard %q", c)
		}
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "remediator.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(text) {
		t.Error("the log isn't UTF-8")
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		if !strings.HasPrefix(line, "ts=") || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c == 0x7f }) || len(line) > 20_000 {
			t.Errorf("a line of the log: %.500q", line)
		}
	}
	// What a browser would run stands on no page as it came.
	for _, path := range []string{"/", "/console/", "/console/service", "/console/refusals", "/console/holds", "/console/freeze", "/console/maintenance", "/console/approvals", "/config", "/metrics"} {
		a := s.send(t, probe{method: http.MethodGet, path: path})
		if bytes.Contains(a.body, []byte("<script>alert")) || bytes.Contains(a.body, []byte("onerror=alert")) && bytes.Contains(a.body, []byte("<img src=x")) {
			t.Errorf("%s has a script that somebody sent: %.3000s", path, a.body)
		}
		if a.code >= http.StatusInternalServerError {
			t.Errorf("%s: %d", path, a.code)
		}
	}
}

// filled is a documented path with the examples of its names in it, but for one
// that is given.
func filled(op openapi.Object, path, name, value string) string {
	params, _ := op["parameters"].([]any)
	for _, p := range params {
		if openapi.At(p, "in") != "path" {
			continue
		}
		n, with := openapi.At(p, "name").(string), fmt.Sprint(openapi.As(p)["example"])
		with = strings.ReplaceAll(with, " ", "%20")
		if n == name {
			with = value
		}
		path = strings.ReplaceAll(path, "{"+n+"}", with)
	}
	return path
}

// each calls f with all documented operations.
func each(f func(method, path string, op openapi.Object)) {
	for path, item := range openapi.As(openapi.Document()["paths"]) {
		for method, op := range openapi.As(item) {
			f(strings.ToUpper(method), path, openapi.As(op))
		}
	}
}

var errShort = errors.New("the answer breaks off")
