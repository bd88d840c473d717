package probe

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
)

// unreadable stands for a target of which no part is known to be harmless.
const unreadable = "(unreadable)"

// Redact returns a target without user info, query string and fragment: what
// may stand in labels, logs, errors and pages.
func Redact(target string) string {
	if isPinged(target) || isSocket(target) { // no room for a secret
		return target
	}
	const scheme = "http://"
	full, bare := target, !strings.Contains(target, "://")
	if bare { // host:port, or a URL as blackbox_exporter takes it
		full = scheme + target
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" { // without a host the parser saw other parts than the writer meant
		return unreadable
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	if bare {
		return strings.TrimPrefix(u.String(), scheme)
	}
	return u.String()
}

// shortestSecret keeps short values, such as the 1 of "?v=1", from making holes
// in every text.
const shortestSecret = 4

// A veil hides what a target's URL keeps secret from what is shown of its
// answer: servers quote the request in their error pages and redirects.
type veil []string

// veilFor finds the user info and the query string of a target, whole and in
// parts, as they are written and as they are meant. It is empty for most.
func veilFor(target string) veil {
	if !strings.ContainsAny(target, "@?") {
		return nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil // it is not asked
	}
	var v veil
	if u.User != nil {
		password, _ := u.User.Password()
		v = append(v, u.User.String(), u.User.Username(), password)
	}
	v = append(v, u.RawQuery)
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, _ := strings.Cut(pair, "=")
		v = append(v, value)
		if plain, err := url.QueryUnescape(value); err == nil {
			v = append(v, plain)
		}
	}
	v = slices.DeleteFunc(v, func(s string) bool { return len(s) < shortestSecret })
	// The longest goes first, so that no part of one is left of another.
	slices.SortFunc(v, func(a, b string) int { return len(b) - len(a) })
	return v
}

const hidden = "<secret>"

func (v veil) text(s string) string {
	for _, secret := range v {
		s = strings.ReplaceAll(s, secret, hidden)
	}
	return s
}

func (v veil) bytes(b []byte) []byte {
	for _, secret := range v {
		b = bytes.ReplaceAll(b, []byte(secret), []byte(hidden))
	}
	return b
}

// oneLine makes a text that others wrote fit for one line of ours.
func oneLine(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
