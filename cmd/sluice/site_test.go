package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/journal"
)

func TestASiteAnswersOnAllCommonPaths(t *testing.T) {
	l, err := load("testdata/good/whole.yml")
	if err != nil {
		t.Fatal(err)
	}
	refuse := errors.New("the new devices can't be built")
	keep := newKeeper(l, log.NewNopLogger(), prometheus.NewRegistry(), func(*loaded) error { return refuse })
	s := site{
		own:   map[string]http.Handler{"GET /{$}": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "home") })},
		keep:  keep,
		ready: func() error { return errors.New("still reading") },
	}
	for _, c := range []struct {
		name, prefix, method, path, origin string
		code                               int
		want                               string
	}{
		{"healthy", "", "GET", "/-/healthy", "", 200, "healthy"},
		{"not ready yet", "", "GET", "/-/ready", "", 503, "not ready: still reading"},
		{"the configuration without secrets", "", "GET", "/config", "", 200, "Authorization: <secret>"},
		{"a reload that fails", "", "POST", "/-/reload", "", 500, "the old one stays in force"},
		{"a reload by Prometheus' other method", "", "PUT", "/-/reload", "", 500, "the old one stays in force"},
		{"a reload that a link would do", "", "GET", "/-/reload", "", 405, ""},
		{"a reload that another site's page sends", "", "POST", "/-/reload", "https://example.com", 403, ""},
		{"its own page", "", "GET", "/", "", 200, "home"},
		{"its own page under a prefix", "/sluice", "GET", "/sluice/", "", 200, "home"},
		{"the way to the prefix", "/sluice", "GET", "/", "", 302, ""},
		{"nothing beside the prefix", "/sluice", "GET", "/-/healthy", "", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "http://127.0.0.1:11011"+c.path, nil)
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
				r.Header.Set("Sec-Fetch-Site", "cross-site")
			}
			w := httptest.NewRecorder()
			s.handler(c.prefix).ServeHTTP(w, r)
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("got %d: %s\nwant %d with %q", w.Code, w.Body, c.code, c.want)
			}
			if strings.Contains(w.Body.String(), "not-a-real") {
				t.Errorf("a secret is shown:\n%s", w.Body)
			}
		})
	}
}

func TestTheRemediatorsPageSaysHowThingsStand(t *testing.T) {
	for _, c := range []struct {
		name   string
		status remediator.Status
		want   []string
	}{
		{"without a section", remediator.Status{}, []string{"takes no step by itself", "Nothing.", "0 are seen"}},
		{
			"frozen, and holding",
			remediator.Status{
				Mode: "auto", Frozen: "<b>by a person", Claims: 1,
				Holds:   []journal.Hold{{Member: edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}, To: edge.Drain, Phase: journal.Holding, Policy: "drain"}},
				Sources: []claims.Source{{Name: "http://192.0.2.1:9093", Blind: "runs for 10s"}},
			},
			[]string{"<strong>auto</strong>", "Frozen: &lt;b&gt;by a person", "edge1/shop/app1", "drain", "holding", "1 is seen", "no: runs for 10s", `href="/sluice/api/v1/holds"`},
		},
		{"at rest", remediator.Status{Mode: "observe"}, []string{"<strong>observe</strong>", "Not frozen."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h := remediatorPage(func() remediator.Status { return c.status }, "/sluice", log.NewNopLogger())
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			for _, want := range c.want {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("%q is missing:\n%s", want, w.Body)
				}
			}
		})
	}
}
