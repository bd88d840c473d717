package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/login"
	"github.com/sluice-project/sluice/remediator/access/session"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
	"github.com/sluice-project/sluice/test/openapi"
)

// A door is one operation of the remediator: what it is asked with, what somebody has
// to be allowed for it, and the code that they get then. Everybody else gets 403, and
// whom we don't know 401.
type door struct {
	op   string      // method and path, as it is documented or a pattern of the mux
	body string      // JSON, or a form where the path is of the console
	verb access.Verb // empty: nothing, but we have to know who it is
	on   edge.Pool   // empty names: all
	some bool        // it is enough to be allowed it somewhere, of the device if one is named
	open bool        // for everybody
	code int
	then int // instead, where somebody has done it already, or sees nothing there
}

var (
	shopPool = edge.Pool{Device: "edge1", Name: "myapp"}
	apiPool  = edge.Pool{Device: "edge1", Name: "api"}
	onEdge1  = edge.Pool{Device: "edge1"}
	ofAll    = edge.Pool{}
)

// window is one that is too far away to be made.
const window = `{"name":"w","members":{%s},"from":"2126-01-01T00:00:00Z","to":"2126-01-02T00:00:00Z","reason":"x"}`

// doors are all that there are, in the order in which they are tried. A pattern of
// several paths stands with each of them.
var doors = []door{
	{op: "GET /-/healthy", open: true, code: 200},
	{op: "GET /-/ready", open: true, code: 200},
	{op: "GET /ping", open: true, code: 200},
	{op: "GET /console/login", open: true, code: 200},
	{op: "POST /console/login", open: true, code: 403}, // without the token of its form
	{op: "POST /console/logout", open: true, code: 303},
	{op: "GET /console/oidc/start", open: true, code: 404}, // there is no provider
	{op: "GET /console/oidc/callback", open: true, code: 404},

	{op: "GET /api/v1/whoami", code: 200},
	{op: "GET /api/v1/openapi.json", code: 200},
	{op: "POST /console/preferences", body: "lang=ru", code: 303},
	{op: "GET /console/assets/{asset}", code: 404},

	{op: "GET /metrics", verb: access.View, on: ofAll, code: 200},
	{op: "GET /config", verb: access.View, on: ofAll, code: 200},
	{op: "GET /{$}", verb: access.View, some: true, code: 200},
	{op: "POST /-/reload", verb: access.Reload, on: ofAll, code: 200},
	{op: "PUT /-/reload", verb: access.Reload, on: ofAll, code: 200},
	{op: "POST /webhook", body: `{}`, verb: access.Webhook, on: ofAll, code: 400},

	{op: "GET /api/v1/freeze", verb: access.View, some: true, code: 200},
	{op: "POST /api/v1/freeze", body: `{"reason":"x"}`, verb: access.Freeze, on: ofAll, code: 200},
	{op: "POST /api/v1/freeze", body: `{"device":"edge1","reason":"x"}`, verb: access.Freeze, on: onEdge1, code: 200},
	{op: "POST /api/v1/freeze", body: `{"device":"edge1","pool":"api","reason":"x"}`, verb: access.Freeze, on: apiPool, code: 200},
	{op: "POST /api/v1/freeze", body: `{"device":"edge1","pool":"myapp","reason":"x"}`, verb: access.Freeze, on: shopPool, code: 200},
	{op: "DELETE /api/v1/freeze", verb: access.Freeze, on: ofAll, code: 200},
	{op: "DELETE /api/v1/freeze?device=edge1", verb: access.Freeze, on: onEdge1, code: 200},
	{op: "DELETE /api/v1/freeze?device=edge1&pool=api", verb: access.Freeze, on: apiPool, code: 200},
	{op: "DELETE /api/v1/freeze?device=edge1&pool=myapp", verb: access.Freeze, on: shopPool, code: 200},
	{op: "GET /api/v1/claimed", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/maintenance", verb: access.View, some: true, code: 200},
	{op: "POST /api/v1/maintenance", body: fmt.Sprintf(window, ``), verb: access.Freeze, on: ofAll, code: 400},
	{op: "POST /api/v1/maintenance", body: fmt.Sprintf(window, `"device":"edge1"`), verb: access.Freeze, on: onEdge1, code: 400},
	{op: "POST /api/v1/maintenance", body: fmt.Sprintf(window, `"device":"edge1","pool":"my.*"`), verb: access.Freeze, on: ofAll, code: 400},
	{op: "POST /api/v1/maintenance", body: fmt.Sprintf(window, `"device":"edge1","pool":"myapp"`), verb: access.Freeze, on: shopPool, code: 400},
	{op: "DELETE /api/v1/maintenance/{name}", verb: access.Freeze, some: true, code: 404},
	{op: "GET /api/v1/holds", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/candidates", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/approvals", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/steps", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/refusals", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/devices", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/pools", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/members", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/events?after=x", verb: access.View, some: true, code: 400}, // else it has no end
	{op: "GET /api/v1/drills", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/drills/{id}", verb: access.View, some: true, code: 404},
	{op: "DELETE /api/v1/drills/{id}", verb: access.Order, some: true, code: 404},
	{op: "POST /api/v1/explain", body: `{"labels":{"pool":"api"}}`, verb: access.View, on: edge.Pool{Name: "api"}, code: 200},
	{op: "POST /api/v1/explain", body: `{"labels":{"pool":"myapp"}}`, verb: access.View, on: edge.Pool{Name: "myapp"}, code: 200},
	{op: "POST /api/v1/explain", body: `{"labels":{"pool":"myapp","instance":"x"}}`, verb: access.View, on: ofAll, code: 200},
	{op: "GET /api/v1/members/{device}/{pool}/{member}", verb: access.View, on: apiPool, code: 200},
	{op: "POST /api/v1/members/{device}/{pool}/{member}/drain", verb: access.Order, on: apiPool, code: 200},
	{op: "POST /api/v1/members/{device}/{pool}/{member}/maint", verb: access.Order, on: apiPool, code: 200},
	{op: "POST /api/v1/members/{device}/{pool}/{member}/ready", verb: access.Order, on: apiPool, code: 200},
	{op: "POST /api/v1/members/{device}/{pool}/{member}/weight", body: `{"percent":100}`, verb: access.Order, on: apiPool, code: 200},
	{op: "POST /api/v1/members/{device}/{pool}/{member}/claim", body: `{"reason":"x"}`, verb: access.Order, on: apiPool, code: 200},
	{op: "POST /api/v1/members/{device}/{pool}/{member}/release", verb: access.Order, on: apiPool, code: 200, then: 404},
	{op: "POST /api/v1/holds/{device}/{pool}/{member}/release", verb: access.Order, on: apiPool, code: 404},
	{op: "POST /api/v1/approvals/{device}/{pool}/{member}", body: `{"approve":true}`, verb: access.Approve, on: apiPool, code: 404},
	{op: "POST /api/v1/pools/{device}/{pool}/restore", body: `{"object":"{}","reason":"x"}`, verb: access.Restore, on: apiPool, code: 400},
	{op: "POST /api/v1/drills", body: `{"device":"edge1","pool":"api","member":"a1"}`, verb: access.Order, on: apiPool, code: 400},

	{op: "GET /api/v1/haproxy/instances", verb: access.View, some: true, code: 200},
	{op: "GET /api/v1/haproxy/backends", verb: access.View, on: onEdge1, some: true, code: 200},
	{op: "GET /api/v1/haproxy/{instance}/backends", verb: access.View, on: onEdge1, some: true, code: 200},
	{op: "GET /api/v1/haproxy/backends/{backend}/servers", verb: access.View, on: apiPool, code: 200},
	{op: "GET /api/v1/haproxy/{instance}/backends/{backend}/servers", verb: access.View, on: apiPool, code: 200},
	{op: "POST /api/v1/haproxy/backends/{backend}/servers/{server}/action", body: `{"action":"ready"}`, verb: access.Order, on: apiPool, code: 200},
	{op: "POST /api/v1/haproxy/{instance}/backends/{backend}/servers/{server}/action", body: `{"action":"ready"}`, verb: access.Order, on: apiPool, code: 200},
	{op: "POST /api/v1/control/haproxy/backends/{backend}/servers/{server}/action", body: `{"action":"ready"}`, verb: access.Order, on: apiPool, code: 200},
	{op: "POST /api/v1/control/haproxy/{instance}/backends/{backend}/servers/{server}/action", body: `{"action":"ready"}`, verb: access.Order, on: apiPool, code: 200},

	{op: "GET /console/{$}", verb: access.View, some: true, code: 200},
	{op: "GET /console/service?pool=myapp", verb: access.View, some: true, code: 200, then: 404},
	{op: "GET /console/holds", verb: access.View, some: true, code: 200},
	{op: "GET /console/approvals", verb: access.View, some: true, code: 200},
	{op: "GET /console/refusals", verb: access.View, some: true, code: 200},
	{op: "GET /console/freeze", verb: access.View, some: true, code: 200},
	{op: "GET /console/maintenance", verb: access.View, some: true, code: 200},
	{op: "GET /console/member?device=edge1&pool=api&member=a1", verb: access.View, on: apiPool, code: 200},
	{op: "POST /console/member", body: "device=edge1&pool=api&member=a1&do=ready&reason=x", verb: access.Order, on: apiPool, code: 303},
	{op: "POST /console/member?pool=myapp&member=web01", body: "device=edge1&pool=api&member=a1&do=ready&reason=x", verb: access.Order, on: apiPool, code: 303},
	{op: "POST /console/holds", body: "device=edge1&pool=api&member=a1&reason=x", verb: access.Order, on: apiPool, code: 404},
	{op: "POST /console/approvals", body: "device=edge1&pool=api&member=a1&do=approve", verb: access.Approve, on: apiPool, code: 404},
	{op: "POST /console/freeze", body: "scope=device%3Dedge1%26pool%3Dapi&do=thaw", verb: access.Freeze, on: apiPool, code: 303},
	{op: "POST /console/freeze", body: "scope=&do=thaw", verb: access.Freeze, on: ofAll, code: 303},
	{op: "POST /console/maintenance", body: "do=begin&name=v&scope=device%3Dedge1%26pool%3Dapi&for=1h&reason=x", verb: access.Freeze, on: apiPool, code: 303, then: 409},
}

// A guest is somebody, by the header Authorization or by a session.
type guest struct {
	name  string
	send  func(method, path, body string) (code int, text string)
	may   access.Identity
	known bool
}

func (d door) lets(i access.Identity) bool {
	switch {
	case d.verb == "":
		return true
	case d.some && d.on.Device != "":
		return i.MayOnDevice(d.verb, d.on.Device)
	case d.some:
		return i.MaySomewhere(d.verb)
	}
	return i.May(d.verb, d.on)
}

// Each operation, asked for by everybody: who may gets the answer, who may not 403,
// and whom we don't know 401.
func TestEachDoorIsOpenToWhoMayAndShutToEverybodyElse(t *testing.T) {
	for _, d := range missingDoors(t) {
		t.Errorf("nobody has written down who may %s: add it to doors", d)
	}
	dir := t.TempDir()
	limits := access.Role{Name: "shop-team", Like: access.Admin, Pools: []string{"myapp"}}
	others := access.Role{Name: "elsewhere", Like: access.Operator, Devices: []string{"edge2"}}
	section := fmt.Sprintf("access:\n  users:\n    - {name: ann, password_hash: '%s', roles: [operator]}\n  roles:\n"+
		"    - {name: shop-team, like: admin, pools: [myapp]}\n    - {name: elsewhere, like: operator, devices: [edge2]}\n  tokens:\n", passwordHash(t, loginPassword))
	var guests []guest
	var b *logInBench
	by := func(authorization string) func(method, path, body string) (int, string) {
		return func(method, path, body string) (int, string) {
			return knock(t, b.url, method, path, body, map[string]string{"Authorization": authorization})
		}
	}
	for _, role := range []string{access.Viewer, access.Operator, access.Admin, access.Hook, limits.Name, others.Name} {
		secret := "not-a-real-token-of-" + role + "-000"
		section += fmt.Sprintf("    - {name: the-%s, roles: [%s], token_file: %s}\n", role, role, write(t, dir, role, secret))
		may, err := access.Named("the-"+role, access.ViaToken, []string{role}, limits, others)
		if err != nil {
			t.Fatal(err)
		}
		guests = append(guests, guest{role, by("Bearer " + secret), may, true})
	}
	section += fmt.Sprintf("    - {name: old, roles: [admin], expires: 2020-01-01T00:00:00Z, token_file: %s}\n", write(t, dir, "old", rootToken))
	b = startLogIn(t, section)
	operator := guests[1].may

	ann := b.surfer(t)
	ann.logIn("/console/", "ann", loginPassword)
	ann.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	page := ann.token()
	withSession := func(header ...string) func(method, path, body string) (int, string) {
		return func(method, path, body string) (int, string) {
			if path == session.Logout {
				return http.StatusSeeOther, "" // it would be the last that the session does
			}
			if path == session.Login && method == http.MethodGet {
				return http.StatusOK, "" // and this leads back
			}
			var sent any
			if form, err := url.ParseQuery(body); err == nil && strings.HasPrefix(path, "/console/") && method == http.MethodPost {
				sent = form
			} else if body != "" {
				sent = body
			}
			resp, text := ann.send(method, path, sent, append([]string{"Accept", "application/json"}, header...)...)
			return resp.StatusCode, text
		}
	}
	guests = append(guests,
		guest{"a session with the page's token", withSession(session.Header, page), operator, true},
		guest{"nobody", by(""), access.Identity{}, false},
		guest{"an expired token", by("Bearer " + rootToken), access.Identity{}, false},
		guest{"a scheme that isn't ours", by("Digest username=\"ann\""), access.Identity{}, false},
	)
	names := strings.NewReplacer("{$}", "", "{device}", "edge1", "{instance}", "edge1", "{pool}", "api", "{backend}", "api", "{member}", "a1", "{server}", "a1", "{name}", "none", "{id}", "d1", "{asset}", "none")
	for _, d := range doors {
		method, path, _ := strings.Cut(names.Replace(d.op), " ")
		for _, g := range guests {
			want := d.code
			switch {
			case d.open:
			case !g.known:
				want = http.StatusUnauthorized
			case !d.lets(g.may):
				want = http.StatusForbidden
			}
			if code, text := g.send(method, path, d.body); code != want && (want != d.code || code != d.then) {
				t.Errorf("%s %s %s by %s: %d, want %d: %.300s", method, path, d.body, g.name, code, want, text)
			}
		}
		if method == http.MethodGet || d.open {
			continue
		}
		// Of a session without the token of its page nothing is taken, whatever its role.
		if code, text := withSession()(method, path, d.body); code != http.StatusForbidden || !strings.Contains(text, "CSRF") {
			t.Errorf("%s %s by a session without the page's token: %d: %.300s", method, path, code, text)
		}
		for _, kind := range []string{"text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"} {
			if code, _ := withSession("Content-Type", kind, "Sec-Fetch-Site", "cross-site", session.Header, page)(method, path, d.body); code != http.StatusForbidden {
				t.Errorf("%s %s of another site's page as %s: %d", method, path, kind, code)
			}
		}
	}
}

// knock asks for one thing, and goes nowhere else.
func knock(t *testing.T, base, method, path, body string, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "/console/") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	return get(t, req, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
}

// missingDoors are the documented operations, and the patterns in the source of what
// isn't documented, that no door stands for.
func missingDoors(t *testing.T) (missing []string) {
	t.Helper()
	have := map[string]bool{}
	for _, d := range doors {
		op, _, _ := strings.Cut(d.op, "?")
		have[op] = true
		_, path, _ := strings.Cut(op, " ")
		have[path] = true
		for dir := path; dir != ""; { // patterns of all below
			dir = dir[:strings.LastIndexByte(dir, '/')]
			have[dir+"/"], have[dir] = true, true
		}
	}
	want := map[string]bool{}
	for op := range openapi.Operations("/") {
		want[op] = true
	}
	for _, path := range append(login.Paths(), haproxyapi.Patterns()...) {
		want[path] = true
	}
	for _, file := range []string{"remediator.go", "site.go", "../../remediator/console/console.go", "../../remediator/remediator.go", "../../remediator/control/control.go", "../../remediator/access/session/login.go", "../../remediator/access/oidc/flow.go"} {
		found := patternsIn(t, file)
		if len(found) == 0 {
			t.Errorf("%s has no pattern of a mux any more: where do they stand?", file)
		}
		for _, p := range found {
			want[p] = true
		}
	}
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if !have[p] && p != "/" && p != "/restore" {
			missing = append(missing, p)
		}
	}
	return missing
}

var pattern = regexp.MustCompile(`^(?:(?:GET|POST|PUT|DELETE|PATCH) )?/[a-zA-Z0-9/{}$_.-]*$`)

// patternsIn are the texts in a source file that could be patterns of a mux.
func patternsIn(t *testing.T, file string) (all []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(lit.Value); err == nil && pattern.MatchString(text) {
			all = append(all, text)
		}
		return true
	})
	return all
}
