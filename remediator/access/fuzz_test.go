package access

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
)

// Whatever stands in the header: nobody is let in but by exactly a name with its
// password, or a token.
func FuzzTheHeaderAuthorization(f *testing.F) {
	c := people(f)
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer " + laptop, "bearer\t" + laptop, "Bearer " + oldToken, "Basic", "Basic =", "Digest x",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+password)), "Basic " + base64.StdEncoding.EncodeToString([]byte("ann")),
		"Basic " + base64.RawURLEncoding.EncodeToString([]byte("\xff\xfe:")), "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+password+"\x00")),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		g := gate(t, Options{Config: c})
		w, who := ask(g, get("/", func(r *http.Request) { r.Header["Authorization"] = []string{header} }))
		scheme, rest, _ := strings.Cut(header, " ")
		rest = strings.TrimSpace(rest)
		name := ""
		switch strings.ToLower(scheme) {
		case "bearer":
			name = map[string]string{laptop: "ann", script: "script"}[rest]
		case "basic":
			if text, err := base64.StdEncoding.DecodeString(rest); err == nil && string(text) == "ann:"+password {
				name = "ann"
			}
		}
		switch {
		case name == "" && (who != nil || w.Code != 401):
			t.Errorf("%q: %d %+v", header, w.Code, who)
		case name != "" && (who == nil || who.Name != name):
			t.Errorf("%q: %d %+v, want %s", header, w.Code, who, name)
		}
		if strings.Contains(w.Body.String(), "not-a-real") {
			t.Errorf("%q: a secret is told: %s", header, w.Body)
		}
	})
}

// Whatever the path: what the gate calls public is so as it is written, and stays
// so when a mux cleans or decodes it.
func FuzzPublicPaths(f *testing.F) {
	for _, seed := range []string{"/-/healthy", "/%2d/healthy", "/console/static/../../api", "/console/static/%2e%2e/x", "//", "/console/static/..", "/console/static/x%2f..%2fy"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
		if err != nil {
			return // no server would see it
		}
		g := gate(t, Options{Config: people(t), Public: []string{"/-/healthy", "/console/static/"}})
		if !g.public(r) {
			return
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		mux.HandleFunc("/-/healthy", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("/console/static/", func(http.ResponseWriter, *http.Request) {})
		if _, pattern := mux.Handler(r); pattern == "/" {
			t.Errorf("%q is public, and served as something else", path)
		}
	})
}

// Whatever a role of the configuration's own says: it never reaches a device or
// pool that its patterns don't cover, nor anything about all of them, nor more
// than the role it is like.
func TestALimitedRoleNeverReachesAnother(t *testing.T) {
	names := rapid.SampledFrom([]string{"edge1", "edge2", "edge11", "shop", "shop2", "a.b", "axb", ""})
	list := rapid.SliceOfN(rapid.SampledFrom([]string{"edge1", "edge2", "shop", "a.b"}), 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		r := Role{Name: "team", Like: rapid.SampledFrom([]string{Viewer, Operator, Admin}).Draw(t, "like")}
		if rapid.Bool().Draw(t, "by device") {
			r.Devices = list.Draw(t, "devices")
		} else {
			r.Pools = list.Draw(t, "pools")
		}
		team, err := Named("ann", ViaToken, []string{"team"}, r)
		if err != nil {
			t.Fatal(err)
		}
		like, err := Named("ann", ViaToken, []string{r.Like})
		if err != nil {
			t.Fatal(err)
		}
		p := edge.Pool{Device: names.Draw(t, "device"), Name: names.Draw(t, "pool")}
		v := rapid.SampledFrom(verbs).Draw(t, "verb")
		if !team.May(v, p) {
			return
		}
		covered := func(patterns []string, name string) bool {
			for _, text := range patterns {
				if text == name || text == "a.b" && name == "axb" {
					return true
				}
			}
			return len(patterns) == 0
		}
		if !covered(r.Devices, p.Device) || !covered(r.Pools, p.Name) {
			t.Fatalf("%+v may %s on %q", r, v, p)
		}
		if !like.May(v, p) || !team.MaySomewhere(v) || !team.MayOnDevice(v, p.Device) {
			t.Fatalf("%+v may %s on %q, and yet not", r, v, p)
		}
	})
}

// Whatever a caller writes into the header: it moves nobody but who comes through a
// proxy of ours, and never to an address that the header doesn't name.
func FuzzXForwardedFor(f *testing.F) {
	c := people(f)
	c.Proxies = []string{"192.0.2.1", "198.51.100.0/28"}
	s, err := newState(c)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", ",", "203.0.113.9", "10.0.0.1, 198.51.100.3", "[2001:db8::1]", "fe80::1%eth0", "203.0.113.9:80", "::ffff:192.0.2.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ask := func(remote string) string {
			return s.from(get("/", from(remote), func(r *http.Request) { r.Header["X-Forwarded-For"] = []string{header} })).String()
		}
		if got := ask("203.0.113.1:1"); got != "203.0.113.1/32" {
			t.Errorf("%q moves a stranger to %s", header, got)
		}
		if got := ask("192.0.2.1:1"); got == "invalid Prefix" || !strings.ContainsAny(header, ".:") && got != "192.0.2.1/32" {
			t.Errorf("%q moves the proxy to %s", header, got)
		}
	})
}
