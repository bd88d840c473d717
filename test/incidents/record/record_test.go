package record

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "Write testdata/report.md anew.")

const (
	app2 = "edge1/shop/app2"
	app3 = "edge1/shop/app3"
)

// sample is a run in which a member dies and comes back, and another one too late.
func sample() *Run {
	r := &Run{
		Name: "sample", Title: "A member dies, again", About: "`app2` dies.", Remark: "The network is cut.",
		Mended: 60, Ended: 120,
		Events: []Event{
			{0, Script, "app2 dies", ""},
			{0.4, "exporter", "first bad result of its probe", app3},
			{0.2, "exporter", "first bad result of its probe", app2},
			{0.3, "HAProxy", "its own check finds it down", app2},
			{9, "exporter", "first bad result of its probe", app2},
			{60, Script, "app2 is started again", ""},
		},
		Alerts: []Alert{
			{Name: "MemberFailing", Of: app2, Severity: "warning", Pending: Never, Firing: 1.25, Over: 62, Summary: "app2 fails", Text: "Three | times."},
			{Name: "PoolLowRedundancy", Of: "edge1/shop", Severity: "warning", Pending: 2, Firing: Never, Over: 10},
			{Name: "HAProxyServerDown", Of: app2, Severity: "warning", Pending: 3, Firing: 33, Over: Never, Summary: "down", Text: "For long."},
			{Name: "SluiceStep", Of: app2, Severity: "info", Pending: Never, Firing: 2, Over: 40, Summary: "a step", Text: "Done.", Own: true},
		},
		Messages: []Message{
			{31.3, "firing", []string{"MemberFailing " + app2}, nil},
			{90, "resolved", nil, []string{"MemberFailing " + app2}},
		},
		Mutes: []Mute{{33.5, Never, "HAProxyServerDown " + app2, "PoolAllFailing edge1/shop"}},
		Steps: []Step{
			{1.6, app2, "drain", "applied", "", "read back"},
			{4, app3, "drain", "failed", "", "403"},
			{95.2, app2, "ready", "applied", "ann", "given back"},
		},
		Refusals: []Refusal{
			{5, app3, "brake", "storm", "2 of 4"},
			{6, app3, "min_serving", "too_few_left", "1 would be left"},
			{7, app3, "brake", "storm", "3 of 4"},
		},
		Out: []Out{{1.5, app2, "drain"}, {95, app2, "ready"}},
		Clients: []Clients{
			Count("HAProxy", []Visit{{At: 0.1}, {At: 0.5, Error: "status 503"}, {At: 0.7}, {At: 1, Error: "EOF"}, {At: 2}}),
			Count("PTAF", []Visit{{At: 0.1}}),
		},
	}
	r.Sort()
	return r
}

func TestTheReport(t *testing.T) {
	r := sample()
	r.Judge([]Expectation{Fires("MemberFailing", app2, 5), Steps()})
	p := Report{Parts: [][2]string{{"HAProxy", "2.6.12"}}, Setup: []string{"What is common."}, Runs: []*Run{r}}
	var got bytes.Buffer
	if err := p.Write(&got); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.md"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestAReportSaysAtOnceThatAllIsMet(t *testing.T) {
	r := sample()
	r.Judge([]Expectation{MostOut("edge1/shop", 1)})
	p := Report{Runs: []*Run{r}}
	var got bytes.Buffer
	if err := p.Write(&got); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.String(), "**All 1 expectations are met.**") || strings.Contains(got.String(), Missed) {
		t.Error(got.String())
	}
}

func TestExpectations(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Expectation
		why  string // part of it; empty: it is met
	}{
		{"an alert in time", Fires("MemberFailing", app2, 5), ""},
		{"an alert of anything", Fires("MemberFailing", "", 5), ""},
		{"an alert that comes late", Fires("MemberFailing", app2, 1), "it fired at 1.3"},
		{"an alert of another member", Fires("MemberFailing", app3, 5), "didn't fire"},
		{"what was pending only", Fires("PoolLowRedundancy", "", 50), "didn't fire"},
		{"what is over", Over("MemberFailing"), ""},
		{"what isn't over", Over("MemberFailing", "HAProxyServerDown"), "HAProxyServerDown " + app2 + " still fires"},
		{"all that fires", Only("MemberFailing", "HAProxyServerDown", "SluiceStep"), ""},
		{"one alert more", Only("MemberFailing", "SluiceStep"), "HAProxyServerDown"},
		{"people are told", Tells("MemberFailing", 40), ""},
		{"people are told late", Tells("MemberFailing", 20), "told at 31.3"},
		{"people aren't told", Tells("HAProxyServerDown", 200), "no message"},
		{"a name isn't the beginning of another", Tells("Member", 200), "no message"},
		{"people are told of the end", TellsEnd("MemberFailing"), ""},
		{"nobody is told of the end", TellsEnd("HAProxyServerDown"), "no message"},
		{"people are spared", Spares("HAProxyServerDown"), ""},
		{"people aren't spared", Spares("HAProxyServerDown", "MemberFailing"), "told of MemberFailing at 31.3"},
		{"the steps", Steps(app2+" to drain", app2+" to ready"), ""},
		{"a step more", Steps(app2 + " to drain"), app2 + " to ready"},
		{"the steps in another order", Taken(app2+" to ready", app2+" to drain"), ""},
		{"a step twice", Taken(app2+" to ready", app2+" to ready"), "taken: "},
		{"no step", Steps(), "taken: "},
		{"a step in time", StepBy(app2+" to drain", 2), ""},
		{"a step that comes late", StepBy(app2+" to drain", 1), "done at 1.6"},
		{"a step that failed", StepBy(app3+" to drain", 10), "isn't done"},
		{"back in time", BackWithin(40), ""},
		{"back late", BackWithin(30), "came back 35.0 s"},
		{"kept out", KeptOut(30), ""},
		{"not kept out", KeptOut(40), app2 + " is back after 35.0 s"},
		{"a refusal", Refused("brake", "storm"), ""},
		{"a refusal for any reason", Refused("min_serving", ""), ""},
		{"another reason", Refused("brake", "settle"), "brake, min_serving"},
		{"no refusal", Unrefused(), "guard brake refuses at 5.0"},
		{"few enough out", MostOut("edge1/shop", 1), ""},
		{"too many out", MostOut("edge1/shop", 0), "1 are"},
		{"all is recorded", Recorded(), ""},
		{"failures in their time", FailOnly("HAProxy", 0, 5), ""},
		{"failures too late", FailOnly("HAProxy", 0, 0.6), "2 fail from 0.5 to 1.0"},
		{"failures elsewhere", FailOnly("PTAF", 0, 0), ""},
		{"no failure", NoneFail("PTAF"), ""},
		{"a failure", NoneFail("HAProxy"), "2 of 5"},
		{"muted", Muted("HAProxyServerDown", "PoolAllFailing"), ""},
		{"muted by another", Muted("HAProxyServerDown", "DeviceUnreachable"), "it isn't"},
		{"no claim is muted", ClaimsUnmuted(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.e.Of(sample())
			switch {
			case c.why == "" && err != nil:
				t.Errorf("%s: %v", c.e.Says, err)
			case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)):
				t.Errorf("%s: got %v, want %q", c.e.Says, err, c.why)
			}
		})
	}
}

func TestWhatIsOnTheDeviceAlone(t *testing.T) {
	r := sample()
	r.Out = append(r.Out, Out{50, app3, "maint"})
	if err := Recorded().Of(r); err == nil || !strings.Contains(err.Error(), app3+" is maint at 50.0") {
		t.Errorf("a change that no step tells of: %v", err)
	}
	if err := BackWithin(100).Of(r); err == nil || !strings.Contains(err.Error(), "still out: "+app3) {
		t.Errorf("who is out in the end: %v", err)
	}
	r.Mutes = append(r.Mutes, Mute{1, 2, "MemberFailing " + app2, "X"})
	if err := ClaimsUnmuted().Of(r); err == nil {
		t.Error("a claim that is muted is none")
	}
}

func TestFailuresWithALongPauseAreTwoBursts(t *testing.T) {
	got := Count("HAProxy", []Visit{{At: 1, Error: "a"}, {At: 2}, {At: 3, Error: "b"}, {At: 4}, {At: 5.5, Error: "c"}})
	want := Clients{Through: "HAProxy", Sent: 5, Failed: 3, Bursts: []Burst{{1, 3, 3, 2, "a"}, {5.5, 5.5, 1, 1, "c"}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestSubject(t *testing.T) {
	for _, c := range []struct {
		labels map[string]string
		want   string
	}{
		{map[string]string{"alertname": "MemberFailing", "device": "edge1", "pool": "shop", "member": "app2", "remediation": "drain"}, app2},
		{map[string]string{"alertname": "PoolAllFailing", "device": "edge1", "pool": "shop", "severity": "critical"}, "edge1/shop"},
		{map[string]string{"device": "waf1", "instance": "exporter", "job": "x", "kind": "ptaf"}, "waf1"},
		{map[string]string{"instance": "remediator", "guard": "brake"}, "guard=brake, remediator"},
		{map[string]string{"alertname": "Watchdog"}, ""},
	} {
		if got := Subject(c.labels); got != c.want {
			t.Errorf("%v: got %q, want %q", c.labels, got, c.want)
		}
	}
}
