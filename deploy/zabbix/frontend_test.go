package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// frontends are folders of Zabbix frontends (Debian: package zabbix-frontend-php),
// separated as in PATH. None is the usual case: `make zabbixcheck` names one.
func frontends() []string { return filepath.SplitList(os.Getenv("SLUICE_ZABBIX_FRONTEND")) }

// TestZabbixOwnCodeTakesTheExport has the frontend's own validator and parsers judge
// the file, and a few broken ones. PHP has no part in it beyond running them.
func TestZabbixOwnCodeTakesTheExport(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, frontend := range frontends() {
		for name, tt := range map[string]struct{ from, to, says string }{
			"as it is":            {"", "", ""},
			"an unknown tag":      {"      template: ", "      pattern: x\n      template: ", "unexpected tag"},
			"an unknown type":     {"type: HTTP_AGENT", "type: HTTP", "unexpected constant"},
			"a broken pattern":    {`sluice_build_info`, `sluice_build_info{device=edge1}`, "no Prometheus pattern"},
			"an unknown function": {"nodata(", "silence(", "unknown function"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				broken := strings.Replace(string(text), tt.from, tt.to, 1)
				if tt.from == "" {
					broken = string(text)
				}
				said := judged(t, frontend, broken)
				answer, rest, found := strings.Cut(said, "judged: ")
				if !found || !regexp.MustCompile(`"templates":2,"keys":[1-9]\d+,"patterns":[1-9]\d+,"expressions":[1-9]\d+`).MatchString(rest) {
					t.Fatalf("not judged to its end: %s", said)
				}
				if tt.says == "" && answer != "" || !strings.Contains(answer, tt.says) {
					t.Errorf("%s says %q, want %q", frontend, answer, tt.says)
				}
			})
		}
	}
}

// judged is what the frontend in a folder says of an export.
func judged(t *testing.T, frontend, text string) string {
	t.Helper()
	var all any
	if err := yaml.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	export, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "php", filepath.Join("testdata", "check.php"), frontend)
	cmd.Stdin, cmd.WaitDelay = bytes.NewReader(export), 10*time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("php: %v: %s", err, out)
	}
	return string(out)
}
