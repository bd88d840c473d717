package exporter

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/test/loopback"
)

func TestMistakesOfTheSelfCheck(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"left out", "", nil},
		{"a limit alone", "self_check: {max_lag: 500ms}", nil},
		{"with targets", "self_check: {module: port, targets: ['192.0.2.1:53', '198.51.100.1:443']}", nil},
		{"targets without a module", "self_check: {targets: ['192.0.2.1:53']}", []string{
			"self_check.module: is missing: write the name of one of health, port",
		}},
		{"a module without targets", "self_check: {module: port}", []string{
			"self_check.targets: is missing: write some that answer whenever the exporter's network is well, best of several kinds, or leave out module",
		}},
		{"a module that isn't there, and a target that is none", "self_check: {module: x, targets: ['192.0.2.1']}", []string{
			`self_check.module: there is no module "x": write the name of one of health, port`,
		}},
		{"a target that can't be asked", "self_check: {module: port, targets: ['192.0.2.1']}", []string{
			`self_check.targets[0]: "192.0.2.1": write HOST:PORT`,
		}},
		{"a probe of its name", "self_check: {}\nprobes: [{name: self_check, module: port, targets: ['192.0.2.1:53']}]", []string{
			`probes[0].name: "self_check" is the name of the self-check's series: write another`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, m := range decode(t, modules+tt.text).Validate(nil) {
				got = append(got, m.Error())
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A target that refuses stays unknown while no target of the self-check answers,
// and is down as soon as one does.
func TestNothingIsDownWhileTheSelfCheckFails(t *testing.T) {
	var ill atomic.Bool
	ill.Store(true)
	mark := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer mark.Close()
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	e, _, _ := newExporter(t, modules+fmt.Sprintf(`
self_check: {module: health, interval: 20ms, targets: ['%s/', 'http://%s/']}
probes:
  - {name: site, module: health, interval: 20ms, fall: 2, targets: ['http://%s/']}
`, mark.URL, nobody, nobody), nil, nil)
	start(t, e)
	has := func(line string) func() bool {
		wanted := regexp.MustCompile("(?m)^" + line + "$")
		return func() bool {
			_, text := get(t, e.Metrics(), "/metrics")
			if ill.Load() && strings.Contains(text, `sluice_probe_up{probe="site",target="http://`+nobody+`/",device="",pool="",member=""} 0`) {
				t.Fatal("I6: it is down, and we reach nothing")
			}
			return wanted.MatchString(text)
		}
	}
	poll(t, "verdicts are suspended", has(`sluice_probe_suspended\{reason="connectivity"\} 1`))
	poll(t, "ten results were ignored", has(`sluice_probe_ignored_total\{probe="site",reason="connectivity"\} \d\d+`))
	ill.Store(false)
	poll(t, "verdicts are given", has(`sluice_probe_suspended\{reason="connectivity"\} 0`))
	poll(t, "it is down", has(`sluice_probe_up\{probe="site",.*\} 0`))
}
