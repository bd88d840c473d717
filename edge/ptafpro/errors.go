package ptafpro

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the device refuses.
var (
	ErrCredentials  = errors.New("wrong credentials: check username and password, or the token")
	ErrInvalidToken = errors.New("the token isn't accepted")
	ErrForbidden    = errors.New("the user lacks the right for this")
	ErrNotFound     = errors.New("not there: check the URL, the id and the tenant")
)

// What goes wrong on the way, and before anything is sent.
var (
	ErrAnswer    = errors.New("not what the API answers") // HTML, empty, of another shape
	ErrTimeout   = errors.New("timeout")
	ErrNoTenant  = errors.New("no such tenant")
	ErrAmbiguous = errors.New("the name occurs more than once: use the id")
	ErrReadOnly  = errors.New("can't act on this device")
)

// An APIError is an answer of the device that is no success.
type APIError struct {
	Method, Path string // the path below the base; no secrets
	Status       int
	Text         string // the device's own words in one line; empty when it has none
}

func (e *APIError) Error() string {
	s := fmt.Sprintf("%s %s: HTTP status %d", e.Method, e.Path, e.Status)
	if e.Text != "" {
		s += ": " + e.Text
	}
	if why := e.Unwrap(); why != nil {
		s += ": " + why.Error()
	}
	return s
}

// Unwrap returns the sentinel that the answer stands for; nil when it is none of them.
func (e *APIError) Unwrap() error {
	switch {
	case strings.Contains(e.Text, "incorrect_credentials"): // with 422. Source: facts A2.4
		return ErrCredentials
	case e.Status == http.StatusUnprocessableEntity && strings.Contains(e.Text, "invalid_token"):
		return ErrInvalidToken
	case e.Status == http.StatusUnauthorized:
		return ErrCredentials
	case e.Status == http.StatusForbidden:
		return ErrForbidden
	case e.Status == http.StatusNotFound:
		return ErrNotFound
	}
	return nil
}

// A callError says that there was no whole answer.
type callError struct {
	method, path string
	err          error
}

func (e *callError) Error() string { return e.method + " " + e.path + ": " + oneLine(e.err.Error()) }
func (e *callError) Unwrap() error { return e.err }

// tokenRefused says that the call was refused for its token. Source: 401 with
// InvalidToken, 422 with invalid_token; facts A2.4.
func tokenRefused(err error) bool {
	e := (*APIError)(nil)
	return errors.As(err, &e) && (e.Status == http.StatusUnauthorized || errors.Is(e, ErrInvalidToken))
}

// passing says that the same question may be answered a moment later.
func passing(err error) bool {
	if e := (*APIError)(nil); errors.As(err, &e) {
		return e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError
	}
	e := (*callError)(nil)
	return errors.As(err, &e)
}

// maxText is how many letters of a device's own words an error repeats.
const maxText = 200

var (
	jwt  = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*){0,2}`)
	tags = regexp.MustCompile(`(?s)<(?:script|style)\b.*?</(?:script|style)\s*>|<!--.*?-->|<[^>]*>`)
)

// errorText finds the words in the body of an error, whatever its shape: JSON
// with message, error, errors (object or list) or detail, text, or a page.
// Secrets that the device repeats are left out. Source of the shapes: facts A2.4.
func errorText(body []byte, secrets ...string) string {
	var text string
	var v any
	if json.Unmarshal(body, &v) == nil {
		text = strings.Join(words(v, 0), ", ")
	} else {
		text = string(body)
		if len(text) > 64<<10 {
			text = text[:64<<10]
		}
		if strings.HasPrefix(strings.TrimSpace(text), "<") {
			text = html.UnescapeString(tags.ReplaceAllString(text, " "))
		}
	}
	return cut(hide(plain(text), secrets))
}

// words are the texts of a decoded error. Of objects with known keys only those
// count; of others all, with their names, which are fields of what was sent.
func words(v any, depth int) (out []string) {
	if depth > 4 {
		return nil
	}
	switch v := v.(type) {
	case string:
		if v != "" {
			out = append(out, v)
		}
	case float64, bool:
		out = append(out, fmt.Sprint(v))
	case []any:
		for _, e := range v[:min(len(v), 10)] {
			out = append(out, words(e, depth+1)...)
		}
	case map[string]any:
		known := false
		for _, key := range []string{"error", "code", "message", "detail", "errors"} {
			if e, ok := v[key]; ok {
				if w := words(e, depth+1); len(w) > 0 {
					out, known = append(out, w...), true
				}
			}
		}
		if known {
			return slices.Compact(out)
		}
		keys := slices.Sorted(maps.Keys(v))
		for _, key := range keys[:min(len(keys), 10)] {
			if w := words(v[key], depth+1); len(w) > 0 {
				out = append(out, key+": "+strings.Join(w, ", "))
			}
		}
	}
	return out
}

// hide takes secrets out of a device's words.
func hide(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return jwt.ReplaceAllString(text, "***")
}

// oneLine makes foreign words fit into an error: one line, printable, short.
func oneLine(text string) string { return cut(plain(text)) }

func plain(text string) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

func cut(text string) string {
	if utf8.RuneCountInString(text) > maxText {
		text = string([]rune(text)[:maxText]) + " ..."
	}
	return text
}
