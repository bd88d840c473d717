package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// A PTAF that is configured wrong stands beside one that is right, in one
// exporter. That one is served, whatever is wrong with the other.
const healthy = "waf-good"

// watched runs the exporter, with a healthy PTAF and the given devices of
// sluice.yml, until the test's end.
func watched(t *testing.T, devices string) *watcher {
	t.Helper()
	good := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{shopFront(backend("192.0.2.21", 8080))}}).Start(t)
	w := &watcher{t: t, dir: t.TempDir()}
	address, err := loopback.Address()
	w.must(err)
	w.url, w.config = "http://"+address, filepath.Join(w.dir, "sluice.yml")
	w.must(os.WriteFile(w.config, []byte("devices:\n"+ptafDevice(healthy, good, right)+devices), 0o600))
	if out := runSluice(t, "config", "check", w.config); !strings.Contains(out, ": ok: ") {
		t.Errorf("config check said %q", out)
	}
	log, err := os.Create(w.logFile())
	w.must(err)
	defer log.Close() // the program has its own copy
	cmd := exec.Command(sluice, "exporter", "--config.file="+w.config, "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = log, log
	w.must(cmd.Start())
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the exporter ended with %v; it wrote:\n%s", err, w.log())
		}
	})
	return w
}

type watcher struct {
	t                *testing.T
	dir, url, config string
}

func (w *watcher) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watcher) logFile() string { return filepath.Join(w.dir, "exporter.log") }

func (w *watcher) log() string {
	text, err := os.ReadFile(w.logFile())
	w.must(err)
	return string(text)
}

func shopFront(b ...ptaftest.Backend) ptaftest.Upstream {
	return ptaftest.Upstream{Name: rig.WAFUpstream, Backends: b}
}

func backend(address string, port int) ptaftest.Backend {
	return ptaftest.Backend{Address: address, Port: port, Weight: 1}
}

func ptafDevice(name, url, password string) string {
	return fmt.Sprintf("  - {name: %s, ptaf: {url: %s, timeout: 1s, basic_auth: {username: sluice, password: %s}}}\n", name, url, password)
}

func proDevice(name, url, password string) string {
	return fmt.Sprintf("  - {name: %s, ptafpro: {url: %s, timeout: 1s, login: {username: sluice, password: %s}}}\n", name, url, password)
}

// said is all that the exporter says of a device: its own page has the whole
// error, the log what stands in one call.
func (w *watcher) said() (page, log string) {
	w.t.Helper()
	status, body, err := rig.Do(w.t.Context(), http.MethodGet, w.url+"/", nil)
	w.must(err)
	if status != http.StatusOK {
		w.t.Errorf("the page has status %d", status)
	}
	return html.UnescapeString(string(body)), w.log()
}

// scraped waits for metrics with these series, each with its value.
func (w *watcher) scraped(want ...string) {
	w.t.Helper()
	w.must(rig.Await(w.t.Context(), outWithin, "the exporter to show what it should", func(ctx context.Context) error {
		_, body, err := rig.Do(ctx, http.MethodGet, w.url+"/metrics", nil)
		if err != nil {
			return err
		}
		for _, line := range want {
			if !strings.Contains("\n"+string(body), "\n"+line+"\n") {
				return fmt.Errorf("no %s", line)
			}
		}
		return nil
	}))
}

// get is what "sluice ptaf get" says of a device called bad.
func (w *watcher) get(upstream string) (out string, code int) {
	w.t.Helper()
	text, err := exec.CommandContext(w.t.Context(), sluice, "ptaf", "get", upstream, "--device=bad", "--config.file="+w.config).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	} else if err != nil {
		code = exit.ExitCode()
	}
	return string(text), code
}

// A mistake is one way to get a device wrong, and what is said of it.
type mistake struct {
	device func(*testing.T) string // a device called bad
	series []string                // of it
	page   string                  // part of the error; empty: the device answers
	log    string
	get    string // the upstream to ask for; empty: PTAF PRO, which can't be
	says   string // part of the only line that comes then
}

const (
	right = "not-a-real-password"
	wrong = "not-the-real-password"

	down   = `sluice_device_up{device="bad",kind="ptaf"} 0`
	up     = `sluice_device_up{device="bad",kind="ptaf"} 1`
	proOut = `sluice_device_up{device="bad",kind="ptafpro"} 0`
	proUp  = `sluice_device_up{device="bad",kind="ptafpro"} 1`

	untrusted   = "certificate signed by unknown authority: give it as tls_config.ca_file, or its SHA-256 as pin_sha256"
	unreachable = "connection refused: check the url, and that the device can be reached from here"
)

// with puts further keys into a device.
func with(device, keys string) string {
	return strings.Replace(device, "timeout: ", keys+", timeout: ", 1)
}

func threeX() *ptaftest.Sim {
	return ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{
		shopFront(backend("192.0.2.11", 8080), backend("192.0.2.12", 8080), backend("192.0.2.11", 8080)), {Name: "empty"},
	}})
}

func pro() *ptafprotest.Sim {
	o := ptafprotest.Options{}
	p := ptafprotest.Profile{Name: rig.WAFProProfile}
	for i, address := range []string{"192.0.2.11", "192.0.2.12", "192.0.2.11"} {
		id := fmt.Sprintf("0f5b2a4e-0000-4000-8000-%012d", i+1)
		o.Backends = append(o.Backends, ptafprotest.Backend{ID: id, Address: address, Port: 8080})
		p.Backends = append(p.Backends, ptafprotest.Entry{Backend: id})
	}
	o.Profiles = []ptafprotest.Profile{p, {Name: "empty"}}
	return ptafprotest.New(o)
}

func nobody(t *testing.T) string {
	t.Helper()
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address
}

var mistakes = map[string]mistake{
	"a wrong password": {
		device: func(t *testing.T) string { return ptafDevice("bad", threeX().Start(t), wrong) },
		series: []string{down},
		page:   "status 401: credentials are wrong, or the user is not active",
		log:    "HTTP status 401: check username and password",
		get:    rig.WAFUpstream, says: "GET /upstreams: status 401: credentials are wrong, or the user is not active",
	},
	"a wrong password for a PTAF PRO": {
		device: func(t *testing.T) string { return proDevice("bad", pro().Start(t), wrong) },
		series: []string{proOut},
		page:   "log in as sluice: POST /auth/refresh_tokens: HTTP status 422: incorrect_credentials, Incorrect username or password: wrong credentials: check username and password",
		log:    "HTTP status 422: check username and password",
	},
	"an upstream that isn't there": {
		device: func(t *testing.T) string {
			return with(ptafDevice("bad", threeX().Start(t), right), "upstreams: [shop-front, ffffffffffffffffffffffff]")
		},
		series: []string{
			up, `ptaf_upstream_refused{device="bad",upstream="ffffffffffffffffffffffff"} 1`,
			`ptaf_backend_down{device="bad",upstream="shop-front",backend="192.0.2.12:8080"} 0`,
		},
		get: "ffffffffffffffffffffffff", says: "no such upstream: there are empty, shop-front",
	},
	"a traffic profile that isn't there": {
		device: func(t *testing.T) string {
			return with(proDevice("bad", pro().Start(t), right), "profiles: [public-443, public-80]")
		},
		series: []string{
			proUp, `ptaf_upstream_refused{device="bad",upstream="public-80"} 1`,
			`ptaf_backend_down{device="bad",upstream="public-443",backend="192.0.2.12:8080"} 0`,
		},
	},
	"a tenant that isn't there": {
		device: func(t *testing.T) string { return with(proDevice("bad", pro().Start(t), right), "tenant: shop") },
		series: []string{proOut},
		page:   `choose the tenant: "shop": no such tenant: there are default`,
	},
	"a path that isn't the API's": {
		device: func(t *testing.T) string {
			return ptafDevice("bad", strings.TrimSuffix(threeX().Start(t), "/v2"), right)
		},
		series: []string{down},
		page:   "GET /upstreams: status 404: not there: check the URL",
		log:    "GET /api/waf/upstreams",
		get:    rig.WAFUpstream, says: "status 404: not there: check the URL",
	},
	"an address where pages are served": {
		device: func(t *testing.T) string {
			sim := threeX()
			sim.Misbehave(ptaftest.HTMLPage, -1)
			return ptafDevice("bad", sim.Start(t), right)
		},
		series: []string{down},
		page:   `GET /upstreams: not what the API answers: no JSON: "Sign in": check the URL`,
		get:    rig.WAFUpstream, says: `no JSON: "Sign in": check the URL`,
	},
	"an address where other pages are served": {
		device: func(t *testing.T) string {
			sim := pro()
			sim.Misbehave(ptafprotest.HTMLPage, -1)
			return proDevice("bad", sim.Start(t), right)
		},
		series: []string{proOut},
		page:   `log in as sluice: POST /auth/refresh_tokens: "Sign in Sign in": not what the API answers: check the URL`,
	},
	"a certificate that signed itself": {
		device: func(t *testing.T) string {
			url, _ := threeX().StartTLS(t)
			return ptafDevice("bad", url, right)
		},
		series: []string{down}, page: untrusted, log: untrusted, get: rig.WAFUpstream, says: untrusted,
	},
	"a certificate of a PTAF PRO that signed itself": {
		device: func(t *testing.T) string {
			url, _ := pro().StartTLS(t)
			return proDevice("bad", url, right)
		},
		series: []string{proOut}, page: untrusted, log: untrusted,
	},
	"an address where nobody listens": {
		device: func(t *testing.T) string { return ptafDevice("bad", nobody(t)+ptaftest.Base, right) },
		series: []string{down}, page: unreachable, log: unreachable, get: rig.WAFUpstream, says: unreachable,
	},
	"an address where no PTAF PRO listens": {
		device: func(t *testing.T) string { return proDevice("bad", nobody(t)+ptafprotest.Base, right) },
		series: []string{proOut}, page: unreachable, log: unreachable,
	},
	"twins and an upstream without backends": {
		device: func(t *testing.T) string { return ptafDevice("bad", threeX().Start(t), right) },
		series: []string{
			up, `ptaf_upstream_backends{device="bad",upstream="shop-front"} 3`, `ptaf_upstream_backends{device="bad",upstream="empty"} 0`,
			`ptaf_backend_down{device="bad",upstream="shop-front",backend="192.0.2.11:8080"} 0`,
			`ptaf_backend_down{device="bad",upstream="shop-front",backend="192.0.2.11:8080#2"} 0`,
			`sluice_member_serving{device="bad",pool="shop-front",member="192.0.2.11:8080#2"} 1`,
		},
		get: "empty", says: `"backends":[]`,
	},
	"twins and a traffic profile without backends": {
		device: func(t *testing.T) string { return proDevice("bad", pro().Start(t), right) },
		series: []string{
			proUp, `ptaf_upstream_backends{device="bad",upstream="public-443"} 3`, `ptaf_upstream_backends{device="bad",upstream="empty"} 0`,
			`ptaf_backend_down{device="bad",upstream="public-443",backend="192.0.2.11:8080"} 0`,
			`ptaf_backend_down{device="bad",upstream="public-443",backend="192.0.2.11:8080#2"} 0`,
			`sluice_member_serving{device="bad",pool="public-443",member="192.0.2.11:8080#2"} 1`,
		},
	},
}

// What is wrong with a device is said in one line that helps, without the
// password, and the device beside it is served.
func TestAWrongDeviceIsToldOfAndTheOthersAreServed(t *testing.T) {
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watched(t, m.device(t))
			good := []string{
				`sluice_device_up{device="` + healthy + `",kind="ptaf"} 1`,
				`ptaf_backend_down{device="` + healthy + `",upstream="shop-front",backend="192.0.2.21:8080"} 0`,
			}
			w.scraped(append(good, m.series...)...)
			page, log := w.said()
			if !strings.Contains(page, m.page) || (m.page == "") == strings.Contains(page, "no answer") {
				t.Errorf("the page doesn't say %q:\n%s", m.page, page)
			}
			if !strings.Contains(log, m.log) {
				t.Errorf("the log doesn't say %q:\n%s", m.log, log)
			}
			said := ""
			if m.get != "" {
				var code int
				said, code = w.get(m.get)
				if !strings.Contains(said, m.says) || strings.Count(said, "\n") != 1 || (code == 0) != json.Valid([]byte(said)) {
					t.Errorf("ptaf get ended with %d and %q, want %q", code, said, m.says)
				}
			}
			for _, password := range []string{right, wrong} {
				if strings.Contains(page+log+said, password) {
					t.Errorf("a password in %s%s%s", page, log, said)
				}
			}
			w.scraped(good...)
		})
	}
}

// entry waits for a record of a step on that device whose detail says this.
func (s scene) entry(device, says string) journal.Entry {
	s.t.Helper()
	var found journal.Entry
	s.must(rig.Await(s.t.Context(), outWithin, "a record of "+device+" that says "+says, func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		i := slices.IndexFunc(entries, func(e journal.Entry) bool {
			return e.Member != nil && e.Member.Device == device && strings.Contains(e.Detail, says)
		})
		switch {
		case err != nil:
			return err
		case i < 0:
			return fmt.Errorf("none in %d entries", len(entries))
		}
		found = entries[i]
		return nil
	}))
	if strings.Contains(found.Detail, "\n") {
		s.t.Errorf("%q is more than one line", found.Detail)
	}
	return found
}

// logged wants a line of the remediator's log to have all of that.
func (s scene) logged(parts ...string) {
	s.t.Helper()
	for line := range strings.Lines(s.Remediator.Log(10000)) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			return
		}
	}
	s.t.Errorf("no line of the log has %q", parts)
}

// A user who may read and not write: the refusal names the right, and the HAProxy
// beside is served. With the right, the step is taken.
func TestAUserWithoutTheRightToWriteIsToldWhich(t *testing.T) {
	t.Run("PTAF", func(t *testing.T) {
		s := start(t, rig.Options{WAF: true})
		s.WAF.Misbehave(ptaftest.Forbidden, -1)
		s.set("app2", rig.Refuse)
		s.becomes(outWithin, "app2", rig.AdminDrain)
		if e := s.entry(rig.WAFDevice, "status 403: forbidden: reading wants a right to view Upstreams, writing can_edit on Upstreams"); e.Result != "failed" {
			t.Errorf("the step is recorded as %q", e.Result)
		}
		s.logged("level=warn", "device="+rig.WAFDevice, "command=\"PATCH ", `err="HTTP status 403: the user lacks the right for this"`)
		s.downs(outWithin)
		s.WAF.Behave()
		s.downs(time.Minute, "app2")
	})
	t.Run("PTAF PRO", func(t *testing.T) {
		s := start(t, rig.Options{WAFPro: true})
		s.WAFPro.MisbehaveOnWrites(ptafprotest.Forbidden, -1)
		s.set("app2", rig.Refuse)
		s.becomes(outWithin, "app2", rig.AdminDrain)
		s.entry(rig.WAFProDevice, "the user lacks the right for this")
		s.entry(rig.WAFProDevice, "no step can be taken on this device: enabled of a backend can't be written: ")
		s.entry(rig.WAFProDevice, "(configuration.backends.update)")
		s.logged("level=warn", "device="+rig.WAFProDevice, "command=\"PATCH ", `err="HTTP status 403: the user lacks the right for this"`)
		s.counts("sluice_remediation_device_read_only", map[string]string{"device": rig.WAFProDevice}, 1)
		s.must(s.WAFPro.WantEnabled(s.Member("app2"), true)(t.Context()))
	})
}

// A password that is changed on the device while we run costs that device alone.
func TestAPasswordThatIsChangedCostsOneDevice(t *testing.T) {
	s := start(t, rig.Options{WAF: true})
	s.WAF.Misbehave(ptaftest.Unauthorized, -1)
	s.set("app2", rig.Refuse)
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.entry(rig.WAFDevice, "status 401: credentials are wrong, or the user is not active")
	s.logged("level=warn", "device can't be read", "device="+rig.WAFDevice, "credentials are wrong")
	s.WAF.Behave()
	s.downs(outWithin, "app2")
}

// Twins are two members: the second is "address:port#2". The same server behind
// both, they go out one after the other, and come back.
func TestTwinsOfAnUpstreamAreTakenOutBoth(t *testing.T) {
	s := start(t, rig.Options{WAF: true, MaxHeld: 2})
	s.WAF.Touch(rig.WAFUpstream, func(u *ptaftest.Upstream) { u.Backends = append(u.Backends, u.Backends[1]) })
	before := s.object()
	twins := []string{s.Member("app2").Address, s.Member("app2").Address + "#2"}
	for _, name := range twins {
		s.must(rig.Await(t.Context(), outWithin, "Prometheus to know "+name, func(ctx context.Context) error {
			got, err := s.Prometheus.Vector(ctx, fmt.Sprintf(`sluice_probe_up{device=%q,member=%q}`, rig.WAFDevice, name))
			if err == nil && len(got) == 0 {
				err = errors.New("it doesn't")
			}
			return err
		}))
	}
	s.set("app2", rig.Refuse)
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.must(rig.Await(t.Context(), outWithin, "two backends to be DOWN", func(context.Context) error {
		if n := strings.Count(string(s.WAF.Object(rig.WAFUpstream)), `"down":true`); n != 2 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	}))
	holds, err := s.Holds(t.Context())
	s.must(err)
	for _, name := range twins {
		if !slices.ContainsFunc(holds, func(h journal.Hold) bool { return h.Member == onWAF(name) }) {
			t.Errorf("%s isn't held: %+v", name, holds)
		}
	}
	s.set("app2", rig.Serve)
	s.holdsOnly()
	if d := cmp.Diff(before, s.object()); d != "" {
		t.Errorf("the object isn't as it was:\n%s", d)
	}
}

// An upstream whose backends are all gone is nothing to act on, and no reason to
// leave the other devices alone (SAFETY.md I2).
func TestAnUpstreamThatIsEmptiedIsLeftAlone(t *testing.T) {
	s := start(t, rig.Options{WAF: true})
	s.WAF.Touch(rig.WAFUpstream, func(u *ptaftest.Upstream) { u.Backends = nil })
	s.set("app2", rig.Refuse)
	s.must(s.Alertmanager.Say(t.Context(), map[string]string{
		"alertname": "Handmade", "device": rig.WAFDevice, "pool": rig.WAFUpstream, "member": s.Member("app2").Address, "remediation": "drain",
	}, time.Now().Add(5*time.Minute)))
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.refusedOn(onWAF(s.Member("app2").Address), "inventory")
	if n := len(s.WAF.Writes()); n != 0 {
		t.Errorf("%d PATCHes", n)
	}
}
