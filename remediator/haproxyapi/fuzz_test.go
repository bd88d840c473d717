package haproxyapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever the path, no name comes out that HAProxy could take for more than a
// name, and the same route has the same canonical path.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{
		"/api/v1/haproxy/instances", "/api/v1/haproxy/backends", "/api/v1/haproxy/backends/backends", "/api/v1/haproxy/prod/backends/myapp/servers",
		"/api/v1/haproxy/backends/a%3Bb/servers/c%0Ad/action", "/api/v1/control/haproxy/backends/a/servers/b/action", "/api/v1/haproxy/%2e%2e/backends",
		"/api/v1/haproxy//", "/api/v1/haproxy/%", "/api/v1/haproxy/%zz/backends", "/api/v1/haproxy/%252e/backends", "/api/v1/haproxyx/backends",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, err := parseRoute(path)
		if err != nil {
			p := (*problemError)(nil)
			if !errors.As(err, &p) || p.code != http.StatusBadRequest && p.code != http.StatusNotFound {
				t.Fatalf("%q: %v", path, err)
			}
			if text := err.Error(); strings.ContainsAny(text, "\r\n\x00") || len(text) > 500 || !utf8.ValidString(text) {
				t.Fatalf("%q: error %q is no short line", path, text)
			}
			return
		}
		names := []string{}
		canonical := Root
		if r.instance != nil {
			names = append(names, *r.instance)
			canonical += "/" + *r.instance
		}
		switch r.kind {
		case instancesRoute:
			canonical += "/instances"
		case backendsRoute:
			canonical += "/backends"
		case serversRoute:
			names = append(names, r.backend)
			canonical += "/backends/" + r.backend + "/servers"
		case actionRoute:
			names = append(names, r.backend, r.server)
			canonical += "/backends/" + r.backend + "/servers/" + r.server + "/action"
		}
		for _, n := range names {
			if n == "" || strings.ContainsFunc(n, func(c rune) bool {
				return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-", c)
			}) {
				t.Fatalf("%q: name %q", path, n)
			}
			if plain, err := url.PathUnescape(path); err != nil || !strings.Contains(plain, n) {
				t.Fatalf("%q: name %q comes from nowhere", path, n)
			}
		}
		again, err := parseRoute(canonical)
		if err != nil || again.kind != r.kind || again.backend != r.backend || again.server != r.server || (again.instance == nil) != (r.instance == nil) || r.instance != nil && *again.instance != *r.instance {
			t.Fatalf("%q is %+v, and %q is %+v, %v", path, r, canonical, again, err)
		}
	})
}

// Whatever the body: what comes out is what a lenient decoder finds, too, and a
// refusal is one short line.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{"action": "drain"}`, `{"action":"ready","override":["min_serving"],"reason":"because"}`, `{}`, `[]`, `null`, ``, `{"Action":"drain"}`,
		`{"action":"drain","action":"maint"}`, `{"action":"drain"}{}`, `{"action":"drain","reason":"a\nb"}`, `{"action":["drain"]}`, `{"action":"drain","override":null}`,
		`{"action":"drain",}`, "{\"action\":\"drain\",\"reason\":\"\xff\"}", strings.Repeat(`{"a":`, 200), strings.Repeat("[", 20000), `{"action":"drain"`, `{"action":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := parseBody(in)
		if err != nil {
			p := (*problemError)(nil)
			if !errors.As(err, &p) || p.code != http.StatusBadRequest {
				t.Fatalf("%q: %v", in, err)
			}
			if text := err.Error(); strings.ContainsAny(text, "\r\n") || len(text) > 3000 || !utf8.ValidString(text) {
				t.Fatalf("%q: error %q is no short line", in, text)
			}
			return
		}
		var lenient struct {
			Action   string   `json:"action"`
			Override []string `json:"override"`
			Reason   string   `json:"reason"`
		}
		if err := json.Unmarshal(in, &lenient); err != nil {
			t.Fatalf("%q is taken, and is no JSON: %v", in, err)
		}
		if lenient.Action != b.action.String() || !slices.Equal(lenient.Override, b.override) || strings.TrimSpace(lenient.Reason) != b.reason {
			t.Fatalf("%q: got %+v, a lenient decoder %+v", in, b, lenient)
		}
		if len(b.override) > 0 && b.reason == "" || strings.ContainsAny(b.reason, "\r\n\x00") || utf8.RuneCountInString(b.reason) > maxReason {
			t.Fatalf("%q: reason %q", in, b.reason)
		}
	})
}
