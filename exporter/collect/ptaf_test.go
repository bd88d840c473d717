package collect

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/exporter/promtext"
	"github.com/sluice-project/sluice/test/loopback"
)

// shop has every kind of backend, and everything that an upstream can say.
func shop() ptaftest.Upstream {
	return ptaftest.Upstream{
		Name: "shop-front", IPHash: true,
		Extra: map[string]any{"keepalive": 16, "read_timeout": 90},
		Backends: []ptaftest.Backend{
			{Address: "192.0.2.11", Port: 8080},
			{Address: "192.0.2.12", Port: 8080, Weight: 2, MaxFails: new(3), Down: true},
			{Address: "192.0.2.13", Port: 8080, MaxFails: new(0)},
			{Address: "192.0.2.13", Port: 8080},
			{Address: "192.0.2.19", Port: 8080, Backup: true},
		},
	}
}

func TestMetricsOfPTAF(t *testing.T) {
	quiet := ptaftest.Upstream{ // says less
		Name: "billing", LeastConn: true, Transparent: true,
		Extra:    map[string]any{"keepalive": 0, "last_modified": "yesterday"},
		Backends: []ptaftest.Backend{{Address: "198.51.100.5"}},
	}
	twin, gateways := ptaftest.Upstream{Name: "twin"}, []ptaftest.Gateway{{Name: "gw1", Active: true}, {Name: "gw2"}}
	other := shop()
	other.Backends[0].Down = true
	nodes := []string{
		ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{shop(), quiet, twin, twin}, Gateways: gateways}).Start(t),
		ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{other, quiet, twin, twin}, Gateways: gateways}).Start(t),
	}
	alone := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{shop()}}).Start(t)
	silent, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	got := write(t,
		ptafDevice(t, "waf1", fleet.PTAF{URLs: nodes, Gateways: []string{"gw1", "gw2"}}),
		ptafDevice(t, "waf2", fleet.PTAF{URL: alone, Upstreams: []string{"shop-front", "gone"}}),
		ptafDevice(t, "waf3", fleet.PTAF{URL: "http://" + silent + "/api/waf/v2"}),
	)
	wantSound(t, got)
	for url, name := range map[string]string{nodes[0]: "192.0.2.1:8443", nodes[1]: "192.0.2.2:8443", alone: "192.0.2.3:8443"} {
		got = strings.ReplaceAll(got, host(url), name)
	}
	wantGolden(t, "ptaf.prom", got)
}

func ptafDevice(tb testing.TB, name string, c fleet.PTAF) *fleet.Device {
	tb.Helper()
	c.Client.BasicAuth = &promconfig.BasicAuth{Username: "sluice", Password: "not-a-real-password"}
	return newDevice(tb, fleet.Config{Name: name, PTAF: &c})
}

func newDevice(tb testing.TB, c fleet.Config) *fleet.Device {
	tb.Helper()
	f, err := fleet.New(fleet.Configs{c}, fleet.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return f.Devices()[0]
}

// wantGolden compares with a file of testdata.
func wantGolden(tb testing.TB, name, got string) {
	tb.Helper()
	got = moments.ReplaceAllString(got, "$1$2 0")
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tb.Fatalf("%v: go test -update makes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		tb.Errorf("(- want, + got), go test -update takes it over:\n%s", diff)
	}
}

// The tables name fields as the API does.
func TestPTAFLinesAreFromFieldsOfTheAPI(t *testing.T) {
	sim := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{shop()}, Gateways: []ptaftest.Gateway{{Name: "gw1"}}})
	ask := httptest.NewRequest(http.MethodGet, "/api/waf/v2/gateways", nil)
	ask.SetBasicAuth("sluice", "not-a-real-password")
	answer := httptest.NewRecorder()
	sim.ServeHTTP(answer, ask)
	var gateways struct{ Items []any }
	var upstream any
	for raw, into := range map[string]any{answer.Body.String(): &gateways, string(sim.Object("shop-front")): &upstream} {
		if err := json.Unmarshal([]byte(raw), into); err != nil {
			t.Fatal(err)
		}
	}
	wantFields(t, ptafLines, map[string]any{"gateways": gateways.Items, "upstreams": upstream})
}

// wantFields looks up what each line is from; of a list, its first entry.
func wantFields[A any](tb testing.TB, lines []line[A], objects map[string]any) {
	tb.Helper()
	for _, l := range lines {
		if l.from == "" {
			continue
		}
		var at any = objects
		for name := range strings.SplitSeq(l.from, ".") {
			if list, ok := at.([]any); ok && len(list) > 0 {
				at = list[0]
			}
			fields, _ := at.(map[string]any)
			v, ok := fields[name]
			if !ok {
				tb.Errorf("%s: there is no %s of %s in %v", l.name, name, l.from, at)
				break
			}
			at = v
		}
	}
}

func TestLastModified(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want float64
		ok   bool
	}{
		"RFC 3339":                         {"2024-05-14T09:21:07Z", 1715678467, true},
		"with a zone":                      {"2024-05-14T12:21:07.5+03:00", 1715678467.5, true},
		"seconds":                          {"1715678467", 1715678467, true},
		"with a fraction":                  {"1715678467.25", 1715678467.25, true},
		"milliseconds are a guess too far": {"1715678467000", 1715678467000, false},
		"a counter is no time":             {"17", 17, false},
		"words are none":                   {"yesterday", 0, false},
		"nor is NaN":                       {"NaN", 0, false},
		"absent":                           {"", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := timestamp(tt.text)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("%v, %v; want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// What a device says may be odd; one odd thing must not cost the whole scrape.
func TestOddPTAFsAreWrittenSoundly(t *testing.T) {
	r := ptaf.Reading{
		At: time.Unix(1800000000, 0), ReadOnly: "no gateway is active",
		Nodes: []ptaf.Node{ // one address twice, and one that is none
			{URL: "http://192.0.2.1:8443/api/waf/v2", Up: true, Active: edge.Yes},
			{URL: "http://192.0.2.1:8443/other", Up: true},
			{URL: "::"},
		},
		Diverging: []string{"elsewhere"},
		Upstreams: []ptaf.Upstream{{ID: "1", Name: "a \"quote\"\\"}},
		Gateways: []ptaf.Gateway{ // twins, a nameless one, and one of which nothing is known
			{Name: "gw", Active: edge.Yes}, {Name: "gw", Active: edge.No}, {ID: "7", Active: edge.No}, {Name: "shy"},
		},
		Refused: map[string]string{"twin": "its name occurs twice"},
	}
	sheet := promtext.NewSheet()
	answerOf(ptafLines, nil, func(device string) *ptafAnswer { return newPTAFAnswer(device, r) }).write(sheet, "waf1", names{})
	written := textOf(t, promtext.Page{Sheets: []*promtext.Sheet{sheet}})
	wantSound(t, written)
	for _, line := range []string{
		`ptaf_actionable{device="waf1"} 0`,
		`ptaf_node_up{device="waf1",node="192.0.2.1:8443#2"} 1`,
		`ptaf_node_up{device="waf1",node="::"} 0`,
		`ptaf_gateway_active{device="waf1",gateway="gw#2"} 0`,
		`ptaf_gateway_active{device="waf1",gateway="7"} 0`,
		`ptaf_nodes_diverge{device="waf1",upstream="elsewhere"} 1`,
		`ptaf_nodes_diverge{device="waf1",upstream="a \"quote\"\\"} 0`,
		`ptaf_upstream_refused{device="waf1",upstream="twin"} 1`,
		`ptaf_upstream_backends{device="waf1",upstream="a \"quote\"\\"} 0`,
	} {
		if !slices.Contains(strings.Split(written, "\n"), line) {
			t.Errorf("no line %s in\n%s", line, written)
		}
	}
	for _, absent := range []string{`gateway="shy"`, "ptaf_upstream_keepalive_connections", "ptaf_upstream_read_timeout_seconds", "timestamp"} {
		if strings.Contains(written, absent) {
			t.Errorf("%s is known in\n%s", absent, written)
		}
	}
}
