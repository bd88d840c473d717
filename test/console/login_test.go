package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/login"
	"github.com/sluice-project/sluice/remediator/access/oidc"
	"github.com/sluice-project/sluice/remediator/console"
	"github.com/sluice-project/sluice/test/console/scene"
	testoidc "github.com/sluice-project/sluice/test/oidc"
)

// ann's password.
const password = "not-a-real-password"

// serveLogin shows a world behind the log-in, where ann has a password and dora comes
// by a provider.
func serveLogin(t *testing.T, w *scene.World) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	provider := testoidc.Start(t, testoidc.Options{Public: true})
	c := &access.Config{
		Users: []access.User{{Name: "ann", PasswordHash: string(hash), Roles: []string{access.Operator}}},
		OIDC: &oidc.Config{
			Issuer: provider.Issuer, ClientID: testoidc.ClientID, Title: "Example", Roles: map[string][]string{"watch": {access.Viewer}},
		},
	}
	if m := c.Validate(); len(m) > 0 {
		t.Fatal(m)
	}
	gate, err := access.New(access.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s := httptest.NewServer(gate.Handler(mux))
	t.Cleanup(s.Close)
	people := login.New(login.Options{Gate: gate, Origin: s.URL})
	use, err := people.Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	use()
	gate.UseSource(people, login.Paths()...)
	for _, path := range login.Paths() {
		mux.Handle(path, people.Handler())
	}
	mux.Handle("/console/", console.Handler(console.Options{Engine: w, Journal: w}))
	provider.Client(s.URL + oidc.Callback)
	provider.LogIn(testoidc.Claims{"sub": "f7a1", "preferred_username": "dora", "groups": []string{"watch"}}, nil)
	return s.URL + "/console"
}

func TestTheLogInPageIsForEverybody(t *testing.T) {
	script := axe(t)
	base := serveLogin(t, scene.Night())
	for _, l := range []look{
		{lang: "en", scheme: "light", width: 1280},
		{lang: "ru", scheme: "dark", width: 1280},
		{lang: "ru", scheme: "light", width: 360},
		{lang: "en", scheme: "dark", width: 360},
	} {
		t.Run(fmt.Sprintf("%s-%s-%d", l.lang, l.scheme, l.width), func(t *testing.T) {
			ctx := tab(t, l)
			for _, page := range []string{"login", "login-wrong"} {
				do(ctx, t, chromedp.Navigate(base+"/holds"), chromedp.WaitVisible("#password"))
				if page == "login-wrong" {
					do(ctx, t, chromedp.SendKeys("#name", "ann"), chromedp.SendKeys("#password", "wrong"+kb.Enter), chromedp.WaitVisible("[role=alert]", chromedp.ByQuery))
				}
				var violations []string
				var wide int64
				var focus, corner string
				do(ctx, t,
					chromedp.Evaluate(`document.activeElement.id`, &focus),
					chromedp.Evaluate(`getComputedStyle(document.querySelector("button")).borderRadius`, &corner),
					chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide),
				)
				shot(ctx, t, fmt.Sprintf("%s-%s-%s-%d", page, l.lang, l.scheme, l.width))
				do(ctx, t,
					chromedp.Evaluate(script+";0", nil),
					chromedp.Evaluate(`axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target + " " + n.failureSummary.replace(/\s+/g, " ")).join("; ")))`,
						&violations, chromedp.EvalAsValue, awaitPromise),
				)
				if len(violations) > 0 {
					t.Errorf("%s: axe says:\n%s", page, strings.Join(violations, "\n"))
				}
				if wide > 0 {
					t.Errorf("%s: %d pixels wider than the screen", page, wide)
				}
				if want := map[string]string{"login": "name", "login-wrong": "password"}[page]; focus != want {
					t.Errorf("%s: the focus is on %q, want %q", page, focus, want)
				}
				if corner != "4px" {
					t.Errorf("%s: the browser doesn't take the page's style: %s", page, corner)
				}
			}
		})
	}
}

func TestPeopleLogInInARealBrowser(t *testing.T) {
	for name, l := range map[string]look{"with JavaScript": {}, "without": {noScript: true}} {
		t.Run(name, func(t *testing.T) {
			w := scene.Night()
			base := serveLogin(t, w)
			ctx := tab(t, l)
			at := func(want string) {
				t.Helper()
				var where string
				do(ctx, t, chromedp.Location(&where))
				if where != base+want {
					t.Errorf("at %s, want %s", where, base+want)
				}
			}

			// By keyboard: the focus is where one types.
			do(ctx, t, chromedp.Navigate(base+"/holds"), chromedp.WaitVisible("#password"),
				chromedp.KeyEvent("ann"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(password), chromedp.KeyEvent(kb.Enter),
				chromedp.WaitVisible("#main"))
			at("/holds")
			var cookies []*network.Cookie
			do(ctx, t, chromedp.ActionFunc(func(ctx context.Context) (err error) {
				cookies, err = network.GetCookies().Do(ctx)
				return err
			}))
			if len(cookies) != 1 || !cookies[0].HTTPOnly || cookies[0].SameSite != network.CookieSameSiteLax || !cookies[0].Session {
				t.Errorf("cookies %+v", cookies)
			}

			// Out again, by the console's own button.
			do(ctx, t, chromedp.Submit(`form[action$="/console/logout"]`), chromedp.WaitVisible("#password"))
			at("/login")
			do(ctx, t, chromedp.Navigate(base+"/freeze"), chromedp.WaitVisible("#password"))
			at("/login?next=%2Fconsole%2Ffreeze")

			// By the provider, and back to the page that was asked for.
			do(ctx, t, chromedp.Click("a.with"), chromedp.WaitVisible("#main"))
			at("/freeze")
			var who string
			do(ctx, t, chromedp.Text(".who", &who))
			if !strings.Contains(who, "dora") {
				t.Errorf("logged in as %q", who)
			}
		})
	}
}
