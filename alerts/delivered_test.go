package alerts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	match "github.com/prometheus/alertmanager/pkg/labels"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// alertmanagers are the one in PATH and those that SLUICE_ALERTMANAGER names, as
// with [promtools].
func alertmanagers() []string {
	return append([]string{"prometheus-alertmanager"}, filepath.SplitList(os.Getenv("SLUICE_ALERTMANAGER"))...)
}

// A posted alert is what Prometheus posts to Alertmanager's API v2.
type posted struct {
	Labels      labelled          `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	EndsAt      time.Time         `json:"endsAt"`
}

// An example runs Alertmanager on the shipped configuration.
type example struct {
	url string
	box *postbox
	log func() string
}

// startExample moves the addresses of the shipped file, and what people would wait
// for. Whoever is told of something is told in all ways that the file has.
func startExample(t *testing.T, program string) *example {
	t.Helper()
	box, dir := newPostbox(t), t.TempDir()
	var file map[string]any
	readYAML(t, "alertmanager.yml", &file)
	file["global"].(map[string]any)["smtp_smarthost"] = box.smtp
	file["global"].(map[string]any)["smtp_require_tls"] = false
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	file["templates"] = []string{filepath.Join(here, "templates", "*.tmpl")}
	slack := filepath.Join(dir, "slack.url")
	if err := os.WriteFile(slack, []byte("http://"+box.web+"/slack"), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := walk(file, map[string]any{
		"api_url_file":   slack,
		"url":            "http://" + box.web + "/webhook",
		"group_wait":     "1s",
		"group_interval": "1s",
	}).(map[string]any)
	people := map[string]any{"name": "people"}
	receivers := []any{people}
	for _, r := range moved["receivers"].([]any) {
		r := r.(map[string]any)
		if !strings.HasPrefix(r["name"].(string), "people") {
			receivers = append(receivers, r)
			continue
		}
		for way, configs := range r {
			if way == "name" {
				continue
			}
			for _, c := range configs.([]any) {
				if way == "telegram_configs" {
					c.(map[string]any)["api_url"] = "http://" + box.web
				}
				all, _ := people[way].([]any) // the first has none before it
				people[way] = append(all, c)
			}
		}
	}
	moved["receivers"] = receivers
	text, err := yaml.Marshal(moved)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	p, err := rig.NewProgram("alertmanager", dir, program, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+own, "--cluster.listen-address=")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.StartWeb(t.Context(), "http://"+own+"/-/ready"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &example{"http://" + own, box, func() string { return p.Log(20) }}
}

// walk returns a copy with other values for some keys, wherever they stand.
func walk(node any, instead map[string]any) any {
	switch x := node.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, v := range x {
			out[k] = walk(v, instead)
			if other, ok := instead[k]; ok {
				out[k] = other
			}
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, v := range x {
			out[i] = walk(v, instead)
		}
		return out
	}
	return node
}

func (e *example) post(t *testing.T, alerts []posted) {
	t.Helper()
	body, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := rig.Post(t.Context(), e.url+"/api/v2/alerts", body); err != nil || status != http.StatusOK {
		t.Fatalf("posting %d alerts: status %d, %v", len(alerts), status, err)
	}
}

// muted says by alert, as [key] names it, which alerts inhibit it. Each must be there.
func (e *example) muted(ctx context.Context, want []posted) (map[string][]string, error) {
	var all []struct {
		Fingerprint string
		Labels      labelled
		Status      struct {
			InhibitedBy []string `json:"inhibitedBy"`
			SilencedBy  []string `json:"silencedBy"`
			State       string
		}
	}
	if err := rig.GetJSON(ctx, e.url+"/api/v2/alerts", &all); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, a := range all {
		names[a.Fingerprint] = key(a.Labels)
	}
	out := map[string][]string{}
	for _, a := range all {
		var by []string
		for _, f := range a.Status.InhibitedBy {
			by = append(by, names[f])
		}
		if (a.Status.State == "suppressed") != (len(by) > 0) {
			return nil, fmt.Errorf("%s is %s, and inhibited by %v", key(a.Labels), a.Status.State, by)
		}
		out[key(a.Labels)] = by
	}
	for _, a := range want {
		if _, ok := out[key(a.Labels)]; !ok {
			return nil, fmt.Errorf("%s isn't there yet", key(a.Labels))
		}
	}
	return out, nil
}

// key is all labels of an alert.
func key(l labelled) string {
	var pairs []string
	for k, v := range l {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}

// firings are alerts as they are known, one of each name.
func firings(t *testing.T) map[string]posted {
	t.Helper()
	out := map[string]posted{}
	for name, all := range known(t) {
		out[name] = posted{Labels: all[0].labels, Annotations: all[0].annotations, EndsAt: time.Now().Add(time.Hour)}
	}
	return out
}

// like is a firing with other labels: "" takes one away.
func (p posted) like(pairs ...string) posted {
	labels := labelled{}
	for k, v := range p.Labels {
		labels[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		labels[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(labels, pairs[i])
		}
	}
	p.Labels = labels
	return p
}

// at is a firing on another device.
func (p posted) at(device string) posted {
	p = p.like(edge.LabelDevice, device)
	texts := map[string]string{}
	for name, text := range p.Annotations {
		texts[name] = strings.ReplaceAll(text, "edge1", device)
	}
	p.Annotations = texts
	return p
}

func TestARunningAlertmanager(t *testing.T) {
	t.Parallel()
	for _, program := range alertmanagers() {
		t.Run(program+" mutes what follows, and no claim", func(t *testing.T) {
			t.Parallel()
			everyInhibition(t, startExample(t, program))
		})
		t.Run(program+" tells each what is theirs", func(t *testing.T) {
			t.Parallel()
			everybodyIsTold(t, startExample(t, program))
		})
	}
}

// everyInhibition takes the rules of the file one after the other. Each alert that
// one names as a source mutes each that it names as a target; it mutes no other
// place's, and nothing that asks for a step.
func everyInhibition(t *testing.T, e *example) {
	all := firings(t)
	for i, in := range inhibitions(t) {
		var alerts []posted
		want := map[string][]string{} // by target: its sources, one of which Alertmanager names; none for what isn't muted
		n := 0
		for _, source := range sortedNames(all, in.source) {
			for _, target := range sortedNames(all, in.target) {
				n++
				// What must be equal is this pair's own, so that pairs don't meet.
				var here, there []string
				for _, label := range in.equal {
					here = append(here, label, fmt.Sprintf("%s-%d-%d", label, i, n))
					there = append(there, label, fmt.Sprintf("%s-%d-%d-other", label, i, n))
				}
				s, d := all[source].like(here...), all[target].like(append(matched(in), here...)...)
				claim := d.like(edge.LabelRemediation, "drain")
				alerts = append(alerts, s, d, claim)
				want[key(d.Labels)] = append(want[key(d.Labels)], key(s.Labels))
				want[key(claim.Labels)] = nil
				if len(in.equal) > 0 {
					far := d.like(there...)
					alerts = append(alerts, far)
					want[key(far.Labels)] = nil
				}
			}
		}
		if n == 0 {
			t.Fatalf("rule %d of inhibit_rules names no alert", i+1)
		}
		for _, claim := range []posted{all["MemberFailing"], all["PoolBypass"]} {
			alerts = append(alerts, claim)
			want[key(claim.Labels)] = nil
		}
		e.post(t, alerts)
		err := rig.Await(t.Context(), 20*time.Second, "what is muted", func(ctx context.Context) error {
			muted, err := e.muted(ctx, alerts)
			if err != nil {
				return err
			}
			for target, sources := range want {
				isOne := func(by string) bool { return slices.Contains(sources, by) }
				if by := muted[target]; len(sources) > 0 && !slices.ContainsFunc(by, isOne) || len(sources) == 0 && len(by) > 0 {
					return fmt.Errorf("%s is muted by %q, want one of %q", target, by, sources)
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("rule %d of inhibit_rules: %v\n%s", i+1, err, e.log())
		}
		for j := range alerts {
			alerts[j].EndsAt = time.Now()
		}
		e.post(t, alerts) // what is over mutes nothing in the next round
	}
}

// sortedNames are the alerts that the matchers on the name take.
func sortedNames(all map[string]posted, ms match.Matchers) []string {
	var names []string
	for name := range all {
		if (labelled{"alertname": name}).match(named(ms)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// matched are labels that the target needs beside its name.
func matched(in inhibition) []string {
	var pairs []string
	for _, m := range in.target {
		if m.Name != "alertname" && m.Name != edge.LabelRemediation {
			pairs = append(pairs, m.Name, m.Value)
		}
	}
	return pairs
}

func everybodyIsTold(t *testing.T, e *example) {
	all := firings(t)
	claim, quiet := all["MemberFailing"], all["HAProxyServerDown"].at("edge9")
	alerts := []posted{
		claim, all["Watchdog"], all["PoolBypass"], all["PoolNoMemberServing"].at("edge8"),
		all["HAProxyServerLeftOutOfRotation"], all["SluiceApprovalWaits"].at("edge6"), all["SluiceStep"].at("edge5").like("severity", "info"), all["DeviceUnreachable"].at("edge9"), quiet,
	}
	e.post(t, alerts)
	told := func(way string, texts ...string) {
		t.Helper()
		err := rig.Await(t.Context(), 20*time.Second, fmt.Sprintf("%s with %q", way, texts), func(context.Context) error {
			if len(e.box.find(way, texts...)) == 0 {
				return fmt.Errorf("none among %d letters", len(e.box.find(way)))
			}
			return nil
		})
		if err != nil {
			t.Errorf("%v\n%s", err, e.log())
		}
	}
	// Nothing comes to the remediator but what asks for a step, and the Watchdog.
	told("webhook", `"alertname":"MemberFailing"`, `"remediation":"drain"`, `"member":"s1"`, `"status":"firing"`)
	told("webhook", `"alertname":"Watchdog"`, `"remediation":"watchdog"`)
	told("webhook", `"alertname":"PoolBypass"`, `"remediation":"bypass"`)

	// People hear of it in both languages, by each way, with the link to the runbook.
	for _, way := range []string{"mail", "slack", "telegram"} {
		told(way, "WARNING 1", "s1 of pool shop on edge1 fails its probe", "/runbooks/MemberFailing.md")
		told(way, "ВНИМАНИЕ 1", "сервер s1", "/runbooks/MemberFailing.ru.md")
		told(way, "CRITICAL 1", "edge8", "/runbooks/PoolNoMemberServing.md")
		told(way, "АВАРИЯ 1", "edge8")
		told(way, "INFO 1", "has been out for a day")
	}
	told("telegram", "-1000000000000")
	// What the remediator says itself: a question to all, a step to where nobody is woken.
	told("mail", "oncall@example.com", "SluiceApprovalWaits on edge6")
	told("slack", "SluiceApprovalWaits on edge6")
	told("mail", "sluice-log@example.com", "SluiceStep on edge5")
	told("mail", "CRITICAL 1", "edge9", "/runbooks/DeviceUnreachable.md")

	// The end is told to all who heard of the beginning.
	claim.EndsAt = time.Now()
	e.post(t, []posted{claim})
	told("webhook", `"alertname":"MemberFailing"`, `"status":"resolved"`)
	for _, way := range []string{"mail", "slack", "telegram"} {
		told(way, "RESOLVED", "s1 of pool shop on edge1 fails its probe")
		told(way, "ЗАВЕРШЕНО", "сервер s1")
	}

	// By now whatever was to come has come.
	for way, names := range map[string][]string{
		"webhook": {"PoolNoMemberServing", "HAProxyServerLeftOutOfRotation", "DeviceUnreachable", "HAProxyServerDown"},
		"slack":   {"SluiceStep"},
		"mail":    {"runbooks/Watchdog.md", "runbooks/PoolBypass.md", "runbooks/HAProxyServerDown.md"},
	} {
		for _, name := range names {
			if l := e.box.find(way, name); len(l) > 0 {
				t.Errorf("%s: %s came to where it shouldn't: %+v", way, name, l[0])
			}
		}
	}
}
