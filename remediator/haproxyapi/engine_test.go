package haproxyapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

// An engine is one in memory. Its fields are set before the first request.
type engine struct {
	instances []haproxyapi.Instance
	backends  map[string]map[string][]haproxyapi.Server // by instance
	unread    error                                     // of each look
	refuses   error                                     // of each order
	hangs     map[string]chan struct{}                  // instances whose looks last until it is closed

	mu     sync.Mutex
	orders []haproxyapi.Order
	looks  map[string]int
}

func newEngine() *engine {
	two := func() map[string][]haproxyapi.Server {
		return map[string][]haproxyapi.Server{
			"myapp": {{Name: "web01", Status: "UP", Weight: "1", CheckStatus: "L7OK", Address: "192.0.2.10:8080"}, {Name: "web02", Status: "MAINT", Weight: "1", Admin: edge.Maint}},
			"api":   {},
		}
	}
	return &engine{
		instances: []haproxyapi.Instance{{Name: "first", Address: "/run/first.sock"}, {Name: "prod", Address: "ipv4@192.0.2.1:7777"}},
		backends:  map[string]map[string][]haproxyapi.Server{"first": two(), "prod": two()},
		looks:     map[string]int{},
	}
}

// Instances is haproxyapi.Engine's.
func (e *engine) Instances() []haproxyapi.Instance { return e.instances }

// Read is haproxyapi.Engine's.
func (e *engine) Read(_ context.Context, instance string) (haproxyapi.Reading, error) {
	e.mu.Lock()
	e.looks[instance]++
	hang := e.hangs[instance]
	e.mu.Unlock()
	if hang != nil {
		<-hang
		return haproxyapi.Reading{}, &haproxyapi.UnreachableError{Instance: instance, Err: errors.New("timeout")}
	}
	if e.unread != nil {
		return haproxyapi.Reading{}, e.unread
	}
	return haproxyapi.Reading{Backends: e.backends[instance]}, nil
}

// Act is haproxyapi.Engine's.
func (e *engine) Act(_ context.Context, o haproxyapi.Order) (haproxyapi.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.orders = append(e.orders, o)
	return haproxyapi.Result{Changed: o.Server != "web02" || o.To != edge.Maint}, e.refuses
}

func (e *engine) ordered() []haproxyapi.Order {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.orders
}

// A question is a request to the API, and answered is what came back.
type question struct {
	method, path, body string
	header             http.Header
}

type answered struct {
	code   int
	header http.Header
	body   string
}

// ask sends a request, whose path stands there as it is written, and holds the
// answer against the document.
func ask(t *testing.T, h http.Handler, q question) answered {
	t.Helper()
	a := asked(t, h, q)
	if q.method != http.MethodHead {
		documented(t, q, a)
	}
	return a
}

func asked(t *testing.T, h http.Handler, q question) answered {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), q.method, "http://sluice.example"+q.path, strings.NewReader(q.body))
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answered{w.Code, w.Header(), w.Body.String()}
}

func get(path string) question { return question{method: http.MethodGet, path: path} }

func post(path, body string) question {
	return question{method: http.MethodPost, path: path, body: body}
}

func (q question) with(name, value string) question {
	q.header = q.header.Clone()
	if q.header == nil {
		q.header = http.Header{}
	}
	q.header.Set(name, value)
	return q
}

const (
	drain  = `{"action": "drain"}`
	action = "/api/v1/haproxy/backends/myapp/servers/web01/action"
)

func handler(e haproxyapi.Engine) http.Handler {
	return haproxyapi.Handler(haproxyapi.Options{Engine: e})
}
