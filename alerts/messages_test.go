package alerts_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/template"

	"github.com/sluice-project/sluice/remediator/announce"
)

// templates are the shipped texts in the newest Alertmanager's own engine.
func templates(t *testing.T) *template.Template {
	t.Helper()
	tmpl, err := template.FromGlobs([]string{"templates/*.tmpl"})
	if err != nil {
		t.Fatal(err)
	}
	if tmpl.ExternalURL, err = url.Parse("https://alertmanager.example.com"); err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func message(status string, alerts ...template.Alert) template.Data {
	d := template.Data{
		Receiver: "people", Status: status, ExternalURL: "https://alertmanager.example.com",
		Alerts: alerts, CommonLabels: template.KV{}, CommonAnnotations: template.KV{}, GroupLabels: template.KV{},
	}
	shared := func(of func(template.Alert) template.KV) template.KV {
		out := template.KV{}
		for k, v := range of(alerts[0]) {
			same := true
			for _, a := range alerts {
				same = same && of(a)[k] == v
			}
			if same {
				out[k] = v
			}
		}
		return out
	}
	d.CommonLabels = shared(func(a template.Alert) template.KV { return a.Labels })
	d.CommonAnnotations = shared(func(a template.Alert) template.KV { return a.Annotations })
	return d
}

func failing(member, status string) template.Alert {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	a := template.Alert{
		Status: status, StartsAt: at,
		Labels:      template.KV{"alertname": "MemberFailing", "severity": "warning", "remediation": "drain", "device": "edge1", "pool": "shop", "member": member},
		Annotations: template.KV{"summary": member + " of pool shop on edge1 fails its probe", "description": "a <b> & c", "runbook_url": "https://example.com/runbook", "dashboard_url": "https://example.com/d/x?a=1&b=2"},
	}
	if status == "resolved" {
		a.EndsAt = at.Add(90 * time.Second)
	}
	return a
}

// approval is one of Sluice's own alerts, as package announce makes them.
func approval() template.Alert {
	a := failing("s1", "firing")
	a.Labels = template.KV{"alertname": announce.ApprovalWaits, "severity": "warning", "announced_by": "sluice", "device": "edge1", "pool": "shop", "member": "s1", "policy": "drain"}
	a.Annotations = template.KV{
		"summary": "Sluice waits for a person's word", "description": "all guards agree", "command": "sluice ctl approve edge1/shop/s1 --reason WHY",
		"console_url": "https://sluice.example.com/console/approvals#t-1",
		"runbook_url": "https://github.com/sluice-project/sluice/blob/main/alerts/runbooks/SluiceApprovalWaits.md",
	}
	return a
}

func TestMessages(t *testing.T) {
	t.Parallel()
	var many []template.Alert
	for i := range 12 {
		many = append(many, failing(fmt.Sprintf("s%d", i), "firing"))
	}
	for name, tt := range map[string]struct {
		template string
		data     template.Data
		has      []string
		hasNot   []string
	}{
		"one that begins": {
			"sluice.en.subject", message("firing", failing("s1", "firing")),
			[]string{"[WARNING 1] s1 of pool shop on edge1 fails its probe"},
			nil,
		},
		"one that ended": {
			"sluice.en.text", message("resolved", failing("s1", "resolved")),
			[]string{"[RESOLVED] s1", "over: s1 of pool", "since 2026-11-21 10:00:00 UTC, until 2026-11-21 10:01:30 UTC"},
			[]string{"a <b>"},
		},
		"who was asked, and where to go on": {
			"sluice.en.text", message("firing", failing("s1", "firing")),
			[]string{"Sluice was asked: policy drain", "what to do: https://example.com/runbook", "board: https://example.com/d/x?a=1&b=2"},
			[]string{"until"},
		},
		"several": {
			"sluice.en.text", message("firing", many...),
			[]string{"[WARNING 12] MemberFailing in pool shop on edge1", "- s9 of pool", "... 12 alerts in all"},
			[]string{"s10 of pool"},
		},
		"Slack's own signs are masked": {
			"sluice.en.slack", message("firing", failing("s1", "firing")),
			[]string{"a &lt;b&gt; &amp; c", "<https://example.com/runbook|What to do>", "<https://example.com/d/x?a=1&amp;b=2|Board>"},
			[]string{"<b>"},
		},
		"a mail holds no foreign HTML": {
			"sluice.en.html", message("firing", failing("s1", "firing")),
			[]string{"a &lt;b&gt; &amp; c", `<a href="https://example.com/runbook">What to do</a>`},
			[]string{"a <b>"},
		},
		"an alert of somebody else's, without any of our texts": {
			"sluice.en.text", message("firing", template.Alert{Status: "firing", Labels: template.KV{"alertname": "HostDown"}}),
			[]string{"[1] HostDown"},
			[]string{"what to do", "no value"},
		},
		"one of Sluice's own": {
			"sluice.en.text", message("firing", approval()),
			[]string{"command: sluice ctl approve", "console: https://sluice.example.com/console/approvals#t-1", "/SluiceApprovalWaits.md"},
			[]string{"Sluice was asked"},
		},
		"one of Sluice's own, in Russian": {
			"sluice.ru.text", message("firing", approval()),
			[]string{"Шаг ждёт согласования, сервер s1", "команда: sluice ctl approve", "консоль: https://sluice.example.com/console/approvals#t-1", "/alerts/runbooks/SluiceApprovalWaits.ru.md"},
			[]string{"росьба о шаге"},
		},
		"a mail of Sluice's own, in Russian": {
			"sluice.ru.html", message("firing", approval()),
			[]string{`/alerts/runbooks/SluiceApprovalWaits.ru.md">Что делать</a>`, `/console/approvals#t-1">Консоль</a>`},
			nil,
		},
		"one that begins, in Russian": {
			"sluice.ru.subject", message("firing", failing("s1", "firing")),
			[]string{"[ВНИМАНИЕ 1] Сервер не проходит пробу, сервер s1, пул shop, устройство edge1"},
			nil,
		},
		"one that ended, in Russian": {
			"sluice.ru.text", message("resolved", failing("s1", "resolved")),
			[]string{"[ЗАВЕРШЕНО] Сервер не проходит", "с 21.11.2026 10:00:00 UTC по 21.11.2026 10:01:30 UTC"},
			[]string{"a <b>"},
		},
		"several, in Russian": {
			"sluice.ru.text", message("firing", many...),
			[]string{"[ВНИМАНИЕ 12] Сервер не проходит пробу, пул shop, устройство edge1", "сервер s9", "... всего тревог: 12"},
			[]string{"сервер s10,"},
		},
		"Slack in Russian": {
			"sluice.ru.slack", message("firing", failing("s1", "firing")),
			[]string{"a &lt;b&gt; &amp; c", "|Что делать>", "Просьба о шаге: политика drain"},
			[]string{"<b>"},
		},
		"a mail in Russian": {
			"sluice.ru.html", message("firing", failing("s1", "firing")),
			[]string{"a &lt;b&gt; &amp; c", `>Что делать</a>`},
			[]string{"a <b>"},
		},
		"an alert of somebody else's, in Russian": {
			"sluice.ru.text", message("firing", template.Alert{Status: "firing", Labels: template.KV{"alertname": "HostDown"}}),
			[]string{"[ТРЕВОГА 1] HostDown"},
			[]string{"что делать", "no value"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := fmt.Sprintf("{{ template %q . }}", tt.template)
			engine := templates(t).ExecuteTextString
			kind := "text"
			if strings.HasSuffix(tt.template, ".html") {
				engine, kind = templates(t).ExecuteHTMLString, "html"
			}
			newest, err := engine(call, tt.data)
			if err != nil {
				t.Fatal(err)
			}
			for by, got := range map[string]string{"the newest": newest, "the machine's": amtoolRender(t, kind, call, tt.data)} {
				for _, want := range tt.has {
					if !strings.Contains(got, want) {
						t.Errorf("%s Alertmanager: no %q in\n%s", by, want, got)
					}
				}
				for _, not := range tt.hasNot {
					if strings.Contains(got, not) {
						t.Errorf("%s Alertmanager: %q in\n%s", by, not, got)
					}
				}
			}
		})
	}
}

// amtoolRender renders by the Alertmanager of this machine, which may be an old one.
func amtoolRender(t *testing.T, kind, call string, data template.Data) string {
	t.Helper()
	b, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, "prometheus-alertmanager", "amtool", "template", "render",
		"--template.glob=templates/*.tmpl", "--template.type="+kind, "--template.text="+call, "--template.data="+path)
}

func TestEveryAlertHasARussianName(t *testing.T) {
	t.Parallel()
	tmpl := templates(t)
	names := slices.Clone(announce.Names)
	for _, r := range readRules(t) {
		names = append(names, r.Alert)
	}
	for _, name := range names {
		got, err := tmpl.ExecuteTextString(`{{ template "sluice.ru.name" . }}`, template.KV{"alertname": name})
		if err != nil {
			t.Fatal(err)
		}
		if got == name || got == "" {
			t.Errorf("%s has no name in templates/sluice.ru.tmpl", name)
		}
	}
}

// TestMessagesOfTheExample: each text that the example names is there, and renders.
func TestMessagesOfTheExample(t *testing.T) {
	t.Parallel()
	tmpl := templates(t)
	used := 0
	var look func(node any)
	look = func(node any) {
		switch x := node.(type) {
		case map[string]any:
			for _, v := range x {
				look(v)
			}
		case []any:
			for _, v := range x {
				look(v)
			}
		case string:
			if !strings.Contains(x, "{{") {
				return
			}
			used++
			if out, err := tmpl.ExecuteTextString(x, message("firing", failing("s1", "firing"))); err != nil || strings.TrimSpace(out) == "" {
				t.Errorf("%s gives %q, %v", x, out, err)
			}
		}
	}
	var file map[string]any
	readYAML(t, "alertmanager.yml", &file)
	look(file["receivers"])
	if used == 0 {
		t.Error("the example uses no text")
	}
}
