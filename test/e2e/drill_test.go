package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/ctl/drill"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// drill makes one on a member, each hop of which may take that long.
func (s scene) drill(member string, within time.Duration, change ...func(*drill.Options)) drill.Report {
	s.t.Helper()
	c, err := ctl.New(s.Remediator.URL, "")
	s.must(err)
	o := drill.Options{Client: c, Member: named(member), Within: within, Seen: func(h drill.Hop) {
		var line bytes.Buffer
		s.must(drill.Line(&line, h))
		s.t.Log(strings.TrimRight(line.String(), "\n"))
	}}
	for _, f := range change {
		f(&o)
	}
	r, err := drill.Run(s.t.Context(), o)
	if err != nil {
		s.t.Errorf("drill: %v", err)
	}
	return r
}

// missing are the hops that are missing, and what is said of the first one's cause.
func missing(r drill.Report) (names []string, cause string) {
	for _, h := range r.Hops {
		if h.State != drill.Missing {
			continue
		}
		if names = append(names, h.Name); cause == "" {
			cause = h.Cause
		}
	}
	return names, cause
}

// states is "show servers state" without the column that grows by itself.
func (s scene) states() string {
	s.t.Helper()
	text, err := s.HAProxy.Ask(s.t.Context(), "show servers state")
	s.must(err)
	grows := -1
	var out []string
	for _, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if i := slices.Index(fields, "srv_time_since_last_change"); i > 0 {
			grows = i - 1 // the line of names begins with a #
		}
		if grows >= 0 && len(fields) > grows && fields[0] != "#" {
			fields[grows] = "-"
		}
		out = append(out, strings.Join(fields, " "))
	}
	return strings.Join(out, "\n")
}

// routing edits Alertmanager's configuration while it runs.
func (s scene) routing(edit func(config map[string]any)) {
	s.t.Helper()
	file := filepath.Join(s.Dir, "alertmanager.yml")
	text, err := os.ReadFile(file)
	s.must(err)
	var config map[string]any
	s.must(yaml.Unmarshal(text, &config))
	edit(config)
	changed, err := yaml.Marshal(config)
	s.must(err)
	s.must(os.WriteFile(file, changed, 0o600))
	ctx := context.WithoutCancel(s.t.Context()) // the cleanup comes after its end
	reload := func() error {
		status, answer, err := rig.Do(ctx, http.MethodPost, s.Alertmanager.URL+"/-/reload", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("reload: %d %s", status, answer)
		}
		return err
	}
	s.must(reload())
	s.t.Cleanup(func() {
		s.must(os.WriteFile(file, text, 0o600))
		s.must(reload())
	})
}

func list(v any, key string) []any { return v.(map[string]any)[key].([]any) }

// sluiceRoute is the route to the remediator, in the example that is shipped.
func sluiceRoute(config map[string]any) map[string]any {
	return list(config["route"], "routes")[0].(map[string]any)
}

func sluiceHook(config map[string]any) map[string]any {
	for _, r := range list(config, "receivers") {
		if r := r.(map[string]any); r["name"] == "sluice" {
			return list(r, "webhook_configs")[0].(map[string]any)
		}
	}
	panic("no receiver sluice")
}

// I2, I7, I22, I23: a drill goes the whole way and touches nothing, and each hop
// that is broken is told, with what most likely broke it.
func TestADrillTellsOfEachHopAndTouchesNothing(t *testing.T) {
	s := start(t, rig.Options{Keys: []string{"confirm: none"}}) // the alert alone would do
	before := s.states()
	untouched := func(t *testing.T) {
		t.Helper()
		s.orders()
		if now := s.states(); now != before {
			t.Errorf("HAProxy's servers have changed:\n%s\nwere\n%s", now, before)
		}
		holds, err := s.Holds(t.Context())
		if err != nil || len(holds) != 0 {
			t.Errorf("holds: %v, %v", holds, err)
		}
	}
	const quick = 4 * time.Second
	sub := func(name string, f func(s scene)) {
		t.Run(name, func(t *testing.T) {
			f(scene{s.Rig, t})
			untouched(t)
		})
	}
	// want makes a drill of which these hops are missing.
	want := func(name, cause string, hops []string, prepare func(s scene), change ...func(*drill.Options)) {
		sub(name, func(s scene) {
			if prepare != nil {
				prepare(s)
			}
			r := s.drill("app1", quick, change...)
			names, why := missing(r)
			if !slices.Equal(names, hops) || !strings.Contains(why, cause) || r.Complete {
				t.Errorf("%s: missing %q, cause %q; want %q, %q", name, names, why, hops, cause)
			}
		})
	}

	sub("every hop works", func(s scene) {
		r := s.drill("app1", 20*time.Second)
		if names, why := missing(r); len(names) > 0 || !r.Complete || len(r.Hops) != 10 {
			s.t.Errorf("missing %q: %s", names, why)
		}
		if r.Judged == nil || r.Judged.Would != "put it in drain" {
			s.t.Errorf("judged: %+v", r.Judged)
		}
		entries, err := s.Steps(s.t.Context(), 0)
		s.must(err)
		var said []string
		for _, e := range entries {
			if e.Event == "drill" {
				said = append(said, e.Result)
				continue
			}
			if e.Member != nil {
				s.t.Errorf("it left a record of another kind: %+v", e)
			}
		}
		if !slices.Equal(said, []string{"announced", "complete"}) {
			s.t.Errorf("recorded: %q", said)
		}
	})
	want("Alertmanager is away", "it doesn't run there", []string{"alertmanager"}, nil, func(o *drill.Options) {
		address, err := loopback.Address()
		s.must(err)
		o.Alertmanagers = []string{"http://" + address}
	})
	want("something else answers", "something else answers there", []string{"alertmanager"}, nil, func(o *drill.Options) {
		o.Alertmanagers = []string{s.Alertmanager.URL + "/prefix"}
	})
	want("no route", "no route sends this alert to a webhook", []string{"route", "webhook"}, func(s scene) {
		s.routing(func(c map[string]any) {
			c["receivers"] = append(list(c, "receivers"), map[string]any{"name": "void"})
			c["route"] = map[string]any{"receiver": "void"}
		})
	})
	want("nobody listens", "gives no answer here", []string{"webhook"}, func(s scene) {
		address, err := loopback.Address()
		s.must(err)
		s.routing(func(c map[string]any) { sluiceHook(c)["url"] = "http://" + address + "/webhook" })
	})
	want("a wrong path", "answers 404 here", []string{"webhook"}, func(s scene) {
		s.routing(func(c map[string]any) { sluiceHook(c)["url"] = s.Remediator.URL + "/hook" })
	})
	want("no credentials", "answers 401, and the receiver has no credentials", []string{"webhook"}, func(s scene) {
		guarded := fenced(s.t)
		s.routing(func(c map[string]any) { sluiceHook(c)["url"] = guarded + "/webhook" })
	})
	want("wrong credentials", "the receiver's credentials are wrong", []string{"webhook"}, func(s scene) {
		guarded := fenced(s.t)
		s.routing(func(c map[string]any) {
			h := sluiceHook(c)
			h["url"] = guarded + "/webhook"
			h["http_config"] = map[string]any{"basic_auth": map[string]any{"username": "alertmanager", "password": "not-a-real-password"}}
		})
	})
	want("another remediator", "the receiver's url is that of another remediator", []string{"webhook"}, func(s scene) {
		s.routing(func(c map[string]any) { sluiceHook(c)["url"] = "http://" + s.People.Address + "/" })
	})
	want("inhibited", "another alert that fires inhibits it", []string{"webhook"}, func(s scene) {
		s.routing(func(c map[string]any) {
			c["inhibit_rules"] = []any{map[string]any{"source_matchers": []any{`alertname="Upstairs"`}, "target_matchers": []any{`remediation=~".+"`}}}
		})
		s.must(s.Alertmanager.Say(s.t.Context(), map[string]string{"alertname": "Upstairs"}, time.Now().Add(time.Minute)))
		s.t.Cleanup(func() {
			s.must(s.Alertmanager.Say(context.WithoutCancel(s.t.Context()), map[string]string{"alertname": "Upstairs"}, time.Now()))
		})
	})
	want("silenced", "a silence covers the alert", []string{"webhook"}, func(s scene) {
		id := s.silence("app1")
		s.t.Cleanup(func() {
			_, _, err := rig.Do(context.WithoutCancel(s.t.Context()), http.MethodDelete, s.Alertmanager.URL+"/api/v2/silence/"+id, nil)
			s.must(err)
		})
	})
	want("the route waits", "the route has group_wait 10m", []string{"webhook"}, func(s scene) {
		s.routing(func(c map[string]any) { sluiceRoute(c)["group_wait"] = "10m" })
	})
	want("the end isn't told", "send_resolved: false", []string{"resolved"}, func(s scene) {
		s.routing(func(c map[string]any) { sluiceHook(c)["send_resolved"] = false })
	})
	want("the remediator asks an Alertmanager that is away", "a source of claims is blind", []string{"claim"}, func(s scene) {
		address, err := loopback.Address()
		s.must(err)
		s.must(s.Edit(s.t.Context(), s.Alertmanager.URL, "http://"+address))
		s.t.Cleanup(func() { s.must(s.Edit(context.WithoutCancel(s.t.Context()), "http://"+address, s.Alertmanager.URL)) })
	}, func(o *drill.Options) { o.Alertmanagers = []string{s.Alertmanager.URL} })
	sub("by the program", func(s scene) {
		ask := func(code int, args ...string) string {
			s.t.Helper()
			cmd := exec.CommandContext(s.t.Context(), sluice, append([]string{"ctl", "drill", "app1", "--remediator.url", s.Remediator.URL}, args...)...)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
				s.t.Errorf("sluice ctl drill %q: %v, want exit code %d:\n%s", args, err, code, out)
			}
			return string(out)
		}
		if text := ask(0, "--label", "severity=page"); !strings.Contains(text, "The way is open: every hop works. No device was touched.") || !strings.Contains(text, "min_serving") {
			s.t.Errorf("for people:\n%s", text)
		}
		var r drill.Report
		if err := json.Unmarshal([]byte(ask(0, "--output", "json")), &r); err != nil || !r.Complete || len(r.Hops) != 10 {
			s.t.Errorf("as JSON: %+v, %v", r, err)
		}
		address, err := loopback.Address()
		s.must(err)
		if text := ask(1, "--alertmanager.url", "http://"+address); !strings.Contains(text, "likely: it doesn't run there") {
			s.t.Errorf("for people:\n%s", text)
		}
	})
	sub("no such member", func(s scene) {
		r := s.drill("app9", quick)
		if names, _ := missing(r); !slices.Equal(names, []string{"selected"}) {
			s.t.Errorf("missing %q: %+v", names, r.Hops)
		}
	})
	sub("broken off", func(s scene) {
		ctx, cancel := context.WithCancel(s.t.Context())
		c, err := ctl.New(s.Remediator.URL, "")
		s.must(err)
		r, err := drill.Run(ctx, drill.Options{Client: c, Member: named("app1"), Seen: func(h drill.Hop) {
			if h.Name == "alertmanager" {
				cancel()
			}
		}})
		if err == nil {
			s.t.Error("it says that all went well")
		}
		s.must(rig.Await(s.t.Context(), quick, "its alert to be ended", func(ctx context.Context) error {
			alerts, err := s.Alertmanager.Alerts(ctx)
			for _, a := range alerts {
				if a.Labels["sluice_drill"] == r.Drill {
					err = fmt.Errorf("it still fires: %v", a)
				}
			}
			return err
		}))
	})

	// The real thing still works, with drills behind it.
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
}

// fenced is a web server that wants to know who asks.
func fenced(t *testing.T) string {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	}))
	if err := srv.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	srv.Listener = ln
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

// I22: a remediator that wants to know who sends gets the drill's webhook only from
// an Alertmanager that says so.
func TestADrillTellsOfMissingCredentials(t *testing.T) {
	s := start(t, rig.Options{})
	const token = "not-a-real-token-of-anybody-at-all"
	for name, text := range map[string]string{"am.token": token + "-am", "ann.token": token + "-ann", "client.yml": "authorization: {credentials_file: ann.token}\n"} {
		s.must(os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600))
	}
	config, err := os.ReadFile(s.Config)
	s.must(err)
	s.must(s.Remediator.Kill())
	s.must(os.WriteFile(s.Config, append(config, `
access:
  tokens:
    - {name: alertmanager, roles: [webhook], token_file: am.token}
    - {name: ann, roles: [operator], token_file: ann.token}
`...), 0o600))
	s.must(s.Remediator.Start(t.Context()))

	try := func() drill.Report {
		t.Helper()
		c, err := ctl.New(s.Remediator.URL, filepath.Join(s.Dir, "client.yml"))
		s.must(err)
		return s.drill("app1", 4*time.Second, func(o *drill.Options) { o.Client = c })
	}
	direct := func(credentials string) {
		s.routing(func(c map[string]any) {
			h := sluiceHook(c)
			h["url"] = s.Remediator.URL + "/webhook"
			delete(h, "http_config") // of the case before
			if credentials != "" {
				h["http_config"] = map[string]any{"authorization": map[string]any{"credentials": credentials}}
			}
		})
	}
	for credentials, cause := range map[string]string{
		"":             "answers 401, and the receiver has no credentials: give it http_config with a user or token of the role webhook",
		token + "-x":   "the receiver's credentials are wrong, or not of the role webhook",
		token + "-ann": "the receiver's credentials are wrong, or not of the role webhook",
		token + "-am":  "",
	} {
		direct(credentials)
		names, why := missing(try())
		if cause == "" && len(names) > 0 || cause != "" && (!slices.Equal(names, []string{"webhook"}) || !strings.Contains(why, cause)) {
			t.Errorf("with %q: missing %q, cause %q; want %q", credentials, names, why, cause)
		}
	}
	nobody, err := ctl.New(s.Remediator.URL, "")
	s.must(err)
	if _, err := drill.Run(t.Context(), drill.Options{Client: nobody, Member: named("app1")}); ctl.ExitCode(err) != ctl.ExitDenied {
		t.Errorf("a drill by nobody: %v", err)
	}
	s.orders()
}
