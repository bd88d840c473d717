package session

import (
	"net/url"
	"strings"
	"testing"
)

func TestALogInLeadsToOwnPagesOnly(t *testing.T) {
	const home = Home
	for _, c := range []struct{ wanted, want string }{
		{"", home},
		{"/", "/"},
		{"/console/", home},
		{"/console/members?pool=web&state=drain", "/console/members?pool=web&state=drain"},
		{"/console/members/edge1/web/app%2F9", "/console/members/edge1/web/app%2F9"},
		{"/console/#top", home},
		{"/api/v1/steps?limit=5", "/api/v1/steps?limit=5"},
		{"/console/holds?back=https://example.com/", "/console/holds?back=https://example.com/"},

		{"https://example.com/", home},
		{"//example.com/", home},
		{"///example.com/", home},
		{`/\example.com/`, home},
		{`\\example.com/`, home},
		{`/\/example.com/`, home},
		{"/\t/example.com/", home},
		{"\t//example.com/", home},
		{"/\n/example.com/", home},
		{" //example.com/", home},
		{"/console/..//example.com/", home},
		{"/./../example.com", home},
		{"//ann@example.com/", home},
		{"http:example.com", home},
		{"http:/example.com", home},
		{"javascript:alert(1)", home},
		{"data:text/html,x", home},
		{"console/", home},
		{"?next=/", home},
		{"#", home},
		{"/%zz", home},
		{"/кон", home},
		{"/console/" + strings.Repeat("a", maxNext), home},

		{"/console/login", home}, // again
		{"/console/login?next=/console/login", home},
		{"/console/logout", home},
		{"/console/oidc/start", home},
	} {
		if got := next("", c.wanted); got != c.want {
			t.Errorf("%q leads to %q, want %q", c.wanted, got, c.want)
		}
	}
}

func TestALogInStaysUnderTheExternalPath(t *testing.T) {
	for _, c := range []struct{ wanted, want string }{
		{"", "/sluice/console/"},
		{"/sluice/console/holds", "/sluice/console/holds"},
		{"/sluice", "/sluice/console/"},
		{"/sluice/console/login", "/sluice/console/"},
		{"/grafana/", "/sluice/console/"},
		{"/sluices/", "/sluice/console/"},
		{"/sluice/../grafana/", "/sluice/console/"},
	} {
		if got := next("/sluice", c.wanted); got != c.want {
			t.Errorf("%q leads to %q, want %q", c.wanted, got, c.want)
		}
	}
}

func FuzzNext(f *testing.F) {
	for _, s := range []string{"", "/console/", "//example.com", `/\example.com`, "/\t/example.com", "/sluice/console/..//x", "/sluice/?a=//b#c", "/sluice/%2e%2e//x"} {
		f.Add(s)
	}
	base, err := url.Parse("https://sluice.example.com/sluice/console/login?next=x")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wanted string) {
		got := next("/sluice", wanted)
		// As a browser reads it.
		read := strings.Map(func(r rune) rune {
			switch r {
			case '\t', '\n', '\r':
				return -1
			case '\\':
				return '/'
			}
			return r
		}, strings.TrimSpace(got))
		to, err := base.Parse(read)
		if err != nil {
			t.Fatalf("%q leads to %q: %v", wanted, got, err)
		}
		if to.Scheme != base.Scheme || to.Host != base.Host || to.User != nil || !strings.HasPrefix(to.Path, "/sluice/") {
			t.Errorf("%q leads to %q, which is %s", wanted, got, to)
		}
		if again := next("/sluice", got); again != got {
			t.Errorf("%q leads to %q, and that to %q", wanted, got, again)
		}
	})
}
