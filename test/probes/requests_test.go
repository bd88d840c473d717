package probes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/test/openapi"
)

// events is the one path whose answer doesn't end.
const events = "/api/v1/events"

func TestAnotherMethodIsAnsweredWithThoseThatThereAre(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	for path, item := range openapi.As(openapi.Document()["paths"]) {
		has := openapi.As(item)
		var op openapi.Object
		for _, one := range has {
			op = openapi.As(one)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "FOO"} {
			_, known := has[strings.ToLower(method)]
			if known || method == "HEAD" && has["get"] != nil || method == "PUT" && path == "/-/reload" { // Prometheus has that, too
				continue
			}
			p := probe{method: method, path: filled(op, path, "", "")}
			a := s.send(t, p)
			check(t, p, a, http.StatusMethodNotAllowed)
			if a.header.Get("Allow") == "" {
				t.Errorf("%s: no header Allow", p)
			}
		}
	}
	s.untouched(t)
}

func TestABadBodyIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	each(func(method, path string, op openapi.Object) {
		if op["requestBody"] == nil || path == "/webhook" {
			return
		}
		path = filled(op, path, "", "")
		json := []string{"Content-Type", "application/json"}
		bad := func(code int, body string, header ...string) {
			t.Helper()
			p := probe{method, path, body, header}
			check(t, p, s.send(t, p), code)
		}
		bad(http.StatusUnsupportedMediaType, `{}`, "Content-Type", "text/plain")
		bad(http.StatusUnsupportedMediaType, `{}`, "Content-Type", "text/xml; charset=utf-8")
		bad(http.StatusUnsupportedMediaType, `{}`, "Content-Type", "multipart/form-data; boundary=x")
		bad(http.StatusUnsupportedMediaType, `{}`, "Content-Type", "application/json; charset=\"")
		bad(http.StatusBadRequest, `{"nosuch":1}`, json...)
		bad(http.StatusBadRequest, `{"__proto__":{"admin":true}}`, json...)
		limit := 2 << 20
		if strings.HasSuffix(path, "/restore") {
			limit = 6 << 20 // it takes whole objects
		}
		bad(http.StatusRequestEntityTooLarge, `{"reason":"`+strings.Repeat("x", limit)+`"}`, json...)
		bad(http.StatusBadRequest, strings.Repeat(`{"reason":`, 6000), json...)
		bad(http.StatusBadRequest, strings.Repeat(`[`, 60_000), json...)
		for _, body := range []string{`{`, `[]`, `"x"`, `7`, `{"reason":7}`, `{"reason":"x"}{}`, `{"reason":"x"} x`, "\x00", "{\"reason\":\"\x00\"}", `{reason:1}`, `<a/>`} {
			bad(http.StatusBadRequest, body, json...)
		}
	})
	s.untouched(t)
}

func TestTricksInAPathReachNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	tricks := []string{
		"%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..", "%252e%252e", ".", "..", "%2e", ";", "web01;a=b", "web01%3bshow%20env", "%0a", "%0d%0aSet-Cookie:%20a=b", "web01%0aset%20server%20shop/web01%20state%20maint",
		"web01%00", "%00", "%c0%ae%c0%ae", "%c0%af", "%e0%80%af", "%ff", "%F0%9F%92%A9", "web01%20", "%20web01", "web01%09", "web01%2f", "%2fweb01", "%5c", "web01\\..", "WEB01", "web01.", "~", "*", "%", "%zz", "%u002e",
		strings.Repeat("a", 300), strings.Repeat("%41", 2000), "web01?x=y", "web01#x", "//", "a//b", "./web01", "web01/.", "web01/..", "web01/../web02", "@1", "-", "_", "0",
	}
	for _, all := range words {
		for _, w := range all {
			tricks = append(tricks, url.PathEscape(w))
		}
	}
	each(func(method, path string, op openapi.Object) {
		params, _ := op["parameters"].([]any)
		for _, param := range params {
			if openapi.At(param, "in") != "path" {
				continue
			}
			name := openapi.At(param, "name").(string)
			for _, trick := range tricks {
				p := probe{method: method, path: filled(op, path, name, trick)}
				if body := openapi.At(op, "requestBody", "content", "application/json", "example"); body != nil {
					text, err := json.Marshal(body)
					if err != nil {
						t.Fatal(err)
					}
					p.body, p.header = string(text), []string{"Content-Type", "application/json"}
				}
				if method == http.MethodDelete {
					check(t, p, s.send(t, p)) // what isn't there may be taken away
					continue
				}
				a := s.send(t, p)
				check(t, p, a)
				if a.code == http.StatusOK && method != http.MethodGet {
					t.Errorf("%s is done: %s", p, a.body)
				}
			}
		}
		if !strings.Contains(path, "{") {
			for _, trick := range []string{"/", "//", "/.", "/..", "/%2e%2e", ";", ";a=b", "%00", "%0a", "%20", "/x", "?", "?%00", "?;", "?&&=", "?a=%zz", "#"} {
				if path != events {
					p := probe{method: http.MethodGet, path: path + trick}
					check(t, p, s.send(t, p))
				}
			}
		}
	})
	for _, path := range []string{
		"*", "//", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/.git/config", "/.env", "/console/../config", "/console/%2e%2e/config", "/console/static/../../x", "/console/%00", "/debug/pprof/", "/debug/vars", "/server-status",
		"/api/v1", "/api/v1/", "/api/v2/members", "/api/v1/../v1/members", "/api//v1/members", "/API/V1/MEMBERS", "/api/v1/members/edge1", "/api/v1/members/edge1/shop/web01/drain/x", "/api/v1/%6dembers",
	} {
		p := probe{method: http.MethodGet, path: path}
		check(t, p, s.send(t, p))
	}
	s.untouched(t)
}

func TestWordsOfScannersMeanNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	each(func(method, path string, op openapi.Object) {
		if path == events {
			return
		}
		params, _ := op["parameters"].([]any)
		for kind, all := range words {
			for _, w := range all {
				for _, param := range params {
					if openapi.At(param, "in") == "query" {
						p := probe{method: method, path: filled(op, path, "", "") + "?" + openapi.At(param, "name").(string) + "=" + url.QueryEscape(w)}
						a := s.send(t, p)
						check(t, p, a)
						if method != http.MethodGet && a.code == http.StatusOK && method != http.MethodDelete {
							t.Errorf("%s: %s: done: %s", kind, p, a.body)
						}
					}
				}
				schema := openapi.As(openapi.At(op, "requestBody", "content", "application/json", "schema"))
				for field := range openapi.As(schema["properties"]) {
					// Never enough to be done: what makes the order whole is missing or wrong.
					body, err := json.Marshal(map[string]any{field: w, "nosuch": w})
					if err != nil {
						t.Fatal(err)
					}
					p := probe{method, filled(op, path, "", ""), string(body), []string{"Content-Type", "application/json"}}
					if path == "/webhook" {
						check(t, p, s.send(t, p))
						continue
					}
					check(t, p, s.send(t, p), http.StatusBadRequest)
				}
				for _, name := range []string{"User-Agent", "Referer", "X-Forwarded-For", "Accept-Language", "Authorization", "Cookie", "Last-Event-ID", "X-HTTP-Method-Override"} {
					if method == http.MethodGet && !strings.ContainsAny(w, "\r\n\x00") && !strings.ContainsFunc(w, func(c rune) bool { return c < ' ' || c == 0x7f }) {
						p := probe{method: method, path: filled(op, path, "", ""), header: []string{name, w}}
						check(t, p, s.send(t, p))
					}
				}
			}
		}
	})
	s.untouched(t)
}

func TestWhatPeopleWriteIsShownAndNotRun(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	// Reasons are text that stays: in the journal, in the log, and on pages.
	for kind, all := range words {
		for _, w := range all {
			body, err := json.Marshal(map[string]string{"reason": w})
			if err != nil {
				t.Fatal(err)
			}
			p := probe{"POST", "/api/v1/freeze", string(body), []string{"Content-Type", "application/json"}}
			a := s.send(t, p)
			check(t, p, a, http.StatusOK, http.StatusBadRequest)
			printable := !slices.Contains([]string{"", " "}, w) && !strings.ContainsFunc(w, func(c rune) bool { return c < ' ' || c == 0x7f })
			if kind == "browser" && printable && a.code != http.StatusOK && !strings.Contains(w, "\u2028") {
				t.Errorf("%s: %d %s", p, a.code, a.body)
			}
			if a.code == http.StatusOK {
				s.untouched(t)
			}
		}
	}
	alert := `{"version":"4","groupKey":"<script>alert(1)</script>","status":"firing","receiver":"<script>alert(1)</script>","alerts":[{"status":"firing","startsAt":"2026-01-02T15:04:05Z","labels":{"alertname":"<script>alert(1)</script>","remediation":"drain","device":"edge1","pool":"shop","member":"%s"},"annotations":{"summary":"<script>alert(1)</script>"}}]}`
	for _, w := range words["HAProxy"] {
		name, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		p := probe{"POST", "/webhook", fmt.Sprintf(alert, name[1:len(name)-1]), []string{"Content-Type", "application/json"}}
		check(t, p, s.send(t, p), http.StatusOK)
	}
	s.untouched(t)
}
