package ptafpro_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

// Whatever the device answers to each question of a log-in and of a reading: what is
// taken makes sense, and what isn't is told in one line, without the tokens.
func FuzzRead(f *testing.F) {
	const pair = `{"access_token": "not-a-real-access-token", "refresh_token": "not-a-real-refresh-token"}`
	f.Add([]byte(pair), []byte(`{"items": [{"id": "`+ptafprotest.DefaultTenant+`", "is_default": true}]}`),
		[]byte(`{"items": [{"id": "1", "address": "192.0.2.21", "port": 443, "enabled": true, "traffic_profiles": ["a", "b"]}]}`),
		[]byte(`{"items": [{"id": "a", "name": "public", "balancer": {}, "backends": [{"id": "1"}, "1", {"id": "2"}]}, {"id": "b", "name": "public"}]}`),
		[]byte(`{"items": [{"id": "x", "name": "shop", "protection_mode": "PASSIVE", "traffic_profiles": ["a"]}]}`), []byte(`{"id": "b", "name": "public"}`))
	f.Add([]byte(`{"access_token": "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.x", "refresh_token": ""}`), []byte(`[]`), []byte(`[]`), []byte(`[{"id": "../a", "name": "n"}]`), []byte(`null`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, tokens, tenants, backends, profiles, applications, one []byte) {
		var mu sync.Mutex
		calls := 0
		h := tap(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			w := httptest.NewRecorder()
			path := strings.TrimPrefix(r.URL.Path, ptafprotest.Base)
			body := map[string][]byte{
				"/auth/refresh_tokens": tokens, "/auth/access_tokens": tokens, "/auth/account/tenants": tenants,
				"/config/backends": backends, "/config/traffic_profiles": profiles, "/config/applications": applications,
			}[path]
			if body == nil {
				body = one
				if kind, id, _ := strings.Cut(strings.TrimPrefix(path, "/config/"), "/"); strings.HasPrefix(path, "/config/") && (id == "" || strings.ContainsAny(id, "/.?#%")) {
					t.Errorf("asked for %q of %q", id, kind)
				}
			}
			if calls++; calls > 10_000 {
				t.Error("it asks for ever")
				return nil, http.ErrHandlerTimeout
			}
			_, err := w.Write(body)
			return w.Result(), err
		})
		c := dial(t, ptafprotest.New(world()), func(o *ptafpro.Options) {
			looksOnly(o)
			o.HTTP, o.Retries = &http.Client{Transport: h}, -1
		})
		r, err := c.Read(t.Context())
		if err != nil {
			text := err.Error()
			if strings.ContainsAny(text, "\n\r\x00") || strings.Contains(text, "not-a-real-access") || strings.Contains(text, "not-a-real-refresh") || strings.Contains(text, password) {
				t.Errorf("%q", text)
			}
			return
		}
		s := r.Snapshot("waf")
		for m, st := range s.States {
			id, ok := r.Backend(m)
			switch {
			case m.Pool == "" || m.Name == "" || st.Member != m || !ok || id == "" || s.Versions[m.Pool] == "":
				t.Errorf("%+v behind %q", st, id)
			case st.Serving && (st.Admin != edge.Ready || st.Weight == 0), (st.Admin == edge.Ready) != (st.Marks == ""):
				t.Errorf("%+v", st)
			}
		}
		for m, others := range s.Along {
			for i, other := range others {
				if other == m || other.Name != m.Name || i > 0 && other.Compare(others[i-1]) <= 0 {
					t.Errorf("%v moves along %v", m, others)
				}
			}
		}
		for m := range s.Switches {
			if id, ok := r.Application(m); !ok || id == "" {
				t.Errorf("no application behind %v", m)
			}
		}
	})
}
