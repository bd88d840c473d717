package collect

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge/fleet"
)

// wantLines checks that lines are in a text, and others aren't; a line that isn't
// to be there begins with "!".
func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		not := strings.HasPrefix(line, "!")
		if line = strings.TrimPrefix(line, "!"); strings.Contains(text, "\n"+line) == not {
			t.Errorf("%s: there %v, want %v, in\n%s", line, not, !not, text)
		}
	}
}

// Servers may come, go and move between the two commands of one scrape: each has
// its own state all the same, and one whose state isn't known has none.
func TestServersThatMoveBetweenTwoCommandsHaveTheirOwnState(t *testing.T) {
	s := said("app1", "app2", "new", "app3")
	s["show servers state"] = strings.Join([]string{
		"1", "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_agent_state srv_check_state srv_port",
		"3 shop 9 gone 192.0.2.9 2 1 1 1 0 6 8080", "3 shop 3 app3 192.0.2.3 2 8 1 1 0 6 8080",
		"3 shop 1 app1 192.0.2.1 2 0 1 1 4 6 8080", "3 shop 2 app2 192.0.2.2 0 1 1 1 0 6 8080", "\n",
	}, "\n")
	out := collector(t, listen(t, "edge1", s)).Scrape(t.Context(), Cut{})
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	const of = `{device="edge1",pool="shop",member=`
	wantLines(t, written(t, []Outcome{out}),
		`sluice_member_admin_state`+of+`"app1",state="ready"} 1`, `sluice_member_admin_state`+of+`"app2",state="maint"} 1`,
		`sluice_member_admin_state`+of+`"app3",state="drain"} 1`,
		`sluice_haproxy_server_agent_enabled`+of+`"app1"} 1`, `sluice_haproxy_server_agent_enabled`+of+`"app3"} 0`,
		`!sluice_member_admin_state`+of+`"new"`, `!sluice_member_admin_state`+of+`"gone"`,
		`haproxy_server_current_sessions{device="edge1",proxy="shop",server="new"} 3`,
		`sluice_pool_members{device="edge1",pool="shop"} 3`,
	)
}

// While a server is drained, its weight in force is 0, too: that isn't why it
// takes nothing.
func TestAWeightOfZeroDrainsOnlyWhatIsReady(t *testing.T) {
	s := said("app1", "app2")
	s["show stat"] = strings.Replace(strings.ReplaceAll(s["show stat"], "UP,1,", "UP,0,"), "app2,0,3,UP", "app2,0,3,DRAIN", 1)
	s["show servers state"] = strings.Replace(s["show servers state"], "192.0.2.2 2 0", "192.0.2.2 2 8", 1)
	out := collector(t, listen(t, "edge1", s)).Scrape(t.Context(), Cut{})
	wantLines(t, written(t, []Outcome{out}),
		`sluice_haproxy_server_weight_drained{device="edge1",pool="shop",member="app1"} 1`,
		`sluice_haproxy_server_weight_drained{device="edge1",pool="shop",member="app2"} 0`,
	)
}

// A collector that takes over from another counts on: the same process isn't a
// reload, and the next one is.
func TestASuccessorCountsOn(t *testing.T) {
	words := said("app1")
	s := listen(t, "edge1", words)
	scrape := func(c *Collector) string { return written(t, []Outcome{c.Scrape(t.Context(), Cut{})}) }
	first := collector(t, s)
	wantLines(t, scrape(first), `sluice_haproxy_reloads_seen_total{device="edge1"} 0`)
	second := collector(t, s)
	second.Succeed(first)
	wantLines(t, scrape(second), `sluice_haproxy_reloads_seen_total{device="edge1"} 0`)
	words["show info"] = strings.Replace(words["show info"], "Pid: 7", "Pid: 8", 1)
	third := collector(t, s)
	third.Succeed(second)
	wantLines(t, scrape(third), `sluice_haproxy_reloads_seen_total{device="edge1"} 1`)
}

// haproxy_exporter counts answers that it can't understand, and so do we under its name.
func TestNonsenseIsCounted(t *testing.T) {
	s := listen(t, "edge1", speech{"": "Name: HAProxy\nPid: 7\n\nno table at all\n\n"})
	f, err := fleet.New(fleet.Configs{{Name: "edge1", HAProxy: &fleet.HAProxy{Address: s.path, Metrics: fleet.HAProxyMetrics{Profile: fleet.ProfileExporter}}}}, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := f.Device("edge1")
	c, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantLines(t, written(t, []Outcome{c.Scrape(t.Context(), Cut{})}),
		`haproxy_up{device="edge1"} 0`, `haproxy_exporter_scrapes_total{device="edge1"} 1`, `haproxy_exporter_csv_parse_failures_total{device="edge1"} 1`,
	)
}
