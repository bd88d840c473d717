package ctl

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

func TestANameComesBack(t *testing.T) {
	for name, m := range map[string]edge.Member{
		"edge1/shop/app1":                      {Device: "edge1", Pool: "shop", Name: "app1"},
		"waf1/shop/192.0.2.1:8080":             {Device: "waf1", Pool: "shop", Name: "192.0.2.1:8080"},
		"waf1/a%2Fb/c%25d":                     {Device: "waf1", Pool: "a/b", Name: "c%d"},
		"waf1/магазин/app%201":                 {Device: "waf1", Pool: "магазин", Name: "app 1"},
		"edge1/..%0Arm/%24(x)":                 {},
		"edge1/..%0Arm/%24%28x%29%FF%EF%BF%BD": {Device: "edge1", Pool: "..\nrm", Name: "$(x)\xff\uFFFD"},
	} {
		parts, err := ParseName(name, 3)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m == (edge.Member{}) {
			continue // readable, and not as we would write it
		}
		if d := cmp.Diff([]string{m.Device, m.Pool, m.Name}, parts); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if got := Name(m); got != name {
			t.Errorf("%q is written %s, want %s", m, got, name)
		}
	}
	for name, want := range map[string]string{
		"":             "empty part",
		"edge1//app1":  "empty part",
		"a/b/c/d":      "more than 3 parts",
		"edge1/shop/%": "%25",
	} {
		if _, err := ParseName(name, 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("edge1", "shop", "app1")
	f.Add("a/b", "..", "\xff'\n%2F")
	f.Fuzz(func(t *testing.T, device, pool, member string) {
		if device == "" || pool == "" || member == "" {
			return // no device has nameless things
		}
		name := Name(edge.Member{Device: device, Pool: pool, Name: member})
		parts, err := ParseName(name, 3)
		if err != nil || len(parts) != 3 || parts[0] != device || parts[1] != pool || parts[2] != member {
			t.Errorf("%q is read as %q, %v", name, parts, err)
		}
		if strings.ContainsAny(name, " '\"\\$`\n") {
			t.Errorf("%q is more than a word of the shell", name)
		}
	})
}

func TestAPathKeepsEachNameInItsSegment(t *testing.T) {
	var seen string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.RequestURI
		answer(w, 200, "{}")
	})
	for path, want := range map[string]string{
		Path("members", "edge1", "shop", "app1", "drain"): "/api/v1/members/edge1/shop/app1/drain",
		Path("members", "a/b", "..", ".", "drain"):        "/api/v1/members/a%2Fb/%2E%2E/%2E/drain",
		Path("members", "a?b", "c;d", "e\nf"):             "/api/v1/members/a%3Fb/c%3Bd/e%0Af",
	} {
		if err := c.Post(t.Context(), path, nil, new(json.RawMessage)); err != nil || seen != want {
			t.Errorf("%s was asked for as %s: %v", want, seen, err)
		}
	}
}

func TestAShortNameMeansOneMember(t *testing.T) {
	const roster = `{"devices":[{"device":"edge1"},{"device":"edge2"}],"members":[
		{"member":{"device":"edge1","pool":"shop","member":"app1"}},
		{"member":{"device":"edge1","pool":"shop","member":"app2"}},
		{"member":{"device":"edge1","pool":"api","member":"app1"}},
		{"member":{"device":"edge2","pool":"shop","member":"app1"}},
		{"member":{"device":"edge2","pool":"img","member":"a/b"}}],"count":5}`
	c := client(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, roster) })
	for _, tt := range []struct{ name, want, err string }{
		{"app2", "edge1/shop/app2", ""},
		{"api/app1", "edge1/api/app1", ""},
		{"a%2Fb", "edge2/img/a%2Fb", ""},
		{"edge9/x/y", "edge9/x/y", ""}, // whole: the remediator says whether there is one
		{"app1", "", "app1 is not one member's name alone: write one of edge1/api/app1, edge1/shop/app1, edge2/shop/app1"},
		{"shop/app1", "", "shop/app1 is not one member's name alone: write one of edge1/shop/app1, edge2/shop/app1"},
		{"app9", "", "app9: no such member"},
		{"a/b/c/d", "", `"a/b/c/d" has more than 3 parts: write a slash within a name as %2F`},
	} {
		m, err := c.Find(t.Context(), tt.name)
		if got := text(err); got != tt.err || err == nil && Name(m) != tt.want {
			t.Errorf("%s: %s, %s", tt.name, Name(m), got)
		}
	}
	if _, err := c.Find(t.Context(), "app1"); !errors.Is(err, ErrAmbiguous) {
		t.Error(err)
	}
	p, err := c.FindPool(t.Context(), "img")
	if err != nil || PoolName(p) != "edge2/img" {
		t.Errorf("%v, %v", p, err)
	}
	if _, err := c.FindPool(t.Context(), "shop"); !errors.Is(err, ErrAmbiguous) {
		t.Error(err)
	}
}

func TestAShortNameIsNotGuessedWhileADeviceIsSilent(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"devices":[{"device":"edge1"},{"device":"edge2","error":"no answer"}],"members":[{"member":{"device":"edge1","pool":"shop","member":"app1"}}]}`)
	})
	_, err := c.Find(t.Context(), "app1")
	if want := "app1: a short name can't be looked up while edge2 can't be read: write it whole: edge1/shop/app1"; text(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := c.Find(t.Context(), "app9"); err == nil || errors.Is(err, ErrNoMember) || strings.Contains(err.Error(), "write it whole") {
		t.Errorf("one that may be there: %v", err)
	}
	if _, err := c.FindPool(t.Context(), "shop"); err == nil {
		t.Error("a pool was guessed")
	}
}

// client asks what the test answers.
func client(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(s.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answer writes an envelope with data.
func answer(w http.ResponseWriter, code int, data string) {
	body, err := json.Marshal(map[string]any{"success": code == 200, "status_code": code, "data": json.RawMessage(data), "error": "as the test says"})
	if err != nil {
		panic(err)
	}
	w.WriteHeader(code)
	w.Write(body)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
