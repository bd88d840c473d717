// Package console looks at the console as people do: in a real Chromium, with and
// without JavaScript, by keyboard, in both languages and both colours, on a narrow
// and a wide screen, and with axe for those who don't see it.
package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/console"
	"github.com/sluice-project/sluice/test/console/scene"
)

// within bounds each wait; the machine may do much else.
const within = 3 * time.Minute

// chromium is the one browser of all tests here; each has tabs of its own.
var chromium context.Context

// scratch is a folder that goes with the browser.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	path, err := exec.LookPath("chromium")
	if err != nil {
		fmt.Fprintln(os.Stderr, "chromium isn't installed: apt-get install chromium, or make deps")
		return 1
	}
	if scratch, err = os.MkdirTemp("", "sluice-chromium-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch) // the browser is gone by then
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(scratch, "profile")), chromedp.WSURLReadTimeout(within),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("font-render-hinting", "none"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // its sandbox doesn't start for root
	}
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop() // ends the process that it began
	ctx, cancel := chromedp.NewContext(allocated)
	defer cancel()
	if err := chromedp.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "chromium doesn't start:", err)
		return 1
	}
	chromium = ctx
	code := m.Run()
	if err := chromedp.Cancel(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "chromium doesn't end:", err)
		return 1
	}
	return code
}

// A look is how somebody sees a page.
type look struct {
	lang, scheme string
	width        int64
	noScript     bool
}

// tab opens a tab of its own, without anybody's cookies.
func tab(t *testing.T, l look) context.Context {
	t.Helper()
	browser := cdp.WithExecutor(chromium, chromedp.FromContext(chromium).Browser)
	profile, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(browser)
	if err != nil {
		t.Fatal(err)
	}
	// Without a window of its own a tab of another profile isn't opened (seen on 156).
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(browser)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithTargetID(id))
	t.Cleanup(cancel)
	ctx, late := context.WithTimeout(ctx, within)
	t.Cleanup(late)
	if l.lang == "" {
		l.lang = "en"
	}
	if l.width == 0 {
		l.width = 1280
	}
	media := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	do(ctx, t,
		network.Enable(),
		network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": l.lang}),
		emulation.SetEmulatedMedia().WithFeatures(media),
		emulation.SetDeviceMetricsOverride(l.width, 900, 1, l.width < 600),
		emulation.SetScriptExecutionDisabled(l.noScript),
	)
	return ctx
}

func do(ctx context.Context, t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// serve shows a world as a remediator's web server does. who is whom all requests
// are from; nil: nobody has to say.
func serve(t *testing.T, w *scene.World, who *access.Identity) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/console/", console.Handler(console.Options{Engine: w, Journal: w}))
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if who != nil {
			r = r.WithContext(access.With(r.Context(), *who))
		}
		mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/console"
}

// shot writes what a tab shows where SCREENSHOTS says, if it says.
func shot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	do(ctx, t, chromedp.FullScreenshot(&png, 100))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// every page, by the name of its screenshot.
var everyPage = map[string]string{
	"members":   "/",
	"service":   "/service?pool=shop",
	"member":    "/member?device=edge1&pool=shop&member=app1",
	"gone":      "/member?device=edge3&pool=shop&member=app1",
	"holds":     "/holds",
	"approvals": "/approvals",
	"refusals":  "/refusals",
	"freeze":    "/freeze",
	"windows":   "/maintenance",
	"nothing":   "/nothing",
}

// axe is the text of axe-core, which make deps installs.
func axe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("axe/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("axe-core isn't installed: make deps: %v", err)
	}
	return string(text)
}

func TestEveryPageIsForEverybody(t *testing.T) {
	script := axe(t)
	w := scene.Night()
	w.FreezeFor("deploy of the shop until the evening", 90*time.Minute)
	ann := access.Open("ann")
	base := serve(t, w, &ann)
	for _, l := range []look{
		{lang: "en", scheme: "light", width: 1280},
		{lang: "ru", scheme: "dark", width: 1280},
		{lang: "ru", scheme: "light", width: 360},
		{lang: "en", scheme: "dark", width: 360},
	} {
		ctx := tab(t, l)
		for name, path := range everyPage {
			t.Run(fmt.Sprintf("%s-%s-%s-%d", name, l.lang, l.scheme, l.width), func(t *testing.T) {
				do(ctx, t, chromedp.Navigate(base+path), chromedp.WaitVisible("#main"))
				shot(ctx, t, fmt.Sprintf("%s-%s-%s-%d", name, l.lang, l.scheme, l.width))
				wantForEverybody(ctx, t, script)
			})
		}
	}
}

// wantForEverybody has axe look at the page, and sees to it that it isn't wider than
// the screen.
func wantForEverybody(ctx context.Context, t *testing.T, script string) {
	t.Helper()
	var violations []string
	var wide int64
	do(ctx, t,
		chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide),
		chromedp.Evaluate(script+";0", nil),
		chromedp.Evaluate(`axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target + " " + n.failureSummary.replace(/\s+/g, " ")).join("; ")))`,
			&violations, chromedp.EvalAsValue, awaitPromise),
	)
	if len(violations) > 0 {
		t.Errorf("axe says:\n%s", strings.Join(violations, "\n"))
	}
	if wide > 0 {
		t.Errorf("%d pixels wider than the screen", wide)
	}
}
