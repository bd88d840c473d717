package pages

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-project/sluice/test/loopback"
	testoidc "github.com/sluice-project/sluice/test/oidc"
	"github.com/sluice-project/sluice/test/rig"
)

// What the log-in's page can say and no test here can bring about; tests of
// remediator/access have it.
var withinLogIn = []string{
	"Nobody can be logged in just now: the remediator's log says why.", "Сейчас войти нельзя: причина указана в логе ремедиатора.", // a crowd of log-ins
	"This request came from another site's page. Nothing was done.", "Этот запрос отправлен страницей другого сайта. Ничего не сделано.", // the web server turns it away before
	"Too many people log in at once. Try again.", "Слишком много входов одновременно. Попробуйте ещё раз.",
}

// inPage are texts of the log-in's page that are no error.
var inPage = []string{"title", "nameLabel", "passwordLabel", "enter", "withProvider", "again"}

// Each text of the log-in is read from its source, so that none is forgotten.
func TestEachTextOfTheLogInIsOnThePages(t *testing.T) {
	pages := map[string][]row{"en": rows(t, "en"), "ru": rows(t, "ru")}
	seen := 0
	for _, name := range []string{"session/texts.go", "oidc/identify.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(filepath.Dir(docs), "remediator", "access", name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && slices.Contains(inPage, spec.Names[0].Name) {
				return false
			}
			lit, ok := n.(*ast.CompositeLit)
			if !ok || len(lit.Elts) != 2 || !isText(lit.Type) {
				return true
			}
			seen++
			for i, lang := range []string{"en", "ru"} {
				value := lit.Elts[i]
				if pair, ok := value.(*ast.KeyValueExpr); ok {
					value = pair.Value
				}
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				if len(found(pages[lang], text)) == 0 {
					t.Errorf("%s: %s isn't there", lang, text)
				}
			}
			return false
		})
	}
	if seen < 17 {
		t.Errorf("found %d texts", seen)
	}
}

// isText says whether something is a session.Text.
func isText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "Text"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Text"
	}
	return false
}

// A visitor is a browser at the log-in's page.
type visitor struct {
	*http.Client
	c    *collector
	url  string
	lang string
}

func (c *collector) visitor(s *server, lang string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return &visitor{&http.Client{Jar: jar}, c, s.url, lang}
}

// send returns the page that comes in the end.
func (v *visitor) send(method, path string, form url.Values, header ...string) string {
	v.c.t.Helper()
	req, err := http.NewRequestWithContext(v.c.t.Context(), method, v.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.c.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Accept-Language", v.lang)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.Do(req)
	if err != nil {
		v.c.t.Fatal(err)
	}
	defer resp.Body.Close() // it is read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.c.t.Fatal(err)
	}
	return string(text)
}

var (
	problem = regexp.MustCompile(`<p(?: role="alert")?>([^<]*)</p>`)
	hidden  = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)
)

// fails says what a page says is wrong, which the troubleshooting has to have.
func (v *visitor) fails(page string) {
	v.c.t.Helper()
	m := problem.FindStringSubmatch(page)
	if m == nil {
		v.c.t.Errorf("nothing is wrong: %s", page)
		return
	}
	v.c.said(html.UnescapeString(m[1]), v.lang)
}

// form is the log-in's, as it comes, with a name and a password.
func (v *visitor) form(name, password string) url.Values {
	form := url.Values{"name": {name}, "password": {password}}
	for _, m := range hidden.FindAllStringSubmatch(v.send(http.MethodGet, "/console/login", nil), -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return form
}

// file is one with this text.
func file(t *testing.T, text string) string {
	path := filepath.Join(short(t), "sluice.yml")
	write(t, path, text)
	return path
}

func theLogIn(t *testing.T, c *collector) {
	c.t = t
	hash, err := bcrypt.GenerateFromPassword([]byte("not-a-real-password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	where, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(short(t), "client.secret")
	write(t, secret, testoidc.ClientSecret)
	provided := fmt.Sprintf("  oidc:\n    issuer: http://%s/realms/main\n    client_id: %s\n    client_secret_file: %s\n    roles: {net: [viewer]}\n", where, testoidc.ClientID, secret)
	c.ends(short(t), "sluice remediator --web.listen-address=127.0.0.1:0 --config.file="+file(t, "devices: []\naccess:\n"+provided))

	both := start(t, "remediator", fmt.Sprintf("devices: []\naccess:\n  users:\n    - {name: ann, password_hash: '%s', roles: [viewer]}\n%s    redirect_url: http://localhost/console/oidc/callback\n", hash, provided))
	tokens := start(t, "remediator", "devices: []\naccess:\n  tokens:\n    - {name: script, roles: [admin], token_hash: "+strings.Repeat("0", 64)+"}\n")
	langs := []string{"en", "ru"}
	visitors := map[string]*visitor{}
	for _, lang := range langs {
		v := c.visitor(both, lang)
		visitors[lang] = v
		v.fails(c.visitor(tokens, lang).send(http.MethodGet, "/console/login", nil))
		v.fails(c.visitor(tokens, lang).send(http.MethodGet, "/console/oidc/start", nil))
		v.fails(v.send(http.MethodPost, "/console/login", v.form("ann", "wrong")))
		v.fails(v.send(http.MethodPost, "/console/login", v.form("", "")))
		v.fails(v.send(http.MethodPost, "/console/login", nil))
		v.fails(v.send(http.MethodPost, "/console/login", url.Values{"name": {"ann"}}))
		v.fails(v.send(http.MethodGet, "/console/oidc/start", nil)) // nobody listens there yet
	}

	provider := testoidc.Start(t, testoidc.Options{Address: where})
	provider.Client("http://localhost/console/oidc/callback")
	dora := testoidc.Claims{"sub": "f7a1", "preferred_username": "dora", "groups": []string{"net"}}
	for _, lang := range langs {
		v := visitors[lang]
		// The provider sends browsers to http://localhost: the test stands for the proxy there.
		v.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Host == "localhost" {
				r.URL.Host = strings.TrimPrefix(both.url, "http://")
			}
			return nil
		}
		for _, wrong := range []struct {
			person testoidc.Claims
			faults testoidc.Faults
		}{
			{dora, testoidc.Faults{State: "another"}},
			{dora, testoidc.Faults{Deny: "access_denied"}},
			{dora, testoidc.Faults{ForeignKey: true}},
			{testoidc.Claims{"sub": "f7a2", "preferred_username": "erin", "groups": []string{}}, testoidc.Faults{}},
			{testoidc.Claims{"sub": "f7a3", "preferred_username": "ann", "groups": []string{"net"}}, testoidc.Faults{}},
		} {
			provider.LogIn(wrong.person, nil)
			provider.Misbehave(wrong.faults)
			v.fails(v.send(http.MethodGet, "/console/oidc/start", nil))
		}
	}

	// One who is locked out, and a form that was loaded before the configuration took
	// the last password away.
	for _, lang := range langs {
		v := visitors[lang]
		form := v.form("ann", "wrong")
		page := ""
		for range 50 {
			if page = v.send(http.MethodPost, "/console/login", form); strings.Contains(page, "Too many") || strings.Contains(page, "Слишком много") {
				break
			}
		}
		v.fails(page)
	}
	forms := map[string]url.Values{}
	for lang, v := range visitors {
		forms[lang] = v.form("ann", "wrong")
	}
	write(t, filepath.Join(both.dir, "sluice.yml"), "devices: []\naccess:\n"+provided+"    redirect_url: http://localhost/console/oidc/callback\n")
	if err := syscall.Kill(both.process.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	err = rig.Await(t.Context(), 20*time.Second, "the password to be no longer asked for", func(context.Context) error {
		if strings.Contains(visitors["en"].send(http.MethodGet, "/console/login", nil), `name="password"`) {
			return errors.New("it is")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for lang, v := range visitors {
		v.fails(v.send(http.MethodPost, "/console/login", forms[lang]))
	}
}
