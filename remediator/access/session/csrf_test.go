package session

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What a session carries changes something only when a page of ours sent it.
func TestARequestOfASessionHasToBeOurs(t *testing.T) {
	s := New(Options{Config: config(t, Config{})})
	cookies := start(s, Who{Name: "ann"})
	others := start(s, Who{Name: "mallory"})
	token := func(cookies []*http.Cookie) string {
		r, _, leave, err := s.Enter(request(http.MethodGet, cookies))
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		return CSRF(r)
	}
	if first := token(cookies); first == token(cookies) {
		t.Error("two pages have the same token")
	}
	form := func(token string) url.Values { return url.Values{"reason": {"a new kernel"}, Field: {token}} }

	for name, c := range map[string]struct {
		method string
		form   url.Values
		header []string
		want   error
	}{
		"a look needs none":                    {http.MethodGet, nil, nil, nil},
		"nor does it from another site":        {http.MethodGet, nil, []string{"Sec-Fetch-Site", "cross-site"}, nil},
		"a form with the token":                {http.MethodPost, form(token(cookies)), nil, nil},
		"one from the same origin":             {http.MethodPost, form(token(cookies)), []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://example.com"}, nil},
		"a script with the header":             {http.MethodPost, nil, []string{Header, token(cookies)}, nil},
		"so do the other methods":              {http.MethodDelete, nil, []string{Header, token(cookies)}, nil},
		"a form without":                       {http.MethodPost, url.Values{"reason": {"x"}}, nil, ErrToken},
		"an empty one":                         {http.MethodPost, form(""), nil, ErrToken},
		"another user's token":                 {http.MethodPost, form(token(others)), nil, ErrToken},
		"half a token":                         {http.MethodPost, form(token(cookies)[:40]), nil, ErrToken},
		"no token at all":                      {http.MethodPost, form(strings.Repeat("A", 86)), nil, ErrToken},
		"a wrong header hides the form":        {http.MethodPost, form(token(cookies)), []string{Header, "x"}, ErrToken},
		"the token in the address":             {http.MethodPut, nil, nil, ErrToken},
		"another site with the token":          {http.MethodPost, form(token(cookies)), []string{"Sec-Fetch-Site", "cross-site"}, ErrCrossOrigin},
		"another host of the same domain":      {http.MethodPost, form(token(cookies)), []string{"Sec-Fetch-Site", "same-site"}, ErrCrossOrigin},
		"an old browser from another site":     {http.MethodPost, form(token(cookies)), []string{"Origin", "https://evil.example.com"}, ErrCrossOrigin},
		"a document of no origin":              {http.MethodPost, form(token(cookies)), []string{"Origin", "null"}, ErrCrossOrigin},
		"JSON needs the header":                {http.MethodPost, form(token(cookies)), []string{"Content-Type", "application/json"}, ErrToken},
		"so does text that a form could send":  {http.MethodPost, form(token(cookies)), []string{"Content-Type", "text/plain"}, ErrToken},
		"a form that is too big":               {http.MethodPost, url.Values{"a": {strings.Repeat("x", maxForm)}, Field: {token(cookies)}}, nil, ErrForm},
		"a form with an error":                 {http.MethodPost, url.Values{}, []string{"Content-Type", "application/x-www-form-urlencoded; charset"}, ErrToken},
		"an unknown method is no look":         {"LOOK", nil, nil, ErrToken},
		"nor is an echo":                       {http.MethodTrace, nil, nil, ErrToken},
		"a method in small letters is no look": {"get", nil, nil, ErrToken},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "http://example.com/console/freeze?"+Field+"="+url.QueryEscape(token(cookies)), strings.NewReader(c.form.Encode()))
			if c.form != nil {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			for i := 0; i < len(c.header); i += 2 {
				r.Header.Set(c.header[i], c.header[i+1])
			}
			r.AddCookie(cookies[0])
			with, e, leave, err := s.Enter(r)
			defer leave()
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if e == nil || e.Who.Name != "ann" {
				t.Errorf("session %v", e)
			}
			if err == nil && c.form != nil && with.PostFormValue("reason") != "a new kernel" {
				t.Errorf("the handler doesn't find the form: %v", with.PostForm)
			}
		})
	}
}

func FuzzToken(f *testing.F) {
	var secret [tokenSize]byte
	copy(secret[:], "a secret that isn't one, for test")
	f.Add("")
	f.Add(mask(secret))
	f.Add(encode(make([]byte, 2*tokenSize)))
	f.Fuzz(func(t *testing.T, sent string) {
		if !unmask(mask(secret), secret) {
			t.Fatal("a token of ours isn't known")
		}
		if unmask(sent, secret) && len(sent) != len(mask(secret)) {
			t.Errorf("%q was taken", sent)
		}
	})
}
