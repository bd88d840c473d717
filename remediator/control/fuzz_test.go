package control

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-project/sluice/remediator/journal"
)

// Whatever is sent, the answer is an envelope with one line; and what is ordered is
// on the member that the path names, by its decoded segments, and on no other.
func FuzzARequestIsAnsweredAndMeansOneMember(f *testing.F) {
	for _, seed := range [][4]string{
		{"GET", "members", "device=edge1&limit=5", ""},
		{"GET", "steps", "since=1h&cursor=AQ&order=newest", ""},
		{"POST", "members/edge1/shop/s1/drain", "", `{"reason":"x","override":["load"]}`},
		{"POST", "members/edge1/shop/s1%0Aset%20server/weight", "", `{"percent":25}`},
		{"POST", "members/e%2Fd/shop/s1/maint", "", ``},
		{"POST", "freeze", "", `{"reason":"x","for":"2h","device":"edge1"}`},
		{"DELETE", "freeze", "device=edge1&pool=shop", ""},
		{"POST", "maintenance", "", `{"name":"n","members":{"device":"edge1"},"cron":"0 2 * * *","duration":"1h"}`},
		{"POST", "members/edge1/shop/s1/claim", "", `{"reason":"x","for":"1h"}`},
		{"POST", "approvals/edge1/shop/s1", "", `{"approve":true}`},
		{"POST", "explain", "", `{"labels":{"a":"b"}}`},
		{"POST", "pools/edge1/shop/restore", "", `{"object":"{}","reason":"x"}`},
		{"PUT", "../../%2e%2e/etc", "%zz", "\xff\x00"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	j, err := journal.Open(filepath.Join(f.TempDir(), "sluice.db"), time.Second)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := j.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		u, err := url.ParseRequestURI("/api/v1/" + path)
		if err != nil || path == "events" {
			return // no server hands on such a path, or the answer has no end
		}
		u.RawQuery = query
		e := &engine{journal: j}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://sluice.example/", strings.NewReader(body))
		r.Method, r.URL = method, u
		w := httptest.NewRecorder()
		Handler(Options{Journal: j, Engine: e}).ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 {
			return // the mux leads to the clean path
		}
		var got answer
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.StatusCode != w.Code || got.Success != (w.Code == http.StatusOK) {
			t.Fatalf("%s %q ?%q %q: %d %s: %v", method, path, query, body, w.Code, w.Body, err)
		}
		if strings.ContainsFunc(got.Error, func(c rune) bool { return !unicode.IsPrint(c) }) || !utf8.ValidString(got.Error) || len(got.Error) > 4*mostLine+3 {
			t.Errorf("%s %q: %q is no short line", method, path, got.Error)
		}
		parts := strings.Split(u.EscapedPath(), "/")
		for _, o := range e.orders {
			if len(parts) != 8 {
				t.Fatalf("%s %q orders %+v", method, path, o)
			}
			for i, name := range []string{o.Member.Device, o.Member.Pool, o.Member.Name} {
				want, err := url.PathUnescape(parts[4+i])
				if err != nil || name != want || name == "" {
					t.Errorf("%s %q orders %+v", method, path, o)
				}
			}
		}
		if w.Code >= http.StatusInternalServerError && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s %q ?%q %q: %d %s", method, path, query, body, w.Code, w.Body)
		}
	})
}
