package dashboards

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// beside are series that don't come from a device's answer: calls are counted
// by us, one backend of the golden files is probed, and the remediator did nothing yet.
const beside = `
sluice_remediation_frozen{job="sluice-remediator"} 0
sluice_device_read_duration_seconds{job="sluice-exporter",device="waf1",kind="ptaf"} 0.2
ptaf_api_requests_total{job="sluice-exporter",device="waf1",method="GET",code="200"} 0+9
ptaf_api_requests_total{job="sluice-exporter",device="waf1",method="GET",code="error"} 0+1
ptaf_api_request_duration_seconds_bucket{job="sluice-exporter",device="waf1",method="GET",le="0.1"} 0+5
ptaf_api_request_duration_seconds_bucket{job="sluice-exporter",device="waf1",method="GET",le="+Inf"} 0+10
sluice_probe_up{probe="health",target="http://192.0.2.11:8080/health",device="waf1",pool="shop-front",member="192.0.2.11:8080"} 0
sluice_probe_up{probe="health",target="http://192.0.2.11:8080/health",device="waf1",pool="public-443",member="192.0.2.11:8080"} 0
`

// Each query of the board finds what the exporter says of a PTAF 3.x, of a PTAF
// PRO or of both, by Prometheus' own engine.
func TestThePTAFBoardFindsData(t *testing.T) {
	t.Parallel()
	all, err := Of("ptaf.json")
	if err != nil {
		t.Fatal(err)
	}
	never := map[string]string{ // what only one of them has
		"ptaf_application_protection_mode": "ptaf.prom",
		"ptaf_nodes_diverge":               "ptafpro.prom",
		"ptaf_node_active":                 "ptafpro.prom",
		"ptaf_gateway_active":              "ptafpro.prom",
	}
	for _, golden := range []string{"ptaf.prom", "ptafpro.prom"} {
		t.Run(golden, func(t *testing.T) {
			t.Parallel()
			var found []any
			for _, q := range all {
				expr := q.Resolve(5 * time.Minute)
				silent := false
				for metric, file := range never {
					silent = silent || file == golden && strings.Contains(expr, metric)
				}
				if silent {
					continue
				}
				// count is a series of value 1 or more, or none at all.
				found = append(found, map[string]any{
					"expr": "count(" + expr + ") > bool 0", "eval_time": "10m",
					"exp_samples": []any{map[string]any{"labels": "{}", "value": 1}},
				})
			}
			promtool(t, map[string]any{"tests": []any{map[string]any{
				"interval": "1m", "input_series": series(t, "../exporter/collect/testdata/"+golden), "promql_expr_test": found,
			}}})
		})
	}
}

// The mode of an application becomes one number, which the panel turns into words.
func TestTheProtectionModeIsOneNumber(t *testing.T) {
	t.Parallel()
	all, err := Of("ptaf.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		if q.Panel != "Protection mode of applications" {
			continue
		}
		sample := func(application string, v int) any {
			return map[string]any{"labels": `{device="waf1",application="` + application + `"}`, "value": v}
		}
		promtool(t, map[string]any{"tests": []any{map[string]any{
			"interval": "1m", "input_series": series(t, "../exporter/collect/testdata/ptafpro.prom"),
			"promql_expr_test": []any{map[string]any{
				"expr": strings.ReplaceAll(q.Resolve(time.Minute), `device=~".+"`, `device="waf1",application!~"twin.*"`), "eval_time": "10m",
				"exp_samples": []any{sample("shop", 3), sample("intranet", 1), sample("lab", 0)},
			}},
		}}})
		return
	}
	t.Error("the board has no such panel")
}

// series gives the series of a golden file and those beside it a quarter of an hour.
func series(t *testing.T, path string) (out []any) {
	t.Helper()
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden) + beside) {
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		out = append(out, map[string]any{"series": line[:at], "values": strings.TrimSpace(line[at:]) + "x15"})
	}
	return out
}

func promtool(t *testing.T, test any) {
	t.Helper()
	text, err := yaml.Marshal(test)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", file).CombinedOutput()
	if err != nil {
		t.Errorf("promtool (apt-get install prometheus): %v\n%s", err, out)
	}
}
