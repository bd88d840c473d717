package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
	testserve "github.com/sluice-project/sluice/test/serve"
)

// An apiServer is the HAProxy REST API as an environment makes it, on a port.
type apiServer struct {
	url   string
	token string
}

// startAPI serves what the variables configure, until the test's end.
func startAPI(t *testing.T, environ ...string) *apiServer {
	t.Helper()
	e, err := readEnvironment(vars(environ...))
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.loaded()
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFleet(l, fleetOptions{logger: log.NewNopLogger()})
	if err != nil {
		t.Fatal(err)
	}
	devices := forRemediator(f)
	h := newHAProxies(startOrders(t, devices))
	h.use(l.Devices, devices)
	s := site{own: map[string]http.Handler{}, ready: func() error { return nil }}
	for _, pattern := range haproxyapi.Patterns() {
		s.own[pattern] = haproxyapi.Handler(haproxyapi.Options{Engine: h})
	}
	gate, err := newGate(l.Access, routes{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &apiServer{url: "http://" + testserve.Handler(t, gate.Handler(s.handler("")), nil), token: e.token}
}

// ask sends a request and returns the code and the answer.
func (s *apiServer) ask(t *testing.T, method, path, body string) (int, apiAnswer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := apiAnswer{text: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%s %s: %d %s: %v", method, path, resp.StatusCode, text, err)
	}
	if a.StatusCode != resp.StatusCode || a.Success != (resp.StatusCode == http.StatusOK) {
		t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	return resp.StatusCode, a
}

// must asks, and wants the code and the words.
func (s *apiServer) must(t *testing.T, method, path, body string, code int, words ...string) apiAnswer {
	t.Helper()
	got, a := s.ask(t, method, path, body)
	if got != code {
		t.Errorf("%s %s %s: %d %s, want %d", method, path, body, got, a.text, code)
	}
	for _, w := range words {
		if !strings.Contains(a.text, w) {
			t.Errorf("%s %s %s: %s, want %s", method, path, body, a.text, w)
		}
	}
	return a
}

type apiAnswer struct {
	Success    bool   `json:"success"`
	StatusCode int    `json:"status_code"`
	Message    string `json:"message"`
	Error      string `json:"error"`
	Guard      string `json:"guard"`
	Data       struct {
		Instance  string              `json:"instance"`
		Backends  []string            `json:"backends"`
		Servers   []haproxyapi.Server `json:"servers"`
		Instances []struct {
			Name      string `json:"name"`
			Available bool   `json:"available"`
		} `json:"instances"`
	} `json:"data"`

	text string
}

func (a apiAnswer) server(t *testing.T, name string) haproxyapi.Server {
	t.Helper()
	for _, s := range a.Data.Servers {
		if s.Name == name {
			return s
		}
	}
	t.Errorf("no server %s in %s", name, a.text)
	return haproxyapi.Server{}
}

const apiRoot = haproxyapi.Root

func actionOf(backend, server string) string {
	return apiRoot + "/backends/" + backend + "/servers/" + server + "/action"
}

// twoServers is a configuration with a backend of servers that nobody checks.
const twoServers = "backend myapp\n server web01 192.0.2.10:8080\n server web02 192.0.2.11:8080 cookie w2\nbackend api\n server a1 192.0.2.20:80\n server a2 192.0.2.21:80\n"

// socketPath is where a HAProxy isn't yet; a short one, as a unix socket's is.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "s")
}

// startOrders runs the engine without automation, as the environment alone does.
func startOrders(t *testing.T, devices map[string]remediator.Device) personOrders {
	t.Helper()
	r, err := remediator.New(remediator.Options{Config: remediator.WithoutAutomation(filepath.Join(t.TempDir(), "sluice.db")), Devices: devices})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return ordersOf(r)
}

func TestServersAreToldAsHAProxyWritesThem(t *testing.T) {
	lb := haproxytest.StartReal(t, twoServers+"backend empty\n")
	api := startAPI(t, "HAPROXY_SOCKET_PATH="+lb.Socket)
	a := api.must(t, "GET", apiRoot+"/backends", "", 200, `"backends":["api","empty","myapp"],"count":3`)
	api.must(t, "GET", apiRoot+"/backends/empty/servers", "", 200, `"backend":"empty","servers":[],"count":0`)
	if a.Data.Instance != "default" {
		t.Errorf("instance %q", a.Data.Instance)
	}
	web02 := api.must(t, "GET", apiRoot+"/backends/myapp/servers", "", 200, `"backend":"myapp"`, `"count":2`).server(t, "web02")
	want := haproxyapi.Server{Name: "web02", Status: "no check", Weight: "1", Address: "192.0.2.11:8080", Cookie: "w2"}
	web02.LastChange = ""                              // as long as it runs
	if web02.Downtime == "0" || web02.Downtime == "" { // empty without a check
		web02.Downtime = ""
	}
	if web02 != want {
		t.Errorf("%+v, want %+v", web02, want)
	}
	for _, c := range []struct{ action, status, admin string }{{"drain", "DRAIN", "drain"}, {"maint", "MAINT", "maint"}, {"ready", "no check", "ready"}} {
		body := fmt.Sprintf(`{"action":%q}`, c.action)
		api.must(t, "POST", actionOf("myapp", "web02"), body, 200, `"status":"completed","changed":true`, `"message":"server web02 is in state \"`+c.action)
		api.must(t, "POST", actionOf("myapp", "web02"), body, 200, `"status":"completed","changed":false`)
		if s := api.must(t, "GET", apiRoot+"/backends/myapp/servers", "", 200).server(t, "web02"); s.Status != c.status || s.Admin.String() != c.admin {
			t.Errorf("after %s: %+v", c.action, s)
		}
	}
}

// awaits asks until the answer is as wanted, for a while.
func (s *apiServer) awaits(t *testing.T, path string, ok func(int, apiAnswer) bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); ; {
		code, a := s.ask(t, "GET", path, "")
		if ok(code, a) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("GET %s: at last %d %s", path, code, a.text)
		}
	}
}
