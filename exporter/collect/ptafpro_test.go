package collect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

func tenant() ptafprotest.Options {
	return ptafprotest.Options{
		Backends: []ptafprotest.Backend{
			{Address: "192.0.2.11", Port: 8080},
			{Address: "192.0.2.12", Port: 8080, Disabled: true},
			{Address: "192.0.2.11", Port: 8080, Protocol: "HTTPS"}, // a twin
		},
		Profiles: []ptafprotest.Profile{
			{Name: "public-443", Backends: []ptafprotest.Entry{
				{Backend: "192.0.2.11:8080", Weight: new(3), MaxFails: new(2)},
				{Backend: "192.0.2.12:8080"},
			}},
			{Name: "staff-8443", Balancer: "EXTERNAL_BALANCER", Backends: []ptafprotest.Entry{{Backend: "192.0.2.12:8080", Weight: new(1)}}},
			{Name: "empty-80"},
			{Name: "twin"},
			{Name: "twin"},
		},
		Applications: []ptafprotest.Application{
			{Name: "shop", Hosts: []string{"shop.example.com"}, Profiles: []string{"public-443"}},
			{Name: "intranet", ProtectionMode: ptafpro.Passive, Profiles: []string{"staff-8443"}},
			{Name: "lab", ProtectionMode: "SOMETHING_NEW", Profiles: []string{"staff-8443"}},
			{Name: "twin", Profiles: []string{"empty-80"}},
			{Name: "twin", ProtectionMode: ptafpro.ActiveDetection, Profiles: []string{"empty-80"}},
		},
	}
}

// A PTAF 3.x stands beside them: what both say is written once.
func TestMetricsOfPTAFPro(t *testing.T) {
	mute := tenant() // shows nobody's "enabled"
	mute.NoEnabled = true
	simple := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{shop()}}).Start(t)
	got := write(t,
		ptafProDevice(t, "waf1", ptafprotest.New(tenant()).Start(t)),
		ptafProDevice(t, "waf2", ptafprotest.New(mute).Start(t), "public-443", "gone"),
		ptafDevice(t, "waf3", fleet.PTAF{URL: simple}),
	)
	wantSound(t, got)
	wantGolden(t, "ptafpro.prom", strings.ReplaceAll(got, host(simple), "192.0.2.3:8443"))
}

func ptafProDevice(tb testing.TB, name, url string, profiles ...string) *fleet.Device {
	tb.Helper()
	return newDevice(tb, fleet.Config{Name: name, PTAFPro: &fleet.PTAFPro{
		URL: url, Profiles: profiles, Login: &fleet.Login{Username: "sluice", Password: "not-a-real-password"},
	}})
}

// The tables name fields as the API does.
func TestPTAFProLinesAreFromFieldsOfTheAPI(t *testing.T) {
	sim := ptafprotest.New(tenant())
	objects := map[string]any{}
	for list, object := range map[string][]byte{
		"traffic_profiles": sim.Object("profile", "public-443"),
		"applications":     sim.Object("application", "shop"),
		"backends":         sim.Object("backend", "192.0.2.11:8080"),
	} {
		var fields any
		if err := json.Unmarshal(object, &fields); err != nil {
			t.Fatal(err)
		}
		objects[list] = fields
	}
	objects["about"] = map[string]any{"data": map[string]any{}} // facts A2.1
	wantFields(t, ptafProLines, objects)
}
