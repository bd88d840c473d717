package exporter

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// decode reads a configuration as the program does: strictly.
func decode(t *testing.T, text string) *Config {
	t.Helper()
	c := new(Config)
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil {
		t.Fatal(err)
	}
	return c
}

const modules = `
modules:
  health: {prober: http, timeout: 1s, http: {path: /health}}
  port: {prober: tcp}
`

func TestEachMistakeIsFound(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"all is well", modules + `
probes:
  - {name: shop, module: health, members: {device: edge.*, pool: shop}}
  - {name: site, module: health, targets: ['https://shop.example.com/health']}
  - {name: db, module: port, interval: 2s, targets: ['192.0.2.7:5432'], members: {pool: db, port: 5432}}
`, nil},
		{"a probe without anything", modules + "probes: [{}]", []string{
			"probes[0].name: is missing: write a short name, it becomes the label probe",
			"probes[0].module: is missing: write the name of one of health, port",
			"probes[0]: probes nothing: write targets, or members to take them from the devices",
		}},
		{"a name that is no word", modules + "probes: [{name: 'my shop', module: port, targets: ['192.0.2.7:1']}]", []string{
			`probes[0].name: "my shop": use letters, digits and _ . : - only`,
		}},
		{"a name used twice", modules + `
probes:
  - {name: a, module: port, targets: ['192.0.2.7:1']}
  - {name: a, module: port, targets: ['192.0.2.7:2']}
`, []string{`probes[1].name: "a" is taken by probes[0]: give each probe its own name`}},
		{"a module that isn't there", modules + "probes: [{name: a, module: helth, targets: ['192.0.2.7:1']}]", []string{
			`probes[0].module: there is no module "helth": write the name of one of health, port`,
		}},
		{"a module that can't be used", `
modules:
  live: {prober: websocket, websocket: {query_response: [{expect: hello}]}}
  cel: {prober: http, http: {fail_if_body_json_matches_cel: 'body.down'}}
  body: {prober: http, http: {body_file: /nowhere/body.txt}}
probes:
  - {name: a, module: live, targets: ['wss://shop.example.com']}
  - {name: b, module: body, targets: ['http://shop.example.com']}
`, []string{
			`probes[0].module: live can't be used: there is no prober "websocket" here: use one of ` + strings.Join(probe.Kinds(), ", "),
			"probes[1].module: body can't be used: http.body_file: open /nowhere/body.txt: no such file or directory",
		}},
		{"modules that can't be used, and that nobody uses", `
modules:
  live: {prober: websocket}
  cel: {prober: http, http: {fail_if_body_json_matches_cel: 'body.down'}}
`, nil},
		{"no module at all", "probes: [{name: a, module: x, targets: ['192.0.2.7:1']}]", []string{
			`probes[0].module: there is no module "x": write the name of a module, and describe it under modules`,
		}},
		{"a module's own mistake", "modules: {health: {prober: http, http: {path: health}}}", []string{
			"modules.health.http.path: must begin with a slash, as in /health",
		}},
		{"members that can't be asked", `
modules: {socket: {prober: unix}}
probes: [{name: a, module: socket, members: {pool: shop}}]
`, []string{"probes[0].members: prober unix can't ask members of a pool: write targets"}},
		{"numbers that can't be", modules + "probes: [{name: a, module: port, interval: 1s, fast_retry: 2s, fall: -1, rise: -2, targets: ['192.0.2.7:1']}]", []string{
			"probes[0].fast_retry: 2s is longer than the interval of 1s: write a shorter one, or leave it out",
			"probes[0].fall: -1: write how many bad results in a row mean down, 1 or more",
			"probes[0].rise: -2: write how many good results in a row mean up, 1 or more",
		}},
		{"targets that can't be asked, and never shown whole", modules + `
probes:
  - {name: a, module: health, targets: ['ftp://user:canary@shop.example.com/?token=canary']}
  - {name: b, module: port, targets: ['shop.example.com']}
`, []string{
			`probes[0].targets[0]: "ftp://shop.example.com/" begins with neither http:// nor https://`,
			`probes[1].targets[0]: "shop.example.com": write HOST:PORT`,
		}},
		{"two targets that would be one series", modules + `
probes:
  - {name: a, module: health, targets: ['http://shop.example.com/?id=1', 'http://shop.example.com/?id=2']}
`, []string{
			"probes[0].targets[1]: looks like targets[0] without user and query, which metrics never show: give one of them its own probe",
		}},
		{"members that can't be", modules + `
probes:
  - {name: a, module: port, members: {device: waf.*, pool: '[', member: 'a)(b', scheme: http, port: 70000}}
  - {name: b, module: health, members: {scheme: gopher, port: -1}}
`, []string{
			"probes[0].members.pool: \"[\" is no regular expression (RE2): error parsing regexp: missing closing ]: `[`",
			"probes[0].members.member: \"a)(b\" is no regular expression (RE2): error parsing regexp: unexpected ): `a)(b`",
			`probes[0].members.device: "waf.*" matches no device: write the name of one under devices, or a regular expression that matches some`,
			"probes[0].members.port: 70000: write a port from 1 to 65535, or leave it out for the member's own",
			"probes[0].members.scheme: prober tcp has no scheme: leave it out",
			"probes[1].members.port: -1: write a port from 1 to 65535, or leave it out for the member's own",
			`probes[1].members.scheme: "gopher": write http or https`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, m := range decode(t, tt.text).Validate([]string{"edge1", "edge2"}) {
				got = append(got, m.Error())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsLeftOutIsFilledIn(t *testing.T) {
	c := decode(t, modules+`
probes:
  - {name: a, module: port, targets: ['192.0.2.7:1']}
  - {name: b, module: port, interval: 500ms, targets: ['192.0.2.7:1']}
`)
	if wrong := c.Validate(nil); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	second := model.Duration(time.Second)
	want := []Probe{
		{Name: "a", Module: "port", Interval: 5 * second, FastRetry: second, Fall: 3, Rise: 2, Targets: []string{"192.0.2.7:1"}},
		{Name: "b", Module: "port", Interval: second / 2, FastRetry: second / 2, Fall: 3, Rise: 2, Targets: []string{"192.0.2.7:1"}},
	}
	if diff := cmp.Diff(want, c.Probes); diff != "" {
		t.Error(diff)
	}
}

func TestCovers(t *testing.T) {
	c := decode(t, modules+`
probes:
  - {name: shop, module: health, members: {device: edge1, pool: shop|db, member: app.*}}
  - {name: all, module: health, members: {}}
  - {name: fixed, module: health, targets: ['http://192.0.2.7/']}
`)
	if c.Probes[0].Covers(edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}) {
		t.Error("covers a member before it was validated")
	}
	if wrong := c.Validate([]string{"edge1"}); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, tt := range []struct {
		name   string
		member edge.Member
		want   [3]bool // by probe
	}{
		{"one that matches", edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}, [3]bool{true, true, false}},
		{"the other branch of an alternative", edge.Member{Device: "edge1", Pool: "db", Name: "app1"}, [3]bool{true, true, false}},
		{"a longer pool: expressions are anchored", edge.Member{Device: "edge1", Pool: "shop2", Name: "app1"}, [3]bool{false, true, false}},
		{"a longer device", edge.Member{Device: "edge11", Pool: "shop", Name: "app1"}, [3]bool{false, true, false}},
		{"another member", edge.Member{Device: "edge1", Pool: "shop", Name: "spare"}, [3]bool{false, true, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got [3]bool
			for i := range c.Probes {
				got[i] = c.Probes[i].Covers(tt.member)
			}
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMemberTarget(t *testing.T) {
	m := edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}
	for _, tt := range []struct {
		name, module, members, address, want, err string
	}{
		{"the member's own address", "health", "{}", "192.0.2.7:8080", "http://192.0.2.7:8080/health", ""},
		{"another scheme and port", "health", "{scheme: https, port: 8443}", "192.0.2.7:8080", "https://192.0.2.7:8443/health", ""},
		{"IPv6", "health", "{}", "[2001:db8::7]:80", "http://[2001:db8::7]:80/health", ""},
		{"tcp", "port", "{}", "192.0.2.7:5432", "192.0.2.7:5432", ""},
		{"a device that gives no address", "health", "{}", "", "", "probe p: edge1 gives no address for shop/app1"},
		{"a member without a port of its own", "health", "{}", "192.0.2.7:0", "", "probe p: edge1/shop/app1 has no port of its own: write port under members"},
		{"the same with a port given", "health", "{port: 80}", "192.0.2.7:0", "http://192.0.2.7:80/health", ""},
		{"an address that is none", "health", "{}", "nowhere", "", "probe p: address of edge1/shop/app1: address nowhere: missing port in address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := decode(t, modules+"probes: [{name: p, module: "+tt.module+", members: "+tt.members+"}]")
			if wrong := c.Validate([]string{"edge1"}); len(wrong) > 0 {
				t.Fatal(wrong)
			}
			p := &c.Probes[0]
			got, err := p.MemberTarget(c.Modules[p.Module], edge.State{Member: m, Address: tt.address})
			if text := errorText(err); got != tt.want || text != tt.err {
				t.Errorf("got %q and error %q, want %q and %q", got, text, tt.want, tt.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
