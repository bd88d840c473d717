package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// TestEachPatternFindsValues puts what the templates ask for to what both programs
// really tell: of a HAProxy and a simulated PTAF, with a member held.
func TestEachPatternFindsValues(t *testing.T) {
	dir := t.TempDir()
	sluice, err := rig.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rig.Start(t.Context(), rig.Options{
		Sluice: sluice, WAF: true, MaxHeld: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.Logs(20))
		}
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := r.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Members[0].Set(rig.Refuse); err != nil {
		t.Fatal(err)
	}
	held := pattern{metric: "sluice_remediation_steps_total", matchers: []matcher{{"result", "=", "applied"}}}
	err = rig.Await(t.Context(), time.Minute, "a step", func(ctx context.Context) error {
		all, err := scrape(ctx, r.Remediator.URL)
		if err == nil && len(held.in(all)) == 0 {
			err = errors.New("no step yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	people(t, r)

	tells := map[string][]series{}
	for part, url := range map[string]string{"Sluice exporter by HTTP": r.Exporter.URL, "Sluice remediator by HTTP": r.Remediator.URL} {
		if tells[part], err = scrape(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}
	for _, tpl := range shipped(t).Templates {
		all := tells[tpl.Template]
		if len(all) < 50 {
			t.Fatalf("%s: %d series", tpl.Template, len(all))
		}
		for _, it := range tpl.Items {
			if it.Type == "DEPENDENT" && finds(t, it, nil, all) == 0 && quietHere[it.Key] == "" {
				t.Errorf("%s: no value", it.Key)
			}
		}
		for _, rule := range tpl.Discovery {
			p, err := parsePattern(rule.Preprocessing[0].Parameters[0])
			if err != nil {
				t.Fatal(err)
			}
			rows := p.in(all)
			if len(rows) == 0 && !absentHere[rule.Name] {
				t.Errorf("%s: nothing is discovered", rule.Name)
			}
			for _, it := range rule.Items {
				found := 0
				for _, row := range rows {
					found += finds(t, it, row.labels, all)
				}
				if name, _, _ := strings.Cut(it.Key, "["); found == 0 && len(rows) > 0 && quietHere[name] == "" {
					t.Errorf("%s: no value for any of %d", it.Key, len(rows))
				}
			}
		}
	}
}

// absentHere are what the rig doesn't have.
var absentHere = map[string]bool{
	"Probed targets":     true, // its probes are of members
	"Tokens that expire": true, // it has no users
}

// quietHere are items that count what doesn't happen here, with the reason.
var quietHere = map[string]string{
	"sluice.exporter.ptaf.diverge":          "one node alone has nobody to differ from",
	"sluice.exporter.ptaf.errors":           "the simulated PTAF answers",
	"sluice.exporter.ptaf.refused":          "its upstreams are in order",
	"sluice.remediator.expired":             "no hold lasts for an hour",
	"sluice.remediator.pool.ineffective":    "no step is judged before 15 s have passed",
	"sluice.remediator.steps.failed":        "devices obey: " + string(journal.Failed),
	"sluice.remediator.steps.indeterminate": "devices answer: " + string(journal.Indeterminate),
	"sluice.remediator.waiting.approval":    "the mode is auto: " + string(journal.AwaitingApproval),
	"sluice.remediator.waiting.quarantined": "nothing flaps: " + string(journal.Quarantined),
}

// TestQuietItemsAskForWordsThatThereAre: what never shows here is at least spelt as
// the remediator spells it.
func TestQuietItemsAskForWordsThatThereAre(t *testing.T) {
	t.Parallel()
	all := map[string]string{}
	for _, tpl := range shipped(t).Templates {
		for key, pattern := range patterns(tpl) {
			name, _, _ := strings.Cut(key, "[")
			all[name] = pattern
		}
	}
	for key, reason := range quietHere {
		pattern, there := all[key]
		if !there {
			t.Errorf("%s: there is no such item", key)
		}
		if _, word, told := strings.Cut(reason, ": "); told && !strings.Contains(pattern, `"`+word+`"`) {
			t.Errorf("%s: %s doesn't ask for %s", key, pattern, word)
		}
	}
}

// people do what shows in items on them: one claims a member, freezes a pool, plans
// work, and a webhook comes that is none. Then a member of that pool fails, and has to wait.
func people(t *testing.T, r *rig.Rig) {
	t.Helper()
	for path, body := range map[string]string{
		"/api/v1/members/" + rig.Device + "/" + rig.Pool + "/" + r.Members[2].Name + "/claim": `{"reason": "a new disk", "for": "1h"}`,
		"/api/v1/freeze":      `{"device": "` + rig.Device + `", "pool": "` + rig.Pool + `", "reason": "a release", "for": "1h"}`,
		"/api/v1/maintenance": `{"name": "disks", "members": {"device": "` + rig.Device + `"}, "from": "2026-01-01T00:00:00Z", "to": "2096-01-01T00:00:00Z", "reason": "new disks"}`,
		"/webhook":            `none`,
	} {
		status, answer, err := rig.Do(t.Context(), http.MethodPost, r.Remediator.URL+path, []byte(body))
		if err != nil || (status >= http.StatusBadRequest) != (path == "/webhook") {
			t.Fatalf("%s: %d %s %v", path, status, answer, err)
		}
	}
	if err := r.Members[1].Set(rig.Refuse); err != nil {
		t.Fatal(err)
	}
	waits := pattern{metric: "sluice_remediation_candidates", matchers: []matcher{{"phase", "=", string(journal.Deferred)}}}
	err := rig.Await(t.Context(), time.Minute, "a step that waits", func(ctx context.Context) error {
		all, err := scrape(ctx, r.Remediator.URL)
		if err == nil && len(waits.in(all)) == 0 {
			err = errors.New("none waits yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// finds looks for the item's value, with what was discovered put in. A pattern
// for one value has to find one series at most.
func finds(t *testing.T, it Item, found map[string]string, all []series) int {
	t.Helper()
	step := it.Preprocessing[0]
	text := step.Parameters[0]
	for l, v := range found {
		text = strings.ReplaceAll(text, lld(l), strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v))
	}
	p, err := parsePattern(text)
	if err != nil {
		t.Fatalf("%s: %v", it.Key, err)
	}
	got := len(p.in(all))
	if got == 0 && step.ErrorHandler == "" {
		t.Errorf("%s: %s finds nothing, and nothing says what then", it.Key, text)
	}
	if got > 1 && step.Parameters[1] != "function" {
		t.Errorf("%s: %s finds %d series, and wants one value", it.Key, text, got)
	}
	return got
}

// scrape reads a page as Zabbix does: in the text form, all types alike.
func scrape(ctx context.Context, url string) ([]series, error) {
	status, body, err := rig.Do(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s/metrics: status %d", url, status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	var out []series
	for name, f := range families {
		for _, m := range f.GetMetric() {
			s := series{name: name, labels: map[string]string{}}
			for _, l := range m.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			switch {
			case m.Counter != nil:
				s.value = m.GetCounter().GetValue()
			case m.Gauge != nil:
				s.value = m.GetGauge().GetValue()
			default:
				continue // histograms: no item reads one
			}
			out = append(out, s)
		}
	}
	return out, nil
}
