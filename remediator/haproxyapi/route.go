package haproxyapi

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

type kind uint8

const (
	instancesRoute kind = iota
	backendsRoute
	serversRoute
	actionRoute
)

// A route is what a path asks for. Names in it hold what HAProxy takes in names.
type route struct {
	kind            kind
	instance        *string // nil: the path names none
	backend, server string
}

func (r route) method() string {
	if r.kind == actionRoute {
		return http.MethodPost
	}
	return http.MethodGet
}

// name is what HAProxy itself takes in the names of proxies and servers.
// Source: HAProxy configuration manual, 2.6, section 4 ("upper and lower case
// letters, digits, '-', '_', '.' and ':'").
var name = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,255}$`)

// parseRoute reads an escaped path. Each segment is decoded by itself, and judged
// after that: an escaped slash is part of a name, and then no name.
//
// The number of segments alone says whether an instance is named: without one it
// is odd. So an instance may be called "backends", and a backend "instances".
func parseRoute(escaped string) (route, error) {
	path, old := strings.CutPrefix(escaped, OldRoot)
	if !old {
		path = strings.TrimPrefix(escaped, Root)
	}
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return route{}, problem(http.StatusNotFound, noPath)
	}
	parts := strings.Split(path, "/")
	if len(parts) > 6 {
		return route{}, problem(http.StatusNotFound, noPath)
	}
	for i, p := range parts {
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return route{}, problem(http.StatusBadRequest, badEscape, cut(p))
		}
		parts[i] = decoded
	}
	var r route
	kinds := []string{"backend", "server"}
	if len(parts)%2 == 0 {
		r.instance, parts = &parts[0], parts[1:]
		if err := checkName("instance", *r.instance); err != nil {
			return route{}, err
		}
	}
	switch {
	case len(parts) == 1 && parts[0] == "instances" && r.instance == nil && !old:
		r.kind = instancesRoute
		return r, nil
	case len(parts) == 1 && parts[0] == "backends" && !old:
		r.kind = backendsRoute
		return r, nil
	case len(parts) == 3 && parts[0] == "backends" && parts[2] == "servers" && !old:
		r.kind, r.backend, kinds = serversRoute, parts[1], kinds[:1]
	case len(parts) == 5 && parts[0] == "backends" && parts[2] == "servers" && parts[4] == "action":
		r.kind, r.backend, r.server = actionRoute, parts[1], parts[3]
	default:
		return route{}, problem(http.StatusNotFound, noPath)
	}
	for i, kind := range kinds {
		if err := checkName(kind, parts[2*i+1]); err != nil {
			return route{}, err
		}
	}
	return r, nil
}

// checkName refuses what no HAProxy can have as a name, and the two names that
// proxies and browsers on the way take for a path's own.
func checkName(kind, s string) error {
	if name.MatchString(s) && s != "." && s != ".." {
		return nil
	}
	return problem(http.StatusBadRequest, badName, word(kind), cut(s))
}

// cut makes what a caller sent fit into an error: quoted, printable, short.
func cut(s string) string {
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return strconv.QuoteToASCII(s)
}
