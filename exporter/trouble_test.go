package exporter

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
	"github.com/sluice-project/sluice/exporter/collect"
)

func TestADevicesTroubleIsSaidWhenItIsNew(t *testing.T) {
	failed := func(text string) error { return fmt.Errorf("device edge1: %s", text) }
	slow := fmt.Errorf("device edge1: %w: %w", collect.ErrNoAnswerYet, context.DeadlineExceeded)
	reset := func(port string) error { return failed("read tcp 192.0.2.1:" + port + "->192.0.2.2:8443: reset") }
	type asked struct {
		err     error
		refused map[string]string
		scrape  bool
	}
	const (
		warn   = `level=warn msg="device can't be read" device=edge1 err=`
		well   = `level=info msg="device can be read again" device=edge1`
		twin   = "its name occurs twice"
		nobody = "no such upstream"
	)
	for _, c := range []struct {
		name  string
		asked []asked
		want  []string
	}{
		{"a device that is well", []asked{{}, {scrape: true}}, nil},
		{"the same trouble", []asked{{err: failed("a page")}, {err: failed("a page"), scrape: true}, {}, {}}, []string{warn + `"a page"`, well}},
		{"another trouble", []asked{{err: failed("a page")}, {err: failed("timeout")}}, []string{warn + `"a page"`, warn + "timeout"}},
		{"what differs each time is no news", []asked{{err: reset("40001")}, {err: reset("40002")}}, []string{
			warn + `"read tcp 192.0.2.1:40001->192.0.2.2:8443: reset"`,
		}},
		{"how far it came is no news", []asked{{err: failed("breaks off after 10 bytes")}, {err: failed("breaks off after 99 bytes")}}, []string{
			warn + `"breaks off after 10 bytes"`,
		}},
		{"another status is", []asked{{err: failed("status 401")}, {err: failed("status 403")}}, []string{warn + `"status 401"`, warn + `"status 403"`}},
		{"a scrape that can't wait for it is no news", []asked{{err: failed("timeout")}, {err: slow, scrape: true}, {err: failed("timeout")}}, []string{warn + "timeout"}},
		{"too slow for scrapes, and well for discovery", []asked{{err: slow, scrape: true}, {}, {err: slow, scrape: true}, {}, {scrape: true}}, []string{
			warn + `"no answer yet: context deadline exceeded"`, well,
		}},
		{"first slow, then wrong", []asked{{err: slow, scrape: true}, {err: failed("timeout")}, {err: slow, scrape: true}}, []string{
			warn + `"no answer yet: context deadline exceeded"`, warn + "timeout",
		}},
		{"who asked went away", []asked{{err: fmt.Errorf("device edge1: %w: %w", collect.ErrNoAnswerYet, context.Canceled)}}, nil},
		{"what isn't served", []asked{
			{refused: map[string]string{"shop": twin, "pay": nobody}},
			{refused: map[string]string{"shop": twin, "pay": nobody}, scrape: true},
			{refused: map[string]string{"pay": twin}},
			{err: failed("timeout")},
			{refused: map[string]string{"pay": twin}},
		}, []string{
			`level=warn msg="not served" device=edge1 name=pay err="no such upstream"`,
			`level=warn msg="not served" device=edge1 name=shop err="its name occurs twice"`,
			`level=warn msg="not served" device=edge1 name=pay err="its name occurs twice"`,
			`level=info msg="served again, or gone" device=edge1 name=shop`,
			warn + "timeout", well,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text bytes.Buffer
			e, config, f := newExporter(t, shop, map[string]string{"edge1": "/nowhere"}, log.NewLogfmtLogger(&text))
			for _, a := range c.asked {
				e.note(e.generation().devices[0], a.refused, a.err, a.scrape)
				if err := e.Apply(config, f); err != nil { // a reload says nothing anew
					t.Fatal(err)
				}
			}
			var got []string
			for line := range strings.Lines(text.String()) {
				got = append(got, strings.TrimSpace(line))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Whatever keeps a device from being read is in the log, and so is what of it
// isn't served: metrics say that, and not why.
func TestScrapesOfPTAFsLeaveTheirTroubleInTheLog(t *testing.T) {
	waf := func(sim *ptaftest.Sim, upstreams ...string) fleet.Config {
		p := &fleet.PTAF{URL: sim.Start(t), Upstreams: upstreams}
		p.Client = promconfig.DefaultHTTPClientConfig
		p.Client.BasicAuth = &promconfig.BasicAuth{Username: "sluice", Password: "not-a-real-password"}
		return fleet.Config{Name: "waf1", PTAF: p}
	}
	pro := func(change func(*fleet.PTAFPro)) fleet.Config {
		p := &fleet.PTAFPro{
			URL:   ptafprotest.New(ptafprotest.Options{Profiles: []ptafprotest.Profile{{Name: "twin"}, {Name: "twin"}}}).Start(t),
			Login: &fleet.Login{Username: "sluice", Password: "not-a-real-password"},
		}
		p.Client = promconfig.DefaultHTTPClientConfig
		change(p)
		return fleet.Config{Name: "waf1", PTAFPro: p}
	}
	fault := func(f ptaftest.Fault) fleet.Config {
		sim := ptaftest.New(ptaftest.Options{})
		sim.Misbehave(f, -1)
		return waf(sim)
	}
	twins := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{{Name: "twin"}, {Name: "twin"}}})
	for _, c := range []struct {
		name   string
		config fleet.Config
		up     string
		want   []string // each in a line of its own
	}{
		{"a wrong tenant", pro(func(p *fleet.PTAFPro) { p.Tenant = "nobody" }), "0", []string{`level=warn msg="device can't be read" device=waf1 err="choose the tenant: \"nobody\": no such tenant`}},
		{"a page", fault(ptaftest.HTMLPage), "0", []string{`level=warn msg="device can't be read" device=waf1 err="GET /`}},
		{"an empty body", fault(ptaftest.EmptyBody), "0", []string{`level=warn msg="device can't be read" device=waf1 err="GET /`}},
		{"a cut body", fault(ptaftest.CutBody), "0", []string{`level=warn msg="device can't be read" device=waf1 err="GET /`}},
		{"a missing file", pro(func(p *fleet.PTAFPro) {
			p.Login = &fleet.Login{Username: "sluice", PasswordFile: "/nowhere/password"}
		}), "0", []string{`level=warn msg="device can't be read" device=waf1 err="log in as sluice: password: open /nowhere/password: no such file`}},
		{"upstreams that are refused", waf(twins, "twin", "pay"), "1", []string{
			`level=warn msg="not served" device=waf1 name=pay err=`, `level=warn msg="not served" device=waf1 name=twin err=`,
		}},
		{"profiles that are refused", pro(func(p *fleet.PTAFPro) { p.Profiles = []string{"twin", "pay"} }), "1", []string{
			`level=warn msg="not served" device=waf1 name=pay err=`, `level=warn msg="not served" device=waf1 name=twin err=`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := fleet.New(fleet.Configs{c.config, {Name: "waf2", PTAF: waf(ptaftest.New(ptaftest.Options{})).PTAF}}, fleet.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			e, err := New(Options{Logger: log.NewLogfmtLogger(&text), Config: &Config{}, Fleet: f})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				for _, s := range e.generation().devices {
					s.Close()
				}
			})
			for range 3 {
				_, metrics := get(t, e.Metrics(), "/metrics", timeoutHeader, "60")
				for device, up := range map[string]string{"waf1": c.up, "waf2": "1"} {
					kind := "ptaf"
					if device == "waf1" && c.config.PTAFPro != nil {
						kind = "ptafpro"
					}
					if line := fmt.Sprintf("sluice_device_up{device=%q,kind=%q} %s\n", device, kind, up); !strings.Contains(metrics, line) {
						t.Errorf("no line %q in\n%s", line, metrics)
					}
				}
				if _, page := get(t, e.Landing(), "/"); c.up == "0" && !strings.Contains(page, "no answer, ") {
					t.Error("the landing page says nothing of it")
				}
				old := e.generation() // another one, so that the next scrape asks anew
				if err := e.Apply(&Config{}, f); err != nil {
					t.Fatal(err)
				}
				for _, s := range old.devices {
					s.Close()
				}
			}
			got := strings.Split(strings.TrimSpace(text.String()), "\n")
			if len(got) != len(c.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(got), len(c.want), text.String())
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("line %s\nwant it to begin with %s", got[i], want)
				}
			}
			if strings.Contains(text.String(), "not-a-real") {
				t.Errorf("a secret was logged:\n%s", text.String())
			}
		})
	}
}
