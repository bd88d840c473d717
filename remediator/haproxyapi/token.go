package haproxyapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
)

// open are the paths that need no token: they say whether the program lives, and
// nothing of a device.
var open = []string{"/-/healthy", "/-/ready", Ping}

// Authenticate lets nobody in without the token, in "Authorization: Bearer TOKEN",
// but to /-/healthy, /-/ready and [Ping]. All paths may stand behind a prefix.
func Authenticate(prefix, token string, next http.Handler) http.Handler {
	// Sums are of equal length, so that the comparison tells nothing of the token's.
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix); ok && slices.Contains(open, path) {
			next.ServeHTTP(w, r)
			return
		}
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(strings.TrimSpace(given)))
		same := subtle.ConstantTimeCompare(got[:], want[:]) == 1
		if token == "" || !same || !strings.EqualFold(scheme, "Bearer") { // an empty token lets nobody in
			w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
			reply(w, r, nil, problem(http.StatusUnauthorized, unauthorized))
			return
		}
		next.ServeHTTP(w, r)
	})
}
