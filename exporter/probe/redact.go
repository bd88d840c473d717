package probe

import (
	"bytes"
	"encoding/base64"
	"net/http"
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

// A veil hides what the target's URL and the request's credentials keep secret from what
// is shown of the answer: servers quote the request in their error pages and redirects.
type veil []string

// veilFor finds the user info and the query string of a target, whole and in
// parts, as they are written and as they are meant, and adds the secrets given. It is
// empty for most.
func veilFor(target string, secrets ...string) veil {
	v := append(veil(secrets), secretsOf(target)...)
	if len(v) == 0 {
		return nil
	}
	v = slices.DeleteFunc(v, func(s string) bool { return len(s) < shortestSecret })
	// The longest goes first, so that no part of one is left of another.
	slices.SortFunc(v, func(a, b string) int { return len(b) - len(a) })
	return v
}

func secretsOf(target string) (v []string) {
	if !strings.ContainsAny(target, "@?") {
		return nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil // it is not asked
	}
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
	return v
}

// secretWords in the name of a header say that its value is nobody's to read.
var secretWords = []string{"auth", "cookie", "key", "pass", "secret", "session", "token"}

// secretsIn finds the credentials among a request's headers, in the parts that a server
// could quote: a password, a token, the value of a cookie.
func secretsIn(h http.Header) (out []string) {
	for name, values := range h {
		name = strings.ToLower(name)
		if !slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) }) {
			continue
		}
		for _, value := range values {
			out = append(out, value)
			if name == "cookie" {
				for pair := range strings.SplitSeq(value, ";") {
					_, one, _ := strings.Cut(pair, "=")
					out = append(out, strings.TrimSpace(one))
				}
				continue
			}
			scheme, rest, two := strings.Cut(value, " ")
			if !two {
				continue
			}
			out = append(out, rest)
			if plain, err := base64.StdEncoding.DecodeString(rest); err == nil && strings.EqualFold(scheme, "basic") {
				_, password, _ := strings.Cut(string(plain), ":")
				out = append(out, string(plain), password)
			}
		}
	}
	return out
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
