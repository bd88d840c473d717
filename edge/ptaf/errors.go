package ptaf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the API says no to, by the status of its answer. Which one it gives when
// is known for 404 only; the others are HTTP's own meaning.
var (
	ErrCredentials = errors.New("credentials are wrong, or the user is not active")
	ErrForbidden   = errors.New("forbidden: reading wants a right to view Upstreams, writing can_edit on Upstreams")
	ErrNotFound    = errors.New("not there: check the URL and the id")
)

// What is wrong otherwise.
var (
	ErrNoUpstream = errors.New("no such upstream")
	ErrAmbiguous  = errors.New("several upstreams have this name: rename all but one")
	ErrNoBackend  = errors.New("no such backend")
	ErrAnswer     = errors.New("not what the API answers")
	ErrTimeout    = errors.New("timeout")
	ErrReadOnly   = errors.New("no node to write to")
)

// maxText is how much of a device's own words an error has, in bytes.
const maxText = 200

// An APIError is an answer that says no.
type APIError struct {
	Method, Path string // the path below the API's URL
	Status       int    // of HTTP
	Text         string // the device's own words: one line, short; empty when there were none
}

func (e *APIError) Error() string {
	s := fmt.Sprintf("%s %s: status %d", e.Method, e.Path, e.Status)
	if cause := e.Unwrap(); cause != nil {
		s += ": " + cause.Error()
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Unwrap returns [ErrCredentials], [ErrForbidden] or [ErrNotFound], by the status.
func (e *APIError) Unwrap() error {
	switch e.Status {
	case http.StatusUnauthorized:
		return ErrCredentials
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	}
	return nil
}

func apiError(method, path string, answer *http.Response, body []byte) *APIError {
	e := &APIError{Method: method, Path: path, Status: answer.StatusCode, Text: errorText(body)}
	if e.Status/100 == 3 {
		e.Text = "redirects are not followed: check the URL"
		if to, err := url.Parse(answer.Header.Get("Location")); err == nil && to.Host+to.Path != "" {
			bare := url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path} // a query may hold a token
			e.Text = line("sends us to " + bare.String() + ": redirects are not followed, check the URL")
		}
	}
	return e
}

// A callError is a call without an answer that could be read.
type callError struct {
	method, path string
	err          error
}

func (e *callError) Error() string {
	// What comes from below may quote the device: a certificate's names, a header.
	return e.method + " " + e.path + ": " + line(e.err.Error())
}

func (e *callError) Unwrap() error { return e.err }

// notJSON tells what came instead: often the page of a log-in form or a proxy.
func notJSON(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return fmt.Errorf("%w: it is empty", ErrAnswer)
	}
	return fmt.Errorf("%w: no JSON: %q", ErrAnswer, errorText(body))
}

// errorText finds what a person would want to read in the body of an error. Its
// shape is not known: no client reads it. So it may be JSON with message, error,
// errors (object or list) or detail, as PTAF PRO has, plain text or a page. What
// comes out is one line without control characters, of maxText bytes at most.
func errorText(body []byte) string {
	if len(body) > 64<<10 {
		body = body[:64<<10] // nobody reads on
	}
	var v any
	if json.Unmarshal(body, &v) == nil {
		return line(words(v, 0))
	}
	text := string(body)
	if m := title.FindStringSubmatch(text); m != nil {
		return line(html.UnescapeString(m[1]))
	}
	if page.MatchString(text) {
		text = text[:min(len(text), 4<<10)] // tag looks far ahead, again for each <style>
		text = html.UnescapeString(tag.ReplaceAllString(text, " "))
	}
	return line(text)
}

var (
	title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title`)
	page  = regexp.MustCompile(`(?is)^\s*(<!doctype|<html|<head|<body|<\?xml)`)
	tag   = regexp.MustCompile(`(?s)<(style|script)\b.*?</(style|script)>|<[^>]*(>|$)`)
)

// words makes a text of what an error's JSON has.
func words(v any, depth int) string {
	if depth > 4 {
		return "..."
	}
	var parts []string
	switch v := v.(type) {
	case nil:
	case string:
		return v
	case []any:
		for _, e := range v {
			parts = append(parts, words(e, depth+1))
		}
	case map[string]any:
		for _, k := range []string{"message", "error", "detail", "errors"} {
			if e, ok := v[k]; ok {
				parts = append(parts, words(e, depth+1))
			}
		}
		if len(parts) > 0 {
			break
		}
		for _, k := range slices.Sorted(maps.Keys(v)) { // of errors: the fields
			if s := words(v[k], depth+1); s != "" {
				parts = append(parts, k+": "+s)
			}
		}
	default:
		return fmt.Sprint(v)
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return strings.TrimSpace(s) == "" })
	return strings.Join(slices.Compact(parts), "; ")
}

// secret is a header's value that a page may repeat to who sent it.
var secret = regexp.MustCompile(`(?i)\b(basic|bearer)\s+[a-z0-9+/._~-]{16,}=*`)

// line makes foreign words fit into an error: one line, printable, short.
func line(text string) string {
	text = secret.ReplaceAllString(strings.ToValidUTF8(text, "?"), "$1 ...")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(text) <= maxText {
		return text
	}
	cut := maxText - len(" ...")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + " ..."
}

// quote names what the caller or the device named, whatever is in it.
func quote(name string) string {
	return fmt.Sprintf("%q", line(name))
}
