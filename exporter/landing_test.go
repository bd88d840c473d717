package exporter

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/exporter/schedule"
)

func TestLandingPage(t *testing.T) {
	e, _, _ := newExporter(t, shop+"probe_endpoint: {allow: [192.0.2.0/24]}\n", map[string]string{"edge1": "/nowhere"}, nil)
	e.external = "/sluice"
	g := e.generation()
	s := &script{members: map[string]string{"app1": "192.0.2.1:80"}}
	snapshot, _ := s.look(t.Context())
	g.devices[0].learn(snapshot)
	e.reschedule(g)

	e.note(g.devices[0], nil, errors.New("device edge1: no <device>"), true)

	code, text := get(t, e.Landing(), "/")
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	for _, part := range []string{
		"Content-Security-Policy: default-src 'none'", "Content-Type: text/html; charset=utf-8",
		`href="/sluice/metrics"`, `href="/sluice/config"`, `action="/sluice/probe"`, "<option>health</option>",
		"<td>edge1</td>\n<td>haproxy</td>\n<td><span class=\"bad\">no answer, ", ": device edge1: no &lt;device&gt;</td>\n<td>1</td>",
		"<td>edge1/shop/app1</td>", "<td>http://192.0.2.1:80/health</td>",
		`<span class="none">unknown</span>`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	if strings.Contains(text, "<script") || strings.Contains(text, "http-equiv") {
		t.Error("the page must work without scripts, and stand still")
	}
}

func TestALineOfTheLandingPage(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	good := schedule.Outcome{Up: true, Start: now.Add(-3 * time.Second), Duration: 1200 * time.Microsecond}
	bad := schedule.Outcome{Reason: probe.Connect, Detail: "connect: <refused>", Start: now.Add(-time.Second), Duration: 300 * time.Microsecond}
	member := edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}
	for _, tt := range []struct {
		name   string
		status schedule.Status
		want   probeLine
	}{
		{
			"nothing is known",
			schedule.Status{Key: schedule.Key{Probe: "site", Target: "http://192.0.2.1/"}},
			probeLine{Probe: "site", Target: "http://192.0.2.1/", Word: "unknown", Class: "none"},
		},
		{"failing, and still up", schedule.Status{
			Key: schedule.Key{Probe: "shop", Target: "t", Member: member}, Known: true, Last: bad, Up: edge.Yes,
			Since: now.Add(-2 * time.Hour), History: []schedule.Outcome{good, bad},
		}, probeLine{
			Probe: "shop", Target: "t", Member: member, Word: "up", Class: "good", Since: "for 2h0m0s",
			Last: "connect, 0.3 ms: connect: <refused>, 1s ago",
			Results: []resultDot{
				{"good", "good, 1.2 ms, 3s ago"},
				{"bad", "connect, 0.3 ms: connect: <refused>, 1s ago"},
			},
		}},
		{
			"down",
			schedule.Status{Known: true, Last: bad, Up: edge.No, Since: now.Add(-90 * time.Second)},
			probeLine{Word: "down", Class: "bad", Since: "for 1m30s", Last: "connect, 0.3 ms: connect: <refused>, 1s ago"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, newProbeLine(tt.status, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a target answers can't become part of the page.
func TestThePageEscapesWhatItShows(t *testing.T) {
	var out strings.Builder
	if err := landing.Execute(&out, page{Probes: []probeLine{{Last: "<img src=x>", Results: []resultDot{{"bad", `"><img src=x>`}}}}}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "<img") {
		t.Error(out.String())
	}
}
