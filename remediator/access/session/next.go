package session

import (
	"net/url"
	"path"
	"strings"
)

// Home is where a log-in leads when nothing else was asked for.
const Home = "/console/"

// maxNext bounds the path that a log-in leads to, in bytes.
const maxNext = 2048

// next returns where to go after the log-in: to the page that was asked for, if it
// is one of ours, or else [Home]. A browser takes a backslash for a slash and leaves
// out tabs and line ends, so that /\example.com and /<tab>/example.com are another
// site. Source: WHATWG URL, 4.4.
func next(external, wanted string) string {
	home := external + Home
	if wanted == "" || len(wanted) > maxNext || strings.ContainsFunc(wanted, odd) {
		return home
	}
	u, err := url.Parse(wanted)
	if err != nil || u.Scheme != "" || u.Opaque != "" || u.User != nil || u.Host != "" || !strings.HasPrefix(wanted, external+"/") {
		return home
	}
	p := u.EscapedPath()
	if path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/" {
		return home // empty and dot segments: //example.com, /console/..//example.com
	}
	switch own := strings.TrimPrefix(p, external); {
	case own == Login, own == Logout, strings.HasPrefix(own, "/console/oidc/"):
		return home
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}

// odd are characters that no address of ours has, and that browsers read in ways
// of their own.
func odd(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }
