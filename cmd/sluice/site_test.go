package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAPostIsNeverRedirected(t *testing.T) {
	got := 0
	s := site{
		own:   map[string]http.Handler{"/webhook": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got++ })},
		ready: func() error { return nil },
	}
	for _, route := range []string{"", "/sluice"} {
		h := s.handler(route)
		for _, path := range []string{"//webhook", "/./webhook", "/x/../webhook", "/webhook//", "/webhook"} {
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
}
