package exporter

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestWhatOneScrapeMayAskFor(t *testing.T) {
	one, two := listen(t, haproxy("shop", "app1")), listen(t, haproxy("shop", "app1", "app2"))
	e, _, _ := newExporter(t, "{}", map[string]string{"edge1": one.path, "edge2": two.path, "edge3": "/nowhere"}, nil)
	const up = `sluice_device_up{kind="haproxy"} `
	for _, tt := range []struct {
		name, path string
		code       int
		want       []string // lines, or parts of an error
		not        string   // nowhere in the answer
	}{
		{"all of one device", "/scrape?device=edge2", 200, []string{up + "1", `haproxy_server_status{proxy="shop",server="app2",state="UP"} 1`, `sluice_member_serving{pool="shop",member="app1"} 1`}, `device="`},
		{"one kind of object", "/scrape?device=edge2&scope=backend", 200, []string{up + "1", `haproxy_backend_status{proxy="shop",state="UP"} 1`}, "haproxy_server"},
		{"one metric", "/scrape?device=edge1&metrics=haproxy_server_status", 200, []string{`haproxy_server_status{proxy="shop",server="app1",state="UP"} 1`}, "haproxy_backend"},
		{"all metrics but one", "/scrape?device=edge1&metrics=-haproxy_server_status", 200, []string{`haproxy_server_current_sessions{proxy="shop",server="app1"} 3`}, "haproxy_server_status"},
		{"modules' counters", "/scrape?device=edge1&scope=frontend&extra-counters", 200, []string{`haproxy_frontend_h1_open_conns{proxy="web"`}, "haproxy_backend"},
		{"a device that can't be read", "/scrape?device=edge3", 200, []string{up + "0"}, "haproxy_server"},
		{"no device", "/scrape", 400, []string{"parameter device is missing: want /scrape?device=NAME"}, "sluice_"},
		{"an empty name", "/scrape?device=", 400, []string{"parameter device is missing"}, "sluice_"},
		{"a device that there isn't", "/scrape?device=edge4", 404, []string{`there is no device "edge4"`}, "sluice_"},
		{"a name that isn't one", "/scrape?device=" + strings.Repeat("x", 1000), 404, []string{`there is no device "` + strings.Repeat("x", 64) + `"`}, "sluice_"},
		{"a scope that there isn't", "/scrape?device=edge1&scope=pool", 400, []string{`parameter scope: "pool": want one of global, `}, "sluice_"},
		{"an escape that is none", "/metrics?scope=%zz", 400, []string{"invalid URL escape"}, "sluice_"},
		{"the same of all devices", "/metrics?scope=pool", 400, []string{`parameter scope: "pool": want one of global, `}, "sluice_"},
		{"a cut of all devices", "/metrics?scope=server&metrics=haproxy_server_status", 200, []string{
			`haproxy_server_status{device="edge1",proxy="shop",server="app1",state="UP"} 1`, `haproxy_server_status{device="edge2",proxy="shop",server="app2",state="UP"} 1`,
			`sluice_device_up{device="edge1",kind="haproxy"} 1`, `sluice_device_up{device="edge3",kind="haproxy"} 0`,
		}, "haproxy_backend"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := e.Metrics()
			if strings.HasPrefix(tt.path, "/scrape") {
				h = e.Scrape()
			}
			code, text := get(t, h, tt.path)
			if code != tt.code {
				t.Errorf("status %d, want %d", code, tt.code)
			}
			for _, line := range tt.want {
				if !strings.Contains(text, "\n"+line) {
					t.Errorf("no line %s in\n%s", line, text)
				}
			}
			if tt.not != "" && strings.Contains(text, tt.not) {
				t.Errorf("%s in\n%s", tt.not, text)
			}
		})
	}
}

// What one target of a job shows is what all targets show in one, less the label.
func TestOneDeviceSaysWhatItSaysAmongOthers(t *testing.T) {
	addresses := map[string]string{"edge1": listen(t, haproxy("shop", "app1")).path, "edge2": listen(t, haproxy("api", "app1", "app2")).path}
	e, _, _ := newExporter(t, "{}", addresses, nil)
	_, all := scraped(t, e.Metrics(), "/metrics", "", "identity")
	for device := range addresses {
		var want []string
		for line := range strings.Lines(string(all)) {
			if strings.Contains(line, `{device="`+device+`"`) {
				line = strings.NewReplacer(`{device="`+device+`",`, "{", `{device="`+device+`"}`, "").Replace(line)
				want = append(want, line)
			}
		}
		_, text := scraped(t, e.Scrape(), "/scrape?device="+device, "", "identity")
		var got []string
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "#") {
				got = append(got, line)
			}
		}
		still := cmpopts.IgnoreSliceElements(func(line string) bool {
			return slices.ContainsFunc(moving, func(m string) bool { return strings.HasPrefix(line, m) })
		})
		if len(want) < 50 {
			t.Fatalf("%d series only in\n%s", len(want), all)
		}
		if diff := cmp.Diff(want, got, still); diff != "" {
			t.Errorf("/metrics without the label (-) and /scrape (+):\n%s", diff)
		}
	}
}
