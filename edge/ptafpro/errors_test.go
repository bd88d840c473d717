package ptafpro

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestErrorsOfEveryShapeBecomeOneLine(t *testing.T) {
	for body, want := range map[string]string{
		``:                       "",
		`{"message": "no"}`:      "no",
		`{"error": "Forbidden"}`: "Forbidden",
		`{"error": {"code": "invalid_token", "message": "Token is spent"}}`:    "invalid_token, Token is spent",
		`{"errors": {"name": ["must_be_unique"], "port": "odd"}}`:              "name: must_be_unique, port: odd",
		`{"errors": ["one", {"detail": "two"}]}`:                               "one, two",
		`{"detail": "gone"}`:                                                   "gone",
		`{"message": "Validation error", "errors": {"enabled": "unknown"}}`:    "Validation error, enabled: unknown",
		`{"status": 422, "reason": "odd"}`:                                     "reason: odd, status: 422",
		`["a", "b"]`:                                                           "a, b",
		`"text"`:                                                               "text",
		"plain\r\n\x1b[31mtext\x00\u202e":                                      "plain [31mtext",
		"<html><head><style>p{}</style><title>502 Bad</title></head><p>&amp;x": "502 Bad &x",
		"\xff\xfe": "?",
		`{"message": "token eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln was bad"}`: "token *** was bad",
		`{"message": "the pass` + "\u0000" + `word hunter2"}`:                 `{"message": "the password ***"}`,
	} {
		if got := errorText([]byte(body), "hunter2", ""); got != want {
			t.Errorf("%q is %q, want %q", body, got, want)
		}
	}
}

func TestAnAnswerStandsForASentinel(t *testing.T) {
	for _, c := range []struct {
		status int
		text   string
		want   error
	}{
		{401, "", ErrCredentials},
		{422, "incorrect_credentials", ErrCredentials},
		{422, "invalid_token", ErrInvalidToken},
		{422, "name: must_be_unique", nil},
		{403, "Forbidden", ErrForbidden},
		{404, "reference_not_exist", ErrNotFound},
		{400, "invalid_token", nil},
		{500, "", nil},
	} {
		err := error(&APIError{"GET", "/x", c.status, c.text})
		for _, s := range []error{ErrCredentials, ErrInvalidToken, ErrForbidden, ErrNotFound} {
			if errors.Is(err, s) != (s == c.want) { //nolint:errorlint // which of them is asked here
				t.Errorf("%v is %v: %v", err, s, !errors.Is(c.want, s))
			}
		}
	}
}

func FuzzErrorText(f *testing.F) {
	for _, s := range []string{
		`{"message": "no"}`, `{"errors": {"name": ["must_be_unique"]}}`, "<html>\n<p>x", "a\x00b\r\n", `[[[[[["deep"]]]]]]`,
		"not-a-real-password", "not-a-real\x00-password", `{"detail": "not-a-real-\u0070assword"}`, strings.Repeat("é", 999),
	} {
		f.Add([]byte(s))
	}
	const secret = "not-a-real-password"
	f.Fuzz(func(t *testing.T, body []byte) {
		got := errorText(body, secret)
		if strings.Contains(got, secret) {
			t.Errorf("the secret is in %q", got)
		}
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxText+4 || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not one short line: %q", got)
		}
		if err := notJSON(body); !errors.Is(err, ErrAnswer) || strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Errorf("%q", err)
		}
	})
}

func TestExpiryIsReadFromTheTokenAlone(t *testing.T) {
	for _, token := range []string{"", "opaque", "a.b.c", "a.!!.c", "a.e30.c", "a.bnVsbA.c", "a.eyJleHAiOi0xfQ.c", "a.eyJleHAiOjFlMzAwfQ.c", "a.eyJleHAiOiJ4In0.c"} {
		if e := expiry(token); !e.IsZero() {
			t.Errorf("%q ends at %s", token, e)
		}
	}
	if e := expiry("a.eyJleHAiOjE3MDAwMDAwMDAuNX0.c"); e.UnixMilli() != 1700000000500 {
		t.Errorf("ends at %s", e)
	}
}
