package drill

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/loopback"
)

const config = `
route:
  receiver: people
  group_wait: 45s
  routes:
    - receiver: hidden
      matchers: ['alertname="SluiceStep"', 'severity=~"info|none"']
      group_wait: 10m
    - receiver: hidden
      match: {alertname: SluiceStep}
    - receiver: hidden
      match_re: {severity: info|none}
    - receiver: sluice
      matchers: ['remediation=~".+"']
      continue: true
      group_wait: 0s
      routes:
        - mute_time_intervals: [night]
          continue: true
          group_interval: 1s
        - matchers: ['{']
    - receiver: sluice
      group_wait: 1d
      matchers: [remediation="another"]
    - matchers: [device="edge1"]
    - receiver: sluice
      group_wait: 1h
receivers:
  - name: people
    email_configs: [{to: oncall@example.com}]
  - name: sluice
    webhook_configs:
      - url: http://127.0.0.1:11011/webhook
        send_resolved: false
        http_config: {authorization: {credentials: <secret>}}
  - name: hidden
    webhook_configs: [{url: <secret>}]
`

func TestAPlanIsRead(t *testing.T) {
	p := parsePlan(config, map[string]string{"remediation": "drain", "device": "edge1", "severity": "warning"})
	if len(p.receivers) != 3 {
		t.Fatalf("receivers: %+v", p.receivers)
	}
	for what, got := range map[string]bool{
		"the receiver with send_resolved: false is mute":        p.mute("sluice"),
		"one with the default is not":                           !p.mute("hidden"),
		"nor one without webhooks":                              !p.mute("people"),
		"one with credentials isn't bare":                       !p.bare([]string{"people", "sluice"}),
		"one without is":                                        p.bare([]string{"hidden"}),
		"its route keeps hours":                                 p.timed([]string{"sluice"}),
		"that of people doesn't":                                !p.timed([]string{"people"}),
		"a hidden url is no url":                                slices.Equal(p.urls([]string{"hidden", "sluice"}), []string{"http://127.0.0.1:11011/webhook"}),
		"a route inherits, and what nobody says is the default": p.pace([]string{"sluice"}, func(r route) string { return r.GroupWait + " " + r.GroupInterval }) == "0s 1s or 0s 5m",
		"a route that doesn't take the alert isn't among them":  len(p.receivers["hidden"].routes) == 0,
		"nor one behind the last that took it":                  len(p.receivers["sluice"].routes) == 2 && len(p.receivers["people"].routes) == 1,
		"who has no webhook has no pace":                        p.pace([]string{"people"}, func(r route) string { return r.GroupWait }) == "",
	} {
		if !got {
			t.Error(what)
		}
	}
	for _, text := range []string{"", "x", "route: [", "receivers: []"} {
		if p := parsePlan(text, nil); p.receivers != nil {
			t.Errorf("%q is a plan: %+v", text, p)
		}
	}
}

func TestLonger(t *testing.T) {
	for texts, want := range map[string]bool{"": false, "10m": true, "0s or 10m": false, "1m or 10m": true, "1d": true, "x": false} {
		if got := longer(texts, 30*time.Second); got != want {
			t.Errorf("%q: %v", texts, got)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(config)
	f.Add("receivers: [{name: a, webhook_configs: [{}]}]\nroute: {receiver: a, routes: [{}, {routes: [{}]}]}")
	f.Fuzz(func(t *testing.T, text string) {
		p := parsePlan(text, map[string]string{"a": "b"})
		for name, r := range p.receivers {
			for _, one := range r.routes {
				if one.Receiver != name || one.GroupWait == "" || one.GroupInterval == "" {
					t.Errorf("a route of %q has not inherited: %+v", name, one)
				}
			}
		}
	})
}

// I21: words of others are one word in the commands that people are to paste.
func TestCommandsAreQuoted(t *testing.T) {
	if got := forShell("a'; rm -rf /"); got != `'a'\''; rm -rf /'` {
		t.Error(got)
	}
	got := explainLabels(map[string]string{"member": `x"y`, edge.LabelDrill: "d1"})
	if got != `member="x\"y"` {
		t.Error(got)
	}
}

// What doesn't take the alert is told by its likely cause.
func TestWhyAlertmanagerDidNotTakeIt(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("connection refused"), "it doesn't run there"},
		{&statusError{401, ""}, "--alertmanager.http.config.file"},
		{&statusError{403, ""}, "--alertmanager.http.config.file"},
		{&statusError{404, ""}, "--web.route-prefix"},
		{&statusError{400, "no"}, "doesn't take the alert"},
	} {
		if cause, look := untaken(alertmanager{url: "http://192.0.2.1:9093"}, c.err, true); !strings.Contains(cause, c.want) || look == "" {
			t.Errorf("%v: %q, %q", c.err, cause, look)
		}
	}
	for _, u := range []string{"", "192.0.2.1:9093", "ftp://192.0.2.1", "http://ann:not-a-real-password@192.0.2.1"} {
		if _, err := newAlertmanager(u, http.DefaultClient); err == nil || strings.Contains(err.Error(), "password@") {
			t.Errorf("%q: %v", u, err)
		}
	}
}

// A remediator without an Alertmanager leaves no drill behind.
func TestWithoutAnAlertmanagerNothingIsLeftBehind(t *testing.T) {
	var asked []string
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		_, err := w.Write([]byte(`{"success":true,"status_code":200,"data":{"drill":{"id":"d1","member":{"device":"edge1","pool":"shop","member":"app1"},"alertmanagers":[]}}}`))
		if err != nil {
			t.Error(err)
		}
	})}}
	srv.Start()
	defer srv.Close()
	c, err := ctl.New(srv.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), Options{Client: c, Member: edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}})
	if !errors.Is(err, ErrNoAlertmanager) || !slices.Equal(asked, []string{"POST /api/v1/drills", "DELETE /api/v1/drills/d1"}) {
		t.Errorf("%v; asked %q", err, asked)
	}
}

func TestReportForPeople(t *testing.T) {
	r := Report{Judged: &journal.Verdict{Decision: []byte(`{"findings":[{"guard":"freeze","ok":true,"detail":"not frozen"},{"guard":"evidence","ok":false,"reason":"contradicted","detail":"it is well"}]}`)}}
	var b strings.Builder
	if err := Line(&b, Hop{Name: "webhook", State: Missing, Detail: "none", Cause: "no route", Look: "amtool"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"missing", "likely: no route", "look:   amtool", "freeze       yes", "evidence     no, contradicted", "The way is not open"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
