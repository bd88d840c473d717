package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
)

// tokenSize is how many random bytes nobody guesses.
const tokenSize = 32

// The kinds of cookie that we set.
const (
	sessionCookie = "sluice-session"
	loginCookie   = "sluice-login"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func hashed(text string) key { return sha256.Sum256([]byte(text)) }

// secure says whether the browser speaks TLS, to us or to the proxy before us.
func (s *Sessions) secure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(s.o.Origin, "https://")
}

// cookie is the name and path of a cookie. With the prefix a browser takes it from
// this very host only, over TLS, and for all its paths; so several of ours behind
// one host need names of their own.
// Source: RFC 6265bis, 4.1.3.2.
func (s *Sessions) cookie(r *http.Request, kind string) (name, path string) {
	if s.o.External != "" {
		sum := sha256.Sum256([]byte(s.o.External))
		kind += "-" + hex.EncodeToString(sum[:4])
	}
	if s.secure(r) {
		return "__Host-" + kind, "/"
	}
	return kind, s.o.External + "/"
}

// set gives the browser a cookie, which no script reads. Seconds: how long it keeps
// it; 0: until it is closed. It is sent along with a link on another site's page, in a
// chat, say, and from a provider's page back to ours, but with nothing else from there.
func (s *Sessions) set(w http.ResponseWriter, r *http.Request, kind, value string, seconds int) {
	name, path := s.cookie(r, kind)
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: seconds,
		Secure: s.secure(r), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// drop takes a cookie back.
func (s *Sessions) drop(w http.ResponseWriter, r *http.Request, kind string) {
	s.set(w, r, kind, "", -1)
}

// value is what the browser sent of a cookie. Two of one name are none: somebody
// else, on another port or in another path of the host, set one of them.
func (s *Sessions) value(r *http.Request, kind string) string {
	name, _ := s.cookie(r, kind)
	all := r.CookiesNamed(name)
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

// carried is the key of the session that a request names, whether there is one or
// not.
func (s *Sessions) carried(r *http.Request) key { return hashed(s.value(r, sessionCookie)) }

// SetCookie keeps a text in the browser while somebody is on the way to another log-in
// page and back.
func (s *Sessions) SetCookie(w http.ResponseWriter, r *http.Request, kind, value string, seconds int) {
	s.set(w, r, kind, value, seconds)
}

// Cookie is what [Sessions.SetCookie] kept; empty: nothing.
func (s *Sessions) Cookie(r *http.Request, kind string) string { return s.value(r, kind) }

// DropCookie takes it back.
func (s *Sessions) DropCookie(w http.ResponseWriter, r *http.Request, kind string) {
	s.drop(w, r, kind)
}
