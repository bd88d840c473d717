package main

import (
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

// newRegistry returns one that tells of the program itself: its version, the Go
// runtime and the process.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		versioncollector.NewCollector("sluice"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}

// A site is what one of our servers offers: its own pages, by the patterns of
// [http.ServeMux], and those that all servers have. Who may use them is asked of
// the request's [access.Identity]; without a gate in front everybody may.
type site struct {
	own    map[string]http.Handler
	keep   *keeper
	origin string       // scheme and host under which browsers know us, behind a proxy; may be empty
	ready  func() error // nil when it can do its work
}

// handler serves the site under the route prefix.
func (s site) handler(route string) http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range s.own {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, "Sluice is healthy.")
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.ready(); err != nil {
			text(w, http.StatusServiceUnavailable, "Sluice is not ready: "+err.Error())
			return
		}
		text(w, http.StatusOK, "Sluice is ready.")
	})
	reload := access.Require(access.Reload, http.HandlerFunc(s.reload))
	mux.Handle("POST /-/reload", reload)
	mux.Handle("PUT /-/reload", reload) // as Prometheus takes it
	mux.Handle("GET /config", access.Require(access.View, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, s.keep.current.Load().masked)
	})))
	if route == "" {
		return guarded(mux, s.origin)
	}
	outer := http.NewServeMux()
	outer.Handle(route+"/", http.StripPrefix(route, mux))
	outer.Handle("GET /{$}", http.RedirectHandler(route+"/", http.StatusFound))
	return guarded(outer, s.origin)
}

func (s site) reload(w http.ResponseWriter, _ *http.Request) {
	if err := s.keep.reload(); err != nil {
		text(w, http.StatusInternalServerError, "The configuration was not reloaded, the old one stays in force:\n"+strings.Join(asMistakes(err), "\n"))
		return
	}
	text(w, http.StatusOK, "The configuration was reloaded.")
}

// guarded refuses what a page of somebody else's site makes a browser send: a
// browser that is logged in here would add the password by itself.
func guarded(h http.Handler, origin string) http.Handler {
	cross := http.NewCrossOriginProtection()
	if origin != "" && cross.AddTrustedOrigin(origin) == nil { // else it is none that a browser names
		h = renamed(h, origin)
	}
	cross.SetDenyHandler(http.HandlerFunc(haproxyapi.OtherSite))
	h = cross.Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// The mux would redirect to the clean path, and Alertmanager would follow
		// with a GET without a body and call it delivered. An encoded dot or slash is
		// part of a name, to the mux, too.
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !clean(r.URL.EscapedPath()) {
			haproxyapi.UncleanPath(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// renamed is for handlers that compare a page's origin with the header Host, which a
// proxy may have rewritten: a page of ours, by its outer name, is of no other site.
func renamed(h http.Handler, origin string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") == origin {
			r = r.Clone(r.Context())
			r.Header.Del("Origin")
		}
		h.ServeHTTP(w, r)
	})
}

func clean(p string) bool { return path.Clean(p) == strings.TrimSuffix(p, "/") || p == "/" }

func text(w http.ResponseWriter, code int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, strings.TrimSuffix(s, "\n")) // a reader who went away needs no answer
}
