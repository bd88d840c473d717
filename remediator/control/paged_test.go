package control

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// listed is how a list is read that is asked for so.
func listed(t *testing.T, query url.Values) (*listing, error) {
	t.Helper()
	return list(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/devices?"+query.Encode(), nil), time.Now(), maxLimit)
}

// Whatever comes and goes between two pages, a list comes to its end, without a page
// of nothing, and tells no row twice.
func TestPagesEnd(t *testing.T) {
	key := func(s string) string { return s }
	for _, tt := range []struct {
		name          string
		before, after []string // rows at the first page, and at those behind it
		want          string
	}{
		{"pages that are full", []string{"a", "b", "c", "d"}, []string{"a", "b", "c", "d"}, "a,b|c,d"},
		{"a last one that isn't", []string{"a", "b", "c"}, []string{"a", "b", "c"}, "a,b|c"},
		{"names that begin alike", []string{"ab", "ac", "ad"}, []string{"ab", "ac", "ad"}, "ab,ac|ad"},
		{"all behind it are gone", []string{"a", "b", "c"}, []string{"a", "b"}, "a,b|"},
		{"the last one told is gone", []string{"a", "b", "d"}, []string{"a", "c", "d"}, "a,b|c,d"},
		{"one", []string{"a"}, nil, "a"},
		{"none", nil, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			query, rows := url.Values{"limit": {"2"}}, tt.before
			var pages []string
			for range 4 {
				l, err := listed(t, query)
				if err != nil {
					t.Fatal(err)
				}
				page, next := paged(l, rows, key, ascending)
				pages = append(pages, strings.Join(page, ","))
				if next == "" {
					break
				}
				query.Set("cursor", next)
				rows = tt.after
			}
			if got := strings.Join(pages, "|"); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A cursor goes on from when and where it was made.
func TestACursorKeepsItsMoment(t *testing.T) {
	first, err := listed(t, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	first.at = time.UnixMilli(12345)
	again, err := listed(t, url.Values{"cursor": {first.next("x")}})
	if err != nil || !again.at.Equal(first.at) || again.after != "x" {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := listed(t, url.Values{"cursor": {first.next("")}}); err == nil {
		t.Error("a cursor of no row is taken: it would be the first page again")
	}
}
