package ptaftest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const shop = "64f0c0ffee0123456789abcd"

func newShop() *Sim {
	three := 3
	return New(Options{Upstreams: []Upstream{
		{
			Name: "shop-front",
			Backends: []Backend{
				{Address: "192.0.2.11", Port: 8080},
				{Address: "192.0.2.12", Port: 8080, Weight: 2, MaxFails: &three, Down: true},
				{Address: "192.0.2.13", Port: 8080, Backup: true},
			},
		},
		{Name: "billing", Backends: []Backend{{Address: "198.51.100.5"}}},
	}})
}

const wholeShop = `{"id":"64f0c0ffee0123456789abcd","name":"shop-front","last_modified":"2024-05-14T09:21:07Z",` +
	`"addresses":["192.0.2.11","192.0.2.12","192.0.2.13"],"ip_hash":false,"least_conn":false,"transparent":false,"keepalive":32,"read_timeout":60,` +
	`"backends":[{"address":"192.0.2.11","port":8080,"weight":1,"max_fails":null,"down":false,"backup":false},` +
	`{"address":"192.0.2.12","port":8080,"weight":2,"max_fails":3,"down":true,"backup":false},` +
	`{"address":"192.0.2.13","port":8080,"weight":1,"max_fails":null,"down":false,"backup":true}]}`

// A call is one request to the API and what came back.
type call struct {
	method, path, body string
	password           string // not-a-real-password when empty
	kind               string // application/json when empty
}

func (c call) do(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	if c.password == "" {
		c.password = "not-a-real-password"
	}
	if c.kind == "" {
		c.kind = "application/json"
	}
	req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("sluice", c.password)
	req.Header.Set("Content-Type", c.kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func get(t *testing.T, url, path string) (int, string) {
	t.Helper()
	status, body, err := call{method: http.MethodGet, path: path}.do(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

func patch(t *testing.T, url, body string) (int, string) {
	t.Helper()
	status, answer, err := call{method: http.MethodPatch, path: "/upstreams/" + shop, body: body}.do(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

func wantEqual[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +\n%s", d)
	}
}

func TestCalls(t *testing.T) {
	const one = `{"address":"192.0.2.11","port":8080}`
	for name, c := range map[string]struct {
		call   call
		status int
		body   string // in the answer
	}{
		"the list has ids and names":          {call{method: "GET", path: "/upstreams"}, 200, `{"items":[{"id":"64f0c0ffee0123456789abcd","name":"shop-front","addresses":["192.0.2.11","192.0.2.12","192.0.2.13"]},{"id":"64f0c0ffee0123456789abce","name":"billing","addresses":["198.51.100.5"]}]}`},
		"an upstream comes whole":             {call{method: "GET", path: "/upstreams/" + shop}, 200, wholeShop},
		"a name is no id":                     {call{method: "GET", path: "/upstreams/shop-front"}, 404, `{"message":"no such upstream"}`},
		"an unknown id":                       {call{method: "PATCH", path: "/upstreams/64f0c0ffee01234567890000", body: `{}`}, 404, "no such upstream"},
		"an unknown collection":               {call{method: "GET", path: "/licenses"}, 404, "no such object"},
		"gateways where nobody tells them":    {call{method: "GET", path: "/gateways"}, 404, "no such object"},
		"a wrong password":                    {call{method: "GET", path: "/upstreams", password: "wrong"}, 401, "authentication"},
		"a wrong password in a write":         {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":[]}`, password: "wrong"}, 401, "authentication"},
		"another method":                      {call{method: "DELETE", path: "/upstreams/" + shop}, 405, "not allowed"},
		"a write that isn't called JSON":      {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":[]}`, kind: "text/plain"}, 415, "application/json"},
		"a bare list":                         {call{method: "PATCH", path: "/upstreams/" + shop, body: `[` + one + `]`}, 400, "not a JSON object"},
		"a cut object":                        {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":[` + one}, 400, "not a JSON object"},
		"more than an object":                 {call{method: "PATCH", path: "/upstreams/" + shop, body: `{} {}`}, 400, "not a JSON object"},
		"a field twice":                       {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":[],"backends":[]}`}, 400, "twice"},
		"backends that are no list":           {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":null}`}, 422, "backends: want a list"},
		"a backend that is no object":         {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":["192.0.2.11"]}`}, 422, "backends[0]"},
		"a backend without address":           {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":[{"port":80}]}`}, 422, "address"},
		"a port that is a text":               {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":[{"address":"192.0.2.11","port":"80"}]}`}, 422, "port"},
		"a weight of nothing":                 {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":[{"address":"192.0.2.11","weight":0}]}`}, 422, "weight"},
		"a word that is no boolean":           {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"backends":[{"address":"192.0.2.11","down":"yes"}]}`}, 422, "down"},
		"an upstream's flag that is a number": {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"ip_hash":1}`}, 422, "ip_hash"},
		"no name":                             {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"name":""}`}, 422, "name"},
		"a read timeout below zero":           {call{method: "PATCH", path: "/upstreams/" + shop, body: `{"read_timeout":-1}`}, 422, "read_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop()
			status, body, err := c.call.do(t, s.Start(t))
			if err != nil || status != c.status || !strings.Contains(body, c.body) {
				t.Errorf("%d %s %v, want %d %s", status, body, err, c.status, c.body)
			}
			wantEqual(t, string(s.Object(shop)), wholeShop)
		})
	}
}

func TestPatch(t *testing.T) {
	for name, c := range map[string]struct {
		body     string
		backends string // of the object afterwards
	}{
		"the list is replaced as a whole": {
			`{"backends":[{"address":"192.0.2.12","port":8080,"weight":2,"max_fails":3,"down":false,"backup":false}]}`,
			`[{"address":"192.0.2.12","port":8080,"weight":2,"max_fails":3,"down":false,"backup":false}]`,
		},
		"an empty list leaves no backend": {`{"backends":[]}`, `[]`},
		"what is left out has its default": {
			`{"backends":[{"address":"app.example.com"}]}`,
			`[{"address":"app.example.com","port":80,"weight":1,"max_fails":null,"down":false,"backup":false}]`,
		},
		"words are taken for booleans and given back as such": {
			`{"backends":[{"address":"192.0.2.11","down":"True","port":1,"weight":1,"max_fails":0,"backup":"False"}]}`,
			`[{"address":"192.0.2.11","down":true,"port":1,"weight":1,"max_fails":0,"backup":false}]`,
		},
		"unknown fields stay byte for byte, in their order": {
			`{"backends":[{"z": 1.50, "address":"192.0.2.11","a":{ "x" : [1e3, "\u0041<&>"] },"port":1,"weight":1,"max_fails":null,"backup":false,"down":false,"\u0442":null}]}`,
			`[{"z":1.50,"address":"192.0.2.11","a":{ "x" : [1e3, "\u0041<&>"] },"port":1,"weight":1,"max_fails":null,"backup":false,"down":false,"т":null}]`,
		},
		"the same backend may be there twice": {
			`{"backends":[{"address":"192.0.2.11","port":1,"weight":1,"max_fails":0,"down":true,"backup":false},{"address":"192.0.2.11","port":1,"weight":1,"max_fails":0,"down":false,"backup":false}]}`,
			`[{"address":"192.0.2.11","port":1,"weight":1,"max_fails":0,"down":true,"backup":false},{"address":"192.0.2.11","port":1,"weight":1,"max_fails":0,"down":false,"backup":false}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop()
			status, body := patch(t, s.Start(t), c.body)
			wantEqual(t, status, 200)
			wantEqual(t, body, string(s.Object("shop-front")))
			_, backends, _ := strings.Cut(body, `"backends":`)
			wantEqual(t, backends, c.backends+"}")
			if !strings.Contains(body, `"last_modified":"2024-05-14T09:21:08Z"`) {
				t.Errorf("the time of the change isn't in %s", body)
			}
		})
	}
}

func TestPatchOfOtherFieldsLeavesTheList(t *testing.T) {
	s := newShop()
	url := s.Start(t)
	status, body := patch(t, url, `{"id":"1","addresses":[],"last_modified":null,"ip_hash":"True","read_timeout":5,"x_own":{"a": 1}}`)
	wantEqual(t, status, 200)
	want := strings.NewReplacer(`:07Z`, `:08Z`, `"ip_hash":false`, `"ip_hash":true`, `"read_timeout":60`, `"read_timeout":5`).Replace(wholeShop)
	wantEqual(t, body, strings.TrimSuffix(want, "}")+`,"x_own":{"a": 1}}`)
}

func TestAnswersAreTheSameBytes(t *testing.T) {
	s := newShop()
	s.Touch("shop-front", func(u *Upstream) {
		u.Extra["x_own"] = json.RawMessage(`{"b": 1, "a": 1.0}`)
		u.Backends[0].Extra["x_note"] = json.RawMessage(`"\u0041"`)
	})
	url := s.Start(t)
	_, first := get(t, url, "/upstreams/"+shop)
	if !strings.Contains(first, `{"b": 1, "a": 1.0}`) || !strings.Contains(first, `"x_note":"\u0041"`) {
		t.Errorf("a field isn't as it was given: %s", first)
	}
	for range 3 {
		_, again := get(t, url, "/upstreams/"+shop)
		wantEqual(t, again, first)
	}
	wantEqual(t, string(s.Object(shop)), first)

	var read struct{ Backends json.RawMessage }
	if err := json.Unmarshal([]byte(first), &read); err != nil {
		t.Fatal(err)
	}
	_, written := patch(t, url, fmt.Sprintf(`{"backends":%s}`, read.Backends))
	wantEqual(t, written, strings.Replace(first, ":08Z", ":09Z", 1))
}

func TestEditsInTheUI(t *testing.T) {
	s := newShop()
	s.Edit("shop-front", "192.0.2.13:8080", true)
	wantEqual(t, string(s.Object(shop)), strings.NewReplacer(`:07Z`, `:08Z`, `"down":false,"backup":true`, `"down":true,"backup":true`).Replace(wholeShop))
	s.Edit("shop-front", "192.0.2.13:8080", false)

	s.Touch(shop, func(*Upstream) {})
	wantEqual(t, string(s.Object(shop)), strings.Replace(wholeShop, ":07Z", ":10Z", 1))
	s.Touch(shop, func(u *Upstream) {
		u.LeastConn, u.Backends = true, u.Backends[1:]
		u.Backends[0].MaxFails, u.Backends[0].Extra = nil, map[string]any{"weight": nil}
	})
	wantEqual(t, string(s.Object(shop)), `{"id":"64f0c0ffee0123456789abcd","name":"shop-front","last_modified":"2024-05-14T09:21:11Z",`+
		`"addresses":["192.0.2.12","192.0.2.13"],"ip_hash":false,"least_conn":true,"transparent":false,"keepalive":32,"read_timeout":60,`+
		`"backends":[{"address":"192.0.2.12","port":8080,"weight":null,"max_fails":null,"down":true,"backup":false},`+
		`{"address":"192.0.2.13","port":8080,"weight":1,"max_fails":null,"down":false,"backup":true}]}`)

	s.Remove("billing")
	if b := s.Object("billing"); b != nil {
		t.Errorf("still there: %s", b)
	}
}

func TestGateways(t *testing.T) {
	s := newShop()
	s.SetGateways([]Gateway{{ID: "64f0c0ffee0123456789ab01", Name: "waf1", Active: true, Address: "192.0.2.1"}, {ID: "64f0c0ffee0123456789ab02", Name: "waf2"}})
	_, body := get(t, s.Start(t), "/gateways")
	wantEqual(t, body, `{"items":[{"id":"64f0c0ffee0123456789ab01","name":"waf1","active":true,"address":"192.0.2.1"},{"id":"64f0c0ffee0123456789ab02","name":"waf2","active":false}]}`)
}

func TestWritesAndCallsAreCounted(t *testing.T) {
	s := newShop()
	url := s.Start(t)
	get(t, url, "/upstreams")
	patch(t, url, `[]`)
	patch(t, url, `{"keepalive":8}`)
	var got []string
	for _, w := range s.Writes() {
		got = append(got, fmt.Sprint(w.Upstream, " ", string(w.Body), " ", w.Status))
	}
	wantEqual(t, got, []string{shop + ` [] 400`, shop + ` {"keepalive":8} 200`})
	wantEqual(t, s.Calls(), 3)
}
