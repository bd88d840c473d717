package collect

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/exporter/promtext"
)

// A listed metric is one line of docs/metrics.md.
type listed struct {
	name   string
	kind   promtext.Kind
	labels string
	help   string
}

// haproxyMetrics are all that may come from a HAProxy, but for the counters of
// its modules, whose names HAProxy says.
func haproxyMetrics() (out []listed) {
	add := func(f family, labels ...string) {
		if !slices.ContainsFunc(out, func(l listed) bool { return l.name == f.name }) {
			out = append(out, listed{f.name, f.kind, strings.Join(append([]string{"device"}, labels...), ", "), f.help})
		}
	}
	object := func(o haproxyObject, c column, proxy string) {
		labels := []string{proxy}
		if o.label != "" {
			labels = append(labels, o.label)
		}
		switch more, _, _ := strings.Cut(c.more, "="); {
		case c.form == status || c.form == check || c.form == aggregate:
			labels = append(labels, "state")
		case c.form == info:
			for from := range strings.FieldsSeq(c.from) {
				if better, ok := infoLabels[from]; ok {
					from = better
				}
				labels = append(labels, from)
			}
		case more != "":
			labels = append(labels, more)
		}
		add(family{"haproxy_" + o.name + "_" + c.name, c.kind, c.help}, labels...)
	}
	for _, o := range haproxyObjects {
		for _, c := range columnsOf("", o) {
			object(o, c, "proxy")
		}
	}
	for _, f := range fields {
		add(family{"haproxy_process_" + f.name, f.kind, f.help})
	}
	add(buildInfo, "version")
	add(nodeInfo, "node")
	add(tableSize, "name", "type")
	add(tableUsed, "name", "type")
	for _, f := range []family{serverFlag, drainedDown, weightless, agentOn} {
		labels := []string{"pool", "member"}
		if f == serverFlag {
			labels = append(labels, "flag")
		}
		add(f, labels...)
	}
	add(poolMembers, "pool")
	add(poolServing, "pool")
	add(processPid)
	add(reloads)
	for _, o := range haproxyObjects {
		for _, c := range columnsOf("exporter", o) {
			object(o, c, o.proxyLabels("exporter")[0])
		}
	}
	add(exporterUp)
	add(versionInfo, "release_date", "version")
	for _, f := range exporterRun {
		add(f.family)
	}
	add(exporterBuild, "branch", "goarch", "goos", "goversion", "revision", "tags", "version")
	return out
}

// What comes from a HAProxy is in docs/metrics.md, with its type and its labels.
func TestMetricsOfHAProxyAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, want := map[string]string{}, map[string]string{}
	rows := regexp.MustCompile("(?m)^\\| `((?:haproxy|sluice_haproxy|sluice_pool)_\\w+)` \\| (\\w+) \\| ([^|]*) \\|")
	for _, m := range rows.FindAllStringSubmatch(string(page), -1) {
		if documented[m[1]] != "" {
			t.Errorf("%s is documented twice", m[1])
		}
		documented[m[1]] = m[2] + " " + m[3]
	}
	for _, l := range haproxyMetrics() {
		want[l.name] = string(l.kind) + " " + l.labels
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("metrics (-) and docs/metrics.md (+):\n%s", diff)
	}
}
