package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/test/openapi"
)

const (
	rootToken = "not-a-real-token-of-root-000"
	teamToken = "not-a-real-token-of-the-team"
)

// hidden is what tells of the pool that the team may not see, whoever says it.
var hidden = regexp.MustCompile(`"api"|/api/a\d|edge1/api|\ba[12]\b|192\.0\.2\.2[01]|secret|>api<`)

// Whatever a limited role asks for, by any documented path and on any page: nothing
// of another pool comes out, and nothing there is changed.
func TestALimitedRoleNeverSeesAnotherPool(t *testing.T) {
	dir := t.TempDir()
	b := startLogIn(t, fmt.Sprintf(`access:
  tokens:
    - {name: root, roles: [admin], token_file: %s}
    - {name: team, roles: [shop-team], token_file: %s}
  roles:
    - {name: shop-team, like: admin, pools: [myapp]}
`, write(t, dir, "root", rootToken), write(t, dir, "team", teamToken)))
	s := b.surfer(t)
	as := func(token, method, path, body string) (int, string) {
		t.Helper()
		var sent any
		if body != "" {
			sent = body
		}
		resp, text := s.send(method, path, sent, "Authorization", "Bearer "+token)
		return resp.StatusCode, text
	}
	for _, order := range []struct{ path, body string }{
		{"/api/v1/members/edge1/myapp/web01/drain", `{"reason":"the team's own"}`},
		{"/api/v1/members/edge1/api/a1/drain", `{"reason":"secret"}`},
		{"/api/v1/members/edge1/api/a2/claim", `{"reason":"secret"}`},
		{"/api/v1/freeze", `{"device":"edge1","pool":"api","reason":"secret"}`},
		{"/api/v1/maintenance", `{"name":"secret","members":{"device":"edge1","pool":"api"},"from":"2026-01-01T00:00:00Z","to":"2126-01-01T00:00:00Z","reason":"secret"}`},
		{"/api/v1/maintenance", `{"name":"secret-2","members":{"device":"edge1","pool":"api|none"},"from":"2026-01-01T00:00:00Z","to":"2126-01-01T00:00:00Z"}`},
		{"/api/v1/maintenance", `{"name":"of-all","members":{},"from":"2026-01-01T00:00:00Z","to":"2126-01-01T00:00:00Z"}`},
		{"/api/v1/maintenance", `{"name":"of-edge1","members":{"device":"edge1"},"from":"2026-01-01T00:00:00Z","to":"2126-01-01T00:00:00Z"}`},
	} {
		if code, text := as(rootToken, "POST", order.path, order.body); code != http.StatusOK {
			t.Fatalf("POST %s: %d %s", order.path, code, text)
		}
	}
	_, before := as(rootToken, "GET", "/api/v1/steps", "")
	if !hidden.MatchString(before) {
		t.Fatalf("nothing hidden stands in the steps: %s", before)
	}

	names := strings.NewReplacer("{device}", "edge1", "{instance}", "edge1", "{pool}", "api", "{backend}", "api", "{member}", "a1", "{server}", "a1", "{name}", "secret", "{id}", "1")
	paths := []string{"/", "/console/", "/console/holds", "/console/refusals", "/console/approvals", "/console/freeze", "/console/maintenance", "/console/service", "/console/service?name=api", "/console/member"}
	for op := range openapi.Operations("/api", "/metrics", "/config", "/-/reload", "/webhook") {
		method, path, _ := strings.Cut(op, " ")
		if path == "/api/v1/openapi.json" || path == "/api/v1/events" {
			continue // what is the same for all; what doesn't end
		}
		if method == http.MethodGet {
			paths = append(paths, names.Replace(path))
			continue
		}
		for _, body := range bodies(op) {
			if code, text := as(teamToken, method, names.Replace(path), body); code == http.StatusOK {
				t.Errorf("%s %s: %d %s", method, names.Replace(path), code, text)
			}
		}
	}
	for _, path := range slices.Clone(paths) {
		paths = append(paths, path+"?device=edge1&pool=api", path+"?device=edge1&pool=api&member=a1")
	}
	for _, path := range []string{"/console/member", "/console/holds", "/console/approvals", "/console/freeze", "/console/claim"} {
		form := url.Values{"device": {"edge1"}, "pool": {"api"}, "member": {"a1"}, "action": {"maint"}, "to": {"maint"}, "reason": {"mine"}, "yes": {"1"}, "approve": {"yes"}}
		if resp, text := s.send("POST", path, form, "Authorization", "Bearer "+teamToken); resp.StatusCode == http.StatusOK {
			t.Errorf("POST %s: %d %s", path, resp.StatusCode, text)
		}
	}
	seen := 0
	for _, path := range paths {
		code, text := as(teamToken, "GET", path, "")
		if code == http.StatusOK {
			seen++
		}
		// What the caller sent may be said to them again, and the API has a name, too.
		for _, own := range []string{names.Replace("{device}/{pool}/{member}"), "on edge1/api", "pool=api", "member=a1", "/api/v1", `"source":"api"`} {
			text = strings.ReplaceAll(text, own, "")
		}
		if found := hidden.FindString(text); found != "" && (code == http.StatusOK || found == "secret") {
			t.Errorf("GET %s: %d, it tells of %s: %s", path, code, found, text)
		}
	}
	if seen < 10 {
		t.Errorf("only %d of %d paths were answered: does the test still see anything?", seen, len(paths))
	}
	if _, after := as(rootToken, "GET", "/api/v1/steps", ""); lastSeq(t, after) != lastSeq(t, before) {
		t.Errorf("something was done: %s", after)
	}
	for path, want := range map[string]string{"/api/v1/steps": "web01", "/api/v1/members": "web02", "/console/": "web01", "/api/v1/whoami": "shop-team", "/api/v1/maintenance": `"of-all"`, "/console/maintenance": "of-edge1"} {
		if code, text := as(teamToken, "GET", path, ""); code != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("the team doesn't see its own: GET %s: %d %s", path, code, text)
		}
	}
}

// bodies are an order that would be obeyed from somebody else, and one that is empty.
func bodies(op string) []string {
	switch {
	case strings.HasSuffix(op, "/action"):
		return []string{`{"action":"maint"}`}
	case strings.HasSuffix(op, "/weight"):
		return []string{`{"weight":2,"reason":"mine"}`}
	case strings.HasSuffix(op, "/freeze"):
		return []string{`{"device":"edge1","pool":"api","reason":"mine"}`, `{"reason":"mine"}`, `{"device":"edge1","reason":"mine"}`, ""}
	case strings.HasSuffix(op, "/maintenance"):
		return []string{`{"name":"mine","members":{"device":"edge1","pool":"api"},"from":"2026-01-01T00:00:00Z","to":"2126-01-01T00:00:00Z","reason":"mine"}`}
	case strings.HasSuffix(op, "/explain"):
		return []string{`{"labels":{"device":"edge1","pool":"api","member":"a1","remediation":"drain"}}`, `{"labels":{"device":"edge1","pool":"myapp","instance":"192.0.2.20:80"}}`}
	case strings.HasSuffix(op, "/drills"):
		return []string{`{"device":"edge1","pool":"api","member":"a1"}`}
	case strings.Contains(op, "/approvals/"):
		return []string{`{"approve":true}`}
	case strings.HasSuffix(op, "/restore"):
		return []string{`{"object":"{}","reason":"mine"}`}
	}
	return []string{`{"reason":"mine"}`, ""}
}

func lastSeq(t *testing.T, steps string) uint64 {
	t.Helper()
	var a struct {
		Data struct {
			Steps []struct {
				Seq uint64 `json:"seq"`
			} `json:"steps"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(steps), &a); err != nil || len(a.Data.Steps) == 0 {
		t.Fatalf("%v in %s", err, filepath.Base(steps))
	}
	return a.Data.Steps[len(a.Data.Steps)-1].Seq
}

// What exporter-toolkit checked is a name to the gate, with the roles that the
// section gives it.
func TestWhomTheWebConfigurationKnowsHasTheRolesOfTheSection(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir) // of localhost
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	section := &access.Config{
		Users:  []access.User{{Name: "localhost", Roles: []string{access.Viewer}}, {Name: "alice", Roles: []string{access.Operator}}},
		Tokens: []access.Token{{Name: "script", Roles: []string{access.Admin}, TokenFile: write(t, dir, "token", rootToken)}},
	}
	whole := "tls_server_config:\n  cert_file: " + cert + "\n  key_file: " + key + "\n  client_ca_file: " + cert + "\n  client_auth_type: "
	users := "basic_auth_users:\n  alice: " + passwordHash(t, loginPassword) + "\n  bob: " + passwordHash(t, loginPassword) + "\n"
	for _, c := range []struct {
		name, web string
		section   *access.Config
		client    *tls.Config
		change    func(*http.Request)
		code      int
		want      string
	}{
		{"a certificate", whole + "RequireAndVerifyClientCert\n", section, &tls.Config{Certificates: []tls.Certificate{pair}}, nil, 200, "localhost certificate [viewer]"},
		{"a certificate if there is one", whole + "VerifyClientCertIfGiven\n", section, &tls.Config{Certificates: []tls.Certificate{pair}}, nil, 200, "localhost certificate [viewer]"},
		{"none", whole + "VerifyClientCertIfGiven\n", section, &tls.Config{}, nil, 401, ""},
		{"none, and a token", whole + "VerifyClientCertIfGiven\n", section, &tls.Config{}, bearing(rootToken), 200, "script token [admin]"},
		{"one that nobody checks", whole + "RequestClientCert\n", section, &tls.Config{Certificates: []tls.Certificate{pair}}, nil, 401, ""},
		{"a certificate and a token", whole + "RequireAndVerifyClientCert\n", section, &tls.Config{Certificates: []tls.Certificate{pair}}, bearing(rootToken), 200, "script token [admin]"},
		{"a certificate without a section", whole + "RequireAndVerifyClientCert\n", nil, &tls.Config{Certificates: []tls.Certificate{pair}}, nil, 200, "localhost certificate [admin]"},
		{"a user", users, section, nil, func(r *http.Request) { r.SetBasicAuth("alice", loginPassword) }, 200, "alice web [operator]"},
		{"a user of whom the section doesn't know", users, section, nil, func(r *http.Request) { r.SetBasicAuth("bob", loginPassword) }, 200, "bob web []"},
		{"a wrong password", users, section, nil, func(r *http.Request) { r.SetBasicAuth("alice", "wrong") }, 401, ""},
		{"a user without a section", users, nil, nil, func(r *http.Request) { r.SetBasicAuth("bob", loginPassword) }, 200, "bob web [admin]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, t.TempDir(), "web.yml", c.web)
			asks, err := authenticates(file)
			if err != nil {
				t.Fatal(err)
			}
			gate, err := newGate(c.section, routes{webConfig: file, web: asks}, nil)
			if err != nil {
				t.Fatal(err)
			}
			address, _ := serveTest(t, file, gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				i := access.From(r.Context())
				fmt.Fprint(w, i.Name, " ", i.Via, " ", i.Roles)
			})))
			client, url := http.DefaultClient, "http://"+address
			if c.client != nil {
				c.client.RootCAs = roots
				transport := &http.Transport{TLSClientConfig: c.client}
				t.Cleanup(transport.CloseIdleConnections)
				client, url = &http.Client{Transport: transport}, "https://"+address
			}
			req := request(t, "GET", url)
			if c.change != nil {
				c.change(req)
			}
			if code, body := get(t, req, client); code != c.code || c.want != "" && body != c.want {
				t.Errorf("%d %s, want %d %s", code, body, c.code, c.want)
			}
		})
	}
}

func bearing(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// On a path that is for everybody nobody has looked at the name in the header: the log
// must not call it that of who was there.
func TestTheRequestLogNamesNobodyWhomNobodyAsked(t *testing.T) {
	gate, err := newGate(&access.Config{Tokens: []access.Token{{Name: "script", Roles: []string{access.Admin}, TokenFile: write(t, t.TempDir(), "token", rootToken)}}}, routes{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	gate.UseSource(nil, "/console/login")
	address, lines := serveTest(t, "", gate.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	req := request(t, "POST", "http://"+address+"/console/login")
	req.SetBasicAuth("root", "made-up")
	if code, _ := get(t, req, http.DefaultClient); code != http.StatusOK {
		t.Fatal(code)
	}
	if line := lines.line(t, "level=info", "path=/console/login", "code=200"); strings.Contains(line, "user=") {
		t.Error(line)
	}
	req = request(t, "POST", "http://"+address+"/other")
	bearing(rootToken)(req)
	if code, _ := get(t, req, http.DefaultClient); code != http.StatusOK {
		t.Fatal(code)
	}
	lines.line(t, "level=info", "path=/other", "user=script")
}
