package ptaf

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestTheTextOfAnError(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"nothing", "", ""},
		{"blanks", " \r\n", ""},
		{"message", `{"message":"no such upstream"}`, "no such upstream"},
		{"error", `{"error":"no such upstream","code":7}`, "no such upstream"},
		{"an error that is an object", `{"error":{"code":7,"message":"no such upstream"}}`, "no such upstream"},
		{"errors by field", `{"errors":{"port":["too big","not a port"],"address":["missing"]}}`, "address: missing; port: too big; not a port"},
		{"errors in a list", `{"errors":["one","two"]}`, "one; two"},
		{"errors that are objects", `{"errors":[{"detail":"one"},{"field":"port","code":2}]}`, "one; code: 2; field: port"},
		{"detail", `{"detail":"no"}`, "no"},
		{"several", `{"detail":"why","message":"what"}`, "what; why"},
		{"the same said twice", `{"error":"no","message":"no"}`, "no"},
		{"an empty message", `{"message":"","detail":null}`, ""},
		{"other fields", `{"status":"bad","code":400}`, "code: 400; status: bad"},
		{"a string", `"no"`, "no"},
		{"null", `null`, ""},
		{"a nest", `{"errors":[[[[[[["deep"]]]]]]]}`, "..."},
		{"text", "no such upstream\nask the administrator\n", "no such upstream ask the administrator"},
		{"a page with a title", "<!DOCTYPE html>\n<html><head><TITLE>\n502 Bad\tGateway &amp; more </TITLE></head><body>secret</body>", "502 Bad Gateway & more"},
		{"a page without one", "<html><head><style>a{}</style></head><body><h1>Sorry</h1><p>later</body></html>", "Sorry later"},
		{"a page of nothing but styles", "<html>" + strings.Repeat("<style>", 1<<20), ""},
		{"control characters", "a\x00b\x1b[31mc\u0085d\u2028e\u202ef", "a b [31mc d e f"},
		{"no UTF-8", "a\xff\xfeb", "a?b"},
		{"what we sent, repeated", "bad header: Authorization: Basic bm90LWEtcmVhbC1wYXNzd29yZA== in request", "bad header: Authorization: Basic ... in request"},
		{"too long", strings.Repeat("я", 200), strings.Repeat("я", 98) + " ..."},
	} {
		t.Run(c.name, func(t *testing.T) { wantEqual(t, errorText([]byte(c.body)), c.want) })
	}
}

func FuzzErrorText(f *testing.F) {
	for _, s := range []string{"", `{"message":"a"}`, `{"errors":[{"a":["b"]}]}`, "<html><title>x", "a\nb\x00", "\xff", strings.Repeat("é", 150), "Basic bm90LWEtcmVhbC1wYXNzd29yZA=="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := errorText(body)
		if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", s)
		}
	})
}

func TestAnErrorSaysWhatWasAskedAndHelps(t *testing.T) {
	for _, c := range []struct {
		err  *APIError
		is   error
		want string
	}{
		{&APIError{"GET", "/upstreams", 401, ""}, ErrCredentials, "GET /upstreams: status 401: credentials are wrong, or the user is not active"},
		{&APIError{"PATCH", "/upstreams/1", 403, "no"}, ErrForbidden, "PATCH /upstreams/1: status 403: forbidden: reading wants a right to view Upstreams, writing can_edit on Upstreams: no"},
		{&APIError{"GET", "/upstreams/1", 404, ""}, ErrNotFound, "GET /upstreams/1: status 404: not there: check the URL and the id"},
		{&APIError{"PATCH", "/upstreams/1", 422, "backends: not valid"}, nil, "PATCH /upstreams/1: status 422: backends: not valid"},
	} {
		wantEqual(t, c.err.Error(), c.want)
		if c.is != nil {
			wantErr(t, c.err, c.is)
		}
		for _, other := range []error{ErrCredentials, ErrForbidden, ErrNotFound} {
			if errors.Is(c.err, other) != errors.Is(c.is, other) {
				t.Errorf("%v: is it %v?", c.err, other)
			}
		}
	}
}

func TestARedirectSaysWhereTo(t *testing.T) {
	for location, want := range map[string]string{
		"":                         "redirects are not followed: check the URL",
		"/login?next=%2F&sid=7":    "sends us to /login: redirects are not followed, check the URL",
		"https://u:p@example.com/": "sends us to https://example.com/: redirects are not followed, check the URL",
	} {
		h := http.Header{}
		h.Set("Location", location)
		err := apiError("GET", "/upstreams", &http.Response{StatusCode: http.StatusFound, Header: h}, nil)
		wantEqual(t, err.Text, want)
	}
}
