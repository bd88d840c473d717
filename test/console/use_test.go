package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/test/console/scene"
)

// tabTo presses the tab key until an element of the page has the focus, and sees to
// it that people see where it is on the way.
func tabTo(ctx context.Context, t *testing.T, selector string) {
	t.Helper()
	for range 80 {
		do(ctx, t, chromedp.KeyEvent(kb.Tab))
		var here, seen bool
		do(ctx, t,
			chromedp.Evaluate(fmt.Sprintf(`document.activeElement.matches(%q)`, selector), &here),
			chromedp.Evaluate(`getComputedStyle(document.activeElement).outlineStyle !== "none" || document.activeElement === document.body`, &seen),
		)
		if !seen {
			var what string
			do(ctx, t, chromedp.Evaluate(`document.activeElement.outerHTML.slice(0, 200)`, &what))
			t.Errorf("nobody sees that this has the focus: %s", what)
		}
		if here {
			return
		}
	}
	t.Fatalf("80 times the tab key, and %s hasn't the focus", selector)
}

func TestAMemberIsDrainedByKeyboardAlone(t *testing.T) {
	p := start(t, "")
	ctx := tab(t, look{})
	do(ctx, t, chromedp.Navigate(p.url+"/"), chromedp.WaitVisible("#table"))
	tabTo(ctx, t, ".skip")
	do(ctx, t, chromedp.KeyEvent(kb.Enter))
	tabTo(ctx, t, `tr[data-key=app1] a`)
	do(ctx, t, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#act"))
	tabTo(ctx, t, "#reason")
	do(ctx, t, chromedp.KeyEvent("a new disk"))
	tabTo(ctx, t, "#act button[value=drain]")
	do(ctx, t, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".banner.good"), chromedp.WaitVisible("#now .kind.drain"))
	if state, _ := p.admin(t, "app1"); state != drained {
		t.Errorf("HAProxy says %s", state)
	}
	var history string
	do(ctx, t, chromedp.Text("#history", &history))
	if !strings.Contains(history, "step drain") || !strings.Contains(history, "a new disk") {
		t.Errorf("its history doesn't tell: %s", history)
	}
	shot(ctx, t, "real-drained")
	wantForEverybody(ctx, t, axe(t))
	do(ctx, t,
		chromedp.Navigate(p.url+"/member?device=edge1&pool=shop&member=app2"), chromedp.SendKeys("#reason", "both disks"),
		chromedp.Click("#act button[value=drain]"), chromedp.WaitVisible(".tried"),
	)
	wantForEverybody(ctx, t, axe(t))
}

func TestEverythingWorksWithoutJavaScript(t *testing.T) {
	p := start(t, "")
	ctx := tab(t, look{noScript: true})
	submit := func(selector, then string) {
		t.Helper()
		do(ctx, t,
			chromedp.SetAttributeValue("html", "data-left", "", chromedp.ByQuery), chromedp.Click(selector, chromedp.ByQuery),
			chromedp.WaitVisible("html:not([data-left]) "+then, chromedp.ByQuery),
		)
	}
	do(ctx, t, chromedp.Navigate(p.url+"/"))
	submit(`tr[data-key=app1] a`, "#act")
	do(ctx, t, chromedp.SendKeys("#reason", "a new disk"))
	submit(`#act button[value=drain]`, ".banner.good")
	if state, _ := p.admin(t, "app1"); state != drained {
		t.Errorf("app1: HAProxy says %s", state)
	}

	// The last one stays, unless a person takes it upon themselves.
	do(ctx, t, chromedp.Navigate(p.url+"/member?device=edge1&pool=shop&member=app2"), chromedp.SendKeys("#reason", "both disks"))
	submit(`#act button[value=drain]`, ".tried")
	if state, _ := p.admin(t, "app2"); state != ready {
		t.Errorf("app2 went although a guard refused: HAProxy says %s", state)
	}
	shot(ctx, t, "real-refused")
	var there string
	do(ctx, t, chromedp.Evaluate(`fetch(location.href).then(r => r.status + " " + document.querySelector("#live").textContent.slice(0, 5))`, &there, awaitPromise))
	if there != "200 as of" {
		t.Errorf("the page of a refusal can't be looked at again: %s", there)
	}
	do(ctx, t, chromedp.Click(`.tried input[value=min_serving]`))
	submit(`.tried button[value=drain]`, ".banner.good")
	if state, _ := p.admin(t, "app2"); state != drained {
		t.Errorf("app2: HAProxy says %s", state)
	}

	do(ctx, t, chromedp.SendKeys("#reason", "light first"), chromedp.SetValue("#weight", "40"))
	submit(`#act button[value=weight]`, ".banner.good")
	if _, weight := p.admin(t, "app2"); weight != "40" {
		t.Errorf("app2: HAProxy gives it the weight %s", weight)
	}
	do(ctx, t, chromedp.SendKeys("#reason", "disks are in"))
	submit(`#act button[value=ready]`, "#now .kind.up")
	if state, _ := p.admin(t, "app2"); state != ready {
		t.Errorf("app2: HAProxy says %s", state)
	}

	do(ctx, t, chromedp.Navigate(p.url+"/freeze"), chromedp.SendKeys("#reason", "deploy of the shop"), chromedp.SendKeys("#for", "2h"))
	submit(`button[value=freeze]`, ".banner.ice")
	submit(`.banner.ice button[value=thaw]`, ".banner.good")
	submit(`nav a[href$=refusals]`, "#list table")
}

func TestPeopleLogInAndDoWhatTheirRolesAllow(t *testing.T) {
	const password = "not-a-real-password"
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, fmt.Sprintf(`access:
  users:
    - {name: ann, password_hash: '%[1]s', roles: [operator]}
    - {name: ben, password_hash: '%[1]s', roles: [viewer]}
`, hash))
	member := p.url + "/member?device=edge1&pool=shop&member=app1"
	enter := func(name string) context.Context {
		t.Helper()
		ctx := tab(t, look{})
		do(ctx, t,
			chromedp.Navigate(member), chromedp.WaitVisible("input[name=password]"),
			chromedp.SendKeys("input[name=name]", name), chromedp.SendKeys("input[name=password]", password+kb.Enter),
			chromedp.WaitVisible("#history"),
		)
		return ctx
	}
	steal := fmt.Sprintf(`fetch(%q, {method: "POST", body: new URLSearchParams({device: "edge1", pool: "shop", member: "app1", do: "drain", reason: "x"})}).then(r => r.status)`, p.url+"/member")

	ctx := enter("ben")
	var forms, status int
	do(ctx, t, chromedp.Evaluate(`document.querySelectorAll("#act form").length`, &forms))
	if forms != 0 {
		t.Error("a viewer is offered steps")
	}

	ctx = enter("ann")
	do(ctx, t, chromedp.Evaluate(steal, &status, awaitPromise))
	if state, _ := p.admin(t, "app1"); status != 403 || state != ready {
		t.Errorf("a form without its token is answered %d, and HAProxy says %s", status, state)
	}
	do(ctx, t,
		chromedp.SendKeys("#reason", "a new disk"), chromedp.Click("#act button[value=drain]"), chromedp.WaitVisible(".banner.good"),
		chromedp.WaitVisible("#now .by.person"),
	)
	var who string
	do(ctx, t, chromedp.Text("#now .by.person", &who))
	if state, _ := p.admin(t, "app1"); who != "ann" || state != drained {
		t.Errorf("it was %q, and HAProxy says %s", who, state)
	}
	do(ctx, t, chromedp.Click(`form[action$=logout] button`), chromedp.WaitVisible("input[name=password]"))
}

func TestThePageIsFreshWithoutAReload(t *testing.T) {
	w := scene.Night()
	base := serve(t, w, nil)
	ctx := tab(t, look{})
	do(ctx, t,
		chromedp.Navigate(base+"/"), chromedp.WaitVisible(`tr[data-key=app2] .kind.up`),
		chromedp.Evaluate(`window.mark = "here"; 0`, nil), chromedp.SendKeys("#q", "typed"),
		chromedp.Focus(`tr[data-key=app3] a`),
	)
	w.Do(func(w *scene.World) {
		for i, m := range w.Roster.Members {
			if m.Member.Pool == "shop" && m.Member.Name == "app2" {
				w.Roster.Members[i] = scene.Out(m, edge.Maint, control.SetBy{By: "person", Actor: "ann", Since: time.Now(), Reason: "by the test"})
			}
		}
		w.Roster.Devices[2].Error = ""
	})
	w.FreezeFor("by the test", time.Hour)
	var mark, typed, focus, who string
	do(ctx, t,
		chromedp.WaitVisible(`tr[data-key=app2] .kind.maint`), chromedp.WaitVisible(".banner.ice"), chromedp.Text(`tr[data-key=app2] .c-who`, &who),
		chromedp.Evaluate(`String(window.mark)`, &mark), chromedp.Value("#q", &typed),
		chromedp.Evaluate(`document.activeElement.closest("tr")?.dataset.key ?? "nothing"`, &focus),
	)
	if mark != "here" || typed != "typed" || focus != "app3" || who != "ann by the test" {
		t.Errorf("mark %q, typed %q, focus on %q, who %q", mark, typed, focus, who)
	}
}

func TestEventsMakeThePageFresh(t *testing.T) {
	p := start(t, "")
	ctx := tab(t, look{})
	do(ctx, t,
		chromedp.ActionFunc(func(ctx context.Context) error { // nothing is asked again and again
			_, err := page.AddScriptToEvaluateOnNewDocument(`window.setInterval = () => 0`).Do(ctx)
			return err
		}),
		chromedp.Navigate(p.url+"/"), chromedp.WaitVisible(`tr[data-key=app1] .kind.up`),
		chromedp.Poll(`document.querySelector("#live").textContent === "live"`, nil, chromedp.WithPollingTimeout(within)),
		chromedp.Evaluate(`window.mark = "here"; 0`, nil),
	)
	p.tell(t, "set server shop/app1 state drain")
	do(ctx, t, chromedp.WaitVisible(`tr[data-key=app1] .kind.drain`), chromedp.WaitVisible(`tr[data-key=app1] .by.unknown`))
	freeze, err := http.Post(strings.TrimSuffix(p.url, "/console")+"/api/v1/freeze", "application/json", strings.NewReader(`{"reason":"by the test"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := freeze.Body.Close(); err != nil || freeze.StatusCode != http.StatusOK {
		t.Fatal(freeze.Status, err)
	}
	var mark string
	do(ctx, t, chromedp.WaitVisible(".banner.ice"), chromedp.Evaluate(`String(window.mark)`, &mark))
	if mark != "here" {
		t.Error("the page was loaded again")
	}
}

func TestLanguageAndColoursAreKept(t *testing.T) {
	base := serve(t, scene.Night(), nil)
	ctx := tab(t, look{scheme: "light"})
	of := func(script string) (got string) {
		t.Helper()
		do(ctx, t, chromedp.Evaluate(script, &got))
		return got
	}
	const background = `getComputedStyle(document.documentElement).backgroundColor`
	do(ctx, t, chromedp.Navigate(base+"/?show=out"))
	light := of(background)
	do(ctx, t, chromedp.Click(`button[value=ru]`), chromedp.WaitVisible(`html[lang=ru] #table`))
	do(ctx, t, chromedp.Click(`button[value=dark]`), chromedp.WaitVisible(`html[data-theme=dark] #table`))
	if got := of(`location.search`); got != "?show=out" {
		t.Errorf("it leads to %s", got)
	}
	do(ctx, t, chromedp.Navigate(base+"/holds"), chromedp.WaitVisible(`html[lang=ru][data-theme=dark]`))
	if dark := of(background); dark == light {
		t.Errorf("dark is %s, like light", dark)
	}
	do(ctx, t, chromedp.Click(`button[value=auto]`), chromedp.WaitVisible(`html:not([data-theme]) #list`))
	if got := of(background); got != light {
		t.Errorf("as the system has it is %s, want %s", got, light)
	}
}

func TestAThousandMembersAreShownInBounds(t *testing.T) {
	base := serve(t, scene.Many(1000), nil)
	for _, width := range []int64{1280, 360} {
		ctx := tab(t, look{width: width})
		var elements, wide int
		do(ctx, t,
			chromedp.Navigate(base+"/"), chromedp.WaitVisible("#table"),
			chromedp.Evaluate(`document.querySelectorAll("*").length`, &elements),
			chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide),
		)
		if elements > 8000 || wide > 0 {
			t.Errorf("%d elements, %d pixels too wide for %d", elements, wide, width)
		}
	}
}
