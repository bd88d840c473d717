package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestAPostIsNeverRedirected(t *testing.T) {
	got := 0
	var names []string
	s := site{
		own: map[string]http.Handler{
			"/webhook":     http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got++ }),
			"/api/{name}/": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { names = append(names, r.PathValue("name")) }),
		},
		ready: func() error { return nil },
	}
	for _, route := range []string{"", "/sluice"} {
		h := s.handler(route)
		for _, path := range []string{"//webhook", "/./webhook", "/x/../webhook", "/webhook//", "/webhook", "/api/..%2Fx%2F/", "/api/%2e%2e/"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, route+path, strings.NewReader("{}")))
			if w.Code >= 300 && w.Code < 400 {
				t.Errorf("POST %s%s is redirected: %d", route, path, w.Code)
			}
		}
	}
	if got != 2 {
		t.Errorf("%d of the two right ones arrived", got)
	}
	if want := []string{"../x/", "..", "../x/", ".."}; !slices.Equal(names, want) {
		t.Errorf("names %q arrived, want %q", names, want)
	}
}
